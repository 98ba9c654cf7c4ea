r"""In how many steps are pictures covered? The verdict on a map by fewer steps, and by other random maps, beside that
by eight.

    python benchmarks/explanations/steps.py --groups runs/phantom-*      # steps.json

For the first IMAGES of validation and the predicted class; `explanation.methods.STEPS` is what is taken. CPU only.
"""

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads: other programs share the cores

import numpy as np
from measure import of_groups

from colora.data import phantom
from colora.explanation import maps, perturbation
from colora.explanation.methods import USUAL
from colora.prediction.explained import ModelExplainer
from colora.prediction.models import GroupModels
from colora.runs.folder import Group

HERE = Path(__file__).parent
IMAGES, MANY = 16, 8
WAYS = {"8": (MANY, 0), "8, other random maps": (MANY, 1000), "6": (6, 0), "5": (5, 0), "4": (4, 0)}


def main() -> None:
    print(json.dumps(of_groups(__doc__, measured, HERE / "steps.json"), indent=1))


def measured(group: Group) -> dict[str, dict[str, Any]]:
    """{way: the share of maps that say nothing, the share of verdicts that are those by 8 steps, and by how many random
    maps, of 19, the numbers that are beaten differ}."""
    models, size = GroupModels.of(group, "cpu", keep=True), group.config.image_size
    seeds = [run.seed for run in models.runs]
    found: dict[str, list[maps.Checks]] = {way: [] for way in WAYS}
    for index in range(IMAGES):
        image = phantom.draw("val", index, size)
        target = int(np.mean([p[0] for _, p in models.each(image[None])], axis=0).argmax())
        explainer = ModelExplainer(models, image)
        attributed = maps.attribution_map(explainer, seeds, USUAL, target)
        for way, (steps, other) in WAYS.items():
            maps.STEPS = perturbation.STEPS = steps
            found[way].append(maps.checks_of(explainer, attributed, index + other))
    known = found["8"]
    return {
        way: {
            "says_nothing": float(np.mean([checks.nothing for checks in own])),
            "same_verdict": float(np.mean([a.nothing == b.nothing for a, b in zip(own, known, strict=True)])),
            "beaten_apart": float(np.mean([abs(a.beaten - b.beaten) for a, b in zip(own, known, strict=True)])),
        }
        for way, own in found.items()
    }


if __name__ == "__main__":
    main()
