"""The page of one scan, read again out of its PDF."""

import copy
import re
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pdf_text
import pytest
from scan_answers import PIXELS, documents, png

from colora.plots.style import class_colour
from colora.report import scan
from colora.report.scan import page_of, scan_pdf
from colora.settings.catalog import NOTICE
from colora.system.errors import UserError

WHEN = datetime(2026, 11, 29, 22, 47, tzinfo=UTC)
RELY = "The models disagree or have seen nothing like it: do not rely on this."
BODY = (20 / 25.4 * 72, (297 - 20) / 25.4 * 72)  # points from the lower edge of the sheet between which it may stand


def read(about: dict[str, Any], image: dict[str, Any], picture: bytes | None = None) -> str:
    """Its text, of what is one page whatever it says."""
    pdf = scan_pdf(about, image, picture or png(PIXELS), WHEN)
    assert pdf_text.pages(pdf) == 1
    assert b"/MediaBox[0 0 595.2756 841.8898]" in pdf  # A4
    heights = pdf_text.heights(pdf)
    assert len([y for y in heights if not BODY[0] < y < BODY[1]]) == 4  # both bars, each with two pieces
    return pdf_text.text(pdf)


def test_a_clinician_reads_it_in_this_order():
    said = read(*documents())
    parts = [
        f"{NOTICE} 2026-11-29 22:47 UTC", "left eye.png", "group  a-group",
        "CNV predicted by the ensemble (mean probability) of 5 seeds",
        "CNV 0.868 0.912 4 of 5", "DME 0.131 0.087 1 of 5", "DRUSEN 0.001 0.001 0 of 5", "temperature 0.81",
        "0.391 nats, more than 64 % of 116 test images", "CNV by 4, DME by 1, of 5 seeds",
        "0.15 (limit 0.20), more than 84 % of validation images",
        "0.52 (limit 1.20), more than 15 % of validation images",
        "Yes CNV or DME?  Score 0.999, at or above the threshold of 0.312.",
        "sensitivity of at least 0.95 on validation; frozen for this group",
        "On test, n = 116: sensitivity 0.948 [0.860 to 0.982], specificity 0.914 [0.814 to 0.963] (95 % intervals)",
        "cosine 0.9900", "train/000004", "a-group", "nearest images by seed 2", "npz:scans.npz", "by patient",
        "the best epoch", "grey, 64 × 64 pixels; colours were taken for grey", f"{NOTICE} CoLoRA Studio",
    ]  # fmt: skip
    at = 0
    for part in parts:
        assert part in said[at:], part
        at = said.index(part, at) + len(part)
    assert said.count(NOTICE) == 2
    assert RELY not in said and "very picture" not in said


def test_of_a_file_with_several_pages_it_says_which():
    about, image = documents()
    assert "left eye.png, page 17" in read(about, image | {"page": 16}) and ", page " not in read(about, image)


def test_what_to_know_first_stands_above_all_figures():
    about, image = documents()
    image["doubt"] |= {"high": True, "says": RELY, "distance": {"value": 3.0, "limit": 1.2, "share": 1.0, "high": True}}
    image["met"] = {"split": "train", "image_id": "train/000142", "says": "was trained on"}
    about["synthetic_training"] = True
    said = read(about, image)
    trained = "This very picture was trained on, as train/000142: the answer is no test of the models."
    order = ["left eye.png", RELY, trained, "synthetic images", "CNV predicted by", "0.868"]
    assert sorted(order, key=said.index) == order
    assert "3.00, beyond the limit of 1.20: more than all validation images" in said
    image["met"] = {"split": "test", "image_id": "test/000003", "says": "is among the test images"}
    assert "This very picture is among the test images of the group, as test/000003." in read(about, image)


