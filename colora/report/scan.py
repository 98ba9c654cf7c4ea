"""One scan on one A4 page: what the models say of it, how far that can be trusted, and what it rests on."""

import base64
import io
import json
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import PurePath
from typing import Any

import typst
from PIL import Image, UnidentifiedImageError

from colora.plots.style import SPLIT_NAMES, class_colour
from colora.prediction.answer import by_whom
from colora.report.texts import NAME, beyond, breakable, drawn, figure, listed, probability
from colora.runs.finished import counted, says_not_counted
from colora.settings.catalog import NOTICE
from colora.system.errors import UserError
from colora.system.installation import VERSION

MOST_CLASSES = 8  # in the table; the others are told together
MOST_NAMES = 4  # of classes in a sentence
MOST_WARNINGS = 5
LARGEST_SIDE = 1200  # pixels: on paper 450 an inch


def scan_pdf(about: dict[str, Any], image: dict[str, Any], picture: bytes, when: datetime) -> bytes:
    """The page as a PDF; of the same input the same bytes.

    about: the document of `colora predict --json`, of which `images` is not read. image: one of its `images`, or an
    answer of `colora worker` with a path. picture: a PNG of any size; when: with its time zone. Every text in them may
    be anybody's.

    Raises UserError where the picture is none.
    """
    drawing, (width, height) = _svg(picture)
    page = json.dumps(page_of(about, image, when) | {"aspect": width / height}, allow_nan=False)
    template = files(__package__).joinpath("scan.typ").read_bytes()
    sources = {"main.typ": template, "page.json": page.encode(), "picture.svg": drawing}
    return typst.compile(sources, ignore_system_fonts=True)


def page_of(about: dict[str, Any], image: dict[str, Any], when: datetime) -> dict[str, Any]:
    """Each text of the page as it is printed, and each bar's length in [0, 1]: all that the template knows."""
    shown = when.astimezone(UTC)
    return {
        "file": f"{drawn(PurePath(image['path']).name, NAME)}{_page(image)}",
        "group": drawn(about["name"], NAME),
        "date": f"{when:%Y-%m-%d %H:%M} {when.tzname()}",
        "created": [shown.year, shown.month, shown.day, shown.hour, shown.minute, shown.second],
        "notice": NOTICE,
        "program": f"CoLoRA Studio {VERSION}",
        "alerts": _alerts(about, image),
        "answer": drawn(image["mean"]["prediction"], NAME),
        "by": f"by {drawn(by_whom(about))}",
        **_classes(about, image),
        "trust": _trust(about, image),
        "point": _point(about, image.get("operating_point")),
        "nearest": _nearest(image),
        "ground": _ground(about, image),
    }


def _page(image: dict[str, Any]) -> str:
    """Which one of a file with several."""
    return f", page {image['page'] + 1}" if "page" in image else ""


def _svg(picture: bytes) -> tuple[bytes, tuple[int, int]]:
    """A drawing that holds the picture, and its size: of files in memory typst takes none but texts."""
    try:
        with Image.open(io.BytesIO(picture), formats=["PNG"]) as opened:
            shown = opened.convert("L" if opened.mode in ("1", "L", "LA") else "RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"The picture for the page is not a PNG that can be read: {error}.") from error
    shown.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BICUBIC)
    file, (width, height) = io.BytesIO(), shown.size
    shown.save(file, "PNG", compress_level=1)
    inside = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    return f'{head}<image width="{width}" height="{height}" href="{inside}"/></svg>'.encode(), shown.size


def _alerts(about: dict[str, Any], image: dict[str, Any]) -> list[str]:
    """What has to be read before any figure is."""
    doubt = image["doubt"]
    alerts = [drawn(" ".join([doubt["says"], *doubt["reasons"]]))] if doubt["high"] else []
    if met := image["met"]:
        named = drawn(met["image_id"], NAME)
        if met["split"] == "train":
            alerts.append(f"This very picture was trained on, as {named}: the answer is no test of the models.")
        else:
            alerts.append(f"This very picture {drawn(met['says'])} of the group, as {named}.")
    if about["synthetic_training"]:
        alerts.append("The models were trained on synthetic images, which are no scans of anybody.")
    return list(map(breakable, alerts))


