"""How good a group's models are: over its finished seeds or of one, at the selected epoch or any other, down to the
images."""

from typing import Any

import pandas as pd
import streamlit as st

from colora import plots
from colora.metrics.estimates import wilson
from colora.metrics.over_seeds import Spread
from colora.runs.documents import contained
from colora.runs.finished import counted, finished, standing
from colora.runs.folder import Group
from colora.runs.trained_said import says_trained
from colora.settings.seeds import format_seeds
from colora.system.errors import UserError
from pages.components import address, elsewhere, leaks, show
from pages.components.evaluate.evaluation import class_table, confusions_and_images, threshold_curves
from pages.components.evaluate.readers import View, seeds_with_predictions
from pages.components.frame import inside_app
from pages.components.runs import chosen_group, show_damage, show_damaged_seeds, summary

ALL, SELECTED = "All finished seeds", "selected"
SEED_FIGURES = {
    "accuracy": "Each dot is one training with its own random start.",
    "auc": "The same for how well a class is told from the others at any threshold (mean one-vs-rest AUC): "
    "1 is perfect, 0.5 is chance.",
}
BOX = " The box holds the middle half (IQR), its line is the median, the whiskers reach the lowest and the highest."
HOLLOW = " Hollow dots are seeds in no figure over seeds: under way, so far, or not trained alike."
HEADLINES = {
    "accuracy": ("Accuracy", "Share of the images whose most probable class is the true one."),
    "auc": ("AUC, mean over classes (macro)", "The mean of the classes' one-vs-rest areas, each class counting alike."),
    "auc_micro": (
        "AUC, pooled (micro)",
        "One area over all classes' questions together, so that frequent classes count more.",
    ),
}


def what_to_know(about: dict[str, Any]) -> None:
    """The rule that chose the epochs, and everything the runs warned of that the banner has not said."""
    rule, leak = about["selection"], about["data"]["leak"] or ""
    warnings = [show.literal(said) for said in about["warnings"] if said not in leak]
    best = next((row for row in about["seeds"] if row["seed"] == about["best_seed"]), None)
    if best and rule["rule"] == "paper":
        warnings.insert(
            0,
            f"**Optimistic figures.** The rule of this group takes {rule['says']}. That model is seed "
            f"{best['seed']} at epoch {best['selected_epoch']}, test accuracy "
            f"{show.three(best['test']['accuracy'])}. The medians below are over each finished seed's epoch "
            "of best test accuracy, and optimistic too.",
        )
    elif rule["rule"] == "paper":
        warnings.insert(0, f"**Optimistic figures.** The rule of this group takes {rule['says']}.")
    else:
        st.caption(f"Selection: {rule['says']}. The test images played no part in it.")
    if about["data"]["split"] and not about["data"]["check"]:
        st.caption(f"Train, validation and test were separated so: {show.literal(about['data']['split'])}.")
    if warnings:
        st.warning("\n\n".join(warnings), icon=":material/warning:")


