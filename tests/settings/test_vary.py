"""Several values of settings: names, configs, and all groups or none."""

import json
import shlex
from dataclasses import replace

import pytest
from commands import mistake
from opened import MEASURED

from colora.cli.main import main
from colora.engines.launch import launch_groups
from colora.queue import order
from colora.runs.folder import Group
from colora.runs.names import NAME
from colora.settings.catalog import BACKBONES
from colora.settings.config import RunConfig
from colora.settings.vary import MOST, groups_of, parse_all, parse_vary, vary_flags
from colora.system.errors import UserError
from colora.training.estimate import Trial

SMALL = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "epochs": 1, "device": "cpu"}
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]


def test_each_value_has_its_own_name_and_config():
    groups = groups_of("g", {"epochs": 3}, {"lr": ["1e-3", "3e-05"]})
    assert {name: (c.lr, c.epochs) for name, c in groups.items()} == {"g-lr-0.001": (1e-3, 3), "g-lr-3e-05": (3e-5, 3)}
    assert list(groups_of("g", {}, {"merge_every": [1, 10]})) == ["g-merge-every-1", "g-merge-every-10"]
    assert groups_of("g", {"epochs": 3}, {}) == {"g": RunConfig(epochs=3)}


def test_several_settings_make_every_combination():
    groups = groups_of("g", {}, {"method": ["colora", "head", "full"], "lr": ["1e-3", "1e-4"]})
    assert {name: (config.method, config.lr) for name, config in groups.items()} == {
        f"g-method-{method}-lr-{lr:g}": (method, lr) for method in ("colora", "head", "full") for lr in (1e-3, 1e-4)
    }


@pytest.mark.parametrize("text", ["lr", "lr=", "speed=1,2", "=1", "lr=,", "lr=[]", "targets=[all", 'targets=["a"'])
def test_what_is_no_setting_with_values(text):
    with pytest.raises(UserError, match=r"write it as (lr=1e-3|targets=\[)|has no value"):
        parse_vary(text)


def test_a_setting_with_values():
    assert parse_vary(" merge-every = 1, 2,") == ("merge_every", ["1", "2"])
    assert parse_vary("lr_head=none, 1e-3") == parse_vary("lr_head=,1e-3") == ("lr_head", [None, "1e-3"])
    assert parse_vary("pointwise-rank=4,8,none") == ("pointwise_rank", ["4", "8", None])
    assert parse_vary("weights=none,imagenet") == ("weights", ["none", "imagenet"])
    assert parse_vary('targets=["all", "conv1,layer2.*"]') == ("targets", ["all", "conv1,layer2.*"])


EVERY_KIND = {
    "dataset": ["phantom", "folder:/data/a, b", "npz:/x/[1].npz"],
    "data_dir": [None, "none", "/sets"],
    "class_names": [None, ["A", "B"]],
    "patient_pattern": ["[0-9]+(?P<patient>x)", None],
    "partial_weights": [True, False],
    "backbone": ["resnet18:layer3", "vgg16"],
    "weights": ["none", "imagenet"],
    "targets": ["all", "conv1,layer2.*"],
    "cut": [None, "/cuts/a.json"],
    "lr": [1e-3, 3e-05],
    "rank": [1, 2],
    "pointwise_rank": [4, None, 8],
    "layers": ["auto", "conv+linear"],
    "threads": [None, 4],
}


@pytest.mark.parametrize("field", EVERY_KIND)
def test_flags_read_back_as_the_same_values(field):
    values = EVERY_KIND[field]
    pasted = shlex.split(shlex.join(vary_flags({field: values})))
    assert pasted[0].startswith("--vary=")
    read = parse_all([flag.removeprefix("--vary=") for flag in pasted])[field]
    for value, text in zip(values, read, strict=True):
        assert text == value or str(value).lower() == text or float(text) == value


