"""`colora worker` as what it is, a process that a page asks: its protocol, what it takes, and when it ends."""

import base64
import io
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colora.data.encoded import lossless, tile
from colora.data.prepare import CONVERSIONS, FORMATS, Upload, image_checksum
from colora.data.sources import load_dataset
from colora.explanation.maps import scaled
from colora.explanation.methods import PLACES
from colora.prediction import worker as module
from colora.prediction.answer import Page, answer
from colora.prediction.explained import ModelExplainer
from colora.prediction.models import GroupModels
from colora.prediction.predict import Predictor
from colora.prediction.worker import MOST_AT_ONCE, TOO_MUCH
from colora.system.errors import UserError
from colora.system.installation import ROOT

KINDS = (["pages", "seen"], ["refused"], ["checksum", "map"], ["checksum", "curves"])  # of answers
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
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read().decode()
        return json.loads(line)

    def ask(self, data: bytes = b"", **request) -> dict:
        """Its answer without the id; with the features of seed 1, unless another is asked for."""
        usual = {"features_of": 1, "seeds": [0, 1]}
        request = usual | request | {"id": 7} | ({} if "path" in request else {"bytes": len(data)})
        self.process.stdin.write(json.dumps(request).encode() + b"\n" + data)
        self.process.stdin.flush()
        told = self.told()
        assert told.pop("id") == 7 and list(told) in KINDS
        return told

    def see(self, data: bytes = b"", **request) -> dict:
        """The one page that was asked for."""
        (page,) = self.ask(data, **request)["seen"]
        return page

    def end(self) -> tuple[int, bytes, str]:
        """(exit code, what was still on stdout, stderr); stdin is closed."""
        out, err = self.process.communicate(timeout=LONGEST)
        return self.process.returncode, out, err.decode()


@pytest.fixture(scope="module")
def images(pair):
    return load_dataset(pair.config).splits["val"].images


@pytest.fixture(scope="module")
def worker(pair, images, tmp_path_factory) -> Iterator[Asked]:
    worker = Asked(pair, tmp_path_factory.mktemp("worker") / "own", program=("-c", NO_GPU_IS_ASKED))
    try:
        worker.ready = worker.told()
        worker.ask(saved(Image.fromarray(images[0]), "PNG"), name="scan.png")
        worker.loaded = Path(f"/proc/{worker.process.pid}/maps").read_text()  # each package's own compiled parts
        resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (0, 0))  # from now on it can write to no file
        yield worker
        written = [path for path in worker.folder.rglob("*") if path.is_file()]
        assert [path for path in written if "matplotlib" not in path.parts] == []  # captum loads it: a list of fonts
        # A server that was killed leaves half of an image, which is no request; it ends, and has said nothing else.
        half = b'{"id": 1, "seeds": [0, 1], "features_of": 0, "name": "a.png", "bytes": 500}\n' + b"\x89PNG" * 9
        worker.process.stdin.write(half)
        code, out, err = worker.end()
        told = "".join(line for line in err.splitlines() if "font_manager" not in line)
        assert (code, out) == (0, b"") and "Traceback" not in told and "File too large" not in told
    finally:
        worker.process.kill()


@pytest.fixture(scope="module")
def models(pair):
    return GroupModels.of(pair, "cpu", keep=True)


def saved(image: Image.Image, kind: str, **how) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def alike(told: dict, models: GroupModels, prepared: np.ndarray, features_of: int = 1) -> None:
    """What a worker tells of a page beside what the models see in it here: numbers to 1e-5, since with other threads
    and other images beside it the last bits are others."""
    found = models.seen(prepared[None], features_of)
    assert np.array(told["probabilities"]) == pytest.approx(found.probabilities[0], abs=1e-5)
    assert np.array(told["features"]) == pytest.approx(found.features[0], abs=1e-5)
    assert np.array(told["distances"]) == pytest.approx(found.distances[0], rel=1e-3)
    assert (told["checksum"], told["contrast"]) == (str(image_checksum(prepared)), prepared.std())


def test_it_says_first_that_it_is_ready_and_needs_torch_and_no_tables_for_an_answer(worker):
    assert worker.ready == {"ready": True}
    assert "/torch/" in worker.loaded and "/numpy/" in worker.loaded
    unused = ("pandas", "scipy", "pyarrow", "sklearn", "matplotlib")
    assert [name for name in unused if f"/{name}/" in worker.loaded] == []


