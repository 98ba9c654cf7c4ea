"""Where the models look in the image that is shown large: the choices, the map over it, and what that is worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora.data.encoded import lossless
from colora.explanation.maps import AttributionMap, Checks, agreement, attribution_map, checks_of
from colora.explanation.methods import METHODS, NO_FINDING
from colora.explanation.overlay import LEVEL, drawn, heat, outline
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components import address, show
from pages.components.elements.viewer import Overlay
from pages.components.explain.explainer import WorkerExplainer, explainers_of
from pages.components.explain.inquiries import Inquiry, follow, inquiries

MEAN, PREDICTED = "all", "predicted"
MOST_SPREAD = 0.5  # standard deviation of values in 0..1


@dataclass(frozen=True, eq=False)
class Question:
    """A map, of one seed or several, for one class; and what is asked about it."""

    explainer: WorkerExplainer
    method: str
    seeds: tuple[int, ...]
    target: int

    @property
    def key(self) -> tuple:
        return self.explainer.key, self.method, self.seeds, self.target

    def map(self) -> Inquiry:
        """An AttributionMap."""
        work = partial(attribution_map, self.explainer, self.seeds, self.method, self.target)
        size = (len(self.seeds) + 2) * self.explainer.seen.size * 4
        return inquiries().known(Inquiry(("map", self.key), work, size))

    def checks(self, of: Inquiry) -> Inquiry:
        """The Checks of that map, which is wanted before."""

        def work(progress: Any) -> Checks:
            return checks_of(self.explainer, of.answer.result(), self.explainer.checksum, progress)

        return Inquiry(("checks", self.key), work)


@dataclass(frozen=True, eq=False)
class Looking:
    """What was chosen, and what is asked: the map, its checks, and the maps of other methods, by method."""

    question: Question
    class_name: str
    map: Inquiry
    checks: Inquiry
    others: Mapping[str, Inquiry]

    @property
    def asked(self) -> list[Inquiry]:
        return [self.map, self.checks, *self.others.values()]

    @property
    def title(self) -> str:
        return METHODS[self.question.method].title

    @property
    def whose(self) -> str:
        seeds = self.question.seeds
        return f"seed {seeds[0]}" if len(seeds) == 1 else f"mean of {len(seeds)} seeds"

    def overlay(self) -> Overlay | None:
        """For the viewer, once the map is there."""
        if self.map.found is None:
            return None
        values, question = self.map.found.mean, self.question
        of = f"{question.explainer.checksum}-{question.method}-{question.seeds}-{question.target}"
        return Overlay(of, self.title, lossless(heat(values)), outline(values))


def choose_looking(
    group: Group, name: str, seen: Callable[[], np.ndarray], class_names: Sequence[str], predicted: int
) -> Looking | None:
    """The switch; where it is on the choices, and what is asked by them of the image that is `seen`, (S, S) uint8."""
    if not st.toggle("Where the models look", key=address.flag("look"), help=NO_FINDING):
        inquiries().want([])
        return None
    try:
        explainer = explainers_of(group)(name, seen())
    except UserError as error:
        show.say(error)
        return None
    with st.container(horizontal=True, vertical_alignment="bottom", key="look-choices"):
        method = choose_method()
        seeds = [MEAN, *explainer.seeds] if len(explainer.seeds) > 1 else explainer.seeds
        whose = st.selectbox(
            "Of",
            seeds,
            format_func=lambda seed: f"All {len(explainer.seeds)} seeds" if seed == MEAN else f"Seed {seed}",
            key=address.one("look-of", seeds),
            width=140,
        )
        names = [PREDICTED, *range(len(class_names))]
        target = st.selectbox(
            "For the class",
            names,
            format_func=lambda c: f"{class_names[predicted]}, as predicted" if c == PREDICTED else class_names[c],
            key=address.one("look-for", names),
            width=220,
        )
        compares = st.toggle("Beside the other methods", key=address.flag("look-compare"))
    target = predicted if target == PREDICTED else target
    chosen = tuple(explainer.seeds) if whose == MEAN else (whose,)
    questions = {name: Question(explainer, name, chosen, target) for name in METHODS}
    own = questions.pop(method)
    first = own.map()
    others = {name: question.map() for name, question in questions.items()} if compares else {}
    found, checks, *rest = inquiries().want([first, own.checks(first), *others.values()])
    return Looking(own, class_names[target], found, checks, dict(zip(others, rest, strict=True)))


def choose_method() -> str:
    return st.segmented_control(
        "By",
        list(METHODS),
        required=True,
        format_func=lambda name: METHODS[name].title,
        key=address.one("look-by", list(METHODS)),
        help="  \n".join(f"{method.title}: {method.about}" for method in METHODS.values()),
    )


def map_and_checks(looking: Looking) -> None:
    """Under the picture: what the map is, and what it is worth."""
    if any(one.error for one in looking.asked):
        refused(looking.asked)
    if looking.map.error:
        return
    method = METHODS[looking.question.method]
    st.caption(
        f"{method.title} ({method.source}), {looking.whose}, for {show.literal(looking.class_name)}: "
        f"{method.about} The line goes around half of the largest value. {NO_FINDING}"
    )
    if looking.checks.found:
        say_checks(looking.checks.found)
    elif looking.checks.under_way:
        st.info("What this map is worth is not known yet.", icon=":material/hourglass_empty:")
    follow()
    attributed = looking.map.found
    if attributed is None:
        return
    if len(attributed.seeds) > 1:
        of_seeds(looking.question.explainer.seen, attributed)
    if looking.others:
        other_methods(looking, attributed)


def refused(asked: Sequence[Inquiry]) -> bool:
    """Why the first of them has no answer. Not asked again by itself: what ends one process would end the next. Whether
    somebody wants to try again."""
    failed = [one for one in asked if one.error]
    if not isinstance(failed[0].error, UserError):
        raise failed[0].error
    show.say(failed[0].error)
    return st.button(
        "Try again",
        icon=":material/refresh:",
        key="look-again",
        on_click=inquiries().forget,
        args=([one.key for one in failed],),
    )


def of_seeds(seen: np.ndarray, attributed: AttributionMap) -> None:
    """Each seed's own map, and where they differ."""
    maps = {f"Seed {seed}": values for seed, values in zip(attributed.seeds, attributed.of_seeds, strict=True)}
    most = f"up to {attributed.spread.max():.2f} of {MOST_SPREAD:g}; line at {LEVEL * MOST_SPREAD:g}"
    maps[f"Spread of the seeds, {most}"] = attributed.spread / MOST_SPREAD
    side_by_side(seen, maps, "The map of each seed, and where they differ")


