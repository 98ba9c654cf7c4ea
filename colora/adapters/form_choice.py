"""Which form each adapted layer of a model takes: by rule where the forms were measured, elsewhere by a short timing.

    fit_forms_(model, image, batch_size)                    # on a CPU: forms.choose_form, with the maps' sizes
    calibrate_forms_(model, image, batch_size, "bf16")      # on any other device, once the model is there

Either sets `form` of each layer; a run writes the outcome into its config, and its resumed run takes that.
"""

import time
from collections.abc import Mapping
from typing import NamedTuple, get_args

import torch
from torch import Tensor, nn

from colora.adapters.conv import CoLoRAConv
from colora.adapters.forms import Form, images_at_once, map_bytes
from colora.adapters.walk import adapted_convolutions

CALLS = 5  # between two looks at the clock, so that a GPU's queue fills as it does in training


class Call(NamedTuple):
    """What an adapted layer is called with in a training step."""

    inputs: torch.Size  # (B, Cin, *spatial)
    outputs: torch.Size  # (B, Cout, *spatial')
    wants_gradient: bool  # the input does: in a first layer, whose input is the image, it does not


def calls(model: nn.Module, image: Tensor, batch_size: int) -> dict[str, Call]:
    """The first call of each adapted layer by its name, for batches of images like `image` (1, C, *spatial).

    The image goes once through the model in shape only (torch's meta device): nothing is computed or allocated. A layer
    that it does not reach is missing.
    """
    found: dict[str, Call] = {}

    def note(name: str, x: Tensor, y: Tensor) -> None:
        whole = [torch.Size((batch_size, *value.shape[1:])) for value in (x, y)]
        found.setdefault(name, Call(*whole, x.requires_grad))

    layers = adapted_convolutions(model)
    hooks = [
        layer.register_forward_hook(lambda _, inputs, output, name=name: note(name, inputs[0], output))
        for name, layer in layers.items()
    ]
    training = {module: module.training for module in model.modules()}
    shapes = {name: p.detach().to("meta").requires_grad_(p.requires_grad) for name, p in model.named_parameters()}
    shapes |= {name: value.to("meta") for name, value in model.named_buffers()}
    try:
        with torch.enable_grad():
            torch.func.functional_call(model.eval(), shapes, (image.to("meta"),))
    finally:
        for hook in hooks:
            hook.remove()
        for module, was in training.items():
            module.training = was
    return found


def fit_forms_(model: nn.Module, image: Tensor, batch_size: int) -> None:
    """Choose each adapted layer's form by the rule for its geometry, the size of its maps and its device.

    A layer that `image` (1, C, *spatial) does not reach keeps its form.
    """
    layers = adapted_convolutions(model)
    for name, call in calls(model, image, batch_size).items():
        layers[name].form = layers[name].form_by_rule(batch_size * call.outputs[2:].numel())


def calibrate_forms_(
    model: nn.Module,
    image: Tensor,
    batch_size: int,
    precision: str = "fp32",
    memory_format: torch.memory_format = torch.contiguous_format,
    rounds: int = 3,
) -> dict[str, dict[Form, float]]:
    """Time each adapted layer's forms on its device, forward and backward, and choose the fastest that memory allows.

    The model has to be on the device already. Layers of one geometry and one size of input are timed once. `precision`
    "bf16" times under autocast. Returns the seconds by layer and form; transposed kinds, which have one form, and
    layers that `image` (1, C, *spatial) does not reach are missing and keep theirs.
    """
    layers = adapted_convolutions(model)
    reached = {n: call for n, call in calls(model, image, batch_size).items() if layers[n].has_forms}
    timed: dict[tuple, dict[Form, float]] = {}
    found: dict[str, dict[Form, float]] = {}
    for name, call in reached.items():
        layer = layers[name]
        same = (layer.extra_repr(), layer.bias_update is not None, call)
        if same not in timed:
            timed[same] = seconds_of_forms(layer, call, precision, memory_format, rounds)
        found[name] = timed[same]
    for name, form in fastest(layers, reached, found, precision).items():
        layers[name].form = form
    return found


def seconds_of_forms(
    layer: CoLoRAConv, call: Call, precision: str, memory_format: torch.memory_format, rounds: int
) -> dict[Form, float]:
    """Seconds of one forward and backward pass in each form, the forms interleaved: the least of `rounds`."""
    device, own_form = layer.base_weight.device, layer.form
    draws = torch.Generator(device).manual_seed(0)  # the device's own stream stays where it is
    x = torch.rand(call.inputs, device=device, generator=draws).to(layer._base_dtype, memory_format=memory_format)
    x.requires_grad_(call.wants_gradient)
    wanted = [t for t in (x, *layer.adapter_parameters()) if t.requires_grad]

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            y = layer(x)
        torch.autograd.grad(y, wanted, y.detach())

    def seconds(form: Form, times: int) -> float:
        layer.form = form
        start = time.perf_counter()
        for _ in range(times):
            step()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        return (time.perf_counter() - start) / times

    forms: tuple[Form, ...] = get_args(Form)
    for form in forms:  # warms up, and ends with nothing in the device's queue
        seconds(form, 1)
    measured = [{form: seconds(form, CALLS) for form in forms} for _ in range(rounds)]
    layer.form = own_form
    return {form: min(one[form] for one in measured) for form in forms}


def fastest(
    layers: Mapping[str, CoLoRAConv],
    reached: Mapping[str, Call],
    seconds: Mapping[str, Mapping[Form, float]],
    precision: str,
) -> dict[str, Form]:
    """The fastest form of each timed layer with which the model needs no more memory than full fine-tuning.

    That holds the gradient and Adam's two moments of every kernel; what the factors' take less is there to spend: on W,
    which each plain layer keeps until its backward pass (under autocast every convolution keeps such a copy), and on
    the two maps of the factored form, of which only one layer's exist at a time: those of a part of the batch or,
    where Kp is of low rank, thin ones of the whole. Small layers, which gain most from the plain form, come first.
    """
    adapted = {n: sum(p.numel() for p in m.adapter_parameters() if p is not m.bias_update) for n, m in layers.items()}
    saved = {name: layer.base_weight.numel() - adapted[name] for name, layer in layers.items()}
    spare = sum(3 * layer.base_weight.itemsize * saved[name] for name, layer in layers.items())
    kept = largest = 0
    chosen: dict[str, Form] = {}
    for name in sorted(seconds, key=lambda name: layers[name].base_weight.numel()):
        layer, call = layers[name], reached[name]
        weights = 0 if precision == "bf16" else layer.base_weight.nbytes
        itemsize = 2 if precision == "bf16" else layer._base_dtype.itemsize
        shapes = call.inputs, call.outputs, layer.order, itemsize
        images, thin_channels = call.inputs[0], layer.thin_channels
        if thin_channels is None:
            images = min(images, images_at_once(*shapes, layer.base_weight.device.type))
        needs = {
            "plain": (kept + weights, largest),
            "fused": (kept, largest),
            "factored": (kept, max(largest, 2 * images * map_bytes(*shapes, thin_channels))),
        }
        allowed = [form for form in seconds[name] if form == "fused" or sum(needs[form]) <= spare]
        chosen[name] = min(allowed, key=lambda form: seconds[name][form])
        kept, largest = needs[chosen[name]]
    return chosen
