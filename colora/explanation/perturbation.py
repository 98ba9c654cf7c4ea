"""How a network's answer changes where the places that a map marks are blurred, or nothing else is shown.

Deletion and insertion as Petsiuk et al. 2018 (RISE, arXiv:1806.07421) have them, with a blurred picture for both: a
black one would be another kind of picture to the network, whatever is covered.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from colora.explanation.attribution import at_once, blurred
from colora.explanation.methods import PLACES, STEPS


@torch.inference_mode()
def perturbed(model: nn.Module, inputs: Tensor, target: int, orders: np.ndarray) -> np.ndarray:
    """(2, M, STEPS + 1) float32: the probability of the class when the first places of each of M orders (M, P), a
    permutation of the PLACES x PLACES places row by row, are blurred, and when only they are not; no place at first,
    then always as many more, all at last. `inputs` is one image (1, 3, S, S)."""
    count, places = orders.shape
    rank = np.empty_like(orders)
    np.put_along_axis(rank, orders, np.arange(places)[None].repeat(count, 0), 1)
    first = torch.from_numpy(rank).view(count, 1, PLACES, PLACES)
    plain, without, several = inputs.clone(), blurred(inputs), at_once(inputs.shape[-1])
    ends = _probability(model, torch.cat([plain, without]), target)
    found = np.empty((2, count, STEPS + 1), np.float32)
    found[0, :, 0] = found[1, :, STEPS] = ends[0]
    found[0, :, STEPS] = found[1, :, 0] = ends[1]
    for step in range(1, STEPS):
        shown = (first < places * step // STEPS).float()  # (M, 1, P, P)
        for kind, mask in enumerate((1 - shown, shown)):
            for at in range(0, count, several):
                part = interpolate(mask[at : at + several].to(inputs), inputs.shape[2:], mode="bilinear")
                found[kind, at : at + several, step] = _probability(model, without.lerp(plain, part), target)
    return found


def _probability(model: nn.Module, inputs: Tensor, target: int) -> np.ndarray:
    return model(inputs).float().softmax(1)[:, target].cpu().numpy()