def side_by_side(seen: np.ndarray, maps: Mapping[str, np.ndarray], label: str) -> None:
    """Maps (S, S) in 0..1 over the picture (S, S)."""
    st.markdown(f"**{label}**")
    grid = st.grid(4, min_column_width=120)
    for name, values in maps.items():
        with grid.cell():
            st.image(drawn(seen, values), alt=f"{label}: {name}", caption=show.literal(name), width="stretch")


def say_checks(checks: Checks) -> None:
    if checks.nothing:
        st.warning(checks.verdict, icon=":material/visibility_off:")
    else:
        st.info(checks.verdict, icon=":material/visibility:")
    for sentence in checks.warnings:
        st.warning(sentence, icon=":material/warning:")
    if figures := checks.figures:
        found = pd.DataFrame({"Check": list(figures), "Found": list(figures.values())}).set_index("Check")
        show.table(found, border="horizontal", alt="What the map is worth")


def other_methods(looking: Looking, attributed: AttributionMap) -> None:
    """The other methods' maps, each with how far it agrees with the one that is shown."""
    maps = {}
    for name, inquiry in looking.others.items():
        if (other := inquiry.found) is not None:
            alike = agreement(attributed, other)
            told = "nothing to compare" if alike is None else f"rank correlation {alike:.2f}"
            maps[f"{METHODS[name].title}, {told}"] = other.mean
    if maps:
        side_by_side(looking.question.explainer.seen, maps, f"The other methods, beside {looking.title}")
        st.caption("What these are worth is not checked until one of them is chosen above.")
