"""From run folders to what is shown of them: the selected epoch, figures over seeds, one group in one document."""

from typing import Any

import numpy as np
import pandas as pd

from colora.data.cuts import pinned_cut
from colora.data.medmnist import SHARED_PATIENTS
from colora.metrics.classification import report
from colora.metrics.over_seeds import SPREAD, Spread, spreads
from colora.runs.data_said import leak, of_group
from colora.runs.documents import contained
from colora.runs.external import about_external, external_splits, says_untested
from colora.runs.finished import finished, is_finished, under_way
from colora.runs.folder import ACTIVE, Group, Run
from colora.runs.limits import limits_of
from colora.runs.prediction_table import trained_on
from colora.runs.selection import SELECTION, selected_row
from colora.runs.siblings import apart_rows
from colora.settings.catalog import NOTICE
from colora.settings.config import RunConfig
from colora.settings.relevance import config_checksum, in_effect, unused
from colora.system.errors import UserError


def band(runs: list[Run], column: str) -> pd.DataFrame:
    """A metric over epochs and seeds: columns epoch, n, median, q1, q3, low, high; one row an epoch any seed
    has finished."""
    columns = ["epoch", "n", *SPREAD]
    seeds = [
        pd.Series(run.metrics[column].to_numpy(dtype=np.float64), index=run.metrics["epoch"])
        for run in runs
        if column in run.metrics
    ]
    if not seeds:
        return pd.DataFrame(columns=columns)
    values = pd.concat(seeds, axis=1).sort_index()  # (epochs, seeds), NaN where a seed has not come so far
    table = pd.DataFrame({"epoch": values.index, **spreads(values.to_numpy().T)})
    return table.loc[table["n"] > 0, columns].reset_index(drop=True)


def run_summary(run: Run) -> dict[str, Any]:
    """One seed: state, reason, and the figures of its selected epoch (absent before the first epoch ends), which are so
    far, and count in no figure over seeds, where it is not `finished`."""
    status = run.status
    summary: dict[str, Any] = {
        "seed": run.seed,
        "state": status["state"],
        "finished": is_finished(run),
        "epoch": status["epoch"],
        "epochs": status["epochs"],
        "reason": status["reason"],
        "preparing": preparing(run),
        "silent": status.get("silent"),  # seconds, of one that lives and tells nothing of itself (runs.silence)
        "silent_says": status.get("silent_says"),
    }
    if len(run.metrics):
        row = run.metrics.iloc[selected_row(run.metrics, run.config.selection)]
        summary["selected_epoch"] = int(row["epoch"])
        for split in ("train", "val", "test"):
            summary[split] = {m: _number(row[f"{split}_{m}"]) for m in ("accuracy", "auc", "loss")}
        summary["seconds_per_epoch"] = float(run.metrics["seconds"].median())
        summary["train_seconds"] = float(run.metrics["seconds"].sum())
        summary["peak_memory_mib"] = _number(run.metrics.get("peak_memory_mib", pd.Series([None])).max())
    return summary


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def best_run(group: Group, among: list[Run] | None = None) -> Run | None:
    """The run whose selected epoch is best by the group's own selection rule; None before any seed is finished.

    `among`: of these runs only; by default of all finished ones.
    """
    candidates = [run for run in (finished(group) if among is None else among) if len(run.metrics)]
    if not candidates:
        return None
    rule = group.config.selection
    rows = [run.metrics.iloc[selected_row(run.metrics, rule)] for run in candidates]
    return candidates[selected_row(pd.DataFrame(rows).reset_index(drop=True), rule)]


def taken_run(group: Group, among: list[Run] | None = None) -> Run | None:
    """The one run that the paper's rule takes of them all; None with any other rule, which takes one epoch of each, so
    that the ensemble stands for the group."""
    return best_run(group, among) if group.config.selection == "paper" else None


