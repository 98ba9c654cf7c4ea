"""Tables of images, as data sets are published and as people keep them; no image is opened, so none has any content."""

import os
import random
import time

import numpy as np
import pandas as pd
import pytest

from colora.data.tables.beside import tables_beside
from colora.data.tables.table import table_catalogue
from colora.runs.access import Refused
from colora.system.errors import UserError

OCTDL = "file_name,disease,subcategory,condition,patient_id,eye,sex,year,image_width,image_height"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "set").mkdir()
    return tmp_path / "set"


def put(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def written(root, text, name="labels.csv"):
    (root / name).write_text(text)
    return root / name


def flat(root, n=8, header="image,label\n", folder="images"):
    """n images in a folder beside the table, of two classes."""
    put(root, *(f"{folder}/{i:03d}.png" for i in range(n)))
    return written(root, header + "".join(f"{i:03d}.png,{('NORMAL', 'CNV')[i % 2]}\n" for i in range(n)))


def refused(path, sentence, field="dataset", **options):
    with pytest.raises(UserError, match=sentence) as error:
        table_catalogue(path, **options)
    assert error.value.field == field
    return str(error.value)


def octdl(root):
    rows = [OCTDL]
    for c, name in enumerate(("AMD", "DME", "NO")):
        for i in range(6):
            file = f"{name.lower()}_{1000000 + c * 5000 + i * 31}_{i + 1}"
            put(root, f"OCTDL/{name}/{file}.jpg")
            rows.append(f"{file},{name},,,{c * 10 + i // 2},{('OS', 'OD')[i % 2]},{('F', 'M')[i % 2]},2020,48,48")
    return written(root, "\n".join(rows) + "\n", "OCTDL_labels.csv")


def test_names_without_folder_and_ending_are_found_and_patients_are_those_of_the_table(root):
    found = table_catalogue(octdl(root))
    assert found.root == str(root.resolve()) and found.class_names == ("AMD", "DME", "NO")
    assert found.paths[0] == "OCTDL/AMD/amd_1000000_1.jpg" and len(found.paths) == 18
    assert found.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6 and found.labels.dtype == np.int64
    assert found.patients.ids.tolist() == [f"{c * 10 + p}" for c in range(3) for p in range(3) for _ in range(2)]
    assert found.patients.told_by == "column patient_id of OCTDL_labels.csv" and found.patients.alone == ()
    assert found.metadata.columns.tolist()[:2] == ["eye", "subcategory"]
    assert found.metadata["eye"].tolist() == ["OS", "OD"] * 9 and found.metadata["image_width"].tolist() == ["48"] * 18
    assert found.given is None and found.given_by == "" and found.not_read.total == 0
    assert found.warnings == (
        "18 images of OCTDL_labels.csv were found by the ends of their paths: amd_1000000_1 is "
        "OCTDL/AMD/amd_1000000_1.jpg, and so on.",
    )


def test_an_image_in_a_sub_folder_is_found_by_its_name(root):
    found = table_catalogue(flat(root))
    assert found.paths == [f"images/{i:03d}.png" for i in (1, 3, 5, 7, 0, 2, 4, 6)]
    assert found.class_names == ("CNV", "NORMAL") and found.patients.ids is None
    assert found.metadata.shape == (8, 0)


@pytest.mark.parametrize(
    "start", ["img/", "gs://bucket/data/img/", "C:\\\\scans\\\\img\\\\", "/elsewhere/img/", "./img/"]
)
def test_googles_import_file_brings_its_splits(root, start):
    use = ("TRAIN", "training", "VALIDATION", "Validate", "TEST", "TEST")
    put(root, *(f"img/{i:03d}.png" for i in range(6)))
    path = written(root, "".join(f"{use[i]},{start}{i:03d}.png,{'ab'[i % 2]}\n" for i in range(6)), "import.csv")
    found = table_catalogue(path)
    assert found.paths == [f"img/{i:03d}.png" for i in (0, 2, 4, 1, 3, 5)]
    assert found.given.tolist() == [0, 1, 2, 0, 1, 2] and found.given_by == "column 1 of import.csv"
    anew = table_catalogue(path, ignore_splits=True)
    assert anew.given is None and anew.paths == found.paths


def test_a_first_line_that_names_no_columns_is_an_image(root):
    put(root, "a.png", "b.png", "c d.png")
    for text in (
        "a.png,one\nb.png,two\nc d.png,disease\n",
        "one,a.png\ntwo,b.png\ndisease,c d.png\n",
        "a,one\nb,two\nc d,disease\n",
        "a.png;one\nb.png;two\nc d.png;disease\n",
        "UNASSIGNED,a.png,one\nUNASSIGNED,b.png,two\n,c d.png,disease\n",
    ):
        found = table_catalogue(written(root, text))
        assert found.class_names == ("disease", "one", "two") and found.paths == ["c d.png", "a.png", "b.png"]
        assert found.given is None
    said = refused(
        written(root, "TRAIN,a.png,x\nTEST,b.png,x,y\n"), "line 2 has more than an image and its class", "columns"
    )
    assert "--columns path=column 2,label=column 3" in said
    refused(written(root, "a.png\nb.png\n"), "more has to be known of them", "columns")
    told = table_catalogue(
        written(root, "a.png,7,x,OD\nb.png,7,y,OS\n"), "path=column 1, patient=column 2,label=column 3,eye=column 4"
    )
    assert told.patients.ids.tolist() == ["7", "7"] and told.metadata.to_dict("list") == {"eye": ["OD", "OS"]}


@pytest.mark.parametrize(
    "header",
    [
        "path,label", "Image Path,Class", "FILE-NAME,Diagnosis", "filename,dx", "scan,Target", "image_id,condition",
        "Image Index,Finding Labels", "Dateiname,Diagnose", "Bild,Befund",
    ],
)  # fmt: skip
def test_usual_names_of_columns_are_recognised(root, header):
    assert len(table_catalogue(flat(root, header=f"{header}\n")).paths) == 8


def test_all_columns_that_have_a_part_are_recognised_and_the_others_kept(root):
    put(root, *(f"{i}.png" for i in range(4)))
    path = written(
        root,
        "Age;Subset;Laterality;Subject ID;Category;File\n"
        "60,5;train;L;1.0;a;0.png\n70;VAL;R;1.0;b;1.png\n;test;;2.0;a;2.png\n;holdout;R;;b;3.png\n",
    )
    found = table_catalogue(path)
    assert found.paths == ["0.png", "2.png", "1.png", "3.png"]
    assert found.metadata.to_dict("list") == {"eye": ["L", "", "R", "R"], "Age": ["60,5", "", "70", ""]}
    assert found.patients.ids.tolist() == ["1", "2", "1", "3.png"] and found.patients.alone == ("3.png",)
    assert found.given.tolist() == [0, 2, 1, 2] and found.given_by == "the column Subset of labels.csv"
    assert found.warnings == (
        "The column Subject ID of labels.csv names no patient of 1 image: each counts as a patient of its own; the "
        "first: 3.png.",
    )


def test_a_column_that_is_not_clear_is_asked_about(root):
    refused(
        flat(root, header="image,what\n"),
        r"read with ',' between its columns, has no column that is known to hold the class\. Its columns are: image, "
        r"what\. Say which, such as --columns path=image,label=disease \(in the app: the field Columns\)",
        "columns",
    )
    assert len(table_catalogue(root / "labels.csv", "label=what").paths) == 8
    assert len(table_catalogue(root / "labels.csv", "label = What").paths) == 8
    put(root, "a.png", "b.png")
    path = written(root, "image,label,disease,split,subset\na.png,1,x,odd,train\nb.png,2,y,odd,test\n")
    refused(
        path, "2 columns that may hold the class: label and disease. Say which, as --columns label=label", "columns"
    )
    refused(path, "2 columns that may hold train, val or test: split and subset", "columns", columns="label=disease")
    found = table_catalogue(path, "label=disease,split=")
    assert found.given is None and found.class_names == ("x", "y")
    assert found.metadata.columns.tolist() == ["label", "split", "subset"]
    assert table_catalogue(path, "label=label,split=subset").given.tolist() == [0, 2]
    refused(
        path, r"words that are no split: 'odd'\. train, val and test are", "columns", columns="label=label,split=split"
    )
    assert table_catalogue(path, "label=label,split=split", ignore_splits=True).given is None


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ("path=imagee", "no column 'imagee'; is 'image' meant.* are: image, label"),
        ("paht=image", "'paht=image' tells no column: write path=, label=, .* Is path meant"),
        ("image", "'image' tells no column"),
        ("path=image,path=label", "path is told twice"),
        ("path=image,label=image", "the column image is told twice, as path and as label"),
        ("label=", "label= names no column"),
        ("=", "tells no column"),
        (",", "tells no column"),
        ("path=\0", "no column"),
    ],
)
def test_columns_that_are_told_wrongly(root, columns, sentence):
    refused(flat(root), f"--columns: .*{sentence}", "columns", columns=columns)


