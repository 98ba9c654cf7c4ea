"""Tables as people have them, read cell by cell; and every kind of file that is none, as a sentence."""

import datetime as dt
import io
import os
import time
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colora.system import table_book, table_file, table_rows
from colora.system.errors import UserError
from colora.system.table_file import read_table, table_of

FRAME = pd.DataFrame(
    {
        "path": ["a, b.png", "ä;c.png", 'q"uote.png', "tab\there.png"],
        "dicke in µm": ["250,5", "301,0", "", "7"],
        "note": ["two\nlines", "", "x|y", "007"],
    }
)


def table(content: bytes | str, **options):
    return table_of(content.encode() if isinstance(content, str) else content, "LABELS.csv", "dataset", **options)


def refused(content: bytes | str, sentence: str, **options):
    with pytest.raises(UserError, match=sentence) as error:
        table(content, **options)
    assert error.value.field == "dataset"
    return str(error.value)


def workbook(*sheets: tuple[str, list[list]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(out := io.BytesIO())
    return out.getvalue()


def parquet(frame: pd.DataFrame | pa.Table, **options) -> bytes:
    made = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame)
    pq.write_table(made, out := io.BytesIO(), **options)
    return out.getvalue()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_separator_and_encoding_gives_the_same_cells(separator, encoding, end):
    mark = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")
    frame = FRAME if end != "\r" else FRAME.replace("\n", " ", regex=True)  # around which pandas then puts no quotes
    text = frame.to_csv(index=False, sep=separator, lineterminator=end)
    found = table((mark + text).encode(encoding))
    assert found.cells.columns.tolist() == frame.columns.tolist()
    assert found.cells.to_numpy().tolist() == frame.to_numpy().tolist()
    assert found.lines.tolist() == ([2, 3, 4, 5] if end == "\r" else [2, 4, 5, 6])  # the first row's note has two lines
    assert [w for w in found.warnings if "Windows-1252" in w and "µ ä" in w] == list(found.warnings)
    assert bool(found.warnings) == (encoding == "cp1252")


CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12) | st.sampled_from(
    ["", "0,5", "a;b", "a,b", "a|b", "a\tb", 'say "x"', "two\nlines", "two\r\nlines", "'t", "'=1", "007", "NA", " x "]
)
NAME = st.sampled_from(["path", "a b", "ä", "x{}y", "{}z", 'w"v', "7"])  # {}: the separator; another one tells nothing
NAMES = st.lists(NAME, min_size=2, max_size=5, unique=True)


