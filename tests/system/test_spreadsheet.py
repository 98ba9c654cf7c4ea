"""Tables that a spreadsheet shows and does not execute, and that come back exactly."""

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colora.system.spreadsheet import as_typed, csv_bytes, for_spreadsheet

FORMULAS = (
    '=HYPERLINK("http://example.org","open")',
    "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1+1", " \t", "\u200b=1",
    "＝1+1", "-",
)  # fmt: skip
AS_THEY_ARE = ("", "train-0001", "a=b", "12", "'t Hooft", "''", "note, with; all\n=1", "µ")
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.builds(
    "".join, st.lists(st.sampled_from("'=+-@ \t\r\n\",;＝x\u200b\0\ufeff"), max_size=6)
)


@pytest.mark.parametrize("text", FORMULAS)
def test_what_may_be_executed_gets_one_apostrophe(text):
    assert for_spreadsheet(text) == f"'{text}"
    assert as_typed(f"'{text}") == text


@pytest.mark.parametrize("text", AS_THEY_ARE)
def test_other_texts_stay_as_they_are(text):
    assert for_spreadsheet(text) == as_typed(text) == text


def test_numbers_stay_numbers_and_headings_are_texts_too():
    table = pd.DataFrame({"=cmd|' /C calc'!A0": [-1.5, 2.0], "seed": [-1, 0], "label": pd.array([-3, None], "Int64")})
    assert csv_bytes(table) == b"'=cmd|' /C calc'!A0,seed,label\r\n-1.5,-1,-3\r\n2.0,0,\r\n"


@given(texts)
def test_every_text_comes_back_exactly(text):
    cell = for_spreadsheet(text)
    assert as_typed(cell) == text
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.lists(st.tuples(texts, texts), max_size=4))
def test_no_text_ends_its_cell_in_a_file(rows):
    table = pd.DataFrame(rows, columns=["image_id", "note"])
    text = csv_bytes(table).decode()
    read = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert [tuple(map(as_typed, row)) for row in read[1:]] == rows
