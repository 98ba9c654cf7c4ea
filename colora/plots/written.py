"""A figure as it travels: with what it rests on and on the page's colour, in the form that is sent to a browser."""

import textwrap
from typing import Any

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure

from colora.plots.style import plain
from colora.settings.catalog import NOTICE

CAPTION_STYLE = "<span style='font-size:10px;color:#70777d'>"  # 4.5:1 on a white page and on a black one
CAPTION_LETTERS = 60  # in a line; as many as a phone is wide


class Written(BaseFigure):
    """A figure's document, which any number of pages may send at the same time, and nothing else of a figure.

    It counts as one, since Streamlit takes a bare document apart and checks it anew at each sending, which takes longer
    than drawing it.
    """

    def __init__(self, document: dict[str, Any]):
        self._document = document

    def to_dict(self) -> dict[str, Any]:
        """{"data", "layout"}, to read and not to change."""
        return self._document


def written(figure: go.Figure, origin: str, paper: str) -> Written:
    """The figure on a page of the colour `paper`, with what it rests on (`origin`) and the notice in small letters
    under the title of its horizontal axis: a picture that travels alone tells where it comes from. `figure` stays as it
    is."""
    document = figure.to_dict()
    lines = [*textwrap.wrap(origin, CAPTION_LETTERS), NOTICE]
    small = [f"{CAPTION_STYLE}{plain(line)}</span>" for line in lines]
    layout = document["layout"] | {"paper_bgcolor": paper}
    axis = layout.get("xaxis", {})
    title = axis.get("title", {})
    text = "<br>".join(filter(None, [title.get("text"), *small]))
    return Written(document | {"layout": layout | {"xaxis": axis | {"title": title | {"text": text}}}})
