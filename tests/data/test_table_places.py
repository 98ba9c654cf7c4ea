"""Where the images of a table lie: what is found, what is not taken, and what may not be reached."""

import os
import time

import numpy as np
import pandas as pd
import pytest
from tables_of_images import flat, put, refused, written

from colora.data.tables.table import table_catalogue
from colora.runs.access import Refused
from colora.system.errors import UserError


@pytest.fixture
def root(tmp_path):
    (tmp_path / "set").mkdir()
    return tmp_path / "set"


def test_what_is_not_taken_is_counted_and_said(root):
    path = flat(root)
    path.write_text(path.read_text().replace("\n", "\n003,\n", 1))
    put(root, "images/other.png", "images/notes.txt", "raw/scan.dcm", ".hidden/x.png", "@eaDir/000.png/000.png")
    path.write_text(path.read_text() + "raw/scan.dcm,CNV\n100.png,CNV\n007.png,\n101.png,NORMAL\n007,CNV\n")
    found = table_catalogue(path)
    assert len(found.paths) == 8  # with 007.png, by the line that tells its class
    assert found.not_read.counts == {
        ".dcm": {"CNV": 1},
        "missing": {"CNV": 1, "NORMAL": 1},
        "no label": {"": 2},
        "not in the table": {"": 1},
    }
    assert found.not_read.examples["not in the table"] == ["images/other.png"]
    assert (
        "Images that labels.csv names and that are not there, left out: 2; the first: 100.png (line 12)."
        in found.warnings
    )
    assert "Rows of labels.csv without a label, left out: 2; the first: 003 (line 2)." in found.warnings


def test_images_most_of_which_are_not_there_are_refused(root):
    path = flat(root, 4)
    path.write_text(path.read_text() + "".join(f"gone/{i}.png,CNV\n" for i in range(5)))
    said = refused(path, "5 of the 9 images that labels.csv names are not there, such as gone/0.png")
    assert (
        "(line 6), gone/1.png (line 7)" in said
        and f"from {root.resolve()} on" in said
        and "the 4 images below it" in said
    )
    refused(written(root, "path,label\na.dcm,x\nb.dcm,y\n"), r"no image with a label that can be read here \(2 .dcm\)")
    refused(written(root, "path,label\nimages/000.png,\n"), r"no image with a label .* \(1 no label\)")
    refused(written(root, "path,label\n"), "no line behind it")


def test_a_name_that_fits_two_files_is_asked_about_unless_a_folder_is_named_as_the_label(root):
    put(root, "CNV/1.png", "NORMAL/1.png", "extra/2.png", "more/2.png", "more/3.png")
    found = table_catalogue(written(root, "image,label\n1.png,CNV\n1.png,NORMAL\nmore/2.png,CNV\n"))
    assert found.paths == ["CNV/1.png", "more/2.png", "NORMAL/1.png"]
    path = written(root, "image,label\n1.png,CNV\n3.png,NORMAL\n2.png,CNV\n")
    refused(
        path,
        "Line 4 of labels.csv names 2.png, which may be (extra/2.png or more|more/2.png or extra)/2.png in .*set",
    )
    found = table_catalogue(written(root, "image,label\nold/more/2.png,CNV\nX/EXTRA/2.PNG,NORMAL\n"))
    assert found.paths == ["more/2.png", "extra/2.png"]  # the longest end


def test_a_file_is_no_other_rows_by_the_end_of_its_path(root):
    """Half of a set is here; the other half's files are named alike."""
    put(root, *(f"test/{i}.png" for i in range(4)))
    rows = [f"{split}/{i}.png,{'ab'[i % 2]},{split}\n" for split in ("train", "test") for i in range(4)]
    path = written(root, "path,label,split\n" + "".join(rows))
    found = table_catalogue(path)
    assert found.paths == ["test/0.png", "test/2.png", "test/1.png", "test/3.png"] and found.given.tolist() == [2] * 4
    assert found.not_read.counts == {"missing": {"a": 2, "b": 2}}
    path.write_text(path.read_text().replace("test/", "gs://x/a/").replace("train/", "gs://x/b/"))
    refused(
        path, "Line 6 of labels.csv names gs://x/a/0.png, and line 2 gs://x/b/0.png; neither is in .* test/0.png may be"
    )


def test_a_row_with_a_file_s_whole_end_has_it_before_one_with_another_folder(root):
    put(root, "all/img/1.png", "all/img/2.png")
    path = written(root, "path,label\nimg/1,a\n2.png,b\nold/1.png,a\ngs://x/all/img/2.png,b\n")
    found = table_catalogue(path)
    assert found.paths == ["all/img/1.png", "all/img/2.png"]
    assert found.not_read.examples == {"missing": ["old/1.png"]}  # line 5 is line 3's image again


