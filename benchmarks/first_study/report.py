r"""The study's tables in Markdown: `python benchmarks/first_study/report.py` writes tables.md from study.json.

extended.json adds the tables of the extended grids, folds.json that of the variants over four folds,
pointwise_rank.json that of the pointwise factor's ranks, growing_rank.json that at fixed rates, where they are.

Accuracy and AUC on test are the median over five seeds with the range; the interval beside it is Wilson's at the
median accuracy, of the test images alone (scipy). The paired table sets CoLoRA against full fine-tuning, seed by seed,
from the same head and in the same order of images.
"""

import json
import statistics
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

HERE = Path(__file__).parent
TEST_IMAGES = 116
HEADER = """# The first study's tables

`python benchmarks/first_study/report.py` makes them from study.json, seconds.json, extended.json, folds.json,
pointwise_rank.json and growing_rank.json, which the scripts of these names make. The images are 700 B-scans of Kermany
et al. (doi:10.17632/rscbjbr9sj, CC BY 4.0), and
**a part of the test split that OCTMNIST's own comes from: no figure here may stand beside a result on OCTMNIST.**
Research use only.
"""


def main() -> None:
    study = json.loads((HERE / "study.json").read_text())
    seconds = json.loads((HERE / "seconds.json").read_text())["rows"] if (HERE / "seconds.json").exists() else []
    lines = [HEADER, *_results(study, seconds), "", *_paired(study), "", "## The whole grid, validation", ""]
    for cell in study["cells"]:
        lines += _grid(cell)
    if (HERE / "extended.json").exists():
        lines += _extended(json.loads((HERE / "extended.json").read_text())["cells"])
    if (HERE / "folds.json").exists():
        lines += _folds(json.loads((HERE / "folds.json").read_text())["rows"])
    if (HERE / "pointwise_rank.json").exists():
        lines += _pointwise_ranks(json.loads((HERE / "pointwise_rank.json").read_text())["rows"])
    if (HERE / "growing_rank.json").exists():
        lines += _at_fixed_rates(json.loads((HERE / "growing_rank.json").read_text())["rows"])
    (HERE / "tables.md").write_text("\n".join(lines) + "\n")


