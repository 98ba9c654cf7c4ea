"""Settings: defaults of the paper, sentences for wrong ones, and the command that a config stands for."""

import pytest

from colora.cli.asked import asked_config
from colora.cli.main import _parser
from colora.settings.config import RunConfig, absolute_paths, config_problems, launch_arguments, make_config
from colora.settings.presets import PRESETS
from colora.settings.seeds import format_seeds, parse_seeds
from colora.system.errors import UserError


def test_a_number_that_may_be_missing_can_be_none():
    values = make_config({"pointwise_rank": "none", "lr_head": " None "})
    assert (values.pointwise_rank, values.lr_head) == (None, None)
    assert make_config({"pointwise_rank": "8"}).pointwise_rank == 8
    with pytest.raises(UserError, match="rank: "):
        make_config({"rank": "none"})


def test_defaults_are_the_papers():
    config = RunConfig()
    assert (config.backbone, config.method, config.order, config.rank) == ("vgg16", "colora", "inception", 1)
    assert (config.epochs, config.lr, config.merge_every, config.merge_unit, config.image_size) == (
        20,
        1e-3,
        1,
        "epochs",
        224,
    )
    assert config.selection == "validation"


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"image_size": 3}, "image_size", "image_size: input should be greater than or equal to 16, but got 3."),
        ({"backbone": "vgg17"}, "backbone", "There is no backbone 'vgg17': did you mean 'vgg16'?"),
        ({"dataset": "fodler:x"}, "dataset", "dataset: there is no data source 'fodler': did you mean 'folder'?"),
        ({"dataset": "npz:"}, "dataset", "dataset: 'npz:' needs a path after the colon."),
        (
            {"backbone": "texturenet"},
            "weights",
            "weights: there are no 'imagenet' weights of texturenet: choose 'shipped', a file, or 'none'.",
        ),
        ({"per_class": 5}, "per_class", "per_class is the n of the balanced set: choose train_set 'balanced' with it."),
        ({"epocs": 5}, "epocs", "There is no setting 'epocs': did you mean 'epochs'?"),
        ({"lr": float("nan")}, "lr", "lr: input should be less than or equal to 10, but got nan."),
        (
            {"class_names": ["A"]},
            "class_names",
            "class_names: needs at least two different names, separated by commas.",
        ),
    ],
)
def test_each_wrong_value_has_a_sentence_at_its_field(values, field, sentence):
    assert config_problems(values) == {field: sentence}
    with pytest.raises(UserError) as caught:
        make_config(values)
    assert (str(caught.value), caught.value.field) == (sentence, field)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_the_shown_command_launches_the_same_config(preset):
    config = make_config(preset.values)
    arguments = launch_arguments(preset.name, config, parse_seeds(preset.seeds))
    parsed = _parser().parse_args(arguments)
    assert asked_config(parsed) == config
    assert parse_seeds(parsed.seeds) == parse_seeds(preset.seeds)


def test_a_command_with_every_setting_changed_round_trips():
    config = make_config(
        {"dataset": "folder:/a b/ü", "class_names": ["A", "B"], "train_set": "balanced", "per_class": 7, "lr": 3e-5,
         "partial_weights": True, "weights": "/w.pth", "method": "full", "threads": 2, "precision": "fp32",
         "data_dir": "/sets"}
    )  # fmt: skip
    assert asked_config(_parser().parse_args(launch_arguments("n", config, [0]))) == config


def test_seeds():
    assert parse_seeds("0-2, 7,1") == [0, 1, 2, 7]
    assert format_seeds([0, 1, 2, 7]) == "0-2,7"
    for wrong in ("", "a", "3-1", "1-", "-1", "0-5000"):
        with pytest.raises(UserError):
            parse_seeds(wrong)


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = absolute_paths(make_config({"dataset": "npz:a.npz", "weights": "w.pth"}))
    assert config.dataset == f"npz:{tmp_path / 'a.npz'}"
    assert config.weights == str(tmp_path / "w.pth")
    assert absolute_paths(RunConfig()) == RunConfig()
    with pytest.raises(UserError, match="There is no home folder ~nobody-at-all"):
        absolute_paths(make_config({"dataset": "npz:~nobody-at-all/a.npz"}))
