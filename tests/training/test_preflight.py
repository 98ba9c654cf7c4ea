"""Estimates before a run: near what a run then takes, and a sentence where it cannot fit."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from commands import mistake
from fabricate import fabricate
from opened import MEASURED

import colora.training.preflight
from colora.cli.main import main
from colora.data.sizes import Sizes, dataset_sizes
from colora.runs.folder import Run, create_group
from colora.runs.listing import trainings
from colora.settings.config import make_config
from colora.system.errors import UserError
from colora.system.files import write_json
from colora.system.process import cpu_count, own_process, resident_bytes
from colora.training import rehearsal
from colora.training.estimate import START_SECONDS, Trial, disk_bytes, free_bytes
from colora.training.preflight import busy_with, check_fit, estimate, preflight
from colora.training.rehearsal import rehearse
from colora.training.run import train_run

SMALL = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "threads": 1, "device": "cpu"}
TRIED = Trial(**MEASURED)


@pytest.fixture(scope="module")
def found():
    config = make_config(SMALL | {"batch_size": 8})
    return estimate(rehearse(config, 4), config, None, 4)


def test_each_image_of_a_batch_takes_its_maps(monkeypatch):
    """resnet18 to layer1 keeps, per 32 px image, the input and the maps of a stem and five convolutions."""
    monkeypatch.setattr(rehearsal._Rehearsal, "_peak", lambda self: 0)  # the process has grown by other things too
    rehearsal._rehearsed.cache_clear()
    tried = rehearse(make_config(SMALL | {"batch_size": 3}), 4)
    rehearsal._rehearsed.cache_clear()
    stem, map_ = 64 * 16 * 16 * 4, 64 * 8 * 8 * 4  # fp32, after the stem's stride and after the pooling
    assert 2 * (stem + 4 * map_) < tried.image_bytes < 2 * 4 * (stem + 8 * map_)


def test_what_a_run_does_at_its_end_counts_though_it_never_meets_a_whole_batch(monkeypatch):
    """The temperature's scipy and what is familiar come on top of what training took and the process has kept."""
    peaks = {"training": 1000, "end": 1000 + 77}
    monkeypatch.setattr(rehearsal._Rehearsal, "_peak", lambda self: peaks[self.__dict__.get("part", "training")])
    end = rehearsal._Rehearsal._end

    def ended(self):
        files = end(self)
        self.part = "end"
        return files

    monkeypatch.setattr(rehearsal._Rehearsal, "_end", ended)
    monkeypatch.setattr(rehearsal._Tried, "peak_with", lambda self, count: 5000)  # of a batch too large to be tried
    rehearsal._rehearsed.cache_clear()
    assert rehearse(make_config(SMALL | {"batch_size": 2}), 4).memory_bytes == 5077
    rehearsal._rehearsed.cache_clear()


def test_the_same_work_is_rehearsed_once(monkeypatch):
    made = []
    trial = rehearsal._Rehearsal.trial
    monkeypatch.setattr(rehearsal._Rehearsal, "trial", lambda self: made.append(self.config) or trial(self))
    rehearsal._rehearsed.cache_clear()
    config = make_config(SMALL | {"batch_size": 2})
    one = rehearse(config, 4)
    others = {"epochs": 99, "lr": 0.5, "selection": "paper", "dataset": "octmnist", "train_set": "balanced"}
    assert rehearse(config.model_copy(update=others), 4) is one and len(made) == 1
    assert rehearse(config.model_copy(update={"batch_size": 4}), 4) is not one and len(made) == 2


