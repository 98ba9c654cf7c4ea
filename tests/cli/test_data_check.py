"""`colora data check`: its document, its lines, its cut, and what a launch keeps of the same look."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import document, mistake
from PIL import Image
from small_data import write_folder

from colora.cli.main import main
from colora.data.check import check
from colora.runs import data_said
from colora.runs.documents import data_file
from colora.runs.folder import create_group
from colora.runs.metadata import FILE as METADATA
from colora.settings.config import make_config
from colora.training.run import train_run

KEYS = {"source", "classes", "counts", "split_rule", "patients", "duplicates", "not_read", "warnings"}


@pytest.fixture
def root(tmp_path) -> Path:
    return write_folder(tmp_path / "oct", patients=8)


@pytest.fixture
def leaky(tmp_path) -> Path:
    """Given splits: a test picture is in training too, another stands under two labels, one patient is in two."""
    for k, (split, n) in enumerate((("train", 6), ("val", 2), ("test", 2))):
        part = write_folder(tmp_path / "made" / split, patients=n, scans=1, size=(48, 48))
        for image in part.rglob("*.png"):
            grey = np.asarray(Image.open(image)).astype(int)
            change = np.random.default_rng(len(split) * 1000 + int(image.stem.split("-")[1])).integers(-60, 60, (6, 6))
            grey = grey + np.kron(change, np.ones((8, 8), int))
            place = tmp_path / "leaky" / split / image.parent.name / image.name.replace("-1.png", f"{k}-1.png")
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(place)
    data = tmp_path / "leaky"
    shutil.copy(data / "test" / "ONE" / "ONE-02-1.png", data / "train" / "ONE" / "ONE-77-1.png")
    shutil.copy(data / "train" / "ONE" / "ONE-10-1.png", data / "train" / "TWO" / "TWO-78-1.png")
    shutil.copy(data / "val" / "ONE" / "ONE-01-1.png", data / "val" / "ONE" / "ONE-30-1.png")
    return data


def test_the_document(root, capsys):
    (root / "ONE" / "a.dcm").touch()
    found = document(capsys, "data", "check", f"folder:{root}")
    assert found.keys() >= KEYS
    assert found["source"] == f"folder:{root}" and found["classes"] == ["ONE", "THREE", "TWO"]
    assert {split: sum(own.values()) for split, own in found["counts"].items()} == {"train": 30, "val": 12, "test": 6}
    assert found["patients"] == {"known": True, "n": 24, "from": "file name CLASS-PATIENT-N", "in_several_splits": 0}
    assert set(found["duplicates"]) == {"exact_across_splits", "exact_across_classes", "near_across_splits"}
    assert found["not_read"]["n"] == 1 and found["not_read"]["by_reason"] == {".dcm": 1}
    assert found["not_read"]["by_class"] == {".dcm": {"ONE": 1}}
    quick = document(capsys, "data", "check", root, "--quick")  # a path alone is what it is by its kind
    same = KEYS - {"duplicates"}
    assert {k: quick[k] for k in same} == {k: found[k] for k in same} and quick["duplicates"] is None


def test_the_lines(root, capsys):
    assert main(["data", "check", str(root), "--class-names", "uno,tre,due"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"folder:{root}" and lines[2].split() == ["uno", "10", "4", "2", "called", "ONE", "there"]
    assert lines[5].split() == ["All", "30", "12", "6"]
    assert "  Patients: 24, by file name CLASS-PATIENT-N; none of them in several splits." in lines
    assert "  Not read: nothing." in lines


def test_names_move_nothing_in_a_terminal(tmp_path, capsys):
    write_folder(tmp_path / "oct", patients=8)
    (tmp_path / "oct" / "ONE").rename(tmp_path / "oct" / "\x1b[31mred\nONE")
    (tmp_path / "oct" / "TWO" / "a\nb.dcm").touch()
    assert main(["data", "check", str(tmp_path / "oct"), "--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("  \\x1b[31mred\\nONE  ") and lines[3].split()[0] == "THREE"
    assert all(line.isprintable() for line in lines) and any("such as TWO/a b.dcm" in line for line in lines)
    assert len({line.rfind("  ") for line in lines[2:5]}) == 1  # in columns


def test_mistakes_are_one_line(root, tmp_path, capsys):
    assert "There is no folder" in mistake(capsys, "data", "check", f"folder:{tmp_path / 'gone'}")
    assert "--columns does nothing here" in mistake(capsys, "data", "check", root, "--columns", "path=a")
    assert "has 3 classes (ONE, THREE, TWO)" in mistake(capsys, "data", "check", root, "--class-names", "a,b")
    assert "leave out --quick" in mistake(capsys, "data", "check", root, "--quick", "--cut", "c")
    for name in ("AMD1", "AMD2", "DME1", "DME2"):
        shutil.copytree(root / "ONE", tmp_path / "numbered" / name)
    numbered = tmp_path / "numbered"
    assert "2 classes (AMD, DME) of 4 patients? Then say --layout class-number" in mistake(
        capsys, "data", "check", numbered
    )
    assert document(capsys, "data", "check", numbered, "--layout", "classes")["classes"] == [
        "AMD1", "AMD2", "DME1", "DME2",
    ]  # fmt: skip


def test_a_path_alone_is_what_it_is_or_a_sentence(root, tmp_path, capsys, monkeypatch):
    for name, sentence in (
        ("x.png", "x.png is no folder of images, no table (.csv, "),
        ("x.ZIP", "or a table that names the images. An archive is to be unpacked first."),
        ("x.xls", "it is Excel's old format (.xls), or protected by a password: save it as .xlsx"),
    ):
        (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0")
        assert sentence in mistake(capsys, "data", "check", tmp_path / name)
    for spec in (tmp_path / "gone", tmp_path / ("x" * 300), "~nobody/x"):
        assert f"There is no folder or file {spec}." in mistake(capsys, "data", "check", spec)
    assert "there is no data source 'octmnst': did you mean 'octmnist'?" in mistake(capsys, "data", "check", "octmnst")
    root.rename(tmp_path / "2020:oct")
    assert document(capsys, "data", "check", tmp_path / "2020:oct", "--quick")["classes"] == ["ONE", "THREE", "TWO"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert document(capsys, "data", "check", "~/2020:oct", "--quick")["classes"] == ["ONE", "THREE", "TWO"]


def test_a_table_of_test_images_alone_is_not_trained_on(root, tmp_path, capsys):
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name},test" for path in sorted(root.rglob("*.png"))]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,split", *rows]))
    line = mistake(capsys, "data", "check", tmp_path / "t.csv")
    assert "has no training images: the column split of t.csv tells test only." in line and "--ignore-splits" in line


def test_a_table_is_offered_wherever_it_lies_and_where_there_are_no_classes(root, tmp_path, capsys):
    rows = [f"{path.stem},{path.parent.name}" for path in sorted(root.rglob("*.png"))]
    shutil.copytree(root, tmp_path / "inner" / "oct2")
    (tmp_path / "inner" / "oct2" / "t.csv").write_text("\n".join(["image,label", *rows]))
    warnings = document(capsys, "data", "check", tmp_path / "inner", "--quick")["warnings"]
    assert any("/inner/oct2/t.csv takes them from there." in said for said in warnings)
    (tmp_path / "flat" / "images").mkdir(parents=True)
    for path in root.rglob("*.png"):
        shutil.copy(path, tmp_path / "flat" / "images")
    (tmp_path / "flat" / "labels.csv").write_text("\n".join(["image,label", *rows]))
    for place in ("flat", "flat/images"):
        line = mistake(capsys, "data", "check", tmp_path / place)
        assert f"labels.csv names 48 of these 48 images, and tells their classes: table:{tmp_path}/flat/labels" in line


def test_leaks_are_counted_told_and_left_out_by_a_cut(leaky, tmp_path, capsys):
    found = document(capsys, "data", "check", leaky, "--cut", "clean", "--runs-dir", tmp_path / "runs")
    assert found["duplicates"] == {"exact_across_splits": 1, "exact_across_classes": 1, "near_across_splits": 0}
    assert found["patients"]["in_several_splits"] == 1  # 30
    assert {pair["kind"] for pair in found["pairs"]} == {"split", "class"}
    assert found["cut"]["images"] == 20 - 4  # the twin of a test image, the two of two labels, the patient's
    assert data_said.leak(found) == (
        "These data leak: 1 patient is in several splits; 1 picture is in several splits. The figures look better than "
        "they would on new patients."
    )


def test_a_group_keeps_the_look_and_then_what_was_read(leaky, tmp_path, capsys):
    asked = make_config(
        {"dataset": f"folder:{leaky}", "backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "epochs": 1,
         "batch_size": 8, "threads": 1}
    )  # fmt: skip
    group = create_group(tmp_path / "runs", "g", asked, [0])
    assert data_said.of_group(group.path) is None  # as of a group of an older version
    assert train_run(group.runs[0].path) == 0
    kept = data_file(group.path)
    found = check(asked)
    assert {key: kept[key] for key in KEYS} == {key: found[key] for key in KEYS}
    assert kept["checksum"] == group.runs[0].resolved.data_checksum
    assert data_said.one_line(kept).startswith("Split as given by the folders train, val, test. Patients: ")
    assert not (group.path / METADATA).exists()


def test_what_else_a_table_tells_is_kept_by_image(root, tmp_path):
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name},{'OD' if n % 2 else 'OS'},{50 + n}"
            for n, path in enumerate(sorted(root.rglob("*.png")))]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(["path,label,eye,age", *rows]))
    asked = make_config(
        {"dataset": f"table:{tmp_path / 't.csv'}", "backbone": "resnet18:layer1", "weights": "none", "image_size": 32,
         "epochs": 1, "batch_size": 8, "threads": 1}
    )  # fmt: skip
    group = create_group(tmp_path / "runs", "g", asked, [0])
    assert train_run(group.runs[0].path) == 0
    kept = pd.read_parquet(group.path / METADATA)
    assert kept.index.name == "image_id" and list(kept.columns) == ["eye", "age"]
    predicted = pd.concat([group.runs[0].predictions(split) for split in ("train", "val", "test")])
    assert set(kept.index) == set(predicted["image_id"])
    assert kept.loc["oct/ONE/ONE-0-1.png"].tolist() == ["OS", "50"]
    assert data_file(group.path)["patients"]["from"] == "file name CLASS-PATIENT-N"
