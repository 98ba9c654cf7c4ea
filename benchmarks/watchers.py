"""What twenty sessions that watch one running group on Monitor cost the server, and how often each sees it afresh.

    python benchmarks/watchers.py --out benchmarks/results/watchers.json

A real server and real sessions (benchmarks/tabs.py), beside a quick look that really trains, with more epochs. The
processor's time is that of the server's process alone. A refresh is the time between two whole arrivals in one session.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:1] = [str(HERE.parent), str(HERE.parent / "tests" / "support"), str(HERE)]

import psutil  # noqa: E402
from browsing import free_port  # noqa: E402
from tabs import ROOT, Tab, about_this_machine, served  # noqa: E402

from colora.runs.folder import Group  # noqa: E402

SETTLE_SECONDS = 6.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # the training below is stopped then too
    with tempfile.TemporaryDirectory() as temporary:
        os.environ |= {"XDG_STATE_HOME": f"{temporary}/state", "COLORA_CACHE": f"{temporary}/cache"}
        runs_dir, port, log = Path(temporary) / "runs", free_port(), Path(temporary) / "server.log"
        colora("launch", "--preset", "quick-look", "--name", "watched", "--epochs", "400", "--runs-dir", str(runs_dir))
        group = Group(runs_dir / "watched")
        try:
            while not (group.runs[0].path / "metrics.jsonl").exists():
                time.sleep(0.5)
            with served(runs_dir, port, log) as server:
                result = asyncio.run(watch(server, port, args.sessions, args.seconds))
            epochs = len((group.runs[0].path / "metrics.jsonl").read_text().splitlines())
        finally:
            colora("stop", str(group.path))
        assert "Traceback" not in log.read_text(), log.read_text()
        result |= {"sessions": args.sessions, "epochs_of_the_run": epochs}
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result | about_this_machine(__doc__, sys.argv[1:]), indent=1) + "\n")


def colora(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "colora", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


async def watch(server: psutil.Process, port: int, sessions: int, seconds: float) -> dict:
    """The server's processor time, as a share of one core, and the refreshes of all sessions."""
    tabs = [Tab(port, "monitor", {"group": "watched"}) for _ in range(sessions)]
    for tab in tabs:
        await tab.__aenter__()
    for tab in tabs:
        await tab.show()
        await asyncio.sleep(2.0 / sessions)  # people do not come in one moment
    await asyncio.sleep(SETTLE_SECONDS)
    begin, worked = time.monotonic(), cpu_seconds(server)
    received = sum(tab.bytes for tab in tabs)
    await asyncio.sleep(seconds)
    took, worked = time.monotonic() - begin, cpu_seconds(server) - worked
    received = sum(tab.bytes for tab in tabs) - received
    between = [later - ends for tab in tabs for ends, later in pairwise(tab.ends) if ends >= begin]
    for tab in tabs:
        await tab.__aexit__()
        assert not tab.exceptions, tab.exceptions
    return {
        "cores_taken": worked / took,
        "refresh_seconds": {
            "median": statistics.median(between),
            "95th": statistics.quantiles(between, n=20)[-1],
            "slowest": max(between),
        },
        "refreshes": len(between),
        "bytes_each_refresh": received / len(between),
        "load_average": os.getloadavg()[0],
    }


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
