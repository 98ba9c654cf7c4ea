"""Which images of the map are selected: inside an outline, between bounds, or most like one of them.

The address says it in a few characters whatever the number of images: the corners of an outline in thousandths, after
the seed whose map it was drawn on, since on another one it would hold other images. Of the three ways one counts at a
time, the last that was used.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from colora.metrics.image_map import DECIMALS, inside, simplified
from colora.system.errors import UserError
from colora.system.typed import bare
from pages.components import address, show
from pages.components.decimals import decimal
from pages.components.images.in_address import code
from pages.components.images.listed import ON_MAP, from_the_start
from pages.components.images.mapped import MOST_LIKE, Ground

OUTLINE, LIKE, MANY = "outline", "like", "many"
BOUNDS = {"left": "Left", "right": "Right", "bottom": "Bottom", "top": "Top"}
WAYS = tuple(name for name in ON_MAP if name != MANY)
CORNERS, OUTLINES = 60, 3  # of an outline, and outlines at once: an address of 2,000 characters at most
FARTHEST = 9_999_999  # thousandths
CORNER = "-?[0-9]{1,7}_-?[0-9]{1,7}"
WRITTEN = re.compile(rf"[0-9]{{1,10}}(\.{CORNER}(~{CORNER}){{0,{CORNERS - 1}}}){{1,{OUTLINES}}}")
FEW, MOST = 25, MOST_LIKE

Corners = np.ndarray  # (K, 2)


@dataclass(frozen=True, eq=False)
class Selected:
    """inside (N,) bool of the split's images, or None where nothing is selected; in words; as outlines on the map;
    and why what the address asks for is not shown."""

    inside: np.ndarray | None = None
    says: str = ""
    outlines: Sequence[Corners] = ()
    problem: str = ""


def asked() -> dict[str, str]:
    """What the address says of a selection."""
    return {name: text for name in ON_MAP if (text := address.get(name))}


def selected(ground: Ground, asked: dict[str, str]) -> Selected:
    places = ground.map.places
    if LIKE in asked:
        return _like(ground, asked)
    if OUTLINE in asked:
        try:
            seed, outlines = _read(asked[OUTLINE])
        except ValueError:
            return Selected(problem="The address has no outline that can be read.")
        if seed != ground.run.seed:
            return Selected(
                problem=f"The outline was drawn on the map of seed {seed}, and this is the map of seed "
                f"{ground.run.seed}, on which it would hold other images."
            )
        within = np.any([inside(places, corners) for corners in outlines], axis=0)
        return Selected(within, "inside the outline" + "s" * (len(outlines) > 1), outlines)
    bounds = {name: bound(name, asked.get(name, "")) for name in BOUNDS}
    if all(value is None for value in bounds.values()):
        return Selected()
    low, high = places.min(0, initial=0) - 0.1, places.max(0, initial=0) + 0.1
    (left, bottom), (right, top) = (
        [float(end) if bounds[name] is None else bounds[name] for name, end in zip(names, ends, strict=True)]
        for names, ends in ((("left", "bottom"), low), (("right", "top"), high))
    )
    if left > right or bottom > top:
        return Selected(problem="Nothing lies between these bounds: left is beyond right, or bottom above top.")
    x, y = places.T.astype(np.float64)
    within = (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
    return Selected(within, "between the bounds", [box((left, right), (bottom, top))])


def _like(ground: Ground, asked: dict[str, str]) -> Selected:
    many = asked.get(MANY, "")
    count = int(many) if re.fullmatch("[0-9]{1,4}", many) and 1 <= int(many) <= MOST else FEW
    found = ground.like(asked[LIKE], count)
    if found is None:
        return Selected(problem="There is no such image in this split.")
    image_id, rows = found
    within = np.zeros(len(ground.map.places), dtype=bool)
    within[rows] = True
    return Selected(within, f"most like {image_id}, in the order chosen above" if count > 1 else f"chosen: {image_id}")


def bound(name: str, text: str) -> float | None:
    """What is no number bounds nothing."""
    try:
        return decimal(BOUNDS[name], text)
    except UserError:
        return None


def box(x: Sequence[float], y: Sequence[float]) -> Corners:
    """From two ends on each axis."""
    return np.array([(min(x), min(y)), (max(x), min(y)), (max(x), max(y)), (min(x), max(y))], dtype=np.float64)


def select_outlines(ground: Ground, drawn: Sequence[Corners]) -> bool:
    """From now on what lies inside them. False where so few corners cannot hold quite the same images as were drawn
    around."""
    places = ground.map.places
    simple = [simplified(corners, CORNERS) for corners in drawn[-OUTLINES:]]
    clear()
    address.put(OUTLINE, _written(ground.run.seed, simple))
    return len(drawn) <= OUTLINES and all(
        np.array_equal(inside(places, one), inside(places, other)) for one, other in zip(simple, drawn, strict=True)
    )


def select_like(data_checksum: str, image_id: str, count: int = FEW) -> None:
    clear()
    address.put(LIKE, code(data_checksum, image_id))
    address.put(MANY, str(count))
    st.session_state[LIKE], st.session_state[MANY] = image_id, count


def typed(name: str, now: str, ends: Sequence[str] = ()) -> None:
    """Into a field, which means `now` in the address: the other ways that select, `ends`, select no more. Streamlit
    calls this once more for fields that left the page when an image was opened: they say what the address says."""
    if now != (address.get(name) or ""):
        _forget(*ends)
        from_the_start()


def typed_like(data_checksum: str) -> None:
    image_id = st.session_state[LIKE] = bare(st.session_state[LIKE])
    if address.get(MANY) == "1":  # of a point that was clicked: who names an image wants those like it
        _forget(MANY)
    typed(LIKE, code(data_checksum, image_id) if image_id else "", (OUTLINE, *BOUNDS))


def typed_many() -> None:
    many = st.session_state[MANY]
    typed(MANY, "" if many == FEW else str(many))


def typed_bound(name: str) -> None:
    text = st.session_state[name]
    typed(name, text, (OUTLINE, LIKE) if bound(name, text) is not None else ())


def clear() -> None:
    _forget(*ON_MAP)
    from_the_start()


def _forget(*names: str) -> None:
    address.drop(*names)
    for name in {*names} & {LIKE, MANY, *BOUNDS}:
        if name in st.session_state:
            st.session_state[name] = FEW if name == MANY else ""


def _written(seed: int, outlines: Sequence[Corners]) -> str:
    whole = [np.clip(np.round(corners * 10**DECIMALS), -FARTHEST, FARTHEST).astype(int) for corners in outlines]
    return ".".join([str(seed), *("~".join(f"{x}_{y}" for x, y in corners) for corners in whole)])


def _read(text: str) -> tuple[int, list[Corners]]:
    """The seed and the outlines that `_written` wrote. Raises ValueError for what it never writes."""
    if not WRITTEN.fullmatch(text):
        raise ValueError(text)
    seed, *outlines = text.split(".")
    found = [np.array([[int(n) for n in corner.split("_")] for corner in one.split("~")]) for one in outlines]
    return int(seed), [one / 10**DECIMALS for one in found]


def say_problem(found: Selected) -> None:
    if found.problem:
        st.warning(show.literal(found.problem), icon=":material/search_off:")
