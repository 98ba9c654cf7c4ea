"""Testing a group's models on other data, on Evaluate: which data, what their classes are to the models, and the test
itself, which runs beside the page and goes on when that is left."""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from colora.data.counts import too_large
from colora.data.matching import Matched, match_classes
from colora.data.sources import outline_outside
from colora.runs import access
from colora.runs.external import is_taken
from colora.runs.finished import finished
from colora.runs.folder import Group
from colora.runs.names import RESERVED
from colora.settings.config import RunConfig, absolute_paths, config_problems, make_config, setting_flags
from colora.settings.medmnist_info import known
from colora.settings.relevance import unused
from colora.system.errors import Cancelled, UserError
from colora.system.typed import bare, clean_path
from pages.components import acting, address, show
from pages.components.beside import Job, answered, jobs
from pages.components.data import look
from pages.components.evaluate.external import TO_SPLIT, undo_removal
from pages.components.frame import one_of
from pages.components.launch import fields, form

STARTED, SEEN = "test-started", "tests-seen"  # the test that this tab has begun; refusals that were seen here
SETTINGS = ("patient_pattern", "class_names", "layout", "columns", "ignore_splits", "data_roots")
USUAL = "usual"
PARTS = {
    USUAL: "Their test split; all where they have no splits",
    "all": "All images",
    "test": "Their test split",
    "val": "Their validation split",
    "train": "Their train split",
}
PLACES = {"folder": "/path/to/folder", "table": "/path/to/labels.csv", "npz": "/path/to/file.npz"}
NAMED = 60  # letters of a name that is proposed
KEPT_SECONDS = 600.0
LOOK_SECONDS = 60


def other_data(group: Group) -> tuple[Job, Any] | None:
    """The folded form; or the test under way with the place for its progress, for `beside.follow`."""
    with st.container():  # which has its place whether or not anything is in it
        undo_removal(group)
        last_one(group)
    if not finished(group):
        return None
    job = jobs().last(_key(group))
    under_way = job is not None and job.under_way
    with one_of(2, 0 if under_way else 1):
        if not under_way:
            folded(group)
            return None
        st.info("The models are being tested on other data.", icon=":material/hourglass_top:")
        place = st.empty()
        if acting.button("Stop", [group], "stop-test", needs="test", icon=":material/cancel:") is not None:
            job.stop()
        return job, place


def _key(group: Group) -> Any:
    """One test of a group at a time, whoever begins it."""
    return ("external", str(group.path), group.identity)


def last_one(group: Group) -> None:
    """How the last test ended: this tab goes to what it has tested, once; a refusal stands until somebody has seen it
    in their tab, or another test has begun."""
    job = jobs().last(_key(group))
    if job is None or job.under_way:
        return
    own, seen = st.session_state.get(STARTED) is job, st.session_state.setdefault(SEEN, {})
    try:
        found = answered(job)
    except Cancelled:
        if own:
            del st.session_state[STARTED]
            st.info("The test was stopped; nothing of it is kept.", icon=":material/cancel:")
        return
    except UserError as error:
        if seen.get(_key(group)) != job.at:
            with st.container(horizontal=True, vertical_alignment="center"):
                show.say(f"The test on other data ended without a result: {error}")
                st.button("Seen", key="seen-test", on_click=seen.__setitem__, args=(_key(group), job.at))
        return
    if own:
        del st.session_state[STARTED]
        st.session_state[TO_SPLIT] = found["kept"]
        st.session_state["outside"] = False


def folded(group: Group) -> None:
    key = address.flag("outside")
    unfolded = st.expander("Test on other data", icon=":material/public:", key=key, on_change="rerun")
    if unfolded.open:
        with unfolded:
            fill_in(group)


