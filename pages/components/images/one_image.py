"""One image, large, with all that is known of it: by every seed, over the epochs, in rank, and what people decided."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora import plots
from colora.data.encoded import lossless
from colora.data.thumbnails import Pictures
from colora.distillation.scores import SeedPredictions, Whose
from colora.results.predictions import place_of
from colora.results.summary import run_summary
from colora.results.timeline import timeline
from colora.runs.documents import contained
from colora.runs.folder import Group, Run
from colora.runs.names import is_external
from colora.runs.siblings import seeds_text
from colora.settings.catalog import SCORES
from colora.system.errors import UserError
from pages.components import address, show
from pages.components.elements.gallery import gallery
from pages.components.elements.viewer import LargeImage, Name, viewer
from pages.components.explain.looking import Looking, choose_looking, map_and_checks
from pages.components.images import judging, scored
from pages.components.images.browse import first_shown, go_to
from pages.components.images.in_address import named_now, open_image
from pages.components.images.listed import Listed, score_title
from pages.components.images.mapped import has_map
from pages.components.images.other_group import other_groups
from pages.components.images.selected import select_like

NEIGHBOURS = 3  # on either side


def back() -> None:
    address.drop("image")


def one_image(
    group: Group,
    about: dict[str, Any],
    found: SeedPredictions,
    whose: Whose,
    chosen_list: Listed,
    split: str,
    source: Pictures | UserError,
    image_id: str,
) -> None:
    position = chosen_list.position(image_id)
    row = chosen_list.row_of(image_id)
    if row is None:
        st.warning(f"There is no image '{show.brief(image_id)}' in this split.", icon=":material/search_off:")
        st.button("Back to the grid", icon=":material/arrow_back:", on_click=back, key="back")
        return
    record = chosen_list.table.iloc[row].to_dict()
    step = partial(go_on, found.data_checksum, chosen_list, image_id)
    with st.container(horizontal=True, vertical_alignment="center"):
        where(chosen_list, position, step)
        those_like_it(found, whose, split, image_id)
    picture = picture_of(record, split, source)
    looking = where_they_look(group, found, record, picture)
    left, right = st.columns([3, 2], gap="large")
    with left:
        large(found, record, split, picture, looking, step, partial(leave, position, len(chosen_list)))
        if looking:
            map_and_checks(looking)
    with right:
        facts(found, record, chosen_list, position)
        there, label = not picture.problem, int(record["label"])
        judging.with_a_verdict(found.data_checksum, image_id, found.class_names, label, there)
    origin = f"{show.split_of(about, split)}, image {image_id}"
    left, right = st.columns(2, gap="large")
    with left:
        every_seed(found, row, origin)
    with right:
        if is_external(split):
            st.markdown("**Over the epochs**")
            st.caption("Other data met each seed's selected epoch alone.")
        else:
            over_epochs(group, found, record, split, origin)
    if position is not None:
        neighbours(found, chosen_list, position, split, source)
    other_groups(group, found, record, chosen_list.table, split)


def go_on(data_checksum: str, chosen_list: Listed, drawn: str, by: int) -> None:
    """To the next or the last image of the list, from the one that is open by now, if one is; the grid then stands
    there too."""
    image_id = named_now(drawn)
    position = None if image_id is None else chosen_list.position(image_id)
    if position is not None and 0 <= position + by < len(chosen_list):
        open_image(data_checksum, chosen_list.id_at(position + by))


def leave(position: int | None, count: int) -> None:
    """Back to the grid, on the page that has the image that was open."""
    back()
    if position is not None:
        size, first = st.session_state.get("per", 25), first_shown(count)
        if not first <= position < first + size:
            go_to(1 + size * (position // size))


def where(chosen_list: Listed, position: int | None, step: Callable[[int], None]) -> None:
    st.button(
        "Back to the grid",
        icon=":material/arrow_back:",
        on_click=leave,
        args=(position, len(chosen_list)),
        key="back",
    )
    if position is None:
        st.caption("The filters, or the selection, leave this image out: it has no neighbours.", width="content")
        return
    count = len(chosen_list)
    st.button(
        "Previous image",
        icon=":material/chevron_left:",
        disabled=position == 0,
        on_click=step,
        args=(-1,),
        key="step-back",
    )
    st.button(
        "Next image",
        icon=":material/chevron_right:",
        icon_position="right",
        disabled=position == count - 1,
        on_click=step,
        args=(1,),
        key="step-on",
    )
    st.markdown(f"**Rank {position + 1:,}** of {count:,}", width="content")


def those_like_it(found: SeedPredictions, whose: Whose, split: str, image_id: str) -> None:
    """To the images that the model finds most alike, where the group has kept what it sees."""
    if not has_map(found, whose) or not st.button("Images like this one", icon=":material/explore:", key="like-this"):
        return
    select_like(found.data_checksum, image_id)
    st.session_state["to-view"] = "map", split
    st.rerun()


@dataclass(frozen=True, eq=False)
class Picture:
    """The image (S, S) uint8 as the network sees it, and the `layers` to be shown, the original first where the source
    has more pixels; or why there are none."""

    seen: np.ndarray | None
    layers: dict[str, str]
    problem: str = ""


def picture_of(record: dict[str, Any], split: str, source: Pictures | UserError) -> Picture:
    try:
        if isinstance(source, UserError):
            raise source
        seen, original = source.large(place_of(record, split))
    except UserError as error:
        return Picture(None, {}, f"The image cannot be shown: {error}")
    layers = {}
    if original is not None:
        layers[f"Original, {original.shape[1]} × {original.shape[0]}"] = lossless(original)
    layers[f"As the network sees it, {seen.shape[1]} px"] = lossless(seen)
    return Picture(seen, layers)


def where_they_look(
    group: Group, found: SeedPredictions, record: dict[str, Any], picture: Picture
) -> Looking | None:
    """Of the seeds that count, whichever the page's figures are of."""
    if picture.seen is None:
        return None
    names, predicted = found.class_names, int(record["predicted"])
    return choose_looking(group, record["image_id"], lambda: picture.seen, names, predicted)