@settings(max_examples=150)
@given(
    NAMES.flatmap(lambda names: st.tuples(st.just(names), st.lists(st.tuples(*[CELL] * len(names)), min_size=1))),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_what_pandas_writes_reads_back_cell_by_cell(made, separator, encoding, end, all_quoted):
    rows = made[1]
    names = [name.format(separator) for name in made[0]]
    frame = pd.DataFrame([(f"{i}{row[0]}", *row[1:]) for i, row in enumerate(rows)], columns=names)
    text = frame.to_csv(index=False, sep=separator, lineterminator=end, quoting=1 if all_quoted else 0)
    found = table(text.encode(encoding))
    undone = [["=1" if cell == "'=1" else cell for cell in row] for row in frame.to_numpy().tolist()]
    assert found.cells.columns.tolist() == [name.strip() for name in names]
    assert found.cells.to_numpy().tolist() == undone


def test_the_separator_is_what_agrees_and_not_what_is_frequent():
    """Where csv.Sniffer takes a letter, a blank or a comma of a decimal for the separator."""
    for text, columns in {
        "path;thickness\na.png;250,5\nb.png;301,7\n": ["path", "thickness"],
        "path\tlabel\na, b, c.png\tCNV, wet\n": ["path", "label"],
        "image,label\na.png,CNV\n": ["image", "label"],
        "image,label\na a a.png,b b\nc c c.png,d d\n": ["image", "label"],
        "image;label\n": ["image", "label"],
        "name, first;label\nDoe, J;CNV\n": ["name, first", "label"],  # both agree: a comma is the likelier in a text
        "sep=;\nimage;label\na,b;c,d\n": ["image", "label"],
        "image\na.png\nb.png\n": ["image"],
    }.items():
        assert table(text).cells.columns.tolist() == columns
    assert table("sep=|\r\na|b\r\n1|2\r\n").lines.tolist() == [3]
    assert table("image\na.png\n").told == "as one column"
    assert table("a;b\n1;2\n").told == "with ';' between its columns"


def test_lines_are_counted_as_an_editor_does():
    found = table('a,b\n\n1,"x\ny\nz"\n,,\n2,3\n')
    assert found.lines.tolist() == [3, 7] and found.place(1) == "line 7"
    assert table(workbook(("S", [["a", "b"], [], [1, 2]]))).place(0) == "row 3"


def test_lines_of_another_length_are_named():
    said = refused("a;b;c\n1;2;3\n\n1;2\n", "with ';' between its columns, line 4 has 2 cells where the first has 3")
    assert said.startswith("LABELS.csv cannot be read as CSV: ")
    refused("a,b\n1,2\n1,2,3\n", "line 3 has 3 cells where the first has 2")
    assert table("a,b,c\n1\n", may_lack=True).cells.to_numpy().tolist() == [["1", "", ""]]
    assert table("a,b,\n1,2,\n3,4\n").cells.columns.tolist() == ["a", "b"]  # separators at the ends of lines
    assert table("a,b\n1,2,,\n").cells.to_numpy().tolist() == [["1", "2"]]
    assert table(",a\n0,x\n").cells.columns.tolist() == ["column 1", "a"]  # the index that pandas writes


def test_the_first_line_may_be_no_names():
    found = table("x.png,1\ny.png,2,3\n", has_header=lambda first: not first[0].endswith("png"))
    assert not found.headed and found.first == ("x.png", "1") and found.lines.tolist() == [1, 2]
    assert found.cells.columns.tolist() == ["column 1", "column 2", "column 3"]
    assert found.cells.to_numpy().tolist() == [["x.png", "1", ""], ["y.png", "2", "3"]]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (b",,\n,,\n", "it is empty"),
        (b"\xef\xbb\xbf", "it is empty"),
        (b"a,b\n1,\x00\n", "NUL"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 without the mark"),
        (b"\xff\xfea", "UTF-16"),
        (bytes(range(1, 256)), "no text in UTF-8, UTF-16 or Windows-1252"),
        ("path,label\na.png,正常\nb.png,網膜\n".encode("shift-jis"), "no text in UTF-8, .*line 2"),
        ("a,b\nä,ö\nü,ß\n".encode() + b"\xfc,1\n", "UTF-8 with damaged bytes in line 4: save it anew"),
        (b"label, Label ,label\n1,2,3\n", "two of its columns are named 'label': rename one"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "a quote that opens in line 3 or behind it is never closed"),
        (b'a,b\n1,"' + b"x" * 200_000 + b'"\n', "line 2 has a cell of more than 131,072 characters"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"Excel's old format \(\.xls\), or protected by a password"),
        (b"\x1f\x8b\x08\x00", "packed by gzip: unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "fetch it with git lfs pull"),
        (b"PAR1" + bytes(100), "cannot be read as Parquet"),
        (b"PK\x03\x04" + bytes(100), "cannot be read as a workbook of Excel"),
        (b"\n".join([b",".join(b"%d" % i for i in range(5_001))] * 2), "5,001 columns, and 5,000 are read"),
    ],
)
def test_what_is_no_table_is_a_sentence(content, sentence):
    refused(content, sentence)


def test_a_file_that_is_none_is_a_sentence(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "large.csv").write_bytes(b"a,b\n" * 500_000)
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    for path, sentence in {
        tmp_path: "it is a folder",
        tmp_path / "none.csv": "There is no file .*none.csv",
        tmp_path / "pipe.csv": "it is no regular file",
        tmp_path / "large.csv": "it is larger than 1 MiB",
        tmp_path / "loop.csv": "symbolic links",
    }.items():
        with pytest.raises(UserError, match=sentence) as error:
            read_table(path, "dataset", most=1 << 20)
        assert error.value.field == "dataset"


def test_a_workbook_is_read_by_what_it_is_and_not_by_its_name(tmp_path):
    rows = [["path", "label", "n", "when", "yes", "share"], ["007.png", "CNV", 3.0, dt.date(2020, 1, 31), True, 0.5]]
    rows += [["b.png", None, 12, dt.datetime(2020, 1, 31, 13, 5), False, 1e300], ["'=1", "", None, None, None, None]]
    (tmp_path / "labels.csv").write_bytes(workbook(("Notes", []), ("Data", rows), ("More", [["x"]])))
    found = read_table(tmp_path / "labels.csv")
    assert found.cells.to_numpy().tolist() == [
        ["007.png", "CNV", "3", "2020-01-31", "TRUE", "0.5"],
        ["b.png", "", "12", "2020-01-31 13:05:00", "FALSE", "1e+300"],
        ["=1", "", "", "", "", ""],
    ]
    assert found.told == "from the sheet 'Data'"
    assert found.warnings == ("It has 3 sheets; 'Data', the first that holds anything, was read.",)
    hidden = openpyxl.load_workbook(io.BytesIO(workbook(("A", [["a"], [1]]), ("B", [["b"], [2]]))))
    hidden["A"].sheet_state = "hidden"
    hidden.save(out := io.BytesIO())
    assert table(out.getvalue()).cells.columns.tolist() == ["b"]
    refused(workbook(("A", []), ("B", [[None]])), "cannot be read as a workbook of Excel: it is empty")
    refused(workbook(("A", [["a", "a"]])), "two of its columns are named 'a'")


def test_a_sheet_that_lies_about_its_size_is_read_whole():
    content = workbook(("S", [["a", "b"], [1, 2], [3, 4]]))
    lies = repacked(content, "xl/worksheets/sheet1.xml", lambda xml: xml.replace(b'ref="A1:B3"', b'ref="A1:A1"'))
    assert lies != content and table(lies).cells.to_numpy().tolist() == [["1", "2"], ["3", "4"]]


def repacked(content: bytes, name: str, change) -> bytes:
    """A workbook with one of its parts changed."""
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out := io.BytesIO(), "w", 8) as new:
        for part in old.namelist():
            new.writestr(part, change(old.read(part)) if part == name else old.read(part))
    return out.getvalue()


