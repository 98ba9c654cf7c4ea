"""Set up one group of runs or a series of them, see what it will train and take, and launch it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from colora.config import make_config, parse_seeds
from colora.cuts import Cut, read_cut
from colora.data.counts import ClassCounts
from colora.errors import UserError
from colora.typed import bare
from pages.components import cluster, counts, downloads, fields, form, plan, show, start
from pages.components.command import run_colora
from pages.components.frame import inside_app
from pages.components.runs import runs_dir

EACH_GROUP_SECONDS = 120  # how long a launch may take, for each group


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
            ready(values, classes, cut)


def not_yet(found: dict[str, str]) -> None:
    """Which fields stand in the way."""
    names = {"name": "Name", "seeds": "Random seeds"}
    wrong = ", ".join(names.get(field) or fields.label(field) for field in found)
    st.info(f"To be put right first: {wrong}.", icon=":material/edit:")
    st.button("Launch", type="primary", icon=":material/play_arrow:", disabled=True, key="launch-button")


def ready(values: dict[str, Any], classes: ClassCounts | None, cut: Cut | None) -> None:
    """The parameters and what it takes, the same as a command, the paper's protocol, and the button."""
    config, series = make_config(values), form.series(values)
    st.markdown("**Parameters**")
    model, amount = st.container(), st.container()
    name, seeds = bare(st.session_state["launch-name"]), parse_seeds(st.session_state["launch-seeds"])
    names = [name + ending for ending in start.endings(series)]
    plan.show_amount(names, seeds, config)
    engine, wrong = cluster.choose()
    cluster.show_script(names[0], seeds, engine)
    arguments = plan.arguments_of(name, config, seeds, series) + engine
    configs = plan.configs_of(config, series)
    plan.show_command(arguments, config, series)
    plan.show_protocol(configs, len(seeds))
    label = "Launch" if len(names) == 1 else f"Launch {len(names)} groups"
    pressed = st.button(
        label, type="primary", icon=":material/play_arrow:", disabled=wrong is not None, key="launch-button"
    )
    if pressed:
        launch(names, arguments)
    st.caption("The training goes on when you close this page or the browser.")
    class_names = config.class_names or (classes.class_names if classes else ())
    with model:  # last, since they can take seconds
        estimating = plan.show_model(configs, len(class_names) or 4)
    with amount:
        plan.show_estimate(estimating, configs, classes, cut, len(seeds))


def launch(names: list[str], arguments: list[str]) -> None:
    """Start them and go to the Monitor page, or say why they cannot start; the form keeps what was typed."""
    st.session_state["launching"] = names
    try:
        with st.spinner("Checking data and network …", show_time=True):
            run_colora([*arguments, "--runs-dir", str(runs_dir())], timeout=EACH_GROUP_SECONDS * len(names))
    except UserError as error:
        del st.session_state["launching"]
        show.say(f"Not launched. {error}")
        return
    watch_launched()


def watch_launched() -> None:
    """Go to the Monitor page of the group just launched, also where a second click cut that short; of several groups to
    Overview."""
    names = st.session_state.pop("launching", None)
    if names and all((runs_dir() / name / "group.json").exists() for name in names):
        st.session_state["launched"] = True  # the form proposes another name when it is opened again
        if len(names) == 1:
            st.switch_page("pages/monitor.py", query_params={"group": names[0]})
        st.switch_page("pages/overview.py")


inside_app()
watch_launched()
st.header("Launch")
shown = downloads.Shown()
left, right = st.columns([3, 2], gap="large")
with left:
    start.choose_start()
    values = form.read()
    found = form.problems(values)
    found = start.problems(form.series(values)) | found
    classes, cut = training_images(values, found), chosen_cut(values, found)
    group_fields(found)
    settings(values, found)
with right:
    review(values, found, classes, cut)
shown.follow()
