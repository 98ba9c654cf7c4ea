"""How good a group's models are: over the seeds first, then one seed's model in detail."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora import plots
from colora.errors import UserError
from colora.runs import Group, Run
from pages.components import show
from pages.components.frame import inside_app
from pages.components.runs import arrays, chosen_group, report, show_damage, show_damaged_seeds, summary

SEED_FIGURES = {
    "accuracy": "Each dot is one training with its own random start. The box holds the middle half (IQR), "
    "its line is the median, the whiskers reach the lowest and the highest.",
    "auc": "The same for how well a class is told from the others at any threshold (mean one-vs-rest AUC): "
    "1 is perfect, 0.5 is chance.",
}


def seed_table(about: dict[str, Any]) -> pd.DataFrame:
    """One row a seed with a finished epoch: its selected epoch and the figures there."""
    rows = [
        {"seed": row["seed"], "state": row["state"], "selected_epoch": row["selected_epoch"]}
        | {f"{split}_{m}": row[split][m] for split in plots.SPLIT_NAMES for m in ("accuracy", "auc")}
        for row in about["seeds"]
        if "selected_epoch" in row
    ]
    return pd.DataFrame(rows)


def what_to_know(about: dict[str, Any]) -> None:
    """The rule that chose the epochs, and everything the runs warned of."""
    rule, warnings = about["selection"], list(about["warnings"])
    if rule["rule"] == "paper":
        best = next(row for row in about["seeds"] if row["seed"] == about["best_seed"])
        warnings.insert(
            0,
            f"**Optimistic figures.** The rule of this group takes {rule['says']}. That model is seed "
            f"{best['seed']} at epoch {best['selected_epoch']}, test accuracy "
            f"{show.three(best['test']['accuracy'])}. The medians below are over each seed's epoch "
            "of best test accuracy, and optimistic too.",
        )
    else:
        st.caption(f"Selection: {rule['says']}. The test images played no part in it.")
    if about["data"]["split"]:
        st.caption(f"Train, validation and test were separated so: {about['data']['split']}.")
    if warnings:
        st.warning("\n\n".join(warnings), icon=":material/warning:")


def over_seeds(about: dict[str, Any], split: str) -> None:
    """Median, middle half and range over the seeds, then every seed on its own."""
    table, name = seed_table(about), about["name"]
    images = sum(about["data"]["class_counts"]["used" if split == "train" else split])
    origin = show.provenance(about, split, images)
    chosen = show.chosen_on(about["selection"]["rule"])
    unfinished = sum(row["state"] != "done" for row in about["seeds"])
    st.subheader("Over the seeds")
    grid = st.grid(2, min_column_width=280)
    for metric, label in (("accuracy", "Accuracy"), ("auc", "AUC (mean one-vs-rest)")):
        spread = about["over_seeds"][split][metric]
        with grid.cell():
            title = f"{label}, {plots.SPLIT_NAMES[split].lower()} split"
            st.metric(title, show.three(spread and spread["median"]), border=True)
            if spread and spread["n"] > 1:
                (q1, q3), (low, high) = spread["iqr"], spread["range"]
                st.caption(
                    f"Median over {spread['n']} seeds · middle half (IQR) {show.three(q1)} to "
                    f"{show.three(q3)} · range {show.three(low)} to {show.three(high)}"
                )
            elif spread:
                st.caption("One seed only: nothing can be said about the spread.")
    st.caption(origin)
    if unfinished:
        st.info(
            f"{unfinished} of {len(about['seeds'])} seeds are not done: figures so far.",
            icon=":material/hourglass:",
        )
    grid = st.grid(2, min_column_width=300)
    for metric in ("accuracy", "auc"):
        with grid.cell():
            show.show_figure(
                plots.seed_figures(table, metric),
                f"{plots.METRIC_NAMES[metric]} of every seed",
                SEED_FIGURES[metric],
                f"{plots.METRIC_NAMES[metric]} of each seed on train, validation and test",
                table,
                f"{name}-seeds-{metric}",
                f"{show.data_title(about)} · each seed's selected epoch, {chosen}",
            )
    st.dataframe(
        table,
        hide_index=True,
        key="seed-figures",
        placeholder="–",
        column_order=[
            "seed",
            "selected_epoch",
            "val_accuracy",
            "test_accuracy",
            "test_auc",
            "val_auc",
            "train_accuracy",
        ],
        column_config={"seed": "Seed", "selected_epoch": "Selected epoch"}
        | {
            f"{s}_{m}": st.column_config.NumberColumn(f"{plots.SPLIT_NAMES[s]} {plots.METRIC_NAMES[m]}", format="%.3f")
            for s in plots.SPLIT_NAMES
            for m in ("accuracy", "auc")
        },
        alt="Selected epoch, accuracy and AUC of each seed",
    )


def one_seed(group: Group, about: dict[str, Any], split: str) -> None:
    """The chosen seed's model on the chosen split: confusions, ROC and figures of each class."""
    st.subheader("One seed's model")
    by_seed = {row["seed"]: row for row in about["seeds"] if "selected_epoch" in row}
    best = about["best_seed"]
    seed = st.selectbox(
        "Seed",
        list(by_seed),
        index=list(by_seed).index(best),
        key=f"seed-{group.name}",
        format_func=lambda s: f"Seed {s} (best by the group's selection rule)" if s == best else f"Seed {s}",
    )
    run = next(r for r in group.runs if r.seed == seed)
    if not (run.path / "predictions" / f"{split}.parquet").exists():
        st.info(
            f"Seed {seed} has not written its predictions: they come when it is done, and it is {run.state}. "
            "Choose another seed, or look at it on the Monitor page.",
            icon=":material/hourglass:",
        )
        return
    found = report(run, split)
    origin = show.provenance(about, split, found["n"], by_seed[seed])
    grid = st.grid(2, min_column_width=300)
    with grid.cell():
        confusions(group, found, origin, f"{group.name}-seed-{seed}-{split}")
    with grid.cell():
        roc(run, found, split, origin, f"{group.name}-seed-{seed}-{split}")
    per_class(found, origin, f"{group.name}-seed-{seed}-{split}")