def test_a_column_name_may_hold_a_comma_and_signs(root):
    put(root, "a.png", "b.png")
    path = written(root, '"file, full",class=x\na.png,1\nb.png,2\n')
    assert table_catalogue(path, "path=file, full,label=class=x").class_names == ("1", "2")


def test_splits_that_only_some_rows_tell_are_asked_about(root):
    put(root, *"abc", *(f"{i}.png" for i in range(4)))
    path = written(root, "path,label,split\n0.png,a,train\n1.png,b,TEST\n2.png,a,\n3.png,,\n")
    refused(path, r"The column split of labels.csv tells the split of 2 images and not that of 1", "ignore_splits")
    assert table_catalogue(path, ignore_splits=True).given is None
    path = written(
        root, "path,label,split\n0.png,a,train\n1.png,b,TEST\n3.png,,\n"
    )  # and what is left out does not count
    assert table_catalogue(path).given.tolist() == [0, 2]


def test_labels_that_differ_in_capitals_or_blanks_alone_are_asked_about(root):
    put(root, *(f"{i}.png" for i in range(5)))
    path = written(root, 'path,label\n0.png,CNV\n1.png,CNV\n2.png,"cnv "\n3.png,NORMAL\n4.png,normal\n')
    said = refused(path, "differ in capitals or blanks alone", "columns")
    assert "'CNV' (2 rows) and 'cnv ' (1 row); 'NORMAL' (1 row) and 'normal' (1 row)" in said
    path = written(root, "path,label\n0.png, CNV\n1.png, CNV\n2.png, NORMAL\n")  # all alike: a blank behind the comma
    assert table_catalogue(path).class_names == ("CNV", "NORMAL")


