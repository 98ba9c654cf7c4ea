"""What hundreds of visits leave behind in the server: memory, threads, open files, and whatever its log says.

    python benchmarks/soak.py --out benchmarks/results/soak.json

A real server and real sessions (benchmarks/tabs.py) over fabricated groups, one of which goes on
meanwhile. A visit is a session of its own that opens a page, sees some refreshes of it, and leaves; all pages take
turns. Streamlit keeps what a session had for two minutes after it has left, and lets go when the next ones come: so the
end is looked at after that and some more visits.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:1] = [str(HERE.parent), str(HERE.parent / "tests" / "support"), str(HERE)]

import psutil  # noqa: E402
from browsing import free_port  # noqa: E402
from fabricate import fabricate, metrics_row  # noqa: E402
from tabs import Tab, about_this_machine, served  # noqa: E402

from colora.runs.folder import Run  # noqa: E402
from colora.system.files import append_json, read_json, write_json  # noqa: E402

VIEWS = [
    ("", {}),
    ("launch", {}),
    ("data", {}),
    ("monitor", {"group": "goes-on"}),
    ("monitor", {"group": "three-done"}),
    ("compare", {"groups": "three-done,other"}),
    ("evaluate", {"group": "three-done"}),
    ("evaluate", {"group": "other", "split": "Train"}),
    ("images", {"group": "three-done"}),
    ("images", {"group": "three-done", "image": "test-0007"}),
    ("distil", {"group": "three-done"}),
]
WARM_VISITS = 3 * len(VIEWS)  # each page has been imported and has filled what it keeps
LOOKED_AT = 22  # visits between two looks at the server
STAY_SECONDS = 2.5
AT_ONCE = 2
FORGOTTEN_SECONDS = 150  # two minutes, and half a minute until that is noticed
SAYS_TROUBLE = ("Traceback", "missing ScriptRunContext", "ERROR", "Exception")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=330)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with tempfile.TemporaryDirectory() as temporary:
        os.environ |= {"XDG_STATE_HOME": f"{temporary}/state", "COLORA_CACHE": f"{temporary}/cache"}
        runs_dir, port, log = Path(temporary) / "runs", free_port(), Path(temporary) / "server.log"
        fabricate(runs_dir, "three-done", ["done"] * 3)
        fabricate(runs_dir, "other", ["done"] * 2, {"rank": 2})
        run = fabricate(runs_dir, "goes-on", ["done", "running", "starting"], {"epochs": 1000}, epochs_done=4).runs[1]
        with served(runs_dir, port, log) as server:
            result = asyncio.run(visits(server, port, args.visits, run))
        said = [line for line in log.read_text().splitlines() if any(word in line for word in SAYS_TROUBLE)]
    result |= {"visits": args.visits, "trouble_in_the_log": said}
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result | about_this_machine(__doc__, sys.argv[1:]), indent=1) + "\n")


async def visits(server: psutil.Process, port: int, count: int, run: Run) -> dict:
    """`count` visits, some at once, beside a run that goes on; what the server has before, during and after them."""
    training, looks, exceptions = asyncio.create_task(go_on(run)), [], []
    begin, left = look(server), iter(range(count))

    async def visitor(left: Iterator[int]) -> None:
        for number in left:
            page, query = VIEWS[number % len(VIEWS)]
            async with Tab(port, page, query) as tab:
                await tab.show()
                await asyncio.sleep(STAY_SECONDS)
            exceptions.extend(f"{page}: {said}" for said in tab.exceptions)
            if number >= WARM_VISITS and number % LOOKED_AT == 0:
                looks.append({"visit": number} | look(server))

    await asyncio.gather(*(visitor(left) for _ in range(AT_ONCE)))
    at_end = look(server)
    await asyncio.sleep(FORGOTTEN_SECONDS)
    await visitor(iter(range(len(VIEWS))))
    training.cancel()
    return {"begin": begin, "during": looks, "end": at_end, "after": look(server), "exceptions": exceptions}


def look(server: psutil.Process) -> dict[str, float]:
    """Memory in MB, threads, and open files and connections."""
    with server.oneshot():
        return {
            "memory_mb": round(server.memory_info().rss / 1e6, 1),
            "threads": server.num_threads(),
            "open_files": server.num_fds(),
            "children": len(server.children()),
        }


async def go_on(run: Run) -> None:
    """As training does: a step twice a second, an epoch every four seconds."""
    for step in range(1, 1_000_000):
        status = read_json(run.path / "status.json") | {"step": step % 10, "heartbeat": time.time()}
        if step % 8 == 0:
            status["epoch"] += 1
            row = metrics_row(run.seed, status["epoch"]) | {"merges": status["epoch"]}
            append_json(run.path / "metrics.jsonl", row)
        write_json(run.path / "status.json", status)
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    main()
