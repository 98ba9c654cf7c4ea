"""Adapters on whole models: what is wrapped, what trains, what merge and strip leave behind."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from colora import CoLoRAConfig, CoLoRAConv, adapt, count_parameters, merge_, strip, trainable_summary, undo_
from colora.adapters.history import save_epoch
from colora.adapters.model import plain_state
from colora.adapters.targets import LeftOutWarning
from colora.adapters.walk import adapted_layers, adapter_parameters


def small_model() -> nn.Sequential:
    torch.manual_seed(1)
    features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 1, bias=False), nn.ReLU())
    head = nn.Sequential(nn.Conv2d(16, 4, 1), nn.Flatten(), nn.Linear(4 * 64, 3))
    return nn.Sequential(OrderedDict(features=features, head=head)).double()


def train_steps(model, steps=3):
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()
    return x


def test_only_adapters_and_head_train():
    model = adapt(small_model())
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {
        "features.0.pointwise", "features.0.depthwise", "features.0.bias_update",
        "features.2.pointwise", "features.2.depthwise",
        "head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias",
    }  # fmt: skip
    assert list(adapted_layers(model)) == ["features.0", "features.2"]
    assert sum(p.numel() for p in adapter_parameters(model)) == (8 * 3 + 8 * 9 + 8) + (16 * 8 + 16)


@pytest.mark.parametrize("order", ["inception", "separable"])
@pytest.mark.parametrize("rank", [1, 3])
def test_train_merge_strip_keep_the_function_and_the_keys(order, rank):
    base = small_model()
    keys = list(base.state_dict())
    classes = [type(m) for m in base.modules()]
    model = adapt(base, CoLoRAConfig(order=order, rank=rank), seed=3)
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    x = train_steps(model)
    assert all(torch.equal(dict(model.named_parameters())[n], p) for n, p in frozen.items())
    adapted = model(x)
    expected_state = plain_state(model)

    factors = merge_(model, seed=3, step=1)
    assert set(factors) == {"features.0", "features.2"}
    assert factors["features.0"]["pointwise"].shape == (rank, 8, 3)
    assert torch.allclose(model(x), adapted, rtol=0, atol=1e-10)
    assert strip(model) is model
    assert [type(m) for m in model.modules()] == classes
    assert list(model.state_dict()) == keys
    assert torch.allclose(model(x), adapted, rtol=0, atol=1e-10)
    assert all(torch.equal(value, expected_state[name]) for name, value in model.state_dict().items())


def test_draws_are_keyed_by_seed_merge_and_layer():
    one, two = adapt(small_model(), seed=5), adapt(small_model(), seed=5)
    merge_(one, seed=5, step=1)
    merge_(two, seed=5, step=2)
    assert not torch.equal(one.features[0].pointwise, two.features[0].pointwise)
    merge_(one, seed=5, step=2)
    assert torch.equal(one.features[0].pointwise, two.features[0].pointwise)
    assert not torch.equal(
        adapt(small_model(), seed=6).features[0].pointwise, adapt(small_model(), seed=5).features[0].pointwise
    )


def test_a_lone_convolution_is_a_model_too():
    conv = nn.Conv2d(3, 4, 3)
    model = adapt(conv, CoLoRAConfig())
    assert isinstance(model, CoLoRAConv)
    assert set(merge_(model)) == {""}
    assert strip(model) is conv


def test_a_shared_layer_gets_one_adapter():
    shared = nn.Conv2d(3, 3, 3, padding=1)
    model = adapt(nn.Sequential(shared, nn.Sequential(shared), nn.ReLU()))
    assert model[0] is model[1][0]
    assert len(adapted_layers(model)) == 1
    strip(model)
    assert model[0] is shared
    assert model[1][0] is shared


def test_layers_adapted_already_keep_their_one_adapter():
    """Made by hand and trained, with its base standing plain elsewhere in the model too."""
    base, other = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 4, 1)
    by_hand = CoLoRAConv(base, order="separable", rank=2)
    with torch.no_grad():
        by_hand.depthwise.normal_()
    factors = by_hand.factors()
    model = adapt(nn.Sequential(by_hand, nn.Sequential(base), other))
    assert model[0] is by_hand
    assert model[1][0] is by_hand
    assert list(adapted_layers(model)) == ["0", "2"]
    assert (by_hand.order, by_hand.rank, model[2].order, model[2].rank) == ("separable", 2, "inception", 1)
    assert all(torch.equal(value, factors[name]) for name, value in by_hand.factors().items())
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        f"{layer}.{name}" for layer in "02" for name in ("pointwise", "depthwise", "bias_update")
    }
    x = torch.randn(2, 3, 8, 8)
    adapted = model(x)
    merge_(model)
    assert torch.allclose(model(x), adapted, rtol=0, atol=1e-5)
    strip(model)
    assert [type(m) for m in model.modules()] == [nn.Sequential, nn.Conv2d, nn.Sequential, nn.Conv2d]
    assert (model[0], model[1][0], model[2]) == (base, base, other)
    assert torch.allclose(model(x), adapted, rtol=0, atol=1e-5)


def test_what_a_second_call_adds_trains_beside_the_first():
    model = adapt(small_model(), CoLoRAConfig(targets="spatial"), seed=1)
    first = model.features[0]
    adapt(model, seed=1)
    assert model.features[0] is first
    assert list(adapted_layers(model)) == ["features.0", "features.2"]
    at_once = adapt(small_model(), seed=1)
    assert all(torch.equal(value, at_once.state_dict()[name]) for name, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == [p.requires_grad for p in at_once.parameters()]


def test_a_history_is_of_one_order_and_rank(tmp_path):
    model = adapt(small_model(), CoLoRAConfig(targets="spatial"))
    adapt(model, CoLoRAConfig(rank=2))
    with pytest.raises(ValueError, match="the adapters differ in order or rank"):
        save_epoch(tmp_path, model, 1, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("targets", ["all", "features.4"])
def test_a_convolution_tied_to_another_layer_is_refused(targets):
    model = small_model()
    model.features.append(nn.Conv2d(3, 8, 3))
    model.features[4].weight = model.features[0].weight
    with pytest.raises(ValueError, match=r"features\.0 and features\.4 share one parameter"):
        adapt(model, CoLoRAConfig(targets=targets))
    assert all(p.requires_grad for p in model.parameters())
    assert list(adapted_layers(adapt(model, CoLoRAConfig(targets="features.2")))) == ["features.2"]


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ("all", ["features.0", "features.2"]),
        ("spatial", ["features.0"]),
        ("features.2", ["features.2"]),
        ("features.0, *.2", ["features.0", "features.2"]),
        ("2", ["features.2"]),
        (["features.*"], ["features.0", "features.2"]),
        (lambda name, conv: conv.out_channels == 16, ["features.2"]),
    ],
)
def test_targets(targets, names):
    assert list(adapted_layers(adapt(small_model(), CoLoRAConfig(targets=targets)))) == names


def test_errors_list_what_there_is():
    with pytest.raises(ValueError, match=r"'layer9' matches no layer to adapt; the model has features\.0, features\.2"):
        adapt(small_model(), CoLoRAConfig(targets="layer9"))
    with pytest.raises(ValueError, match=r"'nothing\.\*' matches no layer to adapt"):
        adapt(small_model(), CoLoRAConfig(targets="features.0, nothing.*"))
    with pytest.raises(ValueError, match="train_also names 'fc', which the model lacks: its classifier is head"):
        adapt(small_model(), train_also=("fc",))
    with pytest.raises(ValueError, match="has adapters already"):
        adapt(adapt(small_model()))
    with pytest.raises(ValueError, match=r"'spatial' match no layer to adapt; the model has features\.2"):
        adapt(adapt(small_model(), CoLoRAConfig(targets="spatial")), CoLoRAConfig(targets="spatial"))
    with pytest.raises(ValueError, match="match no layer to adapt; the model has none"):
        adapt(nn.ReLU())


def test_importing_the_submodule_leaves_the_function():
    import colora
    import colora.adapters.model

    assert colora.adapt is adapt is colora.adapters.model.adapt


def test_a_shared_adapted_layer_has_the_same_state_under_both_names():
    shared = nn.Conv2d(3, 3, 3, padding=1)
    model = adapt(nn.Sequential(shared, nn.Sequential(shared), nn.ReLU()))
    with torch.no_grad():
        model[0].depthwise.normal_()
    expected = plain_state(model)
    assert torch.equal(expected["1.0.weight"], expected["0.weight"])
    stripped = strip(model).state_dict()
    assert list(expected) == list(stripped)
    assert all(torch.equal(value, stripped[name]) for name, value in expected.items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_cast_after_adapting_is_that_of_the_stripped_model(dtype):
    """Of every layer alike, while the kernels keep the bits that many small updates are added to."""
    model = adapt(small_model().float())
    with torch.no_grad():
        model.features[0].depthwise.normal_()
    kernel = model.features[0].base_weight.clone()
    model.to(dtype)
    assert model.features[0].base_weight.dtype == torch.promote_types(dtype, torch.float32)
    assert model.features[0].depthwise.dtype == torch.promote_types(dtype, torch.float32)
    assert torch.equal(model.features[0].base_weight, kernel.to(model.features[0].base_weight.dtype))
    x = torch.randn(2, 3, 8, 8, dtype=dtype)
    adapted = model(x)
    assert adapted.dtype == dtype
    expected = plain_state(model)
    assert {value.dtype for value in expected.values()} == {dtype}
    strip(model)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert (model(x) - adapted).abs().max() <= 2**-6 * adapted.abs().max()
    assert {p.dtype for p in strip(adapt(small_model().to(dtype)).float()).parameters()} == {torch.float32}


def test_convolutions_over_one_memory_are_refused():
    model = small_model()
    model.features.append(nn.Conv2d(3, 8, 3))
    model.features[4].weight = nn.Parameter(model.features[0].weight.data)
    with pytest.raises(ValueError, match=r"features\.0 and features\.4 share one parameter"):
        adapt(model)
    with torch.device("meta"):  # where nothing has a memory, and nothing is tied
        adapt(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)))


class PaddedConv(nn.Conv2d):  # as timm's Conv2dSame: padding of its own
    def forward(self, x):
        return super().forward(nn.functional.pad(x, (0, 1, 0, 1)))


class Conv3x3(nn.Conv2d):  # builds another geometry and computes as ever
    def __init__(self, width):
        super().__init__(width, width, 3)


def test_convolutions_of_another_class_are_adapted_as_they_compute():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), PaddedConv(4, 4, 3), Conv3x3(4)).double()
    keys = list(model.state_dict())
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    before = model(x)
    adapt(model)
    assert torch.equal(model(x), before)
    assert list(adapted_layers(model)) == ["0", "1", "2"]
    with torch.no_grad():
        for layer in model:
            layer.depthwise.normal_()
    adapted = model(x)
    assert (adapted - before).abs().max() > 0.1
    merge_(model)
    assert torch.equal(model(x), adapted)
    strip(model)
    assert [type(m) for m in model] == [nn.Conv2d, PaddedConv, Conv3x3]
    assert list(model.state_dict()) == keys
    assert torch.equal(model(x), adapted)


def test_what_no_adapter_can_stand_on_is_refused_by_name():
    class Frozen(nn.Conv2d):
        def forward(self, x):
            return nn.functional.conv2d(x, torch.ones_like(self.weight))

    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3))
    pruned = prune.l1_unstructured(nn.Conv2d(4, 4, 3), "weight", 0.5)
    for layer, why in ((normed, "parametrized"), (pruned, "pruned"), (nn.LazyConv2d(4, 3), "no shape yet")):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), layer)
        with pytest.raises(ValueError, match=rf"^1 \({type(layer).__name__}\) cannot be adapted: its weight .*{why}"):
            adapt(model)
        assert list(adapted_layers(adapt(model, CoLoRAConfig(targets="0")))) == ["0"]
    with pytest.warns(LeftOutWarning, match="1 layers never use their weight .* stay frozen: 1$"):
        model = adapt(nn.Sequential(nn.Conv2d(3, 4, 3), Frozen(4, 4, 3)))
    assert list(adapted_layers(model)) == ["0"]


@pytest.mark.parametrize("train_also", [(), ("classes",)])
@pytest.mark.parametrize("lazy", [nn.LazyLinear(5), nn.LazyConv2d(5, 4)])
def test_lazy_modules_elsewhere_get_their_shape_and_stay_as_they_were_meant(lazy, train_also):
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3, padding=1), nn.LazyBatchNorm2d(), nn.AvgPool2d(2)]
    body += [nn.Flatten()] if isinstance(lazy, nn.LazyLinear) else []
    model = nn.Sequential(OrderedDict(body=nn.Sequential(*body), classes=copy.deepcopy(lazy)))
    adapt(model, CoLoRAConfig(targets="body.0"), train_also)
    assert count_parameters(model)["deployed"] == trainable_summary(model).deployed == 3 * 4 * 9 + 4
    model(torch.randn(2, 3, 8, 8))
    factors = {f"body.0.{name}" for name in ("pointwise", "depthwise", "bias_update")}
    classes = {"classes.weight", "classes.bias"} if train_also else set()
    assert {name for name, p in model.named_parameters() if p.requires_grad} == factors | classes
    assert trainable_summary(model).deployed == 112 + 8 + 4 * 16 * 5 + 5
    assert not model.body[1].weight.requires_grad
    merge_(model)
    assert type(strip(model).classes) in (nn.Linear, nn.Conv2d)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_a_safe_merge_of_what_is_not_finite_changes_nothing(value):
    model = adapt(small_model().float(), CoLoRAConfig(pointwise_rank=1))
    with torch.no_grad():
        for layer in adapted_layers(model).values():
            layer.depthwise.normal_()
        model.features[2].depthwise[0, 3] = value
        if value == 1e38:  # finite itself, but not what it is multiplied with
            model.features[2].pointwise_b.fill_(100)
    state = {name: t.clone() for name, t in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"^features\.2 would have values that are not finite: nothing was merged$"):
        merge_(model, safe=True)
    assert all(torch.allclose(t, state[name], rtol=0, atol=0, equal_nan=True) for name, t in model.state_dict().items())
    assert [layer.merged_from for layer in adapted_layers(model).values()] == [None, None]
    model.features[2].reset_()
    merge_(model, safe=True)
    assert not torch.equal(model.features[0].base_weight, state["features.0.weight"])
    merge_(model)


def test_a_safe_merge_looks_at_the_dtype_that_strip_gives():
    model = adapt(nn.Sequential(nn.Conv2d(3, 4, 1)).half())
    with torch.no_grad():
        model[0].bias_update.fill_(70_000)  # more than float16 has
    with pytest.raises(ValueError, match="0 would have values that are not finite"):
        merge_(model, safe=True)
    model.float()
    merge_(model, safe=True)
    assert model[0].base_bias.min() > 69_999
    with torch.device("meta"):
        merge_(adapt(nn.Sequential(nn.Conv2d(3, 4, 1))), safe=True)


def test_a_lone_convolution_in_a_wrapper():
    conv = nn.Conv2d(3, 4, 3)
    wrapped = nn.DataParallel(conv)
    assert adapt(wrapped) is wrapped
    assert isinstance(wrapped.module, CoLoRAConv)
    assert set(merge_(wrapped)) == {""}
    assert strip(wrapped) is wrapped
    assert wrapped.module is conv
    with pytest.raises(ValueError, match=r"the model is one layer, to which .* holds: give the layer itself"):
        adapt(torch.compile(nn.Conv2d(3, 4, 3)))
    with pytest.raises(ValueError, match=r"the model is one layer, to which .* holds: give the layer itself"):
        strip(torch.compile(adapt(nn.Conv2d(3, 4, 3))))


def test_wrong_factors_are_refused_before_anything_is_undone():
    model = adapt(small_model())
    factors = merge_(model)
    state = {name: t.clone() for name, t in model.state_dict().items()}
    with pytest.raises(ValueError, match="the factors are of 'other', which is no adapted layer of this model"):
        undo_(model, factors | {"other": factors["features.0"]})
    assert all(torch.equal(t, state[name]) for name, t in model.state_dict().items())


def test_the_state_keeps_versions_also_when_compiled():
    class Versioned(nn.Conv2d):
        _version = 3

    model = nn.Sequential(Versioned(3, 4, 3), nn.BatchNorm2d(4))
    expected = model.state_dict()._metadata
    assert (expected["0"], expected["1"]) == ({"version": 3}, {"version": 2})
    adapt(model)
    assert plain_state(model)._metadata == plain_state(torch.compile(model))._metadata == expected
    assert strip(model).state_dict()._metadata == expected
