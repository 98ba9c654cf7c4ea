"""What a network and a launch take, before any run: `preflight`, `params` and `bench`."""

import argparse
from collections.abc import Callable
from typing import Any

from colora.cli.asked import add_config, add_seeds, asked_config, asked_seeds, names, tell_unused
from colora.cli.printing import print_json
from colora.networks.weights import weights_on_disk
from colora.runs.trained_said import says_by_pointwise_rank, says_few_reached, says_trained
from colora.settings.config import SMALL_POINTWISE_RANK, RunConfig, absolute_paths
from colora.settings.work import MODEL, WEIGHTS
from colora.system.errors import UserError
from colora.system.storage import size_text


def add_cost_commands(command: Callable, with_json: Callable) -> None:
    """Registers them; `command` and `with_json` are the command line's own."""
    about = "what `launch` would take of memory, disk and time; trains a few steps, queues nothing"
    add_seeds(before := with_json(command("preflight", _preflight, about)))
    before.add_argument("--classes", type=int, help="where the data are not here yet (default: counted, else 4)")
    add_config(before)
    about = "count a model's parameters; needs no weights, and says whether those named fit it"
    params = with_json(command("params", _params, about))
    params.add_argument("--classes", type=int, default=4)
    add_config(params, only=(*MODEL, *WEIGHTS))
    params.set_defaults(weights="none")
    bench = with_json(command("bench", _bench, "time training steps of the methods against each other"))
    bench.add_argument("--methods", type=names, default=["full", "head", "colora", "lora"], help="lora is PEFT's, r=8")
    bench.add_argument("--repeats", type=int, default=7, help="rounds (default 7)")
    bench.add_argument("--compile", action="store_true", help="under torch.compile, whose first steps take minutes")
    timed = (
        "backbone",
        "image_size",
        "batch_size",
        "order",
        "rank",
        "pointwise_rank",
        "layers",
        "bias",
        "targets",
        "device",
        "precision",
        "threads",
    )
    add_config(bench, only=timed)


def _preflight(args: argparse.Namespace) -> int:
    """Exit code 0 also where it cannot fit: `refused` is the answer."""
    from colora.engines.launch import look_ahead

    config = absolute_paths(asked_config(args))
    found = look_ahead(config, len(asked_seeds(args)), args.runs_dir, args.classes)
    tell_unused(args, {"": config})
    if args.json:
        print_json(found.as_dict())
    else:
        print(found.says() + (f"\nIt would be refused: {found.refused}" if found.refused else ""))
    return 0


def _params(args: argparse.Namespace) -> int:
    config = asked_config(args)
    from colora.adapters.summary import count_parameters
    from colora.networks.backbones import build_meta
    from colora.networks.methods import apply_method

    if args.classes < 2:
        raise UserError(f"At least 2 classes are needed, got {args.classes}.")

    def counted(config: RunConfig) -> dict[str, int]:
        model = build_meta(config.backbone, args.classes, config.image_size)
        apply_method(model, config, seed=0)
        return count_parameters(model)

    counts = counted(config)
    matched = _matched(config, build_meta(config.backbone, args.classes, config.image_size))
    tell_unused(args, {"": config})
    low = config.pointwise_rank or SMALL_POINTWISE_RANK
    ranks = [None, low] if config.method == "colora" else []
    own = {config.pointwise_rank: counts}
    each = {p: own.get(p) or counted(config.model_copy(update={"pointwise_rank": p})) for p in ranks}
    by_rank = {str(p or "none"): found["adapter"] for p, found in each.items()}
    about = {
        "backbone": config.backbone,
        "method": config.method,
        "image_size": config.image_size,
        "classes": args.classes,
    }
    if args.json:
        more = {"says": says_trained(counts), "warning": says_few_reached(counts)}
        print_json(about | counts | more | {"adapter_by_pointwise_rank": by_rank, "weights_file": matched})
        return 0
    for name, value in (about | counts).items():
        print(f"{name:<10} {value if isinstance(value, str) else format(value, ',')}")
    for said in filter(None, (says_trained(counts), says_by_pointwise_rank(by_rank), says_few_reached(counts))):
        print(said)
    return 0


def _matched(config: RunConfig, model: Any) -> dict[str, Any] | None:
    """The file of weights that fits the model, and its state; None with random weights, and of ImageNet's where they
    are not on this machine. Raises UserError where it does not fit."""
    from colora.engines.launch import match_weights

    if config.weights == "imagenet" and weights_on_disk(config.backbone).state != "downloaded":
        return None
    found = match_weights(config, model)
    return {"path": str(found[0].absolute()), "stamp": found[1]} if found else None


def _bench(args: argparse.Namespace) -> int:
    from colora.training.bench import bench

    config = asked_config(args)
    result = bench(config, args.methods, args.repeats, args.compile)
    tell_unused(args, {"": config})
    if args.json:
        print_json(result)
        return 0
    how = f"{result['device']}, compiled" if result["compiled"] else result["device"]
    print(f"{result['backbone']}, {result['image_size']} px, batch {result['batch_size']}, {how}")
    for row in result["results"]:
        ratio = f"{row['ratio_to_full']:.3f} of full" if "ratio_to_full" in row else ""
        about = f"{row['trainable']:,} weights trained  peak {size_text(row['peak_mib'] * 2**20)}"
        print(f"  {row['method']:<7} {row['seconds']:.3f} s  {ratio}  {about}")
    return 0
