"""Listing very many runs: 200 groups of 10 seeds within the promised times; `make test` gives any machine room."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fabricate import damage, fabricate
from queueing import busy

from colora.runs.folder import write_json
from colora.runs.listing import listing

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "listing.py"


@pytest.mark.parametrize("room", [pytest.param(5, id="room"), pytest.param(1, id="promised", marks=pytest.mark.kill)])
def test_a_first_listing_takes_less_than_a_second_and_a_refresh_a_tenth(room):
    here = os.environ | {"PYTHONPATH": str(BENCHMARK.parents[1])}
    command = [sys.executable, str(BENCHMARK)]
    done = subprocess.run(command, env=here, capture_output=True, text=True, check=True, timeout=300)
    result = json.loads(done.stdout)
    assert result["groups"] * result["seeds"] == 2000
    assert result["first_seconds"] < 1 * room * busy()
    assert result["refresh_seconds"]["median"] < 0.1 * room * busy()


def test_the_listing_counts_seeds_and_survives_damage(tmp_path):
    fabricate(tmp_path, "a", ["done", "failed", "stopped"])
    damage(fabricate(tmp_path, "b", ["done", "done"]))
    for name, content in (("c", "{"), ("d", "[1]"), ("e", '{"seeds": null}')):
        (fabricate(tmp_path, name, ["done"]).path / "group.json").write_text(content)
    rows = {row["name"]: row for row in listing(tmp_path)}
    assert (rows["a"]["state"], rows["a"]["done"], rows["a"]["seeds"]) == ("failed", 1, 3)
    assert (rows["b"]["state"], rows["b"]["done"], rows["b"]["seeds"]) == ("damaged", 1, 2)
    assert [rows[name]["state"] for name in "cde"] == ["damaged"] * 3
    assert "group.json" in rows["c"]["reason"]


def test_the_listing_follows_every_change(tmp_path):
    group = fabricate(tmp_path, "a", ["queued"])
    status = group.runs[0].written_status()
    for state in ("stopped", "done", "failed") * 20:  # faster than a file's time of change is told apart
        write_json(group.runs[0].path / "status.json", status | {"state": state})
        assert listing(tmp_path)[0]["state"] == state