def large(
    found: SeedPredictions,
    record: dict[str, Any],
    split: str,
    picture: Picture,
    looking: Looking | None,
    step: Callable[[int], None],
    on_back: Callable[[], None],
) -> None:
    """The image itself, under the map where one was asked for."""
    names, image_id, label = found.class_names, record["image_id"], int(record["label"])
    alt = (
        f"{plots.split_title(split)} image {image_id}, true class {names[label]}, predicted "
        f"{names[int(record['predicted'])]}"
    )
    over = looking.overlay() if looking else None
    viewer(
        "large",
        LargeImage(image_id, name_of(found, record, split), picture.layers, picture.problem, alt, over),
        step,
        on_back,
        judging.choices(found.data_checksum, image_id, names),
        partial(judging.judge, found.data_checksum, image_id, names),
        judging.unheard,
    )
    st.caption(
        "Keys: ← and → go through the list, + and − zoom, 0 resets, i inverts, m hides a map, Esc goes back. Ctrl "
        "and wheel or a double click zoom; drag to move."
    )


def name_of(found: SeedPredictions, record: dict[str, Any], split: str) -> Name:
    """Class, prediction and identity in words."""
    names, true, predicted = found.class_names, int(record["label"]), int(record["predicted"])
    says = f"predicted {names[predicted]} with probability {record[f'p_{predicted}']:.2f}"
    if true != predicted:
        says += f"; the true class has {record[f'p_{true}']:.2f}"
    about = [record["image_id"], plots.split_title(split) + ("" if is_external(split) else " split")]
    if split == "train":
        about[1] += ", trained on" if record["used"] else ", not trained on"
    if isinstance(record["patient_id"], str):
        about.append(f"patient {record['patient_id']}")
    return Name(names[true], plots.class_colour(true), true == predicted, says, " · ".join(about))


def facts(found: SeedPredictions, record: dict[str, Any], chosen_list: Listed, position: int | None) -> None:
    """Every score in words, and the image's place in the list."""
    names, true = found.class_names, int(record["label"])
    score = chosen_list.score
    line = f"{score_title(score)} **{record[score]:.3f}**"
    if position is not None:
        labels = chosen_list.labels
        in_class = int(np.count_nonzero(labels[:position] == true)) + 1
        line += f", rank {in_class:,} of {np.count_nonzero(labels == true):,} in {show.literal(names[true])}"
    st.markdown(line)
    known = [name for name in SCORES if not pd.isna(record[name])]
    table = pd.DataFrame(
        [{"Score": score_title(name), "Value": f"{record[name]:.3f}", "Meaning": SCORES[name].about} for name in known]
    )
    with st.expander("All scores", icon=":material/straighten:"):
        show.table(table.set_index("Score"), border="horizontal", alt="Every score of this image")


