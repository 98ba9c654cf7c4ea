"""Several adapters on one base, one of them active."""

import copy
import io

import pytest
import torch
from small_networks import X, outputs, two_tasks, with_batch_norm
from torch import nn

from colora import (
    CoLoRAConfig,
    adapt,
    adapted_layers,
    adapter_parameters,
    count_parameters,
    load_adapter,
    merge_,
    plain_state,
    save_adapter,
    strip,
    undo_,
)
from colora.adapters.files import base_checksum
from colora.adapters.named import adapter_names, add_adapter, remove_adapter, set_adapter


def optimizer_of(model):
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)


def train(model, optimizer, steps=2):
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(X), torch.arange(6) % 2).backward()
        optimizer.step()


def test_each_adapter_is_trained_as_if_it_were_alone():
    model = two_tasks()
    base = with_batch_norm()
    alone = {"default": adapt(with_batch_norm()), "b": with_batch_norm()}
    adapt(alone["b"], CoLoRAConfig("separable", 2, targets="features.0"), seed=1)
    optimizers = {name: optimizer_of(one) for name, one in alone.items()}
    both = {"default": optimizer_of(model)}
    set_adapter(model, "b")
    both["b"] = optimizer_of(model)
    for name in ("b", "default", "default", "b"):
        set_adapter(model, name)
        assert adapter_names(model)[0] == name
        train(model, both[name])
        train(alone[name], optimizers[name])
    for name in ("default", "b"):
        set_adapter(model, name)
        own = alone[name]
        assert torch.equal(outputs(model), outputs(own))
        assert list(model.state_dict()) == list(own.state_dict())
        assert all(torch.equal(value, own.state_dict()[key]) for key, value in model.state_dict().items())
        assert count_parameters(model) == count_parameters(own)
        assert base_checksum(model, ["features.0"]) == base_checksum(base, ["features.0"])
    assert adapter_names(model) == ["b", "default"]


def test_one_base_and_the_same_parameters_whenever_an_adapter_is_set():
    model = two_tasks()
    first, second = list(model.parameters()), None
    for _ in range(2):
        set_adapter(model, "b")
        second = second or list(model.parameters())
        assert all(one is other for one, other in zip(model.parameters(), second, strict=True))
        set_adapter(model, "default")
        assert all(one is other for one, other in zip(model.parameters(), first, strict=True))
    shared = {id(p) for p in first} & {id(p) for p in second}
    names = {name for name, p in model.named_parameters() if id(p) in shared}
    assert names == {f"features.{part}" for part in ("0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias")}


def test_a_task_may_have_other_classes_and_another_classifier():
    model = add_adapter(adapt(with_batch_norm()), "b", modules={"head.1": nn.Linear(256, 5)})
    assert outputs(model).shape == (6, 3)
    set_adapter(model, "b")
    assert outputs(model).shape == (6, 5)
    assert {n for n, p in model.named_parameters() if p.requires_grad and "head" in n} == {
        "head.1.weight",
        "head.1.bias",
    }
    set_adapter(model, "default")
    add_adapter(model, "c")
    set_adapter(model, "c")
    model.head = nn.Sequential(nn.Conv2d(4, 7, 8), nn.Dropout(), nn.Flatten())  # put there by hand
    model.train()
    for name, classes in (("default", 3), ("b", 5), ("c", 7)):
        set_adapter(model, name)
        assert model.head.training
        assert model(X).shape == (6, classes)
    set_adapter(model, "default")
    model.eval()
    set_adapter(model, "c")
    assert not any(m.training for m in model.modules())


def test_the_first_one_may_have_a_name():
    model = add_adapter(with_batch_norm(4), "a", CoLoRAConfig(targets="spatial"), modules={"head.1": nn.Linear(256, 2)})
    assert adapter_names(model) == ["a"]
    assert list(adapted_layers(model)) == ["features.0"]
    assert outputs(model).shape == (6, 2)
    assert model.head[1].weight.requires_grad
    assert adapter_names(with_batch_norm()) == []
    assert adapter_names(adapt(with_batch_norm())) == ["default"]


def test_what_is_not_there_is_said():
    model = two_tasks()
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="there is no adapter 'z'; the model has default, b"):
        set_adapter(model, "z")
    with pytest.raises(ValueError, match="there is no adapter 'b'; the model has none"):
        set_adapter(with_batch_norm(), "b")
    with pytest.raises(ValueError, match="there is an adapter 'b' already; the model has default, b"):
        add_adapter(model, "b")
    with pytest.raises(ValueError, match=r"'default' is active: set another one first \(b\)"):
        remove_adapter(model, "default")
    with pytest.raises(ValueError, match="modules names 'fc', which the model lacks; it has features, head"):
        add_adapter(model, "c", modules={"fc": nn.Linear(2, 2)})
    with pytest.raises(ValueError, match=r"'layer9' matches no layer to adapt"):
        add_adapter(model, "c", CoLoRAConfig(targets="layer9"))
    assert adapter_names(model) == ["default", "b"]
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        n for n, p in adapt(with_batch_norm()).named_parameters() if p.requires_grad
    }
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="has one adapter, 'default'"):
        add_adapter(adapt(nn.Conv2d(3, 4, 3)), "b")
    with pytest.raises(ValueError, match="has one adapter, 'default'"):
        add_adapter(nn.Conv2d(3, 4, 3), "a")
    remove_adapter(model, "b")
    with pytest.raises(ValueError, match="'default' is active: strip takes it off"):
        remove_adapter(model, "default")


