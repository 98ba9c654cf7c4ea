"""GPU slots, with a stand-in for nvidia-smi: which there are, one run in each, memory that comes back at the end."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stand_in
from queueing import PATIENCE_SECONDS, wait_for

from colora.cli.main import main
from colora.queue.actions import stop
from colora.queue.slots import make_slots, sharing
from colora.queue.supervisor import Supervisor, slot_names
from colora.runs.folder import Run
from colora.runs.verdict import process_file
from colora.system import gpu
from colora.system.files import read_json, write_json
from colora.system.gpu import left_mib, used_mib
from colora.system.installation import ROOT
from colora.system.process import identity

NVIDIA_SMI = """#!{python}
import sys
from pathlib import Path
question = next(a.partition("=")[2] for a in sys.argv if "query" in a)
folder = Path(__file__).parent
if question == "memory.used":
    folder = folder / sys.argv[sys.argv.index("--id") + 1]
print((folder / question).read_text())
"""


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Path:
    """A machine with GPUs 0 and 1, of which 100 MiB are taken; files hold what nvidia-smi answers."""
    folder = tmp_path / "machine"
    for number in ("0", "1"):
        (folder / number).mkdir(parents=True)
        (folder / number / "memory.used").write_text("100")
    (folder / "index").write_text("0\n1")
    (folder / "pid").write_text("")
    (folder / "nvidia-smi").write_text(NVIDIA_SMI.format(python=sys.executable))
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return folder


def test_found_gpus_are_those_that_nvidia_smi_lists(machine, monkeypatch, lab):
    assert [slot.name for slot in make_slots(per_gpu=2)] == ["gpu-0-0", "gpu-1-0", "gpu-0-1", "gpu-1-1"]
    assert slot_names(lab.runs_dir) == ["gpu-0-0", "gpu-1-0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [slot.name for slot in make_slots()] == ["gpu-1-0"]
    assert slot_names(lab.runs_dir) == ["gpu-1-0"]
    (machine / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [slot.name for slot in make_slots()] == ["cpu-0"]


def test_the_supervisor_takes_the_slots_that_are_asked_for(machine, monkeypatch, lab):
    asked = []
    monkeypatch.setattr("colora.queue.supervisor.supervise", lambda one, *more, **most: asked.append(one.slots) or True)
    for arguments in (
        [], ["--gpus", "1", "--slots-per-gpu", "2"], ["--gpus", "none", "--slots", "2"], [], ["--gpus", "all"]
    ):  # fmt: skip
        assert main(["supervise", "--runs-dir", str(lab.runs_dir), *arguments]) == 0
    names = [[slot.name for slot in slots] for slots in asked]
    both, two = ["gpu-0-0", "gpu-1-0"], ["cpu-0", "cpu-1"]
    assert names == [both, ["gpu-1-0", "gpu-1-1"], two, two, both]  # what was asked for last is remembered
    assert main(["supervise", "--runs-dir", str(lab.runs_dir), "--gpus", "0", "--slots-per-gpu", "0"]) == 2
    assert slot_names(lab.runs_dir) == both


def test_how_many_runs_share_a_device():
    assert sharing(["cpu-0"]) == 1 and sharing(["cpu-0", "cpu-1", "cpu-2"]) == 3
    assert sharing(slot.name for slot in make_slots(["0", "10", "3"], per_gpu=2)) == 2


def test_a_driver_that_hangs_costs_no_run(machine, monkeypatch):
    (machine / "nvidia-smi").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr("colora.system.gpu.ASK_SECONDS", 0.1)
    assert [slot.name for slot in make_slots()] == ["cpu-0"]
    assert used_mib("0") is None and left_mib("0", 100, [1], 0) == 0


def test_each_run_sees_the_gpu_of_its_slot_and_no_slot_has_two(machine, lab):
    group = lab.group("g", 5, epochs=1, seconds=0.3)
    supervisor = Supervisor(lab.runs_dir, make_slots(["0", "1"], 2), stand_in.command, tell=lambda said: None)
    together = set()
    while supervisor.turn():
        slots = [tended.slot for tended in supervisor.tended.values()]
        assert len(set(slots)) == len(slots) <= 4
        together |= set(slots)
    assert together == {"gpu-0-0", "gpu-1-0", "gpu-0-1", "gpu-1-1"}
    for run in group.runs:
        assert f"begins on GPU {process_file(run.path)['slot'][4]}" in (run.path / "log.txt").read_text()
    assert lab.states(group) == ["done"] * 5


@pytest.mark.parametrize(
    ("used", "holders", "left"),
    [("100", "", 0), ("150", "7", 0), ("900", "", 800), ("900", "7\n8", 800), ("900", "8", 0), ("[N/A]", "", 0)],
)
def test_memory_is_back_when_no_more_is_taken_or_others_hold_it(machine, used, holders, left):
    (machine / "0" / "memory.used").write_text(used)
    (machine / "pid").write_text(holders)
    assert gpu.left_mib("0", 100, [7], 0) == left


def test_memory_that_comes_back_late_is_waited_for(machine):
    (machine / "0" / "memory.used").write_text("900")
    late = f"import time; time.sleep(0.5); open({str(machine / '0' / 'memory.used')!r}, 'w').write('100')"
    begin = time.monotonic()
    writer = subprocess.Popen([sys.executable, "-c", late])
    assert gpu.left_mib("0", 100, [7], PATIENCE_SECONDS) == 0
    assert 0.3 < time.monotonic() - begin < PATIENCE_SECONDS
    assert writer.wait(PATIENCE_SECONDS) == 0


def test_a_run_counts_as_stopped_once_its_gpu_memory_is_back(machine, lab):
    """And what is not back after a while is said."""
    group = lab.group("g", epochs=9, seconds=60)
    run = group.runs[0]
    supervisor = Supervisor(lab.runs_dir, make_slots(["0"]), stand_in.command, tell=lambda said: None)
    supervisor.turn()
    wait_for(lambda: Run(run.path).state == "running")
    (machine / "0" / "memory.used").write_text("900")
    (run.path / "stop").touch()
    wait_for(lambda: Run(run.path).written_status()["state"] == "stopped")
    assert Run(run.path).state == "stopping" or (run.path / "exit.json").exists()  # the guard waits 3 s only
    wait_for(lambda: not supervisor.turn())
    assert read_json(run.path / "exit.json")["gpu_left_mib"] == 800
    assert stop(group) == {0: "stopped"}
    assert Run(run.path).status["reason"] == (
        "Stopped on request in epoch 1. 838.9 MB more of the GPU's memory are taken than before it began: nvidia-smi "
        "shows by which process."
    )


def test_the_guard_asks_nothing_on_a_cpu_slot(machine, tmp_path):
    (machine / "nvidia-smi").write_text("#!/bin/sh\nexit 1\n")
    command = [sys.executable, "-m", "colora.queue.guard", str(tmp_path), "--", sys.executable, "-c", ""]
    guard = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    write_json(tmp_path / "process.json", {"guard": identity(guard.pid), "child": None})
    assert guard.wait(PATIENCE_SECONDS) == 0
    assert read_json(tmp_path / "exit.json")["gpu_left_mib"] == 0
