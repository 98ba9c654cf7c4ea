"""Training one seed: what the folder holds, equal bits for equal seeds, what ends with a sentence."""

import errno
import functools
import json
import math
import os
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_data import write_folder, write_npz
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training import figures, reason

import colora.training.loop
import colora.training.run
from colora.adapters.history import rebuild
from colora.adapters.model import plain_state
from colora.data import prepared, sources
from colora.data.sources import load_dataset
from colora.metrics.calibration import temperature, tempered
from colora.metrics.classification import cross_entropy, entropy
from colora.networks.backbones import build, load_weights
from colora.results.summary import group_summary, run_report, run_summary
from colora.runs.documents import calibration_file
from colora.runs.folder import Group, Run, create_group
from colora.runs.selection import selected_epoch, selected_row
from colora.settings.config import make_config
from colora.system.beside import beside
from colora.training.checkpoint import load_model, saved_model_epoch
from colora.training.images import DeviceImages, probabilities
from colora.training.loop import Fit, make_optimizer
from colora.training.run import train_run


def test_a_finished_run_holds_everything(trained):
    run = Run(trained.path)
    assert run.state == "done"
    assert run.status["epoch"] == 2
    assert run.metrics["epoch"].tolist() == [1, 2]
    assert run.metrics["merges"].tolist() == [1, 2]
    assert run.resolved.class_counts == {s: [12, 10, 8] for s in ("train", "val", "test", "used")}
    assert run.resolved.parameters["trainable"] < run.resolved.parameters["deployed"]
    assert json.loads((run.path / "environment.json").read_text())["versions"]["torch"] == version("torch")
    assert {p.name for p in (run.path / "history").iterdir()} == {"epoch-01.safetensors", "epoch-02.safetensors"}
    assert not list(run.path.rglob("*.tmp"))
    assert not list(run.path.rglob("*.pt*"))
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert [e.value for e in events.Scalars("test/accuracy")] == pytest.approx(run.metrics["test_accuracy"].tolist())


def test_the_selected_models_temperature_is_kept_and_is_what_a_reader_would_fit(trained):
    run = Run(trained.path)
    kept = calibration_file(run.path)
    val = run.predictions("val")
    labels, p = val["label"].to_numpy(), val[["p_0", "p_1", "p_2"]].to_numpy()
    assert kept["temperature"] == temperature(labels, p)
    assert kept["epoch"] == saved_model_epoch(run) == selected_epoch(run) and kept["images"] == len(val)
    before, after = kept["log_loss"]
    assert before == cross_entropy(labels, p) and after == cross_entropy(labels, tempered(p, kept["temperature"]))
    assert after <= before


def test_predictions_are_the_selected_models(new_run):
    run = new_run(train_set="balanced", epochs=3)
    assert train_run(run.path) == 0
    run = Run(run.path)
    row = run.metrics.iloc[selected_row(run.metrics, "validation")]
    test = run.predictions("test")
    p = test[["p_0", "p_1", "p_2"]].to_numpy()
    assert p.dtype == np.float32
    assert p.sum(1) == pytest.approx(np.ones(30), abs=1e-5)
    assert (p.argmax(1) == test["label"]).mean() == pytest.approx(row["test_accuracy"])
    assert test["entropy"].to_numpy() == pytest.approx(entropy(p))
    assert test["patient_id"].iloc[0] == "200"
    train = run.predictions("train")
    assert len(train) == 30
    assert train["used"].sum() == 24
    used = train[train["used"]]
    assert (used[["p_0", "p_1", "p_2"]].to_numpy().argmax(1) == used["label"]).mean() == pytest.approx(
        row["train_accuracy"]
    )


def test_the_saved_model_is_plain_and_reproduces_the_predictions(trained):
    run = Run(trained.path)
    state = load_file(run.path / "model.safetensors")
    assert set(state) == set(build("resnet18:layer1", 3, 32).state_dict())
    data = load_dataset(run.config)
    images = DeviceImages(data.splits["test"].images, data.splits["test"].labels, torch.device("cpu"))
    p = probabilities(load_model(run, run.config, run.resolved), images, 32, "fp32")
    assert np.array_equal(p, run.predictions("test")[["p_0", "p_1", "p_2"]].to_numpy())


