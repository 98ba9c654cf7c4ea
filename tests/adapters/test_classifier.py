"""The classifier of real networks, and what else trains beside adapters."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from colora import CoLoRAConfig, adapt, adapted_layers
from colora.adapters.classifier import classifier_names, trained_beside

TORCHVISION = {
    "resnet18": ["fc"],
    "vgg11": ["classifier"],
    "mobilenet_v2": ["classifier"],
    "densenet121": ["classifier"],
    "squeezenet1_1": ["classifier"],
    "swin_t": ["head"],
    "convnext_tiny": ["classifier"],
    "vit_b_16": ["heads"],
    "inception_v3": ["fc", "AuxLogits.fc"],
    "googlenet": ["fc", "aux1.fc2", "aux2.fc2"],
}
TIMM = {
    "resnet18": ["fc"],
    "mobilenetv3_small_050": ["classifier"],
    "deit_tiny_distilled_patch16_224": ["head", "head_dist"],
    "convnext_atto": ["head.fc"],
    "inception_v4": ["last_linear"],
}
UNWEIGHTED = {"inception_v3": {"init_weights": False}, "googlenet": {"init_weights": False}}


@pytest.mark.parametrize("name", TORCHVISION)
def test_classifiers_of_torchvision(name):
    with torch.device("meta"):
        model = getattr(torchvision.models, name)(**UNWEIGHTED.get(name, {}))
    assert classifier_names(model) == TORCHVISION[name]
    assert trained_beside(model, None) == TORCHVISION[name]
    assert trained_beside(model, "classifier") == TORCHVISION[name]


@pytest.mark.parametrize("name", TIMM)
def test_classifiers_of_timm(name):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert classifier_names(model) == TIMM[name]
    assert trained_beside(model, "classifier") == TIMM[name]


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
def test_a_model_without_classes_has_none(name):
    """Where convnext keeps a norm under `head`."""
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0)
    assert trained_beside(model, None) == []
    with pytest.raises(ValueError, match="'classifier', which the model lacks: no classifier was found in it; it has "):
        trained_beside(model, "classifier")


def test_a_model_inside_another_and_segmenters():
    with torch.device("meta"):
        assert classifier_names(nn.ModuleDict({"net": torchvision.models.resnet18()})) == ["net.fc"]
        deeplab = torchvision.models.segmentation.deeplabv3_resnet50(weights_backbone=None, aux_loss=True)
        assert classifier_names(deeplab) == ["classifier", "aux_classifier.4"]
        two = nn.ModuleDict({"encoder": nn.Conv2d(3, 4, 3), "segmentation_head": nn.Conv2d(4, 2, 1)})
        assert classifier_names(two) == ["segmentation_head"]
        two["classification_head"] = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        assert classifier_names(two) == ["segmentation_head", "classification_head.1"]
        assert classifier_names(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2))) == []


def test_only_the_classifier_trains_beside_the_adapters_unless_told():
    with torch.device("meta"):
        models = [torchvision.models.resnet18() for _ in range(4)]
    also = [None, "classifier", (), "layer4.1.bn2, fc"]
    beside = []
    for model, train_also in zip(models, also, strict=True):
        adapt(model, CoLoRAConfig(pointwise_rank=1), train_also)
        assert len(adapted_layers(model)) == 20
        trains = {n for n, p in model.named_parameters() if p.requires_grad}
        beside.append({n for n in trains if n.rpartition(".")[0] not in adapted_layers(model)})
    fc = {"fc.weight", "fc.bias"}
    assert beside == [fc, fc, set(), fc | {"layer4.1.bn2.weight", "layer4.1.bn2.bias"}]


def test_names_match_by_suffix_and_a_module_of_that_name_wins():
    norm = nn.ModuleDict({"norm": nn.BatchNorm2d(2), "head": nn.Linear(2, 2)})
    model = nn.ModuleDict({"a": norm, "norm": nn.BatchNorm2d(2), "classifier": nn.Linear(2, 2), "head": nn.Flatten()})
    assert trained_beside(model, "norm") == ["norm"]
    assert trained_beside(model, ("a.norm", "norm")) == ["a.norm", "norm"]
    assert trained_beside(model, "n*rm") == ["a.norm", "norm"]
    assert trained_beside(model, "classifier") == ["classifier"]
    assert trained_beside(model["a"], "norm, head") == ["norm", "head"]


def test_names_that_are_not_there_are_said_with_the_classifier():
    with torch.device("meta"):
        model = torchvision.models.resnet18()
    said = "train_also names 'head', which the model lacks: its classifier is fc; it has conv1, bn1, relu, .*, fc$"
    for wanted in ("head", ("head",), ("fc", "head")):
        with pytest.raises(ValueError, match=said):
            adapt(model, train_also=wanted)
    assert all(p.requires_grad for p in model.parameters())
    for wanted in ("", "fc,"):
        with pytest.raises(ValueError, match="train_also names '', which the model lacks"):
            adapt(model, train_also=wanted)