def test_bytes_are_seen_as_the_images_are(worker, models, images):
    new = np.ascontiguousarray(images[:3, ::-1])  # none that stands exactly at its own place among the group's
    for seed, image in enumerate(new[:2]):
        told = worker.ask(saved(Image.fromarray(image), "PNG"), name="scan.png", features_of=seed)
        (found,) = told["seen"]
        alike(found, models, image, seed)
        assert (told["pages"], found["size"], found["conversions"]) == (1, [32, 32], [])
        assert found["layers"] == {"As the network sees it, 32 px": lossless(image)}
    refused = worker.ask(saved(Image.fromarray(new[0]), "PNG"), name="scan.png", features_of=9)
    assert refused == {"refused": "Seed 9 is none of those that answer: 0, 1."}


def test_what_it_tells_makes_the_answer_that_the_command_line_gives(worker, pair, images):
    predictor = Predictor.of(pair, "cpu")
    new = np.ascontiguousarray(images[3, ::-1])
    told = worker.see(saved(Image.fromarray(new), "PNG"), name="a.png", features_of=predictor.known.best.seed)
    parts = {name: np.array(told[name], np.float32) for name in ("probabilities", "features", "distances")}
    found = answer(predictor.known, Page(**parts, checksum=int(told["checksum"]), contrast=told["contrast"]))
    (own,) = predictor.answers([new])
    for key in ("mean", "calibrated"):
        for name, p in own[key]["probabilities"].items():
            assert found[key]["probabilities"][name] == pytest.approx(p, abs=1e-5)
    for part in ("disagreement", "distance", "blank"):
        assert found["doubt"][part] == pytest.approx(own["doubt"][part], rel=1e-3, abs=1e-3)
    for key in ("checksum", "agreement", "met"):
        assert found[key] == own[key]
    assert [row["image_id"] for row in found["nearest"]] == [row["image_id"] for row in own["nearest"]]


def test_a_path_with_pages_is_seen_page_by_page_and_many_at_once(worker, models, images, tmp_path):
    wide = np.concatenate([images, images], axis=2)[:20].astype(np.uint16) * 200  # (20, 32, 64)
    first, *others = map(Image.fromarray, wide)
    first.save(tmp_path / "v.tif", save_all=True, append_images=others)
    path = str(tmp_path / "v.tif")
    told = worker.ask(path=path, page=2)
    (third,) = told["seen"]
    assert (told["pages"], third["size"], third["conversions"]) == (20, [64, 32], [CONVERSIONS["deep"]])
    assert list(third["layers"]) == ["Original, 64 × 32", "As the network sees it, 32 px"]
    told = worker.ask(path=path, page=2, pages=1000)
    assert told["pages"] == 20 and len(told["seen"]) == MOST_AT_ONCE
    for page, found in enumerate(told["seen"], start=2):
        low, high = wide[page].min(), wide[page].max()
        prepared = ((wide[page] - low) / (high - low) * 255.0).round().astype(np.uint8)[:, 16:48]  # cropped
        alike(found, models, prepared)
        assert found["tile"] == tile(prepared) and "layers" not in found
    assert told["seen"][0]["checksum"] == third["checksum"]
    assert len(worker.ask(path=path, page=18, pages=16)["seen"]) == 2
    for page in (20, 10**9, -1):
        assert worker.ask(path=path, page=page) == {"refused": f"{path} has no page {page + 1}."}
    assert worker.ask(path=str(tmp_path / "none.tif")) == {"refused": f"There is no image {tmp_path / 'none.tif'}."}
    os.mkfifo(tmp_path / "pipe.tif")
    assert "pipe.tif does not open" in worker.ask(path=str(tmp_path / "pipe.tif"))["refused"]


def test_where_a_seed_looks_and_what_covering_changes_are_as_the_models_have_them(worker, models, images):
    looker, data = ModelExplainer(models, images[0]), saved(Image.fromarray(images[0]), "png")
    for method, of_shuffled in (("grad-cam", False), ("occlusion", True)):
        asked = {"seed": 1, "method": method, "class": 2, "shuffled": of_shuffled}
        told = worker.ask(data, name="scan.png", explain=asked)
        values = np.frombuffer(base64.b64decode(told["map"]), dtype="<f2").reshape(images[0].shape)
        assert np.allclose(values, scaled(looker.map(1, method, 2, of_shuffled)), atol=1e-3)
        assert told["checksum"] == str(image_checksum(images[0]))
    orders = np.stack([np.arange(PLACES**2), np.arange(PLACES**2)[::-1]])
    told = worker.ask(data, name="scan.png", perturb={"seed": 0, "class": 2, "orders": orders.tolist()})
    assert np.allclose(told["curves"], looker.perturbed(0, 2, orders), atol=1e-6)
    assert "none of those" in worker.ask(data, name="scan.png", explain=asked | {"seed": 9})["refused"]
    assert worker.ask(data, name="scan.png", page=3, explain=asked)["refused"].endswith("has no page 4.")
    assert worker.see(data, name="scan.png")["probabilities"]  # and goes on


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
        answered += "seen" in told
        assert "seen" in told or told["refused"].startswith("harm\n\ud800\x1b.png does not open as an image (")
    assert answered > 5 and refused > 10
    good = worker.see(whole["PNG"], name="scan.png")
    assert good["checksum"] == str(image_checksum(images[0])) and worker.process.poll() is None