def test_no_step_is_rehearsed_with_more_images_than_a_batch_has(monkeypatch):
    counts, logits = [], rehearsal._Rehearsal._logits

    def counted(self, count):
        if self.model.training:
            counts.append(count)
        return logits(self, count)

    monkeypatch.setattr(rehearsal._Rehearsal, "_logits", counted)
    rehearsal._rehearsed.cache_clear()
    for batch_size in (1, 2):
        rehearse(make_config(SMALL | {"batch_size": batch_size}), 4)
        assert max(counts) == batch_size


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "head"},
        {"method": "full"},
        {"method": "colora", "rank": 2},
        {"method": "colora", "pointwise_rank": 8, "bias": "all"},
        {"method": "colora", "merge_every": 3},  # the last epoch has no merge
        {"method": "colora", "merge_unit": "steps", "merge_every": 1},
        {"method": "colora", "merge_unit": "steps", "merge_every": 3},  # most epochs end between two merges
        {"method": "colora", "optimizer_at_merge": "keep", "train_figures": "pass"},
        {"method": "head", "backbone": "mobilenet_v2"},  # of 1,280 channels, which what is familiar is squared by
    ],
)
def test_disk_is_what_a_run_writes(tmp_path, tiny_npz, settings):
    """Within 5 %; of full fine-tuning the weights of every epoch are in it."""
    config = make_config(SMALL | {"dataset": f"npz:{tiny_npz}", "epochs": 5, "batch_size": 8} | settings)
    run = create_group(tmp_path, "g", config, [0]).runs[0]
    assert train_run(run.path) == 0
    written = sum(p.stat().st_size for p in Run(run.path).path.rglob("*") if p.is_file())
    assert disk_bytes(rehearse(config, 3), config, dataset_sizes(config), 3) == pytest.approx(written, rel=0.05)


def test_what_cannot_fit_is_refused_with_what_to_lower(found, tmp_path):
    config = make_config(SMALL | {"batch_size": 64})
    tight = replace(found, memory_bytes=3_000_000_000, memory_free_bytes=2_000_000_000, largest_batch_size=40)
    needs = r"needs about 3\.0 GB of memory, but 2\.0 GB are free on cpu: lower the batch size to 40 or less\."
    with pytest.raises(UserError, match=needs) as refused:
        check_fit(config, tight, 1, tmp_path)
    assert refused.value.field == "batch_size"
    with pytest.raises(UserError, match="take a smaller image size or backbone"):
        check_fit(config, replace(tight, largest_batch_size=0), 1, tmp_path)
    with pytest.raises(UserError, match=r"The 3 runs needs? 3000\.0 TB, but the disk"):
        check_fit(config, replace(found, disk_bytes=10**15), 3, tmp_path)
    check_fit(config, replace(found, memory_free_bytes=found.memory_bytes), 3, tmp_path)
    shared = r"on cpu for each of the 2 seeds that train at once: .* \(colora supervise\)\."
    with pytest.raises(UserError, match=shared):
        check_fit(config, tight, 3, tmp_path, at_once=2)