def group_summary(group: Group) -> dict[str, Any]:
    """What `colora show` prints: each seed, and over those that count median, IQR and range; the others under way or
    apart. `data` is what the seeds that count were trained on. Raises UserError where the folder is damaged."""
    with contained(group.path):
        return _group_summary(group)


def _group_summary(group: Group) -> dict[str, Any]:
    others = apart_rows(group)
    differs = {row["seed"]: row["differs"] for row in others}
    seeds = [run_summary(run) | {"apart": differs.get(run.seed)} for run in group.runs]
    counting = [s for s in seeds if s["finished"] and not s["apart"] and "selected_epoch" in s]
    together = (run for run in group.runs if run not in group.apart)
    resolved = next((r.resolved for r in together if r.state != "damaged" and r.resolved), None)
    best = best_run(group)
    config = group.config
    alike = {"val", "test"} if config.folds else {"train", "val", "test"}  # of the same images in all seeds
    return {
        "name": group.name,
        "state": group.state,
        "created": group.info["created"],
        "launched_by": group.info["launched_by"],
        "method": config.method,
        "backbone": config.backbone,
        "settings": in_effect(config),
        "not_used": {field: why for field, why in unused(config.model_dump()).items() if field in config.changes()},
        "config_checksum": config_checksum(exact_config(group)),
        "limits": limits_of(group.path).as_dict() | {"says": limits_of(group.path).says()},
        "data": {
            "source": resolved.data_source if resolved else config.dataset,
            "synthetic": resolved.synthetic if resolved else config.dataset == "phantom",
            "checksum": resolved.data_checksum if resolved else None,
            "class_names": resolved.class_names if resolved else config.class_names,
            "class_counts": resolved.class_counts if resolved else None,
            "split": resolved.split_rule if resolved else None,
            "image_size": config.image_size,
            "folds": config.folds,
            "train_set": "cut" if config.cut else config.train_set,
            "cut": cut_summary(group),
        }
        | data_found(group),
        "parameters": resolved.parameters if resolved else None,
        "selection": {"rule": config.selection, "says": SELECTION[config.selection]},
        "best_seed": best.seed if best else None,
        "seeds": seeds,
        "finished": len(finished(group)),
        "under_way": under_way(group),
        "apart": others,
        "over_seeds": {
            split: {
                m: (s.as_dict() if (s := Spread.of([row[split][m] for row in counting if split in alike])) else None)
                for m in ("accuracy", "auc")
            }
            for split in ("train", "val", "test")
        },
        "external": external_tests(group),
        "warnings": resolved.warnings if resolved else [],
        "notice": NOTICE,
    }


def external_tests(group: Group) -> dict[str, dict[str, Any]]:
    """{"external/NAME": of the other data that the group was tested on, some of `documents.ExternalFile`, and
    `untested`, a sentence on seeds that do not count there}; of one whose file is damaged `problem` alone."""
    told = ("source", "images_checksum", "synthetic", "images", "split", "warnings", "tested", "tested_by")
    found: dict[str, dict[str, Any]] = {}
    for split in external_splits(group):
        try:
            about = about_external(group, split)
            found[split] = {name: about[name] for name in told} | {"untested": says_untested(group, split)}
        except UserError as error:
            found[split] = {"problem": str(error)}
    return found


def data_found(group: Group) -> dict[str, Any]:
    """`check`: the group's data.json, None of a group that kept none; `leak`: a sentence where the data leak from
    training into what judges it, as far as that or what is published tells, else None: as where the group was trained
    on a cut that leaves out what leaks. Raises UserError where a file is damaged."""
    check, cut = of_group(group.path), cut_summary(group)
    without = cut is not None and cut["rule"]["kind"] == "leaks"
    told = [leak(check) if check and not without else None, SHARED_PATIENTS.get(group.config.dataset)]
    return {"check": check, "leak": " ".join(filter(None, told)) or None}


