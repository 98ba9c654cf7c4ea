"""Server time of each page over very many runs, over one group of 10 seeds x 100 epochs, and over 10 seeds on as many
images as OCTMNIST has.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/pages.py --out benchmarks/results/pages.json

Each figure is one run of a page's script through Streamlit's AppTest: reading, computing, drawing and building every
message to the browser, without the browser and the network. "first" is a page's first run in this process, "again" the
median of later ones, before each of which one run has gone on. "stands" is when all is there but what a page leaves for
its end: what takes two thousand draws of the images. Fabricated runs (tests/support/fabricate.py) of 20
epochs, one under way; no figure in them is a result.
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
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests" / "support")]  # not this folder, whose pages.py would stand for the pages

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from fabricate import fabricate, living_trainer, metrics_row  # noqa: E402
from streamlit.testing.v1 import AppTest  # noqa: E402

from colora.metrics.classification import entropy  # noqa: E402
from colora.runs.folder import Group  # noqa: E402
from colora.system.files import append_json, read_json, write_json  # noqa: E402

AGAIN = 8
MANY_GROUPS = {
    "overview": {},
    "overview, searched": {"search": "group-19"},
    "overview, failed ones": {"state": ["failed"]},
    "overview, best accuracy first": {"order": "accuracy"},
    "monitor": {"group": "group-000"},
    "launch": {},
    "data": {},
}
CHOOSERS = ("text_input", "multiselect", "selectbox")  # AppTest fills these; it binds none to the address
OCTMNIST_IMAGES = {"train": 31_016, "val": 10_832, "test": 1_000}  # the balanced training set
LARGE_GROUP = {
    "evaluate, test": {"group": "large"},
    "evaluate, validation": {"group": "large", "split": "Validation"},
    "evaluate, test, over images": {"group": "large", "over": "over images"},
    "evaluate, test, calibration": {"group": "large", "part": "Calibration"},
    "evaluate, test, operating point": {"group": "large", "part": "Operating point"},
    "evaluate, test, every figure": {"group": "large", "part": "Every figure"},
    "evaluate, validation, over images": {"group": "large", "split": "Validation", "over": "over images"},
    "evaluate, train": {"group": "large", "split": "Train"},
    "evaluate, train, one seed": {"group": "large", "split": "Train", "seed": "Seed 1"},
}
LONG_GROUP = {"monitor": {"group": "long"}, "evaluate": {"group": "long"}, "compare": {"groups": "long,long-too"}}


STOOD: list[float] = []  # when a page stood


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    stand_in_for_slow_answers()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_STATE_HOME"] = f"{temporary}/state"
        many = make_many(Path(temporary) / "many", args.groups, args.seeds)
        long = make_long(Path(temporary) / "long")
        large = make_large(Path(temporary) / "large")
        result = {
            f"{args.groups} groups of {args.seeds} seeds": measured(many, MANY_GROUPS, many / "group-000"),
            "10 seeds x 100 epochs": measured(long, LONG_GROUP, long / "long"),
            "10 seeds on OCTMNIST's images": measured(large, LARGE_GROUP, large / "large"),
        }
    assert "torch" not in sys.modules
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps({"seconds": result} | about_this_machine(args), indent=1) + "\n")


def stand_in_for_slow_answers() -> None:
    """What a page asks of another process is there at once; a page that follows its runs comes to its end."""
    from opened import told

    import pages.components.command
    import pages.components.overview.live
    import pages.components.show

    last = pages.components.show.picture_format  # what a page draws before it fills in what takes longer

    def stood() -> None:
        last()
        STOOD.append(time.perf_counter())

    pages.components.show.picture_format = stood
    pages.components.command.run_colora = told
    pages.components.overview.live.follow = lambda *_: None


def make_many(runs_dir: Path, groups: int, seeds: int) -> Path:
    """One fabricated group and copies of it; each tenth has a failed seed, the first one runs."""
    first = fabricate(runs_dir, "group-000", ["done"] * seeds, {"epochs": 20})
    shutil.rmtree(first.runs[0].path / "predictions" / "epochs", ignore_errors=True)
    for number in range(1, groups):
        copy = runs_dir / f"group-{number:03d}"
        shutil.copytree(first.path, copy, ignore=shutil.ignore_patterns("predictions"))
        if number % 10 == 0:
            change_status(copy, state="failed", reason="A reason of the benchmark.")
    running(runs_dir / "group-000")
    return runs_dir


def make_long(runs_dir: Path) -> Path:
    """Two groups of ten seeds with 100 epochs, one seed of the first under way."""
    for name in ("long", "long-too"):
        fabricate(runs_dir, name, ["done"] * 10, {"epochs": 100})
    running(runs_dir / "long")
    return runs_dir


def make_large(runs_dir: Path) -> Path:
    """A group of ten finished seeds whose predictions are of as many images as OCTMNIST has, and one under way."""
    group = fabricate(runs_dir, "large", ["done"] * 10 + ["running"])
    rng = np.random.default_rng(0)
    for split, count in OCTMNIST_IMAGES.items():
        labels = rng.integers(0, 4, count)
        identity = {"index": range(count), "label": labels, "image_id": [f"{split}-{i:05d}" for i in range(count)]}
        table = pd.DataFrame(identity).assign(patient_id=None, **({"used": True} if split == "train" else {}))
        for run in group.runs[:-1]:
            scores = np.exp(1.5 * rng.normal(size=(count, 4)) + 4 * np.eye(4)[labels])
            p = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
            predicted = table.assign(**{f"p_{c}": p[:, c] for c in range(4)}, entropy=entropy(p))
            predicted.to_parquet(run.path / "predictions" / f"{split}.parquet")
    return runs_dir


def running(group: Path) -> None:
    """The last seed goes on."""
    from colora.system.process import identity

    trainer = identity(living_trainer(Group(group).runs[-1].path).pid)
    change_status(group, state="running", process=trainer, step=1, steps=10)


def change_status(group: Path, **changes: Any) -> None:
    path = Group(group).runs[-1].path / "status.json"
    write_json(path, read_json(path) | changes)


def measured(runs_dir: Path, views: dict[str, dict[str, str]], going_on: Path) -> dict[str, Any]:
    """{view: {"first": wall and processor seconds, "again": the median of each, and the slowest wall}}."""
    os.environ["COLORA_RUNS_DIR"] = str(runs_dir)
    time.sleep(0.2)  # files changed this very moment are not remembered
    result = {}
    for view, query in views.items():
        app, page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120), view.partition(",")[0]
        STOOD.clear()
        begin = time.perf_counter()
        first = timed(app)  # Overview is the page that a server shows first
        if page != "overview":
            app.switch_page(f"pages/{page}.py")
            for name, value in query.items():
                app.query_params[name] = value
        elif query:
            ((key, value),) = query.items()
            next(w for kind in CHOOSERS for w in app.get(kind) if w.key == key).set_value(value)
        if page != "overview" or query:
            STOOD.clear()
            begin = time.perf_counter()
            first = timed(app)
        stands = [at - begin for at in STOOD]
        again = []
        for number in range(AGAIN):
            go_on(going_on, number)
            again.append(timed(app))
        wall, busy = zip(*again, strict=True)
        medians = {"wall": statistics.median(wall), "processor": statistics.median(busy)}
        result[view] = {"first": dict(zip(("wall", "processor"), first, strict=True)), "again": medians}
        result[view]["first"] |= {"stands": stands[-1]} if stands else {}
        result[view]["again"]["slowest_wall"] = max(wall)
    return result


def go_on(group: Path, number: int) -> None:
    """A step of the seed under way, and every other time an epoch's end; the files have settled when a page looks."""
    change_status(group, step=number)
    if number % 2:
        metrics = Group(group).runs[-1].path / "metrics.jsonl"
        append_json(metrics, metrics_row(0, 1) | {"epoch": len(metrics.read_text().splitlines()) + 1})
    time.sleep(0.15)


def timed(app: AppTest) -> tuple[float, float]:
    """Wall and processor seconds of one run; the second does not grow with other load on the machine."""
    begin, busy = time.perf_counter(), time.process_time()
    app.run()
    seconds = time.perf_counter() - begin, time.process_time() - busy
    assert not app.exception, app.exception
    return seconds


def about_this_machine(args: argparse.Namespace) -> dict[str, Any]:
    from colora.system.environment import environment  # torch: only now, when all is measured
    from colora.training.images import choose_device

    command = f"python benchmarks/pages.py --groups {args.groups} --seeds {args.seeds}"
    about = environment(choose_device("cpu")) | {"command": command, "cores": os.cpu_count()}
    return {"about": " ".join(__doc__.split()), "environment": about}


if __name__ == "__main__":
    main()
