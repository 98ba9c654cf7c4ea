r"""How small may the pointwise factor be? Kp = B A of rank p beside a whole Kp and full fine-tuning, over four folds.

    python benchmarks/first_study/pointwise_rank.py --data oct2017-sample_224.npz --weights-dir weights --workers 2

The folds, the images and the training are those of folds.py: 584 images dealt by patient, 64 px, batch 32, 10 epochs,
accuracy and loss as means over the last four epochs, of every image while it is held out. Here each variant is trained
with two seeds a fold. The rate is each variant's own, by one budget, full fine-tuning's too: three rates, two folds, a
seed that is used for nothing else, lowest loss. The head's rate is the one that the folds found good for each method.

    p       none, 4, 8, 16, 32 on each network, one merge at the end
    growing the rank of each layer starts at 2 and grows at the ends of the first epochs, where the accumulated gradient
            of B A has most energy outside the spans of A and B for each weight that a term costs, until the model has
            as many weights as with p = 8 everywhere; a new term's A is that energy's first direction, its B is zero
    plateau merges when an epoch's training loss is not 2 % below the lowest so far
    spent   merges when an epoch changed dK by less than a tenth of its norm

The last three are no settings of the app: they were tried (the paper names both as future work) and have to be better
than a fixed rank and fixed merges at equal weights beyond the 95 % interval, by patients, of the paired difference. The
rank grows on ResNet-18 and MobileNetV2, whose layers differ most; merges are tried on ResNet-18.

The sample is a part of the test split that OCTMNIST's own test split is made from: none of these figures may stand
beside a result on OCTMNIST. Runs are kept in --runs-dir, so an interrupted study goes on where it was.
"""

import json
import os
from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from adapting import EQUAL_TO, HOOKS, START
from folds import FOLDS, figures, make_folds, paired, train_fold
from folds_variants import SIZE
from study import HERE, study_arguments

from colora.system import processor
from colora.system.environment import environment
from colora.training.images import choose_device

RANKS = (None, 4, 8, 16, 32)
RATES, RATES_FULL = (1e-3, 3e-3, 1e-2), (1e-4, 3e-4, 1e-3)
SEEDS = (0, 10)  # of a fold: its number and these
CHOOSING, CHOOSING_FOLDS = 100, (0, 1)

ONE_MERGE = {"image_size": SIZE, "method": "colora", "merge_every": 10}
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # of full fine-tuning, of every variant of CoLoRA
    "resnet18:layer3": ({"lr_head": 1e-3}, {"lr_head": 1e-3, "bias": "all"}),
    "squeezenet1_1": ({"lr_head": 1e-4}, {"lr_head": 1e-4}),
    "mobilenet_v2": ({"lr_head": 1e-4}, {"lr_head": 1e-4}),
}


@dataclass(frozen=True, eq=False)
class Variant:
    backbone: str
    title: str
    settings: dict[str, Any]
    hook: str = ""  # "growing", "plateau", "spent": no settings of the app
    rates: tuple[float, ...] = field(default=RATES)

    def at(self, rate: float) -> dict[str, Any]:
        return {**self.settings, "lr": rate}


def variants(backbone: str) -> list[Variant]:
    """Full fine-tuning first, then CoLoRA at every p, then what adapts."""
    full, own = NETWORKS[backbone]
    found = [Variant(backbone, "full", {"image_size": SIZE, "method": "full"} | full, rates=RATES_FULL)]
    common = ONE_MERGE | own
    found += [Variant(backbone, f"p {p or 'none'}", common | {"pointwise_rank": p}) for p in RANKS]
    equal = common | {"pointwise_rank": EQUAL_TO}
    if backbone == "squeezenet1_1":
        return found  # whose figures scatter most, with the fewest weights
    found.append(Variant(backbone, "p growing to the weights of 8", common | {"pointwise_rank": START}, "growing"))
    if backbone == "mobilenet_v2":
        return found
    found.append(Variant(backbone, "p 8, merge every epoch", equal | {"merge_every": 1}))
    found.append(Variant(backbone, "p 8, merge on a plateau", equal, "plateau"))
    found.append(Variant(backbone, "p 8, merge when spent", equal, "spent"))
    return found


def main() -> None:
    processor.prepare()  # its part for memory; the workers inherit it
    args = study_arguments(__doc__)
    args.runs_dir.mkdir(parents=True, exist_ok=True)
    patients = make_folds(args.data, args.runs_dir)
    every = [variant for backbone in NETWORKS for variant in variants(backbone)]
    with ProcessPoolExecutor(args.workers) as pool:
        tried = {
            (variant, rate): [
                pool.submit(train, args, variant, rate, fold, CHOOSING) for fold in CHOOSING_FOLDS
            ]
            for variant in every
            for rate in variant.rates
        }
        jobs = {}
        for variant in every:
            losses = {
                rate: float(np.mean([job.result()["loss"] for job in tried[variant, rate]]))
                for rate in variant.rates
            }
            rate = min(losses, key=losses.__getitem__)
            jobs[variant] = rate, losses, on_folds(pool, args, variant, rate, SEEDS)
        rows = []
        outcomes: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for variant, (rate, losses, folds) in jobs.items():
            outcome = over_seeds([job.result() for job in folds])
            outcomes[variant.backbone, variant.title] = outcome
            row = {"backbone": variant.backbone, "variant": variant.title, "settings": variant.at(rate)}
            row |= {"hook": variant.hook} if variant.hook else {}
            row |= {"loss_by_rate": losses, **figures(outcome), "trained": int(max(f["trained"] for f in outcome))}
            for name, other in (("minus_full", "full"), ("minus_whole", "p none"), ("minus_p8", "p 8")):
                if (variant.backbone, other) in outcomes and other != variant.title:
                    row[name] = paired(outcome, outcomes[variant.backbone, other], patients)
            rows.append(row)
            print(f"{variant.backbone:16} {variant.title:40}", json.dumps(figures(outcome)), flush=True)
    keep("pointwise_rank", __doc__, rows)


def keep(name: str, about: str, rows: list[dict[str, Any]]) -> None:
    """NAME.json beside the script of that name."""
    made = environment(choose_device("cpu")) | {"command": f"python benchmarks/first_study/{name}.py"}
    result = {"about": " ".join(about.split()), "rows": rows, "environment": made}
    (HERE / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def on_folds(
    pool: ProcessPoolExecutor, args: Namespace, variant: Variant, rate: float, seeds: Sequence[int]
) -> list[Future[dict[str, Any]]]:
    """Every fold with each seed, as `over_seeds` wants them."""
    return [pool.submit(train, args, variant, rate, fold, seed) for seed in seeds for fold in range(FOLDS)]


def train(args: Namespace, variant: Variant, rate: float, fold: int, seed: int) -> dict[str, Any]:
    runs_dir, weights = args.runs_dir, args.weights_dir.absolute()
    with HOOKS[variant.hook]() if variant.hook else nullcontext():
        return train_fold(runs_dir, weights, variant.backbone, variant.at(rate), fold, fold + seed, variant.hook)


def over_seeds(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fold by fold, the means over the seeds: of each held-out image's right and losses too."""
    by_seed = [runs[i : i + FOLDS] for i in range(0, len(runs), FOLDS)]
    folds = zip(*by_seed, strict=True)
    return [{key: np.mean([run[key] for run in same], axis=0) for key in same[0]} for same in folds]


if __name__ == "__main__":
    main()
