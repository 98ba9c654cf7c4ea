"""Estimates before a run: linear in the batch, near what a run then takes, and a sentence where it cannot fit."""

from dataclasses import replace

import pytest

from colora.config import make_config
from colora.errors import UserError
from colora.preflight import check_fit, estimate
from colora.runs import Run, create_group
from colora.train import train_run

SMALL = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def found():
    return estimate(make_config(SMALL | {"batch_size": 8}))


def test_memory_grows_with_the_batch_alone(found):
    """resnet18 to layer1 keeps, per 32 px image, the input and the maps of a stem and five convolutions."""
    twice = estimate(make_config(SMALL | {"batch_size": 16}))
    four_times = estimate(make_config(SMALL | {"batch_size": 32}))
    grown = twice.memory_bytes - found.memory_bytes
    assert four_times.memory_bytes - twice.memory_bytes == 2 * grown
    stem, map_ = 64 * 16 * 16 * 4, 64 * 8 * 8 * 4  # fp32, after the stem's stride and after the pooling
    assert 8 * 2 * (stem + 4 * map_) < grown < 8 * 2 * 4 * (stem + 8 * map_)


def test_disk_is_near_what_a_run_writes(tmp_path, tiny_npz):
    config = make_config(SMALL | {"dataset": f"npz:{tiny_npz}", "epochs": 2, "batch_size": 8})
    run = create_group(tmp_path, "g", config, [0]).runs[0]
    assert train_run(run.path) == 0
    written = sum(p.stat().st_size for p in Run(run.path).path.rglob("*") if p.is_file())
    assert estimate(config, classes=3).disk_bytes == pytest.approx(written, rel=0.15)


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