def exact_config(group: Group) -> RunConfig:
    """The group's settings, with its cut named by the images too: a name may have stood for other images before. Raises
    UserError where the group's copy of the cut is damaged."""
    cut = pinned_cut(group.path) if group.config.cut else None
    return group.config.model_copy(update={"cut": f"{cut.name} ({cut.hash[:12]})"}) if cut else group.config


def cut_summary(group: Group) -> dict[str, Any] | None:
    """The cut that a group was trained on, without its image ids: name, hash, says, counts, source and the rest of
    `Cut.summary`; None without one. Raises UserError where the group's copy is damaged."""
    cut = pinned_cut(group.path) if group.config.cut else None
    return cut.summary() if cut else None


def probability_columns(predictions: pd.DataFrame) -> list[str]:
    """p_0 ... p_{C-1}, in class order."""
    return [f"p_{c}" for c in range(sum(name.startswith("p_") for name in predictions.columns))]


def split_arrays(run: Run, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(labels (N,), probabilities (N, C)) of a run's selected model; of the train split only the images it
    trained on, with the labels it was trained with."""
    table = run.predictions(split)
    if split == "train":
        table = table[trained_on(table)]
    return targets(table).to_numpy(), table[probability_columns(table)].to_numpy()


def targets(predictions: pd.DataFrame) -> pd.Series:
    """The labels that predictions are held against: those of the data, or as a cut corrected them for training."""
    return predictions["trained_label" if "trained_label" in predictions else "label"]


def run_report(run: Run, split: str) -> dict[str, Any]:
    """`classification.report` of a finished run on one of its own splits."""
    labels, probabilities = split_arrays(run, split)
    assert run.resolved is not None  # predictions exist, so the run has started
    return report(labels, probabilities, run.resolved.class_names)


def progress(run: Run) -> float:
    """Share of a run's epochs that is behind it, in [0, 1], with the part of the present epoch."""
    status = run.status
    part = status["step"] / status["steps"] if status["steps"] and status["state"] in ACTIVE else 0.0
    return min(1.0, (status["epoch"] + min(part, 1.0)) / max(1, status["epochs"]))


def preparing(run: Run) -> str | None:
    """`preparing images 1,200 of 100,000` while a run does that before its first epoch."""
    if run.state not in ACTIVE or not run.status.get("preparing"):
        return None
    done, total = run.status["preparing"]
    return f"preparing images {done:,} of {total:,}" if total else f"looking for images, {done:,} files so far"


def seconds_left(runs: list[Run]) -> dict[int, float | None]:
    """Expected seconds of work until each seed is finished: its epochs to go times the median epoch so far.

    A seed without a finished epoch is reckoned with the other seeds' epochs; None where no seed has finished any.
    Zero for a seed that is not going to continue by itself (done, stopped, failed, lost).
    """
    own = {run.seed: run.metrics["seconds"] + run.metrics["eval_seconds"] for run in runs if len(run.metrics)}
    usual = float(pd.concat(own.values()).median()) if own else None
    left: dict[int, float | None] = {}
    for run in runs:
        if run.state not in (*ACTIVE, "queued"):
            left[run.seed] = 0.0
            continue
        seconds = float(own[run.seed].median()) if run.seed in own else usual
        left[run.seed] = None if seconds is None else seconds * run.status["epochs"] * (1 - progress(run))
    return left


def seconds_to_end(runs: list[Run], left: dict[int, float | None]) -> dict[int, float | None]:
    """Expected seconds until each seed of a group is finished, of their own work (`seconds_left`); None where unknown.

    What trains now goes on side by side; each waiting seed, in their order, begins where one of them ends first.
    """
    ends = {run.seed: left[run.seed] for run in runs}
    places = [ends[run.seed] for run in runs if run.state in ACTIVE] or [0.0]
    for run in runs:
        if run.state != "queued":
            continue
        if None in places or left[run.seed] is None:
            ends[run.seed] = None
            continue
        first = places.index(min(places))
        places[first] += left[run.seed]
        ends[run.seed] = places[first]
    return ends
