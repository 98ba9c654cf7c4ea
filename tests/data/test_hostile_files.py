"""Images and cuts as someone may have made them to do harm, or a torn copy left them: a sentence each, and soon."""

import io
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from fabricate import fabricate
from harm import WHOLE, harm
from PIL import Image
from queueing import busy

from colora.cli.main import main
from colora.data.cuts import list_cuts, read_cut, save_cut
from colora.data.prepare import ImageError, read_image, read_whole
from colora.data.rules import make_rule
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.system.errors import UserError

LONGEST_SECONDS = 5
FORMATS = {"png": {}, "jpg": {}, "tif": {"compression": "tiff_lzw"}, "bmp": {}, "webp": {}, "gif": {}}


def some_and_all(some: int, many: int):
    return pytest.mark.parametrize(
        "cases", [pytest.param(some, id="some"), pytest.param(many, id="all", marks=pytest.mark.fuzz)]
    )


def drawn(chance: random.Random) -> tuple[bytes, str]:
    """An image file's content, and its ending."""
    ending = chance.choice(list(FORMATS))
    rng = np.random.default_rng(chance.randrange(1000))
    shape = (chance.randrange(1, 40), chance.randrange(1, 40))
    mode = chance.choice(("L", "RGB", "P", "1") + (("I;16", "RGBA") if ending in ("png", "tif") else ()))
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 2**16, shape, dtype=np.uint16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).convert(mode)
    if ending in ("jpg", "webp") and mode not in ("L", "RGB"):
        image = image.convert("RGB")
    content = io.BytesIO()
    image.save(content, Image.registered_extensions()[f".{ending}"], **FORMATS[ending])
    return content.getvalue(), ending


@pytest.mark.filterwarnings("ignore")  # Pillow's own, about metadata
@some_and_all(200, 1500)
def test_an_image_file_is_an_image_or_a_sentence(tmp_path, cases):
    opened, slowest = 0, 0.0
    for case in range(cases):
        chance = random.Random(case)
        content, ending = drawn(chance)
        path = tmp_path / f"{case}.{ending}"
        path.write_bytes(content)
        what = harm(path, chance)
        begin = time.monotonic()
        try:
            small, _ = read_image(path, 28)
            again, whole, _ = read_whole(path, 28)
            assert small.shape == again.shape == (28, 28) and small.dtype == np.uint8 and whole.ndim in (2, 3)
            opened += 1
        except ImageError as error:
            assert path.name in str(error)
        except BaseException:
            print(f"case {case}: {what} of {ending}")
            raise
        slowest = max(slowest, time.monotonic() - begin)
        assert slowest < LONGEST_SECONDS * busy(), (case, what)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    assert cases / 20 < opened < cases
    print(f"{cases} cases over images, slowest {slowest:.2f} s, {opened} opened")


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> tuple[Path, bytes]:
    """A runs folder with a group and a good cut, and the content of another one."""
    runs_dir = tmp_path_factory.mktemp("runs")
    found = read_predictions(fabricate(runs_dir, "g", ["done"]), "train")
    save_cut(runs_dir, distil(found, "good", make_rule(drop=1, keep=9)))
    path = save_cut(runs_dir, distil(found, "bad", make_rule(drop=2, keep=9)))
    return runs_dir, path.read_bytes()


@some_and_all(100, 700)
def test_a_bad_cut_hides_no_good_one(kept, cases, capsys):
    runs_dir, content = kept
    path, usable = runs_dir / ".colora" / "cuts" / "bad.json", 0
    for case in range(cases):
        chance = random.Random(case)
        path.write_bytes(content)
        what = harm(path, chance)
        rows = {row["name"]: row for row in list_cuts(runs_dir)}
        assert rows["good"]["reason"] is None and rows["good"]["images"] > 9, (case, what)
        try:
            usable += read_cut(runs_dir, "bad").name is not None
        except UserError as error:
            assert "bad" in str(error)
        assert main(["cut", "list", "--runs-dir", str(runs_dir)]) == 0, (case, what)
        capsys.readouterr()
        code = main(["cut", "show", "bad", "--runs-dir", str(runs_dir)])
        assert code in (0, 2) and capsys.readouterr().err.count("\n") == (1 if code else 0), (case, what)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    assert usable < cases / 2
    print(f"{cases} cases over cuts, {usable} of them still usable")


@pytest.mark.parametrize("what", ["pipe", "folder", "link to itself", "link to a device", "vast"])
def test_predicting_what_is_no_image_is_one_line(tmp_path, what, capsys):
    path = tmp_path / "scan.png"
    Image.new("L", (8, 8)).save(path)
    WHOLE[what](path)
    with pytest.raises(ImageError, match=r"scan\.png"):
        read_image(path, 28)
    assert os.path.lexists(path)
