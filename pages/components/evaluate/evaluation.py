"""The figures of chosen models on Evaluate: confusions with the images behind them, curves, and the classes' table."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora import plots
from colora.data.thumbnails import Place, tile
from colora.metrics.estimates import wilson
from colora.metrics.over_seeds import Spread
from colora.plots.evaluation import Kind
from colora.system.errors import UserError
from pages.components import address, show
from pages.components.evaluate.readers import View, found_images, pictures
from pages.components.images.gallery import gallery
from pages.components.images.in_address import IMAGE, code
from pages.components.paged import page_number

MISTAKES = "All mistakes"
CELLS = ("images", "per cent")
TILES = 6  # images at a time
CURVES: dict[Kind, tuple[str, str]] = {
    "roc": (
        "ROC curves",
        "Images of a class that are found (recall) against others mistaken for it, at every threshold. Up and left is "
        "better; the number is the area under the curve (AUC); dotted: chance.",
    ),
    "precision_recall": (
        "Precision-recall curves",
        "How many of the images called a class are of it (precision), against how many of its images are found. Up and "
        "right is better; the number is the average precision. By chance it is the class's share of the images.",
    ),
}
CLASS_COLUMNS = {
    "auc": "AUC",
    "recall": "Recall",
    "precision": "Precision",
    "specificity": "Specificity",
    "average_precision": "Average precision",
}


def whose_name(view: View) -> str:
    """For the files that people save: group, seeds, epoch and split."""
    whose = f"seed-{view.runs[0].seed}" if len(view.runs) == 1 else f"{len(view.runs)}-seeds"
    at = "selected" if view.epoch is None else f"epoch-{view.epoch}"
    return f"{view.group.name}-{whose}-{at}-{view.split}"


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
    name = f"{whose_name(view)}-confusion"
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
            found.matrix, names, show.text_colour(), per_cent, chosen, found.matrices if several else None
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
    """What the numbers in the cells are, where one model stands for several seeds."""
    if not view.several:
        return ""
    if view.one is None:
        whose = "The mean of the seeds' probabilities is one model, so that each row adds up to its class. "
    else:
        whose = "Each row adds up to its class. "
    return f"{whose}Small, below each number: the lowest and the highest of the {len(view.runs)} seeds' own. "


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
    show.csv_button(table, f"{whose_name(view)}-images", origin)


def tiles(view: View, found: pd.DataFrame) -> None:
    """These images with what they are called; one that is chosen is opened large on Images."""
    rows = found.to_dict("records")
    try:
        places = [Place(view.split, row["index"], row["image_id"]) for row in rows]
        images = pictures(view, places)
    except UserError as error:
        st.warning(f"The images cannot be shown: {show.literal(error)}", icon=":material/hide_image:")
        images = [error] * len(rows)
    names = f"{plots.SPLIT_NAMES[view.split]} images: what they are and what they are called"
    drawn = [tile_of(view, row, image) for row, image in zip(rows, images, strict=True)]
    gallery("behind", drawn, names, lambda image_id: st.session_state.__setitem__("open-image", image_id), columns=3)
    if image_id := st.session_state.pop("open-image", None):
        asked = {"group": view.group.name, "part": plots.SPLIT_NAMES[view.split]}
        image = {IMAGE: code(view.runs[0].resolved.data_checksum, image_id)}
        st.switch_page("pages/images.py", query_params=asked | image)


def tile_of(view: View, row: dict[str, Any], image: np.ndarray | UserError) -> dict[str, Any]:
    """A tile of the gallery: picture and answer are one element, so that they cannot be of two images."""
    true, called = view.class_names[row["true"]], view.class_names[row["called"]]
    sure = f"{row['confidence']:.0%} sure"
    agree = [f"{row['seeds']} of {len(view.runs)} seeds"] if view.several else []
    return {
        "id": row["image_id"],
        "image": None if isinstance(image, UserError) else tile(image),
        "problem": str(image) if isinstance(image, UserError) else "",
        "true": {"name": true, "colour": plots.class_colour(row["true"])},
        "predicted": {"name": called, "colour": plots.class_colour(row["called"])},
        "right": row["true"] == row["called"],
        "score": sure,
        "rank": "",
        "notes": [*agree, row["image_id"]],
        "bar": [],
        "marks": [],
        "alt": f"{row['image_id']}: true {true}, called {called}, {sure}",
    }


def threshold_curves(view: View, origin: str) -> None:
    found, several = view.outcome, view.several
    grid = st.grid(2, min_column_width=300)
    for kind, (title, says) in CURVES.items():
        bands = found.roc if kind == "roc" else found.precision_recall
        column = "auc" if kind == "roc" else "average_precision"
        areas = [area_text(found.figures, name, column) for name in view.class_names]
        with grid.cell():
            show.show_figure(
                plots.class_curves(bands, list(view.class_names), areas, kind),
                title,
                says + (f" Line: median over {view.counted()}; band: middle half (IQR)." if several else ""),
                f"One-vs-rest {title} of each class",
                plots.curve_table(bands, list(view.class_names), kind),
                f"{whose_name(view)}-{kind.replace('_', '-')}",
                origin,
            )


def area_text(figures: pd.DataFrame, class_name: str, column: str) -> str:
    spread = Spread.of(figures.loc[figures["class"] == class_name, column])
    return show.three(spread and spread.median)


def class_table(view: View, origin: str) -> None:
    """As the paper's tables 2 and 3, with the specificity that counts every true negative."""
    found, several = view.outcome, view.several
    st.caption(
        "Recall (sensitivity): share of the class's images that are found. Precision: share of the images so called "
        "that are of the class. Specificity: share of all other images that are not so called. Average: the plain mean "
        "over the classes. "
        + (
            f"Each figure: median over {view.counted()}, each with its own counts [middle half, IQR]; not of the model "
            "whose matrix stands above."
            if several
            else "In brackets: 95 % interval of a share (Wilson)."
        )
    )
    if absent := [name for name, n in zip(view.class_names, found.matrix.sum(axis=1), strict=True) if not n]:
        st.caption(
            f"No image here is of {show.literal(', '.join(absent))}: recall, precision and AUC are not defined there "
            "(–), and the average is over the other classes."
        )
    rows = [class_row(view, name, c) for c, name in enumerate(view.class_names)]
    means = found.figures[found.figures["n"] > 0].groupby("seed")[list(CLASS_COLUMNS)].mean()
    rows.append(
        {"Class": "Average", "Images": found.images} | {t: spread_text(means[c]) for c, t in CLASS_COLUMNS.items()}
    )
    show.table(pd.DataFrame(rows).set_index("Class"), border="horizontal", alt=f"Figures of each class. {origin}")
    st.caption(show.literal(origin))
    seeds = [run.seed for run in view.runs]
    table = found.figures.assign(seed=[seeds[s] for s in found.figures["seed"]])
    show.csv_button(table, f"{whose_name(view)}-classes", origin)


