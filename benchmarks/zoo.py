"""Adapters on the networks of torchvision, timm, segmentation-models-pytorch and MONAI: what they promise, and weights.

    make test-zoo                               # installs the libraries, and tests the same
    python benchmarks/zoo.py --peft --out benchmarks/results/zoo.json --markdown

Every network has random weights, as if it had trained (tests/support/zoo_checks.py), in fp32, in evaluation mode. With
a whole Kp and with pointwise_rank=8 it is adapted, gets random factors, is merged and stripped; each difference is the
largest of all outputs, and meant to be 0. Beside the shares of weights stand those of PEFT's LoRA with r = 8 on the
same layers, by its formula, whether PEFT can adapt them or not; `--peft` lets it try, and says what it raises.
"""

import argparse
import json
import os
import statistics
import sys
import warnings
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path

os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}  # as the command line does, before torch loads
ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests" / "support")]

import torch  # noqa: E402
from zoo_checks import LORA_RANK, faults, measure, outputs, ready  # noqa: E402
from zoo_networks import NETWORKS, Network  # noqa: E402

from colora.adapters.model import adapt  # noqa: E402
from colora.adapters.walk import adapted_layers  # noqa: E402
from colora.system.environment import environment  # noqa: E402

CHANGES = ("adapting", "merging", "stripping")
ROUNDING = 1e-4  # of fp32 through a whole network; larger changes of an output are none
LIBRARIES = ("timm", "segmentation-models-pytorch", "monai", "peft")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="*", help="a glob, such as 'timm-swin*'")
    parser.add_argument("--peft", action="store_true", help="let PEFT put its LoRA on the same layers too")
    parser.add_argument("--markdown", action="store_true", help="print the tables")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of layers that are left out: they are in the rows
    rows = []
    for network in NETWORKS:
        if fnmatchcase(network.id, args.only):
            row = measure(network)
            rows.append(row.as_dict() | {"faults": faults(row)} | ({"peft": peft(network)} if args.peft else {}))
            print(f"{network.id}: {'; '.join(rows[-1]['faults']) or 'exact'}, {row.seconds} s", file=sys.stderr)
    result = {
        "about": " ".join(__doc__.split("\n\n")[0].split()),
        "dtype": "float32",
        "threads": torch.get_num_threads(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "environment": environment(torch.device("cpu")),
        "rows": rows,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    if args.markdown:
        print(markdown(rows))
    if wrong := [row["name"] for row in rows if row["faults"]]:
        sys.exit(f"not as promised: {', '.join(wrong)}")


def peft(network: Network) -> dict:
    """{"trained", "merging"}: weights of PEFT's LoRA on the layers that are adapted by default, and by what its merge
    changes the output, over the largest output; or {"error": "cannot STAGE: what was raised"}."""
    from peft import LoraConfig, get_peft_model

    model, x = ready(network)
    names = list(adapted_layers(adapt(network.build())))
    stage = "adapt"
    try:
        adapted = get_peft_model(model, LoraConfig(r=LORA_RANK, target_modules=names)).eval()
        trained = [p for p in adapted.parameters() if p.requires_grad]
        torch.manual_seed(2)
        for p in trained:
            torch.nn.init.normal_(p, std=0.01)
        stage = "run"
        before = outputs(adapted, x)
        stage = "merge"
        after = outputs(adapted.merge_and_unload(), x)
    except Exception as error:  # what a library raises is its result
        text = str(error).strip().split("\n")[0]
        return {"error": f"cannot {stage}: {type(error).__name__}: {text[:160]}"}
    largest = max(float(y.abs().max()) for y in before)
    merging = max(float((a - b).abs().max()) for a, b in zip(before, after, strict=True))
    return {"trained": sum(p.numel() for p in trained), "merging": merging / largest}


def markdown(rows: list[dict]) -> str:
    """A line a family: how many networks, medians of the shares, in per cent, and the largest change of an output."""
    lines = [
        "| family | networks | adapted (lowest) | trained: whole Kp | p = 8 | LoRA, r = 8 | change | PEFT does |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for family in [*dict.fromkeys(row["family"] for row in rows), "all"]:
        of = [row for row in rows if family in (row["family"], "all")]
        adapted = shares(of, "full", "share_adapted")
        cells = [f"{statistics.median(adapted):.1f} ({min(adapted):.1f})"]
        for label, name in (("full", "share_trained"), ("rank 8", "share_trained"), ("rank 8", "share_lora")):
            cells.append(f"{statistics.median(shares(of, label, name)):.1f}")
        cells.append(f"{max(c[w] for r in of for c in r['configs'].values() for w in CHANGES):.2g}")
        cells.append(str(sum(merges(row["peft"]) for row in of)) if all("peft" in r for r in of) else "not tried")
        lines.append(f"| {family} | {len(of)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def merges(given: dict) -> bool:
    """Whether PEFT adapts the layers, runs and merges without changing what the network computes."""
    return given.get("merging", 1.0) < ROUNDING


def shares(rows: list[dict], label: str, name: str) -> list[float]:
    return [100 * row["configs"][label][name] for row in rows if row["configs"]]


if __name__ == "__main__":
    main()
