"""The committed table of foreign pictures: that what the library has was chosen by it, and that the pages show it."""

import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MEASURED = json.loads((BENCHMARKS / "foreign" / "measured.json").read_text())
SHOWN = (BENCHMARKS / "foreign" / "README.md").read_text()
TAKEN = "pooled, Mahalanobis, unit, all seeds"


def test_the_score_of_the_library_is_first_of_those_compared():
    ranks = [row["mean_rank"] for row in MEASURED["chosen_by"]]
    assert MEASURED["chosen_by"][0]["score"] == TAKEN
    assert ranks == sorted(ranks)
    assert f"{len(ranks)} scores" in SHOWN and f"{len(ranks)} scores" in (BENCHMARKS / "README.md").read_text()


@pytest.mark.parametrize("kind", MEASURED["kinds"])
def test_the_page_shows_what_was_measured(kind):
    row = " | ".join("{:.3f}, {:.2f}".format(*group["report"][TAKEN][kind][:2]) for group in MEASURED["groups"])
    pictures = MEASURED["groups"][0]["pictures"][f"report: {kind}"]
    assert f"| {pictures} | {row} |" in SHOWN


def test_false_alarms_and_what_is_beyond_the_distance_are_shown():
    alarms = [group["report"][TAKEN]["false_alarms"] for group in MEASURED["groups"]]
    for at in (0, 1):
        assert " | ".join(f"{both[at]:.3f}" for both in alarms) in SHOWN
    mirrored = [group["report"][TAKEN]["mirrored"][0] for group in MEASURED["groups"]]
    assert mirrored == pytest.approx([0.5] * len(mirrored), abs=0.05)  # the other eye goes unseen