def test_seeds_that_train_side_by_side_share_memory_and_threads(monkeypatch):
    monkeypatch.setattr(colora.training.estimate, "memory", lambda: (9_000_000_000, 16_000_000_000))
    config, before, seen = make_config(SMALL | {"batch_size": 8, "threads": None}), torch.get_num_threads(), []
    monkeypatch.setattr(
        rehearsal._Rehearsal, "trial", lambda self: seen.append((self.config, torch.get_num_threads())) or TRIED
    )
    rehearsal._rehearsed.cache_clear()
    shared = estimate(rehearse(config, 4, at_once=3), config, None, 4, at_once=3)
    rehearsal._rehearsed.cache_clear()  # or others would be given it
    assert seen[0][1] == max(1, cpu_count() // 3) and torch.get_num_threads() == before
    assert shared.memory_free_bytes == 3_000_000_000


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        ({"dataset": "phantom"}, Sizes({"train": 2400, "val": 320, "test": 240}, 2400, 4)),
        ({"dataset": "phantom", "train_set": "balanced", "per_class": 50},
         Sizes({"train": 2400, "val": 320, "test": 240}, 200, 4)),
        ({"dataset": "npz:"}, Sizes(dict.fromkeys(("train", "val", "test"), 30), 30, 3)),
        ({"dataset": "npz:", "train_set": "balanced"}, Sizes(dict.fromkeys(("train", "val", "test"), 30), 24, 3)),
        ({"dataset": "folder:"}, Sizes({"train": 48, "val": 12, "test": 12}, 48, 3)),
        ({"dataset": "folder:", "train_set": "balanced"}, Sizes({"train": 48, "val": 12, "test": 12}, 48, 3)),
        ({"dataset": "octmnist", "train_set": "balanced"},
         Sizes({"train": 97_477, "val": 10_832, "test": 1_000}, 31_016, 4)),
        ({"dataset": "pathmnist"}, Sizes({"train": 89_996, "val": 10_004, "test": 7_180}, 89_996, 9)),
        ({"dataset": "pathmnist", "train_set": "balanced"}, None),
        ({"dataset": "pathmnist", "train_set": "balanced", "per_class": 10},
         Sizes({"train": 89_996, "val": 10_004, "test": 7_180}, 90, 9)),
    ],
)  # fmt: skip
def test_images_are_counted_before_any_is_read(tiny_npz, tiny_folder, tmp_path, values, sizes):
    place = {"npz:": f"npz:{tiny_npz}", "folder:": f"folder:{tiny_folder}"}
    dataset = place.get(values["dataset"], values["dataset"])
    assert dataset_sizes(make_config(values | {"dataset": dataset, "data_dir": str(tmp_path)})) == sizes


def test_time_follows_from_images_epochs_and_slots(tmp_path):
    times = {"seconds_per_image": 0.01, "eval_seconds_per_image": 0.002}
    tried = replace(TRIED, **times, **{f"idle_{name}": value for name, value in times.items()})
    config = make_config(SMALL | {"epochs": 10})
    sizes = Sizes({"train": 1000, "val": 200, "test": 300}, 800, 4)
    got = preflight(tried, config, 5, tmp_path / "runs", sizes, 4, slots=2)
    epoch = 800 * 0.01 + (800 + 200 + 300) * 0.002
    assert got.seconds_per_epoch == got.seconds_per_epoch_idle == pytest.approx(epoch)
    assert got.seconds_per_seed == pytest.approx(START_SECONDS + 10 * epoch + 1500 * 0.002)
    assert got.seconds == got.seconds_idle == pytest.approx(3 * got.seconds_per_seed)  # two, two, one
    assert got.as_dict()["images"] == {"used": 800, "train": 1000, "val": 200, "test": 300}
    assert got.says().endswith(", about 2 min; about 6 min for all 5.")
    passing = preflight(tried, config.model_copy(update={"train_figures": "pass"}), 1, tmp_path, sizes, 4)
    assert passing.seconds_per_epoch == pytest.approx(epoch - 800 * 0.002)
    unknown = preflight(tried, config, 5, tmp_path, None, 4)
    assert (unknown.seconds, unknown.as_dict()["seconds_per_epoch"], unknown.seconds_idle) == (None, None, None)
    assert unknown.says().endswith("time is known after an epoch.")


def test_time_is_a_range_where_the_machine_is_busy(tmp_path):
    busy = replace(TRIED, seconds_per_image=0.03, eval_seconds_per_image=0.01, others=0.6)
    config, sizes = make_config(SMALL | {"epochs": 10}), Sizes({"train": 1000, "val": 200, "test": 300}, 800, 4)
    got = preflight(busy, config, 2, tmp_path, sizes, 4)
    low, high = (10 * (800 * a + 1300 * b) + 1500 * b + START_SECONDS for a, b in ((0.012, 0.004), (0.03, 0.01)))
    assert (got.seconds_per_seed_idle, got.seconds_per_seed) == (pytest.approx(low), pytest.approx(high))
    assert (got.seconds_idle, got.seconds) == (pytest.approx(2 * low), pytest.approx(2 * high))
    assert got.says().endswith(
        ", about 3 to 7 min; about 5 to 13 min for all 2 (busy now: other programs take 60% of the processor)."
    )
    assert busy_with(busy, 1) == "1 training runs" and busy_with(busy, 2) == "2 trainings run"
    assert busy_with(replace(busy, others=0.05), 2) is None


