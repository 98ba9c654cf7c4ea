"""Backbones: parameter counts of the paper's table, cuts, the head, and weights files that fit and that do not."""

import hashlib
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

import colora.networks.weights
from colora.adapters.summary import count_parameters
from colora.networks import texturenet
from colora.networks.backbones import build, build_meta, load_weights
from colora.networks.methods import apply_method
from colora.networks.weights import remote_weights, weights_on_disk
from colora.settings.catalog import BACKBONES
from colora.settings.config import make_config
from colora.system.errors import UserError


def counts(size=224, **settings):
    config = make_config(settings)
    model = build_meta(config.backbone, 4, size)
    apply_method(model, config, seed=0)
    return count_parameters(model)


@pytest.mark.parametrize(
    ("settings", "adapter", "trainable", "deployed"),
    [
        ({}, 1_676_736, 2_545_860, 15_583_812),
        ({"order": "separable"}, 1_672_155, 2_541_279, 15_583_812),
        ({"method": "head"}, 0, 869_124, 15_583_812),
        ({"method": "full"}, 0, 15_583_812, 15_583_812),
        ({"backbone": "resnet50"}, 13_445_760, 14_511_492, 23_508_032 + 1_065_732),
        ({"backbone": "resnet50", "bias": "all"}, 13_472_320, 14_538_052, 23_508_032 + 26_560 + 1_065_732),
    ],
)
def test_parameter_counts(settings, adapter, trainable, deployed):
    got = counts(**settings)
    assert (got["adapter"], got["trainable"], got["deployed"]) == (adapter, trainable, deployed)


def test_vgg16s_features_are_torchvisions_without_its_classifier():
    features = build("vgg16", 4, 32).features
    with torch.device("meta"):
        own = torchvision.models.vgg16(weights=None).features
    assert repr(features) == repr(own)
    for conv in (m for m in features if isinstance(m, nn.Conv2d)):
        assert conv.weight.std().item() == pytest.approx((2 / (conv.out_channels * 9)) ** 0.5, rel=0.05)
        assert conv.bias.abs().max() == 0


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_runs_under_its_own_keys(name):
    model = build(name, 3, 64)
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 3)
    if BACKBONES[name].kind == "own":
        return
    with torch.device("meta"):
        own = getattr(torchvision.models, name)(weights=None).state_dict()
    features = [key for key in model.state_dict() if not key.startswith("head.")]
    assert set(features) <= set(own)
    assert all(model.state_dict()[key].shape == own[key].shape for key in features)


def test_the_shipped_weights_are_texturenets_and_small():
    model = build("texturenet", 4, 64, seed=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    checksum, random_layers = load_weights(model, "texturenet", "shipped")
    assert len(checksum) == 64
    assert random_layers == []
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) == name.startswith("head.") for name in after)
    assert all(value.dtype == torch.float32 for value in after.values())
    assert texturenet.WEIGHTS.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("spec", "last", "channels"),
    [
        ("resnet18:layer3", "layer3", 256),
        ("vgg16:features.16", "features.16", 256),
        ("resnet50:layer3.2", "layer3.2", 1024),
    ],
)
def test_a_cut_ends_after_the_named_block(spec, last, channels):
    model = build_meta(spec, 4, 64)
    names = [name for name, _ in model.named_modules() if name.count(".") == last.count(".") and "head" not in name]
    assert names[-1] == last
    head_conv = next(m for m in model.head if isinstance(m, nn.Conv2d))
    assert head_conv.in_channels == channels


def test_the_head_pools_larger_maps_to_seven():
    wide = build_meta("resnet18:layer3", 4, 128)  # 8 x 8 map
    assert isinstance(wide.head[0], nn.AdaptiveAvgPool2d)
    assert sum(p.numel() for p in wide.head.parameters()) == 256 * 128 + 128 + 49 * 128 * 128 + 128 + 128 * 4 + 4
    exact = build_meta("vgg16", 4, 224)  # 7 x 7 map
    assert isinstance(exact.head[0], nn.Conv2d)


def test_the_seed_draws_the_weights():
    one, same, other = (build("squeezenet1_1", 4, 64, seed) for seed in (1, 1, 2))
    assert torch.equal(one.head[-1].weight, same.head[-1].weight)
    assert not torch.equal(one.head[-1].weight, other.head[-1].weight)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("resnt18", "There is no backbone 'resnt18': did you mean 'resnet18'?"),
        ("resnet18:layer9", "no block 'layer9' to cut after; there are conv1, bn1"),
        ("resnet18:", "ends in a colon"),
        ("resnet18:conv1.x", "cannot be cut inside"),
    ],
)
def test_wrong_backbones_say_what_there_is(spec, sentence):
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")):
        build_meta(spec, 4, 64)


def test_an_image_too_small_is_a_sentence():
    with pytest.raises(UserError, match="vgg16 cannot take images of 16 px"):
        build_meta("vgg16", 4, 16)


@pytest.fixture
def donor(tmp_path):
    model = build("resnet18:layer2", 4, 64, seed=9)
    path = tmp_path / "w.safetensors"
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("head.") and "num_batches" not in k}
    save_file(state, path)
    return model, path


