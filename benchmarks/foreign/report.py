"""The tables of README.md from measured.json: `python benchmarks/foreign/report.py`."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RANKED = 12
TAKEN = "pooled, Mahalanobis, unit, all seeds"
BESIDE = (TAKEN, "pooled, Mahalanobis, unit", f"{TAKEN}, or mutual information", "pooled, neighbour 1, unit, all seeds")
PROBABILITIES = ("1 - maximum softmax", "entropy", "mutual information")


def main() -> None:
    measured = json.loads((HERE / "measured.json").read_text())
    groups = measured["groups"]
    print(
        _line("score", "mean rank", "AUROC: mean", "lowest", "noticed at 95 %", "at 99 %"),
        _line(*["---"] * 6),
        sep="\n",
    )
    for place, row in enumerate(measured["chosen_by"], start=1):
        if (
            place <= RANKED
            or row["score"] in PROBABILITIES
            or row["score"].startswith("penultimate, Mahalanobis, unit")
        ):
            cells = (row["mean_rank"], row["mean_auroc"], row["lowest_auroc"], *row["noticed"])
            print(_line(f"{place}. {row['score']}", f"{cells[0]:.1f}", *(f"{cell:.3f}" for cell in cells[1:])))
    for score in (TAKEN, *PROBABILITIES):
        print(f"\n{score}: AUROC against test's scans, share noticed at the 95 % limit\n")
        _kinds(groups, score)
    print("\nFalse alarms: test's scans above the limits of 95 % and 99 %\n")
    print(_line("score", *map(_name, groups)), _line(*["---"] * (1 + len(groups))), sep="\n")
    for score in (*BESIDE, *PROBABILITIES):
        print(_line(score, *("{:.3f}, {:.3f}".format(*g["report"][score]["false_alarms"]) for g in groups)))
    print("\nDisagreement, of test's scans: flagged of those the ensemble has wrong, and of those it has right\n")
    print(_line("rule", *map(_name, groups)), _line(*["---"] * (1 + len(groups))), sep="\n")
    print(
        _line(
            "wrong of all",
            *(f"{(d := g['disagreement']['test'])['wrong']} of {d['wrong'] + d['right']}" for g in groups),
        )
    )
    for rule in groups[0]["disagreement"]["test"]:
        if rule not in ("wrong", "right"):
            print(_line(rule, *("{:.2f}, {:.2f}".format(*g["disagreement"]["test"][rule]) for g in groups)))


def _kinds(groups: list[dict[str, Any]], score: str) -> None:
    print(_line("kind", "pictures", *map(_name, groups)), _line(*["---"] * (2 + len(groups))), sep="\n")
    for kind in groups[0]["report"][score]:
        if kind != "false_alarms":
            found = [group["report"][score][kind] for group in groups]
            pictures = groups[0]["pictures"][f"report: {kind}"]
            print(_line(kind, pictures, *(f"{auroc:.3f}, {noticed:.2f}" for auroc, noticed, _ in found)))


def _name(group: dict[str, Any]) -> str:
    return f"{group['backbone']}, {group['method']}, {group['image_size']} px, {group['seeds']} seeds"


def _line(*cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
