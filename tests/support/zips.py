"""Zips as people and others make them: of small images, and with entries that no honest program writes."""

import io
import stat
import zipfile

import numpy as np
from PIL import Image
from small_data import striped_images


def image_bytes(number: int = 0, kind: str = "PNG") -> bytes:
    """One small image, another one for each number."""
    out = io.BytesIO()
    Image.fromarray(striped_images(np.array([number % 3]), 24, seed=number)[0]).save(out, kind)
    return out.getvalue()


def class_files(patients: int = 4) -> dict[str, bytes]:
    """{path: content} of images of three classes, named as Kermany's."""
    names = [f"{name}/{name}-{n}-1.png" for name in ("AMD", "DME", "NORMAL") for n in range(patients)]
    return {name: image_bytes(number) for number, name in enumerate(names)}


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(entry(name), content, compression)
    return out


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    """Under this very name, which ZipInfo would put right, and with the rights of a Unix file."""
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    return info