def class_row(view: View, name: str, c: int) -> dict[str, Any]:
    found = view.outcome
    own = found.figures[found.figures["class"] == name]
    row = {"Class": name, "Images": int(own["n"].iloc[0])} | {
        t: spread_text(own[col]) for col, t in CLASS_COLUMNS.items()
    }
    if len(view.runs) == 1:
        for title, (right, of) in counted_shares(found.matrices[0], c).items():
            if of:
                low, high = wilson(right, of)
                row[title] += f" ({low:.3f}–{high:.3f})"
    return row


def counted_shares(matrix: np.ndarray, c: int) -> dict[str, tuple[int, int]]:
    """(images for which it is true, images asked) of each figure of class c that is a share."""
    hit, own, called = int(matrix[c, c]), int(matrix[c].sum()), int(matrix[:, c].sum())
    others = int(matrix.sum()) - own
    return {
        "Recall": (hit, own),
        "Precision": (hit, called if own else 0),  # of a class without images it is not defined
        "Specificity": (others - (called - hit), others),
    }


def spread_text(values: pd.Series) -> str:
    """`0.915 [0.905–0.925]`; one seed's value alone."""
    spread = Spread.of(values)
    return show.spread_text(spread.as_dict(), len(values)).removesuffix(" (1 seed)") if spread else show.three(None)
