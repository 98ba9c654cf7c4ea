"""docs/adapters.md: its examples run as they stand there, one after the other."""

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"


@pytest.mark.filterwarnings("error")
def test_the_examples_run_as_they_stand(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    text = PAGE.read_text()
    blocks = [
        (text[: found.start()].count("\n") + 1, found[1]) for found in re.finditer(r"```python\n(.*?)```", text, re.S)
    ]
    assert len(blocks) == 11
    names: dict = {}
    with torch.random.fork_rng():
        for line, block in blocks:
            exec(compile("\n" * line + block, str(PAGE), "exec"), names)
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        shown == "".join(" ".join(line[2:].split()) + " " for line in re.findall(r"^# .*$", blocks[1][1], re.M)).strip()
    )


def test_every_example_has_its_number():
    assert re.findall(r"^\*\*(\d+)\. ", PAGE.read_text(), re.M) == [str(number) for number in range(1, 11)]
