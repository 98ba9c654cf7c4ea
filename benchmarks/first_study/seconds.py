r"""Seconds an epoch of each cell of the study at its chosen settings, on a quiet machine with all its threads.

    python benchmarks/first_study/seconds.py --data oct2017-sample_224.npz --weights-dir weights

The study itself trains several runs at a time, so its own times mean nothing. Here the cells take turns, one run each
and two rounds; an epoch's time is training with its merge, without evaluation; each run's first epoch is left out.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from study import BACKBONES, COMMON, HERE

from colora.runs.folder import Run, create_group
from colora.settings.config import make_config
from colora.system.environment import environment
from colora.training.images import choose_device
from colora.training.run import train_run

ROUNDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights-dir", type=Path, required=True)
    args = parser.parse_args()
    cells = [c for c in json.loads((HERE / "study.json").read_text())["cells"] if c["seeds"][0]["seed"] is not None]
    seconds: list[list[float]] = [[] for _ in cells]
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS):
            for n, cell in enumerate(cells):
                settings = COMMON | cell["chosen"] | {"threads": None, "epochs": 2}
                settings |= {"dataset": f"npz:{args.data.absolute()}", "method": cell["method"]}
                settings |= {"backbone": cell["backbone"]}
                settings |= {"weights": str((args.weights_dir / BACKBONES[cell["backbone"]]).absolute())}
                run = create_group(Path(folder), f"cell-{n}-{turn}", make_config(settings), [0]).runs[0]
                if train_run(run.path):
                    raise RuntimeError(Run(run.path).status["reason"])
                seconds[n].append(float(Run(run.path).metrics["seconds"].iloc[1]))
    rows = [
        {"backbone": c["backbone"], "method": c["method"], "seconds_per_epoch": statistics.median(s), "rounds": s}
        for c, s in zip(cells, seconds, strict=True)
    ]
    result = {
        "about": " ".join(__doc__.split()),
        "rows": rows,
        "environment": environment(choose_device("cpu")) | {"command": "python benchmarks/first_study/seconds.py"},
    }
    (HERE / "seconds.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