def fill_in(group: Group) -> None:
    """The data, a look at their classes, a name, and the button."""
    st.caption(
        "Data that the models were not trained on, with labels: of another clinic or device, a later year, a public "
        "set. Every seed's selected model meets them, beside this page; figures, images and intervals are then as of "
        "test."
    )
    kind, place = choose_data()
    if kind in fields.SOURCE_PATHS and not place:
        return
    dataset = f"{kind}:{place}" if kind in fields.SOURCE_PATHS else kind
    idle = unused(RunConfig.model_construct(dataset=dataset).model_dump())
    asked = [field for field in SETTINGS if field not in idle]
    problems_place, settings_place = st.container(), st.container()
    typed = {field: st.session_state.get(_state(field)) for field in asked}
    given = {field: form.plain(field, value) for field, value in typed.items() if value is not None}
    values = {"dataset": dataset, "image_size": group.config.image_size}
    values |= {field: value for field, value in given.items() if value is not None}
    if known(dataset):
        values |= {"data_dir": place or group.config.data_dir}
    problems = {field: form.without_name(field, said) for field, said in config_problems(values).items()}
    part = st.session_state.get(_state("part"), USUAL)
    part, leave_out = None if part == USUAL else part, bool(st.session_state.get(_state("leave_out_unknown")))
    met: Matched | None = None
    said = UserError(problems["dataset"]) if "dataset" in problems else None
    if not problems:
        try:
            if place:
                access.check_looking("name", place)
            met = look_at(group, make_config(values), part, leave_out)
        except UserError as error:
            said = error
    with problems_place:
        if said:
            show.say(said)
            look.answer_buttons(str(said), values | {"leave_out_unknown": leave_out}, _state)
    with settings_place:
        choose_settings(asked, problems)
    if met:
        show_classes(met)
    if problems or said:
        return
    name = choose_name(group, dataset)
    about = {"needs": "test", "type": "primary", "icon": ":material/play_arrow:", "disabled": name is None}
    if acting.button("Test", [group], "test", **about) is not None:
        start(group, make_config(values), part, leave_out, name)


def choose_data() -> tuple[str, str]:
    """(source, path; of a MedMNIST set the folder of its files, "" for the usual one)."""
    grid = st.grid(2, min_column_width=240)
    with grid.cell():
        kind = st.selectbox(
            "Images",
            list(fields.SOURCE_TITLES),
            index=list(fields.SOURCE_TITLES).index("folder"),
            format_func=fields.SOURCE_TITLES.get,
            key=_state("kind"),
            persist_state="session",
            help="Nothing leaves the computer that runs this app.",
        )
    with grid.cell():
        if kind in fields.SOURCE_PATHS:
            label, about = fields.SOURCE_PATHS[kind]
        else:
            label, about = "Folder of MedMNIST's files", "Empty: the one that the group was launched with."
        none = kind == "phantom"
        typed = st.text_input(
            label, key=_state("place"), help=about, persist_state="session", placeholder=PLACES.get(kind), disabled=none
        )
    try:
        return kind, clean_path(typed) if not none else ""
    except UserError as error:
        show.say(error)
        return kind, ""


def choose_settings(asked: list[str], problems: dict[str, str]) -> None:
    """What decides how the data are read, and which of them are taken."""
    grid = st.grid(2, min_column_width=240)
    with grid.cell():
        st.selectbox(
            "Which of them",
            list(PARTS),
            format_func=PARTS.get,
            key=_state("part"),
            persist_state="session",
            help="A split that the models were trained on, or chosen by, is no test of them.",
        )
    with grid.cell():
        st.checkbox(
            "Leave out unknown classes",
            key=_state("leave_out_unknown"),
            persist_state="session",
            help="Images of classes that the models do not know. The figures then say nothing of what the models make "
            "of them.",
        )
    wrong = any(field in problems for field in asked)
    given = any(st.session_state.get(_state(field)) not in (None, "", False, "auto") for field in asked)
    label = "Settings of these data" + " :red[:material/error:]" * wrong
    with st.expander(label, expanded=given or wrong, key="outside-settings"):
        grid = st.grid(2, min_column_width=240)
        for field in asked:
            with grid.cell():
                fields.widget(field, _state(field), persist_state="session")
                show.mark(problems.get(field))