def test_time_is_near_what_a_run_takes(tmp_path, tiny_npz, monkeypatch):
    """Within a factor of four, on a machine that others use too."""
    monkeypatch.setattr("colora.system.busy.LEAST_SECONDS", 0.3)
    rehearsal._rehearsed.cache_clear()
    settings = SMALL | {"dataset": f"npz:{tiny_npz}", "epochs": 4, "batch_size": 30, "image_size": 64}
    config = make_config(settings)
    run = create_group(tmp_path, "g", config, [0]).runs[0]
    assert train_run(run.path) == 0
    taken = (Run(run.path).metrics["seconds"] + Run(run.path).metrics["eval_seconds"]).median()
    sizes = dataset_sizes(config)
    found = preflight(rehearse(config, sizes.classes), config, 1, tmp_path, sizes, sizes.classes)
    assert 1 / 4 < found.seconds_per_epoch / taken < 4


def test_memory_of_runs_that_end_before_counts_as_free(tmp_path, monkeypatch):
    group = fabricate(tmp_path, "now", ["running", "running", "queued"])
    for run in group.runs[:2]:
        write_json(run.path / "process.json", {"guard": own_process(), "child": own_process()})
    ahead = trainings(tmp_path)
    assert len(ahead) == 2
    here = SimpleNamespace(available=10**9, total=4 * 10**9)
    monkeypatch.setattr("colora.system.devices.psutil.virtual_memory", lambda: here)
    for share, free in ((None, 10**9), ((5 * 10**8, 10**9), 5 * 10**8), ((5 * 10**9, 8 * 10**9), 10**9)):
        monkeypatch.setattr("colora.system.cgroup.memory", lambda share=share: share)
        assert free_bytes(TRIED, []) == free
    own = resident_bytes(own_process())
    assert own > 10**8  # torch alone takes more
    monkeypatch.setattr(colora.training.estimate, "resident_bytes", lambda known: own)
    assert free_bytes(TRIED, ahead) == 10**9 + 2 * own
    gpu = replace(TRIED, device="cuda", gpu_free_bytes=10, gpu_bytes=30)
    assert (free_bytes(gpu, []), free_bytes(gpu, ahead)) == (10, 30)


def test_preflight_and_launch_say_what_runs_will_take(tmp_path, tiny_npz, capsys, monkeypatch):
    monkeypatch.setattr("colora.engines.local.ensure_supervisor", lambda runs_dir: 1)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    flags += ["--dataset", f"npz:{tiny_npz}", "--epochs", "3", "--seeds", "0-4", "--runs-dir", str(tmp_path / "runs")]
    assert main(["preflight", *flags, "--json"]) == 0
    asked = json.loads(capsys.readouterr().out)
    assert (asked["seeds"], asked["refused"], asked["images"]["used"]) == (5, None, 30)
    assert asked["seconds"] == pytest.approx(5 * asked["seconds_per_seed"])
    assert not (tmp_path / "runs").exists()
    assert main(["launch", "--name", "g", *flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["estimate"]
    assert told.keys() == asked.keys() and told["disk_bytes"] == asked["disk_bytes"]
    assert main(["launch", "--name", "h", *flags]) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert re.fullmatch(r"h: Estimated for each seed: .* for all 5( \(busy now: .*\))?\.", line)

    monkeypatch.setattr(colora.training.estimate, "memory", lambda: (10**6, 10**9))
    assert main(["preflight", *flags]) == 0
    assert "It would be refused: Batch size 32 at 32 px needs about" in capsys.readouterr().out
    assert "take a smaller image size or backbone" in mistake(capsys, "launch", "--name", "i", *flags)
    assert not (tmp_path / "runs" / "i").exists()
