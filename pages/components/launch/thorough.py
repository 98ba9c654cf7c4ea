"""How thorough a launch is to be, in the Simple form: what each level means on this computer, and what it sets.

That is measured: a training step of each network and size is tried beside the page, the fastest first, and each level
takes the highest that fits its time (`settings.thoroughness`).
"""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from colora.data.counts import ClassCounts
from colora.networks.weights import IMAGENET, weights_on_disk
from colora.settings.config import RunConfig, make_config
from colora.settings.thoroughness import (
    LEVELS,
    SHIPPED,
    Level,
    Rung,
    highest,
    rungs,
    values_of,
    worth_measuring,
)
from colora.system.duration import span
from colora.system.errors import UserError
from pages.components import command, show
from pages.components.data import counts
from pages.components.data.carried import CARRIED
from pages.components.launch import form, limits
from pages.components.launch.taken import Taken, taken
from pages.components.launch.ways import OWN
from pages.components.show import model_title

KEY, MADE, MINE = "launch-level", "launch-level-made", "launch-level-mine"
BESIDE = ("launch-seeds", *(f"launch-{field}" for field in limits.FIELDS))  # the settings, what a level decides too
LONGEST = max(LEVELS, key=lambda name: LEVELS[name].seconds)


@dataclass(frozen=True)
class Offer:
    """A level on this computer: the rung that it takes, and what a seed of it takes, None while that is not known."""

    level: Level
    rung: Rung
    taken: Taken | None

    def says(self) -> str:
        """`About 12 min: 3 seeds of 10 epochs, ResNet-18 to layer3 at 128 px`."""
        seeds = f"{self.level.count} seeds" if self.level.count > 1 else "1 seed"
        what = f"{seeds} of {self.level.epochs} epochs, {model_title(self.rung.backbone)} at {self.rung.image_size} px"
        if self.taken is None or self.taken.seconds is None:
            return f"{self.level.about}: {what}"
        time = span(self.level.count * self.taken.idle_seconds, self.level.count * self.taken.seconds)
        return f"{time[0].upper()}{time[1:]}: {what}"


@dataclass(frozen=True)
class Offers:
    """Every level, and the settings whose time is still to be measured."""

    each: dict[str, Offer]
    measuring: RunConfig | None
    classes: int


def offers(values: form.Values, classes: ClassCounts | None) -> Offers:
    """As far as it is measured now, for these data."""
    every, measured, next_one = rungs(_here), [], None
    count = len(classes.class_names) if classes else 4
    while classes and (rung := worth_measuring(_seconds(measured, LONGEST, values, classes), every)):
        config = _config(values, LEVELS["good"], rung)
        answer = command.told(config, count) if config else None
        if (told := answer.latest() if answer else None) is None:
            if answer is None or not answer.done() or answer.cancelled():
                next_one = config  # else it cannot be tried, for want of memory, and is not offered
            break
        measured.append((rung, told))
        if len(_seconds(measured, LONGEST, values, classes)) < len(measured):
            break  # what the data's own settings stand against is said at them
    found = {}
    for name, level in LEVELS.items():
        best = highest(level, _seconds(measured, name, values, classes))
        rung = best[0] if best else every[0]
        answer = dict(measured).get(rung)
        found[name] = Offer(level, rung, _taken(answer, values, level, rung, classes) if answer else None)
    return Offers(found, next_one, count)


def _here(name: str) -> bool:
    return name in IMAGENET and weights_on_disk(name).state == "downloaded"


def _config(values: form.Values, level: Level, rung: Rung) -> RunConfig | None:
    """Of these data, all else as the level has it. None where something is wrong with the data, which the form says."""
    try:
        return make_config({field: values[field] for field in CARRIED} | values_of(level, rung))
    except UserError:
        return None


def _taken(answer: Any, values: form.Values, level: Level, rung: Rung, classes: ClassCounts) -> Taken | None:
    config = _config(values, level, rung)
    return taken(answer, config, classes, None) if config else None


