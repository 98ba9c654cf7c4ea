"""Tables of images, as data sets are published and as people keep them: what columns hold, and what is offered."""

import os
import random

import numpy as np
import pandas as pd
import pytest
from tables_of_images import flat, octdl, put, refused, written

from colora.data.tables.beside import tables_beside
from colora.data.tables.table import table_catalogue


@pytest.fixture
def root(tmp_path):
    (tmp_path / "set").mkdir()
    return tmp_path / "set"


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
