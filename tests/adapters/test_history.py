"""Undo and histories: what training added can be taken off, kept epoch by epoch, and put on again."""

import copy
import json
from collections import OrderedDict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small_networks import train_steps, with_transposed
from timm.layers import ScaledStdConv2d
from torch import nn

from colora import CoLoRAConfig, CoLoRAConv, adapt, merge_, strip
from colora.adapters.history import rebuild, save_epoch
from colora.adapters.model import plain_state, undo_
from colora.adapters.walk import adapted_layers
from colora.networks.backbones import build, build_meta
from colora.networks.methods import apply_method
from colora.settings.config import RunConfig


def test_undo_takes_every_merge_back():
    model = adapt(with_transposed().double())
    before = {n: p.clone() for n, p in model.state_dict().items() if n.endswith(("weight", "bias")) and "head" not in n}
    merges = []
    for step in (1, 2):
        layer = model.features[0]
        with torch.no_grad():
            layer.depthwise.normal_()
            layer.bias_update.normal_()
        merges.append(merge_(model, step=step))
    assert (model.state_dict()["features.0.weight"] - before["features.0.weight"]).abs().max() > 0.1
    for factors in reversed(merges):
        undo_(model, factors)
    for name, value in before.items():
        assert torch.allclose(model.state_dict()[name], value, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="'elsewhere', which is no adapted layer"):
        undo_(model, {"elsewhere": merges[0]["features.0"]})


@pytest.mark.parametrize("bias", ["auto", "all", "none"])
def test_rebuild_gives_every_epoch_its_own_bits(tmp_path, bias):
    """Two epochs with a merge, one without, one with two merges, one that goes on after its merge, and one more."""
    base = with_transposed()
    model = adapt(copy.deepcopy(base), CoLoRAConfig(rank=2, bias=bias), seed=3)
    expected, number = [], 0
    for epoch, (merges, goes_on) in enumerate([(1, 0), (1, 0), (0, 1), (2, 0), (1, 1), (1, 0)], start=1):
        merged = {}
        for _ in range(merges):
            train_steps(model)
            number += 1
            merged[number] = merge_(model, seed=3, step=number)
        if goes_on:
            train_steps(model)
        save_epoch(tmp_path / "history", model, epoch, merged)
        expected.append(copy.deepcopy(plain_state(model)))
    untouched = copy.deepcopy(base.state_dict())
    for epoch, state in enumerate(expected, start=1):
        rebuilt = rebuild(base, tmp_path / "history", upto=epoch).state_dict()
        assert set(rebuilt) == set(state)
        assert all(torch.equal(rebuilt[name], value) for name, value in state.items())
    assert all(torch.equal(base.state_dict()[n], v) for n, v in untouched.items())
    with pytest.raises(FileNotFoundError):
        rebuild(base, tmp_path / "history", upto=7)
    with pytest.raises(ValueError, match="another model"):
        rebuild(nn.Sequential(nn.Conv2d(3, 4, 1)), tmp_path / "history", upto=1)


def test_an_epoch_of_vgg16_is_at_most_10_3_mb(tmp_path):
    model = build_meta("vgg16", 4, 224)
    apply_method(model, RunConfig(), seed=0)
    model = model.to_empty(device="cpu")
    save_epoch(tmp_path / "history", model, 1, {1: merge_(model)})
    size = (tmp_path / "history" / "epoch-01.safetensors").stat().st_size
    assert 10.1e6 < size <= 10.3e6


def with_batch_norm() -> nn.Sequential:
    torch.manual_seed(1)
    features = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
    return nn.Sequential(OrderedDict(features=features, head=nn.Sequential(nn.Flatten(), nn.Linear(4 * 16, 3))))


def test_rebuild_gives_the_running_statistics_of_the_epoch(tmp_path):
    base = with_batch_norm()
    model = adapt(copy.deepcopy(base))
    expected = []
    for epoch in (1, 2):
        train_steps(model)
        save_epoch(tmp_path, model, epoch, {epoch: merge_(model, step=epoch)})
        expected.append(copy.deepcopy(plain_state(model)))
    assert not torch.equal(expected[0]["features.1.running_mean"], expected[1]["features.1.running_mean"])
    for epoch, state in enumerate(expected, start=1):
        rebuilt = rebuild(base, tmp_path, upto=epoch).state_dict()
        assert all(torch.equal(rebuilt[name], value) for name, value in state.items())


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("kinds", [("auto", "none"), ("none", "all"), ("all", "none")])
def test_each_layer_has_the_bias_that_it_was_adapted_with(tmp_path, kinds, merged):
    base = with_transposed()  # features.0 has a bias, features.2 none
    model = adapt(copy.deepcopy(base), CoLoRAConfig(targets="features.0", bias=kinds[0]), train_also="head")
    adapt(model, CoLoRAConfig(targets="features.2", bias=kinds[1]), train_also="head")
    train_steps(model)
    save_epoch(tmp_path, model, 1, {1: merge_(model, step=1)} if merged else {})
    rebuilt, expected = rebuild(base, tmp_path, 1).state_dict(), plain_state(model)
    assert list(rebuilt) == list(expected)
    assert all(torch.equal(rebuilt[name], value) for name, value in expected.items())


