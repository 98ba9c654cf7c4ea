"""Each class against the rest on Evaluate: curves over every threshold, and the table of the paper's figures."""

from typing import Any

import pandas as pd
import streamlit as st

from colora import plots
from colora.metrics.curve_bands import ClassBands
from colora.metrics.estimates import Estimate
from colora.metrics.over_seeds import Outcome, Spread
from colora.metrics.statistics import ModelFigures
from colora.plots.evaluation import Kind
from pages.components import show
from pages.components.evaluate import intervals
from pages.components.evaluate.readers import View

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
MEANINGS = (
    "Recall (sensitivity): share of the class's images that are found. Precision: share of the images so called that "
    "are of the class. Specificity: share of all other images that are not so called. Average: the plain mean over the "
    "classes."
)
LIBRARY_NAMES = {"recall": "sensitivity", "precision": "ppv"}  # of those that have another one in metrics.figures


def classes(view: View, origin: str) -> None:
    """Curves and table, over the seeds or of one model; then with two thousand draws, for when the page stands."""
    if view.over_images:
        found, drawn = intervals.model_outcome(view), intervals.bands(view)
        threshold_curves(view, found, origin, drawn)
        model_table(view, intervals.model_statistics(view), origin)
    else:
        threshold_curves(view, view.outcome, origin)
        class_table(view, view.outcome, origin)


def threshold_curves(view: View, found: Outcome, origin: str, drawn: list[ClassBands] | None = None) -> None:
    grid, names = st.grid(2, min_column_width=300), list(view.class_names)
    for kind, (title, says) in CURVES.items():
        bands = found.roc if kind == "roc" else found.precision_recall
        column = "auc" if kind == "roc" else "average_precision"
        areas = [area_text(found.figures, name, column) for name in names]
        around = None
        if drawn:
            around = [each.roc if kind == "roc" else each.precision_recall for each in drawn]
            says += " Line: the model whose matrix stands above; band: 95 % interval over images, point by point."
        elif view.several:
            says += f" Line: median over {view.counted()}; band: middle half (IQR)."
        table = plots.curve_table(bands, names, kind)
        with grid.cell():
            show.show_figure(
                plots.class_curves(bands, names, areas, kind, around),
                title,
                says,
                f"One-vs-rest {title} of each class",
                pd.concat([table, plots.interval_table(around, names, kind)]) if around else table,
                f"{view.name}-{kind.replace('_', '-')}",
                origin,
            )


def area_text(figures: pd.DataFrame, class_name: str, column: str) -> str:
    spread = Spread.of(figures.loc[figures["class"] == class_name, column])
    return show.three(spread and spread.median)


def class_table(view: View, found: Outcome, origin: str) -> None:
    """As the paper's tables 2 and 3, with the specificity that counts every true negative."""
    spread = (
        f" Each figure: median over {view.counted()}, each with its own counts [middle half, IQR]; not of the model "
        "whose matrix stands above."
    )
    st.caption(MEANINGS + spread * view.several)
    say_absent(view, found)
    rows = [class_row(found, name) for name in view.class_names]
    means = found.figures[found.figures["n"] > 0].groupby("seed")[list(CLASS_COLUMNS)].mean()
    rows.append(
        {"Class": "Average", "Images": found.images} | {t: spread_text(means[c]) for c, t in CLASS_COLUMNS.items()}
    )
    show.table(pd.DataFrame(rows).set_index("Class"), border="horizontal", alt=f"Figures of each class. {origin}")
    st.caption(show.literal(origin))
    seeds = [run.seed for run in view.runs]
    table = found.figures.assign(seed=[seeds[s] for s in found.figures["seed"]])
    show.csv_button(table, f"{view.name}-classes", origin)


def say_absent(view: View, found: Outcome) -> None:
    if absent := [name for name, n in zip(view.class_names, found.matrix.sum(axis=1), strict=True) if not n]:
        st.caption(
            f"No image here is of {show.literal(', '.join(absent))}: recall, precision and AUC are not defined there "
            "(–), and the average is over the other classes."
        )


def class_row(found: Outcome, name: str) -> dict[str, Any]:
    own = found.figures[found.figures["class"] == name]
    return {"Class": name, "Images": int(own["n"].iloc[0])} | {
        t: spread_text(own[col]) for col, t in CLASS_COLUMNS.items()
    }


def spread_text(values: pd.Series) -> str:
    """`0.915 [0.905–0.925]`; one seed's value alone."""
    spread = Spread.of(values)
    return show.spread_text(spread.as_dict(), len(values)).removesuffix(" (1 seed)") if spread else show.three(None)


def model_table(view: View, found: ModelFigures, origin: str) -> None:
    """The same of one model, each figure with its interval over images."""
    st.caption(f"{MEANINGS} In brackets: 95 % interval over images. {show.literal(view.model().capitalize())}.")
    say_absent(view, view.outcome)
    counts = view.outcome.matrix.sum(axis=1)
    tables = [*zip(view.class_names, counts, map(found.per_class.get, view.class_names), strict=True)]
    tables.append(("Average", view.outcome.images, found.overall))
    rows = [
        {"Class": name, "Images": int(n)}
        | {title: estimate_text(table[LIBRARY_NAMES.get(column, column)]) for column, title in CLASS_COLUMNS.items()}
        for name, n, table in tables
    ]
    show.table(pd.DataFrame(rows).set_index("Class"), border="horizontal", alt=f"Figures of each class. {origin}")
    st.caption(show.literal(origin))
    show.csv_button(pd.DataFrame(rows), f"{view.name}-classes", origin)


def estimate_text(found: Estimate) -> str:
    """`0.915 [0.862, 0.949]`; what cannot be said is left out here: *Every figure* has the reasons."""
    return show.three(found.value) if found.low is None else show.estimate_text(found)
