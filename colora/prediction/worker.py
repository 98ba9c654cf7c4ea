"""A group's models in a process of their own, beside a page: `colora worker GROUP`.

Asked on stdin, answered on stdout, a line of JSON each; what is printed otherwise goes to stderr:

    > {"id": 1, "seeds": [0, 1], "features_of": 0, "name": "scan.png", "bytes": 51234}   and then the file's bytes
    > {"id": 2, "seeds": [0, 1], "features_of": 0, "path": "/a/b.tif", "page": 12}       a page of several, 0 the first
    > {"id": 3, "seeds": [0, 1], "features_of": 0, "path": "...", "page": 0, "pages": 16}    so many from there on
    > {"id": 4, ..., "explain": {"seed": 0, "method": "grad-cam", "class": 2, "shuffled": false}}
    > {"id": 5, ..., "perturb": {"seed": 0, "class": 2, "orders": [[17, 3, ...], ...]}}
    < {"ready": true}                                                                    first of all
    < {"id": 1, "pages": 1, "seen": [{...}]}                                             or {"id": 1, "refused": why}

    < {"id": 4, "checksum": "...", "map": "..."}                                         base64 of S x S float16
    < {"id": 5, "checksum": "...", "curves": [[[...], ...], ...]}

Each page is `seen` as `answer.Page` has it, of the R seeds and with the features of the seed that was asked for, and
with its picture as data URIs. What an answer is made of beside these, a page knows itself
(`known`, `answer`): so that this process is ready as soon as torch is, it imports neither pandas nor scipy
until it is asked where the models look.

The image is held in memory and in no file. The process ends when stdin does, so with the server; when nobody has asked
for a while; when other `seeds` are meant than it holds, since one has finished meanwhile; and, by exit code TOO_MUCH,
when an image takes more memory than it may.
"""

import base64
import json
import os
import select
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil
from PIL import Image

from colora.data.encoded import eight_bit, lossless, tile
from colora.data.prepare import (
    CONVERSIONS,
    Source,
    Upload,
    Whole,
    count_pages,
    each_page,
    image_checksum,
    read_page,
)
from colora.prediction.models import GroupModels
from colora.runs.folder import Group
from colora.system.errors import UserError

IDLE_SECONDS = 300.0
MOST_BYTES = 512 * 2**20  # of one image file, as the app's own limit for uploads
SPARE_BYTES = 2 * 2**30  # that images may take beyond what the loaded models do
MOST_AT_ONCE = 16  # pages
LOOK_SECONDS = 0.1
TOO_MUCH = 3
LARGEST_SIDE = 3000  # pixels of a picture that a browser is sent


