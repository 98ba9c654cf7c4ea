"""`colora bench`: what it prints, that it times what it says, and that a peak leaves out what was before."""

import json
import mmap
from pathlib import Path

import pytest
import torch

from colora.cli.main import main
from colora.settings.config import make_config
from colora.system.environment import forget_peak_memory, peak_memory_mib
from colora.system.errors import UserError
from colora.training import bench

SMALL = {"backbone": "texturenet", "image_size": 32, "batch_size": 4, "weights": "none", "device": "cpu", "threads": 1}


def test_one_document_with_a_row_for_each_method(capsys, monkeypatch):
    monkeypatch.setattr(bench, "_peak_alone", lambda config, method, compiled: 100.0)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items() if name != "weights"]
    assert main(["bench", *flags, "--methods", "full,head,colora", "--repeats", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in found["results"]] == ["full", "head", "colora"]
    full, head, colora = found["results"]
    assert (full["ratio_low"], full["ratio_to_full"], full["ratio_high"], head["ratio_to_head"]) == (1, 1, 1, 1)
    assert colora["ratio_low"] <= colora["ratio_to_full"] <= colora["ratio_high"]
    assert full["processor_ratio_to_full"] == 1
    assert 0 < head["processor_ratio_to_full"] < 1.2
    assert min(row["processor_seconds"] for row in found["results"]) > 0
    assert head["trainable"] < colora["trainable"] < full["trainable"]
    asked = {"order": "inception", "rank": 1, "pointwise_rank": None, "layers": "auto", "bias": "auto"}
    assert found["settings"] == asked | {"targets": "all"}
    assert all(row["images_per_s"] == pytest.approx(4 / row["seconds"]) for row in found["results"])
    assert set(colora["forms"].values()) <= {"plain", "fused", "factored"}
    assert {row["peak_mib"] for row in found["results"]} == {100.0}
    settings = {"rounds": 2, "threads": 1, "memory_format": "channels_last", "precision": "fp32", "compiled": False}
    assert {name: found[name] for name in settings} == settings
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert {"torchvision", "peft"} < set(found["versions"])
    assert found["device"] == found["environment"]["device"]
    told = Path("/proc/cpuinfo").read_text()
    assert found["device"].removeprefix("cpu (").removesuffix(")") in told or "model name" not in told


@pytest.mark.parametrize("compiled", [False, True])
def test_compile_is_asked_for_and_told(compiled, capsys, monkeypatch):
    """That a compiled layer computes the same is tests/adapters/test_conv.py's."""
    asked, peaks = [], []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda model: asked.append(type(model)))
    monkeypatch.setattr(bench, "_peak_alone", lambda config, method, compiled: peaks.append(compiled) or 1.0)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items() if name != "weights"]
    flags += ["--compile"] if compiled else []
    assert main(["bench", *flags, "--methods", "colora", "--repeats", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["compiled"] is compiled
    assert (asked, peaks) == ([torch.nn.Sequential] * compiled, [compiled])
    assert set(found["results"][0]["forms"].values()) == ({"plain"} if compiled else {"plain", "factored"})


def test_the_table_tells_what_a_pointwise_factor_of_low_rank_trains(capsys, monkeypatch):
    monkeypatch.setattr(bench, "_peak_alone", lambda config, method, compiled: 100.0)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items() if name != "weights"]

    def trained(*more: str) -> int:
        capsys.readouterr()
        assert main(["bench", *flags, *more, "--methods", "head,colora", "--repeats", "1", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["settings"]["pointwise_rank"] == (2 if more else None)
        assert "processor_ratio_to_full" not in found["results"][0]  # full fine-tuning was not timed
        return found["results"][1]["trainable"]

    whole, low = trained(), trained("--pointwise-rank", "2")
    assert low < whole
    assert main(["bench", *flags, "--pointwise-rank", "2", "--methods", "head,colora", "--repeats", "1"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split()[0] == "colora"
    assert f"{low:,} weights trained" in line


def touched(mebibytes: int) -> mmap.mmap:
    """Memory of the system's own, whatever the C library has kept of what was freed before."""
    memory = mmap.mmap(-1, mebibytes * 2**20)
    for page in range(0, len(memory), mmap.PAGESIZE):
        memory[page] = 1
    return memory


def test_a_peak_leaves_out_what_was_before(capsys):
    """As building a model, which takes more than small steps do."""
    device, before = torch.device("cpu"), touched(60)
    high = peak_memory_mib(device)
    before.close()
    forget_peak_memory(device)
    low = peak_memory_mib(device)
    assert low < high - 50
    touched(30).close()
    assert low + 25 < peak_memory_mib(device) < high
    bench.print_peak(SMALL, "colora", False)
    assert low - 10 < float(capsys.readouterr().out) < low + 100


def test_what_cannot_be_timed_is_a_sentence():
    with pytest.raises(UserError, match="no method 'adapter' to time: colora, head, full and lora"):
        bench.bench(make_config(SMALL), ["full", "adapter"], 3)
    with pytest.raises(UserError, match="At least one round is needed, got 0"):
        bench.bench(make_config(SMALL), ["full"], 0)
    depthwise = torch.nn.Sequential(torch.nn.Conv2d(12, 12, 3, groups=12))
    with pytest.raises(UserError, match=r"PEFT's LoRA cannot adapt this network, leave lora out .*groups=12"):
        bench.with_lora(depthwise)
