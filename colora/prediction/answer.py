"""What a group says of one image, and how far that can be trusted: one document, for a page, a table or a report."""

from typing import Any

import numpy as np

from colora.metrics.calibration import tempered
from colora.metrics.classification import entropy
from colora.metrics.operating_point import scores
from colora.metrics.uncertainty import mutual_information
from colora.prediction.known import SHARE, Known
from colora.runs.finished import under_way
from colora.runs.selection import SELECTION
from colora.runs.siblings import apart_rows
from colora.settings.catalog import NOTICE
from colora.system.errors import UserError

DO_NOT_RELY = "The models disagree or have seen nothing like it: do not rely on this."
MET = {"train": "was trained on", "val": "is among the validation images", "test": "is among the test images"}


def answer(known: Known, probabilities: np.ndarray, features: np.ndarray | None, checksum: int) -> dict[str, Any]:
    """Ready for JSON, of one image: each seed's probabilities (S, C), the best seed's features (D,), and the checksum
    of its prepared pixels (`dataset.image_checksum`).

    mean: of the model that answers, `calibrated` with its temperature; seeds: each one's; agreement: how many seeds
    call it each class; unsure: the share of `of` test images that have less entropy; operating_point: {"positive",
    "score"}, the answer to the group's question; nearest: training images; both None where there is none; doubt: see
    `_doubt`; met: where the very picture is among the group's own.
    """
    names, rows = known.class_names, [p[None] for p in probabilities]
    model = known.joint(rows)[0]  # (C,)
    own, joint = known.temperatures
    votes = np.bincount(probabilities.argmax(axis=1), minlength=len(names))
    met = known.met(checksum)
    told = _told(model, names)
    return {
        "checksum": str(checksum),  # more than a JSON number holds
        "mean": told,
        "calibrated": _told(tempered(model[None], joint)[0], names) | {"temperature": joint},
        "seeds": [
            {"seed": seed, **_told(p, names), "calibrated": _told(tempered(p[None], t)[0], names)}
            for seed, p, t in zip(known.test.seeds, probabilities, own, strict=True)
        ],
        "agreement": {name: int(n) for name, n in zip(names, votes, strict=True) if n},
        "unsure": {"share": _below(known.entropies, told["entropy"]), "of": len(known.entropies)},
        "operating_point": _yes_or_no(known, model),
        "nearest": _nearest(known, features),
        "doubt": _doubt(known, probabilities, features),
        "met": None if met is None else {"split": met[0], "image_id": met[1], "says": MET[met[0]]},
    }


def about(known: Known) -> dict[str, Any]:
    """What holds for every answer: whose it is, by which models, and what these were chosen and judged by.

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
        "model": f"seed {known.taken.seed}" if known.taken else "ensemble",
        "best_seed": known.best.seed,
        "operating_point": _question(known),
        "no_operating_point": str(known.question) if isinstance(known.question, UserError) else None,
        "has_features": known.seen is not None,
        "finished": len(known.runs),
        "under_way": under_way(group),
        "apart": apart_rows(group),
        "warnings": resolved.warnings,
        "notice": NOTICE,
    }


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


def _below(ascending: np.ndarray, value: float) -> float:
    """The share of a sorted sample that is smaller."""
    return float(np.searchsorted(ascending, value) / max(len(ascending), 1))


def _yes_or_no(known: Known, model: np.ndarray) -> dict[str, Any] | None:
    if isinstance(known.question, UserError):
        return None
    score = float(scores(model[None], known.question.question.classes(known.class_names))[0])
    return {"positive": score >= known.question.threshold, "score": score}


def _nearest(known: Known, features: np.ndarray | None) -> list[dict[str, Any]] | None:
    if known.seen is None or features is None:
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


def _doubt(known: Known, probabilities: np.ndarray, features: np.ndarray | None) -> dict[str, Any]:
    """{"high", "says", "disagreement", "distance"}: each of the last two is {"value", "limit", "share"}, its place
    among the validation images, or None where it is not known (of one seed, without features)."""
    parts: dict[str, dict[str, float] | None] = {"disagreement": None, "distance": None}
    if len(probabilities) > 1:
        value = float(mutual_information(probabilities[:, None])[0])
        parts["disagreement"] = _place(known.disagreement, value, float(np.quantile(known.disagreement, SHARE)))
    if known.seen is not None and features is not None:
        value = float(known.seen.familiar.distance(features[None])[0])
        parts["distance"] = _place(known.seen.validation, value, known.seen.limit)
    high = any(part is not None and part["value"] > part["limit"] for part in parts.values())
    return {"high": high, "says": DO_NOT_RELY if high else None, **parts}


def _place(ascending: np.ndarray, value: float, limit: float) -> dict[str, float]:
    return {"value": value, "limit": limit, "share": _below(ascending, value)}
