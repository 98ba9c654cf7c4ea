"""A group's temperatures, chosen on validation, and what they do to the figures of calibration.

Each run keeps the temperature of its selected model (calibration.json, written when it has trained); that of any other
epoch, of a run of an older version, and of the ensemble is fitted here, to the same digits.
"""

from typing import Any

from colora.metrics.calibration import Calibration, calibrations, temperature
from colora.metrics.over_seeds import ensemble
from colora.results.judged import Judged
from colora.runs.documents import calibration_file
from colora.runs.selection import selected_epoch


def temperatures(validation: Judged) -> list[float]:
    """Of each seed, in order."""
    found = []
    for run, p in zip(validation.runs, validation.probabilities, strict=True):
        kept = calibration_file(run.path) if validation.epoch is None else None
        fits = kept is not None and kept["epoch"] == selected_epoch(run)
        found.append(kept["temperature"] if fits else temperature(validation.labels, p))
    return found


def calibrated(seen: Judged, validation: Judged) -> tuple[list[Calibration], Calibration | None]:
    """Of each seed, and of their ensemble where there are several."""
    models, chosen = list(seen.probabilities), temperatures(validation)
    if len(models) > 1:
        models.append(ensemble(seen.probabilities))
        chosen.append(temperature(validation.labels, ensemble(validation.probabilities)))
    found = calibrations(seen.labels, models, chosen, seen.sample)
    return (found[:-1], found[-1]) if len(seen.runs) > 1 else (found, None)


def group_calibration(seen: Judged, validation: Judged) -> dict[str, Any]:
    """Ready for JSON."""
    seeds, joint = calibrated(seen, validation)
    return {
        "fitted_on": "val",
        "seeds": [{"seed": seed, **own.as_dict()} for seed, own in zip(seen.seeds, seeds, strict=True)],
        "ensemble": joint.as_dict() if joint else None,
    }