def serve(group: Group, idle: float = IDLE_SECONDS, spare: int = SPARE_BYTES) -> None:
    """Answers until nobody asks any more. Raises UserError where the group cannot answer."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that no library can write between the answers
    models, size = GroupModels.of(group, "cpu", keep=True), group.config.image_size  # a GPU is left to those who train
    for run in models.runs:
        models.model(run)
    _write(answers, {"ready": True})
    if not _waits(sys.stdin.buffer, 0):  # the first image takes longer: let it be none that somebody waits for
        models.seen(np.zeros((1, size, size), np.uint8), models.runs[0].seed)
    _watch_memory(psutil.Process().memory_info().rss + spare)
    while (asked := _next(sys.stdin.buffer, idle)) is not None:
        request, source = asked
        if request["seeds"] != [run.seed for run in models.runs]:
            return
        try:
            told = _answer(models, size, source, request)
        except UserError as error:
            told = {"refused": str(error)}
        _write(answers, {"id": request["id"], **told})


def _next(questions: BinaryIO, idle: float) -> tuple[dict[str, Any], Source] | None:
    """The next request and its image; None where nobody asks any more."""
    if not _waits(questions, idle) or not (line := questions.readline()):
        return None
    request = json.loads(line)
    if "path" in request:
        return request, Path(request["path"])
    data = questions.read(min(int(request["bytes"]), MOST_BYTES))
    return (request, Upload(request["name"], data)) if len(data) == request["bytes"] else None


def _waits(questions: BinaryIO, idle: float) -> bool:
    """Whether something comes within so many seconds. Nothing is left in the buffer between two requests: the next is
    written when the last was answered."""
    if sys.platform == "win32":  # which cannot wait for a pipe
        return True
    return bool(select.select([questions], [], [], idle)[0])


def _answer(models: GroupModels, size: int, source: Source, request: dict[str, Any]) -> dict[str, Any]:
    """Raises UserError for what is no image, or has no such page."""
    if "explain" in request or "perturb" in request:
        return _looked(models, size, source, request)
    first, several = int(request.get("page", 0)), "pages" in request
    wanted = each_page(source, size, first, min(int(request.get("pages", 1)), MOST_AT_ONCE))
    found = [_small(page) if several else page for page in wanted]
    if not found:
        raise UserError(f"{source} has no page {first + 1}.")
    predicted = models.seen(np.stack([page.prepared for page in found]), int(request["features_of"]))
    seen = [
        {
            "probabilities": predicted.probabilities[i].tolist(),
            "features": predicted.features[i].tolist(),
            "distances": None if predicted.distances is None else predicted.distances[i].tolist(),
            "checksum": str(image_checksum(page.prepared)),  # more than a JSON number holds
            "contrast": float(page.prepared.std()),
            "conversions": [CONVERSIONS[kind] for kind in page.kinds],
            "tile": tile(page.prepared),
            **({} if several else _large(page)),
        }
        for i, page in enumerate(found)
    ]
    return {"pages": count_pages(source), "seen": seen}


def _looked(models: GroupModels, size: int, source: Source, request: dict[str, Any]) -> dict[str, Any]:
    """Where one seed looks, or how its answer changes where places are covered."""
    from colora.explanation.maps import scaled
    from colora.prediction.explained import ModelExplainer  # and scipy, and captum

    image = read_page(source, size, int(request.get("page", 0))).prepared
    explainer, found = ModelExplainer(models, image), {"checksum": str(image_checksum(image))}
    if asked := request.get("explain"):
        values = scaled(explainer.map(asked["seed"], asked["method"], asked["class"], asked["shuffled"]))
        return found | {"map": base64.b64encode(values.astype("<f2").tobytes()).decode()}
    asked = request["perturb"]
    orders = np.array(asked["orders"], dtype=np.int64)
    return found | {"curves": explainer.perturbed(asked["seed"], asked["class"], orders).tolist()}


def _small(page: Whole) -> Whole:
    """Without its pixels, of which many pages at once would take very much."""
    return page._replace(pixels=np.empty((0, 0), np.uint8))


def _large(page: Whole) -> dict[str, Any]:
    """`layers`: the page as it is, where that is more than the network reads, and as the network reads it."""
    original, side = eight_bit(page.pixels), page.prepared.shape[1]
    layers = {}
    if original.shape != page.prepared.shape:
        layers[f"Original, {original.shape[1]} × {original.shape[0]}"] = lossless(_bounded(original))
    layers[f"As the network sees it, {side} px"] = lossless(page.prepared)
    return {"size": [original.shape[1], original.shape[0]], "layers": layers}


def _bounded(pixels: np.ndarray) -> np.ndarray:
    if max(pixels.shape[:2]) <= LARGEST_SIDE:
        return pixels
    picture = Image.fromarray(pixels)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _watch_memory(most: int) -> None:
    """Ends the process when it takes more bytes: what decodes and scales an image cannot be asked to take fewer."""

    def look() -> None:
        own = psutil.Process()
        while own.memory_info().rss <= most:
            time.sleep(LOOK_SECONDS)
        os._exit(TOO_MUCH)

    threading.Thread(target=look, name="memory", daemon=True).start()


def _write(answers: BinaryIO, document: dict[str, Any]) -> None:
    answers.write(json.dumps(document, allow_nan=False).encode() + b"\n")
    answers.flush()
