"""Texts as they stand on paper."""

from datetime import UTC, datetime

import pdf_text
import pytest
from scan_answers import PIXELS, documents, png

from colora.report.scan import scan_pdf
from colora.report.texts import DRAWN, beyond, breakable, drawn, figure, listed, probability


def test_a_long_name_keeps_both_its_ends():
    assert drawn("abcdefghij", 10) == "abcdefghij"
    assert drawn("abcdefghijk", 10) == "abcde…hijk"
    assert drawn("abcdefghijk", 7) == "abc…ijk"
    assert len(drawn("张" * 300)) == 240


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a  b\n\tc", "a b c"),
        ("u\u0308", "ü"),
        ("x\u0308\u0308", "ẍ[U+0308]"),
        ("שלום", "[U+05E9][U+05DC][U+05D5][U+05DD]"),
        ("😀", "[U+1F600]"),
        ("\udcff\u202e\x07", "\\udcff\\u202e\\x07"),
    ],
)
def test_what_cannot_be_drawn_is_written_by_its_number(text: str, shown: str):
    assert drawn(text) == shown


def test_the_fonts_have_every_letter_that_is_drawn():
    letters = [chr(c) for block in DRAWN for c in block if chr(c).isprintable() and chr(c) != " "]
    assert len(letters) > 1900
    missing, (about, image) = set(letters), documents()
    for first in range(0, len(letters), 1000):
        about["warnings"] = ["".join(letters[i : i + 200]) for i in range(first, first + 1000, 200)]
        said = pdf_text.text(scan_pdf(about, image, png(PIXELS), datetime(2026, 1, 2, tzinfo=UTC)))
        assert pdf_text.LACKING not in said
        missing -= set(said)
    assert not {c for c in missing if drawn(c) == c}  # what is left is written as another: Å of physics as the letter


def test_a_long_word_may_end_a_line_anywhere_and_a_short_one_nowhere():
    assert breakable("ab " + "c" * 24) == "ab " + "c" * 24
    assert breakable("c" * 25).split("\u200b") == ["c" * 8] * 3 + ["c"]


def test_figures():
    assert [figure(x) for x in (0.3914, None)] == ["0.391", "not defined"]
    assert [probability(p) for p in (0.0, 4e-6, 0.0005, 0.8683, 0.99949, 0.9996, 1.0)] == [
        "0.000", "< 0.001", "0.001", "0.868", "0.999", "> 0.999", "1.000",
    ]  # fmt: skip
    assert [beyond(share, "images") for share in (0.0, 0.638, 0.996, 1.0)] == [
        "more than 0 % of images", "more than 64 % of images", "more than 99 % of images", "more than all images",
    ]  # fmt: skip
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert listed(["a", "b", "c"], 2, " or ", " or ") == "a or b or 1 more"
