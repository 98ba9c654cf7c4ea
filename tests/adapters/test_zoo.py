"""Adapters on other people's networks: a small one of each kind that wants care; the whole list in make test-zoo."""

from functools import partial

import pytest
from torch import nn
from zoo_checks import difference, faults, measure, outputs, ready, train_like_
from zoo_networks import NETWORKS, VOLUME, Network

from colora import CoLoRAConfig, CoLoRAConv, CoLoRALinear, adapt, strip
from colora.adapters.walk import adapted_layers


def from_timm(name: str, **settings) -> nn.Module:
    from timm import create_model

    return create_model(name, pretrained=False, num_classes=10, **settings)


def standardised() -> nn.Module:
    """timm's resnetv2_50x1_bit, smaller: StdConv2d."""
    from timm.layers import StdConv2d
    from timm.models.resnetv2 import ResNetV2

    conv = partial(StdConv2d, eps=1e-8)
    return ResNetV2((1, 1, 1), (128, 128, 128), num_classes=10, stem_type="fixed", conv_layer=conv)


def video() -> nn.Module:
    """torchvision's r3d_18, smaller."""
    from torchvision.models.video.resnet import BasicBlock, BasicStem, Conv3DSimple, VideoResNet

    return VideoResNet(BasicBlock, [Conv3DSimple] * 4, [1, 1, 1, 1], BasicStem, num_classes=3)


def attention() -> nn.Module:
    """torchvision's ViT: nn.MultiheadAttention reads the weight of a layer that it never calls."""
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=10)


def volumes() -> nn.Module:
    """As MONAI builds its U-Nets: strided convolutions down, transposed ones up."""

    def block(conv: nn.Module) -> nn.Sequential:
        return nn.Sequential(conv, nn.InstanceNorm3d(conv.out_channels, affine=True), nn.PReLU())

    down = [block(nn.Conv3d(a, b, 3, 2, 1)) for a, b in ((1, 8), (8, 16))]
    up = [block(nn.ConvTranspose3d(a, b, 3, 2, 1, output_padding=1)) for a, b in ((16, 8), (8, 8))]
    return nn.Sequential(*down, *up, nn.Conv3d(8, 2, 1))


