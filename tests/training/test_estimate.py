"""From what a rehearsal found to memory, disk and time of a run: arithmetic, with the figures worked out by hand."""

from dataclasses import replace

import pytest
from opened import MEASURED

from colora.data.sizes import Sizes, held_bytes
from colora.settings.config import RunConfig, make_config
from colora.settings.work import WORK, work_of
from colora.system.duration import span
from colora.training.estimate import (
    EPOCH_BYTES,
    MARGIN,
    ROW_BYTES,
    ROW_HELD,
    RUN_BYTES,
    START_SECONDS,
    TABLE_BYTES,
    Trial,
    disk_bytes,
    epoch_seconds,
    largest_batch_size,
    memory_bytes,
    seed_seconds,
)

FOUND = Trial(**MEASURED)
SIZES = Sizes({"train": 1000, "val": 200, "test": 300}, 800, 4)
SPLITS = 4 * 4 * (800 + 200 + 300)  # bytes of an epoch's predictions


def test_each_epoch_adds_its_history_and_its_predictions():
    five, twenty = (make_config({"epochs": epochs}) for epochs in (5, 20))
    each = 2_000_000 + 400_000 + EPOCH_BYTES + SPLITS
    assert disk_bytes(FOUND, twenty, SIZES, 4) - disk_bytes(FOUND, five, SIZES, 4) == 15 * each
    tables = 3 * TABLE_BYTES + 1500 * (ROW_BYTES + 16 + 256)
    fixed = RUN_BYTES + 1_048_576 + 30_000_000
    assert disk_bytes(FOUND, five, SIZES, 4) == fixed + tables + 5 * each
    assert disk_bytes(FOUND, five, None, 4) == fixed + 5 * (each - SPLITS)


@pytest.mark.parametrize(
    ("settings", "kept", "moments"),
    [
        ({"merge_every": 1}, 6, False),
        ({"merge_every": 2}, 6, False),  # epochs without a merge keep the adapters, as large as the factors
        ({"merge_every": 4}, 6, True),  # and the last one their moments
        ({"optimizer_at_merge": "keep"}, 6, True),
        ({"merge_unit": "steps", "merge_every": 5}, 30, False),  # 25 steps an epoch, 5 merges in each
        ({"merge_unit": "steps", "merge_every": 7}, 27, True),  # 21, and each epoch ends between two
        ({"merge_unit": "steps", "merge_every": 100}, 6, True),
    ],
)
def test_the_history_has_every_merge_and_the_checkpoint_what_the_last_one_left(settings, kept, moments):
    config = make_config({"epochs": 6, "batch_size": 32} | settings)
    without = replace(FOUND, factor_bytes=0, moments_bytes=0)
    more = disk_bytes(FOUND, config, SIZES, 4) - disk_bytes(without, config, SIZES, 4)
    assert more == kept * 400_000 + moments * 1_000_000


def test_memory_has_the_images_that_are_held_and_what_reading_the_weights_takes(tmp_path):
    config = make_config({"dataset": "npz:/a.npz", "image_size": 64, "weights": "none", "backbone": "resnet18"})
    images = 1500 * 64 * 64
    at_end = 1500 * 4 * 256 + 1000 * ROW_HELD  # features, the table of the train split
    at_end += (800 + 200 + 300) * 2_048  # maps of what was trained on, validation and test
    assert memory_bytes(FOUND, config, SIZES) == int(MARGIN * 1e9) + images + at_end
    assert memory_bytes(FOUND, config, None) == int(MARGIN * 1e9)
    large = tmp_path / "large.safetensors"
    with open(large, "wb") as file:
        file.truncate(300_000_000)  # nothing of it is written
    from_file = config.model_copy(update={"weights": str(large)})
    assert memory_bytes(FOUND, from_file, None) == int(MARGIN * (900_000_000 + 2 * 300_000_000))
    assert memory_bytes(replace(FOUND, device="cuda"), from_file, None) == int(MARGIN * 1e9)  # not of the GPU's


