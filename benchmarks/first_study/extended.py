r"""The study's protocol again, each method's grid extended by four settings that the folds suggested.

    python benchmarks/first_study/extended.py --data oct2017-sample_224.npz --weights-dir weights --workers 2

folds.py found at 64 px, without a look at the test images, that CoLoRA on ResNet-18 is behind for want of a faster
head, of biases, and of more terms or more epochs. Here that is put to the study's own test at 128 px: to the eight
settings a method of study.json come four, for CoLoRA the head at 1e-3 with a bias on every layer, one term at 3e-3 or
four at half of it, over 10 or 20 epochs; for `full` and `head` four rates over 20 epochs. Of the twelve the best
validation accuracy wins (ties: lower validation loss) with the same choosing seed, and where that is a new setting
seeds 0 to 4 are trained with it. Test images choose nothing.

The eight earlier settings were measured on another machine of the same kind. Runs are kept in --runs-dir and the result
is written after each cell, with the four settings alone as its grid, so an interrupted study goes on where it was. The
sample is a part of the test split that OCTMNIST's own test split is made from: none of these figures may stand beside a
result on OCTMNIST.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import Any

from study import COMMON, HERE, Study, best, study_arguments

from colora.system.environment import environment
from colora.training.images import choose_device

LONGER = 20  # epochs
NETWORKS = ("resnet18:layer3", "squeezenet1_1", "mobilenet_v2")
FURTHER = {
    "colora": [
        {"lr": lr, "rank": rank, "lr_head": 1e-3, "bias": "all", "merge_every": epochs, "epochs": epochs}
        for (rank, lr), epochs in product(((1, 3e-3), (4, 1.5e-3)), (COMMON["epochs"], LONGER))
    ],
    "full": [{"lr": lr, "lr_head": head, "epochs": LONGER} for lr, head in product((1e-4, 3e-4), (1e-4, 1e-3))],
    "head": [{"lr": lr, "epochs": LONGER} for lr in (3e-4, 1e-3, 3e-3, 1e-2)],
}


def main() -> None:
    args = study_arguments(__doc__)
    found = json.loads((HERE / "study.json").read_text())["cells"]
    earlier = {(cell["backbone"], cell["method"]): cell for cell in found}
    about = environment(choose_device("cpu")) | {"command": "python benchmarks/first_study/extended.py"}
    cells: list[dict[str, Any]] = []
    with ProcessPoolExecutor(args.workers) as pool:
        study = Study(args.data.absolute(), args.weights_dir.absolute(), args.runs_dir, pool)
        for backbone, method in product(NETWORKS, FURTHER):
            cell = earlier[backbone, method]
            further = study.grid(backbone, method, FURTHER[method])
            chosen = best(cell["grid"] + further)["settings"]
            if chosen != cell["chosen"]:
                cell = study.reported(backbone, method, chosen)
            cells.append(cell | {"grid": further})
            print(json.dumps({"backbone": backbone, "method": method, "chosen": chosen}), flush=True)
            result = {"about": " ".join(__doc__.split()), "common": COMMON, "cells": cells, "environment": about}
            (HERE / "extended.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
