"""A map of where models look, over seeds, and what it is worth.

No map should stand without its checks: does what it marks matter to the answer more than what random maps mark, does it
come from what was learnt, and do seeds and methods agree on it. It tells where an answer hangs on the picture;
that is no finding, and no proof of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

import numpy as np
from PIL import Image

from colora.explanation.methods import METHODS, PLACES, SMALLEST, STEPS
from colora.metrics.localisation import rank_correlation
from colora.system.download import Progress, quiet

RANDOM = 19  # maps: one that beats all of them does so by chance once in 20 times
AT_ONCE = 5  # maps a question: none takes long, so that whoever goes on to another image waits for little
ALIKE = 0.5  # rank correlation with the map of a shuffled network from which it tells little of what was learnt


class Explainer(Protocol):
    """A group's models, here or in another process, before one image."""

    def map(self, seed: int, method: str, target: int, of_shuffled: bool = False) -> np.ndarray:
        """`attribution.attribution` (S, S) of the seed's model, or of its `attribution.shuffled`."""

    def perturbed(self, seed: int, target: int, orders: np.ndarray) -> np.ndarray:
        """`perturbation.perturbed` of the seed's model."""


@dataclass(frozen=True, eq=False)
class AttributionMap:
    """Where one seed or several look in an image, for one class: `mean` (S, S) in 0..1 and `spread` (S, S), the
    standard deviation over the seeds, 0 for one; `of_seeds` (R, S, S), each scaled to its own largest value."""

    method: str
    target: int
    seeds: tuple[int, ...]
    of_seeds: np.ndarray
    mean: np.ndarray = field(init=False)
    spread: np.ndarray = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "mean", scaled(self.of_seeds.mean(0)))
        object.__setattr__(self, "spread", self.of_seeds.std(0))

    @property
    def empty(self) -> bool:
        """No place speaks for the class."""
        return not self.mean.any()


def scaled(values: np.ndarray) -> np.ndarray:
    """Non-negative values in 0..1, the largest 1; all 0 stay so."""
    return (values / max(float(values.max()), 1e-30)).astype(np.float32)


def attribution_map(
    explainer: Explainer,
    seeds: Sequence[int],
    method: str,
    target: int,
    on_progress: Progress = quiet,
    of_shuffled: bool = False,
) -> AttributionMap:
    """Ask each seed. `on_progress` is called with (what, done, all)."""
    found = []
    for done, seed in enumerate(seeds):
        on_progress(f"{METHODS[method].title} of seed {seed}", done, len(seeds))
        found.append(scaled(explainer.map(seed, method, target, of_shuffled)))
    return AttributionMap(method, target, tuple(seeds), np.stack(found))


@dataclass(frozen=True)
class Checks:
    """What a map is worth.

    `insertion` and `deletion` are the areas under the two curves of `perturbation.perturbed`, in 0..1, averaged over
    the seeds; `random` the first less the second, in -1..1, of each of RANDOM maps. Where the map is empty there is
    nothing to cover: None, and none.
    `shuffled` is the rank correlation over the places with the map of shuffled networks, `seeds` that between the
    seeds, the mean over pairs; None where there is none. `spread` is the largest value of the map's, in 0..0.5.
    """

    deletion: float | None
    insertion: float | None
    random: tuple[float, ...]
    shuffled: float | None
    seeds: float | None
    spread: float
    side: int

    @property
    def score(self) -> float:
        """Of a map that is not empty."""
        return self.insertion - self.deletion

    @property
    def beaten(self) -> int:
        """How many of the random maps."""
        return sum(self.score > other for other in self.random)

    @property
    def nothing(self) -> bool:
        return not self.random or self.beaten < len(self.random)

    @property
    def verdict(self) -> str:
        """Whether the map says anything."""
        if not self.random:
            return "This map says nothing: no place speaks for this class."
        if self.nothing:
            as_good = len(self.random) - self.beaten
            return (
                f"This map says nothing: {as_good} of {len(self.random)} random maps mark places that matter as much "
                "to the answer."
            )
        return f"What this map marks matters more to the answer than what {len(self.random)} random maps mark."

    @property
    def brief(self) -> str:
        """The verdict in a few words, for many maps at once."""
        if not self.random:
            return "says nothing"
        if self.nothing:
            return f"says nothing: {len(self.random) - self.beaten} of {len(self.random)} random maps as good"
        learnt = ", but shuffled weights draw much the same" if self.alike else ""
        return f"better than {len(self.random)} random maps{learnt}"

    @property
    def alike(self) -> bool:
        """Networks that have learnt nothing draw much the same map."""
        return self.shuffled is not None and self.shuffled >= ALIKE

    @property
    def figures(self) -> dict[str, str]:
        """What each check has found; without those that could not be made."""
        found = {}
        if self.random:
            found["Covering what it marks"] = (
                f"insertion {self.insertion:.3f} less deletion {self.deletion:.3f} = {self.score:.3f}; random maps "
                f"{min(self.random):.3f} to {max(self.random):.3f}, {self.beaten} of {len(self.random)} beaten"
            )
            found["Shuffled weights"] = (
                "networks that have learnt nothing draw no map"
                if self.shuffled is None
                else f"rank correlation {self.shuffled:.2f} with the map of networks that have learnt nothing"
            )
        if self.seeds is not None:
            found["Seeds"] = (
                f"rank correlation {self.seeds:.2f} between their maps, on average; a standard deviation of up to "
                f"{self.spread:.2f} at a place, of values in 0 to 1"
            )
        return found

    @property
    def warnings(self) -> list[str]:
        told = []
        if self.alike:
            told.append(
                f"Networks with shuffled weights draw much the same map (rank correlation {self.shuffled:.2f}): it "
                "tells of the picture more than of what was learnt."
            )
        if small := few_places(self.side):
            told.append(small)
        return told


