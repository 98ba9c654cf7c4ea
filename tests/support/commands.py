"""Commands, in this process or in one of their own, and what they print."""

import json
import os
import subprocess
import sys
from typing import Any

from colora.cli.main import main
from colora.system.installation import ROOT

LONG_SECONDS = 300  # for trainings on a busy machine
SMALL = ["--backbone", "resnet18:layer1", "--weights", "none", "--image-size", "32"]  # trains an epoch in a second
SMALL += ["--batch-size", "8", "--threads", "1"]


def mistake(capsys, *arguments) -> str:
    """The one line on stderr of a command that must end with exit code 2."""
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def document(capsys, *arguments, code: int = 0):
    """What a command prints with --json."""
    assert main([*map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def colora(*arguments: Any) -> str:
    """What a command prints that must succeed, in a process of its own."""
    command = [sys.executable, "-m", "colora", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=LONG_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout
