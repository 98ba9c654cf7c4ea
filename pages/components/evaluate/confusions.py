"""Which class is called which on Evaluate: the confusion matrix, and beside it the images of a cell that is clicked."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora import plots
from colora.data.encoded import tile
from colora.results.predictions import place_of
from colora.runs.external import data_of
from colora.system.errors import UserError
from pages.components import address, show
from pages.components.elements.gallery import gallery, tile_of
from pages.components.evaluate.intervals import cell_intervals
from pages.components.evaluate.readers import View, found_images, pictures
from pages.components.images.in_address import IMAGE, code
from pages.components.paged import page_number

MISTAKES = "All mistakes"
CELLS = ("images", "per cent")
TILES = 6  # images at a time


def confusions_and_images(view: View, origin: str) -> None:
    """The matrix, and beside it the images of the cell that was clicked."""
    options = cell_names(view.class_names)
    grid = st.grid(2, min_column_width=330)
    with grid.cell():
        matrix_place = st.container()
    with grid.cell():
        st.markdown("**The images behind the figures**")
        chosen = st.selectbox(
            "Which ones",
            list(options),
            key=address.one("show", list(options)),
            on_change=first_page,
            help="Or click a cell of the confusion matrix.",
        )
        images_behind(view, options[chosen], origin)
    with matrix_place:
        confusions(view, options[chosen], origin)


def cell_names(class_names: tuple[str, ...]) -> dict[str, tuple[int, int] | None]:
    """What can be shown, by what it is called: every mistake, or a cell (true, predicted)."""
    names = {
        f"{true} called {called}": (t, p) for t, true in enumerate(class_names) for p, called in enumerate(class_names)
    }
    return {MISTAKES: None, **names}


def first_page() -> None:
    if st.session_state.get("tiles", 1) != 1:
        st.session_state["tiles"] = 1


def confusions(view: View, chosen: tuple[int, int] | None, origin: str) -> None:
    per_cent = (
        st.segmented_control(
            "Cells show",
            CELLS,
            required=True,
            key=address.one("cells", CELLS),
            help="Images: how many. Per cent: their share of the true class.",
        )
        == "per cent"
    )
    found, several, names = view.outcome, view.several, list(view.class_names)
    name = f"{view.name}-confusion"
    of_seeds = {"matrix": found.matrix, "model": file_model(view)} if several else {}

    def show_cell() -> None:
        points = st.session_state[show.figure_key(name)].selection.points
        if points:
            true, predicted = points[0]["customdata"]
            st.session_state["show"] = f"{view.class_names[true]} called {view.class_names[predicted]}"
            first_page()

    of = f" of {view.model()}" if several else ""
    show.show_figure(
        plots.confusion_matrix(
            found.matrix,
            names,
            show.text_colour(),
            per_cent,
            chosen,
            found.matrices if several and not view.over_images else None,
            cell_intervals(view) if view.over_images else None,
        ),
        f"Confusion matrix{of}",
        f"What {'this model' if several else 'the model'} called the images of each class: a row is the true class, a "
        "column the predicted one; the diagonal is right. " + how_it_counts(view) + "Click a cell to see its images.",
        f"Confusion matrix{of}, {found.matrix.trace():,} of {found.images:,} images right",
        plots.confusion_table(found.matrices, names, [run.seed for run in view.runs], **of_seeds),
        name,
        origin,
        on_click=show_cell,
    )


def how_it_counts(view: View) -> str:
    """What the numbers in the cells are."""
    small = "Small, below each number: its 95 % interval over images. "
    if not view.several:
        return small if view.over_images else ""
    if view.one is None:
        whose = "The mean of the seeds' probabilities is one model, so that each row adds up to its class. "
    else:
        whose = "Each row adds up to its class. "
    if not view.over_images:
        small = f"Small, below each number: the lowest and the highest of the {len(view.runs)} seeds' own. "
    return whose + small


def file_model(view: View) -> str:
    """The model whose whole numbers stand for several seeds, as a column's name."""
    return "ensemble" if view.one is None else f"chosen_seed_{view.runs[view.one].seed}"


def images_behind(view: View, cell: tuple[int, int] | None, origin: str) -> None:
    """The images of a cell, or every mistake, some at a time; the table of all of them as a file."""
    found = found_images(view, cell)
    if cell and cell[0] == cell[1]:
        order = "the least sure first"
    else:
        most = "what most seeds agree on, most confidently" if view.several else "most confident"
        order = f"the worst first: {most}"
    whose = f"as {view.model()} calls them, " if view.several else ""
    said = [f"{len(found):,} of {view.outcome.images:,} images", f"{whose}{order}" if len(found) > 1 else whose[:-2]]
    st.caption(f"{', '.join(filter(None, said))}.")
    if found.empty:
        st.info("No image is there.", icon=":material/check_circle:")
        return
    number = page_number("tiles", -(-len(found) // TILES), most_shown=5)
    tiles(view, found.iloc[(number - 1) * TILES : number * TILES])
    names = np.array(view.class_names)
    table = found.assign(true=names[found["true"]], called=names[found["called"]]).drop(columns=["position", "label"])
    show.csv_button(table, f"{view.name}-images", origin)


def tiles(view: View, found: pd.DataFrame) -> None:
    """These images with what they are called; one that is chosen is opened large on Images."""
    rows = found.to_dict("records")
    try:
        images = pictures(view, [place_of(row, view.split) for row in rows])
    except UserError as error:
        st.warning(f"The images cannot be shown: {show.literal(error)}", icon=":material/hide_image:")
        images = [error] * len(rows)
    names = f"{plots.split_title(view.split)} images: what they are and what they are called"
    drawn = [tile_of_image(view, row, image) for row, image in zip(rows, images, strict=True)]
    gallery("behind", drawn, names, lambda image_id: st.session_state.__setitem__("open-image", image_id), columns=3)
    if image_id := st.session_state.pop("open-image", None):
        asked = {"group": view.group.name, "part": show.split_text(view.split)}
        image = {IMAGE: code(data_of(view.runs[0], view.split).verdicts, image_id)}
        st.switch_page("pages/images.py", query_params=asked | image)


def tile_of_image(view: View, row: dict[str, Any], image: np.ndarray | UserError) -> dict[str, Any]:
    """A tile of the gallery: picture and answer are one element, so that they cannot be of two images."""
    true, called = view.class_names[row["true"]], view.class_names[row["called"]]
    sure = f"{row['confidence']:.0%} sure"
    agree = [f"{row['seeds']} of {len(view.runs)} seeds"] if view.several else []
    return tile_of(
        row["image_id"],
        true,
        plots.class_colour(row["true"]),
        image if isinstance(image, UserError) else tile(image),
        f"{row['image_id']}: true {true}, called {called}, {sure}",
        predicted={"name": called, "colour": plots.class_colour(row["called"])},
        right=row["true"] == row["called"],
        score=sure,
        notes=[*agree, row["image_id"]],
    )
