"""A real server of the app in a process group of its own, to be killed with all of it, and what it has started."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from colora.system.installation import ROOT

START_SECONDS = 180


class Site:
    """The app over one runs folder, at one address, whatever server answers there; `flags` are Streamlit's."""

    def __init__(self, runs_dir: Path, *flags: str, host: str = "localhost"):
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            self.port = probe.getsockname()[1]
        self.runs_dir, self.log, self.flags = runs_dir, runs_dir.parent / "server.log", flags
        self.address, self.server = f"http://{host}:{self.port}", None

    def start(self) -> None:
        """Returns once it answers."""
        command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={self.port}"]
        with open(self.log, "ab") as out:
            self.server = subprocess.Popen(
                [*command, "--server.headless=true", *self.flags],
                cwd=ROOT,
                env=os.environ | {"COLORA_RUNS_DIR": str(self.runs_dir)},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while True:
            assert self.server.poll() is None and time.monotonic() < end, self.log.read_text()
            try:
                urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=2)
                return
            except OSError:
                time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to the server's process group."""
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
            self.server = None


def trainers(runs_dir: Path, guards: bool = False) -> dict[str, list[int]]:
    """{"GROUP/seed-00": pids} of every living training process below a runs folder, as the system lists them; of their
    guards instead, which are there a moment earlier and later."""
    found: dict[str, list[int]] = {}
    parents = {}
    for process in psutil.process_iter(["cmdline", "status", "ppid"]):
        words = process.info["cmdline"] or []
        if ("colora.queue.guard" in words) != guards or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        for word in words[-1:]:
            if Path(word).parent.parent == runs_dir and "train" in words:
                found.setdefault("/".join(Path(word).parts[-2:]), []).append(process.pid)
                parents[process.pid] = process.info["ppid"]
    # What a process starts has its command line too, for the moment until it has one of its own.
    return {name: [pid for pid in pids if parents[pid] not in pids] for name, pids in found.items()}
