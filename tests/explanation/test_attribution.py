"""Each method finds the one place that a network reads, and runs on every network that the app offers."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from colora.explanation.attribution import at_once, attribution, blurred, shuffled
from colora.explanation.methods import METHODS, PLACES, STEPS
from colora.explanation.perturbation import perturbed
from colora.networks.backbones import build
from colora.settings.catalog import BACKBONES
from colora.system.errors import UserError

SIDE = 64
PLACE = (slice(16, 32), slice(32, 48))  # rows and columns that the network below reads, of SIDE


def reads_one_place() -> nn.Sequential:
    """Two classes; the score of the first is the brightness of PLACE, that of the second is 10, which the picture
    below exceeds with its details and not without."""
    features = nn.Sequential(nn.Conv2d(3, 1, 1), nn.AvgPool2d(8))  # (B, 1, 8, 8)
    head = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    nn.init.constant_(features[0].weight, 1.0)
    nn.init.zeros_(features[0].bias)
    nn.init.zeros_(head[1].weight)
    head[1].bias.data.copy_(torch.tensor([0.0, 10.0]))
    with torch.no_grad():
        head[1].weight[0].view(8, 8)[2:4, 4:6] = 1.0
    return nn.Sequential(OrderedDict(features=features, head=head)).eval()


@pytest.fixture
def picture() -> torch.Tensor:
    """(1, 3, SIDE, SIDE): brighter spots at that place and at another one, on noise."""
    noise = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) / 10
    noise[..., PLACE[0], PLACE[1]] += 1
    noise[..., 44:60, 4:20] += 1
    return noise.repeat(1, 3, 1, 1)


@pytest.mark.parametrize("method", METHODS)
def test_it_marks_the_place_that_the_score_comes_from_and_not_the_other(method, picture):
    found = attribution(reads_one_place(), picture, 0, method)
    assert found.shape == (SIDE, SIDE) and found.dtype == np.float32 and found.min() >= 0
    assert np.array_equal(found, attribution(reads_one_place(), picture, 0, method))
    there = np.zeros((SIDE, SIDE), bool)
    there[PLACE] = True
    assert there[np.unravel_index(found.argmax(), found.shape)]
    if method != "grad-cam":  # which weighs whole channels, here the only one
        assert found[there].sum() > 0.4 * found.sum()  # patches and smoothing reach beyond it
        assert found[44:60, 4:20].max() < 0.1 * found.max()
    assert not attribution(reads_one_place(), picture, 1, method).any()


@torch.no_grad()
def settle_batch_norm_(model: nn.Module, images: torch.Tensor) -> None:
    """Takes the measures of these images: without any, what an untrained network computes vanishes in its depth."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    model.train()(images)
    model.eval()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_network_can_be_asked_in_every_way(backbone):
    model = build(backbone, 4, 32, seed=1)
    several = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    settle_batch_norm_(model, several)
    x = several[:1]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for method in METHODS:
        targets = range(4) if method in ("hirescam", "grad-cam") else (0, 1)  # nothing may speak for some of them
        found = np.stack([attribution(model, x, target, method) for target in targets])
        assert found.shape == (len(targets), 32, 32) and np.isfinite(found).all() and found.min() >= 0
        assert len({values.tobytes() for values in found}) > 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(value.grad is not None for value in model.parameters())


def test_shuffled_weights_are_the_same_numbers_at_other_places():
    model = build("texturenet", 4, 32, seed=1).eval()
    other, again, third = shuffled(model, 0), shuffled(model, 0), shuffled(model, 1)
    for (name, a), b, c, d in zip(
        model.named_parameters(), other.parameters(), again.parameters(), third.parameters(), strict=True
    ):
        assert torch.equal(a.flatten().sort().values, b.flatten().sort().values), name
        assert torch.equal(b, c)
        if a.numel() > 100:
            assert not torch.equal(a, b) and not torch.equal(b, d)
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), other.buffers(), strict=True))


def test_the_curves_are_those_of_covering_place_by_place(picture):
    model, rng = reads_one_place(), np.random.default_rng(0)
    orders = np.stack([rng.permutation(PLACES**2) for _ in range(3)])
    found = perturbed(model, picture, 0, orders)
    assert found.shape == (2, 3, STEPS + 1) and found.dtype == np.float32
    without, cell = blurred(picture), SIDE // PLACES
    for i, order in enumerate(orders):
        for step in (0, STEPS // 2, STEPS):
            first = torch.zeros(PLACES**2)
            first[order[: PLACES**2 * step // STEPS]] = 1
            mask = nn.functional.interpolate(first.view(1, 1, PLACES, PLACES), size=(SIDE, SIDE), mode="bilinear")
            for kind, shown in enumerate((1 - mask, mask)):
                expected = model(shown * picture + (1 - shown) * without).softmax(1)[0, 0].item()
                assert found[kind, i, step] == pytest.approx(expected, abs=1e-5)
    assert cell * PLACES == SIDE


def test_covering_the_place_that_is_read_changes_the_answer_at_once(picture):
    places = np.arange(PLACES**2).reshape(PLACES, PLACES)
    there = places[4:8, 8:12].ravel()
    order = np.concatenate([there, np.setdiff1d(places, there)])
    deletion, insertion = perturbed(reads_one_place(), picture, 0, np.stack([order, order[::-1]]))
    assert deletion[0, 1] < 0.6 * deletion[0, 0] and insertion[0, 1] > 0.9 * insertion[0, -1]
    assert deletion[1, 1] > 0.95 * deletion[1, 0] and insertion[1, 1] < 0.6 * insertion[1, -1]


def test_no_more_pictures_at_once_than_their_size_allows():
    assert [at_once(side) for side in (28, 224, 512, 1024)] == [668, 10, 2, 1]
    assert [at_once(side, gradient=True) for side in (28, 224, 512, 1024)] == [167, 2, 1, 1]


def test_a_network_whose_values_are_no_numbers_has_no_map(picture):
    model = reads_one_place()
    model.get_submodule("head")[1].weight.data.fill_(float("nan"))
    for method in METHODS:
        with pytest.raises(UserError, match="no numbers"):
            attribution(model, picture, 0, method)