@pytest.mark.parametrize("cell", ["nan", "NaN", "NA", "n/a", "#N/A", "<NA>", "null"])
def test_what_programs_write_for_a_missing_label_is_none(root, cell):
    put(root, *(f"{i}.png" for i in range(4)))
    found = table_catalogue(written(root, f"path,label\n0.png,CNV\n1.png,None\n2.png,{cell}\n3.png,CNV\n"))
    assert found.class_names == ("CNV", "None") and found.not_read.by_reason == {"no label": 1}


def test_labels_that_are_numbers(root):
    put(root, *(f"{i}.png" for i in range(4)))
    path = written(root, "path,label\n0.png,10.0\n1.png,2.0\n2.png,0.0\n3.png,2.0\n")
    found = table_catalogue(path)
    assert found.class_names == ("0", "2", "10") and found.labels.tolist() == [0, 1, 1, 2]
    assert table_catalogue(written(root, "path,label\n0.png,10.0\n1.png,2.5\n")).class_names == ("10.0", "2.5")
    pd.DataFrame({"path": ["0.png", "1.png"], "label": [1.0, 0.0], "patient": [7.0, np.nan]}).to_excel(
        root / "labels.xlsx", index=False
    )
    found = table_catalogue(root / "labels.xlsx")
    assert found.class_names == ("0", "1") and found.patients.ids.tolist() == ["1.png", "7"]


def test_a_column_that_is_no_class_is_said(root):
    put(root, *(f"{i}.png" for i in range(30)))
    each = "path,label\n" + "".join(f"{i}.png,note {i}\n" for i in range(30))
    refused(written(root, each), "30 different labels for 30 images, such as note .*: that is no class", "columns")
    refused(written(root, "path,label\n0.png,CNV\n1.png,CNV\n"), r"of one class only \(CNV\); at least two", "columns")
    long = f"path,label\n0.png,{'x' * 300}\n1.png,b\n"
    refused(written(root, long), "that is no class", "columns")
    refused(written(root, f"path,label,patient\n0.png,a,{'x' * 300}\n1.png,b,1\n"), "a cell of 300 letters", "columns")


def test_the_order_of_lines_changes_nothing(root):
    path = octdl(root)
    first = table_catalogue(path)
    head, *rows = path.read_text().splitlines()
    random.Random(1).shuffle(rows)
    path.write_text("\n".join([head, *rows]))
    other = table_catalogue(path)
    assert other.paths == first.paths and other.labels.tolist() == first.labels.tolist()
    assert other.patients.ids.tolist() == first.patients.ids.tolist() and other.metadata.equals(first.metadata)


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


def test_a_table_beside_a_folder_of_classes_is_offered(root):
    path = octdl(root)
    images = [
        os.path.relpath(os.path.join(at, name), root) for at, _, names in os.walk(root / "OCTDL") for name in names
    ]
    offer = (
        "OCTDL_labels.csv names 18 of these 18 images, and tells patient_id, eye, sex, year, image_width, "
        f"image_height: table:{path} takes them from there."
    )
    assert tables_beside(str(root), images) == offer
    written(root, "", "a-empty.csv")
    written(root, "a\0b", "b-binary.csv")
    written(root, "x,y\n1,2\n", "c-other.csv")
    os.mkfifo(root / "d-pipe.csv")
    (root / "e-link.csv").symlink_to(path)
    assert tables_beside(str(root), images) == offer
    assert tables_beside(str(root / "OCTDL"), images) is None
    assert tables_beside(str(root), ["a/else.png", "b/more.png"]) is None
    assert tables_beside(str(root / "none"), images) is None and tables_beside(str(root), []) is None
    path.write_text("file_name,disease\n" + "".join(f"{os.path.basename(image)},x\n" for image in images[:12]))
    assert "names 12 of these 18 images, and tells their classes: table:" in tables_beside(str(root), images)
    path.write_text("".join(f"TRAIN,gs://b/{os.path.basename(image)},x\n" for image in images))
    assert "names 18 of these 18 images, and tells the split: table:" in tables_beside(str(root), images)


@pytest.mark.parametrize("name", ["shadow", "notes.md", "labels.csv.bak", "scan.png"])
def test_what_is_not_named_as_a_table_is_not_quoted(root, name):
    said = refused(written(root, "root:secret:1\n", name), "is not named as a table, whose name ends in one of .csv, ")
    assert "secret" not in said
