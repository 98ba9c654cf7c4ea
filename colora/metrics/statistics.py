"""Every figure of one group's models on one split, each with its interval: what a reviewer asks for.

    seeds       each seed's model: its figures with intervals over images
    ensemble    the same of the mean of the seeds' probabilities, as one more model
    over_seeds  median, quartiles and range of the seeds' values, and their mean with an interval that holds both
                kinds of chance (`estimates.of_seeds`)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from colora.metrics import bootstrap, delong, estimates, figures
from colora.metrics.bootstrap import DRAWS, Sample
from colora.metrics.delong import Area
from colora.metrics.estimates import Estimate
from colora.metrics.figures import Figures, Predicted
from colora.metrics.over_seeds import Spread, ensemble

Table = dict[str, Estimate]


@dataclass(frozen=True)
class ModelFigures:
    """One model's: `overall` {figure: Estimate}, `per_class` {class: {figure: Estimate}}."""

    overall: Table
    per_class: dict[str, Table]

    def as_dict(self) -> dict[str, Any]:
        return {
            "overall": {name: each.as_dict() for name, each in self.overall.items()},
            "per_class": {
                c: {name: each.as_dict() for name, each in table.items()} for c, table in self.per_class.items()
            },
        }


@dataclass(frozen=True)
class OverSeeds:
    """A figure over seeds: `spread` of their values, None without any, and the `mean` with both kinds of chance."""

    spread: Spread | None
    mean: Estimate

    def as_dict(self) -> dict[str, Any]:
        return {**(self.spread.as_dict() if self.spread else {"n": 0}), "mean": self.mean.as_dict()}


@dataclass(frozen=True)
class Statistics:
    """`images` and `patients` (None where unknown) of the split, `seeds` in the order given; `ensemble` and
    `over_seeds` (overall, per class) of more than one seed, else None."""

    images: int
    patients: int | None
    draws: int
    seeds: list[ModelFigures]
    ensemble: ModelFigures | None
    over_seeds: tuple[dict[str, OverSeeds], dict[str, dict[str, OverSeeds]]] | None