def test_every_setting_can_be_varied(monkeypatch):
    """One by one: its groups have those values, under names that a group may have."""
    values = EVERY_KIND | {
        "layout": ["auto", "classes"], "columns": [None, "path=image,label=disease"], "ignore_splits": [False, True],
        "data_roots": [None, ["/cache", "/more"]],
        "split_seed": ["0", "1"], "train_set": ["complete", "balanced"], "per_class": [None, "5"],
        "image_size": ["32", "64"], "augment": ["none", "flip+shift"], "method": ["colora", "head", "full"],
        "order": ["inception", "separable"], "bias": ["auto", "all", "none"], "merge_every": ["1", "2"],
        "merge_unit": ["epochs", "steps"], "optimizer_at_merge": ["reset", "keep"], "epochs": ["1", "2"],
        "batch_size": ["8", "16"], "lr_head": [None, "1e-4"], "schedule": ["constant", "cosine"],
        "eps": ["1e-8", "1e-7"], "batch_norm": ["eval", "train"], "train_figures": ["full", "pass"],
        "selection": ["validation", "paper"], "folds": [None, "2"],
        "device": ["auto", "cpu"], "precision": ["auto", "fp32"],
    }  # fmt: skip
    used_beside = {
        "data_dir": {"dataset": "octmnist"}, "patient_pattern": {"dataset": "folder:/a"},
        "split_seed": {"dataset": "folder:/a"}, "layout": {"dataset": "folder:/a"},
        "columns": {"dataset": "table:/a.csv"}, "ignore_splits": {"dataset": "table:/a.csv"},
        "data_roots": {"dataset": "folder:/a"}, "per_class": {"train_set": "balanced"},
        "partial_weights": {"weights": "/w.pth"}, "batch_norm": {"backbone": "resnet18"},
    }  # fmt: skip
    monkeypatch.setitem(BACKBONES, "vgg16", replace(BACKBONES["vgg16"], linear=True))  # as none is, so that it counts
    assert values.keys() == RunConfig.model_fields.keys()
    for field, several in values.items():
        text = vary_flags({field: several})[0].removeprefix("--vary=")
        groups = groups_of("g", used_beside.get(field, {}), parse_all([text]))
        found = [getattr(config, field) for config in groups.values()]
        assert len({repr(value) for value in found}) == len(several)
        assert all(NAME.fullmatch(name) and name.startswith(f"g-{field.replace('_', '-')}-") for name in groups), groups


def test_a_whole_pointwise_factor_is_varied_as_none():
    groups = groups_of("g", {"weights": "none"}, dict([parse_vary("pointwise_rank=4,8,none")]))
    assert {name: config.pointwise_rank for name, config in groups.items()} == {
        "g-pointwise-rank-4": 4, "g-pointwise-rank-8": 8, "g-pointwise-rank-none": None,
    }  # fmt: skip


def names(field: str, *values: object) -> list[str]:
    return list(groups_of("g", {"weights": "none"}, {field: values}))


def test_names_say_the_last_part_of_a_path():
    assert names("dataset", "folder:/data/scans 2024", "npz:C:\\oct\\octmnist_64.npz", "phantom") == [
        "g-dataset-folder-scans-2024", "g-dataset-npz-octmnist_64", "g-dataset-phantom",
    ]  # fmt: skip
    assert names("backbone", "resnet18:layer3", "vgg16") == ["g-backbone-resnet18-layer3", "g-backbone-vgg16"]
    weights = list(groups_of("g", {}, {"weights": ["/w/mine.safetensors", "none"]}))
    assert weights == ["g-weights-mine", "g-weights-none"]
    assert names("targets", "all", "conv1,layer2.*") == ["g-targets-all", "g-targets-conv1-layer2"]


def test_names_that_would_be_the_same_are_told_apart_by_their_values_alone():
    both = names("dataset", "folder:/a/scans", "folder:/b/scans", "folder:/c")
    assert len(set(both)) == 3 and both[2] == "g-dataset-folder-c"
    assert all(name.startswith("g-dataset-folder-scans-") and NAME.fullmatch(name) for name in both[:2])
    assert names("dataset", "folder:/c", "folder:/b/scans", "folder:/a/scans") == both[::-1]
    assert len(set(names("lr", 0.001, 0.00100000001))) == 2
    assert len(set(names("targets", "眼", "目", "a" * 200, "a" * 201))) == 4


