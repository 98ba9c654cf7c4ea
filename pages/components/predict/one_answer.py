"""One scan, large, and what the group says of it: the answer, how far it can be trusted, and what it rests on."""

import base64
import io
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from colora import plots
from colora.data.encoded import tile
from colora.data.thumbnails import Place
from colora.metrics.estimates import Estimate
from colora.plots import class_colour
from colora.prediction.answer import by_whom, share
from colora.results.predictions import checksums_by_place
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components import address, show
from pages.components.elements.gallery import gallery, tile_of
from pages.components.elements.viewer import LargeImage, Name, viewer
from pages.components.explain.looking import Looking, choose_looking, map_and_checks
from pages.components.images import pictures
from pages.components.images.in_address import IMAGE, code
from pages.components.predict.known import known_of
from pages.components.predict.scans import Scan

MOST_CLASSES = 8  # in the table; the figure has all
KEYS = (
    "Keys: ← and → go through the scans, + and − zoom, 0 resets, i inverts, m hides a map. Ctrl and wheel or a "
    "double click zoom; drag to move."
)


def one_answer(
    group: Group,
    about: dict[str, Any],
    told: dict[str, Any],
    scan: Scan,
    page: int,
    step: Callable[[int], None],
) -> None:
    """`about` is `answer.about`, `told` one of `scans.Answers`."""
    name = f"{scan.name}, page {page + 1:,} of {told['pages']:,}" if told["pages"] > 1 else scan.name
    temperature = told["calibrated"]["temperature"]
    calibrated = st.toggle(
        "Calibrated probabilities",
        key=address.flag("calibrated"),
        help=f"By the temperature {temperature:.2f}, chosen on validation: it changes how sure the answer is, seldom "
        "what it is.",
    )
    said = told["calibrated" if calibrated else "mean"]
    doubt(told)  # above all, on a phone too, where the columns stand below each other
    looking = where_they_look(group, about, told, said, scan)
    left, right = st.columns([3, 2], gap="large")
    with left:
        large(about, told, said, f"{scan.id}-{page}", name, step, looking)
        if looking:
            map_and_checks(looking)
    with right:
        facts(about, told, said)
        page_on_paper(about, told, scan, page)
    left, right = st.columns(2, gap="large")
    with left:
        every_seed(group, about, told, said, name, calibrated)
    with right:
        nearest(group, about, told)
    st.caption(show.literal(rests_on(about)))


def where_they_look(
    group: Group, about: dict[str, Any], told: dict[str, Any], said: dict[str, Any], scan: Scan
) -> Looking | None:
    predicted = about["class_names"].index(said["prediction"])
    return choose_looking(group, scan.name, partial(as_seen, told), about["class_names"], predicted)


def as_seen(told: dict[str, Any]) -> np.ndarray:
    """(S, S) uint8, as the network sees it: the last of the layers."""
    *_, picture = told["layers"].values()
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))))


def large(
    about: dict[str, Any],
    told: dict[str, Any],
    said: dict[str, Any],
    scan_id: str,
    name: str,
    step: Callable[[int], None],
    looking: Looking | None,
) -> None:
    """The picture under what the models call it."""
    called = said["prediction"]
    width, height = told["size"]
    says = f"predicted with probability {said['probabilities'][called]:.2f}, by {by_whom(about)}"
    colour = class_colour(about["class_names"].index(called))
    title = Name(called, colour, None, says, f"{name} · {width} × {height} px")
    over = looking.overlay() if looking else None
    image = LargeImage(scan_id, title, told["layers"], "", f"{name}, predicted {called}", over)
    viewer("scan", image, step, nowhere)
    st.caption(KEYS)
    for sentence in told["conversions"]:
        st.caption(f":material/info: {sentence}.")


def without_answer(scan: Scan, step: Callable[[int], None]) -> None:
    """In the picture's place, so that the keys lead on from a scan that nobody could answer."""
    title = Name("No answer", "transparent", None, "", scan.name)
    image = LargeImage(scan.id, title, {}, "There is no picture of it.", f"{scan.name}, no answer")
    viewer("scan", image, step, nowhere)