def test_of_very_many_images_a_run_ends_with_the_features_of_all_and_the_maps_of_some():
    config = make_config({"dataset": "octmnist", "image_size": 28, "weights": "none"})
    many, plain = Sizes({"train": 97_477, "val": 10_832, "test": 1_000}, 97_477, 4), int(MARGIN * 1e9)
    at_end = 109_309 * 4 * 256 + 97_477 * ROW_HELD + (20_000 + 10_832 + 1_000) * 2_048
    assert memory_bytes(FOUND, config, many) == plain + at_end
    assert memory_bytes(replace(FOUND, device="cuda"), config, many) == plain  # not of the GPU's


@pytest.mark.parametrize(
    ("dataset", "size", "images", "held"),
    [
        ("npz:/a.npz", 64, 1500, True),
        ("phantom", 64, 1500, True),
        ("folder:/a", 64, 1999, True),
        ("folder:/a", 64, 2000, False),  # prepared once into a file, and mapped
        ("octmnist", 64, 10_000, False),
        ("octmnist", 96, 10_000, True),  # made in memory from the next larger size
    ],
)
def test_images_that_are_mapped_take_no_memory(dataset, size, images, held):
    config = make_config({"dataset": dataset, "image_size": size})
    sizes = Sizes({"train": images - 200, "val": 100, "test": 100}, 100, 4)
    assert held_bytes(config, sizes) == held * images * size**2


def test_the_largest_batch_fits_and_one_more_does_not():
    config = make_config({"batch_size": 32, "weights": "none"})
    needed = memory_bytes(FOUND, config, None)
    for free in (needed - 9_000_000, needed, needed + 123_456_789):
        largest = largest_batch_size(FOUND, config, needed, free)
        takes = [needed + MARGIN * 1_000_000 * (count - 32) for count in (largest, largest + 1)]
        assert takes[0] <= free < takes[1]
    assert largest_batch_size(FOUND, config, needed, 10**6) == 0


def test_time_on_an_idle_computer_is_the_low_end():
    config = make_config({"epochs": 10})
    busy = replace(FOUND, seconds_per_image=0.03, eval_seconds_per_image=0.02)
    low, high = (800 * step + (800 + 200 + 300) * look for step, look in ((0.012, 0.004), (0.03, 0.02)))
    assert epoch_seconds(busy, config, SIZES, idle=True) == pytest.approx(low)
    assert epoch_seconds(busy, config, SIZES) == pytest.approx(high)
    assert seed_seconds(busy, config, SIZES) == pytest.approx(START_SECONDS + 10 * high + 1500 * 0.02)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (180, 180, "about 3 min"),
        (180, 190, "about 3 min"),
        (180, 420, "about 3 to 7 min"),
        (50, 130, "about 50 s to 2 min"),
        (5, 20, "a few seconds to 20 s"),
        (4000, 9000, "about 67 min to 2.5 h"),
    ],
)
def test_a_span_says_its_unit_once(low, high, said):
    assert span(low, high) == said


def test_only_settings_of_the_work_are_measured():
    """A setting that is new is to be put into the table, or known here to change nothing that is measured."""
    enters = {
        "dataset", "data_dir", "class_names", "layout", "columns", "patient_pattern", "ignore_splits",
        "split_seed", "data_roots", "train_set", "per_class", "cut", "folds",
        "weights", "partial_weights", "merge_every", "merge_unit", "optimizer_at_merge", "epochs", "lr", "lr_head",
        "schedule", "eps", "train_figures", "selection",
    }  # fmt: skip
    assert {*WORK, *enters} == set(RunConfig.model_fields) and not enters & set(WORK)
    one = make_config({"epochs": 3, "lr": 0.1, "batch_size": 8, "train_set": "balanced"})
    assert work_of(one) == make_config({"batch_size": 8, "weights": "none"})
