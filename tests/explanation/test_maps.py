"""A map over seeds and its checks, by models whose answer is known to hang on one place."""

import numpy as np

from colora.explanation import maps
from colora.explanation.maps import RANDOM, agreement, attribution_map, checks_of, places, random_like, scaled
from colora.explanation.methods import PLACES, STEPS

SIDE = 128


def marks(top: float, left: float, width: float = 0.2, side: int = SIDE) -> np.ndarray:
    """(S, S): a hill."""
    at = (np.arange(side) + 0.5) / side
    return np.exp(-((at[:, None] - top) ** 2 + (at[None] - left) ** 2) / (2 * width**2)).astype(np.float32)


class Known:
    """Looks at `seen[seed]`; the answer is the share of the hill `matters` that is shown."""

    def __init__(self, seen, matters, learnt_nothing=None):
        self.seen, self.matters, self.learnt_nothing = seen, places(matters).ravel(), learnt_nothing
        self.asked = []

    def map(self, seed, method, target, of_shuffled=False):
        self.asked.append((seed, method, target, of_shuffled))
        return self.learnt_nothing if of_shuffled else self.seen[seed]

    def perturbed(self, seed, target, orders):
        share = self.matters / self.matters.sum()
        found = np.empty((2, len(orders), STEPS + 1), np.float32)
        for i, order in enumerate(orders):
            assert sorted(order) == list(range(PLACES**2))
            for step in range(STEPS + 1):
                shown = share[order[: PLACES**2 * step // STEPS]].sum()
                found[:, i, step] = 1 - shown, shown
        return found


HERE, THERE, NOISE = marks(0.3, 0.3), marks(0.8, 0.8), marks(0.2, 0.9)


def test_each_seeds_map_is_scaled_and_their_mean_and_spread_are_taken():
    attributed = attribution_map(Known({3: 5 * HERE, 4: 0.1 * THERE}, HERE), [3, 4], "occlusion", 2)
    assert attributed.of_seeds.max((1, 2)).tolist() == [1, 1]
    assert np.allclose(attributed.mean, scaled(scaled(HERE) + scaled(THERE)))
    assert np.allclose(attributed.spread, np.std([scaled(HERE), scaled(THERE)], axis=0))
    assert not attribution_map(Known({0: HERE}, HERE), [0], "occlusion", 2).spread.any()


def test_a_map_of_what_matters_beats_all_random_maps():
    explainer, told = Known({0: HERE, 1: marks(0.35, 0.3)}, HERE, NOISE), []
    found = attribution_map(explainer, [0, 1], "grad-cam", 1)
    checks = checks_of(explainer, found, key=7, on_progress=lambda *done: told.append(done))
    assert (checks.beaten, checks.nothing, checks.warnings) == (RANDOM, False, [])
    assert checks.verdict == "What this map marks matters more to the answer than what 19 random maps mark."
    assert checks.brief == "better than 19 random maps"
    assert checks.score > 0.5 > max(checks.random)
    assert checks.seeds > 0.9 and abs(checks.shuffled) < maps.ALIKE
    assert {asked[3] for asked in explainer.asked} == {False, True}
    assert told[-1] == ("covering places", 7, 8)  # twenty orders, five at a time, two seeds


def test_a_map_of_another_place_says_nothing():
    explainer = Known({0: THERE}, HERE, NOISE)
    checks = checks_of(explainer, attribution_map(explainer, [0], "grad-cam", 1), key=7)
    assert checks.nothing and checks.verdict.startswith("This map says nothing: ")
    assert checks.brief == f"says nothing: {RANDOM - checks.beaten} of {RANDOM} random maps as good"
    assert checks.seeds is None


def test_an_empty_map_says_nothing_and_nobody_is_asked_for_more():
    explainer = Known({0: 0 * HERE}, HERE)
    checks = checks_of(explainer, attribution_map(explainer, [0], "grad-cam", 1), key=7)
    assert checks.verdict == "This map says nothing: no place speaks for this class." and checks.nothing
    assert checks.insertion is checks.deletion is checks.shuffled is None
    assert len(explainer.asked) == 1


def test_what_shuffled_networks_draw_too_and_small_pictures_are_warned_of():
    small = marks(0.3, 0.3, side=64)
    explainer = Known({0: small}, small, marks(0.32, 0.3, side=64))
    checks = checks_of(explainer, attribution_map(explainer, [0], "grad-cam", 1), key=7)
    assert checks.brief == "better than 19 random maps, but shuffled weights draw much the same"
    alike, few = checks.warnings
    assert alike.startswith("Networks with shuffled weights draw much the same map (rank correlation 1.00)")
    assert few == "These models read 64 px: below 128 px a map has too few places to point at anything."


def test_methods_agree_by_their_order_of_places():
    explainer = Known({0: HERE, 1: THERE, 2: 0 * HERE, 3: HERE**3}, HERE)
    here, there, empty, steep = (attribution_map(explainer, [seed], "grad-cam", 1) for seed in range(4))
    assert agreement(here, steep) > 0.999 > 0 > agreement(here, there)
    assert agreement(here, empty) is None


def test_random_maps_are_as_smooth_and_the_same_for_the_same_image():
    values = places(HERE)
    first, again = (random_like(values, 5, np.random.default_rng([7, 1])) for _ in range(2))
    assert np.array_equal(first, again)
    spectrum = np.abs(np.fft.fft2(values - values.mean()))
    for drawn in first:
        assert np.allclose(np.abs(np.fft.fft2(drawn)), spectrum, atol=1e-6)
        assert abs(np.corrcoef(drawn.ravel(), values.ravel())[0, 1]) < 0.9