def test_an_image_that_is_named_twice_counts_once_and_has_one_label(root):
    path = flat(root, 4)
    path.write_text(path.read_text() + "images/001.png,CNV\n")
    put(root, "images/001.png")
    path.write_text(path.read_text().replace("\n001", "\nimages/001"))
    found = table_catalogue(path)
    assert len(found.paths) == 4
    assert "left out: 1; the first: line 6 (images/001.png)." in found.warnings[-1]
    path.write_text(path.read_text() + "./images//001.png,NORMAL\n")
    refused(path, "gives the image images/001.png two labels, in line 3 and in line 7")
    put(root, "a.png", "b.png")
    for column, values in {"split": ("train", "test"), "patient": ("1", "2")}.items():
        rows = f"a.png,x,{values[0]}\nb.png,y,{values[0]}\na.png,x,{values[1]}\n"
        refused(
            written(root, f"path,label,{column}\n{rows}"), f"the image a.png two {column}s, in line 2 and in line 4"
        )


def test_no_image_outside_the_folder_is_taken_but_in_the_data_roots(root, tmp_path):
    put(tmp_path, "far/one.png", "far/deep/two.png", "other/three.png")
    put(root, "here.png")
    for name in ("../far/one.png", f"{tmp_path}/far/one.png", f"file://{tmp_path}/far/one.png"):
        path = written(root, f"path,label\n{name},a\nhere.png,b\n")
        said = refused(path, r"names .*one\.png, which is not in the table's folder", "data_roots")
        assert f"--data-roots {tmp_path}/far " in said and said.startswith("Line 2 of labels.csv names ")
        found = table_catalogue(path, data_roots=[str(tmp_path / "far")])
        assert found.paths == [f"{tmp_path}/far/one.png", "here.png"]
        refused(path, "not in the table's folder", "data_roots", data_roots=[str(tmp_path / "other")])
    path = written(root, f"path,label\n../set/here.png,a\n{root}/more.png,b\n")
    put(root, "more.png")
    assert table_catalogue(path).paths == ["here.png", "more.png"]  # which is not outside


def test_links_lead_nowhere_else_either(root, tmp_path):
    put(tmp_path, "far/one.png", "far/two.png")
    put(root, "real/three.png")
    (root / "one.png").symlink_to(tmp_path / "far" / "one.png")
    (root / "images").symlink_to(tmp_path / "far")
    (root / "again").symlink_to("real")
    (root / "three.png").symlink_to("real/three.png")
    (root / "loop.png").symlink_to("loop.png")
    path = written(root, "path,label\none.png,a\nreal/three.png,b\n")
    said = refused(
        path, "one.png, which the table names, is a link that leads out of its folder, to .*far/one.png", "data_roots"
    )
    assert f"--data-roots {tmp_path}/far " in said
    assert table_catalogue(path, data_roots=[str(tmp_path)]).paths == ["one.png", "real/three.png"]
    path = written(root, "path,label\nimages/two.png,a\nagain/three.png,b\n")
    refused(path, "names images/two.png, which is not in the table's folder .*set but in .*far", "data_roots")
    found = table_catalogue(path, data_roots=[str(tmp_path / "far")])
    assert found.paths == [f"{tmp_path}/far/two.png", "real/three.png"]
    inside = table_catalogue(written(root, "path,label\nthree.png,a\nagain/three.png,b\n"))
    assert inside.paths == ["three.png", "real/three.png"] and inside.not_read.examples["not in the table"] == [
        "loop.png", "one.png"
    ]  # fmt: skip
    found = table_catalogue(written(root, "path,label\nthree.png,a\nloop.png,b\nagain/three.png,b\n"))
    assert len(found.paths) == 3  # whoever opens it says that it leads round in a circle


def test_what_is_no_file_is_refused(root):
    put(root, "a.png")
    (root / "folder.png").mkdir()
    put(root, "folder.png/b.png")
    os.mkfifo(root / "pipe.png")
    refused(written(root, "path,label\na.png,x\npipe.png,y\n"), "pipe.png is named like an image but is a pipe, socket")
    found = table_catalogue(written(root, "path,label\na.png,x\nfolder.png/b.png,y\n"))
    assert found.paths == ["a.png", "folder.png/b.png"] and found.not_read.examples == {
        "not in the table": ["pipe.png"]
    }