def test_same_input_same_bytes():
    about, image = documents()
    first = scan_pdf(about, image, png(PIXELS), WHEN)
    assert scan_pdf(*copy.deepcopy((about, image)), png(PIXELS), WHEN) == first
    assert b"/CreationDate(D:20261129224700Z)" in first
    elsewhere = scan_pdf(about, image, png(PIXELS), WHEN.astimezone(timezone(timedelta(hours=1))))
    assert b"/CreationDate(D:20261129224700Z)" in elsewhere
    assert "2026-11-29 23:47 UTC+01:00" in pdf_text.text(elsewhere)
    image["mean"]["entropy"] = 0.392
    assert scan_pdf(about, image, png(PIXELS), WHEN) != first


HOSTILE = {
    '#import "x"': None,
    "$a$ *b* _c_ `d` ] [ } #panic()": None,
    "@ref <label> // /* \\ = ~ --- 'q' \"r\"": None,
    '", "x": "': None,
    "Müller, Ελένη, Анна": None,
    "张三": "[U+5F20][U+4E09]",
    "a\x00b\x1b[31m\u202e\nc": "a\\x00b\\x1b[31m\\u202e c",
    "half \udcff": "half \\udcff",
    "Mu\u0308ller": "Müller",
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items(), ids=range(len(HOSTILE)))
def test_every_text_is_shown_and_none_is_markup(text: str, shown: str | None):
    shown = text if shown is None else shown
    names = [f"{c} {text}" for c in "ABCD"]
    about, image = documents(names)
    about |= {"name": f"group {text}", "data_trained_on": f"data {text}", "split_rule": f"split {text}"}
    about |= {"warnings": [f"warns {text}"], "model": f"seed {text}"}
    about["selection"]["says"] = f"rule {text}"
    about["operating_point"]["says"] = f"point {text}"
    image |= {"path": f"/x/file {text.replace('/', '∕')}", "conversions": [f"made {text}"]}
    image["nearest"][2] |= {"image_id": f"id {text}", "label": f"label {text}"}
    image["doubt"] |= {"high": True, "says": f"doubt {text}"}
    image["met"] = {"split": "val", "image_id": f"met {text}", "says": f"said {text}"}
    said = read(about, image)
    assert pdf_text.LACKING not in said
    squeezed = said.replace(" ", "")  # a line may end, and a name in a narrow place be cut
    kinds = ("group", "data", "split", "warns", "seed", "rule", "point", "file", "made", "doubt", "met")
    for kind in kinds:
        letters = shown.replace("/", "∕") if kind == "file" else shown
        assert f"{kind}{letters}".replace(" ", "") in squeezed, kind
    assert f"{names[0][:2]}{shown}".replace(" ", "") in squeezed  # in the sentence on the seeds


def test_much_of_everything_is_one_page():
    long = "Ǆ" * 300  # the widest letter there is
    names = [f"{n} {long} {n}" for n in range(40)]
    about, image = documents(names, seeds=20)
    about |= {"name": long, "data_trained_on": long, "split_rule": long, "synthetic_training": True}
    about |= {"warnings": [f"{n} {long}" for n in range(17)], "selection": {"rule": "paper", "says": long}}
    about["under_way"] = [
        {"seed": 99 + s, "state": "running", "epoch": s, "epochs": 60, "says": f"running at epoch {s} of 60"}
        for s in range(30)
    ]
    about["operating_point"] |= {"positives": names[:30], "says": long}
    image |= {"path": f"/x/{long}.png", "conversions": [long] * 5, "agreement": dict.fromkeys(names[:20], 1)}
    image["nearest"] = [{"index": 0, "image_id": long, "label": name, "cosine": 1.0} for name in names[:5]]
    image["doubt"] |= {"high": True, "says": RELY}
    image["met"] = {"split": "train", "image_id": long, "says": "was trained on"}
    said = read(about, image, png(np.zeros((3000, 40), np.uint8)))
    rest = sum(sorted(image["mean"]["probabilities"].values())[:-8])
    assert f"and 32 more classes, together {rest:.3f}" in said
    assert "and 12 more: colora results tells them" in said
    squeezed = said.replace(" ", "")  # a line may end in between
    assert "or26more?" in squeezed and "and16more,of20seeds" in squeezed
    assert re.search("0 Ǆ+…Ǆ+ 0 0.868", said)  # a name is known by both its ends


