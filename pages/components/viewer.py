"""One image, large: zoom, window and level, inversion, all in the browser."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
HTML = """<div class="viewer">
<div class="stage"><canvas role="img" tabindex="0"></canvas><p class="problem"></p><span class="reading"></span></div>
<div class="tools">
<span class="group layers" role="group" aria-label="Which picture"></span>
<span class="group"><button type="button" class="out" aria-label="Zoom out">−</button>
<button type="button" class="in" aria-label="Zoom in">+</button>
<button type="button" class="invert" aria-pressed="false">Invert</button>
<button type="button" class="reset">Reset</button></span>
<label title="Window: how many greys lie between black and white">Contrast (window)
<input type="range" class="window" min="8" max="510" step="2"></label>
<label title="Level: the grey in the middle">Brightness (level)
<input type="range" class="level" min="0" max="255" step="1"></label>
</div></div>"""
_viewer = st.components.v2.component(
    "colora.viewer", html=HTML, css=(HERE / "viewer.css").read_text(), js=(HERE / "viewer.js").read_text()
)


def viewer(
    key: str,
    image_id: str,
    layers: dict[str, str],
    alt: str,
    on_step: Callable[[int], None],
    on_back: Callable[[], None],
    problem: str = "",
) -> None:
    """`layers`: title -> data URI, the first is shown first; without any, `problem` says why. Whatever else is to be
    seen of the same image, such as a saliency map drawn over it, is one more layer.

    `on_step` gets +1 or -1 for the arrow keys, `on_back` is called for Escape.
    """

    def stepped() -> None:
        if by := st.session_state[key].get("step"):
            on_step(int(by))

    def back() -> None:
        if st.session_state[key].get("back"):
            on_back()

    pictures = [{"title": title, "image": image} for title, image in layers.items()]
    _viewer(
        key=key,
        data={"id": image_id, "layers": pictures, "alt": alt, "problem": problem},
        on_step_change=stepped,
        on_back_change=back,
    )