def _seconds(measured: Any, name: str, values: form.Values, classes: ClassCounts | None) -> list[tuple[Rung, float]]:
    """Of one seed at a level, as on an idle machine, for each rung that was measured."""
    found = []
    for rung, answer in measured:
        one = _taken(answer, values, LEVELS[name], rung, classes)
        if one is None or one.idle_seconds is None:
            break
        found.append((rung, one.idle_seconds))
    return found


def settle(offered: Offers) -> None:
    """Put the settings of the chosen level into the form, as far as they are not there; of one's own they are kept."""
    name = st.session_state.setdefault(KEY, "good")
    if name == OWN:
        _keep_own()
        return
    offer = offered.each[name]
    made, now = values_of(offer.level, offer.rung), form.read()
    several = {*form.chosen(), *form.series(now)}
    for field, about in form.FIELDS.items():
        if decides(field) and (now[field] != (value := made.get(field, about.default)) or field in several):
            form.put(field, value)
    st.session_state["launch-seeds"] = offer.level.seeds
    for field in limits.FIELDS:
        st.session_state[f"launch-{field}"] = ""
    st.session_state[MADE] = _now()


def choose(offered: Offers) -> None:
    """The levels with what each takes here; what was set under All settings is one more."""
    options = [*LEVELS, *([OWN] if MINE in st.session_state else [])]
    st.radio(
        "How thorough?",
        options,
        format_func=_title,
        captions=[offered.each[name].says() if name in LEVELS else _own() for name in options],
        key=KEY,
        on_change=_take_own,
        persist_state="session",
        help="Times are of this computer, from a few training steps on it.",
    )
    if offered.measuring and command.told(offered.measuring, offered.classes):
        trying = f"{model_title(offered.measuring.backbone)} at {offered.measuring.image_size} px"
        st.caption(f":material/hourglass_top: Trying {show.literal(trying)} on this computer …")
    if all(offer.rung.backbone == SHIPPED for offer in offered.each.values()):
        st.caption(
            "This is the small network that comes with the app, since no ImageNet weights are on this computer. With "
            "them larger ones can be chosen from."
        )
        st.page_link("pages/data.py", label="Get ResNet-18's weights on Data", icon=":material/download:")


def _title(name: str) -> str:
    return LEVELS[name].title if name in LEVELS else "As under All settings"


def _own() -> str:
    """What was set under All settings, in a line."""
    mine = st.session_state[MINE]
    backbone = model_title(mine[form.key("backbone")])
    what = f"{mine[form.key('epochs')]} epochs, {backbone} at {mine[form.key('image_size')]} px"
    return show.literal(f"Seeds: {mine['launch-seeds']}; {what}")


def begin_all() -> form.Values:
    """The form's values under All settings; where they are not what the level made, the level is one's own."""
    if st.session_state.get(KEY, OWN) != OWN and MADE not in st.session_state:  # since a reload
        values = form.read()
        settle(offers(values, counts.counted_classes(values)))
    if st.session_state.get(MADE) != _now():
        st.session_state[KEY] = OWN
        _keep_own()
    return form.read()


def by_level() -> bool:
    """Whether a level decides all but the data."""
    return st.session_state.get(KEY, OWN) != OWN


def decides(part: str) -> bool:
    """Whether a part of the form, by the name that `kept` has for it, is a level's to decide."""
    field = part.partition(".")[0]
    return field in ("seeds", "several", *limits.FIELDS) or (field in form.FIELDS and field not in CARRIED)


def forget() -> None:
    """As the form is filled anew: what was one's own before is no more."""
    st.session_state.pop(MINE, None)
    st.session_state.pop(MADE, None)


def _keep_own() -> None:
    """So that a level that is looked at does not cost what was set."""
    mine = {key: value for key, value in form.typed().items() if decides(key.removeprefix("launch."))}
    st.session_state[MINE] = mine | {key: st.session_state.get(key, "") for key in BESIDE}


def _take_own() -> None:
    if st.session_state[KEY] == OWN:
        for key, value in st.session_state[MINE].items():
            st.session_state[key] = value


def _now() -> Any:
    values = form.read()
    decided = {field: value for field, value in values.items() if decides(field)}
    return decided, form.series(values), [st.session_state.get(key) or "" for key in BESIDE]