def test_a_base_under_several_adapters_is_not_merged_into():
    model = two_tasks()
    train(model, optimizer_of(model))
    factors = {name: layer.factors() for name, layer in adapted_layers(model).items()}
    before = copy.deepcopy(model.state_dict())
    for change in (lambda: merge_(model), lambda: undo_(model, factors)):
        with pytest.raises(ValueError, match="b stand on the same base, which a merge would change under them"):
            change()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    merged = copy.deepcopy(model)
    plain = plain_state(model)
    assert all(torch.equal(value, plain[name]) for name, value in strip(merged).state_dict().items())
    assert adapter_names(merged) == []
    adapt(merged)
    assert adapter_names(merged) == ["default"]
    assert torch.equal(model.features[0].base_weight, before["features.0.weight"])
    remove_adapter(model, "b")
    merge_(model)
    assert torch.equal(model.features[0].base_weight, plain["features.0.weight"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", ["auto", "all"])
def test_one_that_is_added_after_merges_stands_on_the_merged_base(dtype, bias):
    model = adapt(with_batch_norm().to(dtype), CoLoRAConfig(bias=bias))
    with torch.no_grad():
        for p in adapter_parameters(model):
            p.normal_()
    merge_(model)
    expected = model.eval()(X.to(dtype))
    add_adapter(model, "b", CoLoRAConfig(targets="features.3"))
    set_adapter(model, "b")
    assert list(adapted_layers(model)) == ["features.3"]
    assert model.features[3].base_weight.dtype == torch.float32
    assert torch.equal(model(X.to(dtype)), expected)
    assert model.features[0].weight.dtype == dtype


def test_copies_and_pickles_keep_them_all():
    model = two_tasks()
    train(model, optimizer_of(model))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for twin in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        assert adapter_names(twin) == ["default", "b"]
        assert torch.equal(outputs(twin), outputs(model))
        set_adapter(twin, "b")
        weight = twin.features[0].base_weight
        set_adapter(twin, "default")
        assert twin.features[0].base_weight is weight
        assert weight is not model.features[0].base_weight


def test_hooks_of_adapted_layers_move_along():
    model = two_tasks()
    calls = []
    handles = [model.features[n].register_forward_hook(lambda m, _, y: calls.append(type(m).__name__)) for n in (0, 3)]
    for name in ("default", "b", "default"):
        set_adapter(model, name)
        outputs(model)
    assert calls == ["CoLoRAConv", "CoLoRAConv", "CoLoRAConv", "Conv2d", "CoLoRAConv", "CoLoRAConv"]
    set_adapter(model, "b")
    for handle in handles:
        handle.remove()
    outputs(model)
    assert len(calls) == 6


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_what_is_aside_goes_where_the_model_went(dtype):
    model = add_adapter(two_tasks(), "c", CoLoRAConfig(targets="features.3"), modules={"head.1": nn.Linear(256, 5)})
    single = {}
    for name in ("b", "c", "default"):
        set_adapter(model, name)
        train(model, optimizer_of(model))
        single[name] = {n: v.clone() for n, v in plain_state(model).items()}
    model.to(dtype)
    for name in ("b", "default", "c"):
        set_adapter(model, name)
        outputs = model.eval()(X.to(dtype))
        assert outputs.dtype == dtype
        state = plain_state(model)
        for key, value in single[name].items():
            if value.is_floating_point():
                assert state[key].dtype == dtype
                assert torch.allclose(state[key].double(), value.double(), rtol=2**-7, atol=1e-7)
            else:
                assert torch.equal(state[key], value)
        for layer in adapted_layers(model).values():
            assert layer.base_weight.dtype == layer.depthwise.dtype == torch.promote_types(dtype, torch.float32)


def test_files_of_named_adapters(tmp_path):
    model = add_adapter(adapt(with_batch_norm()), "b", modules={"head.1": nn.Linear(256, 5)})
    expected = {}
    for name in ("b", "default"):
        set_adapter(model, name)
        train(model, optimizer_of(model))
        expected[name] = outputs(model)
    for name in ("default", "b"):
        save_adapter(model, tmp_path / name, name)
    assert adapter_names(model) == ["default", "b"]
    assert torch.equal(outputs(model), expected["default"])
    with pytest.raises(ValueError, match="no adapter 'z'"):
        save_adapter(model, tmp_path / "z", "z")
    again = load_adapter(with_batch_norm(), tmp_path / "default")
    with pytest.raises(ValueError, match="has the adapter 'default' already: give this one a name"):
        load_adapter(again, tmp_path / "b")
    with pytest.raises(ValueError, match=r"has 'head\.1\.(weight|bias)', for which .* place: of shape \(5,.*here \(3,"):
        load_adapter(again, tmp_path / "b", "b")
    load_adapter(again, str(tmp_path / "b"), "b", modules={"head.1": nn.Linear(256, 5)})
    for name in ("b", "default"):
        set_adapter(again, name)
        assert torch.equal(outputs(again), expected[name])
        assert any(p.requires_grad for p in again.head.parameters())
    assert adapter_names(load_adapter(with_batch_norm(), tmp_path / "default", "a")) == ["a"]


def test_a_layer_that_one_adapter_adapts_and_another_trains_whole():
    model = adapt(with_batch_norm(), CoLoRAConfig(targets="features.0"))
    add_adapter(model, "b", CoLoRAConfig(targets="features.3"), train_also="features.0")
    expected = outputs(model)
    set_adapter(model, "b")
    assert model.features[0].weight.requires_grad
    train(model, optimizer_of(model))
    trained = outputs(model)
    for _ in range(2):
        set_adapter(model, "default")
        assert torch.equal(outputs(model), expected)
        set_adapter(model, "b")
        assert torch.equal(outputs(model), trained)
    set_adapter(model, "default")
    add_adapter(model, "c", CoLoRAConfig(targets="features.3"))
    set_adapter(model, "c")
    assert torch.equal(outputs(model), expected)
