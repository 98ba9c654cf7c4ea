"""The form of a cut: which images, whose scores, and the rule that divides them."""

from typing import Any

import streamlit as st

from colora.data.rules import EXCLUDABLE, Rule, make_rule
from colora.distillation.distil import Pool
from colora.settings.catalog import SCORES, VERDICTS
from pages.components import address, show
from pages.components.decimals import decimal, needed

KINDS = {
    "rank": ("By rank (the paper)", "Of each class, the hardest go, the next so many stay."),
    "share": ("By share", "The same, in per cent of each class."),
    "threshold": ("By score", "Whatever lies between two bounds stays."),
    "labels": ("By label doubt", "What confident learning doubts goes, but for what a reader holds for right."),
    "random": ("At random", "So many of each class, drawn: what any other cut has to beat."),
    "verdicts": ("By verdicts only", "What people judged goes or is corrected, all else stays."),
}
POOLS = {"run": "Trained on", "train": "Whole train split"}
PAPER_DROP, PAPER_KEEP = 10, 7040


def usual_sizes(smallest: int) -> tuple[int, int]:
    """(drop, keep): the paper's where every class has that many, else about the same shares of the smallest class."""
    if smallest >= PAPER_DROP + PAPER_KEEP:
        return PAPER_DROP, PAPER_KEEP
    drop = 1 if smallest > 1 else 0
    return drop, max(1, min(round(0.9 * smallest), smallest - drop))


def choose_pool(all_trained_on: bool) -> Pool:
    return st.segmented_control(
        "Which images are sorted",
        list(POOLS),
        required=True,
        format_func=POOLS.get,
        key=address.one("pool", list(POOLS), POOLS.get),
        disabled=all_trained_on,
        help="Trained on: the images that the group learnt from (in the paper the balanced set). Otherwise every image "
        "of the train split; the models have not seen all of them, which makes scores differ."
        + (" This group trained on the whole split, so both are the same." if all_trained_on else ""),
    )


def choose_kind() -> str:
    return st.radio(
        "Rule",
        list(KINDS),
        captions=[about for _, about in KINDS.values()],
        format_func=_kind_title,
        key=address.one("rule", list(KINDS), _kind_title),
    )


def _kind_title(kind: str) -> str:
    return KINDS[kind][0]


def begin_anew(about: Any, smallest: int) -> None:
    """Sizes that fit, when another group or pool is looked at."""
    if st.session_state.get("cut-for") not in (None, about):
        st.session_state["drop"], st.session_state["keep"] = usual_sizes(smallest)
    st.session_state["cut-for"] = about


def choose_rule(kind: str, score: str, smallest: int, readers: list[str]) -> Rule:
    """The rule as the form has it. Raises UserError for what does not go together."""
    values: dict[str, Any] = {"kind": kind}
    drop, keep = usual_sizes(smallest)
    if kind in ("rank", "share", "threshold"):
        values["score"] = score
    left, right = st.columns(2)
    if kind == "rank":
        with left:
            values["drop"] = st.number_input(
                "Discard, hardest of each class", 0, key=_count("drop", drop, 0), help=f"Paper: {PAPER_DROP}."
            )
        with right:
            values["keep"] = st.number_input(
                "Keep, the next of each class", 1, key=_count("keep", keep, 1), help=f"Paper: {PAPER_KEEP:,}."
            )
    elif kind == "share":
        with left:
            dropped = st.text_input(drop_label := "Discard, % of each class", key=address.text("drop-share", "2"))
        with right:
            kept = st.text_input(keep_label := "Keep, % of each class", key=address.text("keep-share", "90"))
        values["drop_share"] = round(needed(drop_label, dropped, 0, 99) / 100, 6)
        values["keep_share"] = round(needed(keep_label, kept, 1, 100) / 100, 6)
    elif kind == "threshold":
        unit = SCORES[score].title
        with left:
            lowest = st.text_input(f"{unit} from", key=address.text("lowest"), placeholder="any")
        with right:
            highest = st.text_input(f"{unit} to", key=address.text("highest"), placeholder="any")
        values |= {"lowest": decimal(f"{unit} from", lowest), "highest": decimal(f"{unit} to", highest)}
    elif kind == "random":
        with left:
            values["keep"] = st.number_input("Keep of each class", 1, key=_count("keep", keep, 1))
        with right:
            values["seed"] = st.number_input("Random seed", 0, key=_count("draw", 0, 0))
    if readers or kind == "verdicts":
        values |= choose_verdicts(readers, kind)
    return make_rule(**values)


def _count(key: str, usual: int, least: int) -> str:
    return address.number(key, usual, least, whole=True)


def choose_verdicts(readers: list[str], kind: str) -> dict[str, Any]:
    """What people decided, which comes before every rule."""
    exclude = st.pills(
        "Leave out what people judged",
        EXCLUDABLE,
        format_func=VERDICTS.get,
        selection_mode="multi",
        key=address.several("exclude", EXCLUDABLE, VERDICTS.get),
        help="Verdicts are given on the Images page. The source data are never changed.",
    )
    correct = st.toggle(
        "Use corrected labels",
        key=address.flag("correct"),
        help="Where readers named the right class, train with it. The given one stays where they contradict.",
    )
    values: dict[str, Any] = {"exclude": list(exclude), "correct_labels": correct}
    if len(readers) > 1 and (exclude or correct or kind == "labels"):
        key = address.several("readers", readers)
        chosen = st.pills("Whose verdicts", readers, selection_mode="multi", format_func=show.literal, key=key,
                          help="None chosen: everyone's.")  # fmt: skip
        values["readers"] = chosen or None
    return values
