"""Which images of a split are looked at, and in which order: the choices of a person, kept in the address."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora.distillation.scores import SeedPredictions, Whose
from colora.runs.names import is_external
from colora.settings.catalog import SCORES, VERDICTS
from colora.system.errors import UserError
from colora.system.typed import bare
from pages.components import address, show
from pages.components.decimals import decimal
from pages.components.images import in_address

ORDERS = {"hardest": "Least certain first", "easiest": "Most certain first"}
OF_LABELS = {"hardest": "Most doubted first", "easiest": "Least doubted first"}
ANSWERS = {"right": "Right", "wrong": "Wrong"}
DOUBTED = {"yes": "Doubted", "no": "Not doubted"}
TRAINED = {"yes": "Trained on", "no": "Not trained on"}
UNJUDGED = "none"
JUDGED = VERDICTS | {UNJUDGED: "No verdict"}
PATIENT = "patient"
ON_MAP = ("outline", "like", "many", "left", "right", "bottom", "top")  # what selects there
FILTERS = ("true", "predicted", "answer", "trained", "doubted", "from", "to", "verdict", PATIENT)


@dataclass(frozen=True)
class Listed:
    """The images of a list. `table` has the columns of `scores.score_images`; rows (n,) are positions in it, in the
    order of the list, by `score`."""

    table: pd.DataFrame
    rows: np.ndarray
    score: str

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, first: int, last: int) -> pd.DataFrame:
        return self.table.iloc[self.rows[first:last]]

    def within(self, inside: np.ndarray) -> "Listed":
        """Those of the list for which `inside` (N,) bool, of the whole table, holds."""
        return Listed(self.table, self.rows[inside[self.rows]], self.score)

    def id_at(self, position: int) -> str:
        return self.table["image_id"].iloc[self.rows[position]]

    def row_of(self, image_id: str) -> int | None:
        """Position in the table, whether or not the list has the image."""
        found = np.flatnonzero((self.table["image_id"] == image_id).to_numpy())
        return int(found[0]) if len(found) else None

    def position(self, image_id: str) -> int | None:
        """Position in the list."""
        found = np.flatnonzero(self.rows == self.row_of(image_id))
        return int(found[0]) if len(found) else None

    @property
    def labels(self) -> np.ndarray:
        return self.table["label"].to_numpy()[self.rows]

    def curves(self) -> dict[int, np.ndarray]:
        """The scores of each true class, in the order of the list."""
        labels, values = self.labels, self.table[self.score].to_numpy()[self.rows]
        return {int(c): values[labels == c] for c in np.unique(labels)}

    def reached(self, position: int) -> dict[int, int]:
        """How many images of each class come before a position."""
        before = np.bincount(self.labels[:position], minlength=1)
        return {int(c): int(before[c]) if c < len(before) else 0 for c in np.unique(self.labels)}


def score_title(name: str) -> str:
    """Title and unit: `Entropy (nats)`."""
    return SCORES[name].title + (" (nats)" if "nats" in SCORES[name].about else "")


def choose_split(splits: Sequence[str]) -> str:
    return st.segmented_control(
        "Split",
        list(splits),
        required=True,
        format_func=show.split_label,
        key=address.one("part", splits, show.split_text),
        on_change=from_the_start,
        help="Train: what the models learn from, all of it. Validation: it chose the epoch. Test: kept apart."
        + show.OTHER_DATA * any(map(is_external, splits)),
    )


def choose_whose(found: SeedPredictions) -> Whose:
    """The best run by the group's selection rule, the mean over seeds, or one seed; of images that seeds left out in
    turn first of all those that did."""
    rule = "test, so optimistic" if found.group.config.selection == "paper" else "validation"
    names = {"held-out": "Seeds that left it out"} if found.cross_fitted else {}
    names["best"] = f"Best run (on {rule})"
    if len(found.seeds) > 1:
        names |= {"mean": "Mean over seeds"} | {str(seed): f"Seed {seed}" for seed in found.seeds}
    chosen = st.selectbox(
        "Whose model sorts",
        list(names),
        format_func=names.get,
        key=address.one("model", list(names), names.get),
        width=230,
        on_change=from_the_start,
        help="The paper sorts by its best model. The mean averages the probabilities (softmax) of all seeds.",
    )
    return int(chosen) if chosen.isdecimal() else chosen


def choose_score(found: SeedPredictions, label: str = "Sort by") -> str:
    """Of the scores that are known of some image."""
    over_seeds = found.over_seeds
    known = [name for name in SCORES if name not in over_seeds or over_seeds[name].notna().any()]
    return st.selectbox(
        label,
        known,
        format_func=score_title,
        key=address.one("sort", known, score_title),
        width=230,
        on_change=_another_score,
        help="  \n".join(f"**{SCORES[name].title}**: {SCORES[name].about}" for name in known),
    )


def _another_score() -> None:
    """Bounds of another score mean nothing for this one."""
    st.session_state["from"] = st.session_state["to"] = ""
    from_the_start()


def choose_order(score: str) -> str:
    return st.segmented_control(
        "Order",
        list(ORDERS),
        required=True,
        format_func=OF_LABELS.get if score == "label_doubt" else ORDERS.get,
        key=address.one("direction", list(ORDERS), ORDERS.get),
        on_change=from_the_start,
    )


def from_the_start() -> None:
    """Another list begins at its first image, and no image of the former one stays open."""
    address.drop("rank", "image")


def forget_other_group(name: str) -> None:
    """What was chosen among another group's images means nothing here, unless the address asks for it."""
    before, opened = st.session_state.get("images-of", (name, None))
    if before != name and opened == address.opened():
        _clear()
        address.drop(*ON_MAP)
        for key in {*ON_MAP} & {*st.session_state}:
            del st.session_state[key]
    st.session_state["images-of"] = name, address.opened()


