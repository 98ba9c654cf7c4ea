"""Every figure of a group with its uncertainty, and groups held against each other on the same test images.

What `colora statistics` and `colora compare` print. The seeds that count are the finished ones that were trained alike;
each one's model is that of its selected epoch, and the ensemble is the mean of their probabilities.
"""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from colora.metrics import differences
from colora.metrics.bootstrap import DRAWS, LEVEL, Sample
from colora.metrics.classification import accuracy, macro_auc
from colora.metrics.differences import Difference, Drawn, holm
from colora.metrics.figures import Predicted
from colora.metrics.optimism import Optimism, optimism
from colora.metrics.over_seeds import ensemble
from colora.metrics.statistics import OverSeeds, headlines, statistics
from colora.results.calibration import group_calibration
from colora.results.compare import cautions
from colora.results.judged import Judged, judged
from colora.results.operating_point import Question, group_operating_point
from colora.results.predictions import epoch_file
from colora.results.question import frozen
from colora.results.shift import shift
from colora.results.subgroups import subgroups
from colora.results.summary import group_summary
from colora.runs.documents import contained, question_file
from colora.runs.external import about_external, data_of, says_untested
from colora.runs.finished import says_not_counted, under_way
from colora.runs.folder import Group
from colora.runs.names import external_name, is_external
from colora.runs.prediction_table import read_epoch
from colora.runs.selection import SELECTION
from colora.runs.siblings import apart_rows
from colora.settings.catalog import NOTICE
from colora.settings.medmnist_info import in_order
from colora.system.errors import UserError

OVER_SEEDS: dict[str, Callable[[np.ndarray, np.ndarray], float | None]] = {  # tested seed by seed
    "accuracy": accuracy,
    "auc": macro_auc,
}


def group_statistics(
    group: Group, split: str = "test", question: Question | None = None, by: str | None = None
) -> dict[str, Any]:
    """One group's document: n, patients, seeds, ensemble, over_seeds, each figure with value, low, high and method,
    calibration, and what they were made of; with a `question`, the operating point that validation chooses for it.

    `one_model` is the seed that the paper's rule takes; None with any other, where the ensemble stands for the group.
    `frozen` is the frozen question with its worth (`question.Frozen`), None where nobody has frozen any; it has only a
    `reason` where it cannot be answered. Calibration is without seeds and has a `reason` where validation's
    predictions, or a temperature, cannot be read. `shift` is that of other data ("external/NAME") against the group's
    own, None of its own splits, and a `reason` where a file that it needs is damaged; `subgroups` the one model's
    figures on the parts `by` a column of metadata.parquet, None without.
    Raises UserError as `judged` does, and of the question where it cannot be answered."""
    with contained(group.path):
        seen = judged(group, split)
        point = None
        if question is not None:  # first, for a mistake in it is told before draws that take seconds
            question.classes(seen.class_names)
            point = group_operating_point(seen, judged(group, "val", seen.runs), question)
        config = group.config
        ordinal = in_order(config.dataset)
        found = statistics(seen.labels, seen.probabilities, seen.class_names, seen.patients, ordinal)
        runs = seen.runs
        resolved = runs[0].resolved
        assert resolved is not None
        about = {"finished": len(runs), "under_way": under_way(group), "apart": apart_rows(group)}
        return {
            "name": group.name,
            "split": split,
            "n": found.images,
            "patients": found.patients,
            "class_names": seen.class_names,
            "data": _data(seen),
            "selection": {"rule": config.selection, "says": SELECTION[config.selection]},
            "level": LEVEL,
            "draws": found.draws,
            "seeds": [{"seed": s, **own.as_dict()} for s, own in zip(seen.seeds, found.seeds, strict=True)],
            "ensemble": found.ensemble.as_dict() if found.ensemble else None,
            "over_seeds": _over_seeds(found.over_seeds),
            "one_model": None if seen.one is None else seen.seeds[seen.one],
            "calibration": _calibration(seen),
            "operating_point": point,
            "frozen": _frozen(seen),
            "subgroups": subgroups(seen, by).as_dict() if by else None,
            "shift": _shift(seen),
            "optimism": optimism_of(seen),
            **about,
            "not_counted": [*says_not_counted(about), *filter(None, [says_untested(group, split)])],
            "warnings": [*_warnings(seen), *resolved.warnings],
            "notice": NOTICE,
        }