def test_long_names_are_cut_and_stay_distinct():
    groups = groups_of(
        "a" * 50, {"weights": "none"}, {"backbone": ["resnet18:layer3", "resnet18:layer2"], "image_size": [32, 64, 128]}
    )
    assert len(groups) == 6 and all(NAME.fullmatch(name) for name in groups)
    with pytest.raises(UserError, match=r"The name is too long for several groups: at most 61 letters\.") as caught:
        groups_of("a" * 75, {}, {"image_size": [32, 64]})
    assert caught.value.field == "name"


@pytest.mark.parametrize(
    ("values", "several", "field", "sentence"),
    [
        ({}, {"lr": ["1e-3", "0.001"]}, "lr", "lr: 0.001 is there twice."),
        ({}, {"rank": [1, 2], "lr": ["1e-3", "1e-4", "1e-3"]}, "lr", "lr: 1e-3 is there twice."),
        ({}, {"lr": ["1e-3", "-1"]}, "lr", "lr: input should be greater than 0, but got '-1'."),
        (
            {},
            {"lr": list(range(1, 60))},
            "lr",
            "lr (59 values) make 59 groups; at most 50 are made at once.",
        ),
        (
            {},
            {"rank": list(range(1, 21)), "method": ["colora", "full", "head"]},
            "rank",
            "rank (20 values) and method (3 values) make 60 groups; at most 50 are made at once.",
        ),
        (
            {"method": "head", "lr_head": 1e-3},
            {"lr": ["1e-3", "1e-4"]},
            "lr",
            "lr is varied but not used: method head with lr_head trains the head alone, at that rate. Its groups would "
            "be equal, so leave it out.",
        ),
        (
            {},
            {"method": ["colora", "head", "full"], "rank": ["1", "2"], "lr": ["1e-3", "1e-4"]},
            "rank",
            "rank is varied, but not all groups use it: method head has no adapters. Launch twice: with --vary "
            "method=colora --vary rank=1,2 --vary lr=1e-3,1e-4, and with --vary method=head,full --vary lr=1e-3,1e-4.",
        ),
        (
            {"method": "head"},
            {"lr_head": [None, "1e-3"]},
            "lr_head",
            "g-lr-head-none and g-lr-head-0.001 would train alike: leave one of the two out.",
        ),
        (
            {"epochs": 5},
            {"merge_every": ["6", "7"]},
            "merge_every",
            "g-merge-every-6 and g-merge-every-7 would train alike: leave one of the two out.",
        ),
        (
            {},
            {"dataset": ["folder:/a", "folder:/a/"]},
            "dataset",
            None,
        ),
    ],
)
def test_wrong_values_are_named(values, several, field, sentence):
    with pytest.raises(UserError) as caught:
        groups_of("g", values, several)
    assert caught.value.field == field and sentence in (None, str(caught.value))


def test_the_two_launches_that_are_proposed_work():
    for several in (
        {"method": ["colora"], "rank": ["1", "2"], "lr": ["1e-3", "1e-4"]},
        {"method": ["head", "full"], "lr": ["1e-3", "1e-4"]},
    ):
        assert len(groups_of("g", {}, several)) == 4


def test_a_setting_given_and_varied_or_varied_twice_is_a_mistake(tmp_path, capsys):
    common = ["launch", "--name", "g", "--runs-dir", tmp_path, *FLAGS]
    assert "epochs is given a value and varied" in mistake(capsys, *common, "--vary", "epochs=1,2")
    assert "lr is varied twice" in mistake(capsys, *common, "--vary", "lr=1,2", "--vary", "lr=3")
    twice = ["--vary", "merge_every=1", "--vary", "merge-every=2"]
    assert "merge_every is varied twice" in mistake(capsys, *common, *twice)


