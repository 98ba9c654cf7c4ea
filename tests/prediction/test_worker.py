"""`colora worker` as what it is, a process that a page asks: its protocol, what it takes, and when it ends."""

import io
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from colora.data.encoded import lossless
from colora.data.prepare import CONVERSIONS, FORMATS
from colora.data.sources import load_dataset
from colora.prediction.predict import Predictor
from colora.prediction.worker import MOST_AT_ONCE, TOO_MUCH
from colora.system.installation import ROOT

LONGEST = 120  # seconds that any answer takes on a busy machine
NO_GPU_IS_ASKED = """
import sys, torch
torch.cuda.is_available = lambda: True
def used(*_): raise SystemExit("a GPU was asked for")
torch.cuda._lazy_init = torch.Tensor.cuda = torch.nn.Module.cuda = used
from colora.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


class Asked:
    """A worker, and its answers."""

    def __init__(self, group, folder, *options: str, program=("-m", "colora")):
        folder.mkdir()
        self.folder = folder
        own = {"TMPDIR": str(folder), "HOME": str(folder), "XDG_CACHE_HOME": str(folder), "COLORA_CACHE": str(folder)}
        command = [sys.executable, *program, "worker", str(group.path), *options]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **own}, **pipes)

    def told(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def ask(self, data: bytes = b"", **request) -> dict:
        request |= {"id": 7} | ({} if "path" in request else {"bytes": len(data)})
        self.process.stdin.write(json.dumps(request).encode() + b"\n" + data)
        self.process.stdin.flush()
        told = self.told()
        assert told.pop("id") == 7 and list(told) in (["answer"], ["refused"])
        return told

    def end(self) -> tuple[int, bytes, str]:
        """(exit code, what was still on stdout, stderr); stdin is closed."""
        out, err = self.process.communicate(timeout=LONGEST)
        return self.process.returncode, out, err.decode()


@pytest.fixture(scope="module")
def images(pair):
    return load_dataset(pair.config).splits["val"].images


@pytest.fixture(scope="module")
def worker(pair, tmp_path_factory) -> Iterator[Asked]:
    worker = Asked(pair, tmp_path_factory.mktemp("worker") / "own")
    try:
        worker.ready = worker.told()
        resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (0, 0))  # from now on it can write to no file
        yield worker
        assert [path for path in worker.folder.rglob("*") if path.is_file()] == []
        # A server that was killed leaves half of an image, which is no request; it ends, and has said nothing else.
        worker.process.stdin.write(b'{"id": 1, "name": "a.png", "bytes": 500}\n' + b"\x89PNG" * 9)
        code, out, err = worker.end()
        assert (code, out) == (0, b"") and "Traceback" not in err and "File too large" not in err
    finally:
        worker.process.kill()


@pytest.fixture(scope="module")
def predictor(pair):
    return Predictor.of(pair, "cpu")


def saved(image: Image.Image, kind: str, **how) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def alike(told: dict, expected: dict) -> None:
    """Numbers to 1e-5: there several images were computed together."""
    assert told.keys() >= expected.keys()
    for key, value in expected.items():
        if isinstance(value, dict) and isinstance(told[key], dict):
            alike(told[key], value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for one, other in zip(told[key], value, strict=True):
                alike(one, other)
        else:
            assert told[key] == (pytest.approx(value, abs=1e-5) if isinstance(value, float) else value), key


def test_it_says_first_whose_answers_they_are(worker, predictor):
    assert worker.ready == {"ready": json.loads(json.dumps(predictor.about))}


def test_bytes_are_answered_as_the_images_are(worker, predictor, images):
    new = np.ascontiguousarray(images[:3, ::-1])  # none that stands exactly at its own place among the group's
    for image, own in zip(new, predictor.answers(new), strict=True):
        found = worker.ask(saved(Image.fromarray(image), "PNG"), name="scan.png")["answer"]
        alike(found, own)
        assert (found["size"], found["pages"], found["conversions"]) == ([32, 32], 1, [])
        assert found["layers"] == {"As the network sees it, 32 px": lossless(image)}


def test_a_path_with_pages_is_answered_page_by_page_and_many_at_once(worker, predictor, images, tmp_path):
    wide = np.concatenate([images, images], axis=2)[:20].astype(np.uint16) * 200  # (20, 32, 64)
    first, *others = map(Image.fromarray, wide)
    first.save(tmp_path / "v.tif", save_all=True, append_images=others)
    path = str(tmp_path / "v.tif")
    third = worker.ask(path=path, page=2)["answer"]
    assert (third["size"], third["pages"], third["conversions"]) == ([64, 32], 20, [CONVERSIONS["deep"]])
    assert list(third["layers"]) == ["Original, 64 × 32", "As the network sees it, 32 px"]
    several = worker.ask(path=path, page=2, pages=1000)["answer"]["answers"]
    assert len(several) == MOST_AT_ONCE and all(one["tile"].startswith("data:image/") for one in several)
    for key in ("mean", "doubt", "checksum"):
        alike({key: several[0][key]}, {key: third[key]})
    assert len(worker.ask(path=path, page=18, pages=16)["answer"]["answers"]) == 2
    for page in (20, 10**9, -1):
        assert worker.ask(path=path, page=page) == {"refused": f"{path} has no page {page + 1}."}
    assert worker.ask(path=str(tmp_path / "none.tif")) == {"refused": f"There is no image {tmp_path / 'none.tif'}."}
    os.mkfifo(tmp_path / "pipe.tif")
    assert "pipe.tif does not open" in worker.ask(path=str(tmp_path / "pipe.tif"))["refused"]


def test_hostile_bytes_are_refused_and_the_next_image_is_answered(worker, images):
    chance, answered, refused = random.Random(3), 0, 0
    whole = {kind: saved(Image.fromarray(images[0]), kind) for kind in FORMATS}
    cases = [b"", b"\n", b'{"id": 1}\n', chance.randbytes(5000)]
    for data in whole.values():
        cases += [data[: len(data) // 2], data[:20], data[:-1] + b"\0"]
        for _ in range(6):
            harmed = bytearray(data)
            for _ in range(3):
                harmed[chance.randrange(len(data))] = chance.randrange(256)
            cases.append(bytes(harmed))
    for case in cases:
        told = worker.ask(case, name="harm\n\ud800\x1b.png")
        refused += "refused" in told
        answered += "answer" in told
        assert "answer" in told or told["refused"].startswith("harm\n\ud800\x1b.png does not open as an image (")
    assert answered > 5 and refused > 10
    good = worker.ask(whole["PNG"], name="scan.png")["answer"]
    assert good["met"]["split"] == "val" and worker.process.poll() is None


def test_it_ends_when_nobody_has_asked_for_a_while_and_never_looks_at_a_gpu(pair, tmp_path, images):
    worker = Asked(pair, tmp_path / "own", "--idle", "1.5", program=("-c", NO_GPU_IS_ASKED))
    assert worker.told()["ready"]["finished"] == 2
    assert "answer" in worker.ask(saved(Image.fromarray(images[0]), "PNG"), name="a.png")
    begin = time.monotonic()
    assert worker.process.wait(LONGEST) == 0  # stdin is still open
    assert 1 < time.monotonic() - begin < 60
    assert worker.end()[1:] == (b"", "")


def test_an_image_that_takes_too_much_memory_ends_it_with_a_code_of_its_own(pair, tmp_path, images):
    worker = Asked(pair, tmp_path / "own", "--spare", str(150 * 2**20))
    assert "ready" in worker.told()
    assert "answer" in worker.ask(saved(Image.fromarray(images[0]), "PNG"), name="a.png")
    vast = saved(Image.new("RGB", (9_000, 9_000)), "PNG", compress_level=1)  # 243 MB of pixels
    worker.process.stdin.write(json.dumps({"id": 2, "name": "vast.png", "bytes": len(vast)}).encode() + b"\n" + vast)
    assert worker.end() == (TOO_MUCH, b"", "")


def test_a_group_that_cannot_answer_is_one_line(own_pair, tmp_path):
    for run in own_pair.runs:
        status = json.loads((run.path / "status.json").read_text())
        (run.path / "status.json").write_text(json.dumps(status | {"state": "stopped", "process": None}))
    code, out, err = Asked(own_pair, tmp_path / "own").end()
    assert (code, out, err) == (2, b"", "colora worker: pair has no finished seed yet: it is stopped.\n")