def test_even_what_nobody_foresaw_is_one_page(monkeypatch):
    monkeypatch.setattr(scan, "MOST_WARNINGS", 150)
    about, image = documents()
    about["warnings"] = [f"warning {n} {'and so on ' * 20}" for n in range(150)]
    assert "warning 149" in read(about, image)


@pytest.mark.parametrize(
    ("part", "gone", "instead"),
    [
        ("point", "A yes-or-no question", None),
        ("point of the image", "A yes-or-no question", None),
        ("features", "nearest to it cosine", "the group has kept no features"),
        ("seeds", "Dots", "not known of one seed"),
        ("conversions", "colours were taken", "grey, 64 × 64 pixels "),
        ("ensemble", "ensemble", "predicted by seed 2 alone, one of 5 seeds"),
        ("intervals", "[0.860", "sensitivity 0.948, specificity not estimable (not said why) (95 % intervals)"),
        ("frozen", "frozen for this group", None),
        ("yes", "Yes CNV", "No CNV or DME?  Score 0.100, below the threshold of 0.312."),
    ],
)
def test_what_is_absent_is_not_there_and_the_rest_is(part: str, gone: str, instead: str | None):
    about, image = documents()
    if part == "point":
        del about["operating_point"], image["operating_point"]  # as the command line has it
    elif part == "point of the image":
        image["operating_point"] = None
    elif part == "features":
        about["has_features"], image["nearest"], image["doubt"]["distance"] = False, None, None
    elif part == "seeds":
        about["finished"], image["seeds"], image["doubt"]["disagreement"] = 1, image["seeds"][:1], None
    elif part == "conversions":
        image["conversions"] = []
    elif part == "ensemble":
        about["model"] = "seed 2"
    elif part == "intervals":
        none = {"low": None, "high": None}
        about["operating_point"] |= {"sensitivity": {"value": 0.948} | none, "specificity": {"value": None} | none}
    elif part == "frozen":
        about["operating_point"]["frozen"] = False
    else:
        image["operating_point"] = {"positive": False, "score": 0.1}
    said = read(about, image)
    assert gone not in said
    assert instead is None or instead in said
    for still in ("left eye.png", "CNV 0.868 0.912", "0.391 nats", "npz:scans.npz"):
        assert still in said


def test_bars_and_dots_have_the_lengths_of_the_probabilities():
    about, image = documents()
    rows = page_of(about, image, WHEN)["classes"]
    assert [row["p"] for row in rows] == list(image["mean"]["probabilities"].values())
    assert [row["colour"] for row in rows] == [class_colour(c) for c in range(4)]
    assert np.allclose(np.sum([row["dots"] for row in rows], axis=0), np.ones(5))
    assert rows[2]["dots"] == [seed["probabilities"]["DRUSEN"] for seed in image["seeds"]]
    many = page_of(*documents([f"class {c}" for c in range(9)]), WHEN)
    assert [row["name"] for row in many["classes"]] == [f"class {c}" for c in range(8)]
    assert many["more"] == "and 1 more class, together < 0.001"


def test_the_picture_is_in_it_as_it_is():
    about, image = documents()
    for pixels in (PIXELS, np.dstack([PIXELS, PIXELS // 2, PIXELS // 3])):
        inside = pdf_text.pictures(scan_pdf(about, image, png(pixels), WHEN))
        assert [(size, zlib.crc32(data)) for size, data in inside] == [((50, 40), zlib.crc32(pixels.tobytes()))]
    large = pdf_text.pictures(scan_pdf(about, image, png(np.zeros((300, 2400), np.uint8)), WHEN))
    assert [size for size, _ in large] == [(1200, 150)]


@pytest.mark.parametrize("picture", [b"", b"no picture", png(PIXELS)[:60]])
def test_what_is_no_picture_is_refused_in_a_sentence(picture: bytes):
    with pytest.raises(UserError, match="not a PNG that can be read"):
        scan_pdf(*documents(), picture, WHEN)