@pytest.mark.parametrize("method", ["colora", "head", "full"])
def test_the_same_seed_gives_the_same_bits_and_another_does_not(new_run, method):
    runs = [new_run(name, seed, method=method) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    for run in runs:
        assert train_run(run.path) == 0
    one, same, other = (figures(run) for run in runs)
    assert one == same
    assert one != other


def test_what_each_method_changes(new_run, tiny_npz):
    for method, changed in (("head", False), ("full", True), ("colora", True)):
        run = new_run(method, method=method, epochs=1)
        train_run(run.path)
        start = build("resnet18:layer1", 3, 32, seed=0).state_dict()
        after = load_file(run.path / "model.safetensors")
        assert (not torch.equal(start["conv1.weight"], after["conv1.weight"])) is changed
        assert not torch.equal(start["head.5.weight"], after["head.5.weight"])
        assert torch.equal(start["bn1.running_mean"], after["bn1.running_mean"])  # batch norm in eval mode


@pytest.mark.parametrize(
    "settings",
    [
        {"order": "separable", "rank": 2},
        {"merge_every": 2},
        {"method": "full"},
        {"merge_unit": "steps", "merge_every": 3},
        {"pointwise_rank": 4, "merge_unit": "steps", "merge_every": 3, "bias": "all"},
    ],
)
def test_base_and_history_are_the_model_of_any_epoch(new_run, settings):
    """Paper, section 3.1: nothing but the factors and the head is kept, and training can be undone."""
    run = new_run(epochs=3, **settings)
    train_run(run.path)
    selected = Run(run.path).metrics.iloc[selected_row(Run(run.path).metrics, "validation")]["epoch"]
    base = build("resnet18:layer1", 3, 32, seed=0)
    model = rebuild(base, run.path / "history", upto=int(selected))
    saved = load_file(run.path / "model.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    untrained = rebuild(base, run.path / "history", upto=0).state_dict()
    assert all(torch.equal(value, untrained[name]) for name, value in base.state_dict().items())


def test_figures_of_the_training_pass_are_those_of_its_steps(new_run, monkeypatch):
    """With a rate too small to change anything, what each image got in its step is what the model says afterwards."""
    full = new_run("full", epochs=1, lr=1e-12)
    seen = new_run("pass", epochs=1, lr=1e-12, train_figures="pass")
    assert train_run(full.path) == train_run(seen.path) == 0
    one, other = (load_file(r.path / "predictions" / "epochs" / "epoch-01.safetensors")["train"] for r in (full, seen))
    torch.testing.assert_close(other, one, atol=1e-5, rtol=0)
    assert Run(seen.path).metrics["train_loss"][0] == pytest.approx(Run(full.path).metrics["train_loss"][0], abs=1e-5)


def test_a_subset_is_the_same_images_and_no_copy():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4, 5), dtype=np.uint8)
    images = DeviceImages(pixels, np.arange(9) % 3, torch.device("cpu"))
    rows, labels = np.array([1, 4, 8]), np.array([2, 0, 1])
    part, alone = images.subset(rows, labels), DeviceImages(pixels[rows], labels, torch.device("cpu"))
    assert len(part) == 3
    assert part.images.data_ptr() == images.images.data_ptr()
    for (x, y), (alone_x, alone_y) in zip(*(s.batches(torch.tensor([2, 0, 1]), 2) for s in (part, alone)), strict=True):
        assert torch.equal(x, alone_x)
        assert torch.equal(y, alone_y)
    assert (len(images), images.labels.tolist()) == (9, [0, 1, 2] * 3)


def test_head_and_rest_have_their_own_rates_under_one_schedule():
    """Half a cosine: the full rate at the first step, half of it half-way, almost nothing at the last."""
    config = make_config({"lr": 1e-2, "lr_head": 1e-4, "schedule": "cosine", "epochs": 2, "batch_size": 1})
    model = torch.nn.Sequential(OrderedDict(features=torch.nn.Linear(2, 2), head=torch.nn.Linear(2, 2)))
    optimizer = make_optimizer(model, config)
    assert {id(p) for p in optimizer.param_groups[0]["params"]} == {id(p) for p in model.head.parameters()}
    fit = Fit(None, config, 0, model, optimizer, {}, "fp32", None, lambda: False)
    rates = []
    for fit.step in (0, 4, 7):
        fit._set_rates(steps_per_epoch=4)
        rates.append([group["lr"] for group in optimizer.param_groups])
    last = 0.5 * (1 + math.cos(math.pi * 7 / 8))
    np.testing.assert_allclose(rates, np.outer([1, 0.5, last], [1e-4, 1e-2]), rtol=1e-12)