def _data(seen: Judged) -> dict[str, Any]:
    """Where the images stand, and how they were taken from there."""
    found, resolved = data_of(seen.runs[0], seen.split), seen.runs[0].resolved
    assert resolved is not None
    rule = resolved.split_rule
    if is_external(seen.split):
        part = about_external(seen.group, seen.split)["split"]
        rule = "other data, all their images" if part == "all" else f"other data, their {part} split"
    return {"source": found.source, "split": rule, "synthetic": found.synthetic}


def _warnings(seen: Judged) -> list[str]:
    """Of other data, what was found when the models met them."""
    return about_external(seen.group, seen.split)["warnings"] if is_external(seen.split) else []


def _shift(seen: Judged) -> dict[str, Any] | None:
    try:
        return shift(seen).as_dict() if is_external(seen.split) else None
    except UserError as error:
        return {"reason": str(error)}


def _calibration(seen: Judged) -> dict[str, Any]:
    try:
        return group_calibration(seen, judged(seen.group, "val", seen.runs))
    except UserError as error:
        return {"fitted_on": "val", "seeds": [], "ensemble": None, "reason": str(error)}


def _frozen(seen: Judged) -> dict[str, Any] | None:
    """Its worth on test, and of other data there."""
    try:
        judging = seen if is_external(seen.split) else None
        return frozen(seen.group, judging).as_dict() if question_file(seen.group.path) else None
    except UserError as error:
        return {"reason": str(error)}


def _over_seeds(
    found: tuple[dict[str, OverSeeds], dict[str, dict[str, OverSeeds]]] | None,
) -> dict[str, Any] | None:
    if found is None:
        return None
    overall, per_class = found
    return {
        "overall": {name: each.as_dict() for name, each in overall.items()},
        "per_class": {c: {name: each.as_dict() for name, each in own.items()} for c, own in per_class.items()},
    }


def optimism_of(seen: Judged) -> dict[str, Any] | None:
    """What the paper's rule gains by choosing among every epoch of every seed on test; None of another rule or split,
    and where an epoch's predictions are not kept."""
    if seen.split != "test" or seen.group.config.selection != "paper":
        return None
    right, places = [], []
    for run in seen.runs:
        for row in run.metrics.itertuples():
            path = epoch_file(run, int(row.epoch))
            if not path.exists():
                return None
            right.append(read_epoch(path, "test").argmax(1) == seen.labels)
            places.append((-row.val_accuracy, row.val_loss, len(places)))
    chosen = min(places)[2]
    found = optimism(np.stack(right), chosen, seen.labels, seen.patients)
    return {**found.as_dict(), "says": _says_optimism(found)}


def _says_optimism(found: Optimism) -> str:
    return (
        f"Chosen among {found.candidates:,} models on the test images themselves: {found.best:.3f}; the one that "
        f"validation chooses has {found.chosen:.3f} there, {100 * found.optimism:.1f} points less. If all were equally "
        f"good, the best on test would still seem {100 * found.by_chance:.1f} points better "
        f"[{100 * found.low:.1f}, {100 * found.high:.1f}] by chance."
    )


def compare_groups(groups: Sequence[Group], split: str = "test") -> dict[str, Any]:
    """Every pair of groups on the same images, ensemble against ensemble and seed against seed.

    The ensembles are of the seeds that all have, so that none is of more models and a group is the same model in every
    pair; where no seed is in all, of each group's own.
    `left_out` {name: why} has those without a finished seed, those whose files are damaged, and those whose images
    differ from the first one's that has. p_holm is p adjusted for all pairs of the same figure (Holm). Raises UserError
    where fewer than two are left.
    """
    seen, left_out = comparable(groups, split)
    if len(seen) < 2:
        raise UserError(" ".join(left_out.values()) or "At least two groups are needed for a comparison.")
    sample = Sample.of(seen[0].labels, seen[0].patients)
    common = sorted(set.intersection(*(set(each.seeds) for each in seen)))
    drawn = [Drawn.of(each.labels, ensemble(each.of(common or each.seeds)), sample) for each in seen]
    pairs = [_pair(a, b, common, sample) for a, b in combinations(zip(seen, drawn, strict=True), 2)]
    for part in ("figures", "over_seeds"):
        for figure in pairs[0][part]:
            for pair, p in zip(pairs, holm([pair[part][figure]["p"] for pair in pairs]), strict=True):
                pair[part][figure]["p_holm"] = p
    found = cautions({each.group.name: group_summary(each.group) for each in seen}, split)
    return {
        "split": split,
        "n": len(seen[0].labels),
        "patients": _patients(seen[0]),
        "groups": [
            {
                "name": each.group.name,
                "seeds": each.seeds,
                "ensemble": _own_figures(each, common, sample),
                "optimism": optimism_of(each),
            }
            for each in seen
        ],
        "seeds": common or None,
        "left_out": left_out,
        "level": LEVEL,
        "draws": DRAWS,
        "pairs": [{**pair["figures"], **{k: v for k, v in pair.items() if k != "figures"}} for pair in pairs],
        "cautions": [{"weight": each.weight, "says": each.says} for each in found],
        "notice": NOTICE,
    }


