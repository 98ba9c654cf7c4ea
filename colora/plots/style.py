"""What every figure shares: colours, names, margins.

Colours have the hues of Okabe and Ito's, moved until each has a contrast of 3:1 with the light page and with the dark
one, and until any two are told apart, also by people who do not see red or green. A class and a split keep theirs in
every figure, and no figure needs colour alone to be read. Backgrounds are transparent and texts take the page's colour,
so that one figure serves a light and a dark page. Every name that is not the program's own goes through `plain`.
"""

import html
from typing import Any

import plotly.graph_objects as go

from colora.runs.names import external_name, is_external

BLUE, ORANGE, GREEN, PURPLE, BROWN, SKY, GREY, RED = (
    "#0C56BF",
    "#E27710",
    "#08A45D",
    "#8E3D88",
    "#855202",
    "#3791D7",
    "#8C9091",
    "#934455",
)
CLASS_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, BROWN, SKY, GREY)
FEW_CLASSES = 4  # with more, figures on bars would not fit side by side on a phone
CLASS_DASHES = ("solid", "dash", "dot", "dashdot")
SPLIT_COLOURS = {"train": GREY, "val": SKY, "test": ORANGE}
EXTERNAL_COLOUR = PURPLE
SPLIT_DASHES = {"train": "dot", "val": "dash", "test": "solid"}
SPLIT_NAMES = {"train": "Train", "val": "Validation", "test": "Test"}
CAPTION_HEIGHT = 56  # pixels of every figure: three lines and their distance
METRIC_NAMES = {"loss": "Loss", "accuracy": "Accuracy", "auc": "AUC"}


def split_title(split: str) -> str:
    """What people call a split; other data have the name that they were given."""
    return external_name(split) if is_external(split) else SPLIT_NAMES[split]


def plain(text: str) -> str:
    """A name from the data, to be shown as it is wherever Plotly shows it: in what it draws some tags are markup, links
    among them, and in what it says on hovering `%{...}` stands for a number."""
    return html.escape(text, quote=False).replace("%{", "&#37;{")


def class_colour(c: int) -> str:
    """The colour of class `c` in every figure."""
    return CLASS_COLOURS[c % len(CLASS_COLOURS)]


def rgba(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def base_figure(traces: list[Any], x: str, y: str, height: int, **layout: Any) -> go.Figure:
    """Traces over the given axes, `height` pixels and the room of a caption high.

    `uirevision` keeps a person's zoom and hidden lines when fresh data arrive.
    """
    shared = {
        "height": height + CAPTION_HEIGHT,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "xaxis": {"title": {"text": x} if x else None, "automargin": True},
        "yaxis": {"title": {"text": y}, "automargin": True},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "title": {"text": ""},
        },
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "uirevision": "keep",
    }
    return go.Figure(traces, shared | layout)  # at once: an update afterwards takes most of the figure's time
