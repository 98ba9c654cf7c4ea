"""The images of a split, sorted by how unsure the models are of them: look, compare, decide."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from colora.distillation.scores import SeedPredictions, whose_says
from colora.runs.folder import Group
from colora.settings.catalog import SCORES
from colora.system.errors import UserError
from pages.components import address, elsewhere, leaks, show, sign_in
from pages.components.frame import inside_app, one_of
from pages.components.images import listed, mapped, scored, selected
from pages.components.images.browse import browse
from pages.components.images.hardest import hardest
from pages.components.images.in_address import IMAGE, opened_image
from pages.components.images.judging import say_problem
from pages.components.images.map_view import forget_figure, map_view
from pages.components.images.one_image import one_image
from pages.components.images.other_split import split_to_go_to
from pages.components.images.verdict_list import verdict_list
from pages.components.runs import chosen_group, show_damage, show_damaged_seeds, summary

VIEWS = {"browse": "Browse", "map": "Map", "figures": "Figures 11 and 12", "verdicts": "Verdicts"}


def choose_view() -> str:
    return st.segmented_control(
        "View",
        list(VIEWS),
        required=True,
        format_func=VIEWS.get,
        key=address.one("view", list(VIEWS), VIEWS.get),
        help="Map: the images as points, near each other what the model finds alike. "
        "Figures 11 and 12 of the paper: the least certain images of each class, and typical ones.",
    )


def origin_of(found: SeedPredictions, about: dict, whose: listed.Whose, score: str) -> str:
    """What every picture on the page rests on: the predictions, and the order where it is not by the same model."""
    split, says, sorts = show.split_of(about, found.split), whose_says(found, whose), whose_says(found, whose, score)
    return f"{split}, {len(found.images):,} images · {says}" + (f" · sorted by {sorts}" if sorts != says else "")


def looking(group: Group, about: dict, found: SeedPredictions, split: str, on_map: bool) -> None:
    """The choices, then the grid, or the map with its own, or the one image that is open."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        score = listed.choose_score(found)
        whose = listed.choose_whose(found)
        order = listed.choose_order(score)
    ground = mapped.ground(group, found, whose) if on_map else None
    if on_map and ground is None and not address.get(IMAGE):
        return
    table = scored.scores(group, split, whose)
    chosen = listed.choose_filters(split, found.class_names, table, score, found.data_checksum)
    rows = scored.order_of(group, split, whose, score, order)
    origin = origin_of(found, about, whose, score)
    about_labels = f" {show.literal(found.label_doubt.says())}" if score == "label_doubt" else ""
    st.caption(f"{SCORES[score].about}{about_labels} {show.literal(origin)}.")

    def list_with(judged: pd.DataFrame) -> listed.Listed:
        return listed.listed(found, table, rows, score, chosen, judged)

    st.fragment(one_or_many)(group, about, found, whose, list_with, split, origin, on_map, ground)


def one_or_many(
    group: Group,
    about: dict,
    found: SeedPredictions,
    whose: listed.Whose,
    list_with: Callable[[pd.DataFrame], listed.Listed],
    split: str,
    origin: str,
    on_map: bool,
    ground: mapped.Ground | None,
) -> None:
    """Runs alone when an image is opened, judged or left, so it makes the list itself."""
    sign_in.still()
    address.tell()
    source = scored.pictures_of(found)
    judged = scored.verdicts(found.data_checksum)
    image_id = opened_image(found.data_checksum, found.images["image_id"])
    try:
        with one_of(2, 1 if image_id else 0):
            if image_id:
                forget_figure()
                shown = list_with(as_in_the_grid(found, judged))
                one_image(group, about, found, whose, within_selection(ground, shown), split, source, image_id)
            else:
                st.session_state["grid-judged"] = found.data_checksum, judged
                say_problem()
                if ground:
                    map_view(ground, list_with(judged), split, source, judged, origin)
                elif not on_map:  # without a map it is said above why
                    browse(found, list_with(judged), split, source, judged, origin)
    except UserError as error:  # here, since a part of the page that runs alone has no page around it
        show.say(error)
    address.tell()


def within_selection(ground: mapped.Ground | None, shown: listed.Listed) -> listed.Listed:
    """Those of the list that are selected there; without a selection, or a map, all."""
    chosen = selected.selected(ground, selected.asked()).inside if ground else None
    return shown if chosen is None else shown.within(chosen)


def as_in_the_grid(found: SeedPredictions, judged: pd.DataFrame) -> pd.DataFrame:
    """The verdicts that the grid's list was made with: while images are judged one by one, none of them leaves the list
    that its neighbours are in."""
    checksum, earlier = st.session_state.get("grid-judged", (None, judged))
    return earlier if checksum == found.data_checksum else judged


inside_app()
st.header("Images")
group = chosen_group("look at")
try:
    about = summary(group)
    show.about_line(about)
    leaks.line_and_banner(group, about["data"])
    show_damaged_seeds(about)
    show.not_counted(about)
    elsewhere.say_changes(group)
    listed.forget_other_group(group.name)
    if opened := st.session_state.pop("to-view", None):  # before the widgets that show it
        st.session_state["view"], st.session_state["part"] = opened
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = choose_view()
        split = listed.choose_split(("train", "val", "test", *about["external"]))
    try:
        found = scored.predictions(group, split)
    except UserError as error:
        scored.say_why_not(group, about, split, error)
        st.stop()
    if view == "figures":
        hardest(group, about, found, split)
    elif view == "verdicts":
        verdict_list(group, found)
    elif there := split_to_go_to(group, found):
        st.session_state["to-view"] = view, there
        st.rerun()
    else:
        looking(group, about, found, split, view == "map")
    show.picture_format()
except UserError as error:
    show_damage(group, error)