def statistics(
    labels: np.ndarray,
    probabilities: Sequence[np.ndarray],
    class_names: Sequence[str],
    patients: np.ndarray | None = None,
    ordinal: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> Statistics:
    """Of S > 0 models' `probabilities`, each (N, C), of images with `labels` (N,) and `patients` (N,), None where they
    are unknown. Raises ValueError as `figures.Predicted` does, and where there are not as many names as classes."""
    labels = np.asarray(labels, dtype=np.int64)
    models = [Predicted(labels, np.asarray(p)) for p in probabilities]
    if any(model.classes != len(class_names) for model in models):
        raise ValueError(f"{len(class_names)} names of {[model.classes for model in models]} classes")
    if len(models) > 1:
        models.append(Predicted(labels, ensemble(probabilities)))
    sample = Sample.of(labels, patients)
    names = list(figures.names(ordinal))
    drawn = bootstrap.drawn_figures(models, sample, draws, seed)
    values = [model.under(np.ones((1, len(labels)))) for model in models]
    found = [
        _with_intervals(model, value, draw, sample, names, class_names)
        for model, value, draw in zip(models, values, drawn, strict=True)
    ]
    count = None if patients is None else len(np.unique(patients))
    if len(models) == 1:
        return Statistics(len(labels), count, draws, found, None, None)
    together = _over_seeds(values[:-1], drawn[:-1], sample, names, class_names)
    pooled = [math.nan if (v := model.overall["auc_micro"].value) is None else v for model in found[:-1]]
    together[0]["auc_micro"] = OverSeeds(Spread.of(pooled), _not_drawn(pooled))
    return Statistics(len(labels), count, draws, found[:-1], found[-1], together)


def closed_forms(model: Predicted, class_names: Sequence[str], sample: Sample) -> ModelFigures:
    """The figures whose interval is a formula, in milliseconds: accuracy and both AUCs overall, of each class
    sensitivity, specificity, PPV, NPV and AUC. `statistics` has the same of them."""
    labels, called = model.labels, model.called
    areas = delong.class_areas(labels, model.probabilities)
    overall = {**_headlines(model, areas, sample), "auc_micro": _pooled_area(model, sample)}
    per_class = {}
    for c, (class_name, area) in enumerate(zip(class_names, areas, strict=True)):
        member, so_called = labels == c, called == c
        asked = {"sensitivity": member, "specificity": ~member, "ppv": so_called, "npv": ~so_called}
        table = {
            # of a class without images whatever is called so is wrong, with any model
            name: estimates.of_share(member == so_called, of, sample)
            if of.any() and (member.any() or name == "specificity")
            else _undefined(name, model, c)
            for name, of in asked.items()
        }
        table["auc"] = estimates.of_area(area, member, sample) if area else _undefined("auc", model, c)
        per_class[class_name] = table
    return ModelFigures(overall, per_class)


def headlines(model: Predicted, sample: Sample) -> Table:
    """Accuracy and AUC alone."""
    return _headlines(model, delong.class_areas(model.labels, model.probabilities), sample)


def _headlines(model: Predicted, areas: list[Area | None], sample: Sample) -> Table:
    labels, whole = model.labels, delong.macro(areas)
    return {
        "accuracy": estimates.of_share(model.called == labels, np.ones(len(labels), dtype=bool), sample),
        "auc": estimates.of_area(whole, labels, sample) if whole else _undefined("auc", model, None),
    }


def confusion_intervals(model: Predicted, sample: Sample) -> np.ndarray:
    """(2, C, C): low and high of the share of each true class (rows) that is called each class; NaN where no interval
    can be given."""
    found = np.full((2, model.classes, model.classes), np.nan)
    for true in range(model.classes):
        for called in range(model.classes):
            share = estimates.of_share(model.called == called, model.labels == true, sample)
            if share.low is not None:
                found[:, true, called] = share.low, share.high
    return found


def _pooled_area(model: Predicted, sample: Sample) -> Estimate:
    """One area over all classes' questions together; the C questions of an image are not independent (Obuchowski)."""
    asked = model.members.ravel()
    found = delong.area(asked, np.asarray(model.probabilities).ravel())
    if not found:
        return _undefined("auc", model, None)
    return estimates.of_area(found, asked, Sample(np.repeat(sample.unit, model.classes), sample.stratum), sample)


def _with_intervals(
    model: Predicted, values: Figures, drawn: Figures, sample: Sample, names: list[str], class_names: Sequence[str]
) -> ModelFigures:
    closed = closed_forms(model, class_names, sample)
    overall = {
        name: closed.overall.get(name)
        or _of_draws(name, float(values.overall[name][0]), drawn.overall[name], sample, model, None)
        for name in names
    }
    overall["auc_micro"] = closed.overall["auc_micro"]
    per_class = {
        class_name: {
            name: closed.per_class[class_name].get(name)
            or _of_draws(name, float(values.per_class[name][0, c]), drawn.per_class[name][:, c], sample, model, c)
            for name in figures.PER_CLASS
        }
        for c, class_name in enumerate(class_names)
    }
    return ModelFigures(overall, per_class)


def _undefined(name: str, model: Predicted, c: int | None) -> Estimate:
    return Estimate(None, reason=_why_not(name, model, c))


def _of_draws(
    name: str, value: float, drawn: np.ndarray, sample: Sample, model: Predicted, c: int | None
) -> Estimate:
    if not math.isfinite(value):
        return _undefined(name, model, c)
    return estimates.of_draws(value, drawn, sample)


def _why_not(name: str, model: Predicted, c: int | None) -> str:
    """Why a figure is not defined."""
    present = model.members.any(0)
    if c is not None and not present[c]:
        return "no image is of this class"
    if present.sum() == 1:
        return "all images are of one class"
    if c is not None:
        return "every image was called so" if (model.called == c).all() else "no image was called so"
    return "no image was called one of the classes" if name == "ppv" else "every image was called the same"


def _over_seeds(
    values: list[Figures], drawn: list[Figures], sample: Sample, names: list[str], class_names: Sequence[str]
) -> tuple[dict[str, OverSeeds], dict[str, dict[str, OverSeeds]]]:
    overall = {
        name: _mean(
            [v.overall[name][0] for v in values],
            [d.overall[name] for d in drawn],
            sample,
            figures.SPANS.get(name, (0.0, 1.0)),
        )
        for name in names
    }
    per_class = {
        class_name: {
            name: _mean(
                [v.per_class[name][0, c] for v in values],
                [d.per_class[name][:, c] for d in drawn],
                sample,
                (0.0, 1.0) if name == "brier" else figures.SPANS.get(name, (0.0, 1.0)),  # of one class its own part
            )
            for name in figures.PER_CLASS
        }
        for c, class_name in enumerate(class_names)
    }
    return overall, per_class


def _not_drawn(values: list[float]) -> Estimate:
    """The mean of a figure whose draws would take as long as all others together."""
    mean = float(np.mean(values))
    return Estimate(mean, reason="it is not drawn") if math.isfinite(mean) else Estimate(None, reason="not defined")


def _mean(values: list[float], drawn: list[np.ndarray], sample: Sample, span: tuple[float, float]) -> OverSeeds:
    """Of the S seeds' values, each with its draws (D,)."""
    spread = Spread.of(values)
    if spread is None or spread.n < len(values):
        known = spread.n if spread else 0
        return OverSeeds(spread, Estimate(None, reason=f"defined for {known} of {len(values)} seeds"))
    return OverSeeds(spread, estimates.of_seeds(values, np.mean(drawn, axis=0), sample, span))
