"""The words by which tables say that an image is for training, validation or test."""

from collections.abc import Iterable

import numpy as np

from colora.data.dataset import SPLITS
from colora.data.splits import bare_word, split_named
from colora.system.errors import UserError
from colora.system.typed import shortened

NONE = ("", "unassigned")  # as Vertex AI says that it is to split itself
MOST_TOLD = 8  # words in a sentence


def is_split(text: str) -> bool:
    """Whether a cell is such a word, or says that there is none."""
    return split_named(text) is not None or bare_word(text) in NONE


def split_places(texts: Iterable[str], told_by: str) -> np.ndarray:
    """(N,) int64, places in SPLITS, -1 where a cell tells none. Raises UserError for words that are no split."""
    texts = list(texts)
    if unknown := sorted(text for text in set(texts) if not is_split(text)):
        more = f" and {len(unknown) - MOST_TOLD:,} more" if len(unknown) > MOST_TOLD else ""
        raise UserError(
            f"{told_by[0].upper()}{told_by[1:]} has words that are no split: "
            f"{', '.join(repr(shortened(text)) for text in unknown[:MOST_TOLD])}{more}. train, val and test "
            "are (also training, validation, holdout and the like). Correct them, or give --ignore-splits, by which "
            "all images are split anew (in the app: Ignore splits); --columns split= says that the column is none.",
            field="columns",
        )
    place = {text: SPLITS.index(split) if (split := split_named(text)) else -1 for text in set(texts)}
    return np.array([place[text] for text in texts], dtype=np.int64)


def given_splits(places: np.ndarray, told_by: str) -> np.ndarray | None:
    """The places (N,) of the images that are taken, None where no cell tells any. Raises UserError where some tell a
    split and others do not."""
    if (places < 0).all():
        return None
    if empty := int((places < 0).sum()):
        raise UserError(
            f"{told_by[0].upper()}{told_by[1:]} tells the split of {len(places) - empty:,} images and not that of "
            f"{empty:,}: fill it in, take these rows out, or give --ignore-splits, by which all images are split anew "
            "(in the app: Ignore splits).",
            field="ignore_splits",
        )
    return places
