"""Only finished seeds count in figures over seeds; the others are told as under way, on every page and command."""

import pytest
from fabricate import damage, fabricate
from opened import opener, texts

from colora.cli.main import main
from colora.distillation.scores import group_scores, read_predictions
from colora.metrics.over_seeds import Spread
from colora.results.compare import group_rows, seed_points
from colora.results.overview import Line
from colora.results.summary import best_run, group_summary, run_summary
from colora.runs.finished import counted, finished, says_reached, says_under_way, under_way
from colora.runs.folder import Group, read_json, write_json


@pytest.fixture
def mixed(tmp_path) -> Group:
    """Of twelve epochs: seeds 0 and 4 are done, the others at the seventh; two wait."""
    states = ["done", "running", "stopped", "failed", "done", "queued", "queued"]
    return fabricate(tmp_path / "runs", "mixed", states, {"epochs": 12}, epochs_done=7)


def test_seeds_that_are_done_count_and_the_others_are_told_where_they_stand(mixed):
    assert [run.seed for run in finished(mixed)] == [0, 4]
    assert [(row["seed"], row["says"]) for row in under_way(mixed)] == [
        (1, "running at epoch 7 of 12"),
        (2, "stopped at epoch 7 of 12"),
        (3, "failed at epoch 7 of 12"),
        (5, "queued"),
        (6, "queued"),
    ]
    assert says_under_way(group_summary(mixed)) == (
        "2 of 7 seeds are finished, and only they count in figures over seeds. Not finished: seed 1 running at epoch 7 "
        "of 12; seed 2 stopped at epoch 7 of 12; seed 3 failed at epoch 7 of 12; seeds 5-6 queued."
    )


def test_lost_and_damaged_seeds_do_not_count(tmp_path):
    group = fabricate(tmp_path, "g", ["done", "lost", "done"])
    damage(group)  # the first one
    group = Group(group.path)
    assert [run.seed for run in finished(group)] == [2]
    assert [row["says"] for row in under_way(group)] == ["damaged", "lost at epoch 3 of 6"]
    assert read_predictions(group, "test").seeds == [2]


def test_one_finished_seed_and_none_are_sentences_of_their_own(tmp_path):
    one = group_summary(fabricate(tmp_path, "one", ["done", "stopped"]))
    assert says_under_way(one).startswith("1 of 2 seeds is finished, and only it counts in figures over seeds. Not ")
    none = group_summary(fabricate(tmp_path, "none", ["running"]))
    assert says_under_way(none) == (
        "No seed has finished yet, so there are no figures over seeds. Not finished: seed 0 running at epoch 3 of 6."
    )
    assert says_under_way(group_summary(fabricate(tmp_path, "all", ["done", "done"]))) is None


def test_how_many_of_how_many():
    assert [counted(*pair) for pair in ((1, 1), (3, 3), (1, 3), (2, 3), (0, 1))] == [
        "1 seed", "3 seeds", "1 of 3 seeds", "2 of 3 seeds", "0 of 1 seed",
    ]  # fmt: skip


def test_how_many_seeds_stand_behind_each_epoch_of_a_curve():
    assert says_reached([12, 7, 7, 0, 12], 5) == "4 of 5 seeds up to epoch 7, 2 up to 12"
    assert says_reached([12, 7], 2) == "2 seeds up to epoch 7, 1 up to 12"
    assert says_reached([12, 7], 3) == "2 of 3 seeds up to epoch 7, 1 up to 12", "one stands apart"
    assert says_reached([3, 0], 2) == "1 of 2 seeds up to epoch 3"
    assert says_reached([0, 0], 2) == ""


def test_a_summary_pools_no_seed_at_an_epoch_of_its_own(mixed):
    summary = group_summary(mixed)
    done = [run_summary(mixed.runs[seed]) for seed in (0, 4)]
    for split in ("train", "val", "test"):
        for metric in ("accuracy", "auc"):
            found = summary["over_seeds"][split][metric]
            assert found == Spread.of([row[split][metric] for row in done]).as_dict() and found["n"] == 2
    assert summary["finished"] == 2 and summary["under_way"] == under_way(mixed)
    assert [row["finished"] for row in summary["seeds"]] == [True, False, False, False, True, False, False]
    assert "test" in summary["seeds"][1], "what a seed under way has so far stands in its own row"
    assert summary["best_seed"] in (0, 4)


@pytest.mark.parametrize("selection", ["validation", "paper"])
def test_the_best_seed_is_a_finished_one_whatever_the_others_reach(tmp_path, selection):
    group = fabricate(tmp_path, "g", ["done", "running"], {"selection": selection})
    better = group.runs[1].path / "metrics.jsonl"
    better.write_text(
        "".join(
            line.replace('"val_accuracy": 0', '"val_accuracy": 1').replace('"test_accuracy": 0', '"test_accuracy": 1')
            for line in better.read_text().splitlines(keepends=True)
        )
    )
    group = Group(group.path)
    assert group.runs[1].metrics["test_accuracy"].min() > 1 > group.runs[0].metrics["test_accuracy"].max()
    assert best_run(group).seed == 0 and group_summary(group)["best_seed"] == 0
    assert best_run(fabricate(tmp_path, "none", ["running", "stopped"])) is None


