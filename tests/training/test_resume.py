"""Stopped, cut off at any place, resumed: the same bits as without it, and at most the unfinished epoch again."""

import itertools
import json
from collections.abc import Callable
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, load_file, save_file
from small_data import write_npz
from training import SMALL, figures, reason

import colora.training.loop
import colora.training.predictions
import colora.training.run
from colora.adapters import conv, form_choice, targets
from colora.adapters.history import rebuild
from colora.data import prepared
from colora.networks import methods
from colora.networks.backbones import build
from colora.results.summary import preparing
from colora.runs.folder import Run, create_group
from colora.settings.config import make_config
from colora.training.checkpoint import saved_model_epoch
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
        {"pointwise_rank": 4, "merge_every": 3, "merge_unit": "steps", "bias": "all", "order": "separable"},
    ],
    ids=["every-2-epochs", "every-3-steps", "low-rank"],
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


@pytest.mark.parametrize("place", ["save_epoch", "save_checkpoint", "append_json", "save_model", "save_predictions"])
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


EVALUATIONS = [(colora.training.loop, "probabilities"), (colora.training.predictions, "outputs")]


@pytest.mark.parametrize(("where", "name"), EVALUATIONS)
def test_a_stop_is_heeded_between_the_batches_of_an_evaluation(new_run, trained, monkeypatch, where, name):
    """Which may take minutes, after an epoch and at the end."""
    run, batches, real = new_run(), [], getattr(where, name)

    def asked_meanwhile(model, images, size, precision, before_batch, *more):
        (run.path / "stop").touch()
        return real(model, images, 1, precision, lambda: batches.append(before_batch()), *more)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, asked_meanwhile)
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
    monkeypatch.setattr(conv, "choose_form", lambda base, *_: forms.get(base.kernel_size, "fused"))
    whole, cut = new_run("whole"), new_run("cut")
    assert train_run(whole.path) == 0
    assert Run(whole.path).resolved.forms["layer1.0.conv1"] == "factored"
    assert Run(whole.path).resolved.forms["conv1"] == "fused"
    assert train_run(cut.path, in_second_epoch(cut)) == 0
    monkeypatch.setattr(conv, "choose_form", lambda base, *_: "fused")  # as a later version might
    assert train_run(cut.path) == 0
    assert figures(cut) == figures(whole)


def as_before(run: Run) -> None:
    """What the run's files lack that were written before there was a rank of the pointwise factor."""
    document = json.loads((run.path / "config.json").read_text())
    for field in ("pointwise_rank", "layers"):
        del document["config"][field]
    for count in ("adapted", "layers"):
        del document["resolved"]["parameters"][count]
    document["resolved"]["warnings"] = []
    (run.path / "config.json").write_text(json.dumps(document))
    for path in (run.path / "history").iterdir():
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
        del about["pointwise_rank"]
        save_file(load_file(path), path, {"about": json.dumps(about)})


def test_a_run_of_an_older_version_keeps_its_layers_and_so_do_its_siblings(tmp_path, tiny_npz, monkeypatch):
    """Then `conv1` was the stem alone, and now each block's first convolution too; `nothing` was no mistake."""
    config = make_config({"dataset": f"npz:{tiny_npz}", **SMALL, "targets": "conv1,layer1.0.conv2"})
    with monkeypatch.context() as patch:
        patch.setattr(targets, "matches", lambda pattern, name: fnmatchcase(name, pattern))
        groups = [create_group(tmp_path / "runs", name, config, [0, 1]) for name in ("whole", "cut")]
        whole, cut = (group.runs[0] for group in groups)
        assert train_run(whole.path) == 0
        assert train_run(cut.path, in_second_epoch(cut)) == 0
    for run in (whole, cut):
        as_before(run)
        document = json.loads((run.path / "config.json").read_text())
        document["config"]["targets"] += ",nothing"
        (run.path / "config.json").write_text(json.dumps(document))
    names = ["conv1", "layer1.0.conv2"]
    assert train_run(cut.path) == 0
    assert figures(cut) == figures(whole) and list(Run(cut.path).resolved.forms) == names
    saved = (whole.path / "model.safetensors").read_bytes()
    assert (cut.path / "model.safetensors").read_bytes() == saved
    model = rebuild(build("resnet18:layer1", 3, 32, seed=0), cut.path / "history", upto=saved_model_epoch(cut))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in load(saved).items())
    waiting = groups[1].runs[1]
    assert train_run(waiting.path) == 0
    assert list(Run(waiting.path).resolved.forms) == names
    counts = Run(waiting.path).resolved.parameters
    assert counts["layers"] == 2 and counts["trainable"] == Run(cut.path).resolved.parameters["trainable"]
    alone = create_group(tmp_path / "runs", "alone", config, [0]).runs[0]
    assert train_run(alone.path) == 0
    assert list(Run(alone.path).resolved.forms) == ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1"]


def test_layers_that_a_run_began_with_and_the_network_lacks_are_a_sentence(new_run):
    run = new_run()
    assert train_run(run.path, in_second_epoch(run)) == 0
    document = json.loads((run.path / "config.json").read_text())
    document["resolved"]["forms"]["layer7.conv"] = "plain"
    (run.path / "config.json").write_text(json.dumps(document))
    assert train_run(run.path) == 2
    assert reason(run) == "The run began with an adapter on layer7.conv, a layer that resnet18:layer1 lacks."


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
