"""Where a group's models look in an image, asked of its worker: `maps.Explainer` of a page."""

import base64
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from colora.data.encoded import png
from colora.data.prepare import image_checksum
from colora.runs.documents import contained
from colora.runs.finished import finished
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components.command import Unanswered
from pages.components.workers import asks, stamps_of

Ask = Callable[[dict[str, Any], bytes], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class WorkerExplainer:
    """Before one image (S, S) uint8, as the network sees it; of the `seeds` that answer. `key` is of the group, its
    models and the image."""

    ask: Ask
    name: str
    seen: np.ndarray
    seeds: list[int]
    checksum: int
    key: Hashable

    def map(self, seed: int, method: str, target: int, of_shuffled: bool = False) -> np.ndarray:
        """(S, S) float32. Raises UserError where the models refuse, or nobody answers."""
        wanted = {"seed": seed, "method": method, "class": target, "shuffled": of_shuffled}
        found = np.frombuffer(base64.b64decode(self._told({"explain": wanted})["map"]), dtype="<f2")
        return found.reshape(self.seen.shape).astype(np.float32)

    def perturbed(self, seed: int, target: int, orders: np.ndarray) -> np.ndarray:
        """(2, M, T). Raises UserError as `map`."""
        wanted = {"seed": seed, "class": target, "orders": orders.tolist()}
        return np.array(self._told({"perturb": wanted})["curves"], dtype=np.float32)

    def _told(self, more: dict[str, Any]) -> dict[str, Any]:
        data = png(self.seen)
        told = self.ask({"name": self.name, "bytes": len(data), "page": 0, "seeds": self.seeds} | more, data)
        if int(told["checksum"]) != self.checksum:
            raise Unanswered("Where the models look was answered for another image than this one. Try again.")
        return told


def explainers_of(group: Group) -> Callable[[str, np.ndarray], WorkerExplainer]:
    """What makes one before an image, of its name and pixels. To be asked from any thread, but made in the page's own.

    Raises UserError where no seed counts, and where another group has taken its place.
    """
    now = Group(group.path)  # a part of a page that runs alone knows the group as the page was drawn with
    with contained(group.path):
        seeds = [run.seed for run in finished(now)]
    if now.identity != group.identity:
        raise UserError("This group was made anew meanwhile: reload the page to see the new one.")
    if not seeds:
        raise UserError("No seed of this group can be asked any more.")
    ask, of_models = asks(now), (str(group.path), repr(stamps_of(now)))

    def before(name: str, seen: np.ndarray) -> WorkerExplainer:
        checksum = image_checksum(seen)
        return WorkerExplainer(ask, name, seen, seeds, checksum, (*of_models, checksum))

    return before
