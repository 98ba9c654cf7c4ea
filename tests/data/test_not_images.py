"""What lies among images and is none of them, told by names."""

import os

import pytest

from colora.data import not_images
from colora.data.layout import folder_catalogue
from colora.data.listing import list_tree
from colora.data.tables.table import table_catalogue
from colora.system.errors import UserError


def put(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def taken(root):
    found = folder_catalogue(root)
    return found.paths, found.not_read.by_reason


SCANS = [f"{c}/image_{i}.jpg" for c in ("CNV", "DME") for i in range(3)]


@pytest.mark.parametrize(
    "mask",
    ["image_{}_mask1.png", "image_{}_mask_IRF.png", "image_{}-seg-2.png", "mask_{}.png", "mask{}.png",
     "gt_image_{}.png", "image_mask_{}.png", "image_{}_overlay.png", "image_{}.jpg_mask.png"],
)  # fmt: skip
def test_masks_have_their_scan_beside_them_in_many_ways(tmp_path, mask):
    put(tmp_path, *SCANS, *(f"{c}/{mask.format(i)}" for c in ("CNV", "DME") for i in range(3)))
    if mask == "mask{}.png":  # of 0.jpg, which is not there, and image_0 has another form
        assert not not_images.paired(["image_0.jpg", "mask0.png"]) and not_images.paired(["0.jpg", "mask0.png"])
    else:
        assert taken(tmp_path) == (SCANS, {"mask": 6})


@pytest.mark.parametrize("folder", ["_thumbs", "previews", "OCT_masks", "masks_png", "seg masks", "lesion-masks"])
def test_folders_of_masks_and_thumbnails_may_say_more(tmp_path, folder):
    put(tmp_path, *SCANS, *(f"{c}/{folder}/image_{i}.png" for c in ("CNV", "DME") for i in range(3)))
    assert taken(tmp_path) == (SCANS, {"thumbnail" if folder in ("_thumbs", "previews") else "mask": 6})


def test_folders_that_are_named_as_masks_do_not_speak_for_each_other(tmp_path):
    put(tmp_path, *(f"{name}/{i}.png" for name in ("label", "overlay") for i in range(3)))
    assert len(taken(tmp_path)[0]) == 6  # classes with odd names: none has a scan beside it


@pytest.mark.parametrize("folder", [".@__thumb", "@__thumb", "@eaDir", ".thumbnails", ".AppleDouble", "#snapshot"])
def test_what_drives_keep_is_counted_file_by_file(tmp_path, folder):
    put(tmp_path, *SCANS, *(f"CNV/{folder}/s100image_{i}.jpg" for i in range(3)))
    assert taken(tmp_path) == (SCANS, {folder.lstrip("."): 3})


def test_endings_that_are_none(tmp_path):
    """DICOM files are often named by their number: each would be a kind of its own."""
    put(tmp_path, *SCANS, *(f"CNV/1.2.840.113619.{i}" for i in range(20)), "DME/x.", "DME/a. b", "DME/scan.DCM")
    assert taken(tmp_path)[1] == {"no ending": 22, ".dcm": 1}


def test_links_to_what_is_no_image_are_counted(tmp_path):
    put(tmp_path, *SCANS, "store.dcm")
    (tmp_path / "CNV" / "a.dcm").symlink_to("../store.dcm")
    (tmp_path / "CNV" / "b.dcm").symlink_to("../gone.dcm")
    (tmp_path / "DRUSEN").symlink_to("nowhere")  # a class, perhaps
    found = folder_catalogue(tmp_path)
    assert found.not_read.by_reason == {".dcm": 1, "broken link": 2}
    assert found.not_read.counts["broken link"] == {"CNV": 1, "": 1}
    assert any("Links to files that are not there, left out: 2" in said for said in found.warnings)


def test_a_file_where_a_folder_is_asked_for(tmp_path):
    put(tmp_path, "t.csv")
    with pytest.raises(UserError, match=r"t\.csv is a file and no folder: choose the folder that it lies in, or, if"):
        list_tree(tmp_path / "t.csv")


def test_a_table_means_the_scan_and_not_its_mask(tmp_path):
    put(tmp_path, *(f"{folder}/{i}.png" for folder in ("images", "masks", "#recycle") for i in range(4)))
    (tmp_path / "t.csv").write_text("image,label\n0.png,A\n1.png,A\n2.png,B\n3.png,B\n")
    found = table_catalogue(tmp_path / "t.csv")
    assert found.paths == [os.path.join("images", f"{i}.png") for i in range(4)]
    assert found.not_read.by_reason == {"not in the table": 4}