def every_seed(found: SeedPredictions, row: int, origin: str) -> None:
    values = found.probabilities[:, row]  # (S, C)
    table = pd.DataFrame(values, columns=found.class_names)
    table.insert(0, "seed", found.seeds)
    left_out = [seed for seed, learned in zip(found.seeds, found.learned[:, row], strict=True) if not learned]
    says = "A dot is one seed's probability, the bar their mean. Dots far apart: the models disagree."
    if found.group.config.folds and found.images["used"].iloc[row]:
        others = f"Left out of the training of {show.literal(seeds_text(left_out))}; the others have learned its label."
        says += f" {others if left_out else 'All of these have learned its label.'}"
        table.insert(1, "left_out", [seed in left_out for seed in found.seeds])
    votes = ", ".join(found.class_names[c] for c in np.unique(values.argmax(1)))
    show.show_figure(
        plots.seed_probabilities(values, found.seeds, found.class_names),
        "What every seed says",
        says,
        f"Probability of each class by seed; the seeds vote for {votes}",
        table,
        f"{found.group.name}-{found.split}-{row}-seeds",
        f"{origin} · each seed's selected epoch, {show.chosen_on(found.group.config.selection)}",
    )


def over_epochs(group: Group, found: SeedPredictions, record: dict[str, Any], split: str, origin: str) -> None:
    """The image's timeline in one seed, with the merges of the updates."""
    with contained(group.path):
        runs = {run.seed: run for run in group.runs if run.seed in found.seeds}
        seed = st.session_state.get("timeline-seed")
        run = runs[seed if seed in runs else found.best_seed]
        learned = found.learned[found.seeds.index(run.seed)] if split == "train" else None
    try:
        table = timeline(run, split, int(record["index"]), learned)
    except UserError as error:
        show.say(error, icon=":material/broken_image:")
        return
    if table.empty:
        st.markdown("**Over the epochs**")
        why = "This run has kept no predictions of single epochs."
        if learned is not None and not learned[int(record["index"])]:
            who = f"Seed {run.seed} left this image out" if record["used"] else "This image was not trained on"
            why = f"{who}; of the train split only predictions of images trained on are kept for each epoch."
        st.caption(why)
    else:
        _timeline(group, found, run, table, f"{split}-{int(record['index'])}", origin)
    if len(runs) > 1 and (not table.empty or (learned is not None and found.learned[:, int(record["index"])].any())):
        if "timeline-seed" not in st.session_state:
            st.session_state["timeline-seed"] = run.seed
        st.segmented_control(
            "Seed",
            list(runs),
            key="timeline-seed",
            required=True,
            label_visibility="collapsed",
            persist_state="session",
        )


def _timeline(group: Group, found: SeedPredictions, run: Run, table: pd.DataFrame, which: str, origin: str) -> None:
    selected = run_summary(run)["selected_epoch"]
    merges = int(table["merged"].sum())
    show.show_figure(
        plots.image_timeline(table, found.class_names, selected),
        "Over the epochs",
        f"Seed {run.seed} as it learnt. Solid line: the selected epoch, {selected}."
        + (f" Dotted: {merges} merge{'s' * (merges > 1)} of the updates." if merges else ""),
        f"Probability of each class for this image over {len(table)} epochs of seed {run.seed}",
        table,
        f"{group.name}-seed-{run.seed}-{which}-epochs",
        f"{origin} · seed {run.seed}, all epochs; the selected one {show.chosen_on(group.config.selection)}",
    )


def neighbours(
    found: SeedPredictions, chosen_list: Listed, position: int, split: str, source: Pictures | UserError
) -> None:
    """The images around this one in the list."""
    first = max(0, min(position - NEIGHBOURS, len(chosen_list) - 2 * NEIGHBOURS - 1))
    rows = chosen_list.part(first, first + 2 * NEIGHBOURS + 1)
    st.markdown("**Neighbours in rank**")
    gallery(
        "neighbours",
        scored.tiles(
            rows,
            split,
            source,
            found.class_names,
            chosen_list.score,
            range(first + 1, first + len(rows) + 1),
            scored.verdicts(found.data_checksum),
        ),
        "Neighbours in rank",
        on_open=partial(open_image, found.data_checksum),
        chosen=chosen_list.id_at(position),
        columns=2 * NEIGHBOURS + 1,
    )
