"""A yes-or-no question to the chosen model on Evaluate: a threshold chosen on validation, and what its answers are
worth, here and where the disease is rarer or more common."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora import plots
from colora.metrics.figures import SHARES, TITLES
from colora.metrics.operating_point import Choice, decision_curve, scores
from colora.metrics.over_seeds import Spread
from colora.plots import split_title
from colora.results.operating_point import OperatingPoint, Question
from colora.results.question import question_of, usual_question
from colora.runs.names import is_external
from colora.settings.catalog import THRESHOLD_RULES
from colora.system.errors import UserError
from pages.components import address, show
from pages.components.evaluate import frozen, intervals
from pages.components.evaluate.readers import View, seen

RULES = {
    "sensitivity": "Sensitivity of at least ...",
    "youden": "Youden: highest sensitivity + specificity",
    "cost": "Least cost, a miss against false alarms",
}
VALUES = {  # of a rule: label, lowest, highest, step
    "sensitivity": ("At least", 0.5, 1.0, 0.01),
    "cost": ("False alarms that one miss costs", 0.1, 1000.0, 0.5),
}
THRESHOLDS = np.linspace(0.01, 0.99, 99)  # of the decision curve


def operating_point_part(view: View, origin: str) -> None:
    """The question, the answer's worth, other prevalences, and the decision curve."""
    judge = "the other data" if is_external(view.split) else "the test images"
    st.caption(
        f"The threshold is chosen on validation and then frozen; {judge} judge it. The score is the sum of the "
        f"chosen classes' probabilities, of {show.literal(view.model())}."
    )
    if view.split == "val":
        st.caption(
            ":orange[:material/warning:] These images chose the threshold: its figures here are too good. Choose "
            "*Test* above."
        )
    kept = frozen.kept(view)
    question = asked(view, kept)
    frozen.freezing(view, kept, question)
    if question is None:
        return
    try:
        seeds, one = intervals.operating_points(view, question)
    except UserError as error:
        show.say(error, st.info, ":material/rule:")
        return
    if one.threshold is None:
        show.say(f"Not estimable: {one.reason}.", st.info, ":material/rule:")
        return
    grid = st.grid(2, min_column_width=330)
    with grid.cell():
        worth(view, question, one, seeds, origin)
    with grid.cell():
        curve(view, question, one, origin)


def asked(view: View, kept: dict[str, Any] | None) -> Question | None:
    """What is asked, from the widgets, at first what is frozen; None, and a sentence, where no question can be made of
    it."""
    names = list(view.class_names)
    first = question_of(kept) if kept else usual_question(names)
    usual_classes, usual_rule = list(first.positives), first.choice.rule
    grid = st.grid(3, min_column_width=240, vertical_alignment="top")
    with grid.cell():
        follow("positives", usual_classes)
        positives = st.multiselect(
            "Positive: any of",
            names,
            key=address.several("positives", names, default=usual_classes),
            help="Against all other classes together. Urgent, for instance, are CNV and DME.",
        )
    with grid.cell():
        follow("rule", usual_rule)
        key = address.one("rule", list(RULES), default=usual_rule)
        rule = st.selectbox("Threshold", list(RULES), format_func=RULES.get, key=key)
        value = first.choice.value if rule == usual_rule else THRESHOLD_RULES[rule]
        if rule in VALUES:
            label, low, high, step = VALUES[rule]
            low, high = min(low, value), max(high, value)  # the command line freezes others too
            follow(rule, value)
            key = address.number(rule, value, low, high)
            value = st.number_input(label, low, high, step=step, format="%g", key=key)
    with grid.cell():
        usual = round(100 * float(np.isin(seen(view).labels, [names.index(n) for n in positives]).mean()), 1)
        usual = min(max(usual, 0.1), 99.0)
        follow("prevalence", usual)
        per_cent = st.slider(
            "Prevalence, per cent",
            0.1,
            99.0,
            step=0.1,
            key=address.number("prevalence", usual, 0.1, 99.0),
            help="How common the positive classes are where the model is used: PPV and NPV depend on it, sensitivity "
            f"and specificity do not. Among these images it is {usual:g} %.",
        )
    if not 0 < len(positives) < len(names):
        st.info("Choose at least one class, and not all of them.", icon=":material/rule:")
        return None
    return Question(tuple(positives), Choice(rule, float(value)), per_cent / 100)


def follow(key: str, usual: float) -> None:
    """A field that nobody has changed goes along where what is usual changes with the question."""
    if st.session_state.get(key) == st.session_state.get(f"{key}-usual", usual):
        st.session_state[key] = usual
    st.session_state[f"{key}-usual"] = usual


def worth(view: View, question: Question, one: OperatingPoint, seeds: list[OperatingPoint], origin: str) -> None:
    """Sensitivity, specificity, PPV and NPV of the frozen threshold."""
    here = split_title(view.split)
    at = f"At {100 * question.prevalence:.1f} %"
    rows = [
        {
            "Figure": TITLES[name].capitalize() if TITLES[name].islower() else TITLES[name],
            "Validation": show.estimate_text(one.on_validation[name]),
            here: show.estimate_text(one.judged[name]),
            at: show.estimate_text(one.at_prevalence[name]) if name in one.at_prevalence else "as measured",
        }
        for name in SHARES
    ]
    table = pd.DataFrame(rows).set_index("Figure")
    st.markdown(f"**{show.literal(', '.join(question.positives))} against the rest, from {one.threshold:.3f} on**")
    st.caption(
        f"{question.choice.says().capitalize()}. In brackets: 95 % interval over images. {at} positive among those "
        "examined, PPV and NPV follow from sensitivity and specificity (Bayes)."
    )
    show.table(table, border="horizontal", alt=f"Worth of the operating point. {origin}")
    if view.several:
        spreads = {name: Spread.of(own.judged[name].value for own in seeds if own.judged) for name in SHARES[:2]}
        said = [
            f"{TITLES[name]} {show.three(s.median)} [{show.three(s.q1)}, {show.three(s.q3)}], {show.three(s.low)} to "
            f"{show.three(s.high)}"
            for name, s in spreads.items()
            if s
        ]
        st.caption(f"Over {show.literal(view.counted())}, each at its own threshold: {'; '.join(said)}.")
    st.caption(show.literal(origin))
    show.csv_button(table.reset_index(), f"{view.name}-operating-point", origin)


def curve(view: View, question: Question, one: OperatingPoint, origin: str) -> None:
    found = seen(view)
    positives = question.classes(view.class_names)
    table = benefit(view, view.key, tuple(positives))
    show.show_figure(
        plots.decision_curve(table, one.threshold),
        "Decision curve",
        "What acting on the model is worth, beside treating everybody and nobody, for whoever would treat from a "
        "probability on: found ones less false alarms, these weighed by the odds of that probability. Band: 95 % "
        "interval over images; grey line: the threshold.",
        f"Decision curve of {', '.join(question.positives)} against the rest on {len(found.labels):,} images",
        table,
        f"{view.name}-decision-curve",
        origin,
    )


@st.cache_data(show_spinner=False, max_entries=32)
def benefit(_view: View, key: Any, positives: tuple[int, ...]) -> pd.DataFrame:
    found = intervals.model(_view)
    member = np.isin(found.labels, positives)
    return decision_curve(member, scores(found.probabilities, positives), THRESHOLDS, seen(_view).patients)
