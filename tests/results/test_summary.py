"""The selected epoch and figures over seeds, on numbers that can be checked by eye."""

import pandas as pd
import pytest

from colora.metrics.over_seeds import Spread
from colora.results.summary import (
    band,
    best_run,
    group_summary,
    preparing,
    progress,
    run_summary,
    seconds_left,
    seconds_to_end,
)
from colora.runs.folder import Group, Run, append_json, create_group, own_process, read_json, write_json
from colora.runs.selection import selected_row
from colora.settings.config import RunConfig


def row(epoch, val, test, loss=0.5):
    figures = {
        f"{s}_{m}": v
        for s, a in (("train", 1.0), ("val", val), ("test", test))
        for m, v in (("accuracy", a), ("auc", a))
    }
    losses, times = {"train_loss": 0.1, "val_loss": loss, "test_loss": loss}, {"seconds": 2.0, "eval_seconds": 0.5}
    return {"epoch": epoch, **figures, **losses, **times}


def make_group(tmp_path, *runs, state="queued", **settings):
    group = create_group(tmp_path, "g", RunConfig(epochs=3, **settings), list(range(len(runs))))
    for run, rows in zip(group.runs, runs, strict=True):
        for r in rows:
            append_json(run.path / "metrics.jsonl", r)
        write_json(run.path / "status.json", read_json(run.path / "status.json") | {"state": state})
    return group


def test_selection_by_validation_then_loss_then_earlier():
    table = pd.DataFrame([row(1, 0.8, 0.9, 0.4), row(2, 0.9, 0.7, 0.6), row(3, 0.9, 0.5, 0.5), row(4, 0.9, 0.6, 0.5)])
    assert selected_row(table, "validation") == 2
    assert selected_row(table, "paper") == 0


def test_spread():
    s = Spread.of([1.0, 2.0, 3.0, 4.0, None, float("nan")])
    assert (s.n, s.median, s.q1, s.q3, s.low, s.high) == (4, 2.5, 1.75, 3.25, 1.0, 4.0)
    assert Spread.of([None]) is None


def test_band_over_seeds_that_got_unequally_far(tmp_path):
    group = make_group(tmp_path, [row(1, 0.5, 0.5), row(2, 0.6, 0.6)], [row(1, 0.7, 0.7)])
    table = band(group.runs, "test_accuracy")
    assert table["epoch"].tolist() == [1, 2]
    assert table["n"].tolist() == [2, 1]
    assert table["median"].tolist() == pytest.approx([0.6, 0.6])
    assert table["low"].tolist() == pytest.approx([0.5, 0.6])
    assert table["high"].tolist() == pytest.approx([0.7, 0.6])


@pytest.mark.parametrize(("selection", "best", "accuracy"), [("validation", 1, [0.6, 0.7]), ("paper", 0, [0.9, 0.7])])
def test_summary_follows_the_selection(tmp_path, selection, best, accuracy):
    group = make_group(
        tmp_path,
        [row(1, 0.5, 0.9), row(2, 0.8, 0.6)],
        [row(1, 0.85, 0.7), row(2, 0.7, 0.6)],
        state="done",
        selection=selection,
    )
    assert best_run(group).seed == best
    summary = group_summary(group)
    assert [s["test"]["accuracy"] for s in summary["seeds"]] == accuracy
    spread = summary["over_seeds"]["test"]["accuracy"]
    assert spread["median"] == pytest.approx(sum(accuracy) / 2)
    assert spread["range"] == [min(accuracy), max(accuracy)]
    assert ("optimistic" in summary["selection"]["says"]) is (selection == "paper")
    assert summary["notice"] == "Research use only. Not a medical device."


def test_summary_before_the_first_epoch(tmp_path):
    summary = group_summary(make_group(tmp_path, []))
    assert "selected_epoch" not in summary["seeds"][0]
    assert summary["over_seeds"]["test"] == {"accuracy": None, "auc": None}
    assert summary["best_seed"] is None


@pytest.mark.parametrize(
    ("state", "figures", "said"),
    [
        ("starting", [1_200, 100_000], "preparing images 1,200 of 100,000"),
        ("starting", [8_192, 0], "looking for images, 8,192 files so far"),
        ("starting", None, None),
        ("failed", [1_200, 100_000], None),
    ],
)
def test_what_is_said_while_images_are_prepared(tmp_path, state, figures, said):
    run = make_group(tmp_path, []).runs[0]
    status = run.path / "status.json"
    assert preparing(run) is None  # queued: nothing of it in the file
    write_json(status, read_json(status) | {"state": state, "process": own_process(), "preparing": figures})
    run = Run(run.path)
    assert preparing(run) == said
    assert run_summary(run)["preparing"] == said


def test_progress_and_time_left_count_training_and_evaluation(tmp_path):
    first = [row(1, 0.5, 0.5) | {"eval_seconds": 1.0}]
    group = make_group(tmp_path, first, [])
    status = group.runs[0].path / "status.json"
    changes = {"state": "running", "epoch": 1, "step": 5, "steps": 10, "process": own_process()}
    write_json(status, read_json(status) | changes)
    assert progress(group.runs[0]) == pytest.approx(1.5 / 3)
    left = seconds_left(group.runs)
    assert left[0] == pytest.approx(1.5 * 3.0)  # an epoch and a half of 2 s training and 1 s evaluation
    assert left[1] == pytest.approx(3 * 3.0)  # reckoned with the other seed's epochs
    assert seconds_to_end(group.runs, left) == pytest.approx({0: 4.5, 1: 4.5 + 9.0})  # one after the other


def test_waiting_seeds_begin_where_one_that_trains_ends_first(tmp_path):
    group = make_group(tmp_path, [], [], [], [], [])
    for run, state in zip(group.runs, ("done", "running", "running", "queued", "queued"), strict=True):
        status = run.path / "status.json"
        write_json(status, read_json(status) | {"state": state, "process": own_process()})
    runs = Group(group.path).runs
    left = {0: 0.0, 1: 20.0, 2: 5.0, 3: 9.0, 4: 9.0}
    assert seconds_to_end(runs, left) == {0: 0.0, 1: 20.0, 2: 5.0, 3: 14.0, 4: 23.0}
    assert seconds_to_end(runs, left | {1: None}) == {0: 0.0, 1: None, 2: 5.0, 3: None, 4: None}
    assert left[4] == 9.0
