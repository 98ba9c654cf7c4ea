"""Figures and intervals against other libraries that take the place of packages which the project needs, or seconds
to import: make test-oracles runs these, in an environment of their own."""

import numpy as np
import pandas as pd
import pytest
from predictions_made import predictions
from scipy.stats import norm

from colora.metrics.bootstrap import Sample
from colora.metrics.delong import area, variance
from colora.metrics.figures import QUADRATIC, once
from colora.metrics.operating_point import decision_curve, judged
from colora.metrics.statistics import statistics

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("digits", [None, 1])
def test_what_torchmetrics_computes_its_own_way_is_the_same(digits):
    import torch
    from torchmetrics.functional import classification as theirs

    labels, p = predictions(400, 4, seed=2, digits=digits)
    found, told = once(labels, p), (torch.tensor(p), torch.tensor(labels), 4)
    overall = {
        "f1": theirs.multiclass_f1_score(*told, average="macro"),
        "specificity": theirs.multiclass_specificity(*told, average="macro"),
        "kappa": theirs.multiclass_cohen_kappa(*told),
        QUADRATIC: theirs.multiclass_cohen_kappa(*told, weights="quadratic"),
        "mcc": theirs.multiclass_matthews_corrcoef(*told),
    }
    for name, value in overall.items():
        assert found.overall[name][0] == pytest.approx(float(value), abs=1e-6), name  # they compute in float32
    areas = theirs.multiclass_auroc(*told, average=None), theirs.multiclass_average_precision(*told, average=None)
    for name, value in zip(("auc", "average_precision"), areas, strict=True):
        assert found.per_class[name][0] == pytest.approx(value.numpy(), abs=1e-6), name


@pytest.mark.parametrize("digits", [None, 1])
def test_an_area_and_its_variance_are_confidenceintervals(digits):
    from confidenceinterval import roc_auc_score

    labels, p = predictions(300, 2, 1, skill=1.0, digits=digits)
    value, (low, high) = roc_auc_score(list(labels), list(p[:, 1]), confidence_level=0.95, method="delong")
    found = area(labels == 1, p[:, 1])
    error = np.sqrt(variance(found.influence, labels, Sample.of(labels)))
    assert found.value == pytest.approx(value, abs=1e-6)
    ends = found.value + norm.ppf([0.025, 0.975]) * error  # theirs are symmetric, ours on the logit scale
    assert ends == pytest.approx([low, high], abs=1e-6)


def test_shares_and_their_intervals_are_confidenceintervals():
    import confidenceinterval

    labels, p = predictions(300, 2, 2, skill=1.0)
    called = (p[:, 1] >= 0.4).astype(int)
    theirs = {
        "sensitivity": confidenceinterval.tpr_score,
        "specificity": confidenceinterval.tnr_score,
        "ppv": confidenceinterval.ppv_score,
        "npv": confidenceinterval.npv_score,
    }
    found = judged(labels == 1, p[:, 1], 0.4)
    for name, score in theirs.items():
        value, (low, high) = score(list(labels), list(called), confidence_level=0.95, method="wilson")
        assert (found[name].value, found[name].low, found[name].high) == pytest.approx((value, low, high), abs=1e-6)
    own = statistics(labels, [p], ["A", "B"], draws=20).seeds[0].overall["accuracy"]
    value, (low, high) = confidenceinterval.accuracy_score(list(labels), list(p.argmax(1)), method="wilson")
    assert (own.value, own.low, own.high) == pytest.approx((value, low, high), abs=1e-6)


def test_net_benefit_is_dcurves():
    from dcurves import dca

    labels, p = predictions(300, 2, 3, skill=1.0)
    at = [0.05, 0.1, 0.25, 0.5, 0.75]
    table = dca(pd.DataFrame({"outcome": labels, "model": p[:, 1]}), "outcome", ["model"], thresholds=at)
    found = decision_curve(labels == 1, p[:, 1], np.array(at), draws=20)
    for ours, theirs in (("model", "model"), ("treat_all", "all")):
        wanted = table[table["model"] == theirs].set_index("threshold")["net_benefit"]
        assert found[ours].to_numpy() == pytest.approx(wanted[at].to_numpy(), abs=1e-6)
