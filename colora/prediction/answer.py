"""What a group says of one image, and how far that can be trusted: one document, for a page, a table or a report."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from colora.metrics.calibration import tempered
from colora.metrics.classification import entropy
from colora.metrics.novelty import share_below
from colora.metrics.operating_point import scores
from colora.metrics.uncertainty import vote_disagreement
from colora.prediction.known import Known
from colora.runs.finished import counted, seeds_of, under_way
from colora.runs.folder import Group
from colora.runs.selection import SELECTION
from colora.runs.siblings import apart_rows
from colora.settings.catalog import NOTICE
from colora.system.errors import UserError

DO_NOT_RELY = "The models disagree or have seen nothing like it: do not rely on this."
MET = {"train": "was trained on", "val": "is among the validation images", "test": "is among the test images"}
DISSENT = 0.2  # share of the seeds: one in five, or of fewer any, votes otherwise
BLANK = 8.0  # grey levels, standard deviation: the flattest of 700 scans has 17


@dataclass(frozen=True, eq=False)
class Page:
    """One prepared image as the models of R seeds see it: probabilities (R, C), features (D,) of the best seed,
    distances (R,) from what is familiar to each seed or None; its checksum (`prepare.image_checksum`), and its
    contrast, the standard deviation of its grey levels."""

    probabilities: np.ndarray
    features: np.ndarray
    distances: np.ndarray | None
    checksum: int
    contrast: float


def answer(known: Known, page: Page) -> dict[str, Any]:
    """Ready for JSON.

    mean: of the model that answers, `calibrated` with its temperature; seeds: each one's; agreement: how many seeds
    call it each class; unsure: the share of `of` test images that have less entropy; operating_point: {"positive",
    "score"}, the answer to the group's question; nearest: training images; both None where there is none; doubt: see
    `_doubt`; met: where the very picture is among the group's own.
    """
    names, rows = known.class_names, [p[None] for p in page.probabilities]
    model = known.joint(rows)[0]  # (C,)
    own, joint = known.temperatures
    votes = np.bincount(page.probabilities.argmax(axis=1), minlength=len(names))
    met = known.met(page.checksum)
    told = _told(model, names)
    return {
        "checksum": str(page.checksum),  # more than a JSON number holds
        "mean": told,
        "calibrated": _told(tempered(model[None], joint)[0], names) | {"temperature": joint},
        "seeds": [
            {"seed": seed, **_told(p, names), "calibrated": _told(tempered(p[None], t)[0], names)}
            for seed, p, t in zip(known.test.seeds, page.probabilities, own, strict=True)
        ],
        "agreement": {name: int(n) for name, n in zip(names, votes, strict=True) if n},
        "unsure": {"share": share_below(known.entropies, told["entropy"]), "of": len(known.entropies)},
        "operating_point": _yes_or_no(known, model),
        "nearest": _nearest(known, page.features),
        "doubt": _doubt(known, page),
        "met": None if met is None else {"split": met[0], "image_id": met[1], "says": MET[met[0]]},
    }


def about(known: Known, now: Group | None = None) -> dict[str, Any]:
    """What holds for every answer: whose it is, by which models, and what these were chosen and judged by; and which
    other seeds there are `now`, where the group was read since `known` was.

    `operating_point`: the question that the group answers yes or no to, and what its answers are worth on the test
    images; None where it can answer none, and then `no_operating_point` says why.
    """
    group, resolved = known.group, known.best.resolved
    assert resolved is not None  # it has finished
    return {
        "name": group.name,
        "class_names": resolved.class_names,
        "data_trained_on": resolved.data_source,
        "split_rule": resolved.split_rule,
        "synthetic_training": resolved.synthetic,
        "image_size": known.image_size,
        "selection": {"rule": group.config.selection, "says": SELECTION[group.config.selection]},
        "model": f"seed {(known.taken or known.best).seed}" if known.taken or len(known.runs) == 1 else "ensemble",
        "best_seed": known.best.seed,
        "operating_point": _question(known),
        "no_operating_point": str(known.question) if isinstance(known.question, UserError) else None,
        "has_features": known.seen is not None,
        "finished": len(known.runs),
        "under_way": under_way(now or group),
        "apart": apart_rows(now or group),
        "warnings": resolved.warnings,
        "notice": NOTICE,
    }


def by_whom(about: dict[str, Any]) -> str:
    """`the ensemble (mean probability) of 3 seeds`, `seed 2 alone, one of 3 seeds`, `1 seed`: which model answers."""
    count = counted(about["finished"], seeds_of(about))
    if about["finished"] == 1:
        return count
    if about["model"] == "ensemble":
        return f"the ensemble (mean probability) of {count}"
    return f"{about['model']} alone, one of {count}"


def _question(known: Known) -> dict[str, Any] | None:
    found = known.question
    if isinstance(found, UserError):
        return None
    told = {
        "positives": list(found.question.positives),
        "threshold": found.threshold,
        "says": found.says(),
        "frozen": found.kept is not None,
        "changed": found.says_changed(),
        "on": "test",
        "n": len(known.test.labels),
    }
    return told | {name: found.judged[name].as_dict() for name in ("sensitivity", "specificity")}


def _told(p: np.ndarray, names: list[str]) -> dict[str, Any]:
    return {
        "prediction": names[int(np.argmax(p))],
        "probabilities": {name: float(x) for name, x in zip(names, p, strict=True)},
        "entropy": float(entropy(p[None])[0]),
    }


def _yes_or_no(known: Known, model: np.ndarray) -> dict[str, Any] | None:
    if isinstance(known.question, UserError):
        return None
    score = float(scores(model[None], known.question.question.classes(known.class_names))[0])
    return {"positive": score >= known.question.threshold, "score": score}


def _nearest(known: Known, features: np.ndarray) -> list[dict[str, Any]] | None:
    if known.seen is None:
        return None
    images = known.seen.images
    return [
        {
            "index": int(images["index"].iat[row]),
            "image_id": str(images["image_id"].iat[row]),
            "label": known.class_names[int(images["label"].iat[row])],
            "cosine": cosine,
        }
        for row, cosine in known.seen.nearest(features)
    ]


def _doubt(known: Known, page: Page) -> dict[str, Any]:
    """{"high", "says", "reasons", "disagreement", "distance", "blank"}: each of the last three is {"value", "limit",
    "high"}, or None where it is not known (of one seed, without features); the first two with `share`, the place among
    the validation images."""
    parts: dict[str, dict[str, Any] | None] = {"disagreement": None, "distance": None}
    if len(page.probabilities) > 1:
        value = float(vote_disagreement(page.probabilities[:, None])[0])
        place = {"share": share_below(known.disagreement, value)}
        parts["disagreement"] = {"value": value, "limit": DISSENT, "high": value >= DISSENT} | place
    if known.seen is not None and page.distances is not None:
        value, scales = known.seen.distance(page.distances), known.seen.scales
        place = {"share": share_below(scales.known, value)}
        parts["distance"] = {"value": value, "limit": scales.limit, "high": value > scales.limit} | place
    parts["blank"] = {"value": page.contrast, "limit": BLANK, "high": page.contrast < BLANK}
    high = any(part is not None and part["high"] for part in parts.values())
    return {"high": high, "says": DO_NOT_RELY if high else None, "reasons": _reasons(parts), **parts}


def _reasons(parts: dict[str, dict[str, Any] | None]) -> list[str]:
    """A sentence for each part that is beyond its limit."""
    said = []
    if (part := parts["distance"]) and part["high"]:
        of = f"{share(part['share'])} of the validation images"
        said.append(f"It lies further from what the models were trained on than {of}.")
    if (part := parts["disagreement"]) and part["high"]:
        said.append(f"Of the seeds {share(part['value'])} vote otherwise than most.")
    if (part := parts["blank"]) and part["high"]:
        said.append("It is blank, or nearly.")
    return said


def share(value: float) -> str:
    """`97 %`; `all` of a whole, and no `100 %` of what is less."""
    return "all" if value == 1 else f"{min(round(100 * value), 99)} %"
