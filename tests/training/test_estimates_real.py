"""Estimates beside what real runs take, by the script whose results are in benchmarks/."""

import json
import subprocess
import sys

import pytest

from colora.system.installation import ROOT

KEPT = ROOT / "benchmarks" / "results" / "estimates.json"


def check(rows: list[dict]) -> None:
    """Every method on two networks at two sizes, the quick look, a wide last map, very many images: disk within 5 %,
    memory up to a quarter more."""
    found = {(row["backbone"], row["image_size"], row["method"]) for row in rows}
    assert len(found) == 15 and {backbone for backbone, *_ in found} == {
        "resnet18:layer3", "squeezenet1_1", "resnet50", "texturenet"
    }  # fmt: skip
    assert max(row["images"] for row in rows) > 100_000
    for row in rows:
        assert row["estimated_disk_bytes"] == pytest.approx(row["disk_bytes"], rel=0.05), row
        taken = max(row["memory_bytes"], row["recorded_memory_bytes"])
        assert taken <= row["estimated_memory_bytes"] <= 1.25 * taken, row


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(1500)  # on a busy machine
def test_what_is_estimated_is_what_real_runs_take(shared, tmp_path):
    out = tmp_path / "estimates.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "estimates.py"), "--sample", shared / "data"]
    command += ["--weights", shared / "weights", "--per-class", "8", "--epochs", "4", "--out", out]
    subprocess.run(list(map(str, command)), check=True, cwd=ROOT)
    check(json.loads(out.read_text())["rows"])


def test_the_results_that_are_kept_hold_what_is_promised():
    check(json.loads(KEPT.read_text())["rows"])
