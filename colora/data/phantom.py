"""SYNTHETIC retinal OCT B-scans with known lesions: a data set that needs no download. Not for clinical use.

No patient, scanner or atlas stands behind these images. They let every step of a study be tried and tested
offline; accuracies on them say nothing about real eyes.

A B-scan is a stack of layers: each of the W columns has a thickness and a reflectance per layer. A lesion
edits these two tables (drusen: material under the RPE lifts all that lies above), then the stack is drawn,
cysts and exudates are painted into it, and shadows, speckle and the device's brightness come last. Lengths
are shares of the image's side, so one image id shows the same eye at every image size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from colora.data.dataset import SPLITS

CLASS_NAMES = ("CNV", "DME", "DRUSEN", "NORMAL")

# Vitreous side first: thickness as a share of the parafoveal retina, reflectance in 0..1 as displayed (log
# scale). The two spaces are empty in a healthy eye; CNV fills the upper, drusen the lower one.
LAYERS = {
    "RNFL": (0.10, 0.50), "GCL-IPL": (0.23, 0.36), "INL": (0.13, 0.22), "OPL": (0.07, 0.35),
    "ONL": (0.23, 0.17), "ELM": (0.015, 0.30), "myoid": (0.04, 0.19), "ellipsoid": (0.04, 0.66),
    "outer segments": (0.045, 0.34), "subretinal space": (0.0, 0.12), "RPE": (0.06, 0.82),
    "sub-RPE space": (0.0, 0.42), "Bruch": (0.02, 0.62),
}  # fmt: skip
ROW = {name: row for row, name in enumerate(LAYERS)}
VITREOUS, CHOROID, FLUID, EXUDATE = 0.055, 0.46, 0.06, 0.85  # reflectances besides the stack's


@dataclass(frozen=True)
class PhantomSettings:
    """How hard the data set is, and how large. ValueError where a field is out of range."""

    severity_range: tuple[float, float] = (0.02, 1.0)
    """From lesions under a pixel at 64 px, so no model is perfect, to gross ones. (0, 0): all healthy."""
    severity_power: float = 0.6
    """Below 1 there are more severe than mild eyes, as in a clinic that treats; few are hopeless."""
    speckle: float = 0.28
    """Standard deviation of multiplicative noise at 224 px: more than in averaged scans, layers show."""
    prior: tuple[float, float, float, float] = (0.34, 0.10, 0.08, 0.47)
    """Class shares of train and val, in CLASS_NAMES order: OCTMNIST's. Test is balanced, as there."""
    counts: tuple[int, int, int] = (2400, 320, 240)
    """Images in train, val and test. Balanced, 194 of each class train: a minute's work for a small network."""
    max_scans: int = 3
    """A patient gives 1 to this many scans, so that splitting by patient matters."""

    def __post_init__(self):
        low, high = self.severity_range
        if not 0 <= low <= high <= 1:
            raise ValueError(f"severity_range must be 0 <= low <= high <= 1, found {self.severity_range}")
        if len(self.prior) != 4 or min(self.prior) < 0 or sum(self.prior) == 0:
            raise ValueError(f"prior must hold 4 shares of 0 or more, not all zero, found {self.prior}")
        if len(self.counts) != 3 or min(self.counts) < 0 or self.max_scans < 1:
            raise ValueError(f"need 3 counts >= 0 and max_scans >= 1, found {self.counts}, {self.max_scans}")


SETTINGS = PhantomSettings()  # fixed before any method was tuned on it


class Phantom(NamedTuple):
    images: np.ndarray  # (N, H, W) uint8
    labels: np.ndarray  # (N,) int64, index into CLASS_NAMES
    severity: np.ndarray  # (N,) float32 in 0..1, 0 for NORMAL
    patient_ids: np.ndarray  # (N,) str, "test-0012"; they do not name the class
    image_ids: np.ndarray  # (N,) str, "test-0012-1": the patient's scan 1


