"""How the pages say things: states, figures with explanation and table, numbers and times for a person."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from colora.plots import SPLIT_NAMES, Written, split_title, written
from colora.runs.finished import counted, says_under_way, standing
from colora.runs.names import external_name, is_external
from colora.runs.siblings import says_apart
from colora.settings.catalog import BACKBONES, METHODS, split_backbone
from colora.system.spreadsheet import csv_bytes
from colora.system.typed import shortened
from pages.components import address

if TYPE_CHECKING:
    from colora.metrics.estimates import Estimate

STATES = {
    "queued": ("gray", ":material/schedule:", "waits for its turn"),
    "starting": ("blue", ":material/hourglass_top:", "reads data and weights"),
    "running": ("blue", ":material/play_circle:", "is being trained"),
    "stopping": ("orange", ":material/pending:", "finishes its step, then stops"),
    "stopped": ("orange", ":material/stop_circle:", "stopped on request, can be resumed"),
    "done": ("green", ":material/check_circle:", "is finished"),
    "failed": ("red", ":material/error:", "ended with an error, can be resumed"),
    "lost": ("red", ":material/link_off:", "its process is gone, can be resumed"),
    "damaged": ("red", ":material/broken_image:", "its folder cannot be read"),
}
CHIP_COLOURS = {
    "gray": "#8a959a",
    "blue": "#3d85c6",
    "orange": "#e69138",
    "green": "#3f9b6c",
    "red": "#d2504b",
}
STATE_COLUMN = st.column_config.MultiselectColumn(
    "State", options=list(STATES), color=[CHIP_COLOURS[colour] for colour, _, _ in STATES.values()]
)
SPLITS = ("test", "val", "train")  # in the order of their weight
OTHER_DATA = " The others are other data, which the models were tested on."
OPTIMISTIC = "Optimistic: by the paper's rule the test images chose the epoch, so figures on them are too good."
NOT_NEEDED = ["lasso2d", "select2d", "autoScale2d"]  # in a figure's toolbar
MARKUP = re.compile(r"[\\`*<>~$&|#]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|:(?=[\w/])|(?<=www)\.")  # begins or ends some
ICON = re.compile(r":(?=material/|[\w+-]*[A-Za-z+][\w+-]*:)")  # or an emoji: drawn even where the text is escaped
AT_A_BEGINNING = re.compile(r"^(\d*)([-+=.)])(?=[-+=\s]|$)")  # of a line: a list's mark, a heading's rule
JOINER = "\u2060"  # without width
PICTURE_FORMATS = {"png": "PNG", "svg": "SVG"}
PICTURE_SCALE = 3  # a PNG for print: three pixels for each one on the screen


def state_badge(state: str) -> None:
    colour, icon, meaning = STATES[state]
    st.badge(state, icon=icon, color=colour, help=f"{state}: {meaning}")


def synthetic_badge() -> None:
    st.badge(
        "SYNTHETIC",
        icon=":material/science:",
        color="violet",
        help="Generated images: figures mean nothing for patients.",
    )


def optimistic_badge() -> None:
    st.badge(
        "optimistic",
        icon=":material/warning:",
        color="orange",
        help=OPTIMISTIC,
    )


def optimistic(rule: str | None, split: str = "test") -> str:
    """What stands behind a figure on `split` at an epoch that the rule chose: a word with a space, or nothing."""
    return " optimistic" if rule == "paper" and split == "test" else ""


def about_line(summary: dict[str, Any]) -> None:
    """What a group is, in one line: network, method, data, who launched it and when."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if summary["data"]["synthetic"]:
            synthetic_badge()
        if summary["selection"]["rule"] == "paper":
            optimistic_badge()
        cut = summary["data"]["cut"]
        on_cut = f", trained on the cut {cut['name']} ({cut['hash'][:12]})" if cut else ""
        folds = summary["data"]["folds"]
        folded = f", cross-fitted: each seed leaves out one of {folds} parts of the training images" if folds else ""
        parts = (
            f"{model_title(summary['backbone'])}, {method_title(summary['method'])}",
            f"data: {summary['data']['source']} at {summary['data']['image_size']} px{on_cut}{folded}",
            f"launched by {summary['launched_by']}, {time_text(summary['created'])}",
        )
        st.caption(" · ".join(map(literal, parts)), width="content")


def theme_type() -> str:
    """How the browser shows the page: "light" or "dark"."""
    return "dark" if st.context.theme.type == "dark" else "light"


def text_colour() -> str:
    """The page's own text colour, for texts inside a figure."""
    return st.get_option(f"theme.{theme_type()}.textColor")


def page_colour() -> str:
    """The page's own colour, which a figure that is saved has behind it."""
    return st.get_option(f"theme.{theme_type()}.backgroundColor")


def three(value: float | None) -> str:
    """A share or an area for a person: three digits, a dash where it is not defined."""
    return "–" if value is None or pd.isna(value) else f"{value:.3f}"


