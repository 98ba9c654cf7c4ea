"""The preset for own data is what validation says over the three networks, and not what somebody thought."""

import json
import statistics
from collections import defaultdict
from pathlib import Path

from colora.settings.config import RunConfig, make_config
from colora.settings.presets import PRESETS

STUDY = Path(__file__).parents[2] / "benchmarks" / "first_study"
OWN = make_config(next(preset for preset in PRESETS if preset.name == "my-images").values)


def on_all_networks(tried):
    """{settings as JSON: mean of the figures} of those that all three networks tried; tried: (settings, figures)."""
    found = defaultdict(list)
    for settings, figures in tried:
        known = {name: value for name, value in settings.items() if name != "image_size"}
        found[json.dumps(known, sort_keys=True)].append(figures)
    return {s: [statistics.mean(f) for f in zip(*each, strict=True)] for s, each in found.items() if len(each) == 3}


def is_the_preset(settings):
    """The settings given, and the defaults where none is."""
    given = RunConfig(**json.loads(settings))
    names = ("method", "lr", "lr_head", "merge_every", "merge_unit", "order", "rank", "bias", "targets")
    return all(getattr(given, name) == getattr(OWN, name) for name in names)


def test_the_preset_for_own_data_is_the_best_of_the_studys_validation_over_the_networks():
    cells = json.loads((STUDY / "study.json").read_text())["cells"]
    tried = on_all_networks(
        (row["settings"], (row["val_accuracy"][0], -row["val_loss"][0]))
        for cell in cells
        if cell["method"] == "colora"
        for row in cell["grid"]
    )
    assert len(tried) == 4
    best = max(tried, key=tried.get)
    assert is_the_preset(best) and round(tried[best][0], 3) == 0.964
    assert OWN.schedule == "cosine" and OWN.merge_every >= OWN.epochs  # as the study's: one merge, at the end


def test_no_settings_that_all_networks_tried_over_the_folds_are_clearly_better_than_the_preset():
    rows = json.loads((STUDY / "folds.json").read_text())["rows"]
    tried = on_all_networks(
        (row["settings"], (row["accuracy"], -row["loss"]))
        for row in rows
        if row["settings"]["method"] == "colora" and "hook" not in row  # which no preset can have
    )
    (preset,) = (figures for settings, figures in tried.items() if is_the_preset(settings))
    assert len(tried) == 2
    assert max(accuracy for accuracy, _ in tried.values()) - preset[0] < 0.005  # three images of 584
    assert preset[1] == max(loss for _, loss in tried.values())  # the lowest loss