DAVIT = {"depths": (1, 1, 1, 1), "embed_dims": (24, 48, 96, 96), "num_heads": (3, 6, 12, 12)}
IMAGES = (2, 3, 64, 64)
# name, build, input, and the kinds of layers of which some are adapted
SMALL = [
    ("StdConv2d", standardised, IMAGES, {"StdConv2d"}),
    ("ScaledStdConv2d", partial(from_timm, "test_nfnet"), IMAGES, {"ScaledStdConv2d", "Conv2d"}),
    ("ScaledStdConv2dSame", partial(from_timm, "dm_nfnet_f0", depths=(1, 1, 1, 1), channels=(256,) * 4), IMAGES,
     {"ScaledStdConv2dSame"}),
    ("Conv2dSame", partial(from_timm, "tf_mobilenetv3_small_100"), IMAGES, {"Conv2dSame", "Conv2d"}),
    ("davit", partial(from_timm, "davit_tiny", **DAVIT), IMAGES, {"Conv2d", "Linear"}),
    ("repvgg", partial(from_timm, "test_byobnet"), IMAGES, {"Conv2d"}),
    ("fastvit", partial(from_timm, "fastvit_t8", layers=(1, 1, 1, 1)), IMAGES, {"Conv2d"}),
    ("swin", partial(from_timm, "swin_tiny_patch4_window7_224", img_size=64, embed_dim=24, depths=(1, 1, 1, 1)), IMAGES,
     {"Conv2d", "Linear"}),
    ("convnext", partial(from_timm, "test_convnext"), IMAGES, {"Conv2d", "Linear"}),
    ("maxvit", partial(from_timm, "test_maxvit", img_size=64), IMAGES, {"Conv2d", "Linear"}),
    ("coatnet", partial(from_timm, "test_coatnet", img_size=64), IMAGES, {"Conv2d"}),
    ("vit", attention, (2, 3, 32, 32), {"Conv2d", "Linear", "NonDynamicallyQuantizableLinear"}),
    ("U-Net, 3-D", volumes, VOLUME, {"Conv3d", "ConvTranspose3d"}),
    ("r3d", video, (2, 3, 4, 32, 32), {"Conv3DSimple", "Conv3d"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "build", "shape", "kinds"), SMALL, ids=[row[0] for row in SMALL])
def test_adapters_change_nothing_train_and_leave_to_the_bit(name, build, shape, kinds):
    library = "torchvision" if name in ("vit", "r3d", "U-Net, 3-D") else "timm"
    row = measure(Network(library, "small", name, shape, build))
    assert faults(row) == []
    assert row.unreached == []
    assert {type(layer.base).__name__ for layer in adapted_layers(adapt(build())).values()} >= kinds


@pytest.mark.zoo
@pytest.mark.parametrize("network", NETWORKS, ids=[network.id for network in NETWORKS])
def test_the_whole_list(network):
    if not network.installed:
        pytest.skip(f"{network.library} is not installed")
    assert faults(measure(network)) == []


def test_the_list_names_each_network_once():
    assert len({network.id for network in NETWORKS}) == len(NETWORKS) >= 120


REPARAMETERISED = [("repvgg_a0", 0), ("mobileone_s0", 0), ("fastvit_t8", 32)]  # and how many layers stay adapted
FURTHER = [("repvit_m0_9", 20), ("efficientvit_m0", 4), ("shvit_s1", 4), ("lcnetv2_small", 30), ("ghostnetv3_050", 69)]


@pytest.mark.parametrize(
    ("name", "left"), REPARAMETERISED + [pytest.param(*row, marks=pytest.mark.zoo) for row in FURTHER]
)
def test_branches_become_one_convolution_of_the_updated_kernels(name, left):
    """timm reads conv.weight and the geometry of each branch: what comes out computes what the adapted network does,
    within the rounding of the same on the plain one."""
    from timm.utils import reparameterize_model

    model, x = ready(Network("timm", "", name, IMAGES, partial(from_timm, name)))
    plain = outputs(model, x)
    rounding = difference(outputs(reparameterize_model(model), x), plain)
    model = adapt(model, CoLoRAConfig(pointwise_rank=8))
    train_like_(model)
    adapted = outputs(model, x)
    size = float(adapted[0].abs().max())
    assert difference(adapted, plain) > 1e-4 * size

    deployed = reparameterize_model(model)
    assert difference(outputs(deployed, x), adapted) < max(10 * rounding, 1e-6 * size) < 1e-4 * size
    assert len(adapted_layers(deployed)) == left
    assert difference(outputs(model, x), adapted) == 0  # which works on a copy
    deployed_outputs = outputs(deployed, x)
    assert difference(outputs(strip(deployed) if left else deployed, x), deployed_outputs) == 0


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("name", "error"),
    [("efficientvim_m1", ValueError), ("repghostnet_050", AssertionError), ("nextvit_small", RuntimeError)],
)
def test_what_asks_for_a_plain_convolution_fails_and_works_when_stripped(name, error):
    """Those of timm that write into a layer's weight, or ask for its class, never give other numbers in silence."""
    from timm.utils import reparameterize_model

    model, x = ready(Network("timm", "", name, IMAGES, partial(from_timm, name)))
    model = adapt(model, CoLoRAConfig(pointwise_rank=8))
    train_like_(model)
    adapted = outputs(model, x)
    with pytest.raises(error):
        reparameterize_model(model)
    assert difference(outputs(model, x), adapted) == 0
    deployed = outputs(reparameterize_model(strip(model)), x)
    assert difference(deployed, adapted) < 1e-5 * float(adapted[0].abs().max())


def test_kernels_that_are_mixed_per_image_are_no_convolutions():
    """timm's CondConv2d holds several kernels as the rows of a matrix."""
    with pytest.warns(UserWarning, match="adapted layers hold"):
        model = adapt(from_timm("efficientnet_cc_b0_4e"))
    held = {type(m).__name__ for m in model.modules() if not isinstance(m, CoLoRAConv | CoLoRALinear)}
    assert "CondConv2d" in held
    assert not any("CondConv" in type(layer.base).__name__ for layer in adapted_layers(model).values())
