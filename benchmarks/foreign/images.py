"""Pictures that a model of retinal OCT was never meant to see, by kind, in two sets of different files.

The set "choose" settles which measure is taken, "report" says what it is worth: no file is in both, and scans that are
turned, cut or inverted are validation's in the first and test's in the second. What the wheels of scikit-image,
scikit-learn, pydicom and nibabel bring is read where it lies; nothing is downloaded, and nothing drawn from an eye but
what the scans' file and `shared/` hold. Every picture is a PIL image, as a person would bring it.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

Set = Literal["choose", "report"]
Pictures = list[Image.Image]
CROPS = 6  # of each file, beside the whole
FAULT = 4  # the strongest of the five strengths of shared/cases/octc_reference.npz

PHOTOGRAPHS = {
    "choose": ("camera.png", "coffee.png", "motorcycle_right.png", "moon.png", "brick.png", "flower.jpg"),
    "report": ("astronaut.png", "chelsea.png", "rocket.jpg", "coins.png", "grass.png", "gravel.png", "china.jpg"),
}
MICROSCOPY = {"choose": ("cell.png",), "report": ("ihc.png", "hubble_deep_field.jpg")}
SCREENS = {"choose": ("page.png", "logo.png"), "report": ("text.png", "chessboard_GRAY.png", "color.png")}
DICOM = {
    "choose": ("MR_small", "J2K_pixelrep_mismatch", "examples_rgb_color"),
    "report": ("CT_small", "693_J2KI", "examples_overlay", "examples_palette"),
}
VOLUMES = {"choose": "example4d.nii.gz", "report": "anatomical.nii"}  # of a head, by MR

EXPECTED = "expected to go unseen"
KINDS = {
    "photographs": "photographs of people, things, surfaces",
    "fundus": "the eye's ground from the front: colour photograph; near infrared and a detail of one to choose by",
    "medical": "CT, MR and ultrasound",
    "microscopy": "cells, tissue; a field of stars",
    "phantoms": "Shepp-Logan's and generated ellipses, as a CT of a body",
    "screens": "text, pages, signs, test patterns",
    "blank": "one grey level, or nearly",
    "noise": "noise of several sorts, coarse and fine",
    "inverted": "scans in negative",
    "turned": "scans turned by 90 degrees",
    "upside down": "scans mirrored top to bottom",
    "corner": "a corner of a scan, a quarter of its side, without the retina",
    "detail": "a quarter of a scan's side out of the retina",
    "mirrored": f"scans mirrored left to right, the other eye: {EXPECTED}",
    "optic disc": "one B-scan of the optic nerve's head, raw, of another source",
    "degraded": f"scans with one of OCTMNIST-C's six faults, at its strongest: not foreign, {EXPECTED} or in part",
}
JUDGED = [kind for kind, about in KINDS.items() if EXPECTED not in about and kind != "optic disc"]
"""The kinds that choose: what is to be noticed, and more than one picture."""


def foreign(which: Set, scans: np.ndarray, shared: Path) -> dict[str, Pictures]:
    """Pictures of each kind, but of kinds without one; `scans` (N, S, S) uint8 are those to turn and cut."""
    rng = np.random.default_rng(0 if which == "choose" else 1)
    found = {
        "photographs": _crops([_shipped(name) for name in PHOTOGRAPHS[which]], rng),
        "fundus": _crops(_fundus(which, shared), rng),
        "medical": list(_medical(which)),
        "microscopy": _crops([_shipped(name) for name in MICROSCOPY[which]], rng),
        "phantoms": [_body(rng) for _ in range(12)] + ([_shipped("phantom.png")] if which == "report" else []),
        "screens": _crops([_shipped(name) for name in SCREENS[which]], rng),
        "blank": _blank(rng),
        "noise": _noise(rng),
        "inverted": _each(scans, lambda scan: 255 - scan),
        "turned": _each(scans, lambda scan: np.rot90(scan, 1 if which == "choose" else 3)),
        "upside down": _each(scans, np.flipud),
        "corner": _each(scans, _corner),
        "detail": _each(scans, _detail),
        "mirrored": _each(scans, np.fliplr),
    }
    if which == "report":
        found["optic disc"] = _raw(shared)[1:]
        found["degraded"] = _degraded(shared)
    return {kind: pictures for kind, pictures in found.items() if pictures}


def pictures_from() -> dict[str, str]:
    """{package: version} of those that brought pictures."""
    found = {}
    for package in ("scikit-image", "scikit-learn", "pydicom", "nibabel"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _each(scans: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> Pictures:
    return [Image.fromarray(np.ascontiguousarray(change(scan))) for scan in scans]


def _shipped(name: str) -> Image.Image:
    package, folder = ("sklearn.datasets", "images") if name in ("china.jpg", "flower.jpg") else ("skimage", "data")
    with (files(package) / folder / name).open("rb") as file:
        image = Image.open(file)
        image.load()
    return image.convert("RGB" if image.mode == "RGBA" else image.mode)


def _crops(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """Each whole, and CROPS squares of 30 to 90 % of its short edge."""
    found = []
    for picture in pictures:
        found.append(picture)
        for _ in range(CROPS):
            side = int(min(picture.size) * rng.uniform(0.3, 0.9))
            left, top = (int(rng.integers(0, edge - side + 1)) for edge in picture.size)
            found.append(picture.crop((left, top, left + side, top + side)))
    return found


def _fundus(which: Set, shared: Path) -> Pictures:
    if which == "report":
        return [_shipped("retina.jpg")]
    return [_shipped("microaneurysms.png"), *_raw(shared)[:1]]


def _raw(shared: Path) -> Pictures:
    """The near infrared image (768, 768) and the only B-scan (496, 768) of Heidelberg's raw file; none without it.

    The B-scan's values, 0 to 1, are shown as their fourth root, as Heidelberg's viewer does.
    """
    path = shared / "data" / "volumes" / "heidelberg_one_scan.vol"
    if not path.exists():
        return []
    raw = path.read_bytes()
    width, _, height = np.frombuffer(raw, "<i4", 3, 12)
    slo_width, slo_height = np.frombuffer(raw, "<i4", 2, 48)
    header = int(np.frombuffer(raw, "<i4", 1, 100)[0])
    slo = np.frombuffer(raw, np.uint8, slo_width * slo_height, 2048).reshape(slo_height, slo_width)
    scan = np.frombuffer(raw, "<f4", width * height, 2048 + slo.size + header).reshape(height, width)
    grey = np.where(scan > 1, 0, scan) ** 0.25 * 255  # above 1: no value was measured
    return [Image.fromarray(slo), Image.fromarray(grey.astype(np.uint8))]


def _medical(which: Set) -> Iterator[Image.Image]:
    """Nothing where pydicom and nibabel are not installed."""
    try:
        import nibabel
        import pydicom
    except ImportError:
        return
    for name in DICOM[which]:
        pixels = pydicom.dcmread(files(pydicom) / "data" / "test_files" / f"{name}.dcm").pixel_array
        yield _to_grey(pixels)
    volume = nibabel.load(files(nibabel) / "tests" / "data" / VOLUMES[which]).get_fdata()
    volume = volume[..., 0] if volume.ndim == 4 else volume
    for at in np.linspace(0.25, 0.75, 6):
        yield _to_grey(np.rot90(volume[:, :, int(at * volume.shape[2])]))


def _to_grey(pixels: np.ndarray) -> Image.Image:
    """From (H, W) of any depth, over its own range, or (H, W, 3)."""
    values = pixels.astype(np.float64)
    values = (values - values.min()) / max(np.ptp(values), 1e-12) * 255
    return Image.fromarray(values.round().astype(np.uint8))


def _body(rng: np.random.Generator, side: int = 256) -> Image.Image:
    """A bright ring and ellipses of other greys in it, on black, as a CT of a body."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    wide, high = rng.uniform(0.6, 0.9, 2)
    image = np.zeros((side, side))
    for scale, grey in ((1.0, 0.9), (0.93, rng.uniform(0.3, 0.5))):
        image[(x / (wide * scale)) ** 2 + (y / (high * scale)) ** 2 < 1] = grey
    for _ in range(rng.integers(4, 9)):
        across, down = rng.uniform(-0.45, 0.45, 2)
        a, b = rng.uniform(0.06, 0.3, 2)
        image[((x - across) / a) ** 2 + ((y - down) / b) ** 2 < 1] = rng.uniform(0, 1)
    noisy = image + rng.normal(0, rng.uniform(0, 0.04), image.shape)
    return Image.fromarray((noisy.clip(0, 1) * 255).astype(np.uint8))