def spread_text(spread: dict[str, Any] | None, seeds: int) -> str:
    """`0.915 [0.905–0.925]`: median and middle half over the seeds; one seed's own value stands alone. Where not all of
    the group's `seeds` count, it says how many do."""
    if spread is None:
        return "–"
    n = spread["n"]
    how_many = f" ({counted(n, seeds)})" if n == 1 or n < seeds else ""
    half = "" if n == 1 else f" [{three(spread['iqr'][0])}–{three(spread['iqr'][1])}]"
    return f"{three(spread['median'])}{half}{how_many}"


def estimate_text(found: "Estimate", digits: int = 3) -> str:
    """`0.915 [0.862, 0.949]`: a figure with its 95 % interval over images, or why something cannot be said."""
    if found.value is None:
        return f"not estimable: {found.reason}"
    value = f"{found.value:.{digits}f}"
    if found.low is None:
        return f"{value}, no interval: {found.reason}"
    return f"{value} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def not_counted(about: dict[str, Any]) -> None:
    """Which seeds count in the figures of a page, and why the others do not; nothing where all count."""
    if told := says_apart(about):
        st.warning(literal(told), icon=":material/call_split:")
    if told := says_under_way(about):
        st.info(literal(told), icon=":material/hourglass:")


def choose_split(external: Sequence[str] = ()) -> str:
    """Whose figures are shown, also of other data that groups were tested on; the address keeps it, for every page that
    asks."""
    splits = (*SPLITS, *external)
    return st.segmented_control(
        "Images",
        splits,
        required=True,
        format_func=split_label,
        key=address.one("split", splits, split_text),
        help="Test: images kept apart. Validation: they choose the epoch. Train: the models have seen them."
        + OTHER_DATA * bool(external),
    )


def split_label(split: str) -> str:
    """On a choice."""
    return f":material/public: {literal(split_title(split))}" if is_external(split) else split_title(split)


def split_text(split: str) -> str:
    """In an address, where no other data can take the name of a split of the group's own."""
    return split if is_external(split) else split_title(split)


def split_in_file(split: str) -> str:
    """In the name of a file that people save."""
    return split.replace("/", "-")


def split_of(summary: dict[str, Any], split: str) -> str:
    """`Test split of octmnist`, `External test clinic-b, oct-2019`: the images, for all that is shown of them."""
    if not is_external(split):
        return f"{SPLIT_NAMES[split]} split of {data_title(summary)}"
    about = summary["external"].get(split, {})
    name, data = external_name(split), data_title({"data": about}) if "source" in about else ""
    return f"External test {name}" + (f", {data}" if data not in ("", name) else "")


def literal(text: object) -> str:
    """What people typed, and names from the disk, in Markdown: shown as they are, on one line, and never as markup.

    Every text on a page that is not the app's own goes through this; only an address, as http://..., may become a link
    to itself.
    """
    plain = ICON.sub(f":{JOINER}", " ".join(str(text).split()))
    return AT_A_BEGINNING.sub(r"\1\\\2", MARKUP.sub(r"\\\g<0>", plain))


def brief(text: object) -> str:
    """`literal`, of a text that may be long its beginning."""
    return literal(shortened(str(text)))


def say(error: object, tell: Callable[..., Any] = st.error, icon: str = ":material/error:") -> None:
    """A sentence that may quote what was typed, or what stands in a file."""
    tell(literal(error), icon=icon)


def mark(problem: str | None, place: Any = st) -> None:
    """Under a field: what is wrong with it."""
    if problem:
        place.markdown(f":small[:red[:material/error: {literal(problem)}]]")


def table(frame: pd.DataFrame, alt: str, **options: Any) -> None:
    """A small table whose names and texts are shown as they are; Streamlit reads cells and headings as Markdown."""
    shown = frame.map(_cell).rename(index=_cell, columns=_cell).rename_axis(index=_cell, columns=_cell)
    st.table(shown, alt=alt, **options)


def _cell(value: Any) -> Any:
    return literal(value) if isinstance(value, str) else value


def time_text(iso: str) -> str:
    """`23 Nov, 17:08`: a time of group.json on the reader's own clock, as the browser tells its zone."""
    zone = ZoneInfo(st.context.timezone) if st.context.timezone else UTC
    time, now = datetime.fromisoformat(iso).astimezone(zone), datetime.now(zone)
    return f"{time.day} {time:%b}{'' if time.year == now.year else f' {time.year}'}, {time:%H:%M}"


def model_title(backbone: str) -> str:
    name, cut = split_backbone(backbone)
    return BACKBONES[name].title + (f" to {cut}" if cut else "")


def method_title(method: str) -> str:
    return METHODS[method].partition(":")[0]


