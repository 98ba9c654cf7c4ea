"""Which networks a file of weights fits, by the rule of a launch; small files, since shapes alone count."""

import pytest
import torch
from safetensors.torch import save_file

from colora.networks.backbones import build_meta, matching_weights
from colora.networks.fits import Fit, examine, fitting
from colora.networks.tensor_file import read_weights
from colora.settings.catalog import BACKBONES
from colora.system.errors import UserError


def features(spec: str) -> dict[str, torch.Tensor]:
    """On meta: shapes alone."""
    state = build_meta(spec, 2, 224).state_dict()
    return {name: tensor for name, tensor in state.items() if not name.startswith("head.")}


def written(path, spec: str):
    """A byte for each weight."""
    tensors = {name: torch.zeros(tensor.shape, dtype=torch.uint8) for name, tensor in features(spec).items()}
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=path.suffix != ".old")
    return path


def specs(state) -> list[str]:
    return [fit.spec for fit in fitting("file", state)]


@pytest.mark.parametrize("name", BACKBONES)
def test_a_networks_own_weights_fit_it_alone(name):
    assert specs(features(name)) == [name]


@pytest.mark.parametrize(
    ("held", "fits"),
    [
        ("resnet18:layer3", "resnet18:layer3"),
        ("resnet50:layer2", "resnet50:layer2"),
        ("resnet18:layer4.0", "resnet18:layer4.0"),
        ("vgg16:features.14", "vgg16:features.16"),  # an activation and a pooling behind it have no weights
        ("squeezenet1_1:features.7", "squeezenet1_1:features.8"),
        ("mobilenet_v2:features.5", "mobilenet_v2:features.5"),
    ],
)
def test_a_file_without_the_end_fits_up_to_the_last_block_that_it_has(held, fits):
    assert specs(features(held)) == [fits]


def test_the_names_that_other_programs_give_are_known():
    state = features("squeezenet1_1")
    assert specs({f"module.{name}": value for name, value in state.items()}) == ["squeezenet1_1"]
    assert specs({name.removeprefix("features."): value for name, value in state.items()}) == ["squeezenet1_1"]
    head = {"head.1.weight": torch.empty(3, device="meta"), "classifier.1.weight": torch.empty(3, device="meta")}
    assert specs(state | head) == ["squeezenet1_1"]


def test_first_layers_that_are_alike_make_no_other_network_fit():
    vgg13_ish = features("vgg16:features.2") | {"features.5.weight": torch.empty(128, 64, 5, 5, device="meta")}
    assert specs(vgg13_ish) == []
    assert specs({"blocks.0.conv.weight": torch.empty(3, device="meta")}) == [] == specs({})
    assert specs(features("resnet18") | {"layer1.2.conv1.weight": torch.empty(1, device="meta")}) == ["resnet18"]


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".old"])
def test_a_file_is_examined_with_the_launchs_own_refusals(tmp_path, ending):
    path = written(tmp_path / f"weights{ending}", "squeezenet1_1:features.8")
    asked = ("squeezenet1_1:features.5", "squeezenet1_1", "resnet18", "resnet18:nope")
    found = examine(path, asked)
    fit = Fit("squeezenet1_1", "features.8")
    assert found["fits"] == [fit.as_dict()] and fit.title == "SqueezeNet 1.1 (to features.8)"
    assert (found["bytes"], found["why"]) == (path.stat().st_size, None)
    assert found["refused"]["squeezenet1_1:features.5"] is None
    for spec in asked[1:3]:
        with pytest.raises(UserError) as refused:
            matching_weights(build_meta(spec, 2, 32), spec, path, partial=False)
        assert found["refused"][spec] == {"field": "weights", "sentence": str(refused.value)}
    assert "lacks 24 weights of squeezenet1_1" in found["refused"]["squeezenet1_1"]["sentence"]
    assert found["refused"]["resnet18:nope"]["field"] == "backbone"
    assert examine(path, ["squeezenet1_1"], partial=True)["refused"] == {"squeezenet1_1": None}


def test_a_file_of_something_else_says_why(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"no weights")
    for path in (tmp_path / "weights.pth", tmp_path / "none.pth"):
        found = examine(path, ["resnet18"])
        with pytest.raises(UserError) as refused:
            read_weights(path)
        assert (found["fits"], found["bytes"], found["why"]) == ([], None, str(refused.value))
        assert found["refused"] == {"resnet18": {"field": "weights", "sentence": str(refused.value)}}


def test_mapped_tensors_are_those_of_the_file(tmp_path):
    torch.save({"a": torch.arange(6.0)}, tmp_path / "new.pth")
    torch.save({"a": torch.arange(6.0)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("new.pth", "old.pth"):
        assert read_weights(tmp_path / name, mapped=True)["a"].tolist() == [0, 1, 2, 3, 4, 5]
