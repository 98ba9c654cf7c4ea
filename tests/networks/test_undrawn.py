"""Where a file is to replace all weights, none is drawn first; and everywhere else they are drawn as ever."""

from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import colora.training.checkpoint
from colora.networks.backbones import build
from colora.networks.undrawn import Undrawn
from colora.settings.catalog import BACKBONES
from colora.training.checkpoint import load_model


class Drawn(TorchDispatchMode):
    """Counts the values that are drawn at random inside it."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.values += found.numel()
        return found


@pytest.mark.parametrize("name", BACKBONES)
def test_inside_it_no_network_draws_a_value_and_afterwards_each_does(name):
    with Drawn() as drawn, Undrawn():
        model = build(name, 3, 64)
    assert drawn.values == 0
    with Drawn() as drawn:
        again = build(name, 3, 64, seed=4)
    assert drawn.values > 100_000 or name == "texturenet"
    assert drawn.values > 0
    shapes = [{key: value.shape for key, value in one.state_dict().items()} for one in (model, again)]
    assert shapes[0] == shapes[1] and all(p.requires_grad for p in model.parameters())


def test_a_model_is_loaded_as_if_its_weights_had_been_drawn_first(trained, monkeypatch):
    quick = load_model(trained, trained.config, trained.resolved)
    monkeypatch.setattr(colora.training.checkpoint, "Undrawn", nullcontext)
    with Drawn() as drawn:
        slow = load_model(trained, trained.config, trained.resolved)
    assert drawn.values > 0
    parts = [dict(model.named_parameters()) | dict(model.named_buffers()) for model in (quick, slow)]
    assert parts[0].keys() == parts[1].keys() == slow.state_dict().keys()  # nothing that no file replaces
    assert all(torch.equal(value, parts[1][name]) for name, value in parts[0].items())


def test_outside_it_the_same_seed_draws_the_same_values():
    first = build("resnet18:layer1", 3, 32, seed=5).state_dict()
    with Undrawn():
        build("resnet18:layer1", 3, 32, seed=5)
    again = build("resnet18:layer1", 3, 32, seed=5).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert first["conv1.weight"].std() > 0
