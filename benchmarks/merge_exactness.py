"""Does merging an adapter into its convolution change the output? CoLoRA, PEFT and LyCORIS on the same layers, float64.

    python -m pip install peft lycoris-lora     # what is not installed is said to be, not left out
    python benchmarks/merge_exactness.py --out benchmarks/results/merge_exactness.json --markdown

Each method adapts one convolution of 8 to 16 channels by its library's own calls and default settings (rank 8, CoLoRA's
is 1), its trainable weights are drawn at random, and the output before its merge is compared with the output after:
the largest difference over the largest output. An exact merge leaves rounding, about 1e-15; CoLoRA's adapted layer
computes with the kernel that its merge writes, so it leaves none. `update`, beside each difference in the JSON, is how
much the adapter changes the output at all.
"""

import argparse
import json
import logging
import warnings
from collections import OrderedDict
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from colora.adapters.model import CoLoRAConfig, adapt, strip
from colora.system.environment import environment

CHANNELS, OUT_CHANNELS, RANK = 8, 16, 8
EXACT = 1e-10  # larger differences are no rounding and stand in bold

# name, kind, geometry
CASES = [
    ("Conv1d", nn.Conv1d, {"kernel_size": 3, "padding": 1}),
    ("Conv2d", nn.Conv2d, {"kernel_size": 3, "padding": 1}),
    ("Conv3d", nn.Conv3d, {"kernel_size": 3, "padding": 1}),
    ("1x1", nn.Conv2d, {"kernel_size": 1}),
    ("1x1x1 Conv3d", nn.Conv3d, {"kernel_size": 1}),
    ("3x5, rectangular", nn.Conv2d, {"kernel_size": (3, 5), "padding": (1, 2)}),
    ("stride 2", nn.Conv2d, {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("dilation 2", nn.Conv2d, {"kernel_size": 3, "padding": 1, "dilation": 2}),
    ("dilation 2, padding 'same'", nn.Conv2d, {"kernel_size": 3, "padding": "same", "dilation": 2}),
    ("Conv1d, dilation 2, padding 'same'", nn.Conv1d, {"kernel_size": 3, "padding": "same", "dilation": 2}),
    ("reflect padding", nn.Conv2d, {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"}),
    ("circular padding", nn.Conv2d, {"kernel_size": 3, "padding": 1, "padding_mode": "circular"}),
    ("replicate padding", nn.Conv2d, {"kernel_size": 3, "padding": 1, "padding_mode": "replicate"}),
    ("Conv3d, circular padding", nn.Conv3d, {"kernel_size": 3, "padding": 1, "padding_mode": "circular"}),
    ("2 groups", nn.Conv2d, {"kernel_size": 3, "padding": 1, "groups": 2}),
    ("depthwise", nn.Conv2d, {"kernel_size": 3, "padding": 1, "groups": CHANNELS}),
    ("Conv3d, 2 groups", nn.Conv3d, {"kernel_size": 3, "padding": 1, "groups": 2}),
    ("ConvTranspose1d", nn.ConvTranspose1d, {"kernel_size": 3, "stride": 2}),
    ("ConvTranspose2d", nn.ConvTranspose2d, {"kernel_size": 3, "stride": 2, "output_padding": 1}),
    ("ConvTranspose3d", nn.ConvTranspose3d, {"kernel_size": 3, "stride": 2}),
]


class Method(NamedTuple):
    """`adapt` takes a convolution and gives the adapted module; `merge` takes that and gives the plain one."""

    package: str | None
    adapt: Callable[[nn.Module], nn.Module]
    merge: Callable[[nn.Module], nn.Module]


def _model(conv: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv=conv))


def _colora(order: str) -> Method:
    return Method(None, lambda conv: adapt(_model(conv), CoLoRAConfig(order=order)), strip)


def _peft(kind: str) -> Method:
    def wrap(conv: nn.Module) -> nn.Module:
        import peft

        return peft.get_peft_model(_model(conv), getattr(peft, kind)(r=RANK, target_modules=["conv"]))

    return Method("peft", wrap, lambda model: model.merge_and_unload())


def _lycoris(kind: str) -> Method:
    def wrap(conv: nn.Module) -> nn.Module:
        import lycoris

        logging.getLogger("LyCORIS").setLevel(logging.ERROR)  # it would write between the lines of the table
        adapter = getattr(lycoris, kind)("conv", conv, lora_dim=RANK)
        adapter.apply_to()
        return adapter

    def merge(adapter: nn.Module) -> nn.Module:
        adapter.restore()
        adapter.merge_to()
        return adapter.org_module[0]

    return Method("lycoris-lora", wrap, merge)


METHODS = {
    "CoLoRA inception": _colora("inception"),
    "CoLoRA separable": _colora("separable"),
    "PEFT LoRA": _peft("LoraConfig"),
    "PEFT LoHa": _peft("LoHaConfig"),
    "PEFT LoKr": _peft("LoKrConfig"),
    "LyCORIS LoCon": _lycoris("LoConModule"),
    "LyCORIS LoHa": _lycoris("LohaModule"),
    "LyCORIS LoKr": _lycoris("LokrModule"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--markdown", action="store_true", help="print the table")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # the libraries warn of settings that do not matter here
    peers = {name: _version(name) for name in ("peft", "lycoris-lora")}
    rows = []
    for name, kind, geometry in CASES:
        results = {}
        for label, method in METHODS.items():
            installed = method.package is None or peers[method.package]
            results[label] = measure(kind, geometry, method) if installed else {"error": "not installed"}
        rows.append({"case": name, "kind": kind.__name__, "geometry": geometry, "results": results})
    machine = torch.device("cpu")
    result = {
        "about": " ".join(__doc__.split("\n\n")[0].split()),
        "dtype": "float64",
        "peers": peers,
        "environment": environment(machine) | {"command": "python benchmarks/merge_exactness.py"},
        "rows": rows,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    if args.markdown:
        print(markdown(rows))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def measure(kind: type[nn.Module], geometry: dict, method: Method) -> dict[str, float] | dict[str, str]:
    """{"difference", "update"}, relative to the largest output, or {"error": "cannot STAGE: what was raised"}."""
    torch.manual_seed(0)
    spatial = int(kind.__name__[-2])
    conv = kind(CHANNELS, OUT_CHANNELS, dtype=torch.float64, **geometry)
    x = torch.randn(2, CHANNELS, *(9, 8, 7)[:spatial], dtype=torch.float64)
    plain = output(conv, x)
    stage = "adapt"
    try:
        adapted = method.adapt(conv).double().eval()
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter, std=0.3)
        stage = "run"
        before = output(adapted, x)
        stage = "merge"
        after = output(method.merge(adapted), x)
    except Exception as error:  # what a library raises is its result
        text = str(error).strip().split("\n")[0]
        return {"error": f"cannot {stage}: {type(error).__name__}: {text[:160]}"}
    largest = after.abs().max()
    return {
        "difference": ((after - before).abs().max() / largest).item(),
        "update": ((before - plain).abs().max() / largest).item(),
    }


@torch.no_grad()
def output(model: nn.Module, x: Tensor) -> Tensor:
    return model(x)


def markdown(rows: list[dict]) -> str:
    """The table of `rows`; bold is a merge that changes the output."""
    lines = ["| convolution | " + " | ".join(METHODS) + " |", "| --- |" + " --- |" * len(METHODS)]
    for row in rows:
        lines.append(f"| {row['case']} | " + " | ".join(_cell(row["results"][name]) for name in METHODS) + " |")
    return "\n".join(lines)


def _cell(result: dict) -> str:
    if "error" in result:
        return result["error"].split(":")[0]
    text = f"{result['difference']:.0e}" if result["difference"] < EXACT else f"**{result['difference']:.2g}**"
    return "0" if result["difference"] == 0 else text


if __name__ == "__main__":
    main()