def generate(split: str, image_size: int, seed: int = 0, settings: PhantomSettings = SETTINGS) -> Phantom:
    """Draw one split (train, val or test) at `image_size` pixels a side, 16 or more; `seed` is 0 or more.

    An image depends on (seed, split, patient, scan) and the settings alone, never on how many are drawn:
    a smaller count gives the first images of a larger one. ValueError for another split, size or seed.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, found {split!r}")
    if not isinstance(image_size, (int, np.integer)) or image_size < 16:
        raise ValueError(f"image_size must be a whole number of pixels, 16 or more, found {image_size!r}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, found {seed}")
    count = settings.counts[SPLITS.index(split)]
    images = np.empty((count, image_size, image_size), np.uint8)
    severity = np.empty(count, np.float32)
    ids = []
    for index, (label, patient, scan) in enumerate(_scans(split, seed, settings)):
        images[index], severity[index] = _draw_scan(
            CLASS_NAMES[label], image_size, (seed, SPLITS.index(split), patient), scan, settings
        )
        ids.append((f"{split}-{patient:04d}", f"{split}-{patient:04d}-{scan}"))
    patient_ids, image_ids = np.array(ids, dtype=str).reshape(count, 2).T
    return Phantom(images, class_labels(split, settings), severity, patient_ids, image_ids)


def draw(split: str, index: int, image_size: int) -> np.ndarray:
    """(image_size, image_size) uint8: image `index` of `generate(split, image_size)`, alone. IndexError if none."""
    if index < 0:
        raise IndexError(f"images count from 0, found {index}")
    label, patient, scan = _plan(split)[index]
    return _draw_scan(CLASS_NAMES[label], image_size, (0, SPLITS.index(split), patient), scan, SETTINGS)[0]


def lesion(split: str, index: int, image_size: int) -> np.ndarray:
    """(image_size, image_size) bool: where the lesion of `draw(split, index, image_size)` lies, nowhere in a healthy
    eye. What has come into the two spaces and the spots in the layers count, and of layers that swell the part that has
    swollen at least half as much as where they have most; what these only displace does not. IndexError if none."""
    if index < 0:
        raise IndexError(f"images count from 0, found {index}")
    label, patient, scan = _plan(split)[index]
    return _eye(CLASS_NAMES[label], image_size, (0, SPLITS.index(split), patient), scan, SETTINGS).lesion()


def patients(split: str) -> np.ndarray:
    """(count,) str, whose each image of a split is, without drawing one."""
    return np.array([f"{split}-{patient:04d}" for _, patient, _ in _plan(split)], dtype=str)


@cache
def _plan(split: str) -> tuple[tuple[int, int, int], ...]:
    return tuple(_scans(split, 0, SETTINGS))


def _scans(split: str, seed: int, settings: PhantomSettings) -> Iterator[tuple[int, int, int]]:
    """(label, patient, scan) of each image, in order."""
    patients = 0
    waiting = [[] for _ in CLASS_NAMES]  # per class: (patient, scan) still to come from its current patient
    for label in class_labels(split, settings).tolist():
        if not waiting[label]:
            scans = _generator(seed, SPLITS.index(split), patients, 0).integers(1, settings.max_scans + 1)
            waiting[label] = [(patients, scan) for scan in range(scans)]
            patients += 1
        yield label, *waiting[label].pop(0)


def class_labels(split: str, settings: PhantomSettings = SETTINGS) -> np.ndarray:
    """(count,) int64 labels of one split, without drawing an image: always the class furthest behind its share, so any
    prefix has the shares too."""
    count = settings.counts[SPLITS.index(split)]
    shares = np.ones(4) if split == "test" else np.array(settings.prior)
    shares = shares / shares.sum()
    labels, drawn = np.empty(count, np.int64), np.zeros(4)
    for index in range(count):
        labels[index] = np.argmax(shares * (index + 1) - drawn)
        drawn[labels[index]] += 1
    return labels


def _generator(*key):
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


class _Eye(NamedTuple):
    """All that one scan is drawn from; `healthy` is the thickness without the lesion."""

    x: np.ndarray
    thickness: np.ndarray
    reflectance: np.ndarray
    healthy: np.ndarray
    bruch: np.ndarray
    spots: list
    style: np.ndarray
    severity: float
    generators: tuple

    def lesion(self):
        """(H, W) bool, see `lesion`."""
        size, y = len(self.x), self.x[:, None]
        tops = _tops(self.thickness, self.bruch)
        added = self.thickness - self.healthy
        swollen = added[ROW["INL"]] >= max(0.5 * added[ROW["INL"]].max(), 1e-9)  # what is lifted swells the ONL alone
        there = np.zeros((size, size), bool)
        for name in ("INL", "ONL", "subretinal space", "sub-RPE space"):
            columns = swollen if name in ("INL", "ONL") else added[ROW[name]] >= 0.5 / size
            there |= (y >= tops[ROW[name]]) & (y < tops[ROW[name] + 1]) & columns
        for spot in self.spots:
            there |= _ellipse(self.x, tops, spot)[0] <= 1
        return there


def _draw_scan(class_name, size, patient_key, scan, settings):
    """(size, size) uint8 image and its severity. Eye, scan, lesion and noise have their own generators, so an
    image and its healthy twin (severity 0) differ in the lesion only."""
    eye = _eye(class_name, size, patient_key, scan, settings)
    scan_rng, lesion_rng, noise_rng = eye.generators
    image = _render(eye.x, eye.thickness, eye.reflectance, eye.bruch, eye.spots, scan_rng, lesion_rng)
    return _acquire(image, eye.x, eye.style, settings.speckle, scan_rng, noise_rng), eye.severity


def _eye(class_name, size, patient_key, scan, settings):
    """One scan's layers with its lesion, before they are drawn."""
    eye_rng = _generator(*patient_key, 1)
    scan_rng, lesion_rng, noise_rng = (_generator(*patient_key, 2 + scan, part) for part in range(3))
    low, high = settings.severity_range
    severity = low + (high - low) * eye_rng.random() ** settings.severity_power  # the patient's; scans vary
    severity = np.clip(severity * lesion_rng.uniform(0.75, 1.25), low, high)
    if class_name == "NORMAL":
        severity = 0.0

    # Pixel centres. float64, so that a CPU's last bit hardly ever decides how a pixel is rounded to uint8.
    x = (np.arange(size) + 0.5) / size
    thickness, reflectance, bruch, pit_x, style = _healthy_stack(x, eye_rng, scan_rng)
    healthy, spots = thickness.copy(), []
    if severity > 0:
        add = {"CNV": _add_cnv, "DME": _add_dme, "DRUSEN": _add_drusen}[class_name]
        spots = add(x, thickness, reflectance, severity, pit_x, lesion_rng)
    return _Eye(x, thickness, reflectance, healthy, bruch, spots, style, severity, (scan_rng, lesion_rng, noise_rng))


