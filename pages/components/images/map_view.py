"""The images of a split as points on two axes, and the grid of those that are selected there."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora import plots
from colora.data.thumbnails import Pictures
from colora.metrics.evenly import evenly
from colora.settings.catalog import VERDICTS
from colora.system.errors import UserError
from pages.components import address, show
from pages.components.images import in_address, selected
from pages.components.images.browse import first_shown, grid, pager
from pages.components.images.listed import Listed, bound, score_title
from pages.components.images.mapped import Ground
from pages.components.images.selected import BOUNDS, FEW, LIKE, MANY, MOST, Selected

COLOURS = {
    "true": "True class",
    "predicted": "Predicted class",
    "answer": "Right or wrong",
    "score": "Score",
    "verdict": "Verdict",
}
OF_VERDICTS = {"none": "No verdict", **VERDICTS, "differ": "Readers differ"}
DRAWN, BEHIND = 10_000, 2_000  # points; more would lie upon each other
FIGURE = "map-figure"
THROUGH = """<style>.selectionlayer path, .zoomlayer path {pointer-events: none !important}</style>"""  # to the points
DRAW = (
    "Draw around points with the mouse, or by the toolbar with a finger, to see these images below; with Shift, around "
    "up to three. The toolbar has a box, too, and Pan, with which a click takes one point. Without a mouse, the fields "
    "above select a box, or images like one."
)


def map_view(
    ground: Ground,
    chosen_list: Listed,
    split: str,
    source: Pictures | UserError,
    judged: pd.DataFrame,
    origin: str,
) -> None:
    found = ground.found
    with st.container(horizontal=True, vertical_alignment="bottom", key="map-choices"):
        colour = choose_colour(judged)
        fields_of_likeness(found.data_checksum, found.images["image_id"])
    fields_of_bounds()
    asked = selected.asked()
    picture(ground, chosen_list, colour, judged, asked, origin)
    now = selected.selected(ground, asked)
    st.caption(what_it_is(ground, chosen_list))
    selected.say_problem(now)
    if now.inside is None:
        st.info(DRAW, icon=":material/lasso_select:")
        return
    those = chosen_list.within(now.inside)
    heading(now, those)
    if len(those):
        first = first_shown(len(those))
        size = pager(len(those), first)
        grid(found, those, split, source, judged, first, size)
    show.csv_button(as_table(ground, those), f"{found.group.name}-{show.split_in_file(split)}-map", origin)


def choose_colour(judged: pd.DataFrame) -> str:
    names = COLOURS if len(judged) else {name: title for name, title in COLOURS.items() if name != "verdict"}
    return st.selectbox(
        "Colour by", list(names), format_func=names.get, key=address.one("colour", list(names), names.get), width=180
    )


def fields_of_likeness(data_checksum: str, image_ids: pd.Series) -> None:
    """An image by its name, and how many that are like it."""
    typed = st.text_input(
        "Images like",
        key=in_address.name(LIKE, data_checksum, image_ids),
        placeholder="an image's whole id",
        width=260,
        on_change=selected.typed_like,
        args=(data_checksum,),
        help="The images of this split whose features are most like this one's: by all of them, not by the two axes. "
        "An open image has a button for it.",
    )
    if typed:
        st.number_input(
            "How many",
            1,
            MOST,
            key=address.number(MANY, FEW, 1, MOST, whole=True),
            width=130,
            on_change=selected.typed_many,
        )


def fields_of_bounds() -> None:
    """What the mouse draws as a box, for whoever has none."""
    unfolded = bool(st.session_state.get("map-bounds")) or any(map(address.get, BOUNDS))
    with st.expander("A box by numbers", unfolded, icon=":material/crop_free:", key="map-bounds", on_change="rerun"):
        place = st.grid(4, min_column_width=110)
        for name, label in BOUNDS.items():
            with place.cell():
                bound(label, name, on_change=selected.typed_bound, args=(name,))


@dataclass
class Figure:
    """The figure as the browser has it: the tab's `number`-th, made of `of`, with the selection `drawn` in it; what a
    person then drew on it, and it `told`, it shows by itself: `own`."""

    number: int
    of: Any
    drawn: dict[str, str]
    own: dict[str, str]
    told: str = ""
    shapes: str = ""


def figure_of(of: Any, asked: dict[str, str]) -> Figure:
    """The same as long as all is as it shows it, or else a new one: drawn anew for what a person has drawn on it, it
    would lose the zoom; under its old number it would still show what is no longer selected."""
    known = st.session_state.get(FIGURE)
    if known is None or known.of != of or known.own != asked:
        known = st.session_state[FIGURE] = Figure(known.number + 1 if known else 1, of, asked, asked)
    return known


def forget_figure() -> None:
    """An image takes its place on the page."""
    if known := st.session_state.get(FIGURE):
        known.of = None


def picture(
    ground: Ground, chosen_list: Listed, colour: str, judged: pd.DataFrame, asked: dict[str, str], origin: str
) -> None:
    found, table, places = ground.found, chosen_list.table, ground.map.places
    usual = evenly(chosen_list.rows, DRAWN)
    shades = colours(table.iloc[usual], colour, found.class_names, chosen_list.score, judged)
    made_of = (origin, ground.run.path, colour, hash(chosen_list.rows.tobytes()), hash(shades.of.tobytes()))
    figure = figure_of((made_of, show.page_colour(), show.picture_kind()), asked)
    marked, rows, chosen = selected.selected(ground, figure.drawn), usual, None
    if marked.inside is not None:
        rows = np.union1d(usual, evenly(chosen_list.rows[marked.inside[chosen_list.rows]], BEHIND))
        chosen = marked.inside[rows]
        shades = colours(table.iloc[rows], colour, found.class_names, chosen_list.score, judged)
    left_out = np.ones(len(table), dtype=bool)
    left_out[chosen_list.rows] = False
    name = f"{found.group.name}-{show.split_in_file(found.split)}-map"
    st.html(THROUGH)
    show.chart(
        plots.image_map(
            plots.Points(rows, places[rows], says(table.iloc[rows], found.class_names, chosen_list.score), chosen),
            shades,
            places[evenly(np.flatnonzero(left_out), BEHIND)],
            marked.outlines,
            axis_titles(ground.map.shares),
            False if "Mobi" in st.context.headers.get("User-Agent", "") else "lasso",  # a finger scrolls first
        ),
        name,
        f"{origin} · placed by seed {ground.run.seed}",
        areas=True,
        key=f"map-{figure.number}",
        alt=f"Map of {len(chosen_list):,} images, coloured by {COLOURS[colour].lower()}",
        on_select=partial(take_selection, ground, figure),
        selection_mode=("points", "box", "lasso"),
    )


def axis_titles(shares: Sequence[float]) -> tuple[str, ...]:
    return tuple(f"Axis {n} ({100 * share:.0f} % of the variance in training)" for n, share in enumerate(shares, 1))


def take_selection(ground: Ground, figure: Figure) -> None:
    """What was drawn or clicked on the figure, or taken away there; what it tells again changes nothing."""
    state = st.session_state[f"map-{figure.number}"].selection
    shapes = [np.column_stack([one["x"], one["y"]]) for one in state.lasso if len(one["x"]) > 2]
    shapes += [selected.box(one["x"], one["y"]) for one in state.box]
    around, one = repr([corners.tolist() for corners in shapes]), len(state.points) == 1
    clicked = int(state.points[0]["customdata"]) if one and (not shapes or around == figure.shapes) else None
    if (told := f"{around} {clicked}") == figure.told:
        return
    figure.told, figure.shapes, as_drawn = told, around, True
    if shapes and clicked is not None:  # after they were drawn, and they are in the figure still
        selected.select_like(ground.found.data_checksum, str(ground.found.images["image_id"].iloc[clicked]), 1)
        as_drawn = False
    elif shapes:
        as_drawn = selected.select_outlines(ground, shapes)
    elif clicked is not None:
        selected.select_like(ground.found.data_checksum, str(ground.found.images["image_id"].iloc[clicked]), 1)
    else:
        selected.clear()
    if as_drawn:
        figure.own = selected.asked()


def says(drawn: pd.DataFrame, class_names: Sequence[str], score: str) -> list[tuple[str, ...]]:
    """What stands beside the pointer, of each image in lines."""
    title = score_title(score)
    columns = (drawn[name].tolist() for name in ("image_id", "label", "predicted", score))
    return [
        (
            image_id,
            f"true class {class_names[true]}",
            f"predicted {class_names[called]} ({'right' if true == called else 'wrong'})",
            f"{title} {value:.3f}",
        )
        for image_id, true, called, value in zip(*columns, strict=True)
    ]


def colours(
    drawn: pd.DataFrame, colour: str, class_names: Sequence[str], score: str, judged: pd.DataFrame
) -> plots.Kinds | plots.Values:
    if colour == "score":
        return plots.Values(score_title(score), drawn[score].to_numpy(dtype=np.float64))
    if colour == "answer":
        return plots.Kinds(plots.ANSWERS, (~drawn["right"].to_numpy()).astype(int))
    if colour == "verdict":
        said, places = drawn["image_id"].map(verdict_of_each(judged)).fillna("none"), list(OF_VERDICTS)
        kinds = [(title, plots.VERDICT_COLOURS[name]) for name, title in OF_VERDICTS.items()]
        return plots.Kinds(kinds, said.map(places.index).to_numpy())
    column = "label" if colour == "true" else "predicted"
    kinds = [(name, plots.class_colour(c)) for c, name in enumerate(class_names)]
    return plots.Kinds(kinds, drawn[column].to_numpy())


def verdict_of_each(judged: pd.DataFrame) -> dict[str, str]:
    """{image id: its verdict, or that readers "differ"}."""
    of_each = judged.groupby("image_id")["verdict"].agg(set)
    return {image_id: next(iter(given)) if len(given) == 1 else "differ" for image_id, given in of_each.items()}


def what_it_is(ground: Ground, chosen_list: Listed) -> str:
    """What near and far mean here, and what they do not."""
    made, share = ground.map, 100 * float(ground.map.shares.sum())
    if made.fitted == made.trained_on:
        of = f"{made.fitted:,} images it was trained on"
    else:
        of = f"images it was trained on ({made.fitted:,} of {made.trained_on:,}, evenly)"
    said = (
        f"Each point is an image, placed by what the model of seed {ground.run.seed} sees in it. The two axes hold "
        f"**{share:.0f} %** of the variance of the {of}; every split lies on the same axes. Near each other: "
        f"alike to this model in these two respects; they may differ in the other {100 - share:.0f} %, and to an eye. "
        "Far apart: different to it, whatever their class. A unit is one standard deviation along the first axis."
    )
    if len(chosen_list) < len(chosen_list.table):
        said += f" Small and grey: {left_out_by(chosen_list)}."
    if len(chosen_list) > DRAWN:
        drawn = len(evenly(chosen_list.rows, DRAWN))
        said += f" {drawn:,} of {len(chosen_list):,} images are drawn, evenly; a selection is made among all."
    return said


def left_out_by(chosen_list: Listed) -> str:
    """Why images are on the map and not in the list."""
    no_score = f", or what has no {score_title(chosen_list.score)}"
    return "what the filters leave out" + (no_score if chosen_list.table[chosen_list.score].isna().any() else "")


def heading(now: Selected, those: Listed) -> None:
    """How many images are selected, and the button that ends it."""
    assert now.inside is not None
    count = int(now.inside.sum())
    left_out = f"; {count - len(those):,} more are {show.literal(left_out_by(those))}" if count > len(those) else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{len(those):,} image{'s' * (len(those) != 1)}** {show.brief(now.says)}{left_out}", width="content"
        )
        st.button("Clear the selection", icon=":material/deselect:", on_click=selected.clear, key="clear-map")


def as_table(ground: Ground, those: Listed) -> pd.DataFrame:
    columns = ["image_id", "label", "predicted", "right", those.score]
    x, y = ground.map.places[those.rows].T
    return those.table[columns].iloc[those.rows].assign(axis_1=x, axis_2=y)


