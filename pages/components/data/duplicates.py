"""Leaks on the Data page: every image is read beside the page, what is found is shown as pairs of pictures, and a cut
leaves it out of training."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from colora.data.cuts import identity_of
from colora.data.thumbnails import Place, open_pictures
from colora.runs.data_said import SPLITS, says_duplicates
from colora.settings.config import RunConfig
from colora.settings.medmnist_info import known
from colora.system.errors import UserError
from pages.components import acting, address, show
from pages.components.beside import Job, answered
from pages.components.data import beside
from pages.components.data.downloads import Shown
from pages.components.data.look import Found
from pages.components.frame import one_of
from pages.components.paged import page_number
from pages.components.runs import runs_dir

PAIRS = 6  # on one page of the list; no other image is read
SHOWN_SIDE = 224  # pixels, of one's own images
WIDTH = 150  # of one picture of a pair
KINDS = {
    "split": "The same picture in two splits",
    "near": "Nearly the same in two splits",
    "class": "The same picture under two classes",
}


def show_duplicates(config: RunConfig, stamps: Any, shown: Shown) -> None:
    """Where the look at every image stands: not begun, under way, or what it has found."""
    check = beside.check_of(config, stamps)
    with one_of(3, 0 if check is None else 1 if check.under_way else 2):
        if check is None:
            st.markdown("**Duplicates**")
            st.caption(
                "Whether validation or test have pictures of training too, the same or nearly, and whether one picture "
                "stands under two classes: known after every image was read, which can take minutes. You may leave "
                "this page meanwhile."
            )
            _look_button(config, stamps)
        elif check.under_way:
            st.markdown("**Duplicates**")
            shown.look(check, st.empty())
            st.button("Stop looking", icon=":material/cancel:", key="stop-looking", on_click=check.stop)
        else:
            _found(check, config, stamps, shown)


def _look_button(config: RunConfig, stamps: Any, again: bool = False) -> None:
    st.button(
        "Look again" if again else "Look for duplicates",
        icon=":material/content_copy:",
        key="look-duplicates",
        on_click=beside.start_check,
        args=(config, stamps),
    )


def _found(check: Job, config: RunConfig, stamps: Any, shown: Shown) -> None:
    try:
        found = answered(check)
    except UserError as error:
        show.say(error, st.info if check.stopped else st.error)
        _look_button(config, stamps, again=True)
        return
    pairs, several = found.get("pairs", []), found["duplicates"]
    clean = not several or not any(several.values())
    st.markdown(f"**Duplicates**: {show.literal(says_duplicates(found).partition(': ')[2])}")
    minutes = int((time.time() - check.at) / 60)
    st.caption(f"Every image was read {'just now' if not minutes else f'{minutes:,} min ago'}.")
    _look_button(config, stamps, again=True)
    if pairs:
        show_pairs(pairs, found, config, stamps)
    if not clean:
        leave_out(config, stamps, shown)


def show_pairs(pairs: list[dict[str, Any]], found: Found, config: RunConfig, stamps: Any) -> None:
    """A page of the pairs of one kind, both pictures side by side."""
    numbers = {kind: sum(pair["kind"] == kind for pair in pairs) for kind in KINDS}
    kinds = [kind for kind, n in numbers.items() if n]
    titles = {kind: f"{KINDS[kind]}: {numbers[kind]:,}" for kind in kinds}
    kind = st.segmented_control(
        "Pairs",
        kinds,
        required=True,
        format_func=titles.get,
        key=address.one("pairs", kinds, KINDS.get),
    )
    if left_out := found.get("pairs_left_out"):
        st.caption(f"{left_out:,} more pairs were found than are kept to be looked at.")
    own = [pair for pair in pairs if pair["kind"] == kind]
    number = page_number("pair-page", -(-len(own) // PAIRS))
    chosen = own[(number - 1) * PAIRS : number * PAIRS]
    read = _pictures(config, chosen, stamps)
    grid = st.grid(3, min_column_width=340)
    for pair, pictures in zip(chosen, read, strict=True):
        with grid.cell(), st.container(border=True):
            _pair(pair, pictures, found["classes"])


def _pair(pair: dict[str, Any], pictures: tuple[np.ndarray | str, np.ndarray | str], classes: list[str]) -> None:
    images = [pair["a"], pair["b"]]
    with st.container(horizontal=True):
        for image, picture in zip(images, pictures, strict=True):
            with st.container(width=WIDTH):
                if isinstance(picture, str):
                    show.say(picture, st.caption, ":material/broken_image:")
                else:
                    st.image(picture, width=WIDTH, alt=image["image_id"])
                split, name = SPLITS.get(image["split"], image["split"]), classes[image["label"]]
                st.markdown(f"**{show.literal(split)}** · {show.literal(name)}")
                st.caption(show.literal(image["image_id"]))
    alike = "The same pixels." if pair["correlation"] >= 1 else f"Correlation {pair['correlation']:.3f}."
    st.caption(alike)


def _pictures(
    config: RunConfig, pairs: list[dict[str, Any]], stamps: Any
) -> list[tuple[np.ndarray | str, np.ndarray | str]]:
    """Both pictures of each pair (S, S) uint8, or why one cannot be shown."""
    sized = config if known(config.dataset) else config.model_copy(update={"image_size": SHOWN_SIDE})
    images = [(image["split"], image["index"], image["image_id"]) for pair in pairs for image in (pair["a"], pair["b"])]
    try:
        read = _read(sized, sized.model_dump_json(), images, stamps)
    except UserError as error:
        read = [str(error)] * len(images)
    return list(zip(read[::2], read[1::2], strict=True))


@st.cache_data(show_spinner="Reading the images …", max_entries=16, ttl=60)
def _read(_config: RunConfig, key: str, images: Sequence[tuple[str, int, str]], stamps: Any) -> list[np.ndarray | str]:
    read = open_pictures(_config).read([Place(*image) for image in images])
    return [str(one) if isinstance(one, UserError) else one for one in read]


def leave_out(config: RunConfig, stamps: Any, shown: Shown) -> None:
    """Make the cut: the training images but those that validation or test have too."""
    with st.container(border=True, key="leave-out"):
        st.markdown("**Leave them out of training**")
        st.caption(
            "A cut of the training images, without those that validation or test have too, or nearly, without pictures "
            "under two classes, and without other images of patients of validation and test. A launch on the cut "
            "trains at the same image size."
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input("Name of the cut", "without-leaks", key="leak-cut-name", max_chars=80)
            size = st.number_input(
                "Image size (px)",
                value=config.image_size,
                step=1,
                disabled=known(config.dataset),
                key="leak-cut-size",
            )
            sized = config.model_copy(update={"image_size": int(size)})
            about = {"needs": "cut", "type": "primary", "icon": ":material/content_cut:"}
            pressed = acting.button("Leave them out", [], "cut-leaks", **about) is not None
            if pressed and name.strip():
                beside.start_cut(sized, name.strip(), str(runs_dir()), stamps)
        show.mark(None if name.strip() else "Type a name.")
        _cut(beside.cut_of(sized, name.strip(), stamps), name.strip(), shown)


def _cut(made: Job | None, name: str, shown: Shown) -> None:
    with one_of(3, 0 if made is None else 1 if made.under_way else 2):
        if made and made.under_way:
            shown.look(made, st.empty())
        elif made:
            _made(made, name)


def _made(made: Job, name: str) -> None:
    try:
        found = answered(made)
    except UserError as error:
        show.say(error)
        return
    if not identity_of(runs_dir(), name):  # removed since
        return
    st.success(f"Saved as **{show.literal(name)}**. {said_of_cut(found)}", icon=":material/check:")
    st.page_link(
        "pages/launch.py", label="Launch: train on it", icon=":material/play_arrow:", query_params={"cut": name}
    )


def said_of_cut(found: dict[str, Any]) -> str:
    """How many images it leaves out, in its own notes."""
    cut = found.get("cut") or {}
    return " ".join(map(show.literal, cut.get("notes", [])))
