"""How good a group's models are: over its finished seeds or of one, at the selected epoch or any other, down to the
images."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from colora import plots
from colora.results.judged import says_cross_fitted
from colora.runs.documents import contained
from colora.runs.external import says_untested
from colora.runs.finished import finished
from colora.runs.folder import Group
from colora.runs.names import external_name, is_external
from colora.runs.trained_said import says_trained
from colora.settings.seeds import format_seeds
from colora.system.errors import UserError
from pages.components import address, elsewhere, leaks, show
from pages.components.beside import follow
from pages.components.evaluate.calibration import calibration_part
from pages.components.evaluate.classes import classes
from pages.components.evaluate.confusions import confusions_and_images
from pages.components.evaluate.every_figure import every_figure
from pages.components.evaluate.external import TO_SPLIT, about_test
from pages.components.evaluate.external_form import other_data
from pages.components.evaluate.headlines import every_seed, headlines, seed_table
from pages.components.evaluate.intervals import DRAWING, optimism
from pages.components.evaluate.operating_point import operating_point_part
from pages.components.evaluate.readers import View, seeds_with_predictions
from pages.components.evaluate.shift import shift_part
from pages.components.evaluate.subgroups import subgroups_part
from pages.components.frame import inside_app, one_of
from pages.components.runs import chosen_group, show_damage, show_damaged_seeds, summary

ALL, SELECTED = "All finished seeds", "selected"
OVER = {False: "over seeds", True: "over images"}
CLASSES, SHIFT = "Classes", "Shift"
DRAWN = {
    CLASSES: classes,
    "Calibration": calibration_part,
    "Operating point": operating_point_part,
    "Every figure": every_figure,
    "Subgroups": subgroups_part,
}
Later = tuple[Any, Callable[[], None]]  # a place on the page, and what is drawn there when all else stands


def what_to_know(about: dict[str, Any]) -> None:
    """The rule that chose the epochs, and everything the runs warned of that the banner has not said."""
    rule, leak = about["selection"], about["data"]["leak"] or ""
    warnings = [show.literal(said) for said in about["warnings"] if said not in leak]
    best = next((row for row in about["seeds"] if row["seed"] == about["best_seed"]), None)
    if best and rule["rule"] == "paper":
        warnings.insert(
            0,
            f"**Optimistic figures.** The rule of this group takes {rule['says']}. That model is seed "
            f"{best['seed']} at epoch {best['selected_epoch']}, test accuracy "
            f"{show.three(best['test']['accuracy'])}. Medians over seeds are over each finished seed's epoch "
            "of best test accuracy, and optimistic too.",
        )
    elif rule["rule"] == "paper":
        warnings.insert(0, f"**Optimistic figures.** The rule of this group takes {rule['says']}.")
    else:
        st.caption(f"Selection: {rule['says']}. The test images played no part in it.")
    if about["data"]["split"] and not about["data"]["check"]:
        st.caption(f"Train, validation and test were separated so: {show.literal(about['data']['split'])}.")
    if warnings:
        st.warning("\n\n".join(warnings), icon=":material/warning:")


def choices(group: Group, about: dict[str, Any]) -> tuple[str, int | None, int | None]:
    """(split, seed or None for all finished ones, epoch or None for the selected one); the address keeps them. On other
    data the selected epoch alone was tested."""
    learnt = [row for row in about["seeds"] if "selected_epoch" in row]
    if (asked := st.session_state.pop(TO_SPLIT, None)) in about["external"]:  # before the widget that shows it
        st.session_state["split"] = asked
    split = show.choose_split(list(about["external"]))
    grid = st.grid(2, min_column_width=260, vertical_alignment="top")
    with grid.cell():
        options = [ALL] * (len(learnt) > 1) + [f"Seed {row['seed']}" for row in learnt]
        best = about["best_seed"]
        seed = st.selectbox(
            "Models",
            options,
            key=address.one("seed", options),
            help="A seed is one training with its own random start."
            + (f" Seed {best} is the best by the group's selection rule." if best is not None else ""),
        )
    with grid.cell():
        epochs = [SELECTED, *map(str, range(1, max(row["epoch"] for row in learnt) + 1))]
        if is_external(split):
            st.caption("**Epoch**  \nOther data met each seed's selected epoch.")
            return split, None if seed == ALL else int(seed.split()[1]), None
        epoch = st.select_slider(
            "Epoch",
            epochs,
            key=address.one("epoch", epochs),
            help="An epoch is one pass over the training images. 'selected': each seed's own, by the selection rule. "
            "Any other one shows how the models learnt; choosing it by its test figures would make them optimistic.",
        )
    return split, None if seed == ALL else int(seed.split()[1]), None if epoch == SELECTED else int(epoch)


def data_and_model(about: dict[str, Any]) -> None:
    """What the figures rest on: images of each class in each split, how they were split, what was trained."""
    data, parameters = about["data"], about["parameters"]
    if not data["class_counts"]:
        return
    with st.expander("Data, split and network", icon=":material/database:"):
        part = f"; each seed leaves out one of {data['folds']} parts" if data["folds"] else ""
        names = plots.SPLIT_NAMES | {"train": "Train (whole split)", "used": f"Train (images trained on{part})"}
        rows = {names[s]: dict(zip(data["class_names"], n, strict=True)) for s, n in data["class_counts"].items()}
        counts = pd.DataFrame(rows).T.rename_axis("Split")
        show.table(counts.assign(all=counts.sum(axis=1)), border="horizontal", alt="Images of each class in each split")
        if about["apart"]:
            st.markdown(f"- Of seeds {format_seeds(about['apart'][0]['than'])}; the others were not trained on it.")
        st.markdown(
            f"- Source: {show.literal(data['source'])}, {data['image_size']} px{', SYNTHETIC' * data['synthetic']}\n"
            f"- Split: {show.literal(data['split'])}\n"
            f"- Checksum of the images: {show.literal(data['checksum'][:16])}"
        )
        if cut := data["cut"]:
            corrected = f", {cut['corrected_labels']:,} labels corrected" if cut["corrected_labels"] else ""
            st.markdown(
                f"- Trained on the cut **{show.literal(cut['name'])}** of {show.literal(cut['source']['group'])}: "
                f"{show.literal(cut['says'])}{corrected}. "
                f"Hash {show.literal(cut['hash'][:12])}"
            )
        if parameters:
            st.markdown(
                f"- {show.model_title(about['backbone'])}, {show.method_title(about['method'])}: "
                f"{parameters['trainable']:,} weights trained, {parameters['deployed']:,} in the network"
                + (f". {show.literal(said)}" if (said := says_trained(parameters)) else "")
            )


def over_images(several: bool, split: str) -> bool:
    """What intervals and bands are over, as a person chose; with one model there is nothing to choose."""
    if split == "train":
        return False  # of images that a model learnt from an interval says nothing of others
    if not several:
        return True
    return st.segmented_control(
        "Intervals and bands",
        list(OVER),
        required=True,
        format_func=OVER.get,
        key=address.one("over", list(OVER), OVER.get),
        help="Over seeds: how much trainings differ on these images (median, middle half, range). Over images: what "
        "other images could have given one model, the ensemble of the seeds (95 % interval). Calibration and operating "
        "point are always of that model.",
    )


def models(group: Group, about: dict[str, Any], told: Any) -> list[Later]:
    """What the chosen models are worth. Returns what takes longer, for when the page stands."""
    split, seed, epoch = choices(group, about)
    with one_of(2, 1 if is_external(split) else 0):
        if is_external(split) and not about_test(group, about, split):
            return []
    try:
        return of_models(group, about, told, split, seed, epoch)
    except UserError as error:
        if not is_external(split):
            raise
        show.say(error)  # a file of this test, and not of the group
        return []


def of_models(
    group: Group, about: dict[str, Any], told: Any, split: str, seed: int | None, epoch: int | None
) -> list[Later]:
    """The same of what was chosen."""
    there = seeds_with_predictions(group, split, epoch)
    counting = finished(group)
    chosen = [run for run in there if (run in counting if seed is None else run.seed == seed)]
    with contained(group.path):
        table = seed_table(group, about, epoch)
        names = next((run.resolved.class_names for run in chosen), [])  # of one seed its own, which may be others
    view, later = None, []
    if not chosen:
        no_predictions(group, split, seed, epoch)
    elif parted := says_cross_fitted(group, split, chosen):
        show.say(parted, st.info, ":material/call_split:")
    else:
        view = View(group, split, tuple(chosen), epoch, tuple(names), over_images(len(chosen) > 1, split))
        origin = show.provenance(about, split, view.outcome.images, [run.seed for run in chosen], epoch)
        headlines(view, about, origin)
    if (seed is None or not about["finished"]) and len(table) and not (chosen and not view):
        st.subheader("Every seed")
        if view and view.over_images:
            later.append((st.container(), partial(every_seed, view, table, about, epoch)))
        else:
            every_seed(view, table, about, epoch)
    if view:
        later += parts(view, origin)
        every = seed is None or len(about["seeds"]) == 1
        if about["selection"]["rule"] == "paper" and view.split == "test" and view.epoch is None and every:
            later.append((told, partial(say_optimism, view)))
    return later


def parts(view: View, origin: str) -> list[Later]:
    """The part that is open, and what of it comes when the page stands; the others are not computed."""
    drawn = DRAWN | ({SHIFT: shift_part} if is_external(view.split) else {})
    tabs = st.tabs(list(drawn), key=address.one("part", list(drawn)), on_change="rerun")
    part = st.session_state["part"]
    with next(tab for tab in tabs if tab.open):
        if part != CLASSES and view.split == "train":
            st.info("Images that models learnt from say nothing here: choose *Test* above.", icon=":material/school:")
            return []
        if part == CLASSES:
            st.subheader("Which class is called which")
            confusions_and_images(view, origin)
            st.subheader("Each class against the rest")
            if not view.over_images:
                classes(view, origin)
                return []
        return [(st.container(), partial(drawn[part], view, origin))]


def say_optimism(view: View) -> None:
    found = optimism(view)
    if found:
        st.markdown(f":material/warning: **Measured.** {show.literal(found['says'])}")


def no_predictions(group: Group, split: str, seed: int | None, epoch: int | None) -> None:
    """Why there is nothing to evaluate, and what to do instead."""
    known, done = seeds_with_predictions(group, split, None), finished(group)
    if not done and (seed is None or not known):
        says = "What can be evaluated comes with the first seed that is done."
    elif is_external(split):
        says = says_untested(group, split) or f"Seed {seed} was not tested on {external_name(split)}."
    elif not known:
        says = (
            f"No finished seed of {group.name} has predictions of the {plots.SPLIT_NAMES[split].lower()} images: "
            f"predictions/{split}.parquet is in none of their folders. Choose other images above."
        )
    else:
        whose = f"No seed of {group.name} has" if seed is None else f"Seed {seed} has no"
        says = f"{whose} predictions of {f'epoch {epoch}' if epoch else 'its selected epoch'}: choose another one."
    show.say(says, st.info, ":material/hourglass:")
    st.page_link(
        "pages/monitor.py",
        label="Look at it on Monitor",
        icon=":material/monitoring:",
        query_params={"group": group.name},
    )


inside_app()
st.header("Evaluate")
group = chosen_group("evaluate")
try:
    about = summary(group)
    show.about_line(about)
    leaks.line_and_banner(group, about["data"])
    show_damaged_seeds(about)
    show.not_counted(about)
    elsewhere.say_changes(group)
    if not any("selected_epoch" in row for row in about["seeds"]):
        st.info(f"No epoch is finished yet; the group is {about['state']}.", icon=":material/hourglass:")
        st.page_link(
            "pages/monitor.py",
            label="Watch it",
            icon=":material/monitoring:",
            query_params={"group": group.name},
        )
        st.stop()
    what_to_know(about)
    told, testing = st.container(), other_data(group)
    later = models(group, about, told)
    data_and_model(about)
    show.picture_format()
    for place, draw in later:
        with place, st.spinner(DRAWING, show_time=True):
            draw()
    if testing:
        follow(*testing)
except UserError as error:
    show_damage(group, error)