def test_each_backbone_has_its_own_pretrained_weights_unless_others_were_asked_for():
    several = {"backbone": ["resnet18:layer3", "texturenet"]}
    assert [c.weights for c in groups_of("g", {}, several).values()] == ["imagenet", "shipped"]
    assert [c.weights for c in groups_of("g", {"weights": "shipped"}, several).values()] == ["imagenet", "shipped"]
    assert [c.weights for c in groups_of("g", {"weights": "none"}, several).values()] == ["none", "none"]
    with pytest.raises(UserError, match="there are no 'imagenet' weights of texturenet"):
        groups_of("g", {"weights": "imagenet"}, several, given=["weights"])


def test_n_of_the_balanced_set_is_for_the_balanced_one_of_several_training_sets():
    groups = groups_of("g", {"per_class": 5}, {"train_set": ["complete", "balanced"]})
    assert [config.per_class for config in groups.values()] == [None, 5]


def test_a_varied_cut_takes_the_place_of_a_presets_balanced_set():
    groups = groups_of("g", {"train_set": "balanced"}, {"cut": [None, "hard10"]})
    assert [(c.cut, c.train_set) for c in groups.values()] == [(None, "balanced"), ("hard10", "complete")]


def test_all_groups_are_made_in_the_order_of_the_values(tmp_path):
    configs = groups_of("g", SMALL, {"lr": [1e-3, 3e-3]})
    groups = launch_groups(tmp_path, configs, [0, 1])
    assert [(g.name, g.config.lr) for g in groups] == [("g-lr-0.001", 1e-3), ("g-lr-0.003", 3e-3)]
    waiting = [f"{path.parent.name}/{path.name}" for path in order.waiting(tmp_path)]
    assert waiting == [f"g-lr-{lr}/seed-0{seed}" for lr in ("0.001", "0.003") for seed in (0, 1)]


def test_none_is_made_where_one_name_is_taken(tmp_path):
    (tmp_path / "g-lr-0.003").mkdir()
    with pytest.raises(UserError, match=r"A group named 'g-lr-0.003' exists already"):
        launch_groups(tmp_path, groups_of("g", SMALL, {"lr": [1e-3, 3e-3]}), [0])
    assert [path.name for path in tmp_path.iterdir()] == ["g-lr-0.003"]


@pytest.mark.parametrize("trouble", [UserError("The disk is full."), KeyboardInterrupt()])
def test_none_is_left_where_something_comes_between_the_first_and_the_second(tmp_path, monkeypatch, capsys, trouble):
    import colora.engines.groups

    made = []

    def refuse(runs_dir, name, *rest):
        if made:
            raise trouble
        made.append(name)
        return create(runs_dir, name, *rest)

    create = colora.engines.groups.create_group
    monkeypatch.setattr(colora.engines.groups, "create_group", refuse)
    code = main(["launch", "--name", "g", "--runs-dir", str(tmp_path), *FLAGS, "--vary", "lr=0.001,0.003"])
    told = {2: "The disk is full.", 130: "interrupted"}
    assert capsys.readouterr().err.strip() == f"colora launch: {told[code]}"
    assert isinstance(trouble, KeyboardInterrupt) == (code == 130)
    assert made == ["g-lr-0.001"] and not (tmp_path / "g-lr-0.001").exists()


@pytest.fixture
def measured(monkeypatch) -> list[RunConfig]:
    """Which configs were measured; none starts. A seed at batch size b takes b seconds and b MB of disk."""
    import colora.training.preflight

    seen = []

    def estimate(tried, config, *rest):
        seen.append(config)
        size = 1_000_000 * config.batch_size
        return colora.training.preflight.Estimate("cpu", size, 10**12, 100, size, 1.0 * config.batch_size, 0.0)

    monkeypatch.setattr("colora.training.rehearsal.rehearse", lambda *rest: Trial(**MEASURED))
    monkeypatch.setattr(colora.training.preflight, "estimate", estimate)
    monkeypatch.setattr("colora.engines.local.ensure_supervisor", lambda runs_dir: 1)
    return seen