def nowhere() -> None:
    """Escape leads to no other view here."""


def doubt(told: dict[str, Any]) -> None:
    """High doubt stands above all figures; so does that the models have met this very picture."""
    found = told["doubt"]
    if found["high"]:
        st.error(f"**{found['says']}** {show.literal(' '.join(found['reasons']))}", icon=":material/front_hand:")
    if met := told["met"]:
        where = f"{met['says']}, as {show.literal(met['image_id'])}"
        st.warning(
            f"This very picture {where}: how well the models do on it says nothing about new scans.",
            icon=":material/content_copy:",
        )


def facts(about: dict[str, Any], told: dict[str, Any], said: dict[str, Any]) -> None:
    """The answer in a table: each class, then how sure, how united, how near."""
    votes, unsure, found = told["agreement"], told["unsure"], told["doubt"]
    yes_or_no(about, told)
    classes = pd.DataFrame(
        [{"Class": name, "Probability": f"{p:.3f}"} for name, p in ranked(said["probabilities"])]
    )
    show.table(classes.set_index("Class"), border="horizontal", alt="Probability of each class, the largest first")
    rows = {
        "Entropy": f"{told['mean']['entropy']:.3f} nats: more unsure than {share(unsure['share'])} of the "
        f"{unsure['of']:,} test images",
        "Votes of seeds": ", ".join(f"{name} {n}" for name, n in sorted(votes.items(), key=lambda vote: -vote[1])),
    }
    if part := found["disagreement"]:
        of = f"more than on {share(part['share'])} of the validation images"
        rows["Dissent"] = f"{share(part['value'])} of the seeds: {of}" if part["value"] else "none"
    if part := found["distance"]:
        of = f"{share(part['share'])} of the validation images"
        scale = f"on their scale, whose 0 is their median, {part['value']:.2f}; too far from {part['limit']:.2f} on"
        rows["Distance"] = f"further off than {of} ({scale})"
    if len(told["mean"]["probabilities"]) > MOST_CLASSES:
        st.caption(f"The {MOST_CLASSES} most probable of {len(told['mean']['probabilities'])} classes.")
    table = pd.DataFrame({"Fact": list(rows), "Value": list(rows.values())}).set_index("Fact")
    show.table(table, border="horizontal", alt="How sure the answer is")
    st.caption(
        "Score, entropy and votes are those before calibration. A scan of the other eye, mirrored, looks like any "
        "other to the models: no figure here notices it."
    )


def yes_or_no(about: dict[str, Any], told: dict[str, Any]) -> None:
    """The answer to the group's question at its threshold, and what such answers were worth on the test images."""
    asked, point = about["operating_point"], told["operating_point"]
    if asked is None:
        st.caption(show.literal(about["no_operating_point"]))
        return
    answer = "yes" if point["positive"] else "no"
    positives = show.literal(" or ".join(asked["positives"]))
    st.markdown(f"**{positives}? {answer.capitalize()}** (score {point['score']:.3f})")
    worth = [f"{name} {show.estimate_text(Estimate(**asked[name]))}" for name in ("sensitivity", "specificity")]
    warned = f" :orange[:material/warning: {show.literal(asked['changed'])}]" if asked["changed"] else ""
    optimistic = f" {show.OPTIMISTIC}" if about["selection"]["rule"] == "paper" else ""
    st.caption(
        f"{show.literal(asked['says'])}. On the {asked['n']:,} test images: {'; '.join(worth)} (95 % intervals)."
        f"{optimistic}{warned}"
    )


def ranked(probabilities: dict[str, float], most: int = MOST_CLASSES) -> list[tuple[str, float]]:
    """The most probable classes, the largest first."""
    return sorted(probabilities.items(), key=lambda item: -item[1])[:most]


