"""How long a person waits from the click on Launch until Monitor shows the new seeds: server, queue and Chromium on one
machine.

    python benchmarks/launch_to_monitor.py --out benchmarks/results/launch_to_monitor.json

One server and one browser; each round opens the form in a new tab as it stands there, the quick look of three seeds,
waits until what it takes is told, and clicks. "left": until Monitor's address stands in the tab. "shown": until its
table has every seed, queued or starting. The group is removed and its supervisor gone before the next round, so that
each click finds an idle machine. "cold" is the very first round, in which the server imports what Monitor needs; the
medians are of the others.
"""

import argparse
import json
import platform
import shutil
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "tests" / "support")]

from browsing import CHROMIUM, QUIET, idle  # noqa: E402
from first_answer import served  # noqa: E402
from playwright.sync_api import BrowserContext, sync_playwright  # noqa: E402

from colora.queue.actions import stop  # noqa: E402
from colora.queue.supervisor import supervising  # noqa: E402
from colora.runs.folder import Group  # noqa: E402
from colora.system.process import cpu_count  # noqa: E402

WAIT_MS = 300_000
SEEDS = "() => [...document.querySelectorAll('td')].filter(td => /^(queued|starting)$/.test(td.textContent)).length"
MARK_SECONDS = 2.0
READ_SECONDS = 5  # nobody clicks before a browser has painted what there is to read


def a_round(tabs: BrowserContext, port: int, runs_dir: Path) -> dict[str, Any]:
    page = tabs.new_page()
    page.goto(f"http://localhost:{port}/launch?start=quick-look")
    page.get_by_test_id("stMetric").filter(has_text="Disk").wait_for(timeout=WAIT_MS)
    idle(page)
    time.sleep(READ_SECONDS)
    start = time.monotonic()
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url("**/monitor?group=*", timeout=WAIT_MS)
    left = time.monotonic() - start
    (group,) = (Group(path.parent) for path in runs_dir.glob("*/group.json"))
    page.wait_for_function(f"({SEEDS})() === {len(group.runs)}", timeout=WAIT_MS, polling=20)
    shown = time.monotonic() - start
    page.close()
    stop(group, 60)
    while supervising(runs_dir):
        time.sleep(0.5)
    shutil.rmtree(group.path)
    return {"left_s": left, "shown_s": shown}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as temporary:
        runs_dir = Path(temporary) / "runs"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *QUIET])
        tabs = browser.new_context(viewport={"width": 1280, "height": 900})
        with served(runs_dir) as port:
            every = [a_round(tabs, port, runs_dir) for _ in range(args.rounds + 1)]
        browser.close()
    rounds = every[1:]
    found = {
        "command": "python benchmarks/launch_to_monitor.py",
        "mark_s": MARK_SECONDS,
        "median": {key: statistics.median(one[key] for one in rounds) for key in ("left_s", "shown_s")},
        "rounds": rounds,
        "cold": every[0],
        "machine": {"cpus": cpu_count(), "platform": platform.platform()},
        "versions": {name: version(name) for name in ("torch", "streamlit", "pydantic", "pandas")},
    }
    print(json.dumps(found["median"] | {"cold": every[0]}))
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
