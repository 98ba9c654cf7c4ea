"""One's own images on the Data page: the settings that decide what they are, and the one look at them."""

import typing
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from colora.data.counts import found_counts
from colora.settings.config import RunConfig, config_problems, make_config
from colora.settings.relevance import unused
from colora.system.errors import UserError
from colora.system.storage import size_text
from pages.components import address, show
from pages.components.data import carried, counts, downloads, duplicates, look
from pages.components.frame import one_of
from pages.components.launch import fields, form

SETTINGS = ("layout", "columns", "patient_pattern", "ignore_splits", "split_seed", "data_roots", "class_names")
MOST = 2**53 - 1  # of a whole number in a browser
FIRST_WORD = {
    "folder": "Name a folder with one sub-folder of images a class, below train, val and test or not; nothing of it "
    "leaves this computer.",
    "table": "Name a table with a line an image, its path and its class; nothing of it leaves this computer.",
    "npz": "Name a file in MedMNIST's format; nothing of it leaves this computer.",
}


def own_images(kind: str, place: str | None, shown: downloads.Shown) -> None:
    """Of a `folder`, `table` or `npz`: what stands against it, its settings, and what is in it."""
    if place is None:
        st.info(FIRST_WORD[kind])
        return
    meant = {"dataset": f"{kind}:{place}"}
    idle = unused(RunConfig.model_construct(**meant).model_dump())
    keys = {field: _in_address(field) for field in SETTINGS if field not in idle}
    typed = {field: form.plain(field, st.session_state[key]) for field, key in keys.items()}
    values = meant | {field: value for field, value in typed.items() if value is not None}
    problems = {field: form.without_name(field, said) for field, said in config_problems(values).items()}
    refused, looked, config, asked = st.container(), None, None, False
    if not problems:
        config = make_config(values)
        try:
            looked = look.at(config)
        except UserError as error:
            _refuse(error, refused, values, keys)
            problems = {look.field_of(error): "See above."}
            asked = bool(look.answers(str(error), values))
    elif "dataset" in problems:
        show.say(problems["dataset"], refused.error)
    _settings(keys, problems, folded=asked)
    with one_of(3, 0 if looked is None else 1 if looked.process else 2):
        if looked is not None:
            _in_it(config, looked, shown)


def _in_address(field: str) -> str:
    """The key of a setting's widget, whose value the address keeps."""
    kind = form.kind(field)
    if kind is Literal:
        return address.one(field, typing.get_args(form.FIELDS[field].annotation))
    if kind is bool:
        return address.flag(field)
    return address.number(field, None, -MOST, MOST, whole=True) if kind is int else address.text(field)


def _refuse(error: UserError, place: Any, values: dict[str, Any], keys: dict[str, str]) -> None:
    """The sentence, and where it asks for an answer that can be clicked."""
    with place:
        show.say(error)
        look.answer_buttons(str(error), values, keys.get)
        look.table_link([str(error)], "pages/data.py", carried.for_data_page)


def _settings(keys: dict[str, str], problems: dict[str, str], folded: bool) -> None:
    """Unfolded where one is given, or wrong and not answered by a click."""
    wrong = any(field in problems for field in keys)
    given = any(st.session_state[key] not in (None, "", False, "auto") for key in keys.values())
    title = "Settings of these data"
    with st.expander(
        f"{title} :red[:material/error:]" if wrong else title, expanded=given or (wrong and not folded), key="settings"
    ):
        grid = st.grid(2, min_column_width=240)
        for field, key in keys.items():
            with grid.cell():
                fields.widget(field, key, placeholder=str(form.FIELDS[field].default))
                show.mark(problems.get(field))


def _in_it(config: RunConfig, looked: look.Looked, shown: downloads.Shown) -> None:
    """What is not in it has its empty place: while a look or a download is followed, nothing of other data stays."""
    place, found = Path(config.dataset.partition(":")[2]), looked.found
    if found is None:
        st.info("There is much in it, so it is looked at beside this page.", icon=":material/hourglass_top:")
        shown.look(looked.process, st.empty())
        return
    counts.show_counts(found_counts(found, config), place.name, renamed=found["renamed"])
    look.show_details(found)
    _launch_link(config)
    duplicates.show_duplicates(config, looked.stamps, shown)
    if looked.large:
        st.caption("Of data as large as these no samples are shown.")
        st.empty(), st.empty(), st.empty()
        return
    samples = counts.samples_of_own(config)
    counts.show_samples(samples, place.name)
    where = "of images, named in" if config.dataset.startswith("table:") else "in"
    st.caption(f"{size_text(samples.size)} {where} {show.literal(place)}.")


def _launch_link(config: RunConfig) -> None:
    query = carried.for_launch(config)
    st.page_link("pages/launch.py", label="Launch: train on it", icon=":material/play_arrow:", query_params=query)
