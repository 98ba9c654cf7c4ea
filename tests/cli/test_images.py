"""distil, cut and verdicts on the command line, and one real training on a cut with corrected labels."""

import json

import numpy as np
import pandas as pd
import pytest
from commands import colora, document, mistake
from fabricate import COUNTS, fabricate
from queueing import wait_for

from colora.cli.asked import asked_config
from colora.cli.main import _parser, main
from colora.data.cuts import PINNED, read_cut
from colora.distillation.scores import read_predictions
from colora.distillation.verdicts import current, judge
from colora.engines.launch import launch
from colora.results.summary import group_summary, run_report, run_summary
from colora.runs.folder import Group, Run, create_group, read_json, write_json
from colora.training.run import train_run


@pytest.fixture
def group(tmp_path):
    return fabricate(tmp_path / "runs", "source", ["done", "done"])


def test_distil_prints_and_saves_the_cut(group, capsys):
    runs = group.path.parent
    made = document(capsys, "distil", group.path, "--drop", 2, "--keep", 20, "--name", "d")
    assert made["counts"]["kept"] == [20] * 4
    assert made["path"] == str(runs / ".colora" / "cuts" / "d.json")
    assert (len(made["hash"]), len(made["image_ids"])) == (64, 80)
    shown = document(capsys, "cut", "show", "d", "--runs-dir", runs)
    assert shown == {name: value for name, value in made.items() if name != "path"}
    assert main(["cut", "show", "d", "--runs-dir", str(runs)]) == 0
    text = capsys.readouterr().out
    assert "d: 80 images (CNV 20, DME 20, DRUSEN 20, NORMAL 20)" in text
    assert "Rule: of each class, discard the 2 of highest entropy and keep the next 20." in text
    assert f"Hash: {made['hash']}" in text
    assert "SYNTHETIC" in text


def test_distil_prints_the_command_that_trains_on_the_cut(tmp_path, capsys):
    group = fabricate(tmp_path / "runs", "source", ["done"] * 3, {"train_set": "balanced", "per_class": 30, "lr": 0.01})
    assert main(["distil", str(group.path), "--keep", "5", "--name", "d"]) == 0
    command = capsys.readouterr().out.partition("Train on it: colora ")[2].split()
    args = _parser().parse_args(command)
    assert (args.name, args.seeds, str(args.runs_dir)) == ("d", "0-2", str(tmp_path / "runs"))
    assert (
        asked_config(args).changes()
        == group.config.model_copy(update={"cut": "d", "train_set": "complete", "per_class": None}).changes()
    )


def test_a_cut_by_label_doubt_is_trained_on_whole(tmp_path, capsys):
    group = fabricate(tmp_path / "runs", "source", ["done"] * 3, {"folds": 3})
    assert main(["distil", str(group.path), "--rule", "labels", "--name", "d"]) == 0
    said = capsys.readouterr().out
    assert "Rule: discard the images whose labels confident learning doubts and no reader holds for right." in said
    assert "--folds" not in said


def test_a_preview_saves_nothing(group, capsys):
    assert document(capsys, "distil", group.path, "--keep", 5, "--name", "d", "--preview")["path"] is None
    assert document(capsys, "cut", "list", "--runs-dir", group.path.parent) == []


def test_too_few_images_is_exit_code_2_with_the_largest_cut_that_works(group, capsys):
    said = mistake(capsys, "distil", group.path, "--drop", 10, "--keep", 7040, "--name", "d")
    assert said == (
        "colora distil: Too few images to drop 10 and keep 7,040 of each class: CNV has 136 images, DME has 40 images, "
        "DRUSEN has 32 images, NORMAL has 192 images in the pool; with drop 10, the largest keep that works is 22.\n"
    )
    assert document(capsys, "distil", group.path, "--drop", 10, "--keep", 22, "--name", "d")["hash"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--whose", "median", "--keep", "3"], "--whose is best, mean, held-out or a seed's number, got 'median'."),
        (["--whose", "7", "--keep", "3"], "Seed 7 of source has no predictions on train; seeds 0, 1 have."),
        (["--rule", "threshold"], "Threshold needs lowest, highest, or both."),
        (["--score", "odd", "--keep", "3"], "There is no score 'odd'"),
        (["--name", "../d", "--keep", "3"], "'../d' cannot name a cut"),
    ],
)
def test_a_wrong_flag_is_one_line(group, capsys, arguments, said):
    named = [] if "--name" in arguments else ["--name", "d"]
    assert said in mistake(capsys, "distil", group.path, *named, *arguments)


