"""Several values of one setting: names, configs, and all groups or none."""

import pytest

from colora.cli import main
from colora.config import RunConfig, make_config
from colora.errors import UserError
from colora.launch import launch_groups
from colora.queue import order
from colora.runs import Group
from colora.vary import parse_vary, varied

SMALL = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "epochs": 1, "device": "cpu"}


def test_each_value_has_its_own_name_and_config():
    groups = varied("g", RunConfig(epochs=3), "lr", ["1e-3", "3e-05"])
    assert {name: (c.lr, c.epochs) for name, c in groups.items()} == {"g-lr-0.001": (1e-3, 3), "g-lr-3e-05": (3e-5, 3)}
    assert list(varied("g", RunConfig(), "merge_every", [1, 10])) == ["g-merge-every-1", "g-merge-every-10"]


@pytest.mark.parametrize("text", ["lr", "lr=", "speed=1,2", "=1"])
def test_what_is_no_setting_with_values(text):
    with pytest.raises(UserError, match="is no setting with values: write it as lr=1e-3,3e-3"):
        parse_vary(text)


def test_a_setting_with_values():
    assert parse_vary(" merge-every = 1, 2,") == ("merge_every", ["1", "2"])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (["1e-3", "0.001"], "lr: 0.001 is there twice."),
        (["1e-3", "-1"], "lr: input should be greater than 0, but got '-1'."),
        (list(range(1, 60)), "lr has 59 values; at most 50 groups are made at once."),
    ],
)
def test_wrong_values_are_named(values, sentence):
    with pytest.raises(UserError) as caught:
        varied("g", RunConfig(), "lr", values)
    assert (str(caught.value), caught.value.field) == (sentence, "lr")


def test_all_groups_are_made_in_the_order_of_the_values(tmp_path):
    configs = varied("g", make_config(SMALL), "lr", [1e-3, 3e-3])
    groups = launch_groups(tmp_path, configs, [0, 1])
    assert [(g.name, g.config.lr) for g in groups] == [("g-lr-0.001", 1e-3), ("g-lr-0.003", 3e-3)]
    waiting = [f"{path.parent.name}/{path.name}" for path in order.waiting(tmp_path)]
    assert waiting == [f"g-lr-{lr}/seed-0{seed}" for lr in ("0.001", "0.003") for seed in (0, 1)]


def test_none_is_made_where_one_name_is_taken(tmp_path):
    (tmp_path / "g-lr-0.003").mkdir()
    with pytest.raises(UserError, match=r"A group named 'g-lr-0.003' exists already"):
        launch_groups(tmp_path, varied("g", make_config(SMALL), "lr", [1e-3, 3e-3]), [0])
    assert [path.name for path in tmp_path.iterdir()] == ["g-lr-0.003"]


@pytest.mark.parametrize("trouble", [UserError("The disk is full."), KeyboardInterrupt()])
def test_none_is_left_where_something_comes_between_the_first_and_the_second(tmp_path, monkeypatch, capsys, trouble):
    import colora.launch

    made = []

    def refuse(runs_dir, name, *rest):
        if made:
            raise trouble
        made.append(name)
        return create(runs_dir, name, *rest)

    create = colora.launch.create_group
    monkeypatch.setattr(colora.launch, "create_group", refuse)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    code = main(["launch", "--name", "g", "--runs-dir", str(tmp_path), *flags, "--vary", "lr=0.001,0.003"])
    told = {2: "The disk is full.", 130: "interrupted"}
    assert capsys.readouterr().err.strip() == f"colora launch: {told[code]}"
    assert isinstance(trouble, KeyboardInterrupt) == (code == 130)
    assert made == ["g-lr-0.001"] and not (tmp_path / "g-lr-0.001").exists()


def test_the_command_makes_every_group(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("colora.engines.local.ensure_supervisor", lambda runs_dir: 1)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    common = ["launch", "--name", "g", "--runs-dir", str(tmp_path), *flags]
    assert main([*common, "--vary", "rank=1,2", "--seeds", "3"]) == 0
    assert "g-rank-1: 1 seeds are queued" in capsys.readouterr().out
    assert Group(tmp_path / "g-rank-2").config.rank == 2
