"""Only a test that drives a browser, processes or SLURM is tried again, once, and its name is told."""

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent / "support"
TESTS = """
import pathlib, pytest

def tries(name):
    with open(name, "a") as file:
        file.write("x")
    return len(pathlib.Path(name).read_text())

@pytest.mark.browser
def test_passes_the_second_time():
    assert tries("first") == 2

@pytest.mark.processes
def test_never_passes():
    assert tries("second") == 0

def test_has_one_try():
    assert tries("third") == 2

@pytest.fixture
def lab():
    return tries("fourth")

def test_of_a_queue(lab):
    assert lab == 2
"""


def test_who_is_tried_again(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    browser\n    processes\n    slurm\n")
    plugins = ("-p", "second_try", "-p", "pytest_rerunfailures", "-p", "xdist.plugin", "-p", "no:cacheprovider")
    env = os.environ | {"PYTHONPATH": str(SUPPORT), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", *plugins, "--second-try", "told", "-n", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "2 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    tries = [len((tmp_path / name).read_text()) for name in ("first", "second", "third", "fourth")]
    assert tries == [2, 2, 1, 2]
    told = (tmp_path / "told").read_text().splitlines()
    names = [line.partition(": ")[0] for line in told]
    assert names == ["test_it.py::test_of_a_queue", "test_it.py::test_passes_the_second_time"]
    assert "test_it.py:11: AssertionError" in told[1] and "assert 1 == 2" in told[1]
