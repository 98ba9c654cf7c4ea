"""How sure figures are: `statistics` of one group, `compare` of several on the same images; `metadata`, by which the
images of one are divided."""

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from colora.cli.groups import add_group, add_groups, group_of, groups_of
from colora.cli.printing import say
from colora.cli.question import add_question, asked_question
from colora.metrics.figures import TITLES
from colora.runs.data_said import SPLITS
from colora.runs.names import EXTERNAL, external_name, is_external
from colora.runs.siblings import seeds_text
from colora.system.errors import UserError
from colora.system.typed import one_line, shortened


def add_statistics_commands(command: Callable, with_json: Callable) -> None:
    """Registers them; `command` and `with_json` are the command line's own."""
    one = with_json(command("statistics", _statistics, "every figure of a group with its 95 % interval"))
    add_group(one)
    add_question(one)
    one.add_argument("--prevalence", type=float, help="share of positives where the model is used, for PPV and NPV")
    one.add_argument("--by", metavar="COLUMN", help="the figures of each part by this column of the metadata")
    metadata = with_json(command("metadata", _metadata, "what else is known of the images: list it, or add a table"))
    add_group(metadata)
    about = "a table with a line an image or a patient: CSV, TSV, Excel or Parquet"
    metadata.add_argument("--add", type=Path, metavar="FILE", help=about)
    metadata.add_argument("--replace", action="store_true", help="where something else is known, this counts")
    several = with_json(command("compare", _compare, "whether groups differ by more than chance, on the same images"))
    add_groups(several)
    for sub in (one, several, metadata):
        about = f"{', '.join(SPLITS)}, or {EXTERNAL}NAME of other data, kept by evaluate --keep (default test)"
        sub.add_argument("--split", type=_split, default="test", metavar="SPLIT", help=about)


def _split(text: str) -> str:
    """One of a group's own splits, or the name of other data."""
    if text in SPLITS:
        return text
    with contextlib.suppress(UserError):
        if is_external(text) and external_name(text):
            return text
    raise argparse.ArgumentTypeError(f"'{shortened(text)}' is none of {', '.join(SPLITS)}, and no {EXTERNAL}NAME")


def _statistics(args: argparse.Namespace) -> int:
    from colora.results.statistics import group_statistics

    found = group_statistics(group_of(args), args.split, asked_question(args), args.by)
    return say(args, found, _statistics_text(found))


def _compare(args: argparse.Namespace) -> int:
    from colora.results.statistics import compare_groups

    found = compare_groups(groups_of(args), args.split)
    if found["left_out"]:
        raise UserError(" ".join(found["left_out"].values()))
    return say(args, found, _comparison_text(found))


def _statistics_text(found: dict[str, Any]) -> str:
    """The figures of the model that stands for the group, and under them the spread over seeds."""
    one, of = _standing(found, found), _whose(found)
    lines = [f"{found['name']} on {_images(found)} of {found['split']}: {of}, 95 % intervals over images"]
    lines += _table(one["overall"])
    for name, table in one["per_class"].items():
        lines += [f"  {one_line(name)} against the rest", *_table(table)]
    if found["over_seeds"]:
        lines.append("  Over seeds: median [IQR], range; their mean with 95 % over seeds and images together")
        for name, each in found["over_seeds"]["overall"].items():
            lines.append(f"    {TITLES[name]:<18} {_over_seeds(each)}")
    lines += _calibration_text(found)
    if found["operating_point"]:
        lines += _operating_point_text(found, found["operating_point"])
    if found["frozen"]:
        lines += _frozen_text(found["frozen"], found["split"] if is_external(found["split"]) else "test")
    if found["subgroups"]:
        lines += _subgroups_text(found["subgroups"])
    if found["shift"]:
        lines += _shift_text(found)
    if found["optimism"]:
        lines.append(f"  {found['optimism']['says']}")
    lines += [f"  {told}" for told in found["not_counted"]]
    lines.append(f"  Data: {found['data']['source']}, split {found['data']['split']}.")
    lines.append(f"  Selection: {found['selection']['says']}.")
    lines += [f"  Note: {one_line(warning)}" for warning in found["warnings"]]
    return "\n".join([*lines, f"  {found['notice']}"])