def _healthy_stack(x, eye_rng, scan_rng):
    """Thickness and reflectance (13, W) per layer, top of Bruch's membrane (W,), pit position, style (3,)."""
    total = eye_rng.uniform(0.24, 0.30)
    slope, curve = eye_rng.normal(0, 0.10), eye_rng.uniform(-0.08, 0.30)
    pit_x, pit_width = eye_rng.uniform([0.38, 0.07], [0.62, 0.12])
    nasal = eye_rng.choice([-1, 1])
    style = eye_rng.uniform([0.75, 0.8, 0.0], [1.15, 1.25, 0.05])  # gain, gamma, haze: device and lens
    # A scan beside the fovea has a shallow pit or none: a flat contour alone must not mean oedema.
    pit_depth = eye_rng.uniform(0.75, 0.97) * scan_rng.choice([1.0, 1.0, 0.7, 0.25])

    pit_x = pit_x + scan_rng.normal(0, 0.02)
    pit = np.exp(-(((x - pit_x) / pit_width) ** 2))
    share, level = np.array(list(LAYERS.values())).T
    thickness = total * share[:, None] * np.ones_like(x)
    reflectance = level[:, None] * np.ones_like(x)
    thickness[: ROW["ONL"]] *= 1 - pit_depth * pit
    thickness[ROW["RNFL"]] *= np.clip(1 + 1.6 * nasal * (x - pit_x), 0.3, 2)
    thickness[ROW["ONL"]] *= 1 + 0.35 * pit_depth * pit
    thickness[: ROW["ELM"]] *= 1 + 0.03 * _waves(x, scan_rng, 2, 5)

    centre = eye_rng.uniform(0.56, 0.70) + scan_rng.normal(0, 0.02)
    bruch = centre + (slope + scan_rng.normal(0, 0.02)) * (x - 0.5) - curve * (x - 0.5) ** 2
    bruch = bruch + 0.004 * _waves(x, scan_rng, 2, 6)
    # A healthy RPE is not a ruler's edge: without this roughness the smallest druse would be obvious.
    thickness[ROW["RPE"]] *= 1 + 0.12 * _waves(x, scan_rng, 8, 30)
    reflectance[ROW["ellipsoid"]] *= 1 + 0.08 * _waves(x, scan_rng, 3, 20)
    return thickness, reflectance, bruch, pit_x, style


