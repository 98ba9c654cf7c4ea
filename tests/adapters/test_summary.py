"""Numbers of weights against counts by hand, and what is told of them."""

import copy
import logging
import warnings

import pytest
import torch
import torchvision
from torch import nn

from colora import CoLoRAConfig, CoverageWarning, adapt, count_parameters, merge_, strip, trainable_summary
from colora.adapters.summary import TrainableSummary, percent

CONV, NORM, MIX, FC = 8 * 3 * 9 + 8, 16, 16 * 8, 16 * 4 + 4  # weights of the small network's parts


def small():
    parts = {"stem": nn.Conv2d(3, 8, 3), "norm": nn.BatchNorm2d(8), "mix": nn.Conv2d(8, 16, 1, bias=False),
             "head": nn.Linear(16, 4)}  # fmt: skip
    return nn.ModuleDict(parts)


def figures(model):
    found = trainable_summary(model)
    return found.layers, found.adapter, found.beside, found.adapted, found.missed


@pytest.mark.parametrize(
    ("config", "train_also", "expected"),
    [
        (CoLoRAConfig(), None, (2, 8 * 3 + 8 * 9 + 8 + 16 * 8 + 16, FC, CONV + MIX, NORM)),
        (CoLoRAConfig(order="separable"), None, (2, 8 * 3 + 3 * 9 + 8 + 16 * 8 + 8, FC, CONV + MIX, NORM)),
        (CoLoRAConfig(bias="all"), None, (2, 24 + 72 + 8 + 128 + 16 + 16, FC, CONV + MIX + 16, NORM)),
        (CoLoRAConfig(bias="none"), (), (2, 24 + 72 + 128 + 16, 0, CONV + MIX, NORM + FC)),
        (CoLoRAConfig(pointwise_rank=2), "head, norm", (2, 2 * 11 + 72 + 8 + 2 * 24 + 16, FC + NORM, CONV + MIX, 0)),
        (CoLoRAConfig(targets="stem", rank=3), None, (1, 3 * (24 + 72) + 8, FC, CONV, NORM + MIX)),
        (CoLoRAConfig(layers="conv+linear", pointwise_rank=1), (),
         (3, 11 + 72 + 8 + 24 + 16 + 20 + 4, 0, CONV + MIX + FC, NORM)),
    ],
)  # fmt: skip
def test_the_figures_are_those_of_a_count_by_hand(config, train_also, expected):
    model = adapt(small(), config, train_also)
    assert figures(model) == expected
    found = trainable_summary(model)
    _, adapter, beside, adapted, missed = expected
    assert found.trainable == adapter + beside == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found.deployed == beside + adapted + missed
    assert found.share_adapted == adapted / (adapted + missed)
    assert found.share_trained == adapter / (adapted + missed)
    counted = count_parameters(model)
    assert counted["trainable"] == found.trainable
    assert (counted["head"], counted["features"]) == (FC, found.deployed - FC)
    for same in (copy.deepcopy(model).to("meta"), nn.DataParallel(model), torch.compile(model)):
        assert figures(same) == expected
    merge_(model)
    assert figures(model) == expected
    strip(model)
    assert sum(p.numel() for p in model.parameters()) == found.deployed
    assert figures(model) == (0, 0, beside, 0, adapted + missed)


def test_shared_weights_count_once_and_weights_without_a_shape_not_at_all():
    shared = nn.Conv2d(3, 3, 3)
    table = nn.Linear(3, 3)
    tied = nn.Linear(3, 3)
    tied.weight = table.weight
    model = nn.Sequential(shared, nn.Sequential(shared), table, tied, nn.LazyLinear(7))
    adapt(model, train_also=("2",))
    assert figures(model) == (1, 9 + 27 + 3, 9 + 3, 81 + 3, 3)
    assert count_parameters(model)["deployed"] == 12 + 84 + 3


def test_what_was_unfrozen_in_an_adapted_layer_trains_itself():
    model = adapt(small())
    model["stem"].base_weight.requires_grad_(True)
    assert figures(model) == (2, 248, FC + CONV - 8, MIX + 8, NORM)
    assert trainable_summary(model).trainable == count_parameters(model)["trainable"]


def test_the_numbers_of_resnet50_at_rank_8():
    with torch.device("meta"):
        plain = torchvision.models.resnet50()
        model = adapt(copy.deepcopy(plain), CoLoRAConfig(pointwise_rank=8))
    found = trainable_summary(model)
    shapes = [p.shape for p in plain.parameters() if p.dim() == 4]
    convolutions = sum(shape.numel() for shape in shapes)
    adapters = sum(out * sides[0] * sides[1] + min(8 * (out + width), out * width) for out, width, *sides in shapes)
    assert (found.layers, found.beside, found.adapted) == (53, 2048 * 1000 + 1000, convolutions)
    assert found.adapter == adapters == 452_224
    assert found.deployed == sum(p.numel() for p in plain.parameters()) == 25_557_032
    assert found.missed == 25_557_032 - convolutions - 2_049_000
    assert found.share_trained == pytest.approx(0.019237, abs=5e-7)
    assert str(found) == (
        f"{found.trainable:,} of 25,557,032 weights train: {found.adapter:,} in adapters on 53 layers, which hold "
        "99.8 % of the frozen weights, and 2,049,000 beside them"
    )


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0 %"), (1e-9, "under 0.1 %"), (0.019, "1.9 %"), (0.99999, "99.9 %"), (1, "100.0 %"), (1.5, "150.0 %")],
)
def test_percent(share, text):
    assert percent(share) == text


def halves(left, adapted=4):
    return nn.Sequential(nn.Conv2d(adapted, 4, 1, bias=False), *left)


@pytest.mark.parametrize(
    ("model", "config", "said"),
    [
        (halves([nn.PReLU(16)]), CoLoRAConfig(), None),  # exactly half
        (halves([nn.PReLU(17)]), CoLoRAConfig(), "48.5 % of the weights that do not train themselves: .* as it is$"),
        (halves([nn.Linear(4, 4), nn.PReLU(1)]), CoLoRAConfig(layers="conv"),
         r"43\.2 % .* as it is \(layers='conv\+linear' adapts linear layers too\)$"),
        (halves([nn.Conv2d(4, 5, 1)]), CoLoRAConfig(targets="0"),
         r"39\.0 % .* as it is \(targets='all' adapts every convolution\)$"),
        (halves([nn.Linear(4, 5)]), CoLoRAConfig(targets="0", layers="conv+linear"), r"39\.0 % .* as it is$"),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.Embedding(100, 10)), CoLoRAConfig(), r"0\.2 % .* as it is$"),
    ],
)  # fmt: skip
def test_little_reach_is_warned_of_with_what_helps(model, config, said):
    if said is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            adapt(model, config)
        assert trainable_summary(model).share_adapted == 0.5
    else:
        with pytest.warns(CoverageWarning, match=said) as caught:
            adapt(model, config)
        assert caught[0].filename == __file__


def test_a_classifier_that_trains_is_nothing_that_was_left_out():
    model = nn.ModuleDict({"stem": nn.Conv2d(1, 1, 1), "fc": nn.Linear(100, 10)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapt(model)


def test_reach_is_logged(caplog):
    with caplog.at_level(logging.INFO, logger="colora"):
        adapt(small())
    assert caplog.messages == [
        "316 of 436 weights train: 248 in adapters on 2 layers, which hold 95.7 % of the frozen weights, and 68 beside "
        "them"
    ]
    assert TrainableSummary(0, 0, 0, 0, 0).share_adapted == 0
