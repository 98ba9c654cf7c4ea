"""Every group of runs at a glance, newest first; choosing one opens it."""

from typing import Any

import pandas as pd
import streamlit as st

from colora.errors import UserError
from colora.runs import Group, list_groups
from pages.components.command import run_colora
from pages.components.frame import inside_app
from pages.components.runs import runs_dir, summary
from pages.components.show import STATE_COLUMN, data_title, method_title, model_title, spread_text, time_text

ROWS = 20  # groups on one page of the table; no others are read


def welcome() -> None:
    """What to do first, where nothing has been run."""
    st.subheader("Nothing has been run yet")
    st.markdown(
        "A **group of runs** fine-tunes one pretrained network on one set of OCT images, several times with "
        "different random seeds, so that the result comes with its spread.\n\n"
        "1. **Launch** the quick look: generated images, a small network, a minute or two, no download.\n"
        "2. **Monitor** it while it learns.\n"
        "3. Read its **Results**: accuracy, AUC, confusion matrix and ROC curves.\n\n"
        "Then name your own images on the Launch page, or get a public set on the **Data** page."
    )
    if st.button("Set up the quick look", type="primary", icon=":material/play_arrow:"):
        st.switch_page("pages/launch.py")
    st.caption(f"Runs will be kept in {runs_dir()}.")


def row_of(group: Group) -> tuple[dict[str, Any], bool, str | None]:
    """One line of the table, whether it still changes, and what is damaged."""
    try:
        found = summary(group)
        rule = " optimistic" if found["selection"]["rule"] == "paper" else ""
        test = {metric: found["over_seeds"]["test"][metric] for metric in ("accuracy", "auc")}
        row = {
            "Group": group.name,
            "State": [found["state"]],
            "Seeds": f"{sum(s['state'] == 'done' for s in found['seeds'])} of {len(found['seeds'])}",
            "Test accuracy": spread_text(test["accuracy"]) + (rule if test["accuracy"] else ""),
            "Test AUC": spread_text(test["auc"]) + (rule if test["auc"] else ""),
            "Model": f"{model_title(found['backbone'])}, {method_title(found['method'])}",
            "Data": data_title(found),
            "Launched": f"{time_text(found['created'])}, {found['launched_by']}",
        }
        damaged = [s["reason"] for s in found["seeds"] if s["state"] == "damaged"]
        return row, group.active, damaged[0] if damaged else None
    except UserError as error:
        return {"Group": group.name, "State": ["damaged"]}, False, str(error).splitlines()[0]


def overview(groups: list[Group]) -> None:
    """The table of `groups`; choosing a row opens Results where all is done, else Monitor."""
    rows, active, damages = zip(*map(row_of, groups), strict=True)
    chosen = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="overview",
        alt="Groups of runs, newest first",
        placeholder="–",
        column_config={
            "Group": st.column_config.TextColumn(pinned=True),
            "State": STATE_COLUMN,
            "Seeds": st.column_config.TextColumn(help="Seeds done, of all seeds"),
            "Test accuracy": st.column_config.TextColumn(help="Median over seeds [middle half, IQR]"),
            "Test AUC": st.column_config.TextColumn(help="Median over seeds [middle half, IQR]"),
            "Launched": st.column_config.TextColumn(help="When, on this browser's clock, and by whom"),
        },
    )
    if chosen.selection.rows:
        row = rows[chosen.selection.rows[0]]
        page = "pages/results.py" if row["State"] == ["done"] else "pages/monitor.py"
        st.switch_page(page, query_params={"group": row["Group"]})
    if any(active):
        st.button("Refresh", icon=":material/refresh:", type="tertiary", help="Something is running.")
    st.caption(
        "Choose a row to open it. Test accuracy and AUC (mean one-vs-rest area under the ROC curve): median "
        "over the seeds [interquartile range], each seed at its selected epoch so far. SYNTHETIC: generated "
        "images, whose figures mean nothing for patients. Optimistic: the test images chose the epoch, as in "
        "the paper."
    )
    for group, damage in zip(groups, damages, strict=True):
        if damage:
            st.warning(f"**{group.name}** is damaged: {damage}", icon=":material/broken_image:")


def undo_removal() -> None:
    """After a group was removed in this tab: the way back."""
    name = st.session_state.get("removed")
    if not name:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"**{name}** is in the trash.", icon=":material/delete:")
        if st.button("Undo", icon=":material/undo:", key="undo"):
            try:
                run_colora(["rm", "--undo", str(runs_dir() / name)])
            except UserError as error:
                st.error(str(error))
            else:
                del st.session_state["removed"]
                st.rerun()


inside_app()
st.header("Groups of runs")
undo_removal()
every = list_groups(runs_dir())
if not every:
    welcome()
    st.stop()
pages = -(-len(every) // ROWS)
number = st.pagination(pages, key="page", bind="query-params") if pages > 1 else 1
overview(every[(number - 1) * ROWS : number * ROWS])
