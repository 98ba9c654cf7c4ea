"""Stopped, cut off at any place, resumed: the same bits as without it, and at most the unfinished epoch again."""

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from small_data import write_npz
from training import figures, reason

import colora.training.loop
import colora.training.run
from colora.adapters import form_choice
from colora.data import prepared
from colora.networks import methods
from colora.networks.backbones import build
from colora.results.summary import preparing
from colora.runs.folder import Run
from colora.training.images import probabilities
from colora.training.run import train_run


def in_second_epoch(run) -> Callable[[], bool]:
    """Wants to stop after the second of the four steps of epoch 2."""
    asked = itertools.count(1)
    return lambda: len(Run(run.path).metrics) == 1 and next(asked) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"merge_every": 2, "schedule": "cosine", "lr_head": 1e-4, "train_figures": "pass", "augment": "flip+shift"},
        {"merge_every": 3, "merge_unit": "steps", "optimizer_at_merge": "keep", "augment": "flip"},
    ],
    ids=["every-2-epochs", "every-3-steps"],
)
def test_resume_continues_with_the_same_bits(new_run, settings):
    whole, cut = new_run("whole", epochs=3, **settings), new_run("cut", epochs=3, **settings)
    assert train_run(whole.path) == 0

    assert train_run(cut.path, in_second_epoch(cut)) == 0
    assert Run(cut.path).state == "stopped"
    assert "resume continues after epoch 1" in reason(cut)
    assert len(Run(cut.path).metrics) == 1
    assert train_run(cut.path) == 0
    assert figures(cut) == figures(whole)
    assert (cut.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()
    pd.testing.assert_frame_equal(Run(cut.path).predictions("train"), Run(whole.path).predictions("train"))


@pytest.mark.parametrize("place", ["save_epoch", "save_checkpoint", "append_json", "save_model", "_save_predictions"])
def test_a_crash_at_any_place_loses_at_most_the_epoch(new_run, trained, monkeypatch, place):
    cut = new_run("cut")

    def crash(*args):
        raise RuntimeError("cut off here")

    with monkeypatch.context() as patch:
        patch.setattr(colora.training.run, place, crash)
        assert train_run(cut.path) == 1
    assert Run(cut.path).state == "failed"
    assert "RuntimeError: cut off here" in reason(cut)
    assert train_run(cut.path) == 0
    assert figures(cut) == figures(trained)
    assert (cut.path / "model.safetensors").read_bytes() == (trained.path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("where", [colora.training.loop, colora.training.run])
def test_a_stop_is_heeded_between_the_batches_of_an_evaluation(new_run, trained, monkeypatch, where):
    """Which may take minutes, after an epoch and at the end."""
    run, batches = new_run(), []

    def asked_meanwhile(model, images, size, precision, before_batch):
        (run.path / "stop").touch()
        return probabilities(model, images, 1, precision, lambda: batches.append(before_batch()))

    with monkeypatch.context() as patch:
        patch.setattr(where, "probabilities", asked_meanwhile)
        assert train_run(run.path) == 0
    assert Run(run.path).state == "stopped" and not batches
    early = where is colora.training.loop
    epoch, said = (0, "in epoch 1; resume continues after epoch 0.") if early else (2, "after the last")
    assert Run(run.path).status["epoch"] == epoch
    assert reason(run).startswith("Stopped on request") and said in reason(run)
    (run.path / "checkpoint").mkdir(exist_ok=True)
    (run.path / "checkpoint" / ".last.safetensors.1.tmp").write_text("what a killed process was writing")
    assert train_run(run.path) == 0
    assert figures(run) == figures(trained)
    assert not list(run.path.rglob("*.tmp"))


def test_a_signal_that_nobody_asked_for_is_not_told_as_a_wish(new_run):
    run = new_run()
    assert train_run(run.path, lambda: Run(run.path).resolved is not None) == 0
    assert reason(run) == "Ended by a signal (a shutdown, or Ctrl-C) in epoch 1; resume continues after epoch 0."


def test_a_run_cut_off_in_its_first_epoch_begins_with_its_weights_again(new_run, tmp_path):
    """What is random comes back by its key; what came from a file has to be read again, and be the same file."""
    weights = tmp_path / "w.safetensors"
    save_file(
        {k: v for k, v in build("resnet18:layer1", 3, 32, seed=9).state_dict().items() if "head" not in k}, weights
    )
    whole, cut, other = (new_run(name, epochs=1, weights=str(weights)) for name in ("whole", "cut", "other"))
    assert train_run(whole.path) == 0
    for run in (cut, other):
        calls = itertools.count(1)
        assert train_run(run.path, lambda calls=calls: next(calls) == 2) == 0
        assert Run(run.path).state == "stopped"
    assert train_run(cut.path) == 0
    assert figures(cut) == figures(whole)
    save_file(
        {k: v for k, v in build("resnet18:layer1", 3, 32, seed=8).state_dict().items() if "head" not in k}, weights
    )
    assert train_run(other.path) == 2
    assert f"The weights {weights} have changed since this run started" in reason(other)


def test_a_finished_run_returns_at_once(trained):
    before = {p: p.stat().st_mtime_ns for p in trained.path.rglob("*")}
    assert train_run(trained.path) == 0
    assert {p: p.stat().st_mtime_ns for p in trained.path.rglob("*")} == before


def test_resume_keeps_the_forms_of_the_first_start(new_run, monkeypatch):
    forms = {(3, 3): "factored"}
    monkeypatch.setattr(form_choice, "choose_form", lambda base, *_: forms.get(base.kernel_size, "fused"))
    whole, cut = new_run("whole"), new_run("cut")
    assert train_run(whole.path) == 0
    assert Run(whole.path).resolved.forms["layer1.0.conv1"] == "factored"
    assert Run(whole.path).resolved.forms["conv1"] == "fused"
    assert train_run(cut.path, in_second_epoch(cut)) == 0
    monkeypatch.setattr(form_choice, "choose_form", lambda base, *_: "fused")  # as a later version might
    assert train_run(cut.path) == 0
    assert figures(cut) == figures(whole)


def test_where_no_table_tells_the_forms_they_are_timed_once_and_kept(new_run, monkeypatch):
    """As on a GPU: the first start times every distinct layer, a resumed run none."""
    timed = []

    def seconds(layer, call, precision, memory_format, rounds):
        timed.append((layer.base.kernel_size, tuple(call.inputs), precision, memory_format))
        return {"plain": 3.0, "fused": 2.0, "factored": 1.0 if call.inputs[1] == 64 else 4.0}

    monkeypatch.setattr(methods, "MEASURED_ON", ())
    monkeypatch.setattr(form_choice, "seconds_of_forms", seconds)
    run = new_run()
    calls = itertools.count(1)
    assert train_run(run.path, lambda: next(calls) == 6) == 0
    forms = Run(run.path).resolved.forms
    same = ("fp32", torch.channels_last)
    assert timed == [((7, 7), (8, 3, 32, 32), *same), ((3, 3), (8, 64, 8, 8), *same)]
    assert forms["conv1"] == "fused"
    assert {form for name, form in forms.items() if name != "conv1"} == {"factored"}
    assert train_run(run.path) == 0
    assert len(timed) == 2
    assert Run(run.path).resolved.forms == forms


def test_changed_images_are_noticed_on_resume(new_run, tmp_path):
    path = write_npz(tmp_path / "data.npz")
    run = new_run(dataset=f"npz:{path}")
    assert train_run(run.path, lambda: Run(run.path).resolved is not None) == 0
    write_npz(path, train_images=np.zeros((30, 32, 32), np.uint8))
    assert train_run(run.path) == 2
    assert "have changed since this run started" in reason(run)


def test_a_stop_while_the_images_are_prepared_ends_as_stopped(new_run, tiny_folder, monkeypatch):
    monkeypatch.setattr(colora.training.run, "CHECK_SECONDS", 0)
    monkeypatch.setattr(prepared, "CHUNK", 8)
    run = new_run(dataset=f"folder:{tiny_folder}")
    said = []

    def stop_after_three():
        said.append((Run(run.path).state, preparing(Run(run.path))))
        return len(said) == 4

    assert train_run(run.path, stop_after_three) == 0
    assert said[0] == ("starting", None)
    assert said[-1] == ("starting", "preparing images 16 of 72")
    assert Run(run.path).state == "stopped"
    assert reason(run).endswith("while the images were prepared; resume prepares them anew.")
    assert preparing(Run(run.path)) is None
    monkeypatch.undo()
    assert train_run(run.path) == 0
    assert Run(run.path).state == "done"
    assert Run(run.path).status["preparing"] is None


def test_the_stop_file_is_heeded_while_the_images_are_prepared(new_run, tiny_folder, monkeypatch):
    monkeypatch.setattr(colora.training.run, "CHECK_SECONDS", 0)
    run = new_run(dataset=f"folder:{tiny_folder}")
    (run.path / "stop").touch()
    assert train_run(run.path) == 0
    assert Run(run.path).state == "stopped"
    assert not (run.path / "stop").exists()
