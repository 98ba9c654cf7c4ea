"""The figures of each part of the images on Evaluate: by device, age, site, or whatever a table tells of them."""

from typing import Any

import pandas as pd
import streamlit as st

from colora import plots
from colora.metrics.figures import TITLES
from colora.results.metadata import MOST_BYTES, OF_IMAGE, OF_PATIENT, bring_metadata
from colora.results.subgroups import SMALL, Subgroups, columns_of, subgroups
from colora.runs.documents import QUESTION, contained
from colora.runs.folder import Group
from colora.runs.metadata import metadata_path
from colora.runs.names import is_external
from colora.system.errors import UserError
from colora.system.table_file import ENDINGS
from pages.components import acting, address, show
from pages.components.evaluate.intervals import validation_key
from pages.components.evaluate.readers import View, seen
from pages.components.runs import file_stamp

FIGURES = ("accuracy", "auc", "sensitivity", "specificity")
BROUGHT = "metadata-brought"


def subgroups_part(view: View, origin: str) -> None:
    """Which column divides the images, what the model reaches on each part, and the largest gap."""
    if said := st.session_state.pop(BROUGHT, None):
        show.say(said, st.success, ":material/check:")
    try:
        names = _names(view, view.key, _stamp(view))
    except UserError as error:
        show.say(error)
        return
    if not names:
        st.info(
            "Nothing is known of these images that divides them. A table that the images are named in tells it when a "
            "group is launched; one of images or patients can be added here.",
            icon=":material/groups:",
        )
    else:
        grid = st.grid(2, min_column_width=260)
        with grid.cell():
            name = st.selectbox("By", names, format_func=show.brief, key=address.one("by", names))
        with grid.cell():
            figure = st.segmented_control(
                "Figure", FIGURES, required=True, format_func=_title, key=address.one("of-parts", FIGURES, _title)
            )
        found = _subgroups(view, view.key, _stamp(view), name)
        say_gap(found)
        parts(view, found, figure, origin)
        table(view, found, origin)
    add_table(view)


def _title(figure: str) -> str:
    title = TITLES[figure]
    return title if title.isupper() else title.capitalize()


def _stamp(view: View) -> Any:
    """What is known of the images, and the question that they answer."""
    files = (metadata_path(view.group, view.split), view.group.path / QUESTION)
    return [file_stamp(file) for file in files], validation_key(view)


@st.cache_data(show_spinner=False, max_entries=32)
def _names(_view: View, key: Any, stamp: Any) -> list[str]:
    with contained(_view.group.path):
        return list(columns_of(seen(_view)))


@st.cache_resource(show_spinner=False, max_entries=16)
def _subgroups(_view: View, key: Any, stamp: Any, name: str) -> Subgroups:
    with contained(_view.group.path):
        return subgroups(seen(_view), name)


def say_gap(found: Subgroups) -> None:
    """The largest one in a sentence."""
    if found.widest is None:
        said = f"No two parts that are known have a figure of {SMALL} images or patients each, so no gap is named."
        st.info(said, icon=":material/groups:")
        return
    figure, gap = found.widest
    said = (
        f"**Largest gap:** {_title(figure)} is {gap.difference.value:.3f} [{gap.difference.low:.3f}, "
        f"{gap.difference.high:.3f}] higher for **{show.literal(gap.higher)}** than for **{show.literal(gap.lower)}**"
    )
    if gap.by_chance:
        st.markdown(f":material/balance: {said}: within noise, since that interval holds zero.")
    else:
        st.warning(f"{said}: more than chance.", icon=":material/groups:")
    many = gap.comparisons
    at_once = f" for all {many:,} differences of the four figures at once (Bonferroni)" if many > 1 else ""
    st.caption(
        f"The interval (MOVER) holds in 95 % of studies{at_once}. A figure of fewer than {SMALL} images, or patients "
        "where they are known, is left out, and so is what is not known."
    )


def parts(view: View, found: Subgroups, figure: str, origin: str) -> None:
    rows = [(p.value, p.figures[figure], figure in p.few) for p in found.parts if figure in p.figures]
    if not rows:
        show.say(found.why_not or "It cannot be said.", st.info, ":material/rule:")
        return
    show.show_figure(
        plots.parts_figure(rows, _title(figure)),
        f"{_title(figure)} by {show.brief(found.column)}",
        f"Of {show.literal(view.model())}, with 95 % intervals over images. Hollow and grey: fewer than {SMALL}, so "
        "that nothing certain is said.",
        f"{_title(figure)} of {len(rows)} parts of the images",
        frame(found),
        f"{view.name}-by-{figure}",
        origin,
    )


def frame(found: Subgroups) -> pd.DataFrame:
    """A row a part."""
    rows: list[dict[str, Any]] = []
    for part in found.parts:
        row: dict[str, Any] = {"column": found.column, "part": part.value}
        row |= {"images": part.images, "patients": part.patients}
        for name, each in part.figures.items():
            row |= {name: each.value, f"{name} low": each.low, f"{name} high": each.high}
            row |= {f"{name} small": name in part.few, f"{name} why not": each.reason}
        rows.append(row)
    return pd.DataFrame(rows)


def table(view: View, found: Subgroups, origin: str) -> None:
    shown = pd.DataFrame(
        [
            {
                "Part": part.value,
                "Images": part.images,
                "Patients": part.patients,
                **{_title(name): show.estimate_text(each) for name, each in part.figures.items()},
                "Small": "small" if part.small else "",
            }
            for part in found.parts
        ]
    )
    grey = [f"color: {show.CHIP_COLOURS['gray']}" if part.small else "" for part in found.parts]
    st.dataframe(
        shown.style.apply(lambda column: grey, axis=0),
        hide_index=True,
        key="parts",
        placeholder="–",
        alt=f"Figures of each part of the images. {origin}",
    )
    if found.asked:
        st.caption(f"Sensitivity and specificity of: {show.literal(found.asked)}.")
    st.caption(show.literal(origin))


def add_table(view: View) -> None:
    """A file with a line an image or a patient, kept with the group."""
    label = "Add what is known of the images"
    unfolded = st.expander(label, icon=":material/upload:", key="add-metadata", on_change="rerun")
    if not unfolded.open:
        return
    with unfolded:
        whose = "these images" if is_external(view.split) else "the group's images, of all splits"
        st.caption(
            f"A table with a line an image ({', '.join(OF_IMAGE[:3])}) or a patient ({', '.join(OF_PATIENT)}), and a "
            f"column for each thing that is known of {whose}. It stays with the group, on this computer."
        )
        kinds = [ending.removeprefix(".") for ending in ENDINGS]
        given = st.file_uploader("Table", kinds, key="metadata-file", max_upload_size=MOST_BYTES // 1_000_000)
        replace = st.checkbox("Replace what is known otherwise", key="metadata-replace")
        about = {"needs": "metadata", "icon": ":material/add:", "disabled": given is None}
        if (pressed := acting.button("Add", [view.group], "add-columns", **about)) and given:
            add(*pressed, view.split, (given.getvalue(), given.name), replace)


def add(group: Group, split: str, source: tuple[bytes, str], replace: bool) -> None:
    try:
        found = bring_metadata(group, split, source, replace)
    except UserError as error:
        show.say(error)
        return
    unused = f" {found['unused']:,} of {found['rows']:,} rows are of none of them." if found["unused"] else ""
    columns = ", ".join(found["columns"])
    st.session_state[BROUGHT] = f"Added {columns}, of {found['images']:,} of {found['of']:,} images.{unused}"
    st.rerun()
