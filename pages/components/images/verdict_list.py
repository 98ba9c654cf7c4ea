"""All verdicts on a group's data: who said what, how far two readers agree, and the list as a file."""

import hashlib
from contextlib import suppress

import pandas as pd
import streamlit as st

from colora.distillation import verdicts
from colora.distillation.scores import SeedPredictions
from colora.distillation.verdicts_csv import csv_bytes, import_csv
from colora.plots import SPLIT_NAMES
from colora.runs import audit
from colora.runs.external import external_splits
from colora.runs.folder import Group
from colora.runs.names import is_external
from colora.settings.catalog import VERDICTS
from colora.system.errors import UserError
from colora.system.table_file import ENDINGS
from pages.components import show
from pages.components.images import scored
from pages.components.images.in_address import open_image
from pages.components.images.who import reader, who_reads
from pages.components.runs import runs_dir

MOST_ROWS = 2_000  # of the table on the page; the file has all


def verdict_list(group: Group, found: SeedPredictions) -> None:
    """Of every split: verdicts belong to the data."""
    checksum = found.data_checksum
    judged = scored.verdicts(checksum)
    for problem in verdicts.problems(runs_dir()):
        show.say(problem, st.warning, ":material/warning:")
    if judged.empty:
        st.info("Nobody has judged an image of these data yet: open one and press a verdict.", icon=":material/info:")
    else:
        counts = judged.groupby(["reader", "verdict"]).size().unstack(fill_value=0)
        counts = counts.reindex(columns=list(VERDICTS), fill_value=0).rename(columns=VERDICTS)
        st.markdown("**Verdicts of each reader**")
        show.table(counts.rename_axis("Reader"), border="horizontal", alt="Verdicts of each reader, counted")
        second_look(judged)
        agreements(sorted(judged["reader"].unique()), checksum)
        table(group, judged, found)
    st.caption("They hold for these data at this image size; the same images at another size have their own.")
    files(judged, checksum)


def second_look(judged: pd.DataFrame) -> None:
    """Verdicts that do not say which picture was on the screen, and from when they are."""
    unsure = judged[judged["seen"].isna()]
    if unsure.empty:
        return
    first, last = (str(time)[:10] for time in (unsure["time"].min(), unsure["time"].max()))
    when = f"on {first}" if first == last else f"between {first} and {last}"
    one = len(unsure) == 1
    st.warning(
        f"{len(unsure):,} verdict{'' if one else 's'}, given {when}, {'does' if one else 'do'} not say which picture "
        "was on the screen. An earlier version of this app could show one image under the name of another, so "
        f"{'it' if one else 'they'} may want a second look; judged again, an image leaves this count.",
        icon=":material/visibility:",
    )


def agreements(readers: list[str], checksum: str) -> None:
    """Of every two readers, while they are few."""
    if len(readers) < 2:
        st.caption("Agreement of two readers (Cohen's kappa) is shown when two have judged.")
        return
    left, right = st.columns(2)
    with left:
        first = st.selectbox("First reader", readers, key="reader-one")
    with right:
        second = st.selectbox("Second reader", [name for name in readers if name != first], key="reader-two")
    found = verdicts.agreement(runs_dir(), first, second, checksum)
    st.markdown(show.literal(found["says"]))
    st.caption(
        "Cohen's kappa: agreement beyond what chance would give; 1 is full agreement, 0 is chance. A wrong label with "
        "another right class counts as another verdict."
    )


def table(group: Group, judged: pd.DataFrame, found: SeedPredictions) -> None:
    shown = judged.head(MOST_ROWS)
    names = [None if pd.isna(c) else verdicts.class_title(int(c), found.class_names) for c in shown["label"]]
    imported = {"Imported by": shown["imported_by"]} if shown["imported_by"].notna().any() else {}
    unsure = shown["seen"].isna()
    second = {"Second look": unsure.map({True: "advised", False: None})} if unsure.any() else {}
    rows = "/".join(f"{row.image_id} {row.reader}" for row in shown.itertuples())
    key = f"verdict-table-{hashlib.sha256(rows.encode()).hexdigest()[:12]}"  # so that no choice passes to another row
    chosen = st.dataframe(
        pd.DataFrame(
            {
                "Image": shown["image_id"],
                "Verdict": shown["verdict"].map(VERDICTS),
                "Right class": names,
                "Note": shown["note"],
                "Reader": shown["reader"],
                "Time (UTC)": shown["time"],
            }
            | imported
            | second
        ),
        hide_index=True,
        key=key,
        placeholder="–",
        alt="All verdicts on these data",
        on_select="rerun",
        selection_mode="single-row",
    )
    st.caption(f"Choose a row to open its image.{f' The first {MOST_ROWS:,} rows.' if len(judged) > MOST_ROWS else ''}")
    if chosen.selection.rows:
        image_id = shown["image_id"].iloc[chosen.selection.rows[0]]
        if (split := split_of(group, image_id, found)) is None:
            st.warning(f"This group has no prediction of {show.literal(image_id)}.", icon=":material/search_off:")
            return
        del st.session_state[key]
        st.session_state["to-view"] = ("browse", split)
        open_image(found.data_checksum, image_id)
        st.rerun()


def split_of(group: Group, image_id: str, found: SeedPredictions) -> str | None:
    """The split that has the image; the one on show is looked through first. Of the group's own data all splits have
    these verdicts, of other data the tests on them."""
    others = external_splits(group) if is_external(found.split) else SPLIT_NAMES
    for split in dict.fromkeys((found.split, *others)):
        with suppress(UserError):  # a split without predictions yet
            other = scored.predictions(group, split)
            if other.data_checksum == found.data_checksum and (other.images["image_id"] == image_id).any():
                return split
    return None


def files(judged: pd.DataFrame, checksum: str) -> None:
    """Export and import; what is imported is added, and what stands already is left out."""
    who = reader()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.download_button(
            "Export as CSV",
            lambda: csv_bytes(judged),
            file_name="verdicts.csv",
            mime="text/csv",
            icon=":material/download:",
            key="export",
            disabled=judged.empty,
            on_click="ignore",
        )
    with st.expander("Import a file", icon=":material/upload:", key="import"):
        kinds = [ending.removeprefix(".") for ending in ENDINGS]
        given = st.file_uploader("A file in the form of the export", kinds, key="verdict-file", max_upload_size=20)
        if who is None:
            mine = True
        elif audit.signed_in():
            by = show.literal(who)
            st.caption(f"They become verdicts of {by}, whoever the file names: here each reader decides alone.")
            mine = True
        else:
            mine = st.checkbox(f"As verdicts of {show.brief(who)}, whoever the file names", key="verdict-mine")
        if given and st.button("Import", key="verdict-import", disabled=who is None):
            try:
                added = import_csv(runs_dir(), given.getvalue(), who if mine else None)
            except UserError as error:
                show.say(error)
            else:
                st.success(f"{added['added']} verdicts added, {added['known']} stood already.", icon=":material/check:")
    who_reads()
