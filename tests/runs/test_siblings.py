"""A seed is held to what its siblings were trained on; of an older mixed group the seeds that belong together count."""

import shutil
import threading

import numpy as np
import pandas as pd
import pytest
from commands import document
from fabricate import fabricate, resolved, train_on
from opened import opener, texts
from PIL import Image
from queueing import PATIENCE_SECONDS
from safetensors.torch import save_file
from small_data import write_npz
from training import SMALL, reason

import colora.training.run
from colora.cli.main import main
from colora.distillation.scores import read_predictions
from colora.metrics.over_seeds import Spread
from colora.networks.backbones import build
from colora.prediction.outside import evaluate_group
from colora.queue.actions import begin_anew
from colora.results.compare import cautions, seed_points
from colora.results.overview import Line
from colora.results.predictions import image_table
from colora.results.summary import group_summary, run_summary
from colora.runs.finished import finished, says_under_way, under_way
from colora.runs.folder import Group, Run, create_group
from colora.runs.listing import listing
from colora.runs.siblings import apart_rows, says_apart
from colora.settings.config import make_config
from colora.system.errors import UserError
from colora.training.run import train_run

OTHER_DATA = "1" * 64
MIXED = (
    "A mixed group: seed 3 was trained on other images than seeds 0-2. It is in no figure over seeds, but can be "
    "evaluated alone; for figures over all seeds launch a new group."
)


@pytest.fixture
def mixed(tmp_path) -> Group:
    """Four finished seeds, of which the last was trained on other data, with other classes and fewer images."""
    group = fabricate(tmp_path / "runs", "mixed", ["done"] * 4)
    train_on(group.runs[3], data_checksum=OTHER_DATA)
    for split in ("train", "val", "test"):
        path = group.runs[3].path / "predictions" / f"{split}.parquet"
        pd.read_parquet(path).iloc[::2].to_parquet(path)
    return Group(group.path)


# At the start of a seed


def retried(group: Group, seed: int) -> Run:
    """A seed that is new to the group or begins anew, as `colora retry --seeds` makes it."""
    begin_anew(Group(group.path), [seed])
    return Run(group.path / f"seed-{seed:02d}")


def started(run: Run) -> int:
    """Train until it is known what the seed is trained on, and no further."""
    return train_run(run.path, lambda: Run(run.path).resolved is not None)


def test_a_seed_on_replaced_data_is_refused_and_trains_once_the_old_file_is_back(tmp_path):
    path = write_npz(tmp_path / "data.npz")
    group = create_group(tmp_path / "runs", "g", make_config({"dataset": f"npz:{path}", **SMALL}), [0, 1])
    assert started(group.runs[0]) == 0
    group.runs[1].write_resolved(Run(group.runs[0].path).resolved)
    old = path.read_bytes()
    write_npz(path, train_images=np.zeros((30, 32, 32), np.uint8))
    run = retried(group, 2)
    assert train_run(run.path) == 2
    assert reason(run) == (
        f"Seed 2 would be trained on other images than seeds 0-1 of g: npz:{path} changed since. Put the old file back "
        "and retry this seed, or launch a new group."
    )
    assert Run(run.path).state == "failed" and Run(run.path).resolved is None and not Group(group.path).apart
    path.write_bytes(old)
    assert started(retried(group, 2)) == 0
    assert Run(run.path).state == "stopped" and not Group(group.path).apart
    assert Run(run.path).ground == Run(group.runs[0].path).ground is not None


def test_other_weights_and_class_names_are_refused_too(tmp_path):
    path, weights = write_npz(tmp_path / "data.npz"), tmp_path / "w.safetensors"

    def write_weights(seed: int) -> None:
        values = build("resnet18:layer1", 3, 32, seed=seed).state_dict().items()
        save_file({name: value for name, value in values if "head" not in name}, weights)

    write_weights(9)
    config = make_config({"dataset": f"npz:{path}", **SMALL, "weights": str(weights)})
    group = create_group(tmp_path / "runs", "g", config, [0])
    assert started(group.runs[0]) == 0
    write_weights(8)
    write_npz(path, class_names=np.array(["ONE", "DEUX", "THREE"]))
    run = retried(group, 1)
    assert train_run(run.path) == 2
    said = reason(run).partition(" Put the old file back ")[0]
    assert said == (
        "Seed 1 would be trained with other classes and from other weights than seed 0 of g: "
        f"npz:{path} and {weights} changed since."
    )