def _standing(found: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The row of a part of the document that is of the one model."""
    number, rows = found["one_model"], part["seeds"]
    if number is not None:
        return next(row for row in rows if row["seed"] == number)
    return part["ensemble"] or rows[0]


def _whose(found: dict[str, Any]) -> str:
    if found["one_model"] is not None:
        return f"seed {found['one_model']}, the one model that the rule takes"
    seeds = seeds_text([row["seed"] for row in found["seeds"]])
    return f"the ensemble of {seeds}" if found["ensemble"] else seeds


def _chosen_by(found: dict[str, Any]) -> str:
    return "chosen on these very images" if found["split"] == "val" else "chosen on validation"


def _calibration_text(found: dict[str, Any]) -> list[str]:
    if why := found["calibration"].get("reason"):
        return [f"  Calibration: not estimable: {one_line(why)}"]
    one = _standing(found, found["calibration"])
    temperature = f"temperature {one['temperature']:.3f}, {_chosen_by(found)}"
    lines = [f"  Calibration of {_whose(found)}: {temperature}; before and after"]
    for name, before in one["before"].items():
        if name in TITLES:
            lines.append(f"    {TITLES[name]:<18} {_estimate(before)}; {_estimate(one['after'][name])}")
    lines.append(f"    {'ECE by chance':<18} {one['ece_by_chance']:.3f}, of a calibrated model on as many images")
    return lines


def _operating_point_text(found: dict[str, Any], point: dict[str, Any]) -> list[str]:
    one = _standing(found, point)
    positives = one_line(", ".join(point["positives"]))
    lines = [f"  {positives} against the rest, by {_whose(found)}: {point['says']}"]
    if one["threshold"] is None:
        return [*lines, f"    not estimable: {one['reason']}"]
    here = f", and on {found['split']}" if found["split"] != "val" else ""
    lines.append(f"    threshold {one['threshold']:.4f}; on validation, which chose it{here}")
    for name, each in one["judged"].items():
        both = [one["on_validation"][name], *[each] * bool(here)]
        lines.append(f"    {TITLES[name]:<18} {'; '.join(map(_estimate, both))}")
    for name, each in one["at_prevalence"].items():
        title = f"{TITLES[name]} at {point['prevalence']:.3g}"
        lines.append(f"    {title:<18} {_estimate(each)}")
    return lines


def _frozen_text(frozen: dict[str, Any], on: str) -> list[str]:
    if why := frozen.get("reason"):
        return [f"  Frozen: not estimable: {one_line(why)}"]
    lines = [f"  Frozen: {one_line(frozen['says'])}", f"    on validation, and on {on}"]
    lines += [f"    {frozen['says_changed']}"] if frozen["changed"] else []
    for name in ("sensitivity", "specificity"):
        own, here = (_estimate(frozen[part][name]) for part in ("on_validation", "judged"))
        lines.append(f"    {TITLES[name]:<18} {own}; {here}")
    return lines


def _metadata(args: argparse.Namespace) -> int:
    group = group_of(args)
    if args.add:
        from colora.results.metadata import bring_metadata

        found = bring_metadata(group, args.split, args.add, args.replace)
        unused = f"; {found['unused']:,} of {found['rows']:,} rows are of none of them" if found["unused"] else ""
        columns = one_line(", ".join(found["columns"]))
        return say(args, found, f"{columns}: of {found['images']:,} of {found['of']:,} images{unused}.")
    from colora.results.judged import images_of
    from colora.results.subgroups import Column, columns_of

    columns = columns_of(images_of(group, args.split))
    rows = {name: _counts(Column.of(texts)) for name, texts in columns.items()}
    parts = {name: ", ".join(f"{one_line(value)} {n:,}" for value, n in own.items()) for name, own in rows.items()}
    lines = [f"{one_line(name)}: {said}" for name, said in parts.items()]
    return say(args, rows, "\n".join(lines) or "Nothing is known of these images that divides them.")


def _counts(column: Any) -> dict[str, int]:
    """Images of each part."""
    return {label: int((column.part == i).sum()) for i, label in enumerate(column.labels)}


def _subgroups_text(found: dict[str, Any]) -> list[str]:
    """Each part, and the largest gap of each figure."""
    lines = [f"  By {one_line(found['column'])}; parts of fewer than {found['small_below']} are marked small"]
    if found["reason"]:
        lines.append(f"    Sensitivity and specificity: not estimable: {one_line(found['reason'])}")
    for part in found["parts"]:
        of = f" of {part['patients']:,} patients" if part["patients"] is not None else ""
        lines.append(f"    {one_line(part['value'])}: {part['n']:,} images{of}{', small' * part['small']}")
        for name, each in part["figures"].items():
            few = ", of few" if each["small"] and not part["small"] else ""
            lines.append(f"      {TITLES[name]:<16} {_estimate(each)}{few}")
    if found["question"]:
        lines.append(f"    sensitivity and specificity of: {one_line(found['question'])}")
    if found["comparisons"]:
        lines.append(f"    Gaps of parts that are not small, for all {found['comparisons']:,} differences at once")
    for name, gap in found["gaps"].items():
        if gap:
            pair = f"{one_line(gap['higher'])} minus {one_line(gap['lower'])}"
            verdict = "more than chance" if gap["more_than_chance"] else "within noise"
            lines.append(f"    Largest gap, {TITLES[name]}: {pair} {_estimate(gap['difference'])}: {verdict}")
    return lines


def _shift_text(found: dict[str, Any]) -> list[str]:
    """Other data beside the group's own: prevalence, calibration, distance."""
    moved, there = found["shift"], found["split"]
    if why := moved.get("reason"):
        return [f"  Shift: not estimable: {one_line(why)}"]
    own = moved["prevalence"]
    lines = [f"  Shift: share of each class in train, in test, and in {there}"]
    for name in found["class_names"]:
        parts = "; ".join(_estimate(own[split][name]) for split in ("train", "test", there))
        lines.append(f"    {one_line(name):<18} {parts}")
    before = {split: each["before"] for split, each in moved["calibration"].items()}
    errors = [name for name in before["test"] if name in TITLES]
    lines.append(f"  Shift of the calibration, as trained: on test; on {there}")
    lines += [f"    {TITLES[n]:<18} {_estimate(before['test'][n])}; {_estimate(before[there][n])}" for n in errors]
    if moved["distance"] is None:
        lines.append("  Distance from what the models know: not known, since a seed has not kept what it sees.")
        return lines
    parts = "; ".join(f"{split} {_estimate(each['beyond'])}" for split, each in moved["distance"].items())
    lines.append(f"  Share of images further from what the models know than 95 % of validation's: {parts}")
    return lines


def _images(found: dict[str, Any]) -> str:
    return f"{found['n']:,} images" + (f" of {found['patients']:,} patients" if found["patients"] else "")


def _table(figures: dict[str, dict[str, Any]]) -> list[str]:
    return [f"    {TITLES[name]:<18} {_estimate(each)}" for name, each in figures.items()]


def _estimate(each: dict[str, Any]) -> str:
    if each["value"] is None:
        return f"not estimable: {each['reason']}"
    if each["low"] is None:
        return f"{each['value']:.3f}  no interval: {each['reason']}"
    return f"{each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}]  {each['method']}"


def _over_seeds(each: dict[str, Any]) -> str:
    if not each["n"]:
        return f"not estimable: {each['mean']['reason']}"
    (q1, q3), (low, high) = each["iqr"], each["range"]
    return f"{each['median']:.3f} [{q1:.3f}, {q3:.3f}], {low:.3f} to {high:.3f}; {_estimate(each['mean'])}"


def _comparison_text(found: dict[str, Any]) -> str:
    lines = [f"On {_images(found)} of {found['split']}, ensemble against ensemble, 95 % intervals"]
    for row in found["groups"]:
        own = ", ".join(f"{TITLES[name]} {_estimate(each)}" for name, each in row["ensemble"].items())
        lines.append(f"  {row['name']}, {seeds_text(found['seeds'] or row['seeds'])}: {own}")
        lines += [f"    {row['optimism']['says']}"] if row["optimism"] else []
    lines += [f"  {'Not comparable: ' if c['weight'] == 'wrong' else ''}{c['says']}" for c in found["cautions"]]
    for pair in found["pairs"]:
        seeds = f", {seeds_text(pair['seeds'])} of both" if pair["seeds"] else ", no seed in common"
        lines += ["", f"  {pair['a']} minus {pair['b']}{seeds}", f"    {pair['says']}"]
        for name in ("accuracy", "auc", "log_loss"):
            lines.append(f"    {TITLES[name]:<18} {_difference(pair[name])}")
        for name, each in pair["over_seeds"].items():
            lines.append(f"    {TITLES[name] + ', by seed':<18} {_difference(each)}")
    return "\n".join([*lines, "", f"  {found['notice']}"])


def _difference(each: dict[str, Any]) -> str:
    if each["difference"] is None:
        return f"not estimable: {each['reason']}"
    text = f"{each['difference']:+.4f}"
    if each["low"] is not None:
        text += f" [{each['low']:+.4f}, {each['high']:+.4f}]"
    if each["p"] is not None:
        text += f"  p {each['p']:.3g} ({each['test']})"
        text += f", {each['p_holm']:.3g} for all pairs (Holm)" if each["p_holm"] != each["p"] else ""
    return text + (f"  {each['reason']}" if each.get("reason") else "")
