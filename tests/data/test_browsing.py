"""What a folder picker lists and counts: bounded, by names alone, as a launch finds it, within what may be named."""

import os
from pathlib import Path

import pytest

from colora.data import browsing
from colora.data.browsing import Held, held, list_folder, typable
from colora.data.layout import folder_catalogue
from colora.runs.access import Refused
from colora.system.errors import UserError


def images(folder: Path, count: int, name: str = "scan") -> Path:
    """Files named as images; none of them is opened."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        (folder / f"{name}{n}.png").touch()
    return folder


def test_folders_and_the_files_asked_for_are_listed_as_people_number_them(tmp_path):
    for name in ("P10", "P2", "a", ".hidden", "__MACOSX"):
        (tmp_path / name).mkdir()
    for name in ("b.npz", "A.NPZ", "c.csv", ".d.npz"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.npz")
    found = list_folder(tmp_path, (".npz",))
    assert (found.folders, found.files, found.more) == (["a", "P2", "P10"], ["A.NPZ", "b.npz"], False)
    assert list_folder(tmp_path).files == []


def test_of_very_many_entries_some_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(browsing, "MOST_LISTED", 3)
    for name in "abcd":
        (tmp_path / name).mkdir()
    found = list_folder(tmp_path)
    assert len(found.folders) == 3 and found.more


def test_what_may_not_be_named_is_neither_listed_nor_looked_into(tmp_path, monkeypatch):
    images(tmp_path / "oct" / "set" / "CNV", 1)
    images(tmp_path / "secret", 1)
    (tmp_path / "oct" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "oct" / "gone").symlink_to(tmp_path / "none")
    (tmp_path / "oct" / "in").symlink_to(tmp_path / "oct" / "set")
    assert list_folder(tmp_path / "oct").folders == ["in", "out", "set"]
    (tmp_path / "access.toml").write_text(f'data_roots = ["{tmp_path}/oct"]')
    monkeypatch.setenv("COLORA_ACCESS", str(tmp_path / "access.toml"))
    assert list_folder(tmp_path / "oct").folders == ["in", "set"]
    for place in ("secret", "oct/out", "oct/..", "none"):
        with pytest.raises(Refused, match="This place may not be named"):
            list_folder(tmp_path / place)


def test_a_folder_that_cannot_be_read_says_so(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="none cannot be looked into: No such file or directory"):
        list_folder(tmp_path / "none")
    images(tmp_path / "set" / "CNV", 1)
    whole = os.scandir

    def forbidden(place):
        if os.path.basename(place) == "CNV":
            raise PermissionError(13, "Permission denied", str(place))
        return whole(place)

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(UserError, match="There is no permission to look into"):
        list_folder(tmp_path / "set" / "CNV")
    found = held(tmp_path / "set")
    assert found.says() == "not all may be read" and "There is no permission to read the folder" in found.sentence


def test_classes_are_those_of_a_launch(tmp_path):
    for name, count in (("NORMAL", 4), ("CNV", 3)):
        images(tmp_path / "CellData" / "OCT" / name, count, f"{name}-1-")
    found = held(tmp_path)
    catalogue = folder_catalogue(tmp_path)
    counts = {name: int((catalogue.labels == c).sum()) for c, name in enumerate(catalogue.class_names)}
    assert found == Held(7, counts) and found.says() == "7 images: CNV 3, NORMAL 4"


def test_splits_are_told_and_many_classes_are_cut_short(tmp_path):
    for split in ("train", "test"):
        for n in range(9):
            images(tmp_path / split / f"class {chr(65 + n)}", 2)
    assert held(tmp_path).says() == (
        "36 images: class A 4, class B 4, class C 4, class D 4, class E 4, class F 4 and 3 more classes, in train, test"
    )


@pytest.mark.parametrize(
    ("folders", "says", "sentence"),
    [
        ({}, "no images below", ""),
        ({"notes": 0}, "no images below", ""),
        ({"": 3}, "3 images, in no sub-folder", "has no sub-folder with images"),
        ({"CNV": 1}, "1 image, of one class only", "has images of one class only (CNV)"),
        ({"train": 2, "test": 2}, "4 images, in no class folders", "lie in no class folder"),
        (
            {f"{name}{n}": 1 for name in ("AMD", "DME") for n in (1, 2)},
            "4 images, classes not clear",
            "--layout class-number",
        ),
        (
            {"train/CNV": 1, "train/DME": 1, "test/CNV": 1, "test/OTHER": 1},
            "4 images, splits not clear",
            "--ignore-splits",
        ),
    ],
)
def test_what_a_launch_would_not_take_is_told_in_few_words_and_in_its_own(tmp_path, folders, says, sentence):
    for name, count in folders.items():
        images(tmp_path / name, count)
    found = held(tmp_path)
    assert found.says() == says and not found.classes
    assert sentence in found.sentence and bool(sentence) == bool(found.sentence)


def test_no_link_out_of_a_folder_is_followed_nor_told_where_places_are_bound(tmp_path, monkeypatch):
    images(tmp_path / "elsewhere", 5)
    images(tmp_path / "set" / "CNV", 1)
    (tmp_path / "set" / "DME").symlink_to(tmp_path / "elsewhere")
    found = held(tmp_path / "set")
    assert found.says() == "a link leads out of it" and str(tmp_path / "elsewhere") in found.sentence
    (tmp_path / "access.toml").write_text(f'data_roots = ["{tmp_path}/set"]')
    monkeypatch.setenv("COLORA_ACCESS", str(tmp_path / "access.toml"))
    assert held(tmp_path / "set") == Held(0, why="a link leads out of it")


@pytest.mark.parametrize(("bound", "value"), [("MOST_COUNTED", 10), ("COUNT_SECONDS", -1.0)])
def test_a_count_ends_at_its_bound(tmp_path, monkeypatch, bound, value):
    monkeypatch.setattr("colora.data.listing.TELL_EVERY", 4)
    monkeypatch.setattr(browsing, bound, value)
    images(tmp_path / "CNV", 40)
    seen = 12 if bound == "MOST_COUNTED" else 4
    assert held(tmp_path).says() == f"more than {seen} files, not counted"


@pytest.mark.parametrize(
    ("name", "held_by_a_field"),
    [
        ("left eye", True),
        ("Jürgen", True),
        ("*bold*", True),
        ("blank ", False),
        ("two\nlines", False),
        ("right\u202eleft", False),
        (os.fsdecode(b"half\xff"), False),
    ],
)
def test_a_path_that_a_field_would_change_is_not_typable(tmp_path, name, held_by_a_field):
    assert typable(tmp_path / name) is held_by_a_field
