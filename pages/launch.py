"""Set up a group of runs, see what it will train and which command that is, and launch it."""

import os
import shlex
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from colora.config import (
    PRESETS,
    Preset,
    RunConfig,
    launch_arguments,
    make_config,
    parse_seeds,
)
from colora.cuts import Cut, read_cut
from colora.data.counts import ClassCounts
from colora.errors import UserError
from colora.runs import NAME
from pages.components import counts, downloads, fields, form
from pages.components.command import parameter_counts, run_colora
from pages.components.frame import inside_app
from pages.components.runs import runs_dir

POLL_SECONDS = 0.2


def free_name(name: str) -> str:
    """`name`, with the next number if a group has it already."""
    names = (name if n == 1 else f"{name}-{n}" for n in range(1, 10_000))
    return next(n for n in names if not (runs_dir() / n).exists())


def start_from(preset: Preset) -> None:
    form.fill(preset.values)
    st.session_state["launch-name"], st.session_state["launch-seeds"] = free_name(preset.name), preset.seeds


def group_problems() -> dict[str, str]:
    """{"name", "seeds": sentence} of what is wrong with the two settings that are not the config's."""
    found, name = {}, st.session_state["launch-name"].strip()
    if not NAME.fullmatch(name):
        found["name"] = (
            "Use up to 80 letters, digits, dots, dashes and underscores, beginning with a letter or a digit; no spaces."
        )
    elif (runs_dir() / name).exists():
        found["name"] = f"A group named '{name}' exists already; '{free_name(name)}' is free."
    try:
        parse_seeds(st.session_state["launch-seeds"])
    except UserError as error:
        found["seeds"] = str(error)
    return found


def choose_start() -> None:
    """The presets; taking one fills the whole form."""
    titles = {preset.title: preset for preset in PRESETS}
    if form.key("dataset") not in st.session_state:
        start_from(PRESETS[0])
    elif st.session_state.pop("launched", False):
        st.session_state["launch-name"] = free_name(st.session_state["launch-name"])
    st.radio(
        "Start from",
        list(titles),
        captions=[preset.about for preset in PRESETS],
        key="launch-preset",
        on_change=lambda: start_from(titles[st.session_state["launch-preset"]]),
        persist_state="session",
    )


def group_fields(found: dict[str, str]) -> None:
    grid = st.grid(2, min_column_width=240)
    with grid.cell():
        st.text_input(
            "Name",
            key="launch-name",
            help="The name of this group of runs, and of its folder.",
            persist_state="session",
        )
        fields.mark(found.get("name"))
    with grid.cell():
        st.text_input(
            "Random seeds",
            key="launch-seeds",
            help="One training a seed, such as 0-9 or 0,3,5. Several show how much of a result is chance; "
            "the paper has 10.",
            persist_state="session",
        )
        fields.mark(found.get("seeds"))


def training_images(values: dict[str, Any], found: dict[str, str]) -> ClassCounts | None:
    """Images of each class in the chosen data, where known quickly; what is wrong with them goes into `found`."""
    if found.keys() & {"image_size", "data_dir"} or ("dataset" in found and "dataset" not in form.needed(values)):
        return None
    try:
        classes = counts.of_source(values["dataset"], values["image_size"], values["data_dir"])
        if classes and "train" in classes.counts and "per_class" not in found:
            classes.used(values["train_set"], values["per_class"])
        return classes
    except UserError as error:
        found.setdefault(error.field or "dataset", str(error))
        return None


def chosen_cut(values: dict[str, Any], found: dict[str, str]) -> Cut | None:
    """The cut to train on; what is wrong with it goes into `found`."""
    if not values["cut"] or "cut" in found:
        return None
    try:
        cut = read_cut(runs_dir(), values["cut"])
    except UserError as error:
        found["cut"] = str(error)
        return None
    if "image_size" not in found and cut.image_size != values["image_size"]:
        found["image_size"] = f"The cut {cut.name} is of images at {cut.image_size} px."
    return cut


def downloads_below(values: dict[str, Any], found: dict[str, str]) -> dict[str, Callable[[str], None]]:
    """{field: draws the download of the file that it needs, with the sentence that it is missing}."""
    query = {
        "dataset": {"set": fields.set_title(values["dataset"]), "folder": values["data_dir"] or ""},
        "weights": {},
    }
    return {
        field: partial(downloads.missing, target, shown, query[field])
        for field, target in form.needed(values).items()
        if field in found
    }


def settings(values: dict[str, Any], found: dict[str, str]) -> None:
    """The config's sections: what nearly everyone sets in the open, the rest folded until it is wrong."""
    below = downloads_below(values, found)
    for section in form.SECTIONS:
        meant = [f for f in form.FIELDS if form.section(f) == section and form.applies(f, values)]
        basic = [f for f in fields.BASIC if f in meant]
        more = [f for f in meant if f not in fields.BASIC]
        if basic:
            st.subheader(section)
            fields.draw(basic, found, below)
        if more:
            wrong = any(f in found for f in more)
            title = f"More {section.lower()} settings" if basic else f"{section} settings"
            with st.expander(f"{title} :red[:material/error:]" if wrong else title, expanded=wrong):
                fields.draw(more, found, below)


