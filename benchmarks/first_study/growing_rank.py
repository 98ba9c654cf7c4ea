r"""A rank that grows, and p = 8, each against its rivals at the same rate: what pointwise_rank.py left open.

    python benchmarks/first_study/growing_rank.py --data oct2017-sample_224.npz --weights-dir weights --workers 2

The folds, the images and the training are those of pointwise_rank.py, with two other seeds a fold. There each variant
had the rate that two folds chose for it, and the rate mattered more than the rank. Here each is trained at both rates
that were chosen, 0.003 and 0.01: p = 4, p = 8 and the rank that grows to the weights of p = 8, on the two networks
where it grows; and a whole factor beside p = 8 at 0.003, the rate of the app's presets, on all three.

The rank that grows becomes a setting if it is ahead of p = 8 on both networks beyond the 95 % interval, by patients, of
the paired difference, each at the rate where p = 8 has the lower loss. The presets get p = 8 if it is level there with
a whole factor. The rates' own losses are those of the held-out images, so every row is a little too good, alike.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from adapting import EQUAL_TO, START
from folds import figures, make_folds, paired
from pointwise_rank import NETWORKS, ONE_MERGE, Variant, keep, on_folds, over_seeds
from study import study_arguments

from colora.system import processor

SEEDS = (20, 30)  # of a fold: its number and these
PRESET, FASTER = 0.003, 0.01
GROWS = ("mobilenet_v2", "resnet18:layer3")


def variants(backbone: str) -> list[Variant]:
    common = ONE_MERGE | NETWORKS[backbone][1]
    rates = (PRESET, FASTER) if backbone in GROWS else (PRESET,)
    found = [
        Variant(backbone, "p none", common | {"pointwise_rank": None}, rates=(PRESET,)),
        Variant(backbone, "p 8", common | {"pointwise_rank": EQUAL_TO}, rates=rates),
    ]
    if backbone in GROWS:
        found.append(Variant(backbone, "p 4", common | {"pointwise_rank": 4}, rates=rates))
        found.append(Variant(backbone, "p growing", common | {"pointwise_rank": START}, "growing", rates))
    return found


def main() -> None:
    processor.prepare()  # its part for memory; the workers inherit it
    args = study_arguments(__doc__)
    args.runs_dir.mkdir(parents=True, exist_ok=True)
    patients = make_folds(args.data, args.runs_dir)
    with ProcessPoolExecutor(args.workers) as pool:
        jobs = {
            (variant, rate): on_folds(pool, args, variant, rate, SEEDS)
            for backbone in NETWORKS
            for variant in variants(backbone)
            for rate in variant.rates
        }
        rows = []
        outcomes: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
        for (variant, rate), runs in jobs.items():
            outcome = over_seeds([job.result() for job in runs])
            outcomes[variant.backbone, variant.title, rate] = outcome
            row = {"backbone": variant.backbone, "variant": variant.title, "settings": variant.at(rate)}
            row |= {**figures(outcome), "trained": int(np.mean([fold["trained"] for fold in outcome]))}
            for name, other in (("minus_whole", "p none"), ("minus_p8", "p 8"), ("minus_p4", "p 4")):
                if (variant.backbone, other, rate) in outcomes and other != variant.title:
                    row[name] = paired(outcome, outcomes[variant.backbone, other, rate], patients)
            rows.append(row)
            print(f"{variant.backbone:16} {variant.title:10} {rate:g}", json.dumps(figures(outcome)), flush=True)
    keep("growing_rank", __doc__, rows)


if __name__ == "__main__":
    main()
