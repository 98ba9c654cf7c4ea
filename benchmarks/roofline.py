"""What a device could at best do per training image, by form: FLOPs and bytes of the convolutions against its peaks.

    python benchmarks/roofline.py --markdown --out benchmarks/results/roofline_h100.json
    python benchmarks/roofline.py --flops 71e12 --bandwidth 0.936e12 --device "another card" --markdown

Computed, not measured. Each operation takes the longer of FLOPs / peak and bytes / bandwidth, and reads and writes
every map once; one follows another. "z on chip" is the factored form as a kernel of its own could compute it, with each
z and gz used where it is made: there is no such kernel here. Weights are not counted (a batch shares them), nor what
lies between the convolutions, which is the same in every form. So the images per second are a bound that nothing
reaches, and the ratios are those of the convolutions alone. Inception order, rank 1, every convolution of the backbone
adapted, 224 px.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from colora.adapters.form_choice import calls
from colora.adapters.model import adapt
from colora.adapters.walk import adapted_layers
from colora.networks.backbones import build_meta

H100 = ("H100 SXM, bf16", 989e12, 3.35e12)  # dense: NVIDIA's data sheet states twice as much, with sparsity
SOURCE = "NVIDIA H100 Tensor Core GPU data sheet, H100 SXM: bf16 tensor core (dense), memory bandwidth"
FORMS = ("full", "parallel", "fused", "factored", "factored, z on chip")  # plain computes what fused does


def operations(layer, call, itemsize: int) -> dict[str, list[tuple[float, float]]]:
    """(FLOPs, bytes) of each operation of a training step in each form, for one image."""
    cout, width, *kernel = layer.weight.shape
    taps = torch.Size(kernel).numel()
    into, out = call.inputs[2:].numel(), call.outputs[2:].numel()
    x, y, z = (itemsize * n for n in (call.inputs[1] * into, cout * out, cout * into))  # bytes of the maps
    whole = (2 * cout * width * taps * out, x + y)  # a pass of the convolution: forward, for x, or for its kernel
    mixing, filtering = (2 * cout * width * into, x + z), (2 * cout * taps * out, z + y)
    on_chip = (mixing[0] + filtering[0], x + y)
    gx, gx_mixing = ([whole], [mixing, (0, 3 * x)]) if call.wants_gradient else ([], [])
    return {
        "full": [whole, *gx, whole],
        "parallel": [whole, mixing, filtering, (0, 3 * y), *gx, filtering, filtering, mixing, *gx_mixing],
        "fused": [whole, *gx, whole],
        "factored": [whole, *gx, mixing, filtering, filtering, mixing],
        "factored, z on chip": [whole, *gx, on_chip, on_chip],
    }


def network(backbone: str, flops: float, bandwidth: float, itemsize: int) -> list[dict]:
    """A row for each form, and for the fastest form of every layer, without that kernel and with it."""
    model = build_meta(backbone, 4, 224)
    adapt(model)
    found = calls(model, torch.empty(1, 3, 224, 224, device="meta"), 1)
    layers = [operations(layer, found[n], itemsize) for n, layer in adapted_layers(model).items()]

    def seconds(steps: list[tuple[float, float]]) -> float:
        return sum(max(f / flops, b / bandwidth) for f, b in steps)

    chosen = {form: [one[form] for one in layers] for form in FORMS}
    for name, other in (("fastest of each layer", "factored"), ("fastest, z on chip", "factored, z on chip")):
        chosen[name] = [min((one["fused"], one[other]), key=seconds) for one in layers]
    full = sum(map(seconds, chosen["full"]))
    rows = []
    for form, steps in chosen.items():
        took = sum(map(seconds, steps))
        f, b = (sum(step[i] for one in steps for step in one) for i in (0, 1))
        rows.append(
            {
                "network": backbone,
                "form": form,
                "gflops": f / 1e9,
                "megabytes": b / 1e6,
                "bandwidth_bound": sum(b / bandwidth for one in steps for f, b in one if b / bandwidth > f / flops)
                / took,
                "images_per_s_bound": 1 / took,
                "ratio_to_full": took / full,
            }
        )
    base = rows[0]["gflops"]
    return [row | {"flops_to_full": row["gflops"] / base} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=H100[0], help="its name, for the record")
    parser.add_argument("--flops", type=float, default=H100[1], help="peak, a second")
    parser.add_argument("--bandwidth", type=float, default=H100[2], help="bytes a second")
    parser.add_argument("--itemsize", type=int, default=2, help="bytes of a map's entry (default 2: bf16)")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    peaks = {name: getattr(args, name) for name in ("device", "flops", "bandwidth", "itemsize")}
    rows = [r for n in ("vgg16", "resnet50") for r in network(n, args.flops, args.bandwidth, args.itemsize)]
    if args.markdown:
        print("| network | form | FLOPs / full | time / full | GFLOP, MB an image | images/s at most |")
        print("| --- " * 6 + "|")
        for r in rows:
            ratios = f"{r['flops_to_full']:.3f} | {r['ratio_to_full']:.3f}"
            size = f"{r['gflops']:.1f}, {r['megabytes']:.0f}"
            print(f"| {r['network']} | {r['form']} | {ratios} | {size} | {r['images_per_s_bound']:,.0f} |")
    if args.out:
        source = SOURCE if (args.device, args.flops, args.bandwidth) == H100 else None
        document = {"command": ["python", *sys.argv], "measured": False, "peaks": peaks, "source": source, "rows": rows}
        args.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
