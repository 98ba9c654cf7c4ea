r"""Does a group of seeds notice what it was never meant to see? AUROC, share noticed, and false alarms, kind by kind.

    python benchmarks/foreign/measure.py --shared ../shared --groups runs/real-*

The groups are trained on the real sample (README.md has the commands). Reference: the features of the training images
of the seed that is best on validation, and of every seed. Limits: `novelty.limit` at 95 % and 99 % of validation's
scores. What is taken is chosen by mean rank of the AUROC of the set "choose" against validation's images, over kinds
and groups; the set "report" against test's images then says what it is worth. Test images choose nothing. `report.py`
makes the tables.
"""

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads: other programs share the cores

import numpy as np
import torch
from images import JUDGED, KINDS, foreign, pictures_from
from scipy.stats import rankdata
from scores import PROBABILITIES, distances
from sklearn.metrics import roc_auc_score
from torch import nn

from colora.data.prepare import prepare
from colora.data.sources import SPLITS, load_dataset
from colora.metrics.classification import accuracy
from colora.metrics.novelty import Scales, limit
from colora.metrics.uncertainty import vote_disagreement
from colora.results.summary import best_run
from colora.runs.finished import finished
from colora.runs.folder import Group
from colora.settings.config import RunConfig
from colora.system.environment import environment
from colora.training.checkpoint import load_model
from colora.training.images import DeviceImages, choose_device