def choose_filters(
    split: str, class_names: Sequence[str], table: pd.DataFrame, score: str, data_checksum: str
) -> dict[str, Any]:
    """What to leave out: {filter: value} of those that are set."""
    told = {  # what these images have nothing of is no filter here, whatever was chosen elsewhere
        "trained": split == "train" and not table["used"].all(),
        "doubted": table["label_doubt"].notna().any(),
        PATIENT: table["patient_id"].notna().any(),
    }
    active = sum(_is_set(name) for name in FILTERS if told.get(name, True))
    label = f"Filters · {active} set" if active else "Filters"
    unfolded = bool(st.session_state.get("filters"))  # a label that changes would fold it
    with st.expander(label, unfolded, icon=":material/filter_alt:", key="filters", on_change="rerun"):
        options: dict[str, Any] = {"on_change": from_the_start}
        many = {"selection_mode": "multi", **options}
        classes = many | {"format_func": show.literal}
        name, grid = SCORES[score].title, st.grid(3, min_column_width=240)
        chosen: dict[str, Any] = {
            "true": grid.pills("True class", class_names, key=address.several("true", class_names), **classes),
            "predicted": grid.pills(
                "Predicted class", class_names, key=address.several("predicted", class_names), **classes
            ),
            "answer": _one_or_none(grid, "Prediction", ANSWERS, "answer", options),
        }
        for key in ("from", "to"):
            with grid.cell():
                chosen[key] = bound(f"{name} {key}", key, **options)
        if told["trained"]:
            chosen["trained"] = _one_or_none(grid, "In training", TRAINED, "trained", options)
        if told["doubted"]:
            chosen["doubted"] = _one_or_none(grid, "Label", DOUBTED, "doubted", options)
        if told[PATIENT]:
            about = "The whole id, as in the data."
            key = in_address.name(PATIENT, data_checksum, table["patient_id"].dropna())
            chosen[PATIENT] = grid.text_input("Patient", key=key, help=about, **options)
        key = address.several("verdict", JUDGED, JUDGED.get)
        chosen["verdict"] = st.pills("Verdict", list(JUDGED), format_func=JUDGED.get, key=key, **many)
        st.button("Clear all", icon=":material/filter_alt_off:", on_click=_clear, disabled=not active, key="clear")
    return {name: value for name, value in chosen.items() if value not in (None, [], "")}


def bound(label: str, key: str, **options: Any) -> float | None:
    """A field. What is no number is marked, and bounds nothing."""
    text = st.text_input(label, key=address.text(key), placeholder="any", **options)
    try:
        return decimal(label, text)
    except UserError as error:
        show.mark(str(error))
        return None


def _one_or_none(place: Any, label: str, names: dict[str, str], key: str, options: dict[str, Any]) -> str | None:
    kept = address.one(key, list(names), names.get, default=None)
    return place.pills(label, list(names), format_func=names.get, key=kept, **options)


def _is_set(name: str) -> bool:
    return address.get(name) not in (None, "")


def _clear() -> None:
    for name in FILTERS:
        if name in st.session_state:
            empty = [] if name in ("true", "predicted", "verdict") else "" if name in ("from", "to", PATIENT) else None
            st.session_state[name] = empty
    address.drop(*FILTERS)
    from_the_start()


def sorted_rows(table: pd.DataFrame, score: str, order: str) -> np.ndarray:
    """Positions in the table by a score, of the images that have one; equal scores by image id, so that a shared
    address shows the same images."""
    values, ids = table[score].to_numpy(dtype=np.float64), table["image_id"].rank(method="first").to_numpy()
    sign = -1 if (SCORES[score].harder > 0) == (order == "hardest") else 1
    rows = np.lexsort((ids, sign * values))
    return rows[np.isfinite(values[rows])]


def listed(
    found: SeedPredictions,
    table: pd.DataFrame,
    rows: np.ndarray,
    score: str,
    chosen: dict[str, Any],
    judged: pd.DataFrame,
) -> Listed:
    """The images that pass every filter, in the order of `rows`, which are positions in the scores' `table`."""
    keep = np.ones(len(table), dtype=bool)
    values = table[score].to_numpy(dtype=np.float64)
    names = found.class_names
    for column, name in (("label", "true"), ("predicted", "predicted")):
        if name in chosen:
            keep &= table[column].isin([names.index(c) for c in chosen[name]]).to_numpy()
    if "answer" in chosen:
        keep &= table["right"].to_numpy() == (chosen["answer"] == "right")
    if "trained" in chosen:
        keep &= table["used"].to_numpy() == (chosen["trained"] == "yes")
    if "doubted" in chosen:
        doubt = found.label_doubt
        keep &= doubt.doubted if chosen["doubted"] == "yes" else doubt.judged & ~doubt.doubted
    if "from" in chosen:
        keep &= values >= chosen["from"]
    if "to" in chosen:
        keep &= values <= chosen["to"]
    if "verdict" in chosen:
        keep &= _judged(table, judged, chosen["verdict"])
    if PATIENT in chosen:
        keep &= (table["patient_id"] == bare(chosen[PATIENT])).to_numpy()
    return Listed(table, rows[keep[rows]], score)


def _judged(table: pd.DataFrame, judged: pd.DataFrame, wanted: Sequence[str]) -> np.ndarray:
    any_of = set(judged.loc[judged["verdict"].isin(wanted), "image_id"])
    keep = table["image_id"].isin(any_of).to_numpy()
    if UNJUDGED in wanted:
        keep = keep | ~table["image_id"].isin(set(judged["image_id"])).to_numpy()  # pandas' own array is read-only
    return keep