def _results(study: dict[str, Any], seconds: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| network | method | chosen | test accuracy, median [range] | Wilson 95 % | test AUC | trained | s an epoch |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    taken = {(row["backbone"], row["method"]): row["seconds_per_epoch"] for row in seconds}
    for cell in study["cells"]:
        accuracy, auc = ([seed["test"][figure] for seed in cell["seeds"]] for figure in ("accuracy", "auc"))
        right = round(statistics.median(accuracy) * TEST_IMAGES)
        low, high = binomtest(right, TEST_IMAGES).proportion_ci(method="wilson")
        time = taken.get((cell["backbone"], cell["method"]))
        lines.append(
            f"| {cell['backbone']} | {cell['method']} | {_settings(cell['chosen'])} | {_spread(accuracy)} "
            f"| {low:.3f} to {high:.3f} | {_spread(auc)} | {cell['seeds'][0]['trainable']:,} "
            f"| {f'{time:.1f}' if time else ''} |"
        )
    return lines


def _paired(study: dict[str, Any]) -> list[str]:
    cells = {(cell["backbone"], cell["method"]): cell for cell in study["cells"]}
    lines = ["| network | CoLoRA minus full, test accuracy, seed by seed | median |", "| --- | --- | --- |"]
    differences: list[float] = []
    for backbone in dict.fromkeys(cell["backbone"] for cell in study["cells"]):
        each = [
            a["test"]["accuracy"] - b["test"]["accuracy"]
            for a, b in zip(cells[backbone, "colora"]["seeds"], cells[backbone, "full"]["seeds"], strict=True)
        ]
        lines.append(f"| {backbone} | {', '.join(f'{d:+.3f}' for d in each)} | {statistics.median(each):+.3f} |")
        differences += each
    behind, ahead = sum(d < 0 for d in differences), sum(d > 0 for d in differences)
    return [*lines, "", f"CoLoRA is behind in {behind} of {len(differences)} pairs and ahead in {ahead}."]


def _grid(cell: dict[str, Any]) -> list[str]:
    lines = [f"{cell['backbone']}, {cell['method']}:", "", "| settings | accuracy | loss |", "| --- | --- | --- |"]
    for row in cell["grid"]:
        chosen = " (chosen)" if row["settings"] == cell["chosen"] else ""
        accuracy, loss = _each(row["val_accuracy"]), _each(row["val_loss"])
        lines.append(f"| {_settings(row['settings'])}{chosen} | {accuracy} | {loss} |")
    return [*lines, ""]


def _folds(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Four folds",
        "",
        "584 held-out images at 64 px, means over the last four epochs; differences from full fine-tuning are paired",
        "by image, with 95 % intervals over patients.",
        "",
        "| network | variant | trained | accuracy | loss | training loss | accuracy minus full | loss minus full |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        apart = [_interval(row["minus_full"][k]) if "minus_full" in row else "" for k in ("accuracy", "loss")]
        lines.append(
            f"| {row['backbone']} | {row['variant'].strip()} | {row['folds'][0]['trained']:,} | {row['accuracy']:.3f} "
            f"| {row['loss']:.3f} | {row['training_loss']:.4f} | {apart[0]} | {apart[1]} |"
        )
    return lines


def _pointwise_ranks(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "",
        "## The pointwise factor's rank, four folds, two seeds",
        "",
        "584 held-out images at 64 px, means over the last four epochs and both seeds; differences are paired by",
        "image, with 95 % intervals over patients. The rate is each variant's own, chosen from three.",
        "",
        "| network | variant | rate | trained | accuracy | loss | accuracy minus full "
        "| accuracy minus p none | loss minus p none | accuracy minus p 8 | loss minus p 8 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        apart = [
            _interval(row[other][figure]) if other in row and row["variant"] != "full" else ""
            for other, figure in (
                ("minus_full", "accuracy"),
                ("minus_whole", "accuracy"),
                ("minus_whole", "loss"),
                ("minus_p8", "accuracy"),
                ("minus_p8", "loss"),
            )
        ]
        lines.append(
            f"| {row['backbone']} | {row['variant']} | {row['settings']['lr']:g} | {row['trained']:,} "
            f"| {row['accuracy']:.3f} | {row['loss']:.3f} | {' | '.join(apart)} |"
        )
    return lines


def _at_fixed_rates(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "",
        "## The pointwise factor's rank at fixed rates, four folds, two other seeds",
        "",
        "Differences are from the row of the same network and rate.",
        "",
        "| network | variant | rate | trained | accuracy | loss | accuracy minus p none | loss minus p none "
        "| accuracy minus p 8 | loss minus p 8 | accuracy minus p 4 | loss minus p 4 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        apart = [
            _interval(row[other][figure]) if other in row else ""
            for other in ("minus_whole", "minus_p8", "minus_p4")
            for figure in ("accuracy", "loss")
        ]
        lines.append(
            f"| {row['backbone']} | {row['variant']} | {row['settings']['lr']:g} | {row['trained']:,} "
            f"| {row['accuracy']:.3f} | {row['loss']:.3f} | {' | '.join(apart)} |"
        )
    return lines


def _extended(cells: list[dict[str, Any]]) -> list[str]:
    """The same tables of what was chosen from the extended grids, and of the four settings that were added."""
    lines = [
        "## The grids extended",
        "",
        "Each method's grid with four more settings, that the folds suggested; chosen among the twelve on validation.",
        "",
        *_results({"cells": cells}, []),
        "",
    ]
    of = [{cell["backbone"] for cell in cells if cell["method"] == method} for method in ("colora", "full")]
    if both := [cell for cell in cells if cell["backbone"] in of[0] & of[1]]:
        lines += [*_paired({"cells": both}), ""]
    for cell in cells:
        lines += _grid(cell)
    return lines


def _interval(values: list[float]) -> str:
    return "{:+.3f} [{:+.3f} to {:+.3f}]".format(*values)


def _each(values: list[float | None]) -> str:
    return ", ".join("broke off" if value is None else f"{value:.3f}" for value in values)


def _settings(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" if not isinstance(value, str) else value for name, value in settings.items())


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.median(values):.3f} [{min(values):.3f} to {max(values):.3f}]"


if __name__ == "__main__":
    main()
