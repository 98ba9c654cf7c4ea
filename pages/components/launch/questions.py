"""What a launch is asked about before it may start: values that hardly anybody means, and classes that may be none.

They are no mistakes: who means them says so with a click, once for each value, and launches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from colora.settings.config import DATA_FIELDS, config_problems, make_config
from colora.settings.unusual import unusual
from colora.system.errors import UserError
from pages.components import show
from pages.components.data import look
from pages.components.launch import form

MEANT = "launch-meant"  # what was said to be meant in this tab


@dataclass(frozen=True)
class Question:
    """About a field; `instead` is the dataset that may be meant in place of the one that is named, `patients` the
    pattern by which sub-folders are patients; "" where there is none."""

    field: str
    said: str
    about: str  # the value that was asked about: another one is asked about anew
    instead: str = ""
    patients: str = ""

    @property
    def open(self) -> bool:
        return (self.field, self.about, self.said) not in st.session_state.get(MEANT, ())


def of_launch(every: list[form.Values], seeds: int, found: dict[str, str]) -> list[Question]:
    """Of all groups, each once; of fields in which something is wrong, which is `found`, nothing."""
    asked: dict[Question, None] = {}
    for values in every:
        if not config_problems(values):
            for field, said in unusual(make_config(values), seeds).items():
                asked[Question(field, said, str(values.get(field, seeds)))] = None
        if not found.keys() & set(DATA_FIELDS):
            asked |= dict.fromkeys(_of_data(values))
    return [one for one in asked if one.field not in found]


def _of_data(values: form.Values) -> list[Question]:
    """Nothing where the data are not looked at yet, nor of sub-folders that a person has called patients."""
    kind, _, place = values["dataset"].partition(":")
    try:
        looked = look.at(make_config({field: values[field] for field in DATA_FIELDS})).found if place else None
    except UserError:  # which the form says
        return []
    asked = []
    for doubt in (looked or {}).get("doubts", ()):
        if not (doubt["instead"] and values["patient_pattern"]):
            instead = f"{kind}:{Path(place) / doubt['instead']}" if doubt["instead"] else ""
            patients = doubt["patient_pattern"]
            asked.append(Question("dataset", doubt["said"], values["dataset"], instead, patients))
    return asked


def draw(field: str, asked: list[Question]) -> None:
    """Under a field: what it is asked about, with the answers, or that it is meant."""
    mine = [one for one in asked if one.field == field]
    if still := [one for one in mine if one.open]:
        show.say("\n\n".join(one.said for one in still), st.warning, ":material/help:")
        with st.container(horizontal=True):
            for one in filter(lambda one: one.instead, still):
                name = Path(one.instead.partition(":")[2]).name
                label = f"Take the folder {show.literal(name)}"
                take = {"dataset": one.instead}
                st.button(label, icon=":material/folder:", key=f"instead-{one.instead}", on_click=_take, args=(take,))
            if pattern := next((one.patients for one in still if one.patients), ""):
                take = {"patient_pattern": pattern}
                label = "The sub-folders are patients"
                st.button(label, icon=":material/person:", key="instead-patients", on_click=_take, args=(take,))
            yes = "Yes, these are the classes" if field == "dataset" else "Yes, that is meant"
            st.button(yes, icon=":material/check:", key=f"meant-{field}", on_click=_meant, args=(still,))
    elif mine:
        st.caption(":material/check: Meant so.")


def below(field: str, asked: list[Question], mark: Callable[[str | None], None]) -> Callable[[str | None], None]:
    """What is drawn under a field: what is wrong with it by `mark`, then what it is asked about."""

    def drawn(problem: str | None) -> None:
        mark(problem)
        draw(field, asked)

    return drawn


def _meant(questions: list[Question]) -> None:
    said = {(one.field, one.about, one.said) for one in questions}
    st.session_state[MEANT] = st.session_state.get(MEANT, set()) | said


def _take(values: dict[str, str]) -> None:
    for field, value in values.items():
        form.put(field, value)