def data_title(summary: dict[str, Any]) -> str:
    """The data's short name: of a path the last part, for the whole stands at the head of the page."""
    kind, _, place = summary["data"]["source"].partition(":")
    name = Path(place).name or kind
    if not summary["data"]["synthetic"]:
        return name
    return name.replace("synthetic", "SYNTHETIC") if "synthetic" in name else f"{name} (SYNTHETIC)"


def chosen_on(rule: str, split: str = "test") -> str:
    """The selection rule in four words, for figures on a split; `runs.selection` has the whole sentence."""
    if rule == "validation":
        return "chosen on validation"
    return "chosen on the group's own test split" if is_external(split) else "chosen on TEST, so optimistic"


def which_epoch(summary: dict[str, Any], epoch: int | None, seeds: list[int], split: str = "test") -> str:
    """Whose models at which epoch a figure shows, those of `seeds`, and the rule that chose it; a person chose a given
    `epoch`. A seed under way is said to be so."""
    by = chosen_on(summary["selection"]["rule"], split) if epoch is None else "chosen by hand"
    every = len(summary["seeds"])
    if len(seeds) == 1:
        row = next(row for row in summary["seeds"] if row["seed"] == seeds[0])
        at = f", epoch {row['selected_epoch']}" if epoch is None else f" at epoch {epoch}"
        so_far = "" if row["finished"] else f" · under way, {standing(row)}"
        return f"seed {row['seed']}{at}, {by}{so_far}" + (f" · apart, {row['apart']}" if row["apart"] else "")
    if len(seeds) == every:
        whose = "each seed's selected epoch" if epoch is None else f"every seed at epoch {epoch}"
    else:
        at = ", each at its selected epoch" if epoch is None else f" at epoch {epoch}"
        whose = f"{counted(len(seeds), every)}{at}"
    return f"{whose}, {by}"


def provenance(summary: dict[str, Any], split: str, images: int, seeds: list[int], epoch: int | None = None) -> str:
    """What a figure rests on: data, split, whose models, and the epoch with the rule that chose it."""
    which = which_epoch(summary, epoch, seeds, split)
    return f"{split_of(summary, split)}, {images:,} images · {which}"


def show_figure(
    figure: go.Figure | Written,
    title: str,
    says: str,
    alt: str,
    table: pd.DataFrame,
    name: str,
    origin: str = "",
    on_click: Callable[[], None] | None = None,
) -> None:
    """A figure under its title and one plain sentence, with what it rests on inside it, and its table as a file.

    Picture and file repeat `origin`, so that one that travels alone tells where it comes from. `on_click`
    is called when someone clicks a point, which then stands in the session's state under `figure_key(name)`.
    """
    st.markdown(f"**{title}**")
    st.caption(says)
    selecting: dict[str, Any] = {"on_select": on_click, "selection_mode": "points"} if on_click else {}
    chart(figure, name, origin, key=figure_key(name), alt=f"{alt}. {origin}" if origin else alt, **selecting)
    csv_button(table, name, origin)


def chart(figure: go.Figure | Written, name: str, origin: str, areas: bool = False, **options: Any) -> None:
    """A figure whose camera saves it under `name`, on the page's colour and with what it rests on; one that is written
    already has both. `areas`: a person may draw around points of it."""
    sent = figure if isinstance(figure, Written) else written(figure, origin, page_colour())
    st.plotly_chart(sent, config=chart_config(name, areas), **options)


def figure_key(name: str) -> str:
    return f"figure-{name}"


def chart_config(name: str, areas: bool = False) -> dict[str, Any]:
    """Plotly's toolbar, whose camera saves the figure under its own name in the chosen format."""
    kind = picture_kind()
    picture: dict[str, Any] = {"format": kind, "filename": name}
    if kind == "png":
        picture["scale"] = PICTURE_SCALE
    removed = NOT_NEEDED[-1:] if areas else NOT_NEEDED
    return {"displaylogo": False, "modeBarButtonsToRemove": removed, "toImageButtonOptions": picture}


def picture_kind() -> str:
    """Of PICTURE_FORMATS the chosen one."""
    return st.session_state.get("picture-format") or "png"


def picture_format() -> None:
    """At the end of a page with figures: how the camera in a figure's toolbar saves it."""
    st.segmented_control(
        "The camera in a figure's toolbar saves it as",
        list(PICTURE_FORMATS),
        default="png",
        required=True,
        format_func=PICTURE_FORMATS.get,
        key="picture-format",
        persist_state="session",
        help="PNG: a picture for slides, at three times the size on the screen. SVG: lines and letters that stay sharp "
        "at any size, for papers.",
    )


def csv_button(table: pd.DataFrame, name: str, origin: str = "") -> None:
    """The table as a CSV file, made only when someone asks for it."""
    st.download_button(
        "Table as CSV",
        lambda: csv_bytes(table.assign(origin=origin) if origin else table),
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        type="tertiary",
        key=f"csv-{name}",
        on_click="ignore",
    )