def test_on_a_server_with_data_roots_only_those_may_be_named(root, tmp_path, monkeypatch):
    put(tmp_path, "far/one.png")
    put(root, "here.png")
    path = written(root, f"path,label\n{tmp_path}/far/one.png,a\nhere.png,b\n")
    rules = tmp_path / "colora-access.toml"
    rules.write_text(f'data_roots = ["{root}"]\n')
    monkeypatch.setenv("COLORA_ACCESS", str(rules))
    with pytest.raises(Refused, match="may not be named") as error:
        table_catalogue(path, data_roots=[str(tmp_path / "far")])
    assert error.value.field == "data_roots"
    refused(path, "not in the table's folder", "data_roots")
    (tmp_path / "link.csv").symlink_to(path)  # it leads to what may be named, and stands where nothing may
    with pytest.raises(Refused):
        table_catalogue(tmp_path / "link.csv")


def test_odd_names_are_kept(root):
    labels = ("AMD dry", "網膜", "$AMD$", "<b>", "=1+1", "Drusen, soft")
    put(root, *(f"scans ä/{i} ö.png" for i in range(6)))
    frame = pd.DataFrame({"path": [f"scans a\u0308/{i} o\u0308.png" for i in range(6)], "label": labels})
    for separator in ",;\t|":
        frame.to_csv(root / "labels.csv", sep=separator, index=False)
        found = table_catalogue(root / "labels.csv")
        assert found.class_names == tuple(sorted(labels)) and len(found.paths) == 6
        assert found.paths[0] == f"scans ä/{labels.index(found.class_names[0])} ö.png"
    frame.to_parquet(root / "labels.parquet")
    assert table_catalogue(root / "labels.parquet").class_names == tuple(sorted(labels))


def test_a_name_that_is_no_text_is_found_as_the_disk_has_it(root):
    put(root, "a.png")
    (root / os.fsdecode(b"\xff.png")).touch()
    found = table_catalogue(written(root, "path,label\na.png,x\n\\xff.png,y\n"))
    assert len(found.paths) == 2 and found.paths[1] == os.fsdecode(b"\xff.png")


HOSTILE = (
    "..", "/", ".", "../../../../etc/passwd", "/etc/passwd.png", "/dev/zero", "file://host/x.png", "file:///tmp/%ff.png",
    "x" * 300 + ".png", "d/" * 3_000 + "a.png", "\u202egnp.a", "~/x.png", "~nobody/x.png", "gs://", "C:\\",
    "\\\\host\\x.png", "=1+1", "a.png/", "%00.png", "*", "\ufeffa.png", "\\xff", "con.png", "http://[x/a.png",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_path_is_an_image_of_the_folder_or_a_sentence(root, text):
    put(root, "a.png", "b.png", "c.png")
    frame = pd.DataFrame({"path": ["a.png", "b.png", "c.png", text], "label": ["x", "y", "x", "y"]})
    frame.to_csv(root / "labels.csv", index=False)
    try:
        found = table_catalogue(root / "labels.csv")
    except UserError as error:
        assert error.field in ("dataset", "data_roots") and len(str(error)) < 1_500
    else:
        assert set(found.paths) == {"a.png", "b.png", "c.png"}


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\\" not in text])
def test_hostile_labels_and_headers_are_text(root, text):
    put(root, "a.png", "b.png")
    frame = pd.DataFrame({"path": ["a.png", "b.png"], "label": [text, "y"], f" {text}": [text, ""]})
    frame.to_csv(root / "labels.csv", index=False)
    try:
        found = table_catalogue(root / "labels.csv")
    except UserError as error:
        assert "that is no class" in str(error) and len(text) > 255
    else:
        assert set(found.class_names) == {text.strip("\ufeff\u202e"), "y"}


def test_what_stops_the_listing_is_passed_on(root, monkeypatch):
    monkeypatch.setattr("colora.data.tables.places.TELL_EVERY", 4)
    put(root, *(f"{i}.png" for i in range(6)))
    path = written(root, "path,label\n0.png,a\n1.png,b\n")
    seen = []
    table_catalogue(path, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 0)]
    with pytest.raises(ZeroDivisionError):
        table_catalogue(path, on_progress=lambda done, total: 1 // 0)


def test_two_hundred_thousand_rows_take_seconds(root, monkeypatch):
    for n, start, end in ((200_000, "", None), (20_000, "gs://bucket/x/", None), (20_000, "x/", -4)):
        names = [f"img/{i // 1000:03d}/{i:06d}.png" for i in range(n)]
        monkeypatch.setattr("colora.data.tables.places.Places._listed", lambda places, names=names: iter(names))
        frame = pd.DataFrame({"path": names, "label": np.array(["CNV", "NORMAL"])[np.arange(n) % 2], "patient": "p1"})
        frame.assign(path=start + frame["path"].str[:end]).to_csv(root / "labels.csv", index=False)
        begun = time.monotonic()
        found = table_catalogue(root / "labels.csv")
        assert time.monotonic() - begun < 60  # one or two, on a machine that does nothing else
        assert len(found.paths) == n and found.paths[:2] == ["img/000/000000.png", "img/000/000002.png"]