def choices(group: Group, about: dict[str, Any]) -> tuple[str, int | None, int | None]:
    """(split, seed or None for all finished ones, epoch or None for the selected one); the address keeps them."""
    learnt = [row for row in about["seeds"] if "selected_epoch" in row]
    grid = st.grid(3, min_column_width=260, vertical_alignment="top")
    with grid.cell():
        split = show.choose_split()
    with grid.cell():
        options = [ALL] * (len(learnt) > 1) + [f"Seed {row['seed']}" for row in learnt]
        best = about["best_seed"]
        seed = st.selectbox(
            "Models",
            options,
            key=address.one("seed", options),
            help="A seed is one training with its own random start."
            + (f" Seed {best} is the best by the group's selection rule." if best is not None else ""),
        )
    with grid.cell():
        epochs = [SELECTED, *map(str, range(1, max(row["epoch"] for row in learnt) + 1))]
        epoch = st.select_slider(
            "Epoch",
            epochs,
            key=address.one("epoch", epochs),
            help="An epoch is one pass over the training images. 'selected': each seed's own, by the selection rule. "
            "Any other one shows how the models learnt; choosing it by its test figures would make them optimistic.",
        )
    return split, None if seed == ALL else int(seed.split()[1]), None if epoch == SELECTED else int(epoch)


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
    """Accuracy and AUC: median and spread over the seeds, with their ensemble's; or one model's with the interval
    of its own uncertainty."""
    found, seeds = view.outcome, len(about["seeds"])
    grid = st.grid(3, min_column_width=240)
    for metric, (title, meaning) in HEADLINES.items():
        spread = Spread.of(found.whole[metric])
        with grid.cell():
            st.metric(title, show.three(spread and spread.median), border=True, help=meaning)
            if spread and spread.n > 1:
                st.caption(
                    f"Median over {counted(spread.n, seeds)} · middle half (IQR) {show.three(spread.q1)} to "
                    f"{show.three(spread.q3)} · range {show.three(spread.low)} to {show.three(spread.high)}"
                )
            elif spread and metric == "accuracy":
                low, high = wilson(int(found.matrices[0].trace()), found.images)
                st.caption(
                    f"95 % interval {show.three(low)} to {show.three(high)} (Wilson, {found.images:,} images; wider in "
                    "truth where several are of one patient)"
                )
    if not view.several:
        said = "One seed only" if seeds == 1 else "One seed"
        st.caption(f"{said}: nothing can be said about the spread between trainings.")
    if found.joint:
        st.caption(
            f"As one model, {show.literal(view.model())} (the mean of their probabilities): accuracy "
            f"**{show.three(found.joint['accuracy'])}**, AUC (macro) **{show.three(found.joint['auc'])}**. The medians "
            "above are over the seeds' own models."
        )
    st.caption(show.literal(origin))


def every_seed(table: pd.DataFrame, about: dict[str, Any], epoch: int | None) -> None:
    """Every seed on its own, on all three splits; those that do not count in no box."""
    name, at = about["name"], "selected" if epoch is None else f"epoch-{epoch}"
    counting, hollow = table.loc[table["finished"], "seed"].tolist(), not table["finished"].all()
    which = show.which_epoch(about, epoch, counting) if counting else "no seed has finished yet"
    which += " · hollow: in no figure over seeds" * hollow
    grid = st.grid(2, min_column_width=300)
    for metric in ("accuracy", "auc"):
        with grid.cell():
            show.show_figure(
                plots.seed_figures(table, metric),
                f"{plots.METRIC_NAMES[metric]} of every seed",
                SEED_FIGURES[metric] + BOX * (metric == "accuracy" and bool(counting)) + HOLLOW * hollow,
                f"{plots.METRIC_NAMES[metric]} of each seed on train, validation and test",
                table,
                f"{name}-{at}-seeds-{metric}",
                f"Train, validation and test splits of {show.data_title(about)} · {which}",
            )
    columns = ["val_accuracy", "test_accuracy", "test_auc", "val_auc", "train_accuracy"]
    st.dataframe(
        table,
        hide_index=True,
        key="seed-figures",
        placeholder="–",
        column_order=["seed", *["state"] * hollow, "epoch", *columns],
        column_config={"seed": "Seed", "state": "State", "epoch": "Epoch"}
        | {
            f"{s}_{m}": st.column_config.NumberColumn(f"{plots.SPLIT_NAMES[s]} {plots.METRIC_NAMES[m]}", format="%.3f")
            for s in plots.SPLIT_NAMES
            for m in ("accuracy", "auc")
        },
        alt="Epoch, accuracy and AUC of each seed",
    )