def join(run: Run, **other) -> None:
    """What a start does once the files are read; `other` than those of fabricated runs."""
    colora.training.run._join(Run(run.path), resolved(run.config, []).model_copy(update=other))


def test_where_all_seeds_begin_anew_the_new_files_are_taken(tmp_path):
    group = fabricate(tmp_path, "g", ["stopped", "failed"])
    with pytest.raises(UserError, match="Seed 2 would be trained on other images than seeds 0-1 of g: phantom changed"):
        join(retried(group, 2), data_checksum=OTHER_DATA)
    begin_anew(Group(group.path), [0, 1])
    for run in Group(group.path).runs:
        join(run, data_checksum=OTHER_DATA)
    assert not Group(group.path).apart
    with pytest.raises(UserError, match="Seed 3 would be trained on other images than seeds 0-2 of g"):
        join(retried(group, 3))


def test_a_seed_of_a_mixed_group_goes_on_only_with_what_counts(tmp_path):
    """Also where its own files are as they were: finished, it would take the figures away from the others."""
    group = fabricate(tmp_path, "g", ["done", "stopped", "stopped", "queued"])
    for run in group.runs[1:3]:
        train_on(run, weights_checksum="2")
    with pytest.raises(UserError, match="Seed 2 would be trained from other weights than seed 0 of g: none changed"):
        join(group.runs[2], weights_checksum="2")
    join(group.runs[3])
    assert [run.seed for run in Group(group.path).apart] == [1, 2]


def test_of_two_seeds_that_start_at_the_same_moment_one_is_first(tmp_path, monkeypatch):
    """Both have read their images, another file each, before either has written down which."""
    group = fabricate(tmp_path, "g", ["queued", "queued"])
    inside, go_on, check = threading.Event(), threading.Event(), colora.training.run.check_siblings
    looked, refused = [], []

    def slow_first_look(run, siblings, found):
        check(run, siblings, found)
        looked.append(run.seed)
        if len(looked) == 1:
            inside.set()
            assert go_on.wait(PATIENCE_SECONDS)

    def begin(seed: int, **other) -> None:
        try:
            join(group.runs[seed], **other)
        except UserError as error:
            refused.append(str(error))

    monkeypatch.setattr(colora.training.run, "check_siblings", slow_first_look)
    first = threading.Thread(target=begin, args=(1,))
    second = threading.Thread(target=begin, args=(0,), kwargs={"data_checksum": OTHER_DATA})
    first.start()
    assert inside.wait(PATIENCE_SECONDS)
    second.start()
    second.join(0.3)  # without the lock it is through by now
    go_on.set()
    for thread in (first, second):
        thread.join(PATIENCE_SECONDS)
    assert [said.partition(":")[0] for said in refused] == ["Seed 0 would be trained on other images than seed 1 of g"]
    assert [run.ground is not None for run in Group(group.path).runs] == [False, True]


# Which seeds belong together


