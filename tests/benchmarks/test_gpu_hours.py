"""The table of GPU hours: computed, and the one that docs/cluster.md shows."""

import importlib.util
import json
import sys

import pytest

from colora.engines.slurm.site import ASKED, Site
from colora.settings import presets
from colora.system.installation import ROOT


@pytest.fixture(scope="module")
def gpu_hours():
    spec = importlib.util.spec_from_file_location("gpu_hours", ROOT / "benchmarks" / "gpu_hours.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_hours"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["gpu_hours"]


def test_a_seed_is_its_epochs_with_their_evaluations_and_the_predictions(gpu_hours):
    # 20 epochs of 100 images at 10/s; after each 100 + 10,832 + 1,000 images, at the end 109,309, at 100/s
    assert gpu_hours.seed_seconds(100, 10, 100) == pytest.approx(200 + 20 * 119.32 + 1093.09)
    assert [gpu_hours.hours(3600, gpus) for gpus in (1, 4, 10, 16)] == [10, 3, 1, 1]


def test_the_presets_are_those_of_the_form(gpu_hours):
    named = {p.name: (p.values.get("backbone", "vgg16"), p.values.get("method", "colora")) for p in presets.PRESETS}
    paper = {name: kind for name, kind in named.items() if kind[0] in gpu_hours.CPU_STEPS}
    assert {name: kind[:2] for name, kind in gpu_hours.PRESETS.items()} == paper


def test_a_row_scales_the_published_rate_by_our_step_ratio(gpu_hours):
    row = gpu_hours.rows_of(list(gpu_hours.PUBLISHED))[0]
    bench = json.loads((ROOT / "benchmarks" / "results" / "bench_cpu_vgg16_224.json").read_text())
    ratio = next(entry["ratio_to_full"] for entry in bench["results"] if entry["method"] == "colora")
    seconds = 20 * 31_016 * ratio / 546 + (20 * 42_848 + 109_309) / (3 * 546)
    assert row["preset"] == "vgg16-colora-balanced" and row["gpu_hours"] == pytest.approx(10 * seconds / 3600)
    assert row["hours_on"]["4"] == pytest.approx(3 * seconds / 3600)


def test_ones_own_bench_replaces_the_published_rates(gpu_hours, tmp_path):
    rows = [{"method": "full", "images_per_s": 300.0, "ratio_to_full": 1.0}]
    rows += [{"method": "colora", "images_per_s": 400.0, "ratio_to_full": 0.75}]
    rows += [{"method": "head", "images_per_s": 900.0, "ratio_to_full": 1 / 3}]
    document = {"backbone": "vgg16", "image_size": 224, "results": rows, "environment": {"device": "a GPU"}}
    (tmp_path / "my.json").write_text(json.dumps(document))
    found = gpu_hours.rows_of(*gpu_hours.benched(tmp_path / "my.json", "mine"))
    assert {row["preset"] for row in found} == {name for name in gpu_hours.PRESETS if name.startswith("vgg16")}
    assert found[0]["train_images_per_s"] == 400 and found[0]["gpu"] == "mine"


def test_the_document_shows_this_table_and_every_setting(gpu_hours):
    text = (ROOT / "docs" / "cluster.md").read_text()
    rows = gpu_hours.rows_of(list(gpu_hours.PUBLISHED))
    assert gpu_hours.markdown(rows) in text
    assert json.loads((ROOT / "benchmarks" / "results" / "gpu_hours.json").read_text())["rows"] == rows
    assert all(f"`{name}`" in text for name in Site.model_fields)
    assert len(ASKED) == 8 and "changes the first eight" in text