def few_places(side: int) -> str:
    """A warning of a map of `side` pixels; empty where it has enough."""
    if side >= SMALLEST:
        return ""
    return f"These models read {side} px: below {SMALLEST} px a map has too few places to point at anything."


def checks_of(explainer: Explainer, attributed: AttributionMap, key: int, on_progress: Progress = quiet) -> Checks:
    """`key`, the image's checksum, draws the random maps: the same image has the same ones. `on_progress` as in
    `attribution_map`."""
    seeds = _mean([rank_correlation(places(a), places(b)) for a, b in combinations(attributed.of_seeds, 2)])
    of_the_map = seeds, float(attributed.spread.max()), attributed.mean.shape[0]
    if attributed.empty:
        return Checks(None, None, (), None, *of_the_map)
    asked = (explainer, attributed.seeds, attributed.method, attributed.target)
    plain = attribution_map(*asked, on_progress, of_shuffled=True)
    shuffled = rank_correlation(places(attributed.mean), places(plain.mean))
    rng = np.random.default_rng([key, attributed.target])
    drawn = [places(attributed.mean), *random_like(places(attributed.mean), RANDOM, rng)]
    orders = np.stack([np.argsort(-values, axis=None, kind="stable") for values in drawn])
    turns = [(seed, at) for seed in attributed.seeds for at in range(0, len(orders), AT_ONCE)]
    curves = {seed: [] for seed in attributed.seeds}
    for done, (seed, at) in enumerate(turns):
        on_progress("covering places", done, len(turns))
        curves[seed].append(explainer.perturbed(seed, attributed.target, orders[at : at + AT_ONCE]))
    deletion, insertion = np.mean([np.concatenate(found, axis=1) for found in curves.values()], axis=0)  # (M, T) each
    areas = np.trapezoid(np.stack([deletion, insertion]), dx=1 / STEPS, axis=2)  # (2, M)
    random = tuple(map(float, areas[1, 1:] - areas[0, 1:]))
    return Checks(float(areas[0, 0]), float(areas[1, 0]), random, shuffled, *of_the_map)


def agreement(attributed: AttributionMap, other: AttributionMap) -> float | None:
    """Rank correlation over the places of two methods' maps, in -1..1; None where one is the same everywhere."""
    return rank_correlation(places(attributed.mean), places(other.mean))


def places(values: np.ndarray) -> np.ndarray:
    """(PLACES, PLACES) float32: means of a map (S, S) over places."""
    picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(picture.resize((PLACES, PLACES), Image.Resampling.BOX))


def random_like(values: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, P, P) random maps as smooth as `values` (P, P): of its spectrum, with the phases of noise (the surrogates
    of Theiler et al. 1992, doi:10.1016/0167-2789(92)90102-S)."""
    size = np.abs(np.fft.fft2(values - values.mean()))
    noise = np.fft.fft2(rng.standard_normal((count, *values.shape)))
    return np.fft.ifft2(size * noise / np.maximum(np.abs(noise), 1e-30)).real


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