def data_and_model(about: dict[str, Any]) -> None:
    """What the figures rest on: images of each class in each split, how they were split, what was trained."""
    data, parameters = about["data"], about["parameters"]
    if not data["class_counts"]:
        return
    with st.expander("Data, split and network", icon=":material/database:"):
        names = plots.SPLIT_NAMES | {"train": "Train (whole split)", "used": "Train (images trained on)"}
        rows = {names[s]: dict(zip(data["class_names"], n, strict=True)) for s, n in data["class_counts"].items()}
        counts = pd.DataFrame(rows).T
        show.table(counts.assign(all=counts.sum(axis=1)), border="horizontal", alt="Images of each class in each split")
        if about["apart"]:
            st.markdown(f"- Of seeds {format_seeds(about['apart'][0]['than'])}; the others were not trained on it.")
        st.markdown(
            f"- Source: {show.literal(data['source'])}, {data['image_size']} px{', SYNTHETIC' * data['synthetic']}\n"
            f"- Split: {show.literal(data['split'])}\n"
            f"- Checksum of the images: {show.literal(data['checksum'][:16])}"
        )
        if cut := data["cut"]:
            corrected = f", {cut['corrected_labels']:,} labels corrected" if cut["corrected_labels"] else ""
            st.markdown(
                f"- Trained on the cut **{show.literal(cut['name'])}** of {show.literal(cut['source']['group'])}: "
                f"{show.literal(cut['says'])}{corrected}. "
                f"Hash {show.literal(cut['hash'][:12])}"
            )
        if parameters:
            st.markdown(
                f"- {show.model_title(about['backbone'])}, {show.method_title(about['method'])}: "
                f"{parameters['trainable']:,} weights trained, {parameters['deployed']:,} in the network"
                + (f". {show.literal(said)}" if (said := says_trained(parameters)) else "")
            )


def models(group: Group, about: dict[str, Any]) -> None:
    """What the chosen models are worth."""
    split, seed, epoch = choices(group, about)
    there = seeds_with_predictions(group, split, epoch)
    counting = finished(group)
    chosen = [run for run in there if (run in counting if seed is None else run.seed == seed)]
    with contained(group.path):
        table = seed_table(group, about, epoch)
        names = next((run.resolved.class_names for run in chosen), [])  # of one seed its own, which may be others
    if not chosen:
        no_predictions(group, split, seed, epoch)
    else:
        view = View(group, split, tuple(chosen), epoch, tuple(names))
        origin = show.provenance(about, split, view.outcome.images, [run.seed for run in chosen], epoch)
        headlines(view, about, origin)
    if (seed is None or not about["finished"]) and len(table):
        st.subheader("Every seed")
        every_seed(table, about, epoch)
    if chosen:
        st.subheader("Which class is called which")
        confusions_and_images(view, origin)
        st.subheader("Each class against the rest")
        threshold_curves(view, origin)
        class_table(view, origin)


def no_predictions(group: Group, split: str, seed: int | None, epoch: int | None) -> None:
    """Why there is nothing to evaluate, and what to do instead."""
    known, done = seeds_with_predictions(group, split, None), finished(group)
    if not done and (seed is None or not known):
        says = "What can be evaluated comes with the first seed that is done."
    elif not known:
        says = (
            f"No finished seed of {group.name} has predictions of the {plots.SPLIT_NAMES[split].lower()} images: "
            f"predictions/{split}.parquet is in none of their folders. Choose other images above."
        )
    else:
        whose = f"No seed of {group.name} has" if seed is None else f"Seed {seed} has no"
        says = f"{whose} predictions of {f'epoch {epoch}' if epoch else 'its selected epoch'}: choose another one."
    show.say(says, st.info, ":material/hourglass:")
    st.page_link(
        "pages/monitor.py",
        label="Look at it on Monitor",
        icon=":material/monitoring:",
        query_params={"group": group.name},
    )


inside_app()
st.header("Evaluate")
group = chosen_group("evaluate")
try:
    about = summary(group)
    show.about_line(about)
    leaks.line_and_banner(group, about["data"])
    show_damaged_seeds(about)
    show.not_counted(about)
    elsewhere.say_changes(group)
    if not any("selected_epoch" in row for row in about["seeds"]):
        st.info(f"No epoch is finished yet; the group is {about['state']}.", icon=":material/hourglass:")
        st.page_link(
            "pages/monitor.py",
            label="Watch it",
            icon=":material/monitoring:",
            query_params={"group": group.name},
        )
        st.stop()
    what_to_know(about)
    models(group, about)
    data_and_model(about)
    show.picture_format()
except UserError as error:
    show_damage(group, error)
