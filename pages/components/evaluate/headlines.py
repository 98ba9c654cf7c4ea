"""How good the chosen models are in three numbers, and each seed on its own: the upper part of Evaluate."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora import plots
from colora.metrics.estimates import Estimate
from colora.metrics.over_seeds import Spread
from colora.runs.finished import counted, standing
from colora.runs.folder import Group
from colora.runs.names import is_external
from pages.components import show
from pages.components.evaluate import intervals
from pages.components.evaluate.readers import View, seen

SEED_FIGURES = {
    "accuracy": "Each dot is one training with its own random start.",
    "auc": "The same for how well a class is told from the others at any threshold (mean one-vs-rest AUC): "
    "1 is perfect, 0.5 is chance.",
}
BOX = " The box holds the middle half (IQR), its line is the median, the whiskers reach the lowest and the highest."
ENSEMBLE = " Diamond: the seeds' ensemble, the mean of their probabilities, as one model."
WHISKERS = " Its whiskers are the 95 % interval over images; on the images it learnt from an interval says nothing."
HOLLOW = " Hollow dots are seeds in no figure over seeds: under way, so far, or not trained alike."
HEADLINES = {
    "accuracy": ("Accuracy", "Share of the images whose most probable class is the true one."),
    "auc": ("AUC, mean over classes (macro)", "The mean of the classes' one-vs-rest areas, each class counting alike."),
    "auc_micro": (
        "AUC, pooled (micro)",
        "One area over all classes' questions together, so that frequent classes count more.",
    ),
}


def seed_table(group: Group, about: dict[str, Any], epoch: int | None) -> pd.DataFrame:
    """One row a seed that has finished the epoch: where the seed stands, the epoch and the figures there."""
    rows = []
    for run, found in zip(group.runs, about["seeds"], strict=True):
        at = found.get("selected_epoch") if epoch is None else epoch
        metrics = run.metrics
        row = metrics[metrics["epoch"] == at] if len(metrics) else metrics
        if len(row):
            figures = {f"{s}_{m}": row.iloc[0][f"{s}_{m}"] for s in plots.SPLIT_NAMES for m in ("accuracy", "auc")}
            state = found["state"] if found["finished"] else f"{standing(found)}, so far"
            state += f", trained {found['apart']}" if found["apart"] else ""
            counts = found["finished"] and not found["apart"]
            rows.append({"seed": run.seed, "finished": counts, "state": state, "epoch": at, **figures})
    return pd.DataFrame(rows)


def headlines(view: View, about: dict[str, Any], origin: str) -> None:
    """Accuracy and AUC: median and spread over the seeds, with their ensemble's; or one model's with their intervals
    over images."""
    grid = st.grid(3, min_column_width=240)
    for metric, (title, meaning) in HEADLINES.items():
        with grid.cell():
            if view.over_images:
                interval_card(intervals.model_figures(view).overall[metric], title, meaning)
            else:
                spread_card(Spread.of(view.outcome.whole[metric]), title, meaning, len(about["seeds"]))
    if view.over_images:
        st.caption(show.literal(what_intervals_say(view)))
    if not view.several:
        said = "One seed only" if len(about["seeds"]) == 1 else "One seed"
        st.caption(f"{said}: nothing can be said about the spread between trainings.")
    elif (joint := view.outcome.joint) and not view.over_images:
        st.caption(
            f"As one model, {show.literal(view.model())} (the mean of their probabilities): accuracy "
            f"**{show.three(joint['accuracy'])}**, AUC (macro) **{show.three(joint['auc'])}**. The medians above are "
            "over the seeds' own models."
        )
    st.caption(show.literal(origin))


def spread_card(spread: Spread | None, title: str, meaning: str, seeds: int) -> None:
    st.metric(title, show.three(spread and spread.median), border=True, help=meaning)
    if spread and spread.n > 1:
        st.caption(
            f"Median over {counted(spread.n, seeds)} · middle half (IQR) {show.three(spread.q1)} to "
            f"{show.three(spread.q3)} · range {show.three(spread.low)} to {show.three(spread.high)}"
        )


def interval_card(found: Estimate, title: str, meaning: str) -> None:
    st.metric(title, show.three(found.value), border=True, help=meaning)
    if found.reason:
        st.caption(f"{'No interval' if found.value is not None else 'Not estimable'}: {found.reason}")
    else:
        st.caption(f"95 % interval {show.three(found.low)} to {show.three(found.high)} ({found.method})")


def what_intervals_say(view: View) -> str:
    """Whose figures these are, on how many images of how many patients, and what their intervals mean."""
    images = f"{view.outcome.images:,} images"
    patients = seen(view).patients
    of = f"{images} of {len(np.unique(patients)):,} patients" if patients is not None else images
    alone = "" if patients is not None else " Where several are of one patient, intervals are wider in truth."
    return (
        f"Figures of {view.model()} on {of}. The intervals say what other images of the same kind could have given the "
        f"same model, and nothing of other trainings.{alone}"
    )


def every_seed(view: View | None, table: pd.DataFrame, about: dict[str, Any], epoch: int | None) -> None:
    """Every seed on its own, on all three splits; those that do not count in no box. Where a `view` is of one model
    over images, with each seed's own interval."""
    name, at = about["name"], "selected" if epoch is None else f"epoch-{epoch}"
    whiskers = view is not None and view.over_images
    external = view.split if view and is_external(view.split) else None
    table = with_external(table, view) if external else table
    table = intervals.with_intervals(table, view) if whiskers else table
    counting, hollow = table.loc[table["finished"], "seed"].tolist(), not table["finished"].all()
    which = show.which_epoch(about, epoch, counting) if counting else "no seed has finished yet"
    which += " · hollow: in no figure over seeds" * hollow
    beside = f", {show.split_of(about, external)}" if external else ""
    grid = st.grid(2, min_column_width=300)
    for metric in ("accuracy", "auc"):
        says, one = SEED_FIGURES[metric], joint(view, metric)
        if metric == "accuracy":
            says += (WHISKERS if whiskers else BOX * bool(counting)) + ENSEMBLE * bool(one)
        with grid.cell():
            show.show_figure(
                plots.seed_figures(table, metric, whiskers, one, external),
                f"{plots.METRIC_NAMES[metric]} of every seed",
                says + HOLLOW * hollow,
                f"{plots.METRIC_NAMES[metric]} of each seed on train, validation and test" + beside,
                table,
                f"{name}-{at}-seeds-{metric}",
                f"Train, validation and test splits of {show.data_title(about)}{beside} · {which}",
            )
    columns = ["val_accuracy", "test_accuracy", "test_auc", "val_auc", "train_accuracy"]
    columns = [f"{external}_accuracy", f"{external}_auc", *columns] if external else columns
    st.dataframe(
        table,
        hide_index=True,
        key="seed-figures",
        placeholder="–",
        column_order=["seed", *["state"] * hollow, "epoch", *columns],
        column_config={"seed": "Seed", "state": "State", "epoch": "Epoch"}
        | {
            f"{s}_{m}": st.column_config.NumberColumn(f"{plots.split_title(s)} {plots.METRIC_NAMES[m]}", format="%.3f")
            for s in (*plots.SPLIT_NAMES, *([external] if external else []))
            for m in ("accuracy", "auc")
        },
        alt="Epoch, accuracy and AUC of each seed",
    )


def with_external(table: pd.DataFrame, view: View) -> pd.DataFrame:
    """A row a seed with its figures on the view's other data; NaN of one that was not tested."""
    seeds = [run.seed for run in view.runs]
    columns = {
        f"{view.split}_{metric}": table["seed"].map(dict(zip(seeds, view.outcome.whole[metric], strict=True)))
        for metric in ("accuracy", "auc")
    }
    return table.assign(**columns)


def joint(view: View | None, metric: str) -> tuple[str, float, float, float] | None:
    """The ensemble's figure on the view's split with its interval; None where one seed, or the rule's one model, stands
    for the group, and where it is not defined."""
    if view is None or not view.outcome.joint or (value := view.outcome.joint[metric]) is None:
        return None
    if not view.over_images:
        return view.split, value, np.nan, np.nan
    found = intervals.model_figures(view).overall[metric]
    low, high = (np.nan if end is None else end for end in (found.low, found.high))
    return view.split, value, low, high
