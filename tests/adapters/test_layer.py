"""An adapted layer in the place of the one it wraps: hooks, own forward passes, attributes, copies and casts."""

import copy
import io

import pytest
import torch
from timm import layers as timm_layers
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from colora import CoLoRAConfig, CoLoRAConv, CoLoRALinear, adapt, adapted_layers, merge_, plain_state, strip
from colora.adapters.history import rebuild, save_epoch
from colora.adapters.layer import AdaptedLayer

IMAGES = torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Gained(nn.Conv2d):
    """All that a subclass may add: a parameter, buffers, children, a plain attribute, a forward pass."""

    def __init__(self):
        super().__init__(3, 4, 3)
        self.gain = nn.Parameter(torch.full((4, 1, 1, 1), 2.0))
        self.register_buffer("scale", torch.tensor(3.0))
        self.register_buffer("calls", torch.tensor(0), persistent=False)
        self.norm = nn.BatchNorm2d(4).eval()
        self.then = nn.Conv2d(4, 4, 1)
        self.eps = 1e-3

    def forward(self, x):
        self.calls = self.calls + 1
        y = nn.functional.conv2d(x, self.weight * self.gain * self.scale + self.eps, self.bias)
        return self.then(self.norm(y))


def randomised(model):
    with torch.no_grad():
        for layer in adapted_layers(model).values():
            for factor in layer.adapter_parameters():
                factor.normal_(generator=torch.Generator().manual_seed(1))
    return model


def gained():
    torch.manual_seed(0)
    return randomised(adapt(nn.Sequential(Gained()).double(), CoLoRAConfig(pointwise_rank=1)))


def test_what_a_subclass_adds_keeps_its_keys_and_is_given_back():
    torch.manual_seed(0)
    plain = nn.Sequential(Gained()).double()
    keys, before = list(plain.state_dict()), plain(IMAGES)
    model = adapt(plain, CoLoRAConfig(pointwise_rank=1))
    assert torch.equal(model(IMAGES), before)
    assert list(adapted_layers(model)) == ["0", "0.then"]
    randomised(model)
    layer = model[0]
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {
        f"0.{n}" for n in ("pointwise_a", "pointwise_b", "depthwise", "bias_update")
    } | {f"0.then.{n}" for n in ("pointwise_a", "pointwise_b", "depthwise", "bias_update")}  # fmt: skip
    assert [k for k in model.state_dict() if k.split(".")[-1] not in
            ("pointwise_a", "pointwise_b", "depthwise", "bias_update")] == keys  # fmt: skip
    adapted = model(IMAGES)
    assert (adapted - before).abs().max() > 0.1
    adapted.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for layer in adapted_layers(model).values()
               for p in layer.adapter_parameters())  # fmt: skip
    assert layer.calls == 3  # forward passes: a look at whether its weight counts is none
    assert (layer.norm.training, layer.training) == (False, True)
    expected = plain_state(model)
    merge_(model)
    assert torch.equal(model(IMAGES), adapted)
    strip(model)
    assert (type(model[0]), type(model[0].then)) == (Gained, nn.Conv2d)
    assert list(model.state_dict()) == list(expected) == keys
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert torch.equal(model(IMAGES), adapted)
    assert (model[0].calls, model[0].norm.training) == (5, False)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_what_a_subclass_adds_is_cast_as_the_plain_layer_casts_it(dtype, when):
    torch.manual_seed(0)
    plain = nn.Sequential(Gained())
    expected = {name: value.dtype for name, value in copy.deepcopy(plain).to(dtype).state_dict().items()}
    model = adapt(plain.to(dtype)) if when == "before" else adapt(plain).to(dtype)
    randomised(model)
    kept = {"weight", "bias", "pointwise", "depthwise", "bias_update"}
    for name, value in model.state_dict().items():
        of_adapted = name.removeprefix("0.").removeprefix("then.") in kept
        assert value.dtype == (torch.float32 if of_adapted else expected[name]), name
    assert (model[0].weight.dtype, model[0].bias.dtype) == (dtype, dtype)  # as a reader of the plain layer's
    x = IMAGES.to(dtype)
    adapted = model(x)
    assert adapted.dtype == dtype
    strip(model)
    assert {name: value.dtype for name, value in model.state_dict().items()} == expected
    assert torch.equal(model(x), adapted)


TIMM = ("StdConv2d", "StdConv2dSame", "ScaledStdConv2d", "ScaledStdConv2dSame", "Conv2dSame")