def test_weights_load_without_classifier_and_batch_counts(donor):
    source, path = donor
    model = build("resnet18:layer2", 4, 64, seed=1)
    head = model.head[-1].weight.clone()
    checksum, random_layers = load_weights(model, "resnet18:layer2", str(path))
    assert len(checksum) == 64
    assert random_layers == []
    assert torch.equal(model.layer2[0].conv1.weight, source.layer2[0].conv1.weight)
    assert torch.equal(model.head[-1].weight, head)


def test_partial_weights_need_the_setting_and_are_listed(donor):
    _, path = donor
    model = build("resnet18:layer3", 4, 64)
    with pytest.raises(UserError, match=r"lacks 25 weights of resnet18:layer3 \(layer3.0.conv1.weight"):
        load_weights(model, "resnet18:layer3", str(path))
    _, random_layers = load_weights(model, "resnet18:layer3", str(path), partial=True)
    assert len(random_layers) == 25
    assert all(name.startswith("layer3") for name in random_layers)
    load_weights(build("resnet18:layer1", 4, 64), "resnet18:layer1", str(path))  # judged after the cut


def test_a_pth_file_and_bare_feature_keys(tmp_path):
    source = build("squeezenet1_1", 4, 64, seed=9)
    bare = {k.removeprefix("features."): v for k, v in source.state_dict().items() if k.startswith("features.")}
    torch.save(bare, tmp_path / "w.pth")
    model = build("squeezenet1_1", 4, 64, seed=1)
    load_weights(model, "squeezenet1_1", str(tmp_path / "w.pth"))
    assert torch.equal(model.features[0].weight, source.features[0].weight)


class _Hostile:
    def __reduce__(self):
        return (print, ("unpickled",))


def test_files_that_are_no_weights_are_sentences(tmp_path, donor, capsys):
    _, path = donor
    model = build("squeezenet1_1", 4, 64)
    torch.save({"a": _Hostile()}, tmp_path / "hostile.pth")
    (tmp_path / "text.safetensors").write_text("not weights")
    (tmp_path / "text.pth").write_text("not weights")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("hostile.pth", "text.safetensors", "text.pth"):
        with pytest.raises(UserError, match=f"{name} cannot be read as weights"):
            load_weights(model, "squeezenet1_1", str(tmp_path / name))
    assert "unpickled" not in capsys.readouterr().out
    with pytest.raises(UserError, match="holds no state_dict"):
        load_weights(model, "squeezenet1_1", str(tmp_path / "list.pth"))
    with pytest.raises(UserError, match="has no weight of squeezenet1_1"):
        load_weights(model, "squeezenet1_1", str(path))
    with pytest.raises(UserError, match="There is no weights file"):
        load_weights(model, "squeezenet1_1", str(tmp_path / "none.pth"))


@pytest.mark.parametrize("name", colora.networks.weights.IMAGENET)
def test_imagenet_files_are_torchvisions(name, monkeypatch, tmp_path):
    enum, member = BACKBONES[name].weights_enum.split(".")
    file, published = remote_weights(name), getattr(getattr(torchvision.models, enum), member)
    assert file.url == published.url
    assert file.checksum.removeprefix("sha256:") == torch.hub.HASH_REGEX.search(file.path.name)[1]
    assert weights_on_disk(name).megabytes == pytest.approx(published.meta["_file_size"], abs=0.001)
    for home in (str(tmp_path), None):
        monkeypatch.setenv("TORCH_HOME", home) if home else monkeypatch.delenv("TORCH_HOME")
        assert remote_weights(name).path.parent == Path(torch.hub.get_dir()) / "checkpoints"


def test_imagenet_weights_are_downloaded_once_checked_and_loaded(host, monkeypatch, tmp_path):
    source = build("squeezenet1_1", 4, 64, seed=9)
    torch.save({k: v for k, v in source.state_dict().items() if k.startswith("features.")}, tmp_path / "w.pth")
    digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    name = f"squeezenet1_1-{digest[:8]}.pth"
    host.files = {name: (tmp_path / "w.pth").read_bytes()}
    monkeypatch.setattr(colora.networks.weights, "HOST", host.url("").rstrip("/"))
    monkeypatch.setitem(colora.networks.weights.IMAGENET, "squeezenet1_1", (name, 1.0))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for seed in (1, 2):
        model = build("squeezenet1_1:features.6", 4, 64, seed=seed)
        assert load_weights(model, "squeezenet1_1:features.6", "imagenet") == (digest, [])
        assert torch.equal(model.features[0].weight, source.features[0].weight)
    assert len(host.asked) == 1
    torch.save(build("squeezenet1_1", 4, 64, seed=3).state_dict(), remote_weights("squeezenet1_1").path)
    with pytest.raises(UserError, match="is not the file that torchvision publishes: delete it"):
        load_weights(model, "squeezenet1_1:features.6", "imagenet")


def test_imagenet_offline_names_the_file_and_the_option(host, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(colora.networks.weights, "HOST", host.url("").rstrip("/"))
    host.close()
    with pytest.raises(UserError, match=r"vgg16-397923af\.pth .* put it at .*/vgg16-\w+\.pth\. .* --weights FILE"):
        load_weights(build_meta("vgg16", 4, 64), "vgg16", "imagenet")
