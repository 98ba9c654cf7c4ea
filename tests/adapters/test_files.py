"""Adapter files: what training added, kept beside the base and put on it again, also by later versions."""

import copy
import json
import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import train_steps, with_transposed
from torch import nn

from colora import CoLoRAConfig, CoLoRAConv, adapt, merge_
from colora.adapters.files import base_checksum, load_adapter, save_adapter
from colora.adapters.history import rebuild
from colora.adapters.model import plain_state
from colora.adapters.walk import adapted_layers

DATA = Path(__file__).parent / "data"  # files of the version before linear layers could be adapted, and its figures


@pytest.mark.parametrize("bias", ["auto", "all", "none"])
def test_an_adapter_file_goes_back_onto_its_base_and_no_other(tmp_path, bias):
    base = with_transposed()
    model = adapt(copy.deepcopy(base), CoLoRAConfig(order="separable", bias=bias))
    train_steps(model)
    save_adapter(model, tmp_path / "adapter")
    again = load_adapter(copy.deepcopy(base), tmp_path / "adapter")
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(again(x), model(x))
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }
    other = with_transposed()
    with torch.no_grad():
        other.features[0].weight[0, 0, 0, 0] += 1e-3
    with pytest.raises(ValueError, match="was trained on another base"):
        load_adapter(other, tmp_path / "adapter")
    with pytest.raises(ValueError, match=r"a layer 'features\.0'; this one has none"):
        load_adapter(nn.Sequential(nn.Conv2d(3, 4, 1)), tmp_path / "adapter")
    other = copy.deepcopy(base)
    with torch.no_grad():
        other.features[0].bias[0] += 1e-3
    with pytest.raises(ValueError, match=r"biases differ .*then use colora\.adapters\.history"):
        load_adapter(other, tmp_path / "adapter")
    merge_(model)
    with pytest.raises(ValueError, match=r"features\.0 was merged, .* save the merged weights .*plain_state.* history"):
        save_adapter(model, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    with pytest.raises(ValueError, match="no adapters to save"):
        save_adapter(base, tmp_path / "none")


def test_an_adapter_file_from_before_biases_were_checked_loads(tmp_path):
    base = with_transposed()
    model = adapt(copy.deepcopy(base))
    train_steps(model)
    save_adapter(model, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config.pop("checksum_of") == ["weight", "bias"]
    config["base_checksum"] = base_checksum(base, config["target_modules"], ("weight",))
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(load_adapter(copy.deepcopy(base), tmp_path)(x), model(x))


def test_an_adapter_file_has_what_trained_inside_other_modules_too(tmp_path):
    base = with_transposed()
    model = adapt(copy.deepcopy(base), CoLoRAConfig(targets="features.0"), train_also=("features.2", "head.1"))
    train_steps(model)
    save_adapter(model, tmp_path)
    again = load_adapter(copy.deepcopy(base), tmp_path)
    trained = {n for n, p in again.named_parameters() if p.requires_grad}
    assert trained == {n for n, p in model.named_parameters() if p.requires_grad}
    assert {"features.2.weight", "head.1.bias"} < trained
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())


def test_adapters_of_two_ranks_have_no_file(tmp_path):
    model = nn.Sequential(CoLoRAConv(nn.Conv2d(3, 4, 3)), CoLoRAConv(nn.Conv2d(4, 4, 3), rank=2))
    with pytest.raises(ValueError, match="differ in order or rank"):
        save_adapter(model, tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("adapter_config.json", b""),
        ("adapter_config.json", b"[" * 100_000),
        ("adapter_config.json", b"[]"),
        ("adapter_config.json", b"{}"),
        ("adapter_model.safetensors", b""),
        ("adapter_model.safetensors", b"\xff" * 100),
    ],
)
def test_files_that_are_no_adapters_are_said(tmp_path, name, content):
    base = with_transposed()
    save_adapter(adapt(copy.deepcopy(base), CoLoRAConfig()), tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="holds no adapter that can be read"):
        load_adapter(base, tmp_path)