def _waves(x, rng, low, high):
    """(W,) smooth noise of unit variance: six sines with `low` to `high` periods across the image."""
    periods, phases = rng.uniform(low, high, (6, 1)), rng.uniform(0, 2 * np.pi, (6, 1))
    return np.sin(2 * np.pi * periods * x + phases).sum(0) / np.sqrt(3)


def _lift(x, thickness, space, height):
    """Thicken a space under the photoreceptors by `height` (W,). The ONL gives way as far as it can; the rest
    raises the inner retina as a smooth envelope, for a rough lesion does not roughen the ILM."""
    envelope = (np.exp(-(((x[:, None] - x) / 0.07) ** 2)) * height).max(1)
    onl = thickness[ROW["ONL"]]
    thickness[ROW["ONL"]] = onl - height + np.maximum(0.3 * envelope, envelope - 0.6 * onl)
    thickness[ROW[space]] += height


def _add_drusen(x, thickness, reflectance, severity, pit_x, rng):
    """Domes of grey material between RPE and Bruch's membrane: more, wider and higher with severity."""
    total = thickness.sum(0).max()
    number = 1 + rng.binomial(14, 0.2 + 0.5 * severity)
    centres = np.clip(rng.normal(pit_x, 0.22, (number, 1)), 0.06, 0.94)
    widths = rng.uniform(0.013, 0.026, (number, 1)) * (1 + 0.6 * severity)
    heights = total * (0.05 + 0.23 * severity) * rng.uniform(0.6, 1.0, (number, 1))
    domes = (heights * np.exp(-(((x - centres) / widths) ** 2))).max(0)
    _lift(x, thickness, "sub-RPE space", domes)
    reflectance[ROW["ellipsoid"]] *= 1 - 0.5 * np.clip(domes / (0.25 * total), 0, 1)  # photoreceptors suffer
    return []