def test_an_image_that_takes_too_much_memory_ends_it_with_a_code_of_its_own(pair, tmp_path, images):
    worker = Asked(pair, tmp_path / "own", "--spare", str(150 * 2**20))
    assert worker.told() == {"ready": True}
    assert "seen" in worker.ask(saved(Image.fromarray(images[0]), "PNG"), name="a.png")
    vast = saved(Image.new("RGB", (9_000, 9_000)), "PNG", compress_level=1)  # 243 MB of pixels
    request = {"id": 2, "seeds": [0, 1], "features_of": 0, "name": "vast.png", "bytes": len(vast)}
    worker.process.stdin.write(json.dumps(request).encode() + b"\n" + vast)
    assert worker.end() == (TOO_MUCH, b"", "")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Lets a worker be asked and answer in this process: what writes to its stdin, and a function that serves and
    returns the lines of its stdout."""
    monkeypatch.setattr(module, "_watch_memory", lambda most: None)  # which would end the tests
    read, write = os.pipe()
    with open(read) as asked, open(write, "wb", buffering=0) as asks:
        monkeypatch.setattr(sys, "stdin", asked)

        def serves(*how) -> list[str]:
            out, err = tmp_path / "out", tmp_path / "err"
            with open(out, "w") as said, open(err, "w") as remarked, monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", said)
                patch.setattr(sys, "stderr", remarked)
                try:
                    module.serve(*how)
                finally:
                    assert err.read_text() == ""
            return out.read_text().splitlines()

        yield asks, serves


def test_it_ends_when_nobody_has_asked_for_a_while(pair, here, images):
    asks, serves = here
    data = saved(Image.fromarray(images[0]), "PNG")
    request = {"id": 5, "seeds": [0, 1], "features_of": 0, "name": "a.png", "bytes": len(data)}
    asks.write(json.dumps(request).encode() + b"\n" + data)
    begin = time.monotonic()
    ready, told = map(json.loads, serves(pair, 0.5))  # stdin is still open
    assert 0.5 <= time.monotonic() - begin < 30
    assert ready == {"ready": True} and (told["id"], len(told["seen"])) == (5, 1)


def test_a_group_that_cannot_answer_is_a_sentence_and_is_not_ready(own_pair, here, tmp_path):
    for run in own_pair.runs:
        status = json.loads((run.path / "status.json").read_text())
        (run.path / "status.json").write_text(json.dumps(status | {"state": "stopped", "process": None}))
    with pytest.raises(UserError, match=r"^pair has no finished seed yet: it is stopped\.$"):
        here[1](own_pair)
    assert (tmp_path / "out").read_bytes() == b""


def test_a_request_is_read_whole_or_not_at_all(here):
    asks, _ = here
    asks.write(b'{"id": 1, "path": "/a.tif", "page": 3}\n')
    assert module._next(sys.stdin.buffer, 1) == ({"id": 1, "path": "/a.tif", "page": 3}, Path("/a.tif"))
    asks.write(b'{"id": 2, "name": "a.png", "bytes": 3}\nabc')
    assert module._next(sys.stdin.buffer, 1)[1] == Upload("a.png", b"abc")
    assert module._next(sys.stdin.buffer, 0.01) is None  # nobody asks
    asks.write(b'{"id": 3, "name": "a.png", "bytes": 4}\nabc')
    asks.close()
    assert module._next(sys.stdin.buffer, 1) is None  # half of an image
    assert module._next(sys.stdin.buffer, 1) is None  # and nobody there any more


def test_it_ends_where_another_seed_has_finished_since_it_loaded(pair, tmp_path, images):
    worker = Asked(pair, tmp_path / "own")
    assert worker.told() == {"ready": True}
    data = saved(Image.fromarray(images[0]), "PNG")
    request = {"id": 1, "seeds": [0, 1, 2], "features_of": 0, "name": "a.png", "bytes": len(data)}
    worker.process.stdin.write(json.dumps(request).encode() + b"\n" + data)
    assert worker.end() == (0, b"", "")