def test_a_workbook_made_to_do_harm_is_a_sentence_and_soon(monkeypatch, tmp_path):
    content, sheet = workbook(("S", [["a", "b"], [1, 2]])), "xl/worksheets/sheet1.xml"
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 30) for i in range(9)
    ) + b"]>"  # fmt: skip
    begun = time.monotonic()
    refused(repacked(content, sheet, lambda xml: laughs + xml.replace(b"<v>1</v>", b"<v>&j;</v>")), "Excel")
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    inside = repacked(content, sheet, lambda xml: outside + xml.replace(b"<v>1</v>", b"<v>&a;</v>"))
    refused(inside, "Excel")
    far = repacked(content, sheet, lambda xml: xml.replace(b'<row r="2"', b'<row r="9999999999"'))
    refused(far, "more than the 1,048,576 rows")
    refused(repacked(content, sheet, lambda xml: xml[: len(xml) // 2]), "Excel")
    refused(repacked(content, sheet, lambda xml: b""), "Excel")
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("scan.png", b"x")
    refused(zipped.getvalue(), "a zip archive and no workbook")
    monkeypatch.setattr(table_book, "MOST_UNPACKED", 1 << 20)
    refused(repacked(content, sheet, lambda xml: xml + b" " * (1 << 21)), "unfolds into 2.1 MB")
    assert time.monotonic() - begun < 60


def test_parquet_is_text_as_well():
    frame = pd.DataFrame(
        {
            "path": ["a.png", "b.png", None],
            "label": pd.Categorical(["CNV", None, "DME"]),
            "n": [1, 2, 3],
            "share": [1.0, 0.25, np.nan],
            "yes": [True, False, None],
            "when": pd.to_datetime(["2020-01-31", None, "2020-01-31 13:05"], format="ISO8601"),
            "lists": [[1], [2], [3]],
            "picture": [b"\x89PNG", b"", b""],
        },
        index=[5, 7, 9],
    )
    found = table(parquet(frame))
    assert found.cells.to_dict("list") == {
        "path": ["a.png", "b.png", ""],
        "label": ["CNV", "", "DME"],
        "n": ["1", "2", "3"],
        "share": ["1", "0.25", ""],
        "yes": ["TRUE", "FALSE", ""],
        "when": ["2020-01-31", "", "2020-01-31 13:05:00"],
    }
    assert found.warnings == ("Columns that hold no text or numbers were left out: lists, picture.",)
    assert found.place(2) == "row 3" and found.headed
    refused(parquet(pd.DataFrame({"picture": [b"x"]})), "no column of text or numbers")
    refused(parquet(pd.DataFrame({"a": ["x\0y"]})), "with a NUL in it")
    refused(parquet(pa.table([pa.array(["1"]), pa.array(["2"])], ["a", "a"])), "two of its columns are named 'a'")


def test_a_small_parquet_file_that_unfolds_into_gigabytes_is_a_sentence(monkeypatch):
    long = parquet(pa.table({"a": pa.array(["x" * 200_000] * 1_000)}))
    assert len(long) < 20_000
    refused(long, "a cell of more than 131,072 bytes")
    monkeypatch.setattr(table_book, "MOST_TEXT", 1 << 20)
    refused(parquet(pa.table({"a": pa.array(["x" * 1_000] * 20_000)})), "more than 1.0 MB")
    monkeypatch.setattr(table_book, "MOST_ROWS", 1_000)
    refused(parquet(pa.table({"a": pa.nulls(2_000, pa.string())})), "too large")


def test_more_rows_than_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr(table_rows, "PART_ROWS", 10)
    assert len(table("a,b\n" + "1,2\n" * 95)) == 95
    monkeypatch.setattr(table_rows, "MOST_ROWS", 50)
    refused("a,b\n" + "1,2\n" * 95, "too large: 50 rows")
    refused("a,b\n" + "1,2\n" * 51, "too large: 50 rows")


@pytest.mark.parametrize("kind", ["csv", "xlsx", "parquet"])
def test_damaged_bytes_are_a_table_or_a_sentence(kind):
    rng = np.random.default_rng(0)
    frame = FRAME.replace("\t", " ", regex=True)
    whole = {
        "csv": lambda: frame.to_csv(index=False).encode(),
        "xlsx": lambda: workbook(("S", [frame.columns.tolist(), *frame.to_numpy().tolist()])),
        "parquet": lambda: parquet(frame),
    }[kind]()
    refusals = 0
    for _ in range(150):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), rng.integers(1, 9)):
            content[place] = rng.integers(256)
        if rng.random() < 0.3:
            del content[rng.integers(len(content)) :]
        try:
            assert isinstance(table(bytes(content)), table_file.Table)
        except UserError:
            refusals += 1
    assert refusals > 10
