"""Every group of runs at a glance: find, open, compare, copy, annotate, remove; and how busy this computer is."""

import hashlib
from typing import Any

import pandas as pd
import streamlit as st

from colora.engines import view
from colora.queue import worked
from colora.results.overview import SORTS, Line, lines
from colora.results.resolving import MEANS, in_cell
from colora.runs.folder import STATES, Group, Run
from colora.runs.listing import holds_groups
from colora.settings.presets import QUICK_LOOK
from colora.system.errors import UserError
from pages.components import acting, address, group_actions, machine
from pages.components.frame import inside_app
from pages.components.overview import live, trash
from pages.components.paged import page_number
from pages.components.runs import runs_dir
from pages.components.show import (
    OPTIMISTIC,
    STATE_COLUMN,
    csv_button,
    data_title,
    literal,
    method_title,
    model_title,
    optimistic,
    spread_text,
    time_text,
)

ROWS = 20  # groups on one page of the table; no others are read
OPEN = "open"  # what was pressed in the table
NOTE_LENGTH = 80  # characters of a note in its cell
FIGURE = f"Median over the finished seeds [middle half, IQR]. {OPTIMISTIC}"
COLUMNS = {
    "State": STATE_COLUMN,
    "Progress": st.column_config.ProgressColumn(format="%d%%", min_value=0, max_value=100, help="Epochs done, of all"),
    "Seeds": st.column_config.TextColumn(width=210, help="Seeds done, of all; the others by state and number"),
    "Test accuracy": st.column_config.TextColumn(help=FIGURE),
    "Test AUC": st.column_config.TextColumn(help=FIGURE),
    "Test images": st.column_config.TextColumn(help=f"How many, and what they tell apart. {MEANS}"),
    "Launched": st.column_config.TextColumn(help="When, on this browser's clock, and by whom"),
}


def welcome() -> None:
    """What to do first, where nothing has been run."""
    st.subheader("Nothing has been run yet")
    st.markdown(
        "A **group of runs** fine-tunes one pretrained network on one set of OCT images, several times with "
        "different random seeds, so that the result comes with its spread.\n\n"
        "1. **Launch** it: on your own scans, or at first the quick look, with generated images, a small network, a "
        "minute or two, no download.\n"
        "2. **Monitor** it while it learns.\n"
        "3. **Evaluate** it: accuracy, AUC, confusion matrix and ROC curves.\n\n"
        "Public sets are on the **Data** page."
    )
    with st.container(horizontal=True):
        if st.button("Train on your own scans", type="primary", icon=":material/upload:"):
            st.switch_page("pages/launch.py")
        if st.button("Set up the quick look", icon=":material/play_arrow:"):
            st.switch_page("pages/launch.py", query_params={"start": QUICK_LOOK.name})
    st.caption(f"Runs will be kept in {literal(runs_dir())}.")


def find() -> list[Line]:
    """The groups that the search, the states and the order ask for; all three stand in the address."""
    grid = st.grid(3, min_column_width=220)
    with grid.cell():
        search = st.text_input(
            "Search",
            key=address.text("search"),
            icon=":material/search:",
            placeholder="name, network, method, data, note, person",
        )
    with grid.cell():
        states = st.multiselect("State", STATES, key=address.several("state", STATES), placeholder="any")
    with grid.cell():
        key = address.one("order", list(SORTS), SORTS.get)
        sort = st.selectbox("Order", list(SORTS), format_func=SORTS.get, key=key)
    return lines(runs_dir(), search, states, sort)


def row_of(line: Line) -> dict[str, Any]:
    """One line of the table; of a damaged group its name and what can be read."""
    row: dict[str, Any] = {"Group": line.name, "State": ["damaged"]}
    try:
        state, (source, synthetic) = line.state, line.data  # first the state: later figures change it, and are shown
        rule = optimistic(line.config.get("selection"))
        accuracy, auc, seeds = line.spread("accuracy"), line.spread("auc"), len(line.group.runs)
        return row | {
            "State": [state],
            "Progress": 100 * line.progress,
            "Seeds": line.seeds_text(),
            "Test accuracy": spread_text(accuracy and accuracy.as_dict(), seeds) + (rule if accuracy else ""),
            "Test AUC": spread_text(auc and auc.as_dict(), seeds) + (rule if auc else ""),
            "Test images": in_cell(line.test_images) if line.test_images else None,
            "Network": model_title(line.config["backbone"]),
            "Method": method_title(line.config["method"]),
            "Data": data_title({"data": {"source": source, "synthetic": synthetic}}),
            "Launched": f"{time_text(line.created)}, {line.launched_by}",
            "Notes": " ".join(line.notes.split())[:NOTE_LENGTH],
        }
    except UserError:
        return row  # `Line.damage` says why