def test_paper_selection_keeps_the_best_test_epoch_and_warns(new_run):
    run = new_run(selection="paper", epochs=3)
    train_run(run.path)
    run = Run(run.path)
    best = selected_row(run.metrics, "paper")
    assert run.metrics["test_accuracy"].iloc[best] == run.metrics["test_accuracy"].max()
    p = run.predictions("test")
    assert (p[["p_0", "p_1", "p_2"]].to_numpy().argmax(1) == p["label"]).mean() == run.metrics["test_accuracy"].max()
    assert any("optimistic" in w for w in run.resolved.warnings)


def test_a_loss_that_is_no_number_ends_with_a_sentence(new_run, monkeypatch):
    run = new_run(lr=0.5)
    monkeypatch.setattr(colora.training.loop, "cross_entropy", lambda logits, labels: logits.sum() * float("nan"))
    assert train_run(run.path) == 2
    assert Run(run.path).state == "failed"
    assert "not a number in epoch 1 at learning rate 0.5: lower the learning rate" in reason(run)
    assert len(Run(run.path).metrics) == 0


def test_out_of_memory_says_what_to_lower(new_run, monkeypatch):
    run = new_run(batch_size=16)

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(colora.training.loop, "cross_entropy", full)
    assert train_run(run.path) == 1
    assert reason(run).startswith("Out of memory at batch size 16 and 32 px: lower the batch size first")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(new_run, monkeypatch, number):
    run = new_run()

    def full(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(colora.training.run, "save_checkpoint", full)
    assert train_run(run.path) == 1
    assert f"The disk is full ({run.path})" in reason(run)
    assert "then resume" in reason(run)


@pytest.mark.parametrize(
    "file",
    [
        "checkpoint/last.safetensors", "history/epoch-01.safetensors", "model.safetensors", "metrics.jsonl",
        "predictions/epochs/epoch-01.safetensors", "predictions/val.parquet", "tensorboard",
    ],
)  # fmt: skip
def test_the_reason_of_a_full_disk_names_the_file_that_could_not_be_written(new_run, monkeypatch, file):
    """As the system has it, which names none where writing or syncing fails."""
    run, real = new_run(epochs=1), os.fsync

    def full(handle):
        if os.readlink(f"/proc/self/fd/{handle}").startswith(str((run.path / file).parent)):
            name = Path(os.readlink(f"/proc/self/fd/{handle}")).name
            if Path(file).name in name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    if file == "tensorboard":
        said = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.flush", lambda _: (_ for _ in ()).throw(said))
    assert train_run(run.path) == 1
    assert reason(run) == f"The disk is full ({run.path / file}): free some space, then resume this run."
    monkeypatch.undo()
    assert train_run(run.path) == 0


def test_what_killed_writers_left_in_a_run_goes_when_it_starts(new_run):
    run = new_run(epochs=1)
    gone = beside(run.path / "process.json").name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")
    old = run.path / ".status.json.4711.tmp"  # as earlier versions called it
    for name in (gone, old.name):
        (run.path / name).write_bytes(b"half")
    os.utime(old, (1, 1))
    assert train_run(run.path) == 0
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_mapped_images_train_to_the_same_bits(new_run, tiny_folder, monkeypatch, recwarn):
    in_memory, mapped = (new_run(name, dataset=f"folder:{tiny_folder}", epochs=1) for name in ("memory", "mapped"))
    assert train_run(in_memory.path) == 0
    monkeypatch.setattr(prepared, "MAPPED_FROM", 1)
    assert train_run(mapped.path) == 0
    assert figures(mapped) == figures(in_memory)
    assert not [w for w in recwarn if "not writable" in str(w.message)]


def test_images_that_did_not_open_are_listed_in_the_run_folder(new_run, tmp_path):
    root = write_folder(tmp_path / "oct")
    (root / "ONE" / "ONE-999-1.png").write_text("no image")
    (root / "TWO" / "TWO-999-1.png").write_bytes(b"")
    run = new_run(dataset=f"folder:{root}", epochs=1)
    assert train_run(run.path) == 0
    assert (run.path / "data-problems.txt").read_text().splitlines() == [
        "ONE/ONE-999-1.png: it is no PNG, JPEG, TIFF, BMP, GIF or WEBP",
        "TWO/TWO-999-1.png: the file is empty",
    ]
    said = Run(run.path).resolved.warnings
    assert said[0].startswith("2 of 74 images did not open and were left out: ONE/ONE-999-1.png, TWO/")
    assert "The file data-problems.txt in each seed's folder lists the images left out, with the reasons." in said


def test_classes_that_a_split_lacks_cost_no_metric_of_the_others(new_run, tmp_path):
    path = write_npz(
        tmp_path / "a.npz",
        train_labels=np.array([0, 2] * 15),
        val_labels=np.array([0, 1] * 15),
        test_labels=np.zeros(30, int),
    )
    run = new_run(dataset=f"npz:{path}", epochs=1, train_set="balanced")
    assert train_run(run.path) == 0
    run = Run(run.path)
    assert [w.partition(",")[0] for w in run.resolved.warnings] == [
        "The train split has no image of class TWO",
        "The val split has no image of class THREE",
        "The test split has no image of class TWO",
    ]
    row = run.metrics.iloc[0]
    assert 0 <= row["val_auc"] <= 1
    assert row["test_auc"] is None
    assert run_report(run, "test")["per_class"]["TWO"]["auc"] is None
    assert run_summary(run)["test"]["auc"] is None


def test_plain_state_of_a_running_model_has_the_backbones_keys(new_run):
    run = new_run(bias="all", epochs=1)
    assert train_run(run.path) == 0
    run = Run(run.path)
    model = load_model(run, run.config, run.resolved)
    assert model.conv1.bias is not None
    assert set(plain_state(model)) == set(load_file(run.path / "model.safetensors"))


def test_a_low_pointwise_rank_from_the_first_step_to_the_figures(tmp_path, capfd, monkeypatch):
    """Generated images, merges between the steps, cut off in the second epoch: the same bits as without, and base and
    history are the model."""
    monkeypatch.setattr(sources, "generate", functools.cache(sources.generate))  # once for the three trainings
    values = {"dataset": "phantom", "backbone": "texturenet", "weights": "shipped", "image_size": 32, "epochs": 2}
    values |= {"train_set": "balanced", "per_class": 8, "batch_size": 8, "threads": 1, "pointwise_rank": 4}
    config = make_config(values | {"merge_unit": "steps", "merge_every": 3, "optimizer_at_merge": "keep"})
    whole, cut = (create_group(tmp_path, name, config, [0]).runs[0] for name in ("whole", "cut"))
    assert train_run(whole.path) == 0
    told = capfd.readouterr()
    said = "Adapters on 5 layers, which hold 100.0 % of the frozen weights, train 7,456: 2.7 % of these; the head"
    assert said in told.out and "Warning" not in told.err
    assert train_run(cut.path, lambda: len(Run(cut.path).metrics) == 1) == 0
    assert Run(cut.path).state == "stopped" and Run(cut.path).status["epoch"] == 1
    assert train_run(cut.path) == 0
    assert figures(cut) == figures(whole)
    assert Run(cut.path).metrics["merges"].tolist() == [1, 2]
    base = build("texturenet", 4, 32, seed=0)
    load_weights(base, "texturenet", "shipped")
    saved = load_file(whole.path / "model.safetensors")
    for run in (whole, cut):
        model = rebuild(base, run.path / "history", upto=saved_model_epoch(whole)).state_dict()
        assert all(torch.equal(value, saved[name]) for name, value in model.items()) and model.keys() == saved.keys()
    factors = load_file(whole.path / "history" / "epoch-02.safetensors")
    assert factors["merge-0002/features.2/pointwise_a"].shape == (1, 4, 32)
    assert factors["merge-0002/features.2/pointwise_b"].shape == (1, 64, 4)
    assert Run(whole.path).resolved.parameters["adapter"] == 7456  # by hand


def test_few_adapted_weights_are_a_warning_of_the_run(new_run, capfd):
    run = new_run(targets="conv1,layer1.0.conv1", epochs=1)
    few = new_run("few", targets="layer1.0.conv1", epochs=1)
    assert train_run(run.path) == train_run(few.path) == 0
    (warning,) = group_summary(Group(few.path.parent))["warnings"]
    assert warning.startswith("Only 23.4 % of the frozen weights lie in layers with an adapter: most of the network")
    assert "Warning" not in capfd.readouterr().err