def look_at(group: Group, config: RunConfig, part: str | None, leave_out: bool) -> Matched | None:
    """The data's classes as the models know them, by names alone; None of a folder that is too large to wait for.
    Raises UserError for what the test would refuse."""
    if too_large(config):
        st.caption("There is much in it: how its classes fit is told when the test begins.")
        return None
    resolved = finished(group)[0].resolved
    key = config.model_dump_json(), repr(look.stamps_of(config)), group.identity
    return _met(resolved, config, part, leave_out, key)


@st.cache_data(show_spinner=False, max_entries=32, ttl=LOOK_SECONDS)
def _met(_resolved: Any, _config: RunConfig, part: str | None, leave_out: bool, key: Any) -> Matched:
    return match_classes(_resolved, outline_outside(_config, part), leave_out)


def show_classes(met: Matched) -> None:
    """Which class is taken for which."""
    rows = [
        {
            "In the data": row["own"] + (f", named {row['given']}" if row["given"] not in (None, row["own"]) else ""),
            "Images": f"{row['images']:,}",
            "Taken as": row["model"] or "left out",
        }
        for row in met.classes
        if row["images"]
    ]
    of = "" if met.images.patient_ids is None else f" of {len(set(met.images.patient_ids.tolist())):,} patients"
    st.markdown(f"**{len(met.images):,} images**{of}")
    show.table(pd.DataFrame(rows).set_index("In the data"), alt="Which class is taken for which", border="horizontal")
    told = [f"No image is of {name}: its figures are not defined." for name in met.absent]
    if told := [*met.warnings, *told]:
        st.warning("\n\n".join(map(show.literal, told)), icon=":material/warning:")


def choose_name(group: Group, dataset: str) -> str | None:
    """Under which the result is kept; None of one that cannot be."""
    proposed = proposal(group, dataset)
    about = "Under which the result is kept with the group; pages then have it beside train, validation and test."
    key, kept = _state("name"), {"persist_state": "session", "max_chars": 80}
    name = bare(st.text_input("Name", key=key, placeholder=proposed, help=about, **kept)) or proposed
    try:
        if is_taken(group, name):
            raise UserError(f"{group.name} has a test named {name} already.")
    except UserError as error:
        show.mark(str(error))
        return None
    return name


def proposal(group: Group, dataset: str) -> str:
    """A free name, after the data's own."""
    kind, _, place = dataset.partition(":")
    name = Path(place).name if kind == "folder" else Path(place).stem if place else kind
    own = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:NAMED] or kind
    return next(name for name in _numbered(own) if name.casefold() not in RESERVED and not is_taken(group, name))


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def start(group: Group, config: RunConfig, part: str | None, leave_out: bool, name: str) -> None:
    config = absolute_paths(config)
    given = {"dataset": config.dataset} | {
        field: value for field in ("data_dir", *SETTINGS) if (value := getattr(config, field)) not in (None, False)
    }
    arguments = ["evaluate", str(group.path), f"--identity={group.identity}", f"--keep={name}", *setting_flags(given)]
    arguments += [f"--split={part}"] if part else []
    arguments += ["--leave-out-unknown"] if leave_out else []
    if (other := jobs().last(_key(group))) is not None and other.under_way:
        said = "Another test of this group has begun meanwhile; begin this one when that has ended."
        show.say(said, st.warning, ":material/hourglass_top:")
        return
    st.session_state[STARTED] = jobs().start(_key(group), arguments, KEPT_SECONDS, "Loading the models")
    st.session_state.pop(_state("name"), None)
    st.rerun()


def _state(field: str) -> str:
    """Where the session keeps what was given."""
    return f"outside.{field}"
