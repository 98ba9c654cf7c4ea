"""The table of what a device could at best do: one layer by hand, the FLOP floors, and what benchmarks/ shows."""

import importlib.util
import json

import pytest
import torch
from torch import nn

from colora.adapters.conv import CoLoRAConv
from colora.adapters.form_choice import Call
from colora.system.installation import ROOT


@pytest.fixture(scope="module")
def roofline():
    spec = importlib.util.spec_from_file_location("roofline", ROOT / "benchmarks" / "roofline.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_operations_of_one_layer(roofline):
    """8 to 16 channels, 3x3, stride 2, 10 x 10 to 5 x 5, two bytes an entry."""
    layer = CoLoRAConv(nn.Conv2d(8, 16, 3, 2, 1))
    call = Call(torch.Size((1, 8, 10, 10)), torch.Size((1, 16, 5, 5)), True)
    whole = (2 * 16 * 8 * 9 * 25, 2 * (800 + 400))
    mixing, filtering = (2 * 16 * 8 * 100, 2 * (800 + 1600)), (2 * 16 * 9 * 25, 2 * (1600 + 400))
    found = roofline.operations(layer, call, 2)
    assert found["full"] == found["fused"] == [whole] * 3
    assert found["factored"] == [whole, whole, mixing, filtering, filtering, mixing]
    assert sum(f for f, _ in found["parallel"]) == 2 * whole[0] + 3 * mixing[0] + 3 * filtering[0]
    image = roofline.operations(layer, call._replace(wants_gradient=False), 2)
    assert image["full"] == [whole] * 2
    assert image["factored"] == [whole, mixing, filtering, filtering, mixing]


def test_the_committed_table_is_the_scripts(roofline):
    name, flops, bandwidth = roofline.H100
    rows = [row for network in ("vgg16", "resnet50") for row in roofline.network(network, flops, bandwidth, 2)]
    document = json.loads((ROOT / "benchmarks" / "results" / "roofline_h100.json").read_text())
    assert document["peaks"] == {"device": name, "flops": flops, "bandwidth": bandwidth, "itemsize": 2}
    assert document["measured"] is False
    assert [{k: pytest.approx(v) if isinstance(v, float) else v for k, v in row.items()} for row in rows] == document[
        "rows"
    ]
    floors = {(row["network"], row["form"]): round(row["flops_to_full"], 3) for row in rows}
    assert (floors["vgg16", "parallel"], floors["vgg16", "factored"]) == (0.785, 0.746)
    assert (floors["resnet50", "parallel"], floors["resnet50", "factored"]) == (1.511, 1.229)
    shown = (ROOT / "benchmarks" / "README.md").read_text()
    for row in rows:
        ratios = f"{row['flops_to_full']:.3f} | {row['ratio_to_full']:.3f}"
        assert f"| {row['network']} | {row['form']} | {ratios} |" in shown