def _own_figures(seen: Judged, common: list[int], sample: Sample) -> dict[str, Any]:
    """Accuracy and AUC of the ensemble that is compared, each with its interval over images."""
    model = Predicted(seen.labels, ensemble(seen.of(common or seen.seeds)))
    return {name: each.as_dict() for name, each in headlines(model, sample).items()}


def comparable(groups: Sequence[Group], split: str) -> tuple[list[Judged], dict[str, str]]:
    """The groups that have predictions of the same images, and why each other one is left out; a damaged one too."""
    seen: list[Judged] = []
    left_out = {}
    for group in groups:
        try:
            with contained(group.path):
                own = judged(group, split)
        except UserError as error:
            left_out[group.name] = str(error)
            continue
        if seen and (why := _why_others(seen[0], own, split)):
            left_out[group.name] = why
        else:
            seen.append(own)
    return seen, left_out


def _patients(seen: Judged) -> int | None:
    return None if seen.patients is None else len(np.unique(seen.patients))


def _why_others(a: Judged, b: Judged, split: str) -> str | None:
    """Why b's images, their order or their labels are not a's; None where they are."""
    if a.class_names != b.class_names:
        each = f"{a.group.name}: {', '.join(a.class_names)}; {b.group.name}: {', '.join(b.class_names)}"
        return f"The classes differ ({each}): these groups cannot be compared."
    if np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels):
        return None
    counts = f"{len(a.images):,} in {a.group.name}, {len(b.images):,} in {b.group.name}"
    shared = np.intersect1d(a.images, b.images).size if a.images.dtype == b.images.dtype else 0
    told = f"{shared:,} of them the same" if shared else "none of them the same by its checksum"
    if is_external(split):
        return (
            f"Under the name {external_name(split)} other images met each group ({counts}, {told}): a comparison needs "
            "the same images. Test both on the same data, at one image size."
        )
    return (
        f"The {split} images differ ({counts}, {told}): a comparison needs the same images, prepared alike. Train one "
        "of the groups anew on the other's data, split and image size."
    )


def _pair(a: tuple[Judged, Drawn], b: tuple[Judged, Drawn], common: list[int], sample: Sample) -> dict[str, Any]:
    """Two groups with their ensembles' draws; seed against seed where all have one in `common`, else where both do."""
    (of_a, drawn_a), (of_b, drawn_b) = a, b
    paired = common or sorted(set(of_a.seeds) & set(of_b.seeds))
    found = differences.between(drawn_a, drawn_b, sample, in_order(of_a.group.config.dataset))
    over_seeds = _seed_by_seed(of_a.labels, of_a.of(paired), of_b.of(paired))
    names = of_a.group.name, of_b.group.name
    return {
        "a": names[0],
        "b": names[1],
        "seeds": paired or None,
        "figures": {name: each.as_dict() for name, each in found.items()},
        "over_seeds": {name: each.as_dict() for name, each in over_seeds.items()},
        "says": differences.says(*names, found["accuracy"], len(of_a.labels), _patients(of_a)),
    }


def _seed_by_seed(
    labels: np.ndarray, models_a: list[np.ndarray], models_b: list[np.ndarray]
) -> dict[str, Difference]:
    """None, where a figure is not defined, is NaN there and a reason afterwards."""
    values = {
        name: [[math.nan if (v := figure(labels, p)) is None else v for p in own] for own in (models_a, models_b)]
        for name, figure in OVER_SEEDS.items()
    }
    return {name: differences.over_seeds(*both) for name, both in values.items()}