def every_seed(
    group: Group, about: dict[str, Any], told: dict[str, Any], said: dict[str, Any], name: str, calibrated: bool
) -> None:
    names, seeds = about["class_names"], [row["seed"] for row in told["seeds"]]
    rows = [row["calibrated"] if calibrated else row for row in told["seeds"]]
    values = np.array([[row["probabilities"][c] for c in names] for row in rows])  # (S, C)
    answer = np.array([said["probabilities"][c] for c in names])
    table = pd.DataFrame(values, columns=names)
    table.insert(0, "seed", seeds)
    how = "calibrated, each seed by its own temperature" if calibrated else "not calibrated"
    show.show_figure(
        plots.seed_probabilities(values, seeds, names, answer),
        "What every seed says",
        "A dot is one seed's probability, the bar the answer's. Dots far apart: the models disagree.",
        f"Probability of each class of {name} by seed, {how}",
        table,
        f"{group.name}-scan-seeds",
        f"{name} · {group.name}, {by_whom(about)}, {how}",
    )


def page_on_paper(about: dict[str, Any], told: dict[str, Any], scan: Scan, page: int) -> None:
    """The one-page PDF, made when somebody asks for it."""
    number = f"-page-{page + 1}" if told["pages"] > 1 else ""
    picture = next(iter(told["layers"].values()))

    def pdf() -> bytes:
        from colora.report.scan import scan_pdf

        image = told | {"path": scan.name, **({"page": page} if number else {})}
        return scan_pdf(about, image, base64.b64decode(picture.partition(",")[2]), datetime.now(UTC))

    st.download_button(
        "One page as PDF",
        pdf,
        file_name=f"{Path(scan.name).stem}{number}.pdf",
        mime="application/pdf",
        icon=":material/picture_as_pdf:",
        key="scan-pdf",
        on_click="ignore",
    )


def nearest(group: Group, about: dict[str, Any], told: dict[str, Any]) -> None:
    """The training images that look most alike to the best seed, with their labels."""
    st.markdown("**The nearest training images**")
    found = told["nearest"]
    if found is None:
        st.caption("Not known of this group: see above.")
        return
    far = told["doubt"]["distance"] and told["doubt"]["distance"]["high"]
    st.caption(
        f"By what seed {about['best_seed']}, the best one, sees in them; 1 is alike."
        + (" This picture is near none of them: these are the least far ones." if far else "")
    )
    known = known_of(group)
    resolved, table = known.best.resolved, known.tables["train"]
    assert resolved is not None  # it has finished
    kept = "checksum" in table
    checksums = checksums_by_place(table, table["checksum"].to_numpy(), "train") if kept else None
    source = pictures.pictures_of(group.config, resolved.data_checksum, "train", checksums)
    places = [Place("train", row["index"], row["image_id"]) for row in found]
    images = [source] * len(places) if isinstance(source, UserError) else source.read(places)
    tiles = [
        tile_of(
            row["image_id"],
            row["label"],
            class_colour(about["class_names"].index(row["label"])),
            image if isinstance(image, UserError) else tile(image),
            f"Training image {row['image_id']}, class {row['label']}, cosine {row['cosine']:.3f}",
            score=f"{row['cosine']:.3f}",
        )
        for row, image in zip(found, images, strict=True)
    ]
    opens = partial(st.session_state.__setitem__, "nearest-opened")
    gallery("nearest", tiles, "The nearest training images", opens, columns=3)
    if image_id := st.session_state.pop("nearest-opened", None):
        image = {IMAGE: code(resolved.data_checksum, image_id)}
        asked = {"group": group.name, "part": plots.SPLIT_NAMES["train"]}
        st.switch_page("pages/images.py", query_params=asked | image)


def rests_on(about: dict[str, Any]) -> str:
    """Models, data, split and the rule that chose them, in a sentence."""
    data = f"{about['data_trained_on']}{' (SYNTHETIC)' if about['synthetic_training'] else ''}"
    models = f"{about['name']}: {by_whom(about)}, trained on {data} ({about['split_rule']})"
    return f"{models}; {about['selection']['says']}"
