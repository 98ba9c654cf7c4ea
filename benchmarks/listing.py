"""How long a listing of very many runs takes: the first one in a process, and a refresh after one run has changed.

    python benchmarks/listing.py --out benchmarks/results/listing.json

Groups of fabricated runs with the files of real ones, all states but living ones, 10 epochs each. A listing is what
`colora list` prints: each group's state, and how many of its seeds are done.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests" / "support")]

from fabricate import resolved  # noqa: E402

from colora.engines.view import rows  # noqa: E402
from colora.runs.folder import append_json, create_group, write_json  # noqa: E402
from colora.runs.listing import listing  # noqa: E402
from colora.settings.config import RunConfig  # noqa: E402

STATES = ("done", "done", "done", "failed", "stopped")
REFRESHES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_STATE_HOME"] = f"{temporary}/state"
        result = measure(make_runs(Path(temporary) / "runs", args.groups, args.seeds))
    result |= {"groups": args.groups, "seeds": args.seeds}
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result | about_this_machine(args), indent=1) + "\n")


def make_runs(runs_dir: Path, groups: int, seeds: int) -> Path:
    """One group of fabricated runs, and copies of it."""
    figures = {f"{split}_{m}": 0.5 for split in ("train", "val", "test") for m in ("loss", "accuracy", "auc")}
    lines = [{"epoch": epoch, **figures, "seconds": 1.0, "eval_seconds": 0.5} for epoch in range(1, 11)]
    first = create_group(runs_dir, "group-000", RunConfig(epochs=10), list(range(seeds)))
    for run in first.runs:
        run.write_resolved(resolved(run.config, []))
        ended = {"state": STATES[run.seed % len(STATES)], "epoch": 10}
        write_json(run.path / "status.json", run.written_status() | ended)
        (run.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for number in range(1, groups):
        shutil.copytree(first.path, runs_dir / f"group-{number:03d}")
    time.sleep(0.2)  # files changed this very moment are not remembered
    return runs_dir


def measure(runs_dir: Path) -> dict:
    """Seconds of the first listing, and the median and slowest of refreshes after one run has gone on."""
    assert "torch" not in sys.modules
    first = timed(lambda: listing(runs_dir))
    again = []
    for number in range(REFRESHES):
        append_json(runs_dir / f"group-{number:03d}" / "seed-00" / "metrics.jsonl", {"epoch": 11})
        again.append(timed(lambda: listing(runs_dir)))
    queue = timed(lambda: rows(runs_dir))
    return {
        "first_seconds": first,
        "refresh_seconds": {"median": statistics.median(again), "slowest": max(again)},
        "queue_seconds": queue,
    }


def timed(job) -> float:
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin


def about_this_machine(args: argparse.Namespace) -> dict:
    from colora.system.environment import environment  # torch: only now, when all is measured
    from colora.training.images import choose_device

    command = f"python benchmarks/listing.py --groups {args.groups} --seeds {args.seeds}"
    about = environment(choose_device("cpu")) | {"command": command, "cores": os.cpu_count()}
    return {"about": " ".join(__doc__.split()), "environment": about}


if __name__ == "__main__":
    main()