@pytest.mark.parametrize(
    ("states", "others", "apart"),
    [
        (["done"] * 3, [], []),
        (["done"] * 4, [3], [3]),
        (["done"] * 4, [0], [0]),
        (["done"] * 4, [0, 1], [2, 3]),  # as many each: that of the lowest seed
        (["done", "stopped", "stopped"], [1, 2], [1, 2]),  # finished ones before others
        (["stopped", "failed", "lost"], [1, 2], [0]),
        (["done", "queued", "queued"], [], []),
        (["queued", "done", "done"], [2], [2]),
    ],
)
def test_the_set_that_most_finished_seeds_are_of_counts(tmp_path, states, others, apart):
    group = fabricate(tmp_path, "g", states)
    for seed in others:
        train_on(group.runs[seed], weights_checksum="b" * 64)
    group = Group(group.path)
    assert [run.seed for run in group.apart] == apart
    done = [seed for seed, state in enumerate(states) if state == "done"]
    assert [run.seed for run in finished(group)] == [seed for seed in done if seed not in apart]
    assert [row["seed"] for row in under_way(group)] == [
        seed for seed in range(len(states)) if seed not in (*done, *apart)
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"data_checksum": "1"}, "on other images"),
        ({"class_names": ["a", "b", "c", "d"]}, "with other classes"),
        ({"weights_checksum": "2"}, "from other weights"),
        ({"cut_hash": "3"}, "on another cut"),
        ({"data_checksum": "1", "weights_checksum": "2"}, "on other images and from other weights"),
    ],
)
def test_what_differs_is_said(tmp_path, change, says):
    group = fabricate(tmp_path, "g", ["done", "done", "stopped"])
    train_on(group.runs[2], **change)
    assert apart_rows(Group(group.path)) == [{"seed": 2, "state": "stopped", "differs": says, "than": [0, 1]}]


def test_a_sentence_names_every_seed_apart(tmp_path, mixed):
    assert says_apart(group_summary(mixed)) == MIXED
    group = fabricate(tmp_path, "g", ["done"] * 5 + ["running"])
    for seed in (2, 3):
        train_on(group.runs[seed], data_checksum=OTHER_DATA)
    train_on(group.runs[4], weights_checksum="2")
    about = group_summary(Group(group.path))
    assert says_apart(about).startswith(
        "A mixed group: seeds 2-3 were trained on other images; seed 4 was trained from other weights than seeds 0-1,5."
    )
    assert says_under_way(about).startswith("2 of 6 seeds are finished, and only they count in figures over seeds. Not")
    assert says_apart(group_summary(fabricate(tmp_path, "alike", ["done", "running"]))) is None


# What is said over seeds


def test_a_summary_pools_the_seeds_that_belong_together(mixed):
    about, counting = group_summary(mixed), [run_summary(run) for run in mixed.runs[:3]]
    for split in ("train", "val", "test"):
        found = about["over_seeds"][split]["accuracy"]
        assert found == Spread.of([row[split]["accuracy"] for row in counting]).as_dict() and found["n"] == 3
    assert about["finished"] == 3 and about["data"]["checksum"] == "0" * 64
    assert [row["apart"] for row in about["seeds"]] == [None, None, None, "on other images"]
    assert seed_points({"mixed": about}, "test")["seed"].tolist() == [0, 1, 2]
    assert f"mixed: {MIXED}" in [caution.says for caution in cautions({"mixed": about})]
    line = Line(mixed)
    assert line.spread("accuracy").as_dict() == about["over_seeds"]["test"]["accuracy"]
    assert line.seeds_text() == "3 of 4 · apart: 3" and line.mixed == MIXED


def test_the_data_of_a_summary_are_those_that_count_whichever_seed_is_first(tmp_path):
    group = fabricate(tmp_path, "g", ["done"] * 3)
    train_on(group.runs[0], data_checksum=OTHER_DATA, class_names=["A", "B", "C", "D"])
    about = group_summary(Group(group.path))
    assert (about["data"]["checksum"], about["data"]["class_names"][0]) == ("0" * 64, "CNV")
    assert about["best_seed"] in (1, 2)


def test_each_seed_has_the_labels_of_its_own_images(mixed):
    assert len(image_table(mixed, "test")) == len(image_table(mixed, "test", mixed.runs[2])) == 200
    assert len(image_table(mixed, "test", mixed.runs[3])) == 100
    assert read_predictions(mixed, "test").seeds == [0, 1, 2]