def _add_dme(x, thickness, reflectance, severity, pit_x, rng):
    """Swollen INL and ONL; returns the cysts in them and, in some eyes, hard exudates."""
    centre, width = pit_x + rng.normal(0, 0.08), rng.uniform(0.08, 0.16)
    height = 0.9 * severity * rng.uniform(0.5, 1.0) * thickness.sum(0).max()
    swelling = height * np.exp(-(((x - centre) / width) ** 2))
    thickness[ROW["INL"]] += 0.4 * swelling
    thickness[ROW["ONL"]] += 0.6 * swelling
    cysts = _cysts(1 + rng.binomial(14, 0.1 + 0.7 * severity), centre, 0.65 * width, severity, rng)
    number, half = rng.binomial(5, 0.6 * severity), (0.003, 0.008)
    return _spots(number, EXUDATE, centre, 0.12, half, half, rng) + cysts  # later spots cover earlier ones


def _add_cnv(x, thickness, reflectance, severity, pit_x, rng):
    """Bright, uneven subretinal tissue over a broken RPE, often with fluid, a detached RPE or cysts."""
    total = thickness.sum(0).max()
    centre, width = rng.normal(pit_x, 0.09), rng.uniform(0.06, 0.09) + 0.12 * severity
    tissue = np.exp(-(((x - centre) / width) ** 4))  # a plateau, where a druse is a dome
    uneven = np.clip(1 + 0.17 * _waves(x, rng, 3, 10), 0.3, None)
    _lift(x, thickness, "subretinal space", total * (0.06 + 0.38 * severity) * tissue * uneven)
    brightness = rng.uniform(0.45, 0.58) + 0.15 * severity
    reflectance[ROW["subretinal space"]] += tissue * (brightness - reflectance[ROW["subretinal space"]])
    reflectance[ROW["ellipsoid"]] *= 1 - 0.75 * tissue
    broken = np.clip(0.35 + 0.5 * _waves(x, rng, 8, 25), 0, 0.8) * (0.4 + 0.6 * severity)
    reflectance[ROW["RPE"]] *= 1 - broken * tissue
    if rng.random() < 0.5:  # subretinal fluid at one edge of the tissue
        edge = centre + rng.choice([-1, 1]) * 1.2 * width
        pool = np.exp(-(((x - edge) / (0.9 * width)) ** 2)) * (1 - tissue)
        _lift(x, thickness, "subretinal space", 0.35 * severity * total * pool)
    if rng.random() < 0.4:  # pigment epithelial detachment
        dome = np.exp(-(((x - centre - rng.normal(0, 0.03)) / (0.6 * width)) ** 2))
        _lift(x, thickness, "sub-RPE space", 0.30 * severity * total * dome)
    return _cysts(rng.binomial(4, 0.4 * severity), centre, width, severity, rng)


def _cysts(number, centre, spread, severity, rng):
    low, high = np.array([(0.012, 0.018), (0.024, 0.045)]) * (0.7 + 0.9 * severity)
    return _spots(number, FLUID, centre, spread, (low[0], high[0]), (low[1], high[1]), rng)


def _spots(number, level, centre, spread, half_widths, half_heights, rng):
    """Ellipses in INL and ONL: (reflectance, x, layer, depth in it 0..1, half width, half height) each."""
    return [
        (level, rng.normal(centre, spread), ROW["INL"] if rng.random() < 0.4 else ROW["ONL"],
         rng.uniform(0.35, 0.65), rng.uniform(*half_widths), rng.uniform(*half_heights))
        for _ in range(number)
    ]  # fmt: skip


