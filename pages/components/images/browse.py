"""The grid of a list of images, the curve of their scores, and the ways to move in it."""

from functools import partial

import pandas as pd
import streamlit as st

from colora import plots
from colora.data.thumbnails import Pictures
from colora.distillation.scores import SeedPredictions
from colora.system.errors import UserError
from pages.components import address, show
from pages.components.elements.gallery import gallery
from pages.components.images import scored
from pages.components.images.in_address import open_image
from pages.components.images.listed import Listed, score_title

SIZES = (25, 50, 100)
CURVE = (
    "Each line is one true class with its images in order (paper, figure 10). The grey band holds the images shown "
    "below, the dots are where they begin in each class."
)


def first_shown(count: int) -> int:
    """Position of the first image on show, from the address: ranks count from 1."""
    try:
        rank = int(address.get("rank") or 1)
    except ValueError:
        rank = 1
    if rank > count:  # of a list that was longer: its last page
        rank = count - SIZES[0] + 1
    return max(rank, 1) - 1


def go_to(rank: int) -> None:
    if rank > 1:
        address.put("rank", str(rank))
    else:
        address.drop("rank")


def turn(size: int, count: int, by: int) -> None:
    """To the next or the last `size` images, from those that are open by now."""
    first = first_shown(count) + by * size
    if first < count:
        go_to(first + 1)


def browse(
    found: SeedPredictions,
    chosen_list: Listed,
    split: str,
    source: Pictures | UserError,
    judged: pd.DataFrame,
    origin: str,
) -> None:
    count = len(chosen_list)
    if not count:
        st.info("No image passes all the filters.", icon=":material/filter_alt:")
        return
    first = first_shown(count)
    above = st.container()
    size = pager(count, first)
    with above:
        curve(found, chosen_list, chosen_list.part(first, first + size), first, origin)
    grid(found, chosen_list, split, source, judged, first, size)


def grid(
    found: SeedPredictions,
    chosen_list: Listed,
    split: str,
    source: Pictures | UserError,
    judged: pd.DataFrame,
    first: int,
    size: int,
) -> None:
    """`size` images of the list from position `first` on."""
    count, rows = len(chosen_list), chosen_list.part(first, first + size)
    if isinstance(source, UserError):
        st.warning(f"The images themselves cannot be shown: {show.literal(source)}", icon=":material/hide_image:")
    ranks = range(first + 1, first + len(rows) + 1)
    gallery(
        "grid",
        scored.tiles(rows, split, source, found.class_names, chosen_list.score, ranks, judged),
        f"Images {first + 1:,} to {first + len(rows):,} of {count:,}",
        on_open=partial(open_image, found.data_checksum),
        on_turn=partial(turn, size, count),
    )
    st.caption(
        "First line: true class and score; second: predicted class (✓ right, ✗ wrong); the bar is the probability of "
        "each class. Choose an image to see it large. Keys: ← and → turn pages; in the grid, arrows move between "
        "images, Enter opens one, Page Up and Page Down turn."
    )


def curve(found: SeedPredictions, chosen_list: Listed, rows: pd.DataFrame, first: int, origin: str) -> None:
    """Figure 10 with the place of the grid in it, and the slider that moves the grid."""
    curves, score = chosen_list.curves(), chosen_list.score
    values = rows[score].to_numpy()
    figure = plots.sorted_scores(
        curves,
        found.class_names,
        score_title(score),
        (float(values[0]), float(values[-1])),
        chosen_list.reached(first),
    )
    show.chart(
        figure,
        f"{found.group.name}-{found.split}-{score}",
        origin,
        key="curve",
        alt=f"{score_title(score)} over the rank in each class: {', '.join(found.class_names)}",
    )
    count = len(chosen_list)
    if count > 1:
        st.session_state["slide"] = first + 1
        st.slider(
            "Move through the list",
            1,
            count,
            key="slide",
            format="%d",
            on_change=lambda: go_to(st.session_state["slide"]),
            help=CURVE,
            label_visibility="collapsed",
        )


def pager(count: int, first: int) -> int:
    """A rank to jump to, images on a page (returned), the neighbouring pages, and where the grid stands."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="pager"):
        st.session_state["from-rank"] = first + 1
        st.number_input(
            "From rank",
            1,
            count,
            step=st.session_state.get("per", SIZES[0]),
            key="from-rank",
            width=150,
            on_change=lambda: go_to(st.session_state["from-rank"]),
            help="5000 shows 5000 to 5024, as in the paper's figure 12.",
        )
        size = st.selectbox("On a page", SIZES, key=address.one("per", SIZES), width=110)
        last = min(first + size, count)
        st.button(
            "Previous",
            icon=":material/chevron_left:",
            disabled=first == 0,
            on_click=go_to,
            args=(first + 1 - size,),
            key="previous",
        )
        st.button(
            "Next",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=last == count,
            on_click=go_to,
            args=(first + 1 + size,),
            key="next",
        )
        st.markdown(f"**{first + 1:,} to {last:,}** of {count:,}", width="content")
    return size
