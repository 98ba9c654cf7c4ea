"""How long a person waits for the answer to a scan on Predict: server, worker and Chromium on one machine.

    python benchmarks/first_answer.py --runs-dir runs --group G --images A B C --out results/first_answer.json

One server and one browser; each round opens the page in a new tab, without a worker. "stands": from the request of the
page until it asks for scans. "first": from then until the first scan, dropped at that moment, is painted under its
answer: most of it is the worker's start, torch above all, which goes on however long the person takes. "next": from the
drop of another scan until it is painted, with the worker there. "cold" is the very first round, in which the server too
imports what the page needs, and the browser fetches the app; the medians are of the others.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests" / "support")]

import psutil  # noqa: E402
from browsing import CHROMIUM, QUIET  # noqa: E402
from playwright.sync_api import BrowserContext, Page, sync_playwright  # noqa: E402

from colora.runs.folder import open_group  # noqa: E402
from colora.system.process import cpu_count  # noqa: E402

WAIT_MS = 120_000
PAINTED = ".viewer canvas[data-ready]"


@contextmanager
def served(runs_dir: Path) -> Iterator[int]:
    """A server's port; the server and its workers are ended by their pids."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), f"--server.port={port}"]
    environ = os.environ | {"COLORA_RUNS_DIR": str(runs_dir)}
    server = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health").read()
                break
            time.sleep(0.1)
        yield port
    finally:
        for process in (*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        server.wait()


def dropped(page: Page, file: Path) -> float:
    """Seconds from the drop of a file until its picture is painted."""
    before = page.locator(PAINTED).first.get_attribute("data-ready") if page.locator(PAINTED).count() else None
    start = time.monotonic()
    page.locator("input[type=file]").set_input_files(file)
    other = PAINTED if before is None else f'{PAINTED}:not([data-ready="{before}"])'
    page.locator(other).wait_for(timeout=WAIT_MS)
    return time.monotonic() - start


def end_workers() -> None:
    """Those of this benchmark's server, by their pids."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "worker" in child.cmdline():
                child.kill()
                child.wait()


def a_round(tabs: BrowserContext, port: int, group: str, images: list[Path]) -> dict[str, Any]:
    end_workers()
    page = tabs.new_page()
    start = time.monotonic()
    page.goto(f"http://localhost:{port}/predict?group={group}")
    page.get_by_text("Drop one scan or several").wait_for(timeout=WAIT_MS)
    stands = time.monotonic() - start
    first = dropped(page, images[0])
    later = []
    for image in images[1:]:
        time.sleep(1)
        later.append(dropped(page, image))
    page.close()
    return {"stands_s": stands, "first_s": first, "next_s": later}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs-dir", type=Path, required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="two or more scans")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    group = open_group(args.runs_dir / args.group)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *QUIET])
        tabs = browser.new_context(viewport={"width": 1280, "height": 900})
        with served(args.runs_dir.absolute()) as port:
            every = [a_round(tabs, port, args.group, args.images) for _ in range(args.rounds + 1)]
        browser.close()
    rounds = every[1:]
    found = {
        "command": "python benchmarks/first_answer.py",
        "backbone": group.config.backbone,
        "image_size": group.config.image_size,
        "seeds": len(group.runs),
        "median": {
            "stands_s": statistics.median(one["stands_s"] for one in rounds),
            "first_s": statistics.median(one["first_s"] for one in rounds),
            "next_s": statistics.median(each for one in rounds for each in one["next_s"]),
        },
        "rounds": rounds,
        "cold": every[0],
        "machine": {"cpus": cpu_count(), "platform": platform.platform()},
        "versions": {name: version(name) for name in ("torch", "torchvision", "streamlit", "numpy", "pandas")},
    }
    text = json.dumps(found, indent=1)
    print(json.dumps(found["median"]))
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