@pytest.mark.parametrize(
    "values",
    [{"pointwise_rank": "8"}, {"pointwise_rank": 2.5}, {"rank": True}, {"order": []}, {"checksum_of": ["gain"]}],
)
def test_settings_of_another_kind_are_said(tmp_path, values):
    base = with_transposed()
    save_adapter(adapt(copy.deepcopy(base)), tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    with pytest.raises(ValueError, match="holds no adapter that can be read"):
        load_adapter(base, tmp_path)
    assert not adapted_layers(base)


def test_factors_that_no_longer_train_are_in_the_file_too(tmp_path):
    """As where the head is trained a second time, alone."""
    base = with_transposed()
    model = adapt(copy.deepcopy(base))
    train_steps(model)
    for layer in adapted_layers(model).values():
        layer.requires_grad_(False)
    train_steps(model)
    save_adapter(model, tmp_path)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(load_adapter(copy.deepcopy(base), tmp_path)(x), model(x))


def test_a_model_in_which_nothing_trains_any_more_has_no_file(tmp_path):
    """Its head, which the file should have, looks like the base's."""
    model = adapt(with_transposed())
    train_steps(model)
    with pytest.raises(ValueError, match="what trained beside the adapters cannot be told"):
        save_adapter(model.requires_grad_(False), tmp_path / "frozen")
    assert not (tmp_path / "frozen").exists()


@pytest.mark.parametrize("name", ["features.0.depthwise", "features.2.pointwise"])
def test_a_file_that_lacks_a_factor_is_refused(tmp_path, name):
    base = with_transposed()
    save_adapter(adapt(copy.deepcopy(base)), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    save_file({n: value for n, value in load_file(file).items() if n != name}, file)
    with pytest.raises(ValueError, match=f"lacks '{name}': the file is not whole"):
        load_adapter(base, tmp_path)
    assert not adapted_layers(base)


def test_an_adapter_with_a_tensor_that_the_model_has_no_place_for_is_said(tmp_path):
    base = with_transposed()
    save_adapter(adapt(copy.deepcopy(base), CoLoRAConfig()), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    save_file(load_file(file) | {"features.9.weight": torch.zeros(3)}, file)
    with pytest.raises(ValueError, match=r"has 'features\.9\.weight', for which this model has no place"):
        load_adapter(base, tmp_path)


def test_a_refused_file_leaves_the_model_as_it_was(tmp_path):
    base = with_transposed()
    save_adapter(adapt(copy.deepcopy(base), CoLoRAConfig()), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    save_file(load_file(file) | {"head.1.weight": torch.zeros(3)}, file)
    calls = []
    base.features[0].register_forward_hook(lambda *_: calls.append(1))
    before = copy.deepcopy(base.state_dict())
    with pytest.raises(ValueError, match="no place"):
        load_adapter(base, tmp_path)
    assert [type(m) for m in base.modules()] == [type(m) for m in with_transposed().modules()]
    assert all(p.requires_grad for p in base.parameters())
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    base(torch.randn(1, 3, 8, 8))
    assert calls == [1]


def test_batch_norm_computes_after_a_reload_as_it_did(tmp_path):
    """On classes that one of four channels tells, all of them bright: the untrained base's statistics are far off."""
    torch.manual_seed(1)
    features = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    base = nn.Sequential(OrderedDict(features=features, head=nn.Linear(8, 4)))
    labels = torch.arange(32) % 4
    x = 20 + 5 * nn.functional.one_hot(labels).float()[:, :, None, None] + torch.randn(32, 4, 8, 8)
    model = adapt(copy.deepcopy(base))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    assert (model.eval()(x).argmax(1) == labels).all()
    save_adapter(model, tmp_path)
    again = load_adapter(copy.deepcopy(base), tmp_path).eval()
    assert torch.equal(again(x), model(x))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert {n for n in tensors if "features.1" in n} == {
        f"features.1.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")
    }
    save_file({n: t for n, t in tensors.items() if "features.1" not in n}, tmp_path / "adapter_model.safetensors")
    without = load_adapter(copy.deepcopy(base), tmp_path).eval()
    assert (without(x).argmax(1) == labels).float().mean() <= 0.75


def test_a_path_may_be_a_text(tmp_path):
    base = with_transposed()
    model = adapt(copy.deepcopy(base))
    train_steps(model)
    save_adapter(model, f"{tmp_path}/new/adapter")
    again = load_adapter(base, f"{tmp_path}/new/adapter")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize(
    "config", [CoLoRAConfig(layers="conv", pointwise_rank=2, rank=2), CoLoRAConfig(layers="conv+linear")]
)
def test_pointwise_factors_and_linear_layers(tmp_path, config):
    torch.manual_seed(1)
    base = nn.Sequential(nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 1), nn.Flatten(), nn.Linear(32 * 36, 3))
    model = adapt(copy.deepcopy(base), config)
    train_steps(model)
    save_adapter(model, tmp_path)
    again = load_adapter(copy.deepcopy(base), tmp_path)
    assert list(adapted_layers(again)) == (["0", "1", "3"] if config.layers == "conv+linear" else ["0", "1"])
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())
    assert [type(m) for m in again] == [type(m) for m in model]


def test_buffers_over_one_memory_have_a_file(tmp_path):
    base = with_transposed()
    table = torch.arange(6.0)
    base.register_buffer("one", table[:3])
    base.register_buffer("other", table[1:])
    save_adapter(adapt(copy.deepcopy(base)), tmp_path)
    base.one.zero_()
    again = load_adapter(base, tmp_path)
    assert again.one.tolist() == [0, 1, 2]
    assert again.other.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("fails_at", ["adapter_model.safetensors", "adapter_config.json"])
def test_files_are_complete_or_there_is_no_adapter(tmp_path, monkeypatch, fails_at):
    base = with_transposed()
    model = adapt(copy.deepcopy(base))
    save_adapter(model, tmp_path)
    train_steps(model)
    replace = os.replace

    def broken(source, target):
        if Path(target).name == fails_at:
            raise OSError("no space left")
        replace(source, target)

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="no space left"):
        save_adapter(model, tmp_path)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]
    with pytest.raises(FileNotFoundError):
        load_adapter(base, tmp_path)
    monkeypatch.undo()
    save_adapter(model, tmp_path)
    assert torch.equal(load_adapter(base, tmp_path).features[0].depthwise, model.features[0].depthwise)


