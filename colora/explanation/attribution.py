"""Maps of where a network looks, by captum: HiResCAM, Grad-CAM, occlusion and integrated gradients.

All explain the score of one class before the softmax. What a picture is compared with, or covered by, is the picture
itself without its details: against black, as is usual, nothing could be said of fluid, which is black. What is set here
met known lesions best, on validation (benchmarks/explanations).
"""

import copy
import hashlib

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from colora.system.errors import UserError

BLURRED_SIDE = 7  # places a side that are left of a picture without its details
STEPS = 24  # of integrated gradients
PATCH, STRIDE = 4, 14  # a patch of occlusion is that part of the side, and moves by that part
SMOOTHING = 16  # integrated gradients are smoothed over that part of the side
PIXELS = 2**19  # at once: 10 pictures of 224 x 224, or 2 of 512 x 512
LEARNING = 4  # times as much memory takes what keeps its maps for a gradient


def blurred(inputs: Tensor) -> Tensor:
    """(B, 3, S, S) as the network reads it, without details: means of BLURRED_SIDE x BLURRED_SIDE places."""
    return interpolate(adaptive_avg_pool2d(inputs, BLURRED_SIDE), inputs.shape[2:], mode="bilinear")


def at_once(side: int, gradient: bool = False) -> int:
    """How many pictures (side x side) a network is shown at a time, so that the memory it takes does not grow with
    them."""
    return max(1, PIXELS // side**2 // (LEARNING if gradient else 1))


def attribution(model: nn.Module, inputs: Tensor, target: int, method: str) -> np.ndarray:
    """(S, S) float32, 0 or more: how much each place of an image (1, 3, S, S) speaks for the class `target`. The model
    is one of `networks.backbones`, in evaluation mode. Raises KeyError for another `method` than those of METHODS, and
    UserError where the network's values are no numbers."""
    ask = {
        "hirescam": hires_cam,
        "grad-cam": grad_cam,
        "occlusion": occlusion,
        "integrated-gradients": integrated_gradients,
    }[method]
    found = np.ascontiguousarray(ask(model, inputs.detach(), target).detach().float().cpu().numpy())
    if not np.isfinite(found).all():
        raise UserError("There is no map of this image: the network's values are no numbers.")
    return found


def shuffled(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose weights are at other places, each tensor's among themselves: the same network, and nothing learnt
    (the model parameter randomisation of Adebayo et al. 2018, arXiv:1810.03292). Batch norm keeps what it has measured,
    or all activations would vanish or explode."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, value in other.named_parameters():
            key = hashlib.sha256(f"{seed}\n{name}".encode()).digest()[:8]
            generator = torch.Generator().manual_seed(int.from_bytes(key, "little") >> 1)
            order = torch.randperm(value.numel(), generator=generator).to(value.device)
            value.copy_(value.flatten()[order].view_as(value))
    return other


def hires_cam(model: nn.Module, inputs: Tensor, target: int) -> Tensor:
    """Of the map that the head reads."""
    from captum.attr import LayerAttribution, LayerGradientXActivation  # takes a second, which no prediction needs

    head = model.get_submodule("head")
    found = LayerGradientXActivation(model, head).attribute(inputs, target=target, attribute_to_layer_input=True)
    return LayerAttribution.interpolate(found.sum(1, keepdim=True).relu(), inputs.shape[2:], "bilinear")[0, 0]


def grad_cam(model: nn.Module, inputs: Tensor, target: int) -> Tensor:
    """Of the map that the head reads."""
    from captum.attr import LayerAttribution, LayerGradCam

    head = model.get_submodule("head")
    found = LayerGradCam(model, head).attribute(
        inputs, target=target, attribute_to_layer_input=True, relu_attributions=True
    )
    return LayerAttribution.interpolate(found, inputs.shape[2:], "bilinear")[0, 0]


def occlusion(
    model: nn.Module, inputs: Tensor, target: int, patch: int = PATCH, covered: Tensor | None = None
) -> Tensor:
    """By patches of a `patch`-th of the side, which show `covered` (1, 3, S, S) or its one value: by default the
    picture without its details."""
    from captum.attr import Occlusion

    side = inputs.shape[-1]
    width, stride = max(1, side // patch), max(1, side // STRIDE)
    with torch.no_grad():
        found = Occlusion(model).attribute(
            inputs,
            sliding_window_shapes=(inputs.shape[1], width, width),
            strides=(inputs.shape[1], stride, stride),
            baselines=blurred(inputs) if covered is None else covered,
            target=target,
            perturbations_per_eval=at_once(side),
        )
    return found[0, 0].relu()  # the same in each channel


def integrated_gradients(
    model: nn.Module, inputs: Tensor, target: int, smoothing: int = SMOOTHING, signed: bool = False
) -> Tensor:
    """Smoothed over a `smoothing`-th of the side; `signed` only what speaks for the class, and not what changes its
    score either way."""
    from captum.attr import IntegratedGradients
    from scipy.ndimage import gaussian_filter

    side = inputs.shape[-1]
    found = IntegratedGradients(model).attribute(
        inputs, baselines=blurred(inputs), target=target, n_steps=STEPS, internal_batch_size=at_once(side, True)
    )
    grey = found.sum(1)[0]  # the channels are one grey picture
    grey = (grey if signed else grey.abs()).detach().float().cpu().numpy()
    return torch.from_numpy(gaussian_filter(grey, side / smoothing)).relu()