def test_show_and_list_say_so(mixed, capsys):
    assert main(["show", str(mixed.path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert f"  {MIXED}" in said
    (third,) = (line for line in said if line.startswith("  seed  3 done"))
    assert third.endswith("  on other images") and "so far" not in third
    assert any(line.startswith("  test accuracy, 3 of 4 seeds: median ") for line in said)

    assert [row["apart"] for row in listing(mixed.path.parent)] == [[3]]
    assert main(["list", "--runs-dir", str(mixed.path.parent)]) == 0
    assert capsys.readouterr().out.rstrip().endswith("  mixed: seed 3 trained otherwise")
    assert document(capsys, "list", "--runs-dir", mixed.path.parent)[0]["apart"] == [3]
    assert document(capsys, "show", mixed.path)["apart"][0]["differs"] == "on other images"


def test_evaluate_and_predict_take_the_seeds_that_count_and_say_so(tmp_path, tiny_npz, capsys):
    config = make_config({"dataset": f"npz:{tiny_npz}", **SMALL, "epochs": 1})
    group = create_group(tmp_path / "runs", "g", config, [0, 1])
    assert train_run(group.runs[0].path) == 0
    shutil.copytree(group.runs[0].path, group.runs[1].path, dirs_exist_ok=True)
    train_on(Group(group.path).runs[1], weights_checksum="2")
    result = evaluate_group(Group(group.path), {"dataset": f"npz:{tiny_npz}"})
    assert [row["seed"] for row in result["seeds"]] == [0] and result["ensemble"] is None
    assert result["apart"] == [{"seed": 1, "state": "done", "differs": "from other weights", "than": [0]}]
    said = "A mixed group: seed 1 was trained from other weights than seed 0."
    assert main(["evaluate", str(group.path), "--dataset", f"npz:{tiny_npz}"]) == 0
    assert f"  {said}" in capsys.readouterr().out
    image = tmp_path / "image.png"
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(image)
    assert main(["predict", str(group.path), str(image)]) == 0
    assert said in capsys.readouterr().out


# Pages


@pytest.mark.parametrize("page", ["overview", "monitor", "evaluate", "images", "distil", "compare"])
def test_whole_job_says_so(monkeypatch, mixed, page):
    fabricate(mixed.path.parent, "other", ["done"])
    open_page = opener(monkeypatch, mixed.path.parent)
    app = open_page(page, groups="mixed,other") if page == "compare" else open_page(page, "mixed")
    assert MIXED in texts(app)
    assert not app.error
    if page == "overview":
        row = app.dataframe[0].value.set_index("Group").loc["mixed"]
        assert row["Seeds"] == "3 of 4 · apart: 3" and row["Test accuracy"].endswith("(3 of 4 seeds)")


def test_evaluate_shows_a_seed_apart_alone(monkeypatch, mixed):
    train_on(mixed.runs[3], class_names=["A", "B", "C", "D"])
    open_page = opener(monkeypatch, mixed.path.parent)
    whole, alone = open_page("evaluate", "mixed"), open_page("evaluate", "mixed", seed="Seed 3")
    about = group_summary(Group(mixed.path))
    assert whole.metric[0].value == f"{about['over_seeds']['test']['accuracy']['median']:.3f}"
    assert "200 images · 3 of 4 seeds, each at its selected epoch" in texts(whole)
    assert "100 images · seed 3, epoch" in texts(alone) and "apart, with other classes and on" not in texts(alone)
    assert "apart, on other images and with other classes" in texts(alone)
    assert "A called B" in alone.selectbox(key="show").options
    assert "CNV called DME" in whole.selectbox(key="show").options


def test_images_shows_the_images_of_the_seeds_that_count(monkeypatch, mixed):
    app = opener(monkeypatch, mixed.path.parent)("images", "mixed", part="Test", model="Mean over seeds")
    assert "200 images · the mean over 3 of 4 seeds" in texts(app)
    assert app.selectbox(key="model").options[2:] == ["Seed 0", "Seed 1", "Seed 2"]
    assert len(app.get("bidi_component")) >= 1


def test_curves_on_monitor_leave_a_seed_apart_out(monkeypatch, tmp_path):
    group = fabricate(tmp_path / "runs", "g", ["done", "done", "stopped"])
    train_on(group.runs[2], data_checksum=OTHER_DATA)
    app = opener(monkeypatch, tmp_path / "runs")("monitor", "g")
    assert says_apart(group_summary(Group(group.path))) in texts(app)
    assert "Every epoch is over" not in texts(app), "all that count have finished all of them"