def confusions(group: Group, found: dict[str, Any], origin: str, name: str) -> None:
    classes = list(found["per_class"])
    matrix = np.array(found["confusion_matrix"])
    table = pd.DataFrame(matrix, columns=[f"predicted {c}" for c in classes])
    table.insert(0, "true class", classes)
    show.show_figure(
        plots.confusion_matrix(matrix, classes, show.text_colour()),
        "Confusion matrix",
        "What the model called the images of each class: a row is the true class, a column the predicted "
        "one; the diagonal is right. Counts, and their share of the row.",
        f"Confusion matrix, {int(np.trace(matrix))} of {found['n']} images right",
        table,
        f"{name}-confusion",
        origin,
    )


def roc(run: Run, found: dict[str, Any], split: str, origin: str, name: str) -> None:
    classes = list(found["per_class"])
    labels, probabilities = arrays(run, split)
    show.show_figure(
        plots.roc_curves(labels, probabilities, classes),
        "ROC curves",
        "Images of a class that are found (recall) against others mistaken for it, at every threshold. Up "
        "and left is better; the number is the area under the curve (AUC).",
        "One-vs-rest ROC curve of each class",
        plots.roc_table(labels, probabilities, classes),
        f"{name}-roc",
        origin,
    )


def per_class(found: dict[str, Any], origin: str, name: str) -> None:
    st.markdown("**Each class against the rest**")
    st.caption(
        "Recall (sensitivity): share of the class's images that are found. Precision: share of the images so "
        "called that are of the class. Specificity: share of all other images that are not so called."
    )
    columns = {"class": "Class", "n": "Images", "recall": "Recall", "precision": "Precision"}
    columns |= {"specificity": "Specificity", "auc": "AUC"}
    table = pd.DataFrame([{"class": c, **row} for c, row in found["per_class"].items()])[list(columns)]
    shown = table.assign(
        **{c: [show.three(x) for x in table[c]] for c in ("recall", "precision", "specificity", "auc")}
    )
    st.table(shown.rename(columns=columns).set_index("Class"), border="horizontal")
    st.caption(origin)
    show.csv_button(table, f"{name}-classes", origin)


def data_and_model(about: dict[str, Any]) -> None:
    """What the figures rest on: images of each class in each split, how they were split, what was trained."""
    data, parameters = about["data"], about["parameters"]
    if not data["class_counts"]:
        return
    with st.expander("Data, split and network", icon=":material/database:"):
        names = plots.SPLIT_NAMES | {"train": "Train (whole split)", "used": "Train (images trained on)"}
        rows = {names[s]: dict(zip(data["class_names"], n, strict=True)) for s, n in data["class_counts"].items()}
        counts = pd.DataFrame(rows).T
        st.table(counts.assign(all=counts.sum(axis=1)), border="horizontal")
        st.markdown(
            f"- Source: {data['source']}, {data['image_size']} px{', SYNTHETIC' * data['synthetic']}\n"
            f"- Split: {data['split']}\n"
            f"- Checksum of the images: `{data['checksum'][:16]}`"
        )
        if cut := data["cut"]:
            corrected = f", {cut['corrected_labels']:,} labels corrected" if cut["corrected_labels"] else ""
            st.markdown(
                f"- Trained on the cut **{cut['name']}** of {cut['source']['group']}: {cut['says']}{corrected}. "
                f"Hash `{cut['hash'][:12]}`"
            )
        if parameters:
            st.markdown(
                f"- {show.model_title(about['backbone'])}, {show.method_title(about['method'])}: "
                f"{parameters['trainable']:,} weights trained, {parameters['deployed']:,} in the network"
            )


inside_app()
st.header("Results")
group = chosen_group("read")
try:
    about = summary(group)
    show.about_line(about)
    show_damaged_seeds(about)
    if about["best_seed"] is None:
        st.info(f"No epoch is finished yet; the group is {about['state']}.", icon=":material/hourglass:")
        st.page_link(
            "pages/monitor.py",
            label="Watch it",
            icon=":material/monitoring:",
            query_params={"group": group.name},
        )
        st.stop()
    what_to_know(about)
    split = st.segmented_control(
        "Split",
        ["test", "val", "train"],
        default="test",
        required=True,
        format_func=plots.SPLIT_NAMES.get,
        key="split",
        bind="query-params",
        help="Test: images kept apart. Validation: they choose the epoch. Train: the model has seen them.",
    )
    over_seeds(about, split)
    one_seed(group, about, split)
    data_and_model(about)
except UserError as error:
    show_damage(group, error)
