"""`colora predict`: single images and folders of them, each with its answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from colora.data.listing import list_tree
from colora.data.prepare import CONVERSIONS, Converted, count_pages, each_page, image_checksum
from colora.prediction.answer import Page, about, answer
from colora.prediction.known import Known
from colora.prediction.models import GroupModels
from colora.prediction.volume import volume_answer
from colora.runs.access import named_place
from colora.runs.folder import Group
from colora.system.download import Progress, quiet
from colora.system.errors import UserError

AT_ONCE = 32  # images, as they were predicted after training: with as many threads the same bits come out


@dataclass(frozen=True, eq=False)
class Predictor:
    """A group that answers: its models, loaded once, and what it knows of its own images."""

    models: GroupModels
    known: Known

    @classmethod
    def of(cls, group: Group, device: str = "auto") -> "Predictor":
        """Raises UserError where no seed is finished, or a file is damaged."""
        models = GroupModels.of(group, device, keep=True)
        return cls(models, Known.of(group, models.runs))  # without one that has finished in between

    def answers(self, images: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """`answer.answer` of each prepared image (S, S) uint8."""
        found = self.models.seen(np.stack(images), self.known.best.seed)
        distances = [None] * len(images) if found.distances is None else found.distances
        return [
            answer(self.known, Page(p, features, own, image_checksum(image), float(image.std())))
            for p, features, own, image in zip(found.probabilities, found.features, distances, images, strict=True)
        ]


def predict_images(
    group: Group, paths: Sequence[Path], on_progress: Progress = quiet, device: str = "auto"
) -> dict[str, Any]:
    """`answer.about` a group, and what it answers to each image file: of folders, each image below them; of a file
    with several pages, each page, and in `volumes` the file's own answer (`volume.volume_answer`).

    Of a folder, files that do not open are in `refused`, with the reason. `on_progress` is called with ("predicting",
    done, all). Raises UserError for a file that was named and does not open, and as `Predictor.of`.
    """
    sources, unnamed = _sources(paths)
    predictor, converted = Predictor.of(group, device), Converted()
    images, refused = [], []
    for batch in _batches(_pages(sources, unnamed, predictor.known.image_size, refused, on_progress)):
        told = predictor.answers([page.prepared for page in batch])
        for page, answer_ in zip(batch, told, strict=True):
            converted.add(page.kinds, str(page.path))
            where = {"path": str(page.path)} | ({} if page.number is None else {"page": page.number})
            images.append({**where, "conversions": [CONVERSIONS[kind] for kind in page.kinds], **answer_})
    on_progress("predicting", len(sources), len(sources))
    of_volumes: dict[str, list[dict[str, Any]]] = {}
    for image in images:
        if "page" in image:
            of_volumes.setdefault(image["path"], []).append(image)
    return {
        **about(predictor.known),
        "images": images,
        "volumes": [{"path": path, **volume_answer(pages)} for path, pages in of_volumes.items()],
        "refused": refused,
        "image_warnings": converted.sentences(len(images)),
    }


class _Page(NamedTuple):
    """`number`: None of a file with one page."""

    path: Path
    number: int | None
    prepared: np.ndarray
    kinds: tuple[str, ...]


def _pages(
    sources: Sequence[Path], unnamed: set[Path], size: int, refused: list[dict[str, str]], on_progress: Progress
) -> Iterator[_Page]:
    """Each file's pages, of a file whose pages all open; what does not is added to `refused` where nobody named it.
    Raises ImageError where somebody did."""
    for done, path in enumerate(sources):
        on_progress("predicting", done, len(sources))
        pages: list[_Page] = []
        try:
            count = count_pages(path)
            for number, found in enumerate(each_page(path, size, 0, count)):
                pages.append(_Page(path, number if count > 1 else None, found.prepared, found.kinds))
        except UserError as error:
            if path not in unnamed:
                raise
            refused.append({"path": str(path), "reason": str(error)})
            continue
        yield from pages


def _batches(pages: Iterator[_Page]) -> Iterator[list[_Page]]:
    while batch := list(islice(pages, AT_ONCE)):
        yield batch


def _sources(paths: Sequence[Path]) -> tuple[list[Path], set[Path]]:
    """The files that are meant, in order and each once, and which of them nobody has named. Raises UserError where a
    folder cannot be read, or has no image."""
    found: list[Path] = []
    named: set[Path] = set()
    for path in (named_place(path, "images") for path in paths):
        if path.is_dir():
            below = [path / inside for inside in list_tree(path).top.paths()]
            if not below:
                raise UserError(f"There is no image in {path}.", field="images")
            found += below
        else:
            found.append(path)
            named.add(path)
    return list(dict.fromkeys(found)), set(found) - named