def test_predictions_of_a_seed_that_was_lost_at_its_end_do_not_count(tmp_path):
    group = fabricate(tmp_path, "g", ["done", "done", "done"])
    status = group.runs[1].path / "status.json"
    write_json(status, read_json(status) | {"state": "failed", "reason": "The disk is full."})
    group = Group(group.path)
    assert group.runs[1].has_predictions("test")
    assert read_predictions(group, "test").seeds == [0, 2]
    alone = group_scores(fabricate(tmp_path, "two", ["done", "queued", "done"]), "test", "mean")
    assert group_scores(group, "test", "mean")["entropy"].tolist() == alone["entropy"].tolist()


def test_overview_and_compare_have_the_figures_of_the_summary(mixed):
    about, line = group_summary(mixed), Line(mixed)
    (row,) = group_rows({"mixed": about}, "test")
    for metric in ("accuracy", "auc"):
        assert line.spread(metric).as_dict() == row[metric].as_dict() == about["over_seeds"]["test"][metric]
    assert (row["done"], row["seeds"], row["seconds_per_epoch"].n, row["best"]["seed"]) == (2, 7, 2, about["best_seed"])
    assert seed_points({"mixed": about}, "val")["seed"].tolist() == [0, 4]
    assert line.seeds_text() == "2 of 7 · failed: 3 · stopped: 2 · running: 1 · queued: 5, 6"


def test_show_lists_what_is_under_way_and_gives_no_median_of_it(mixed, tmp_path, capsys):
    assert main(["show", str(mixed.path)]) == 0
    said = capsys.readouterr().out.splitlines()
    (accuracy,) = (line for line in said if "test accuracy, " in line)
    spread = Spread.of([run_summary(mixed.runs[seed])["test"]["accuracy"] for seed in (0, 4)])
    assert accuracy.startswith(f"  test accuracy, 2 of 7 seeds: median {spread.median:.3f} [IQR {spread.q1:.3f} to ")
    assert sum("  so far" in line for line in said) == 3
    assert f"  {says_under_way(group_summary(mixed))}" in said

    early = fabricate(tmp_path, "early", ["running", "stopped"])
    assert main(["show", str(early.path)]) == 0
    said = capsys.readouterr().out
    assert "median" not in said and "No seed has finished yet" in said and said.count("so far") == 2
    assert main(["show", str(fabricate(tmp_path, "two", ["done", "running"]).path)]) == 0
    said = capsys.readouterr().out
    assert "  test accuracy, 1 of 2 seeds: 0." in said and "median" not in said


SAID = "2 of 7 seeds are finished, and only they count in figures over seeds."


@pytest.mark.parametrize("page", ["evaluate", "compare", "images", "distil"])
def test_pages_say_which_seeds_count(monkeypatch, mixed, page):
    fabricate(mixed.path.parent, "other", ["done"], {"epochs": 12})
    open_page = opener(monkeypatch, mixed.path.parent)
    app = open_page("compare", groups="mixed,other") if page == "compare" else open_page(page, "mixed")
    (told,) = (info.value for info in app.info if SAID in info.value)
    assert "seed 2 stopped at epoch 7 of 12" in told.replace("\\", "")


def test_whole_job_has_the_same_median(monkeypatch, mixed):
    fabricate(mixed.path.parent, "other", ["done"], {"epochs": 12})
    open_page = opener(monkeypatch, mixed.path.parent)
    spread = Spread.of([run_summary(mixed.runs[seed])["test"]["accuracy"] for seed in (0, 4)])
    in_a_cell = f"{spread.median:.3f} [{spread.q1:.3f}–{spread.q3:.3f}] (2 of 7 seeds)"
    evaluate = open_page("evaluate", "mixed")
    assert evaluate.metric[0].value == f"{spread.median:.3f}"
    assert f"Median over 2 of 7 seeds · middle half (IQR) {spread.q1:.3f}" in texts(evaluate)
    assert "2 of 7 seeds, each at its selected epoch, chosen on validation" in texts(evaluate)
    compare = open_page("compare", groups="mixed,other").dataframe[0].value.set_index("Group")["Accuracy"]
    assert compare["A · mixed"] == in_a_cell and compare["B · other"].endswith("(1 seed)")
    overview = open_page("overview").dataframe[0].value.set_index("Group")
    assert overview.loc["mixed", "Test accuracy"] == in_a_cell