def test_pools_and_scores_by_flag(group, capsys):
    for run in group.runs:
        path = run.path / "predictions" / "train.parquet"
        table = pd.read_parquet(path)
        table["used"] = table.groupby("label").cumcount() < 30
        table.to_parquet(path)
    run = document(capsys, "distil", group.path, "--keep", 8, "--name", "a")
    whole = document(capsys, "distil", group.path, "--keep", 8, "--name", "b", "--pool", "train")
    assert (run["counts"]["pool"], whole["counts"]["pool"]) == ([30] * 4, COUNTS["train"])
    mean = document(capsys, "distil", group.path, "--keep", 8, "--name", "c", "--whose", "mean")
    assert (mean["source"]["whose"], mean["source"]["seeds"]) == ("mean", [0, 1])
    share = ["--rule", "share", "--drop-share", "0.1", "--score", "margin"]
    assert document(capsys, "distil", group.path, "--name", "e", *share)["counts"]["kept"] == [27] * 4


def test_cuts_are_listed_removed_and_brought_back(group, capsys):
    where = ["--runs-dir", str(group.path.parent)]
    document(capsys, "distil", group.path, "--keep", 5, "--name", "d")
    assert "Another cut is named 'd'" in mistake(capsys, "distil", group.path, "--keep", 6, "--name", "d")
    document(capsys, "distil", group.path, "--keep", 6, "--name", "d", "--replace")
    assert main(["cut", "list", *where]) == 0
    assert "24 images source: of each class, keep the 6 of highest entropy" in " ".join(capsys.readouterr().out.split())
    document(capsys, "cut", "rm", "d", *where)
    assert "There is no cut d" in mistake(capsys, "cut", "show", "d", *where)
    document(capsys, "cut", "rm", "d", "--undo", *where)
    assert document(capsys, "cut", "list", *where)[0]["images"] == 24


def test_verdicts_out_in_and_compared(group, tmp_path, capsys):
    runs, data = group.path.parent, "0" * 64
    for reader, verdict in (("ann", "artefact"), ("bob", "hard")):
        judge(runs, reader, data, "train-0000", verdict)
        judge(runs, reader, data, "train-0001", "fine")
    where, file = ["--runs-dir", str(runs)], tmp_path / "out.csv"
    listed = document(capsys, "verdicts", "list", *where)
    assert listed["readers"][0] == {
        "reader": "ann", "images": 2, "wrong_label": 0, "artefact": 1, "hard": 0, "fine": 1
    }  # fmt: skip
    assert document(capsys, "verdicts", "agreement", "ann", "bob", *where)["agreed"] == 0.5
    assert document(capsys, "verdicts", "export", file, *where)["verdicts"] == 4
    elsewhere = ["--runs-dir", str(tmp_path / "other")]
    assert document(capsys, "verdicts", "import", file, *elsewhere) == {"added": 4, "known": 0}
    assert len(current(tmp_path / "other", data)) == 4
    assert "colora verdicts: " in mistake(capsys, "verdicts", "import", tmp_path / "none.csv", *elsewhere)


def test_a_preset_gives_its_balanced_set_up_for_a_cut():
    args = _parser().parse_args(["launch", "--name", "x", "--preset", "vgg16-colora-balanced", "--cut", "d"])
    config = asked_config(args)
    assert (config.train_set, config.per_class, config.cut) == ("complete", None, "d")


LONG_SECONDS = 300  # of trainings on a busy machine
CHANCE = 0.4  # of four classes, with the luck that 116 images allow

