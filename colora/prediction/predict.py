"""`colora predict`: single images and folders of them, each with its answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colora.data.listing import list_tree
from colora.data.prepare import CONVERSIONS, Converted, count_pages, image_checksum, read_pages
from colora.prediction.answer import Page, about, answer
from colora.prediction.known import Known
from colora.prediction.models import GroupModels
from colora.prediction.volume import volume_answer
from colora.runs.access import named_place
from colora.runs.folder import Group
from colora.system.download import Progress, quiet
from colora.system.errors import UserError

AT_ONCE = 16  # pages of a file that are held in memory


@dataclass(frozen=True, eq=False)
class Predictor:
    """A group that answers: its models, loaded once, and what it knows of its own images."""

    models: GroupModels
    known: Known

    @classmethod
    def of(cls, group: Group, device: str = "auto") -> "Predictor":
        """Raises UserError where no seed is finished, or a file is damaged."""
        return cls(GroupModels.of(group, device, keep=True), Known.of(group))

    def answers(self, images: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """`answer.answer` of each prepared image (S, S) uint8."""
        found = self.models.seen(np.stack(images), self.known.best.seed)
        distances = [None] * len(images) if found.distances is None else found.distances
        return [
            answer(self.known, Page(p, features, own, image_checksum(image), float(image.std())))
            for p, features, own, image in zip(found.probabilities, found.features, distances, images, strict=True)
        ]


def predict_images(group: Group, paths: Sequence[Path], on_progress: Progress = quiet) -> dict[str, Any]:
    """`answer.about` a group, and what it answers to each image file: of folders, each image below them; of a file
    with several pages, each page, and in `volumes` the file's own answer (`volume.volume_answer`).

    Of a folder, files that do not open are in `refused`, with the reason. `on_progress` is called with ("predicting",
    done, all). Raises UserError for a file that was named and does not open, and as `Predictor.of`.
    """
    sources, unnamed = _sources(paths)
    predictor, converted = Predictor.of(group), Converted()
    images, refused, volumes = [], [], []
    for done, path in enumerate(sources):
        on_progress("predicting", done, len(sources))
        try:
            pages = list(_pages(predictor, path, converted))
        except UserError as error:
            if path not in unnamed:
                raise
            refused.append({"path": str(path), "reason": str(error)})
            continue
        images += pages
        if len(pages) > 1:
            volumes.append({"path": str(path), **volume_answer(pages)})
    on_progress("predicting", len(sources), len(sources))
    return {
        **about(predictor.known),
        "images": images,
        "volumes": volumes,
        "refused": refused,
        "image_warnings": converted.sentences(len(images)),
    }


def _pages(predictor: Predictor, path: Path, converted: Converted) -> Iterator[dict[str, Any]]:
    """The answers to a file's pages, in order; a file with one has no `page`. Raises ImageError."""
    size, count = predictor.known.image_size, count_pages(path)
    for first in range(0, count, AT_ONCE):
        found = read_pages(path, size, first, AT_ONCE)
        told = predictor.answers([each.prepared for each in found])
        for page, (each, answer_) in enumerate(zip(found, told, strict=True), start=first):
            converted.add(each.kinds, str(path))
            where = {"path": str(path)} | ({"page": page} if count > 1 else {})
            yield {**where, "conversions": [CONVERSIONS[kind] for kind in each.kinds], **answer_}


def _sources(paths: Sequence[Path]) -> tuple[list[Path], set[Path]]:
    """The files that are meant, in order, and which of them nobody has named. Raises UserError where a folder cannot
    be read, or has no image."""
    found: list[Path] = []
    unnamed: set[Path] = set()
    for path in (named_place(path, "images") for path in paths):
        if path.is_dir():
            below = [path / inside for inside in list_tree(path).top.paths()]
            if not below:
                raise UserError(f"There is no image in {path}.", field="images")
            found += below
            unnamed |= set(below)
        else:
            found.append(path)
    return found, unnamed
