"""The committed table of other people's networks: what it says, and that benchmarks/README.md shows it."""

import importlib.util
import json
import sys

import pytest
from torch import nn
from zoo_checks import lora_weights
from zoo_networks import NETWORKS

from colora import CoLoRAConv, CoLoRALinear
from colora.system.installation import ROOT

RESULT = ROOT / "benchmarks" / "results" / "zoo.json"


@pytest.fixture
def zoo(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # the script puts its folders there
    spec = importlib.util.spec_from_file_location("zoo", ROOT / "benchmarks" / "zoo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_table_is_of_the_list_and_exact():
    rows = json.loads(RESULT.read_text())["rows"]
    assert [(row["library"], row["name"]) for row in rows] == [(n.library, n.name) for n in NETWORKS]
    assert [row["name"] for row in rows if row["faults"]] == []
    configs = [config for row in rows for config in row["configs"].values()]
    assert {config[what] for config in configs for what in ("adapting", "merging", "stripping")} == {0.0}


def test_the_readme_shows_the_committed_table(zoo):
    shown = (ROOT / "benchmarks" / "README.md").read_text()
    for line in zoo.markdown(json.loads(RESULT.read_text())["rows"]).splitlines():
        assert line in shown


def test_weights_of_lora_and_a_row_by_hand(zoo):
    """A 3x3 convolution of 4 to 8 channels in 2 groups: LoRA's A is 8 channels of 4 x 3 x 3, its B 8 of 8 / 2."""
    assert lora_weights(CoLoRAConv(nn.Conv2d(4, 8, 3, groups=2))) == 8 * 4 * 9 + 8 * 8 // 2
    assert lora_weights(CoLoRAConv(nn.ConvTranspose2d(4, 8, 3))) == 8 * 4 * 9 + 8 * 8
    assert lora_weights(CoLoRALinear(nn.Linear(5, 7))) == 8 * (5 + 7)
    row = {"library": "timm", "family": "a", "name": "b", "peft": {"error": "cannot run"}}
    adapted = {"share_adapted": 0.5, "share_trained": 0.25, "share_lora": 0.125} | dict.fromkeys(zoo.CHANGES, 0.0)
    table = zoo.markdown([row | {"configs": {"full": adapted, "rank 8": adapted | {"share_trained": 0.01}}}])
    cells = "1 | 50.0 (50.0) | 25.0 | 1.0 | 12.5 | 0 | 0"
    assert table.splitlines()[-2:] == [f"| a | {cells} |", f"| all | {cells} |"]