HERE = Path(__file__).parent
SHARES = (0.95, 0.99)
SETS = {"choose": "val", "report": "test"}
AT_ONCE = 32
FULL = 224  # the sample's own pixels, which are turned and cut
FEATURES = ("penultimate", "pooled")
ALL = "all seeds"
TAKEN = "pooled, Mahalanobis, unit"  # by the first ranking; beside it: does disagreement add to it?
REPORTED = (
    f"{TAKEN}, {ALL}",
    TAKEN,
    f"{TAKEN}, {ALL}, or mutual information",
    f"pooled, neighbour 1, unit, {ALL}",
    f"penultimate, Mahalanobis, unit, {ALL}",
    *PROBABILITIES,
)
Table = dict[str, dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/volumes and cases")
    parser.add_argument("--groups", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=HERE / "measured.json")
    args = parser.parse_args()
    groups = [measured(Group(path), args.shared) for path in args.groups]
    chosen_by = ranking(groups)
    for group in groups:  # of the others the ranking has all that is read
        group["choose"] = {score: group["choose"][score] for score in REPORTED}
    result = {
        "about": " ".join(__doc__.split()),
        "kinds": KINDS,
        "pictures_from": pictures_from(),
        "chosen_by": chosen_by,
        "groups": groups,
        "environment": environment(choose_device("cpu")) | {"command": "python benchmarks/foreign/measure.py"},
    }
    text = json.dumps(result, indent=1)
    args.out.write_text(re.sub(r"\[\s+([-\d.,\s]+?)\s+\]", _one_line, text) + "\n")
    print(json.dumps(chosen_by, indent=1))


def _one_line(numbers: re.Match) -> str:
    return f"[{' '.join(numbers[1].split())}]"


def measured(group: Group, shared: Path) -> dict[str, Any]:
    """Every score of every picture, as AUROC and shares above the limits."""
    runs = finished(group)
    sets, labels = pictures(group.config, shared)
    outputs = [seed_outputs(load_model(run, run.config, run.resolved), sets) for run in runs]
    best = best_run(group)
    found = all_scores(outputs, labels, [run.seed for run in runs].index(best.seed))
    mean = np.mean([each["test"]["probabilities"] for each in outputs], axis=0)
    return {
        "name": group.name,
        "backbone": group.config.backbone,
        "method": group.config.method,
        "image_size": group.config.image_size,
        "seeds": len(runs),
        "best_seed": best.seed,
        "ensemble_test_accuracy": round(accuracy(labels["test"], mean), 3),
        "pictures": {name: len(images) for name, images in sets.items()},
        "disagreement": {split: disagreement(outputs, labels, split, found) for split in ("val", "test")},
        "choose": judged(found, "choose"),
        "report": judged({score: found[score] for score in REPORTED}, "report"),
    }


def pictures(config: RunConfig, shared: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """{split or "set: kind": (N, S, S) uint8}, prepared as files are, and the splits' labels."""
    splits = load_dataset(config).splits
    scans = load_dataset(config.model_copy(update={"image_size": FULL})).splits
    sets = {name: splits[name].images for name in SPLITS}
    for which, split in SETS.items():
        for kind, found in foreign(which, scans[split].images, shared).items():
            sets[f"{which}: {kind}"] = np.stack([prepare(image, config.image_size) for image in found])
    return sets, {name: splits[name].labels for name in SPLITS}


@torch.inference_mode()
def seed_outputs(model: nn.Sequential, sets: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """{set: {"pooled" (N, channels), "penultimate" (N, 128), "probabilities" (N, C)}} of one seed."""
    trunk, head = model[:-1], model[-1]
    found = {}
    for name, images in sets.items():
        ready = DeviceImages(images, np.zeros(len(images), dtype=np.int64), torch.device("cpu"))
        parts = []
        for inputs, _ in ready.batches(torch.arange(len(images)), AT_ONCE):
            maps = trunk(inputs)  # (B, channels, H, W)
            last = head[:-1](maps)  # (B, 128)
            parts.append((last, maps.mean((2, 3)), head[-1](last).softmax(1)))
        joined = [torch.cat(part).numpy() for part in zip(*parts, strict=True)]
        found[name] = dict(zip((*FEATURES, "probabilities"), joined, strict=True))
    return found


def all_scores(outputs: list[dict], labels: dict[str, np.ndarray], best: int) -> Table:
    """{score: {set: (N,)}}: distances of the best seed, the mean over all seeds, and what probabilities tell."""
    names = [name for name in outputs[0] if name != "train"]
    found: Table = {}
    for features in FEATURES:
        seeds = []
        for output in outputs:
            fitted = distances(output["train"][features], labels["train"])
            seeds.append({s: {n: score(output[n][features]) for n in names} for s, score in fitted.items()})
        for score in seeds[0]:
            found[f"{features}, {score}"] = seeds[best][score]
            found[f"{features}, {score}, {ALL}"] = over_seeds([seed[score] for seed in seeds])
    stacked = {name: np.stack([output[name]["probabilities"] for output in outputs]) for name in names}
    for score, function in PROBABILITIES.items():
        found[score] = {name: function(stacked[name]) for name in names}
    for score in (TAKEN, f"{TAKEN}, {ALL}"):
        both = [over_seeds([found[s]]) for s in (score, "mutual information")]
        found[f"{score}, or mutual information"] = {n: np.maximum(*(each[n] for each in both)) for n in names}
    return found


def over_seeds(seeds: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """{set: (N,)}: the mean of the seeds' scores, each on its own scale of validation."""
    scales = Scales.of(np.stack([seed["val"] for seed in seeds]))
    return {name: scales.joint(np.stack([seed[name] for seed in seeds])) for name in seeds[0]}


def judged(found: Table, which: str) -> Table:
    """{score: {"limits", "false_alarms", kind: [AUROC, share above each limit ...]}} against the set's own scans."""
    table: Table = {}
    for score, values in found.items():
        known, limits = values[SETS[which]], [limit(values["val"], share) for share in SHARES]
        row: dict[str, Any] = {"false_alarms": [round(float((known > end).mean()), 3) for end in limits]}
        for name, these in values.items():
            if name.startswith(f"{which}: "):
                member = np.repeat([0, 1], [len(known), len(these)])
                auroc = roc_auc_score(member, np.concatenate([known, these]))
                noticed = [float((these > end).mean()) for end in limits]
                row[name.partition(": ")[2]] = [round(x, 3) for x in (auroc, *noticed)]
        table[score] = row
    return table


def disagreement(outputs: list[dict], labels: dict[str, np.ndarray], split: str, found: Table) -> dict[str, Any]:
    """{rule: share flagged of the images that the mean over seeds has wrong, and of those it has right}."""
    stacked = np.stack([output[split]["probabilities"] for output in outputs])
    wrong = stacked.mean(0).argmax(1) != labels[split]
    rules = {"any seed votes otherwise": vote_disagreement(stacked) > 0}
    for score in (*PROBABILITIES, f"{TAKEN}, {ALL}"):
        rules[f"{score} above its limit"] = found[score][split] > limit(found[score]["val"])
    shares = {rule: [round(float(flag[which].mean()), 3) for which in (wrong, ~wrong)] for rule, flag in rules.items()}
    return {"wrong": int(wrong.sum()), "right": int((~wrong).sum()), **shares}


def ranking(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a score, best first: mean rank of its AUROC over groups and kinds that choose, ties sharing theirs; the
    means of the AUROC and of the share noticed at each limit, and the lowest of a kind, over groups, of the first."""
    scores = list(groups[0]["choose"])
    cells = [(group["choose"], kind) for group in groups for kind in JUDGED if kind in group["choose"][scores[0]]]
    values = np.array([[table[score][kind] for score in scores] for table, kind in cells])  # (cells, scores, 3)
    ranks = np.array([rankdata(-cell) for cell in values[:, :, 0].round(3)]).mean(0)
    rows = [
        {
            "score": score,
            "mean_rank": round(float(ranks[i]), 2),
            "mean_auroc": round(float(values[:, i, 0].mean()), 3),
            "lowest_auroc": round(float(values[:, i, 0].min()), 3),
            "noticed": [round(float(values[:, i, k].mean()), 3) for k in (1, 2)],
        }
        for i, score in enumerate(scores)
    ]
    return sorted(rows, key=lambda row: row["mean_rank"])


if __name__ == "__main__":
    main()