@pytest.mark.parametrize("p", [None, 1])
@pytest.mark.parametrize("kind", TIMM)
def test_timm_convolutions_merge_without_error(kind, p):
    torch.manual_seed(0)
    base = getattr(timm_layers, kind)(3, 8, 3, stride=2, padding="same" if "Same" in kind else 1, bias=True).double()
    before = base(IMAGES)
    layer = CoLoRAConv(base, pointwise_rank=p)
    assert layer.form == "plain"
    assert torch.equal(layer(IMAGES), before)
    randomised(layer)
    adapted = layer(IMAGES)
    assert (adapted - before).abs().max() > 0.1
    grads = torch.autograd.grad(adapted.square().sum(), layer.adapter_parameters())
    assert all(g.abs().max() > 0 for g in grads)
    layer.merge_()
    assert torch.equal(layer(IMAGES), adapted)
    assert type(layer.stripped()) is getattr(timm_layers, kind)
    assert torch.equal(base(IMAGES), adapted)


@pytest.mark.parametrize("form", ["plain", "fused", "factored"])
def test_it_answers_for_the_convolution_it_wraps(form):
    base = nn.Conv2d(4, 8, (3, 5), stride=2, padding=1, dilation=(2, 1), groups=2, padding_mode="reflect")
    layer = CoLoRAConv(base, form=form)
    names = ("kernel_size", "stride", "padding", "dilation", "groups", "in_channels", "out_channels", "padding_mode",
             "transposed", "output_padding")  # fmt: skip
    assert [getattr(layer, name) for name in names] == [getattr(base, name) for name in names]
    assert (hasattr(layer, "in_features"), hasattr(CoLoRALinear(nn.Linear(2, 3)), "in_features")) == (False, True)
    with pytest.raises(AttributeError, match="'Conv2d' object has no attribute 'nothing'"):
        _ = layer.nothing
    layer.stride = (1, 1)  # as networks with larger maps are made
    assert layer(torch.randn(1, 4, 9, 9)).shape == (1, 8, 7, 7)
    assert layer.stripped().stride == (1, 1)


def test_a_reader_of_the_weight_sees_the_update_and_gives_it_gradients():
    layer = randomised(CoLoRAConv(nn.Conv2d(3, 4, 3).double(), pointwise_rank=1))
    y = nn.functional.conv2d(IMAGES, layer.weight, layer.bias)
    assert torch.equal(y, layer(IMAGES))
    read = torch.autograd.grad(y.sum(), layer.adapter_parameters())
    assert all(map(torch.equal, read, torch.autograd.grad(layer(IMAGES).sum(), layer.adapter_parameters())))
    layer.enabled = False
    assert torch.equal(layer.weight, layer.base_weight)
    assert torch.equal(layer.bias, layer.base_bias)
    assert torch.equal(layer(IMAGES), nn.functional.conv2d(IMAGES, layer.base_weight, layer.base_bias))


def test_a_weight_that_is_put_there_is_k0_and_a_stripped_layer_folds_batch_norm():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).double().eval()
    layer = randomised(adapt(model, train_also=())[0])
    before, y = layer.base_weight, model(IMAGES)
    layer.weight = nn.Parameter(torch.zeros_like(before))
    assert not layer.base_weight.any() and torch.equal(layer.weight, layer.delta_weight())
    layer.weight = before
    assert torch.allclose(fuse_conv_bn_eval(strip(model)[0], model[1])(IMAGES), y, atol=1e-12)


def test_the_library_never_reads_the_weight_itself(monkeypatch, tmp_path):
    """Each reading computes K0 + dK anew."""

    def read(layer):
        raise AssertionError("the weight was read")

    monkeypatch.setattr(AdaptedLayer, "weight", property(read, AdaptedLayer.weight.fset))
    monkeypatch.setattr(AdaptedLayer, "bias", property(read, AdaptedLayer.bias.fset))
    torch.manual_seed(0)
    base = nn.Sequential(Gained(), nn.Flatten(), nn.Linear(168, 3)).double()
    model = adapt(copy.deepcopy(base), CoLoRAConfig(layers="conv+linear", pointwise_rank=1))
    randomised(model)
    model(IMAGES).sum().backward()
    factors = merge_(model, safe=True)
    save_epoch(tmp_path, model, 1, {1: factors})
    rebuilt = rebuild(base, tmp_path, 1)
    repr(model)
    state = copy.deepcopy(model).state_dict()
    model.load_state_dict(state)
    expected = plain_state(model.float().double().train().eval())
    strip(model)
    assert all(torch.allclose(v, expected[n], rtol=1e-6) for n, v in rebuilt.state_dict().items())