TINY = {"image_size": 32, "backbone": "texturenet", "weights": "shipped", "batch_size": 8, "threads": 1, "epochs": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_npz):
    """A source group of one trained seed on the tiny data; its runs folder."""
    values = {"dataset": f"npz:{tiny_npz}", "train_set": "balanced", **TINY}
    flags = [part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    config = asked_config(_parser().parse_args(["launch", "--name", "x", *flags]))
    source = create_group(tmp_path_factory.mktemp("cut") / "runs", "source", config, [0])
    assert train_run(source.runs[0].path) == 0
    return source.path


def test_training_on_a_cut_uses_its_images_and_its_labels(trained, capsys):
    runs, predictions = trained.parent, read_predictions(Group(trained), "train")
    used = predictions.images[predictions.images["used"]]
    wrong = used[used["label"] == 0]["image_id"].iloc[0]
    judge(runs, "ann", predictions.data_checksum, wrong, "wrong_label", label=1)
    arguments = ["--rule", "verdicts", "--correct-labels", "--name", "d"]
    made = document(capsys, "distil", trained, *arguments)
    assert (made["counts"]["kept"], made["labels"]) == ([7, 9, 8], {wrong: 1})  # of 8 each
    config = predictions.group.config.model_copy(update={"cut": "d", "train_set": "complete"})
    group = launch(runs, "on-cut", config, [0])
    assert read_json(group.path / PINNED)["hash"] == made["hash"]
    document(capsys, "cut", "rm", "d", "--runs-dir", runs)  # what becomes of the saved cut changes no run
    assert train_run(group.runs[0].path) == 0
    run = Run(group.runs[0].path)
    table = run.predictions("train")
    assert sorted(table.loc[table["used"], "image_id"]) == made["image_ids"]
    assert run.resolved.cut_hash == made["hash"]
    assert run.resolved.class_counts["used"] == [7, 9, 8]
    assert table["label"].tolist() == predictions.images["label"].tolist()  # the data's own labels stay
    changed = table[table["label"] != table["trained_label"]]
    assert dict(zip(changed["image_id"], changed["trained_label"], strict=True)) == made["labels"]
    assert len(table) == 30
    assert run_report(run, "train")["accuracy"] == pytest.approx(run_summary(run)["train"]["accuracy"])
    summary = group_summary(Group(group.path))["data"]
    assert summary["train_set"] == "cut"
    assert (summary["cut"]["name"], summary["cut"]["hash"]) == ("d", made["hash"])
    main(["show", str(group.path)])
    assert f"trained on the cut d ({made['hash'][:12]}): ONE 7, TWO 9, THREE 8; " in capsys.readouterr().out


def test_a_run_whose_cut_was_exchanged_does_not_go_on(trained):
    runs = trained.parent
    assert main(["distil", str(trained), "--keep", "5", "--name", "e"]) == 0
    cut, config = read_cut(runs, "e"), Group(trained).config
    config = config.model_copy(update={"cut": "e", "train_set": "complete", "epochs": 1})
    group = create_group(runs, "exchanged", config, [0, 1], documents={PINNED: cut.model_dump()})
    assert train_run(group.runs[0].path) == 0
    status = group.runs[0].path / "status.json"
    write_json(status, read_json(status) | {"state": "stopped"})
    assert main(["distil", str(trained), "--keep", "4", "--name", "f"]) == 0
    write_json(group.path / PINNED, read_cut(runs, "f").model_dump())
    assert train_run(group.runs[0].path) == 2
    assert "cut.json has changed since this run started" in Run(group.runs[0].path).status["reason"]
    (group.path / PINNED).unlink()
    assert train_run(group.runs[1].path) == 2
    assert "is missing, and with it the images to train on" in Run(group.runs[1].path).status["reason"]


def test_a_cut_that_selects_nothing_changes_no_bit(trained):
    """All of the train split as a cut trains the same model as no cut: only the choice of images is new."""
    runs = trained.parent
    everything = ["--rule", "threshold", "--highest", "9", "--pool", "train", "--name", "all"]
    assert main(["distil", str(trained), *everything]) == 0
    plain = Group(trained).config.model_copy(update={"train_set": "complete", "epochs": 1})
    without = create_group(runs, "without", plain, [3])
    on_all = plain.model_copy(update={"cut": "all"})
    document = read_cut(runs, "all").model_dump()
    group = create_group(runs, "with-all", on_all, [3], documents={PINNED: document})
    figures = []
    for run in (*without.runs, *group.runs):
        assert train_run(run.path) == 0
        figures.append(Run(run.path).predictions("test")[["p_0", "p_1", "p_2"]].to_numpy())
    assert np.array_equal(*figures)


def test_compare_plans_and_launches_the_groups(trained, tmp_path, tiny_npz, capsys, monkeypatch):
    runs, started = trained.parent, []
    monkeypatch.setattr("colora.engines.local.ensure_supervisor", lambda folder: started.append(folder) or 1)
    assert main(["distil", str(trained), "--drop", "1", "--keep", "5", "--name", "g"]) == 0
    capsys.readouterr()
    planned = document(capsys, "cut", "compare", "g", "--runs-dir", runs, "--plan")
    assert [(row["role"], row["exists"]) for row in planned["groups"]] == [
        ("balanced", True), ("distilled", False), ("random", False), ("full", False)
    ]  # fmt: skip
    assert not (runs / "g-full").exists()
    document(capsys, "cut", "compare", "g", "--runs-dir", runs)
    assert started == [runs] * 3
    assert {name: read_json(runs / name / PINNED)["hash"] for name in ("g-distilled", "g-full")} == dict.fromkeys(
        ("g-distilled", "g-full"), read_cut(runs, "g").hash
    )
    assert read_json(runs / "g-random" / PINNED)["counts"]["kept"] == [5, 5, 5]
    again = document(capsys, "cut", "compare", "g", "--runs-dir", runs)
    assert all(row["exists"] for row in again["groups"])


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(1500)  # on a busy machine
def test_real_scans_from_the_source_group_to_the_comparison(shared, tmp_path):
    """SqueezeNet's ImageNet weights on real scans, the cut of drop 2 and keep 90, and the groups that credit it."""
    runs, data = tmp_path / "runs", shared / "data" / "oct2017-sample_224.npz"
    weights = shared / "weights" / "squeezenet1_1_imagenet_features.safetensors"
    training = f"--backbone squeezenet1_1 --weights {weights} --image-size 64 --epochs 1 --batch-size 16 --seeds 0"
    where = ["--runs-dir", str(runs)]
    launch = ["--dataset", f"npz:{data}", *training.split(), *where, "--wait"]
    colora("launch", "--name", "real", "--train-set", "balanced", *launch)
    cut = json.loads(colora("distil", str(runs / "real"), "--drop", "2", "--keep", "90", "--name", "sharp", "--json"))
    assert (cut["counts"]["dropped"], cut["counts"]["kept"]) == ([2] * 4, [90] * 4)
    colora("launch", "--name", "sharp-distilled", "--cut", "sharp", *launch)
    planned = json.loads(colora("cut", "compare", "sharp", "--plan", "--json", *where))["groups"]
    assert {arm["group"]: arm["exists"] for arm in planned} == {
        "real": True, "sharp-distilled": True, "sharp-random": False, "sharp-full": False
    }  # fmt: skip
    assert json.loads(colora("cut", "compare", "sharp", "--json", *where))["launched"]
    for name in ("sharp-random", "sharp-full"):
        wait_for(lambda name=name: Group(runs / name).state == "done", LONG_SECONDS, lambda name=name: name)
    hashes = {"real": None, "sharp-random": read_cut(runs, "sharp-random").hash}
    for name in ("real", "sharp-distilled", "sharp-random", "sharp-full"):
        summary = json.loads(colora("show", str(runs / name), "--json"))
        assert (summary["data"]["cut"] or {}).get("hash") == hashes.get(name, cut["hash"])
        if name != "sharp-full":  # whose small rate needs more than one epoch
            assert summary["over_seeds"]["test"]["accuracy"]["median"] > CHANCE, name