@pytest.mark.parametrize("trains", [True, False])
def test_further_parameters_of_an_adapted_layer_are_kept_or_checked(tmp_path, trains):
    base = nn.Sequential(ScaledStdConv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 64, 3))
    model = adapt(copy.deepcopy(base), train_also="2")
    model[0].gain.requires_grad_(trains)
    train_steps(model)
    save_epoch(tmp_path, model, 1, {})
    assert torch.equal(rebuild(base, tmp_path, 1)[0].gain, model[0].gain)
    with torch.no_grad():
        base[0].gain.add_(1)
    if trains:
        assert torch.equal(rebuild(base, tmp_path, 1)[0].gain, model[0].gain)
    else:
        with pytest.raises(ValueError, match="began with other weights than this base has"):
            rebuild(base, tmp_path, 1)


@pytest.mark.parametrize("merges", [0, 2])
@pytest.mark.parametrize("bias", ["auto", "all"])
@pytest.mark.parametrize("part", ["features.0.weight", "features.3.bias", "features.1.weight"])
def test_a_history_takes_no_other_base(tmp_path, part, bias, merges):
    base = with_batch_norm()
    model = adapt(copy.deepcopy(base), CoLoRAConfig(bias=bias))
    merged = {}
    for number in range(1, merges + 1):
        train_steps(model, steps=1)
        merged[number] = merge_(model, step=number)
    save_epoch(tmp_path, model, 1, merged)
    assert torch.equal(rebuild(base, tmp_path, 1).head[1].weight, model.head[1].weight)
    other = copy.deepcopy(base)
    with torch.no_grad():
        other.get_parameter(part).view(-1)[0] += 1e-3
    with pytest.raises(ValueError, match="began with other weights than this base has"):
        rebuild(other, tmp_path, 1)
    head = copy.deepcopy(base)
    nn.init.zeros_(head.head[1].weight)  # which the history has
    rebuild(head, tmp_path, 1)


def test_a_history_without_a_checksum_loads(tmp_path):
    base = with_batch_norm().eval()
    model = adapt(copy.deepcopy(base))
    train_steps(model)
    save_epoch(tmp_path, model, 1, {1: merge_(model)})
    path = tmp_path / "epoch-01.safetensors"
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["about"])
        tensors = {n: file.get_tensor(n) for n in file.keys() if not n.startswith("buffer/")}  # noqa: SIM118
    assert len(about.pop("base")) == 64
    save_file(tensors, path, {"about": json.dumps(about)})
    rebuilt = rebuild(base, tmp_path, 1).state_dict()
    assert all(torch.equal(rebuilt[name], value) for name, value in plain_state(model).items())


def test_a_real_three_dimensional_network(tmp_path):
    """The paper's 3-D claim (section 3.2) on torchvision's r3d_18: train, merge, strip, compare, rebuild."""
    from torchvision.models.video import r3d_18

    torch.manual_seed(0)
    base = r3d_18(num_classes=3).eval()
    keys = list(base.state_dict())
    model = adapt(copy.deepcopy(base), train_also=("fc",))
    assert len(adapted_layers(model)) == 20  # the blocks' Conv3DSimple, too
    x = torch.randn(2, 3, 4, 16, 16)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), torch.tensor([0, 2]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    adapted = model(x)
    save_epoch(tmp_path / "history", model, 1, {1: merge_(model)})
    assert (model(x) - adapted).abs().max() <= 1e-5 * adapted.abs().max()
    assert list(strip(model).state_dict()) == keys
    assert (model(x) - adapted).abs().max() <= 1e-5 * adapted.abs().max()
    rebuilt = rebuild(base, tmp_path / "history", upto=1)
    assert all(torch.equal(value, rebuilt.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_stripped_model_exports_and_copies():
    model = build("squeezenet1_1", 3, 32).eval()
    adapt(model)
    strip(model)
    x = torch.randn(2, 3, 32, 32)
    program = torch.export.export(model, (x,))
    assert torch.allclose(program.module()(x), model(x), atol=1e-6)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), model(x))


def test_merges_are_done_again_with_the_threads_of_the_training(tmp_path, monkeypatch):
    """On which the last bits of a product B A depend."""
    base = with_transposed()
    model = adapt(copy.deepcopy(base), CoLoRAConfig(pointwise_rank=1))
    before = torch.get_num_threads()
    used = []
    merge = CoLoRAConv.merge_
    monkeypatch.setattr(CoLoRAConv, "merge_", lambda layer: used.append(torch.get_num_threads()) or merge(layer))
    try:
        torch.set_num_threads(3)
        save_epoch(tmp_path, model, 1, {1: {n: layer.factors() for n, layer in adapted_layers(model).items()}})
        torch.set_num_threads(2)
        rebuild(base, tmp_path, upto=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(used) == {3}