def _render(x, thickness, reflectance, bruch, spots, scan_rng, lesion_rng):
    """Stack, choroid, spots and vessel shadows as a noise-free (H, W) float64 image in 0..1."""
    size, y = len(x), x[:, None]
    bottom, tops = bruch + thickness[ROW["Bruch"]], _tops(thickness, bruch)

    def below(boundary):  # (H, W) share of each pixel that lies under the boundary: exact for thin layers too
        return np.clip((y - boundary) * size + 0.5, 0, 1)

    image, above = np.full((size, size), VITREOUS), VITREOUS
    for top, level in zip(tops, reflectance, strict=True):
        image += below(top) * (level - above)
        above = level
    # What thickens the outer retina takes light from the choroid under it.
    lesion = thickness[ROW["subretinal space"]] + thickness[ROW["sub-RPE space"]]
    choroid = CHOROID * (1 - 0.5 * np.clip(lesion / 0.08, 0, 1)) * (1 - 0.28 * _texture(x, scan_rng, 18, 26))
    decay = np.exp(-np.maximum(y - bottom, 0) / scan_rng.uniform(0.06, 0.13))
    image += below(bottom) * (choroid * decay - above)
    subretinal = below(tops[ROW["subretinal space"]]) - below(tops[ROW["RPE"]])
    image *= 1 + 0.3 * subretinal * _texture(x, lesion_rng, 30, 30)

    for spot in spots:
        radius, half_axis = _ellipse(x, tops, spot)
        image += np.clip((1 - radius) * half_axis * size + 0.5, 0, 1) * (spot[0] - image)

    for _ in range(scan_rng.integers(0, 5)):  # retinal vessels: a shadow through all that lies below them
        vessel_x, half_width, strength = scan_rng.uniform([0, 0.004, 0.25], [1, 0.011, 0.65])
        blurred = np.hypot(half_width, 0.5 / size)  # a vessel thinner than a pixel is fainter, not narrower
        shadow = strength * half_width / blurred * np.exp(-(((x - vessel_x) / blurred) ** 2))
        image *= 1 - shadow * below(tops[ROW["INL"]])
    return image


def _tops(thickness, bruch):
    """(13, W) top of each layer."""
    return bruch + thickness[ROW["Bruch"]] - np.cumsum(thickness[::-1], axis=0)[::-1]


def _ellipse(x, tops, spot):
    """(H, W) distance from a spot's centre, 1 at its edge, and the smaller of its half axes. It hardly leaves its
    layer."""
    _, spot_x, row, depth, half_width, half_height = spot
    column = int(np.clip(spot_x * len(x), 0, len(x) - 1))
    top, room = tops[row, column], tops[row + 1, column] - tops[row, column]
    half_height = min(half_height, max(0.6 * room, 0.008))
    radius = np.hypot((x - spot_x) / half_width, (x[:, None] - top - depth * room) / half_height)
    return radius, min(half_width, half_height)


def _texture(x, rng, rows, columns):
    """(H, W) smooth random field of about unit variance on a coarse grid, the same at every image size."""

    def weights(cells):  # (size, cells) cosine interpolation
        near = np.clip(np.abs(x[:, None] * (cells - 1) - np.arange(cells)), 0, 1)
        return 0.5 + 0.5 * np.cos(np.pi * near)

    return weights(rows) @ rng.standard_normal((rows, columns)) @ weights(columns).T


def _acquire(image, x, style, speckle, scan_rng, noise_rng):
    """What the device adds: uneven light, speckle, brightness, contrast, white corners of a rotated scan."""
    size, y = len(x), x[:, None]
    gain, gamma, haze = style
    aside = np.clip(1.6 * np.abs(x - scan_rng.uniform(0.3, 0.7)), 0, 1)
    image = image * (1 - scan_rng.uniform(0, 0.5) * aside**2)
    # A pixel of an image smaller than 224 px averages several grains of speckle.
    spread = speckle * scan_rng.uniform(0.7, 1.3) * min(1, size / 224)
    noise = spread * noise_rng.standard_normal((2, size, size))
    image = np.maximum(image * (1 + noise[0]) + 0.10 * noise[1], 0)
    image = np.clip(gain * image**gamma + haze, 0, 1)
    corner = scan_rng.choice(["none", "top", "bottom"], p=[0.6, 0.2, 0.2])
    left, right = scan_rng.uniform(-0.05, 0.1, 2)
    edge = left + (right - left) * x
    if corner == "top":
        image[y < edge] = 1
    elif corner == "bottom":
        image[y > 1 - edge] = 1
    return np.rint(255 * image).astype(np.uint8)