def own_forward(kind):
    """A plain convolution, one of a subclass, and one whose forward pass was put on it alone; each x K + b, doubled."""
    base = (timm_layers.StdConv2d if kind == "subclass" else nn.Conv2d)(3, 4, 3).double()
    if kind == "instance":
        forward = base.forward
        base.forward = lambda x, **_: 2 * forward(x)
    return base


HOOKS = {
    "register_forward_pre_hook": lambda m, x: (x[0] + 1,),
    "register_forward_hook": lambda m, x, y: y + 1,
    "register_full_backward_hook": lambda m, gx, gy: (gx[0] * 2,),
    "register_full_backward_pre_hook": lambda m, gy: (gy[0] * 2,),
}


@pytest.mark.parametrize("kind", ["plain", "subclass", "instance"])
@pytest.mark.parametrize("register", HOOKS)
@pytest.mark.parametrize("form", ["plain", "fused"])
def test_hooks_go_on_and_can_be_taken_off(register, kind, form):
    """Each is called once, also where the base's own forward pass is called inside."""
    torch.manual_seed(0)
    base, calls = own_forward(kind), []

    def hook(module, *args):
        calls.append(module)
        return HOOKS[register](module, *args)

    def passed(module):
        x = IMAGES.clone().requires_grad_()
        y = module(x)
        y.square().sum().backward()
        return y.detach(), x.grad

    without = passed(base)
    handles = [getattr(base, register)(hook) for _ in range(2)]
    expected = passed(base)
    assert any(not torch.equal(a, b) for a, b in zip(expected, without, strict=True))
    assert calls == [base] * 2
    model = adapt(nn.Sequential(base))
    layer = model[0]
    layer.form = form
    assert calls == [base] * 2  # adapting calls none
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(passed(layer), expected, strict=True))
    assert calls == [base] * 2 + [layer] * 2
    handles[0].remove()
    calls.clear()
    passed(layer)
    assert calls == [layer]
    new = getattr(layer, register)(hook)
    strip(model)
    calls.clear()
    passed(model[0])
    assert calls == [base] * 2
    handles[1].remove()
    new.remove()
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(passed(base), without, strict=True))
    assert len(calls) == 2


def test_hooks_with_keyword_arguments_see_them():
    base = nn.ConvTranspose2d(3, 4, 3, stride=2).double()
    seen = []
    base.register_forward_pre_hook(lambda m, x, named: seen.append(dict(named)), with_kwargs=True)
    base.register_forward_hook(lambda m, x, named, y: seen.append(dict(named)), with_kwargs=True, always_call=True)
    model = adapt(nn.Sequential(base))
    model[0](IMAGES, output_size=[20, 17])
    assert seen == [{"output_size": [20, 17]}] * 2
    strip(model)[0](IMAGES, output_size=[20, 18])
    assert seen[2:] == [{"output_size": [20, 18]}] * 2


def test_hooks_of_the_state_go_on():
    base = nn.Conv2d(3, 4, 3)
    base.register_state_dict_post_hook(lambda m, state, prefix, _: state.update({prefix + "note": torch.ones(1)}))
    model = adapt(nn.Sequential(base))
    assert "0.note" in model.state_dict()
    assert "0.note" in strip(model).state_dict()


def test_a_forward_pass_put_on_one_convolution_is_adapted():
    base = own_forward("instance")
    before = base(IMAGES)
    layer = CoLoRAConv(base)
    assert (layer.own_forward, layer.form) == (True, "plain")
    assert torch.equal(layer(IMAGES, unused=1), before)
    randomised(layer)
    assert torch.equal(layer(IMAGES), 2 * nn.functional.conv2d(IMAGES, layer.weight, layer.bias))
    expected = layer(IMAGES)
    layer.merge_()
    assert torch.equal(layer(IMAGES), expected)
    assert torch.equal(layer.stripped()(IMAGES), expected)


def test_train_and_eval_reach_what_computes():
    class Noisy(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) + (100 if self.training else 0)

    model = adapt(nn.Sequential(Noisy(3, 4, 3).double()))
    assert (model(IMAGES) - model.eval()(IMAGES)).mean().item() == pytest.approx(100)
    assert not strip(model)[0].training
    assert not adapt(nn.Sequential(Noisy(3, 4, 3)).eval())[0].training


@pytest.mark.parametrize("way", ["deepcopy", "file", "state"])
def test_copies_are_whole_and_independent(way):
    model = gained()
    if way == "deepcopy":
        twin = copy.deepcopy(model)
    elif way == "file":
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    else:
        twin = adapt(nn.Sequential(Gained()).double(), CoLoRAConfig(pointwise_rank=1))
        assert twin.load_state_dict(model.state_dict()) == ([], [])
    expected = model(IMAGES)
    assert torch.equal(twin(IMAGES), expected)
    merge_(twin)
    assert torch.equal(twin(IMAGES), expected)
    with torch.no_grad():
        twin[0].base_weight.zero_()
        twin[0].norm.weight.zero_()
        twin[0].scale.zero_()
    assert torch.equal(model(IMAGES), expected)
    assert twin[0].base.norm is twin[0].norm
    assert twin[0].base.weight is twin[0].base_weight
    assert type(strip(twin)[0]) is Gained


def replicated(module):
    """A replica as nn.parallel.replicate makes one on each GPU: plain tensors in the place of parameters."""
    replica = module._replicate_for_data_parallel()
    for name, child in module._modules.items():
        setattr(replica, name, replicated(child))
    for name, parameter in module._parameters.items():
        if parameter is None:
            replica._parameters[name] = None
        else:
            setattr(replica, name, parameter.clone())
    for name, buffer in module._buffers.items():
        setattr(replica, name, None if buffer is None else buffer.clone())
    return replica


def test_replicas_of_data_parallel_compute_with_their_own_tensors():
    model = gained().append(nn.Flatten()).append(CoLoRALinear(nn.Linear(168, 3).double()))
    randomised(model)
    expected = model(IMAGES)
    replica = replicated(model)
    kept = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()
    assert torch.equal(replica(IMAGES), expected)
    replica(IMAGES).sum().backward()
    kept(IMAGES).sum().backward()
    got = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert all(torch.allclose(p.grad, got[n]) for n, p in kept.named_parameters() if p.requires_grad)


def test_functional_calls_of_a_whole_model_use_what_they_are_given():
    model = gained()
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    expected = other(IMAGES)
    before = model(IMAGES)
    given = {n: p.detach().requires_grad_() for n, p in other.named_parameters()}
    got = torch.func.functional_call(model, given, (IMAGES,))
    assert torch.equal(got, expected)
    assert all(g is not None for g in torch.autograd.grad(got.sum(), list(given.values())))
    assert torch.equal(model(IMAGES), before)


@pytest.mark.parametrize("kind", ["subclass", "instance"])
def test_a_forward_pass_of_its_own_compiles_as_one_graph(kind):
    layer = randomised(CoLoRAConv(own_forward(kind), pointwise_rank=1))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    expected, got = layer(IMAGES), compiled(IMAGES)
    assert torch.allclose(got, expected, rtol=0, atol=1e-12)
    grads = [torch.autograd.grad(y.square().sum(), layer.adapter_parameters()) for y in (got, expected)]
    assert all(torch.allclose(a, b, rtol=0, atol=1e-10) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("own", [False, True])
def test_autocast_is_the_base_layers_own(own):
    base = (timm_layers.StdConv2d if own else nn.Conv2d)(3, 4, 3)
    layer = randomised(CoLoRAConv(copy.deepcopy(base), bias="none"))
    with torch.no_grad():
        base.weight.copy_(layer.base_weight + layer.delta_weight())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, got = base(IMAGES.float()), layer(IMAGES.float())
    assert got.dtype == expected.dtype == torch.bfloat16
    assert torch.equal(got, expected)


def test_a_name_that_is_taken_is_refused():
    class Separable(nn.Conv2d):
        def __init__(self):
            super().__init__(3, 3, 3, groups=3)
            self.pointwise = nn.Conv2d(3, 4, 1)

    with pytest.raises(ValueError, match="the layer has a 'pointwise' of its own"):
        CoLoRAConv(Separable())
    with pytest.raises(ValueError, match=r"0 \(Separable\) cannot be adapted: it has a 'pointwise' of its own"):
        adapt(nn.Sequential(Separable()))
    assert list(adapted_layers(adapt(nn.Sequential(Separable()), CoLoRAConfig(targets="pointwise")))) == ["0.pointwise"]
