"""Where a group's models look in an image, asked of the models themselves: `maps.Explainer` in this process."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from colora.data.encoded import eight_bit
from colora.data.prepare import image_checksum, read_page
from colora.explanation.attribution import attribution, shuffled
from colora.explanation.maps import AttributionMap, Checks, attribution_map, checks_of
from colora.explanation.methods import METHODS, USUAL
from colora.explanation.overlay import drawn
from colora.explanation.perturbation import perturbed
from colora.prediction.models import GroupModels
from colora.runs.folder import Group
from colora.settings.catalog import NOTICE
from colora.system.download import Progress, quiet
from colora.system.errors import UserError
from colora.training.images import DeviceImages

SHUFFLED_BY = 0  # the seed by which weights are shuffled


@dataclass(eq=False)
class ModelExplainer:
    """Before one prepared image (S, S) uint8. All is computed in float32."""

    models: GroupModels
    image: np.ndarray
    inputs: Tensor = field(init=False, repr=False)

    def __post_init__(self):
        images = DeviceImages(self.image[None], np.zeros(1, dtype=np.int64), self.models.device)
        self.inputs = images.inputs(torch.arange(1))

    def map(self, seed: int, method: str, target: int, of_shuffled: bool = False) -> np.ndarray:
        """`attribution.attribution` (S, S). Raises UserError for a seed that does not answer."""
        model = self.model(seed)
        return attribution(shuffled(model, SHUFFLED_BY) if of_shuffled else model, self.inputs, target, method)

    def perturbed(self, seed: int, target: int, orders: np.ndarray) -> np.ndarray:
        """`perturbation.perturbed`. Raises UserError for a seed that does not answer."""
        return perturbed(self.model(seed), self.inputs, target, orders)

    def model(self, seed: int) -> nn.Module:
        """In evaluation mode. Raises UserError for a seed that does not answer."""
        return self.models.model(self.models.run_of(seed))


@dataclass(frozen=True, eq=False)
class Explained:
    """The map of an image with its checks, and the image at its own resolution, (H, W) or (H, W, 3) uint8; the
    `probability` of the class is the mean of all seeds'."""

    attributed: AttributionMap
    checks: Checks
    pixels: np.ndarray
    class_name: str
    probability: float

    @property
    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8: the map over the image."""
        return drawn(self.pixels, self.attributed.mean)

    def document(self) -> dict[str, Any]:
        """Without the map itself."""
        checks = self.checks
        return {
            "method": self.attributed.method,
            "source": METHODS[self.attributed.method].source,
            "seeds": list(self.attributed.seeds),
            "class": self.class_name,
            "probability": self.probability,
            "says_nothing": checks.nothing,
            "verdict": checks.verdict,
            "warnings": checks.warnings,
            "insertion": checks.insertion,
            "deletion": checks.deletion,
            "random_maps": list(checks.random),
            "rank_correlation": {"shuffled_weights": checks.shuffled, "seeds": checks.seeds},
            "spread": checks.spread,
            "notice": NOTICE,
        }


def explain_image(
    group: Group,
    path: Path,
    method: str = USUAL,
    seed: int | None = None,
    class_name: str | None = None,
    page: int = 0,
    on_progress: Progress = quiet,
    device: str = "auto",
) -> Explained:
    """Where a group's models look in an image file, all seeds or one, for a class, by default the predicted one, and
    what that map is worth. `on_progress` as in `maps.attribution_map`.

    Raises UserError where no seed is finished, the file does not open or has no such page, and for a seed or a class
    that the group does not have.
    """
    models = GroupModels.of(group, device, keep=True)
    image = read_page(path, group.config.image_size, page)
    explainer, names = ModelExplainer(models, image.prepared), models.resolved.class_names
    seeds = [run.seed for run in models.runs] if seed is None else [seed]
    mean = np.mean([p[0] for _, p in models.each(image.prepared[None])], axis=0)  # (C,)
    if class_name is not None and class_name not in names:
        raise UserError(f"There is no class '{class_name}': there are {', '.join(names)}.", field="class")
    target = int(mean.argmax()) if class_name is None else names.index(class_name)
    attributed = attribution_map(explainer, seeds, method, target, on_progress)
    checks = checks_of(explainer, attributed, image_checksum(image.prepared), on_progress)
    return Explained(attributed, checks, eight_bit(image.pixels), names[target], float(mean[target]))
