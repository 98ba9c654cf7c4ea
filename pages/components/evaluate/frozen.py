"""The question that a group answers, on Evaluate: what is frozen, freezing what is asked, and back to what is."""

from dataclasses import replace
from typing import Any

import streamlit as st

from colora.metrics.figures import TITLES
from colora.results.operating_point import Question
from colora.results.question import Frozen, freeze, frozen, question_of, says
from colora.runs.documents import QUESTION, contained, question_file
from colora.runs.finished import finished
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components import acting, group_actions, show
from pages.components.evaluate.intervals import validation_key
from pages.components.evaluate.readers import View
from pages.components.runs import file_stamp

WHAT = "Keeps with the group, as what it answers, the question and the threshold that validation chooses for it."
NOT_WHOLE = "What is frozen is the group's: choose all finished seeds at their selected epoch."
AS_SHOWN = "It is frozen as it is shown."


def kept(view: View) -> dict[str, Any] | None:
    """What is frozen; None where nothing is, and, with a sentence, where that is damaged or of other classes."""
    try:
        with contained(view.group.path):
            found = question_file(view.group.path)
            if found:
                question_of(found).classes(view.class_names)
    except UserError as error:
        said = f"The frozen question cannot be answered: {error} Freeze one anew."
        show.say(said, st.warning, ":material/lock_open:")
        return None
    return found


def freezing(view: View, kept: dict[str, Any] | None, question: Question | None) -> None:
    """What is frozen, the button that freezes `question`, and the way back where another one is shown."""
    now = answers_now(view) if kept and finished(view.group) else None
    differs = kept is not None and (question is None or not same(question, kept))
    if kept:
        st.markdown(f":material/lock: **Frozen:** {show.literal(says(kept))}.")
    if now and now.changed:
        others(now)
    with st.container(horizontal=True, vertical_alignment="center"):
        problem = AS_SHOWN if kept and not differs and not (now and now.changed) else why_not(view)
        about = {"disabled": question is None or problem is not None, "help": problem or WHAT}
        pressed = acting.button(
            "Freeze this question", [view.group], "freeze", needs="freeze", icon=":material/lock:", **about
        )
        if kept and differs:
            st.button("Show the frozen one", key="show-frozen", on_click=show_frozen, args=(kept,))
    if pressed and question:
        confirm_replace(*pressed, question, kept) if kept else keep(*pressed, question)


def why_not(view: View) -> str | None:
    """Why the question cannot be frozen here; None where the view's model is the one that stands for the group."""
    whole = finished(view.group)
    if not whole:
        return "A question is frozen when the first seed is finished."
    return None if view.epoch is None and list(view.runs) == whole else NOT_WHOLE


def same(question: Question, kept: dict[str, Any]) -> bool:
    """Whether it asks what is frozen, at whatever prevalence."""
    other = question_of(kept)
    return set(question.positives) == set(other.positives) and question.choice == other.choice


def others(now: Frozen) -> None:
    """The models are others than those that chose the threshold: what it is worth of them."""
    worth = [f"{TITLES[name]} {show.estimate_text(now.judged[name])}" for name in ("sensitivity", "specificity")]
    show.say(
        f"{now.says_changed()} At it they have, on test, {' and '.join(worth)}. To let validation choose anew, freeze "
        "it again.",
        st.warning,
        ":material/change_circle:",
    )


def show_frozen(kept: dict[str, Any]) -> None:
    """The callback: the fields as they were frozen."""
    st.session_state["positives"], st.session_state["rule"] = list(kept["positives"]), kept["rule"]
    st.session_state[kept["rule"]] = kept["value"]  # whose field is called as the rule


@st.dialog("Replace the frozen question?", icon=":material/lock:", on_dismiss="rerun")
def confirm_replace(group: Group, question: Question, kept: dict[str, Any]) -> None:
    group_actions.in_dialog()
    st.markdown(f"**Frozen now:** {show.literal(says(kept))}.")
    asked = f"{', '.join(question.positives)} against the rest, {question.choice.says()}"
    st.markdown(f"**Instead:** {show.literal(asked)}. The threshold is the one that validation chooses now.")
    st.caption("The log of who did what (audit.jsonl) keeps the one before.")
    about = {"needs": "freeze", "type": "primary"}
    if pressed := acting.button("Replace", [group], "confirm-freeze", acting.DIALOG, **about):
        keep(*pressed, question, kept)


def keep(group: Group, question: Question, instead_of: dict[str, Any] | None = None) -> None:
    try:
        freeze(group, question, replace=instead_of is not None, instead_of=instead_of)
    except UserError as error:
        show.say(error)
    else:
        st.rerun()


def answers_now(view: View) -> Frozen | None:
    """`results.question.frozen` of the view's group; None, where a file that it needs is damaged or missing."""
    whole = replace(view, split="test", runs=tuple(finished(view.group)), epoch=None)
    try:
        with contained(view.group.path):
            return _frozen(view.group, file_stamp(view.group.path / QUESTION), whole.key, validation_key(whole))
    except UserError:
        return None  # which the part itself says


@st.cache_resource(show_spinner=False, max_entries=16)
def _frozen(_group: Group, stamp: Any, key: Any, other: Any) -> Frozen:
    return frozen(_group)