def old_model() -> nn.Sequential:
    """Of weights that are multiples of 1/8, as the factors in the files: each kernel is exact on any machine."""
    features = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 6, 2, groups=2, bias=False)
    )
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    model = nn.Sequential(OrderedDict(features=features, head=head))
    model.load_state_dict(load_file(DATA / "base.safetensors"))
    return model.eval()


def old_state(of: str) -> dict[str, torch.Tensor]:
    state = load_file(DATA / "expected.safetensors")
    return {name.removeprefix(f"{of}/"): value for name, value in state.items() if name.startswith(f"{of}/")}


@pytest.mark.parametrize(("of", "layers"), [("inception", 2), ("separable", 2), ("part", 1)])
def test_older_adapter_files_give_the_weights_they_gave(of, layers):
    model = load_adapter(old_model(), DATA / f"adapter-{of}")
    assert len(adapted_layers(model)) == layers
    state = old_state(of)
    plain = plain_state(model)
    assert plain.keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in plain.items())
    x = torch.randint(-8, 9, (2, 2, 5, 5)) / 8
    adapted = model(x)
    expected = old_model()
    expected.features[3].bias = nn.Parameter(torch.zeros(6)) if "features.3.bias" in state else None
    expected.load_state_dict(state)
    assert torch.equal(adapted, expected(x))


@pytest.mark.parametrize("of", ["inception", "separable"])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_older_histories_give_the_weights_they_gave(of, epoch):
    rebuilt = rebuild(old_model(), str(DATA / f"history-{of}"), epoch).state_dict()
    state = old_state(f"history-{of}-{epoch}")
    assert rebuilt.keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in rebuilt.items())