def _classes(about: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """{"classes", "more", "calibration"}: a row each in the classes' own order; of many the most probable."""
    names, mean, calibrated = about["class_names"], image["mean"], image["calibrated"]
    p, seeds, votes = mean["probabilities"], image["seeds"], image["agreement"]
    order = list(range(len(names)))
    if len(names) > MOST_CLASSES:
        order.sort(key=lambda c: -p[names[c]])
    rows = [
        {
            "name": drawn(names[c], NAME),
            "colour": class_colour(c),
            "p": p[names[c]],
            "says": probability(p[names[c]]),
            "calibrated": probability(calibrated["probabilities"][names[c]]),
            "dots": [seed["probabilities"][names[c]] for seed in seeds] if len(seeds) > 1 else [],
            "votes": f"{votes.get(names[c], 0)} of {len(seeds)}",
            "first": names[c] == mean["prediction"],
        }
        for c in order[:MOST_CLASSES]
    ]
    rest = [p[names[c]] for c in order[MOST_CLASSES:]]
    kinds = "class" if len(rest) == 1 else "classes"
    more = f"and {len(rest)} more {kinds}, together {probability(sum(rest))}" if rest else None
    told = f"Calibrated: at temperature {calibrated['temperature']:.2f}, which validation chose."
    return {"classes": rows, "more": more, "calibration": told, "seeds": len(seeds)}


def _trust(about: dict[str, Any], image: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of name, says, high (beyond its limit), and share: the place in [0, 1], None where there is none."""
    mean, unsure, doubt = image["mean"], image["unsure"], image["doubt"]
    tests = f"{unsure['of']:,} test images"
    votes = sorted(image["agreement"].items(), key=lambda item: -item[1])
    agreed = [f"{drawn(name, 40)} by {n}" for name, n in votes]
    seeds = counted(len(image["seeds"]), len(image["seeds"]))
    agreement = breakable(f"{listed(agreed, MOST_NAMES)}, of {seeds}")
    unknown = "not known, as the images nearest to it: the group has kept no features"
    return [
        {"name": "Entropy", "says": f"{figure(mean['entropy'])} nats, {beyond(unsure['share'], tests)}", "high": False}
        | {"share": unsure["share"]},
        {"name": "Agreement of the seeds", "says": agreement, "high": False, "share": None},
        {"name": "Seeds that vote otherwise"} | _place(doubt["disagreement"], "not known of one seed"),
        {"name": "Distance from training images"} | _place(doubt["distance"], unknown),
    ]


def _place(part: dict[str, Any] | None, unknown: str) -> dict[str, Any]:
    if part is None:
        return {"says": unknown, "high": False, "share": None}
    limit = f", beyond the limit of {part['limit']:.2f}:" if part["high"] else f" (limit {part['limit']:.2f}),"
    says = f"{part['value']:.2f}{limit} {beyond(part['share'], 'validation images')}"
    return {"says": says, "high": part["high"], "share": part["share"]}


def _point(group: dict[str, Any], image: dict[str, Any] | None) -> dict[str, Any] | None:
    """{"question", "answer", "rule", "worth"}: None where nobody can be asked."""
    about = group.get("operating_point")
    if about is None or image is None:
        return None
    optimistic = "; optimistic: the test images chose the model" if group["selection"]["rule"] == "paper" else ""
    names = listed([drawn(name, 40) for name in about["positives"]], MOST_NAMES, " or ", " or ")
    side, relation = ("Yes", "at or above") if image["positive"] else ("No", "below")
    threshold = f"{relation} the threshold of {about['threshold']:.3f}"
    more = ["frozen for this group"] if about["frozen"] else []  # of the usual one `says` tells that nobody has
    more += [about["changed"]] if about["changed"] else []
    worth = [f"{name} {_interval(about[name])}" for name in ("sensitivity", "specificity")]
    on = SPLIT_NAMES[about["on"]].lower()
    return {
        "question": breakable(f"{names}?"),
        "answer": side,
        "score": f"Score {image['score']:.3f}, {threshold}",
        "rule": breakable(drawn("; ".join([f"Rule: {about['says']}", *more]))),
        "worth": f"On {on}, n = {about['n']:,}: {', '.join(worth)} (95 % intervals){optimistic}",
    }


def _interval(estimate: dict[str, float | None]) -> str:
    value, low, high = (estimate[part] for part in ("value", "low", "high"))
    if value is None:
        return f"not estimable ({drawn(estimate.get('reason') or 'not said why')})"
    return figure(value) if low is None or high is None else f"{figure(value)} [{figure(low)} to {figure(high)}]"


def _nearest(image: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"label": drawn(row["label"], NAME), "cosine": f"{row['cosine']:.4f}", "id": drawn(row["image_id"], NAME)}
        for row in image["nearest"] or []
    ]


def _ground(about: dict[str, Any], image: dict[str, Any]) -> list[list[str]]:
    """What the answer rests on: [name, says] a row."""
    nearest = f"; distances by all of them, nearest images by seed {about['best_seed']}"
    features = nearest if about["has_features"] else ""
    size = about["image_size"]
    prepared = drawn("; ".join([f"grey, {size} × {size} pixels", *image["conversions"]]))
    rows = [
        ["File", f"{drawn(PurePath(image['path']).name)}{_page(image)}"],
        ["Group", drawn(about["name"], NAME)],
        ["Answer", f"by {drawn(by_whom(about))}{features}"],
        ["Trained on", drawn(about["data_trained_on"]) + (", synthetic" if about["synthetic_training"] else "")],
        ["Split", drawn(about["split_rule"])],
        ["Selection", drawn(about["selection"]["says"])],
        ["Prepared", prepared],
        *(["Note", drawn(said)] for said in says_not_counted(about)),
        *(["Note", drawn(said)] for said in about["warnings"][:MOST_WARNINGS]),
    ]
    if more := about["warnings"][MOST_WARNINGS:]:
        rows.append(["Note", f"and {len(more)} more: colora results tells them"])
    return [[name, breakable(says)] for name, says in rows]