def parameters(config: RunConfig, classes: int) -> None:
    """How much of the network is trained, counted on the built model in another process."""
    counting, waiting = parameter_counts(config, classes), st.empty()
    while not counting.done():
        waiting.caption("Counting …")  # and where the wait ends if someone goes on typing or launches
        time.sleep(POLL_SECONDS)
    waiting.empty()
    try:
        weights = counting.result()
    except UserError as error:
        fields.mark(f"This model cannot be built. {error}")
        return
    grid = st.grid(2, min_column_width=130)
    grid.metric("Trained", compact(weights["trainable"]), help=f"{weights['trainable']:,} weights are trained.")
    deployed = f"{weights['deployed']:,} weights in the network at the end: what CoLoRA trains is merged."
    grid.metric("Finished network", compact(weights["deployed"]), help=deployed)
    share = weights["trainable"] / weights["deployed"]
    st.caption(
        f"Trainable: {share:.1%} of the deployed network's size. Backbone {compact(weights['features'])}, "
        f"adapters {compact(weights['adapter'])}, head {compact(weights['head'])}, for {classes} classes."
    )


def compact(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 100_000 else f"{count:,}"


def review(values: dict[str, Any], found: dict[str, str], classes: ClassCounts | None, cut: Cut | None) -> None:
    """What will run, the command that does the same, and the button."""
    st.subheader("What will run")
    if cut:
        counts.show_cut(cut)
    elif classes and "per_class" not in found:
        counts.show_training(classes, values["train_set"], values["per_class"])
    waiting, complete = st.empty(), st.empty()  # two places: what is in the other one disappears at once
    if found:
        with waiting.container():
            not_yet(found)
    else:
        with complete.container():
            ready(make_config(values), classes)


def not_yet(found: dict[str, str]) -> None:
    """Which fields stand in the way."""
    names = {"name": "Name", "seeds": "Random seeds"}
    wrong = ", ".join(names.get(field) or fields.label(field) for field in found)
    st.info(f"To be put right first: {wrong}.", icon=":material/edit:")
    st.button("Launch", type="primary", icon=":material/play_arrow:", disabled=True, key="launch-button")


def ready(config: RunConfig, classes: ClassCounts | None) -> None:
    """The parameters, the same as a command, and the button."""
    st.markdown("**Parameters**")
    place = st.container()
    name, seeds = st.session_state["launch-name"].strip(), parse_seeds(st.session_state["launch-seeds"])
    many = f"{len(seeds)} seeds, one after another" if len(seeds) > 1 else f"Seed {seeds[0]}"
    st.caption(f"{many}, {config.epochs} epochs each, kept in {runs_dir() / name}.")
    arguments = launch_arguments(name, config, seeds)
    elsewhere = ["--runs-dir", str(runs_dir())]
    st.markdown("**The same from a terminal**")
    shown = arguments + (elsewhere if os.environ.get("COLORA_RUNS_DIR") else [])
    st.code(shlex.join(["python", "-m", "colora", *shown]), language=None, wrap_lines=True)
    if st.button("Launch", type="primary", icon=":material/play_arrow:", key="launch-button"):
        launch(name, arguments + elsewhere)
    st.caption("The training goes on when you close this page or the browser.")
    with place:  # last, since it can take seconds
        parameters(config, len(config.class_names or (classes.class_names if classes else ())) or 4)


def launch(name: str, arguments: list[str]) -> None:
    """Start it and go to its Monitor page, or say why it cannot start; the form keeps what was typed."""
    st.session_state["launching"] = name
    try:
        with st.spinner("Checking data and network …", show_time=True):
            run_colora(arguments)
    except UserError as error:
        del st.session_state["launching"]
        st.error(f"Not launched. {error}", icon=":material/error:")
        return
    watch_launched()


def watch_launched() -> None:
    """Go to the Monitor page of the group just launched, also where a second click cut that short."""
    name = st.session_state.pop("launching", None)
    if name and (runs_dir() / name / "group.json").exists():
        st.session_state["launched"] = True  # the form proposes another name when it is opened again
        st.switch_page("pages/monitor.py", query_params={"group": name})


inside_app()
watch_launched()
st.header("Launch")
shown = downloads.Shown()
left, right = st.columns([3, 2], gap="large")
with left:
    choose_start()
    values = form.read()
    group_found, found = group_problems(), form.problems(values)
    classes, cut = training_images(values, found), chosen_cut(values, found)
    group_fields(group_found)
    settings(values, found)
with right:
    review(values, group_found | found, classes, cut)
shown.follow()