def test_the_command_makes_the_product_and_tells_each_groups_own_estimate(tmp_path, measured, capsys):
    common = ["launch", "--name", "g", "--runs-dir", str(tmp_path), *FLAGS, "--seeds", "3-4"]
    assert main([*common, "--vary", "batch_size=8,16", "--vary", "lr=1e-3,1e-4"]) == 0
    said = capsys.readouterr().out.splitlines()
    names = [f"g-batch-size-{size}-lr-{lr}" for size in (8, 16) for lr in ("0.001", "0.0001")]
    assert [line.partition(":")[0] for line in said[:4]] == names
    assert ["8.0 MB of disk" in line for line in said[:4]] == [True, True, False, False]
    assert said[4].startswith("All 4 groups, 8 runs: 96.0 MB of disk (")
    assert [line.partition(": 2 seeds are queued")[0] for line in said[5:]] == names
    assert [config.batch_size for config in measured] == [8, 16]  # a rate changes nothing of it
    assert {name: (Group(tmp_path / name).config.batch_size, Group(tmp_path / name).config.lr) for name in names} == {
        f"g-batch-size-{size}-lr-{lr:g}": (size, lr) for size in (8, 16) for lr in (1e-3, 1e-4)
    }


def test_json_has_each_groups_own_estimate(tmp_path, measured, capsys):
    common = ["launch", "--name", "g", "--runs-dir", str(tmp_path), *FLAGS, "--seeds", "0", "--json"]
    assert main([*common, "--vary", "batch_size=8,16"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["estimate"]["disk_bytes"] for row in rows} == {
        "g-batch-size-8": 8_000_000,
        "g-batch-size-16": 16_000_000,
    }
    assert [row["estimate"]["seeds"] for row in rows] == [1, 1]


def test_a_refusal_names_its_group_and_leaves_none(tmp_path, monkeypatch, capsys):
    import colora.engines.launch

    look_ahead = colora.engines.launch.look_ahead

    def full(config, *rest, **more):
        found = look_ahead(config, *rest, **more)
        return replace(found, refused="It is too large.", field="batch_size") if config.rank == 2 else found

    monkeypatch.setattr(colora.engines.launch, "look_ahead", full)
    common = ["launch", "--name", "g", "--runs-dir", tmp_path, *FLAGS, "--seeds", "0", "--json"]
    assert mistake(capsys, *common, "--vary", "rank=1,2") == "colora launch: g-rank-2: It is too large.\n"
    assert not list(tmp_path.glob("g-*"))


def test_groups_of_which_each_fits_but_not_all_together_are_refused(tmp_path, measured, monkeypatch, capsys):
    class Usage:
        free = 20_000_000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    common = ["launch", "--name", "g", "--runs-dir", tmp_path, *FLAGS, "--seeds", "0", "--json"]
    said = mistake(capsys, *common, "--vary", "batch_size=8,16")
    assert "The 2 runs needs 24.0 MB, but the disk of" in said and "20.0 MB free" in said
    assert not list(tmp_path.glob("g-*"))
    assert main([*map(str, common), "--batch-size", "16"]) == 0


def test_a_setting_that_does_nothing_is_told_in_one_line(tmp_path, measured, capsys):
    common = ["launch", "--runs-dir", str(tmp_path), *FLAGS, "--seeds", "0", "--lr", "0.1"]
    assert main([*common, "--name", "h", "--method", "head", "--lr-head", "1e-3"]) == 0
    assert capsys.readouterr().err == (
        "lr is not used: method head with lr_head trains the head alone, at that rate.\n"
    )
    assert main([*common, "--name", "g", "--rank", "2", "--vary", "method=colora,head", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == "rank is not used by g-method-head: method head has no adapters.\n"
    assert [row["not_used"] for row in json.loads(out)] == [{}, {"rank": "method head has no adapters"}]


def test_a_product_of_many_small_values_is_refused_before_anything_is_built():
    with pytest.raises(UserError, match="make 1,000,000 groups"):
        groups_of("g", {}, {"batch_size": range(1, 1001), "epochs": range(1, 1001)})
    assert len(groups_of("g", {}, {"batch_size": range(1, 11), "epochs": range(1, 6)})) == MOST