def table(shown: list[Line]) -> list[Line]:
    """The table of `shown`; returns the ticked ones."""
    place = st.container()  # the buttons stand above the table, and are known after it
    key = table_key(shown)
    columns = {"Group": names_column(key, shown)} | COLUMNS
    rows = pd.DataFrame([row_of(line) for line in shown], columns=[*columns, "Network", "Method", "Data", "Notes"])
    order = ["Group", "State", "Progress", "Seeds", "Test accuracy", "Test AUC", "Network", "Method", "Data"]
    ticked = st.dataframe(
        rows,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=key,
        alt="Groups of runs",
        height="content",
        placeholder="–",
        column_order=[*order, "Test images", "Launched", "Notes"],
        column_config=columns,
    )
    chosen = [shown[row] for row in ticked.selection.rows if row < len(shown)]
    with place:
        group_actions.toolbar(chosen)
    st.caption(
        "Press a name to open it; tick rows to compare, copy, annotate or remove them. Test accuracy and AUC (mean "
        "one-vs-rest area under the ROC curve): median over the finished seeds [interquartile range], each at its "
        "selected epoch, the best on validation; a dash where none has finished. SYNTHETIC: generated images, whose "
        "figures mean nothing for patients. Optimistic: the test images chose the epoch, as in the paper."
    )
    csv_button(rows.assign(State=rows["State"].str[0]), "groups")
    for line in shown:
        if damage := line.damage:
            st.warning(f"**{literal(line.name)}** is damaged: {literal(damage)}", icon=":material/broken_image:")
        elif mixed := line.mixed:
            st.warning(f"**{literal(line.name)}**: {literal(mixed)}", icon=":material/call_split:")
        for told in () if line.damage else line.silent:
            st.warning(f"**{literal(line.name)}**: {literal(told)}", icon=":material/volume_off:")
    return chosen


def tell_waiting(shown: list[Line]) -> None:
    """The groups whose seeds wait for nobody, once for each reason."""
    names: dict[str, list[str]] = {}
    for line in shown:
        if not line.damage and (told := view.unattended(line.group, worked.watched(runs_dir()))):
            names.setdefault(told, []).append(f"**{literal(line.name)}**")
    for told, who in names.items():
        st.warning(f"{', '.join(who)}: {literal(told)}", icon=":material/hourglass_disabled:")


def table_key(shown: list[Line]) -> str:
    """Another one when other groups stand in the rows, so that no tick passes from one group to another."""
    names = "/".join(f"{line.name} {line.group.identity}" for line in shown)
    return f"groups-{hashlib.sha256(names.encode()).hexdigest()[:12]}"


def names_column(key: str, shown: list[Line]) -> Any:
    """The names, each of which opens its group: the one that stood in the row when it was pressed."""
    groups = acting.bound(line.group for line in shown)
    return st.column_config.ButtonColumn(
        pinned=True,
        type="tertiary",
        key=f"open-{key}",
        alignment="left",
        help="Opens it",
        on_click=name_pressed,
        args=(f"open-{key}", groups),
    )


def name_pressed(key: str, groups: tuple[Group, ...]) -> None:
    acting.press(OPEN, (groups[st.session_state[key]["row"]],))


inside_app()
if opened := acting.pressed(OPEN):
    group_actions.open_group(Line(*opened))
st.header("Groups of runs")
group_actions.undo_removal()
there = holds_groups(runs_dir())
found = find() if there else []
active: list[Line] = []
if found:
    place = st.container()
    number = page_number("page", -(-len(found) // ROWS))
    shown = found[(number - 1) * ROWS : number * ROWS]
    with place:
        table(shown)
        tell_waiting(shown)
    active = [line for line in shown if not line.damage and line.group.active]
elif there:
    st.info("No group has all of these words and one of these states.", icon=":material/search_off:")
else:
    welcome()
trash.show_trash()
st.subheader("This computer")
machine.show_machine(runs_dir())
if active and not group_actions.dialog_is_open():
    drawn = [run for line in active for run in line.group.runs]  # each with the status that it was drawn with
    follow = [run.status for run in drawn], worked.watched(runs_dir())
    live.follow(follow, lambda: ([Run(run.path).status for run in drawn], worked.watched(runs_dir())))
