"""What every figure shares: colours, names, margins.

Colours are Okabe and Ito's, told apart in the common forms of colour blindness; a class and a split keep
theirs in every figure, and no figure needs colour alone to be read. Backgrounds are transparent and texts
take the page's colour, so that one figure serves a light and a dark page.
"""

from typing import Any

import plotly.graph_objects as go

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
GREY = "#7F8C91"
CLASS_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY)
FEW_CLASSES = 4  # with more, figures on bars would not fit side by side on a phone
CLASS_DASHES = ("solid", "dash", "dot", "dashdot")
SPLIT_COLOURS = {"train": GREY, "val": SKY, "test": VERMILLION}
SPLIT_DASHES = {"train": "dot", "val": "dash", "test": "solid"}
SPLIT_NAMES = {"train": "Train", "val": "Validation", "test": "Test"}
METRIC_NAMES = {"loss": "Loss", "accuracy": "Accuracy", "auc": "AUC"}


def class_colour(c: int) -> str:
    """The colour of class `c` in every figure."""
    return CLASS_COLOURS[c % len(CLASS_COLOURS)]


def rgba(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def base_figure(traces: list[Any], x: str, y: str, height: int, **layout: Any) -> go.Figure:
    """`uirevision` keeps a person's zoom and hidden lines when fresh data arrive."""
    figure = go.Figure(traces)
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis={"title": {"text": x} if x else None, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "title": {"text": ""},
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        uirevision="keep",
        **layout,
    )
    return figure
