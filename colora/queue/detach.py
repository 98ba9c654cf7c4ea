"""Start a process that nobody waits for: `python -m colora.queue.detach LOG COMMAND...` prints its pid and ends.

This step between makes the new process nobody's child but the system's: whoever asked for it keeps no zombie, no pipe
and no terminal. On Windows (best effort) it gets no console and a process group of its own. Standard library only.
"""

import subprocess
import sys
from pathlib import Path

from colora.system.installation import ROOT
from colora.system.process import own_session


def detached(log: Path, command: list[str]) -> int:
    """Runs `command` beside this process, its output appended to `log`; returns its pid."""
    between = [sys.executable, "-m", "colora.queue.detach", str(log), *command]
    done = subprocess.run(between, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, check=True)
    return int(done.stdout)


def main(arguments: list[str]) -> int:
    with open(arguments[0], "ab") as log:
        child = subprocess.Popen(
            arguments[1:],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            close_fds=True,
            **own_session(),
        )
    print(child.pid)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
