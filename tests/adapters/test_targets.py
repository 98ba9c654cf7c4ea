"""Which layers are meant, by kind, name and glob, and what is said of those that are not there or cannot be adapted."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from colora import CoLoRAConfig, LeftOutWarning, adapt, adapted_layers
from colora.adapters.targets import choose_layers, listed, matches, mostly_linear


def chosen(model, layers="auto", targets="all"):
    return list(choose_layers(model, layers, targets, lambda module: False))


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("conv1", "conv1", True),
        ("conv1", "layer1.0.conv1", True),
        ("conv1", "layer1.0.xconv1", False),
        ("0.conv1", "layer1.0.conv1", True),
        ("0.conv1", "layer1.10.conv1", False),
        ("layer1", "layer1.0.conv1", False),
        ("layer1.*", "layer1.0.conv1", True),
        ("conv?", "layer1.0.conv2", True),
        ("layer[12].*", "layer3.0.conv1", False),
        ("Conv1", "conv1", False),
        ("", "conv1", False),
    ],
)
def test_a_name_matches_as_a_whole_or_from_a_dot_on(pattern, name, expected):
    assert matches(pattern, name) is expected


@pytest.mark.parametrize(
    ("targets", "layers"),
    [
        ("all", 20),
        ("spatial", 17),
        ("conv1", 9),
        ("conv1, conv2", 17),
        (("layer4.*", "conv1"), 5 + 7),
        ("downsample.0", 3),
        ("layer1.0.conv1", 1),
        (lambda name, conv: conv.out_channels == 512, 5),
    ],
)
def test_layers_of_a_resnet_by_name(targets, layers):
    with torch.device("meta"):
        assert len(chosen(torchvision.models.resnet18(), "conv", targets)) == layers


@pytest.mark.parametrize(
    ("name", "share", "conv", "auto"),
    [  # share: of the weights in convolutions and linear layers that lie in the linear ones
        ("torchvision resnet18", 0.0438, 20, 20),
        ("torchvision convnext_tiny", 0.9342, 22, 22 + 37),
        ("torchvision swin_t", 0.9998, 1, 1 + 52),
        ("timm convnextv2_atto", 0.0870, 40, 40),  # whose pointwise layers are convolutions
        ("timm davit_tiny", 0.9420, 28, 28 + 49),
    ],
)
def test_linear_layers_are_meant_where_they_hold_most_weights(name, share, conv, auto):
    library, _, name = name.partition(" ")
    with torch.device("meta"):
        model = timm.create_model(name) if library == "timm" else getattr(torchvision.models, name)()
    kinds = (nn.Conv2d, nn.Linear)
    sizes = [(isinstance(m, nn.Linear), m.weight.numel()) for m in model.modules() if isinstance(m, kinds)]
    linear, total = sum(size for is_linear, size in sizes if is_linear), sum(size for _, size in sizes)
    assert linear / total == pytest.approx(share, abs=5e-5)
    assert mostly_linear(model.modules()) is (share > 0.5)
    assert (len(chosen(model, "conv")), len(chosen(model))) == (conv, auto)
    assert set(chosen(model, "conv")) <= set(chosen(model)) <= set(chosen(model, "conv+linear"))


def test_half_is_not_most():
    assert not mostly_linear([nn.Linear(4, 4), nn.Conv2d(4, 4, 1)])
    assert mostly_linear([nn.Linear(4, 5), nn.Conv2d(4, 4, 1)])
    assert not mostly_linear([])


def named():
    return nn.ModuleDict({"stem": nn.Conv2d(3, 8, 3), "mix": nn.Conv2d(8, 8, 1), "fc": nn.Linear(2, 2)})


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("stem, blocks.*", r"targets 'blocks\.\*' matches no layer to adapt; the model has stem, mix$"),
        (["stem", "x"], "targets 'x' matches no layer to adapt; the model has stem, mix$"),
        ("stem,", "targets '' matches no layer to adapt; the model has stem, mix$"),
        ((), r"targets \(\) match no layer to adapt; the model has stem, mix$"),
        (
            "fc",
            r"targets 'fc' matches no layer to adapt; fc is a linear layer, which layers='conv\+linear' adapts; the ",
        ),
        (lambda name, layer: False, "match no layer to adapt; the model has stem, mix$"),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(targets, said):
    model = named()
    with pytest.raises(ValueError, match=said):
        adapt(model, CoLoRAConfig(targets=targets, layers="conv"), train_also=())
    assert all(p.requires_grad for p in model.parameters())
    assert not adapted_layers(model)


def test_a_layer_that_trains_already_is_said_to():
    with pytest.raises(ValueError, match="'fc' matches no layer to adapt; fc has an adapter already or trains as a wh"):
        adapt(named(), CoLoRAConfig(targets="fc", layers="conv+linear"))
    model = adapt(named(), CoLoRAConfig(targets="stem"))
    with pytest.raises(ValueError, match="'stem' matches no layer to adapt; stem has an adapter already or trains as"):
        adapt(model, CoLoRAConfig(targets="stem"))
    with pytest.raises(ValueError, match=r"has none \(0 is a linear layer, which layers='conv\+linear' adapts\)$"):
        adapt(nn.Sequential(nn.Linear(2, 2)), CoLoRAConfig(layers="conv"))


def test_settings_are_refused_before_a_model_is_touched():
    for settings, said in (
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"pointwise_rank": 0}, "pointwise_rank must be at least 1, got 0"),
        ({"order": "x"}, "order must be 'inception' or 'separable', got 'x'"),
        ({"bias": "some"}, "bias must be 'auto', 'all' or 'none', got 'some'"),
        ({"rank": 2.0}, "rank must be a whole number, got 2.0"),
        ({"pointwise_rank": "8"}, "pointwise_rank must be a whole number, got '8'"),
        ({"targets": None}, "targets must be 'all', 'spatial', names or a function, got None"),
        ({"targets": ["conv1", 3]}, r"or a function, got \['conv1', 3\]"),
        ({"layers": "linear"}, r"layers must be 'auto', 'conv' or 'conv\+linear', got 'linear'"),
    ):
        with pytest.raises(ValueError, match=said):
            CoLoRAConfig(**settings)


def test_long_lists_are_cut():
    assert listed([f"conv{i}" for i in range(12)]).endswith("conv10, conv11")
    assert listed([f"conv{i}" for i in range(13)]).endswith("conv10, conv11, ... (13 in all)")
    assert (listed([]), listed([""])) == ("none", "the model itself")


class Unused(nn.Conv2d):
    def forward(self, x):
        return nn.functional.conv2d(x, torch.ones_like(self.weight))


class Detached(nn.Conv2d):
    def forward(self, x):
        return nn.functional.conv2d(x, self.weight.data)


class Asking(nn.Conv2d):  # for two images: it cannot be looked at with one, and is believed
    def forward(self, x, y):
        return super().forward(x + y)


def test_layers_that_never_use_their_weight_are_left_out_with_a_warning():
    seen = []
    model = nn.Sequential(nn.Conv2d(3, 4, 3), Unused(4, 4, 3), Detached(4, 4, 3), Asking(4, 4, 3), nn.Conv2d(4, 4, 1))
    for layer in model:
        layer.register_forward_hook(lambda *args: seen.append(args))
    with pytest.warns(LeftOutWarning, match="2 layers never use their weight .* stay frozen: 1, 2$") as caught:
        adapt(model)
    assert caught[0].filename == __file__
    assert list(adapted_layers(model)) == ["0", "3", "4"]
    assert seen == []
    with pytest.warns(LeftOutWarning), pytest.raises(ValueError, match="no layer that can be adapted: 0 never use"):
        adapt(nn.Sequential(Unused(3, 4, 3)))


def test_weights_that_are_no_real_numbers_are_refused_by_name():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, dtype=torch.complex64))
    with pytest.raises(ValueError, match=r"^1 \(Conv2d\) cannot be adapted: its weight is torch\.complex64"):
        adapt(model)
    assert all(p.requires_grad for p in model.parameters())
