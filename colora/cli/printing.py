"""What commands print: the state and figures of groups, evaluations, predictions; as lines for people, or as JSON."""

import argparse
import json
from typing import Any

from colora.engines.view import unattended
from colora.queue.worked import found
from colora.runs import data_said
from colora.runs.finished import counted, says_not_counted, seeds_of
from colora.runs.folder import Group
from colora.runs.names import external_name
from colora.runs.trained_said import says_trained
from colora.runs.verdict import short
from colora.settings.config import RunConfig
from colora.system.typed import one_line


def print_json(value: Any) -> int:
    """The one document of a command with --json; returns its exit code."""
    print(json.dumps(value, indent=1, allow_nan=False))
    return 0


def say(args: argparse.Namespace, document: Any, text: str) -> int:
    """The document, where --json asks for it, or the same for people; returns the exit code."""
    if args.json:
        return print_json(document)
    print(text)
    return 0


def show_groups(groups: list[Group], as_json: bool, as_list: bool) -> None:
    from colora.results.summary import group_summary

    fresh = [Group(group.path) for group in groups]
    summaries = [group_summary(group) | {"unattended": unattended(group, found(group.path.parent))} for group in fresh]
    if as_json:
        print_json(summaries if as_list else summaries[0])
    else:
        for summary in summaries:
            _show_summary(summary)


def _show_summary(summary: dict[str, Any]) -> None:
    data = summary["data"]
    print(f"{summary['name']}: {summary['state']}; {summary['method']} on {summary['backbone']}, {data['source']}")
    if cut := data["cut"]:
        each = ", ".join(f"{name} {n:,}" for name, n in zip(cut["class_names"], cut["counts"]["kept"], strict=True))
        print(f"  trained on the cut {cut['name']} ({cut['hash'][:12]}): {each}; {cut['says']}")
    if data["check"]:
        print(f"  {data_said.one_line(data['check'])}")
    if data["leak"] and data["leak"] not in summary["warnings"]:
        print(f"  Note: {data['leak']}")
    print(f"  settings {_settings(summary)}")
    if said := says_trained(summary["parameters"] or {}):
        print(f"  {said}")
    if limits := summary["limits"]["says"]:
        print(f"  limits: {limits}")
    for row in summary["seeds"]:
        line = f"  seed {row['seed']:>2} {row['state']:<8} epoch {row['epoch']}/{row['epochs']}"
        if "selected_epoch" in row:
            line += f"  selected {row['selected_epoch']:>2}  test accuracy {_figure(row['test']['accuracy'])}"
            line += f"  AUC {_figure(row['test']['auc'])}" + ("" if row["finished"] else "  so far")
            line += f"  {row['apart']}" if row["apart"] else ""
        said = short(row["reason"]) or row["silent_says"] or row["preparing"]
        print(line + (f"  {said}" if said else ""))
    if summary["unattended"]:
        print(f"  {summary['unattended']}")
    _print_over_seeds(summary["over_seeds"]["test"], len(summary["seeds"]), "test ")
    for told in says_not_counted(summary):
        print(f"  {told}")
    if tests := summary["external"]:
        names = ", ".join(map(external_name, tests))
        print(f"  Tested on other data: {names}; colora external list {summary['name']}")
    print(f"  Selection: {summary['selection']['says']}.")
    for warning in summary["warnings"]:
        print(f"  Note: {warning}")
    print(f"  {summary['notice']}")


def _print_over_seeds(spreads: dict[str, dict[str, Any] | None], seeds: int, of: str = "") -> None:
    """A line for each figure over the finished ones of so many seeds."""
    for metric, spread in spreads.items():
        if spread:
            (q1, q3), (low, high) = spread["iqr"], spread["range"]
            line = f"  {of}{metric}, {counted(spread['n'], seeds)}: "
            if spread["n"] == 1:
                print(line + _figure(spread["median"]))
            else:
                line += f"median {_figure(spread['median'])} [IQR {_figure(q1)} to {_figure(q3)}], "
                print(f"{line}range {_figure(low)} to {_figure(high)}")


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _settings(summary: dict[str, Any]) -> str:
    """Checksum of a group's settings, those that are not the default, and those that were set and do nothing."""
    defaults = RunConfig.model_construct().model_dump()
    changed = [f"{name} {value}" for name, value in summary["settings"].items() if value != defaults[name]]
    text = f"{summary['config_checksum'][:12]}: {', '.join(changed) or 'the defaults'}"
    idle = [f"{name} ({why})" for name, why in summary["not_used"].items()]
    return text + (f"; not used: {', '.join(idle)}" if idle else "")


def show_evaluation(result: dict[str, Any]) -> None:
    print(f"{result['name']} on {result['data']['source']} ({result['data']['split']}), {result['n']} images")
    if any(row["images"] and row["model"] != row["own"] for row in result["classes"]):
        print(f"  Classes of the data: {one_line('; '.join(map(_class_of_data, result['classes'])))}")
    for row in result["seeds"]:
        print(f"  seed {row['seed']:>2}  accuracy {_figure(row['accuracy'])}  AUC {_figure(row['auc'])}")
        for name, figures in row["per_class"].items():
            called = f"  called so {row['called_absent'][name]}" if name in row["called_absent"] else ""
            print(
                f"    {one_line(name):<12} n {figures['n']:>5}  recall {_figure(figures['recall'])}  "
                f"precision {_figure(figures['precision'])}  specificity {_figure(figures['specificity'])}"
                f"  AUC {_figure(figures['auc'])}{called}"
            )
    seeds = seeds_of(result)
    if joint := result["ensemble"]:
        print(
            f"  ensemble of {counted(result['finished'], seeds)} (mean probability)  accuracy "
            f"{_figure(joint['accuracy'])}  AUC {_figure(joint['auc'])}"
        )
    _print_over_seeds(result["over_seeds"], seeds)
    for told in says_not_counted(result):
        print(f"  {told}")
    for warning in result["warnings"]:
        print(f"  Note: {one_line(warning)}")
    if result["kept"]:
        print(f"  Kept as {result['kept']}: colora statistics {result['name']} --split {result['kept']}")
    print(f"  {result['notice']}")


def _class_of_data(row: dict[str, Any]) -> str:
    """`0, named cnv, is CNV: 12 images`: which folder or label was taken for which class of the models."""
    given = f", named {row['given']}," if row["given"] not in (None, row["own"]) else ""
    taken = f" is {row['model']}" if row["model"] else " is unknown to the models"
    return f"{row['own']}{given}{taken}: {row['images']:,} image{'s' * (row['images'] != 1)}"
