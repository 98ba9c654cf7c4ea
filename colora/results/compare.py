"""Several groups side by side: whether their figures may be compared, what they cost, and where their settings differ.

Works on what `results.summary.group_summary` says of each group, so that nothing is read twice.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from colora.metrics.over_seeds import Spread
from colora.runs.finished import says_not_counted
from colora.runs.names import external_name, is_external
from colora.settings.config import RunConfig
from colora.settings.relevance import config_checksum, in_effect
from colora.settings.seeds import format_seeds
from colora.system.typed import number_text

FEWEST, MOST = 2, 8
LETTERS = "ABCDEFGH"
NOT_USED = "not used"
Summaries = dict[str, dict[str, Any]]  # by group name, in the order of comparison
SeedFigures = dict[int, dict[str, float | None]]


@dataclass(frozen=True)
class Caution:
    """Why figures cannot be compared ("wrong"), or what to keep in mind while comparing ("mind")."""

    weight: Literal["wrong", "mind"]
    says: str


def labels(names: Iterable[str], most: int = 28) -> dict[str, str]:
    """`A · name` for each group, a long name cut in its middle: what stands in legends, where room is short."""
    half = (most - 1) // 2
    return {
        name: f"{letter} · {name if len(name) <= most else f'{name[:half]}…{name[-half:]}'}"
        for letter, name in zip(LETTERS, names, strict=False)
    }


def cautions(summaries: Summaries, split: str = "test") -> list[Caution]:
    """Of figures on a split. Groups that have not started yet say nothing of their data, and are left out of that
    question. Other data that all were tested on may judge groups that were trained on different ones, and no rule has
    chosen on them."""
    if is_external(split):
        found = [*_of_classes(summaries), *_of_tests(summaries, split)]
    else:
        found = [*_of_classes(summaries), *_of_data(summaries), *_of_selection(summaries)]
    for name, about in summaries.items():
        found += [Caution("mind", f"{name}: {told}") for told in says_not_counted(about)]
    lonely = [name for name, about in summaries.items() if about["finished"] == 1 or len(about["seeds"]) == 1]
    if lonely:
        found.append(Caution("mind", f"One seed only, so nothing is known of the spread: {', '.join(lonely)}."))
    return found


def _parted(summaries: Summaries, of: Callable[[dict[str, Any]], Any]) -> dict[Any, list[str]]:
    """Names of the groups by what `of` says of them, without those of which it says nothing."""
    parts: dict[Any, list[str]] = {}
    for name, about in summaries.items():
        value = of(about)
        if value is not None:
            parts.setdefault(value, []).append(name)
    return parts


def _of_classes(summaries: Summaries) -> list[Caution]:
    parts = _parted(summaries, lambda a: tuple(a["data"]["class_names"] or ()) or None)
    if len(parts) < 2:
        return []
    each = "; ".join(f"{_and(names)}: {', '.join(classes)}" for classes, names in parts.items())
    return [Caution("wrong", f"The classes differ ({each}): these figures cannot be compared.")]


def _of_data(summaries: Summaries) -> list[Caution]:
    checksums = _parted(summaries, lambda a: a["data"]["checksum"])
    if len(checksums) < 2:
        return []
    same_images = _parted(summaries, lambda a: _same_images(a) if a["data"]["checksum"] else None)
    sizes = _parted(summaries, lambda a: a["data"]["image_size"] if a["data"]["checksum"] else None)
    if len(same_images) == 1 and len(sizes) == len(checksums):
        each = ", ".join(f"{_and(names)} at {size} px" for size, names in sizes.items())
        return [
            Caution(
                "mind",
                f"The same source and split at different image sizes: {each}. The networks saw the same scans, "
                "prepared differently.",
            )
        ]
    each = "; ".join(f"{_and(names)}: {_data_words(summaries[names[0]])}" for names in checksums.values())
    return [
        Caution(
            "wrong",
            "The data or their split differ, by the checksum of the images: figures on different test images cannot be "
            f"compared. {each}.",
        )
    ]


def _of_tests(summaries: Summaries, split: str) -> list[Caution]:
    """Groups that were tested on different data under one name, or not at all."""
    name, found = external_name(split), []
    tests = {group: about["external"].get(split) for group, about in summaries.items()}
    checksums = _parted(summaries, lambda a: a["external"].get(split, {}).get("images_checksum"))
    if len(checksums) > 1:
        first = [tests[names[0]] for names in checksums.values()]
        alike = {(test["source"], test["split"], test["images"]) for test in first}
        sizes = [summaries[names[0]]["data"]["image_size"] for names in checksums.values()]
        if len(alike) == 1 and len(set(sizes)) == len(sizes):
            each = ", ".join(f"{_and(names)} at {n} px" for names, n in zip(checksums.values(), sizes, strict=True))
            found.append(Caution("mind", f"{name} met the groups at different image sizes: {each}."))
        else:
            each = "; ".join(
                f"{_and(names)}: {test['images']:,} images, {test['split']}, of {test['source']}"
                for names, test in zip(checksums.values(), first, strict=True)
            )
            says = f"Under the name {name} the groups were tested on different images ({each})."
            found.append(Caution("wrong", says))
    if without := [group for group, test in tests.items() if test is None]:
        found.append(Caution("mind", f"Not tested on {name}: {_and(without)}."))
    for group, test in tests.items():
        if test and (said := test.get("problem") or test["untested"]):
            found.append(Caution("mind", f"{group}: {said}"))
    warned: dict[str, list[str]] = {}
    for group, test in tests.items():
        for warning in (test or {}).get("warnings", ()):
            warned.setdefault(warning, []).append(group)
    return [*found, *(Caution("mind", f"{_and(groups)}: {warning}") for warning, groups in warned.items())]


def on_other_data(summaries: Summaries, figures: Mapping[str, SeedFigures], split: str) -> Summaries:
    """The same with the `figures` {group: {seed: {"accuracy", "auc", "loss"}}} of each seed that was tested on these
    data; the others have none there."""
    return {
        name: about | {"seeds": [row | own.get(row["seed"], {}) for row in about["seeds"]]}
        for name, about in summaries.items()
        for own in [{seed: {split: found} for seed, found in figures.get(name, {}).items()}]
    }


def _same_images(about: dict[str, Any]) -> str:
    """Equal for groups that differ in the image size alone: MedMNIST and folders keep the images and their order."""
    data = about["data"]
    counts = {split: n for split, n in (data["class_counts"] or {}).items() if split != "used"}
    source = str(data["source"]).replace(f"({data['image_size']} px)", "").strip()
    return f"{source} | {data['split']} | {counts}"


def _data_words(about: dict[str, Any]) -> str:
    data = about["data"]
    counts = data["class_counts"] or {}
    images = f", {sum(counts['test']):,} test images" if counts else ""
    return f"{data['source']} at {data['image_size']} px{images}, split {data['split'] or 'unknown'}"


def _of_selection(summaries: Summaries) -> list[Caution]:
    parts = _parted(summaries, lambda a: a["selection"]["rule"])
    if len(parts) < 2:
        return []
    return [
        Caution(
            "wrong",
            f"The selection rules differ: {_and(parts['validation'])} chose the epoch on validation, "
            f"{_and(parts['paper'])} on TEST. The latter's test figures are optimistic and cannot be compared with the "
            "others.",
        )
    ]


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def seed_points(summaries: Summaries, split: str) -> pd.DataFrame:
    """One row a group and seed that counts on `split`, at its selected epoch.

    Columns: group, place (from 0), seed, epoch, accuracy, auc, loss (on `split`), trainable (weights), minutes (of
    training), seconds_per_epoch (median), peak_memory_mib.
    """
    rows = [
        {
            "group": name,
            "place": place,
            "seed": row["seed"],
            "epoch": row["selected_epoch"],
            **row[split],
            "trainable": (about["parameters"] or {}).get("trainable"),
            "minutes": row["train_seconds"] / 60,
            "seconds_per_epoch": row["seconds_per_epoch"],
            "peak_memory_mib": row["peak_memory_mib"],
        }
        for place, (name, about) in enumerate(summaries.items())
        for row in about["seeds"]
        if row["finished"] and not row["apart"] and "selected_epoch" in row and split in row
    ]
    columns = ["group", "place", "seed", "epoch", "accuracy", "auc", "loss", "trainable", "minutes"]
    numbers = [*columns[4:], "seconds_per_epoch", "peak_memory_mib"]
    return pd.DataFrame(rows, columns=[*columns, *numbers[-2:]]).astype(dict.fromkeys(numbers, float))


def group_rows(summaries: Summaries, split: str) -> list[dict[str, Any]]:
    """One row a group: seeds done, accuracy and AUC over these (Spread or None), `best` (accuracy and AUC of the one
    that the group's own rule prefers), and what it cost (None where unknown)."""
    points = seed_points(summaries, split)
    rows = []
    for name, about in summaries.items():
        own = points[points["group"] == name]
        best = own[own["seed"] == about["best_seed"]]
        rows.append(
            {
                "name": name,
                "done": about["finished"],
                "seeds": len(about["seeds"]),
                "accuracy": Spread.of(own["accuracy"]),
                "auc": Spread.of(own["auc"]),
                "best": best.iloc[0][["seed", "epoch", "accuracy", "auc"]].to_dict() if len(best) else None,
                "trainable": (about["parameters"] or {}).get("trainable"),
                "deployed": (about["parameters"] or {}).get("deployed"),
                "seconds_per_epoch": Spread.of(own["seconds_per_epoch"]),
                "peak_memory_mib": None if own["peak_memory_mib"].isna().all() else own["peak_memory_mib"].max(),
            }
        )
    return rows


def differences(configs: dict[str, RunConfig], seeds: dict[str, list[int]]) -> pd.DataFrame:
    """The settings in which the groups differ, one a row (index), a column a group; values as people write them.

    A setting counts for the groups that use it: where one does not, another setting's row tells why. Groups that train
    alike (`same_settings`) differ in nothing but seeds.
    """
    settings = {name: {"seeds": format_seeds(seeds[name]), **in_effect(config)} for name, config in configs.items()}
    all_alike = len(set(map(config_checksum, configs.values()))) == 1
    fields = ["seeds", *([] if all_alike else RunConfig.model_fields)]
    differing = [f for f in fields if len({repr(values[f]) for values in settings.values() if f in values}) > 1]
    return pd.DataFrame(
        {
            name: [_written(values[field]) if field in values else NOT_USED for field in differing]
            for name, values in settings.items()
        },
        index=pd.Index(differing, name="setting"),
    )


def same_settings(configs: dict[str, RunConfig]) -> list[list[str]]:
    """Names of the groups that train alike, by the checksum of the settings in effect; a group alone is left out."""
    parts: dict[str, list[str]] = {}
    for name, config in configs.items():
        parts.setdefault(config_checksum(config), []).append(name)
    return [names for names in parts.values() if len(names) > 1]


def _written(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return number_text(value) if isinstance(value, float) else str(value)
