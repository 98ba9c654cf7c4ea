"""Networks of torchvision, timm, segmentation-models-pytorch and MONAI with random weights, of up to about 60 million.

One line a network: its family, its library's own name, and the images it takes where those are not 2 of 3 x 64 x 64.
A library is imported when one of its networks is built.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from torch import nn

PACKAGES = {"torchvision": "torchvision", "timm": "timm", "smp": "segmentation_models_pytorch", "monai": "monai"}


@dataclass(frozen=True)
class Network:
    """One network: `build()` gives it with random weights; `shape` is that of its input, with the batch."""

    library: str
    family: str
    name: str
    shape: tuple[int, ...]
    build: Callable[[], nn.Module]
    auxiliary: bool = False  # has outputs in training mode alone

    @property
    def id(self) -> str:
        return f"{self.library}-{self.name}"

    @property
    def installed(self) -> bool:
        return find_spec(PACKAGES[self.library]) is not None


def _torchvision(name: str, **settings) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from torchvision.models import get_model

        return get_model(name, weights=None, **settings)

    return build


def _timm(name: str, **settings) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from timm import create_model

        return create_model(name, pretrained=False, num_classes=10, **settings)

    return build


def _smp(name: str, **settings) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from segmentation_models_pytorch import create_model

        return create_model(*name.split(", "), encoder_weights=None, classes=2, **settings)

    return build


def _monai(name: str, *given, **settings) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from monai.networks import nets

        return getattr(nets, name)(*given, **settings)

    return build


def _square(side: int, channels: int = 3) -> tuple[int, ...]:
    return (2, channels, side, side)


VIDEO = (2, 3, 8, 64, 64)
VOLUME = (1, 1, 32, 32, 32)
VOLUMES = (2, 1, 32, 32, 32)

# family: names, with a side in pixels where the network wants another than 64
TORCHVISION = {
    "residual": ("resnet18", "resnet50", "resnext50_32x4d", "regnet_y_400mf", "regnet_x_400mf"),
    "plain": ("squeezenet1_1",),
    "dense, many branches": ("densenet121",),
    "mobile": (
        "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x1_0", "efficientnet_b0",
        "efficientnet_v2_s",
    ),
    "modern": ("convnext_tiny",),
    "transformer": ("swin_t",),
}
TIMM = {
    "plain": ("vgg11_bn",),
    "residual": (
        "resnet26d", "resnet50_gn", "resnetv2_50", "resnetv2_50x1_bit", "seresnet18", "ecaresnet26t", "skresnet18",
        "res2net50_14w_8s", "resnest14d", "resnetblur18", "gernet_s", "regnety_002", "regnetz_b16", "resnext26ts",
        "cspresnet50", "cs3darknet_s", "darknet17", "hgnetv2_b0",
    ),
    "normalised kernels": (
        "nf_resnet26", "nf_regnet_b0", "nf_ecaresnet26", "eca_nfnet_l0", "test_nfnet", "dm_nfnet_f0",
        "efficientnet_b0_g8_gn", "resnetv2_18d",
    ),
    "dense, many branches": (
        "dpn48b", "inception_v4", "xception41", "hrnet_w18_small", "dla34",
        "dla46x_c", "selecsls42", "ese_vovnet19b_dw", "rdnet_tiny",
    ),
    "mobile": (
        "tf_efficientnet_b0", "tf_efficientnet_lite0", "tf_efficientnetv2_b0", "tf_mobilenetv3_small_100",
        "tf_mixnet_s", "mixnet_s", "efficientnet_cc_b0_4e", "mobilenetv3_small_100", "mobilenetv4_conv_small",
        "ghostnet_100", "ghostnetv2_100", "rexnet_100", "hardcorenas_a", "lcnet_050", "tinynet_e", "mnasnet_100",
        "fbnetc_100", "spnasnet_100", "semnasnet_100",
    ),
    "re-parameterised": (
        "repvgg_a0", "mobileone_s0", "fastvit_t8", "repghostnet_050", "repvit_m0_9", "mobileone_s1",
        "test_byobnet",
    ),
    "modern": (
        "convnext_atto", "convnextv2_atto", "inception_next_atto", "poolformer_s12",
        "poolformerv2_s12", "focalnet_tiny_srf", "convmixer_768_32", "mambaout_femto", "starnet_s1",
        "convformer_s18",
    ),
    "hybrid": (
        "coatnet_nano_rw_224", "maxxvit_rmlp_nano_rw_256", "maxvit_nano_rw_256", "davit_tiny", "levit_128s",
        "efficientvit_b0", "efficientvit_m0", "edgenext_xx_small", "mobilevit_xxs", "mobilevitv2_050", "visformer_tiny",
        "coat_tiny", "crossvit_tiny_240", "xcit_nano_12_p16_224", "pit_ti_224", "pvt_v2_b0", "botnet26t_256",
        "halonet26t", "lambda_resnet26t", "efficientformer_l1", "efficientformerv2_s0", "tiny_vit_5m_224",
        "nextvit_small", "gcvit_xxtiny", "mvitv2_tiny", "caformer_s18", "mobilenetv4_hybrid_medium",
        "swiftformer_xs", "shvit_s1",
    ),
    "transformer": (
        "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "vit_tiny_patch16_224", "deit3_small_patch16_224",
        "cait_xxs24_224", "twins_svt_small", "mixer_s32_224", "resmlp_12_224", "gmlp_ti16_224",
        "hiera_tiny_224", "sequencer2d_s", "volo_d1_224", "nest_tiny",
    ),
}  # fmt: skip
SMP = (
    "unet, resnet18", "unet, efficientnet-b0", "unet, mit_b0", "unet, timm-efficientnet-b0",
    "unet, mobilenet_v2", "unet, tu-convnext_atto", "unetplusplus, resnet18", "manet, resnet18",
    "linknet, densenet121", "fpn, efficientnet-b0", "fpn, mit_b0", "pspnet, resnet18",
    "pan, resnet18", "deeplabv3, resnet18", "deeplabv3plus, efficientnet-b0", "deeplabv3plus, tu-xception41",
    "upernet, resnet18", "segformer, mit_b0", "dpt, tu-vit_tiny_patch16_224",
)  # fmt: skip


# whose size is told when they are built
SIZED = (
    "coatnet_nano_rw_224", "maxxvit_rmlp_nano_rw_256", "maxvit_nano_rw_256", "levit_128s", "visformer_tiny",
    "coat_tiny", "pit_ti_224", "botnet26t_256", "efficientformerv2_s0", "gcvit_xxtiny", "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256", "vit_tiny_patch16_224", "deit3_small_patch16_224", "cait_xxs24_224", "mixer_s32_224",
    "resmlp_12_224", "gmlp_ti16_224", "hiera_tiny_224", "volo_d1_224", "nest_tiny",
)  # fmt: skip
SETTINGS: dict[str, dict] = {name: {"img_size": 64} for name in SIZED} | {
    "dpt, tu-vit_tiny_patch16_224": {"dynamic_img_size": True},
    "dm_nfnet_f0": {"depths": (1, 1, 1, 1)},  # 68 million as it comes
    "vgg11_bn": {"features_only": True},  # its three linear layers alone are 120 million
}
SIDES = {  # the smallest that work
    "efficientformer_l1": 224, "halonet26t": 256, "inception_v4": 80,
    "pan, resnet18": 128,
}  # fmt: skip


def _named(library: str, families: dict[str, tuple], build: Callable) -> list[Network]:
    return [
        Network(library, family, name, _square(SIDES.get(name, 64)), build(name, **SETTINGS.get(name, {})))
        for family, names in families.items()
        for name in names
    ]


UNET = {"channels": (8, 16, 32), "strides": (2, 2), "num_res_units": 2}
MONAI = [
    ("DenseNet121", _square(64, 1), _monai("DenseNet121", 2, 1, 3)),
    ("DenseNet121, 3-D", VOLUMES, _monai("DenseNet121", 3, 1, 3)),
    ("SEResNet50", _square(64), _monai("SEResNet50", spatial_dims=2, in_channels=3, num_classes=3)),
    ("EfficientNetBN", _square(64), _monai("EfficientNetBN", "efficientnet-b0", pretrained=False)),
    ("EfficientNetBN, 3-D", VOLUMES, _monai("EfficientNetBN", "efficientnet-b0", False, True, 3, 1, 3)),
    ("ResNet18, 3-D", VOLUMES, _monai("resnet18", spatial_dims=3, n_input_channels=1, num_classes=3)),
    ("UNet, 2-D", _square(64, 1), _monai("UNet", 2, 1, 2, **UNET)),
    ("UNet, 3-D", VOLUME, _monai("UNet", 3, 1, 2, **UNET)),
    ("AttentionUnet, 3-D", VOLUME, _monai("AttentionUnet", 3, 1, 2, (8, 16, 32), (2, 2))),
    ("SegResNet, 3-D", VOLUME, _monai("SegResNet", 3, 8, 1, 2)),
    ("SegResNetDS, 3-D", VOLUME, _monai("SegResNetDS", 3, 8, 1, 2)),
    ("DynUNet, 3-D", VOLUME, _monai("DynUNet", 3, 1, 2, (3, 3, 3), (1, 2, 2), (2, 2), filters=(8, 16, 32))),
    ("VNet, 3-D", (1, 1, 32, 16, 16), _monai("VNet", 3, 1, 2)),
    ("BasicUNet, 3-D", VOLUME, _monai("BasicUNet", 3, 1, 2, (8, 8, 16, 32, 64, 8))),
    ("BasicUNetPlusPlus, 2-D", _square(64, 1), _monai("BasicUNetPlusPlus", 2, 1, 2, (8, 8, 16, 32, 64, 8))),
    ("HighResNet, 3-D", (1, 1, 16, 16, 16), _monai("HighResNet", 3, 1, 2)),
    ("UNETR, 3-D", VOLUME, _monai("UNETR", 1, 2, (32,) * 3, 8, 96, 192, 4)),
    ("SwinUNETR, 3-D", (1, 1, 64, 32, 32), _monai("SwinUNETR", 1, 2, feature_size=12, spatial_dims=3)),
    ("ViT, 3-D", VOLUME, _monai("ViT", 1, (32,) * 3, (8,) * 3, 96, 192, 4, 4, classification=True)),
    ("MedNeXtSmall, 3-D", VOLUME, _monai("MedNeXtSmall", spatial_dims=3, in_channels=1, out_channels=2)),
    ("FlexibleUNet", _square(64), _monai("FlexibleUNet", 3, 2, "efficientnet-b0")),
    ("TorchVisionFCModel", _square(64), _monai("TorchVisionFCModel", "resnet18", 3, pool=None, pretrained=False)),
]
NETWORKS = [
    *_named("torchvision", TORCHVISION, _torchvision),
    Network("torchvision", "dense, many branches", "inception_v3", _square(299),
            _torchvision("inception_v3", init_weights=False), auxiliary=True),
    Network("torchvision", "dense, many branches", "googlenet", _square(64),
            _torchvision("googlenet", init_weights=False), auxiliary=True),
    *(Network("torchvision", "video", n, VIDEO, _torchvision(n)) for n in ("r3d_18", "r2plus1d_18", "mc3_18")),
    *(Network("torchvision", "segmentation", n, _square(64), _torchvision(n, weights_backbone=None, num_classes=2))
      for n in ("fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large")),
    *_named("timm", TIMM, _timm),
    *_named("smp", {"segmentation": SMP}, _smp),
    *(Network("monai", "medical", name, shape, build) for name, shape, build in MONAI),
]  # fmt: skip