def _blank(rng: np.random.Generator, side: int = 224) -> Pictures:
    levels = (0, 8, 32, 64, 128, 192, 255)
    flat = [np.full((side, side), level) for level in levels]
    nearly = [rng.normal(level, 3, (side, side)) for level in levels]
    return [Image.fromarray(image.clip(0, 255).astype(np.uint8)) for image in flat + nearly]


def _noise(rng: np.random.Generator, side: int = 224) -> Pictures:
    found = []
    for cell in (1, 4, 16):  # pixels of one random value
        small = (side // cell, side // cell)
        for values in (
            rng.uniform(0, 256, small),
            rng.normal(128, 40, small),
            rng.exponential(40, small),  # as speckle is
            255.0 * (rng.uniform(size=small) < 0.1),
        ):
            found.append(np.kron(values.clip(0, 255), np.ones((cell, cell))).astype(np.uint8))
    return [Image.fromarray(image) for image in found]


def _corner(scan: np.ndarray) -> np.ndarray:
    """The corner, a quarter of the side, with least in it."""
    part = len(scan) // 4
    ends = slice(part), slice(-part, None)
    corners = [scan[rows, columns] for rows in ends for columns in ends]
    return min(corners, key=lambda corner: float(corner.std()))


def _detail(scan: np.ndarray) -> np.ndarray:
    """A quarter of the side around the brightest row of the middle column, which the retina crosses."""
    part = len(scan) // 4
    middle = scan[:, 3 * part // 2 : 5 * part // 2].astype(np.float64)
    middle[middle > 240] = 0  # white margins of a turned scan
    top = int(np.clip(middle.mean(1).argmax() - part // 2, 0, len(scan) - part))
    return scan[top : top + part, 3 * part // 2 : 5 * part // 2]


def _degraded(shared: Path) -> Pictures:
    path = shared / "cases" / "octc_reference.npz"
    if not path.exists():
        return []
    with np.load(path) as faults:
        return [Image.fromarray(scan) for name in faults if name != "clean" for scan in faults[name][:, FAULT]]
