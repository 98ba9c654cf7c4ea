"""`folder:DIR`: how it is listed and split, and the sentence for each kind of bad folder."""

import os
import unicodedata

import numpy as np
import pytest
from PIL import Image
from small_data import load, write_folder

from colora.data import prepare
from colora.data.layout import folder_catalogue
from colora.data.listing import SUFFIXES
from colora.data.sources import SPLITS, load_dataset, load_outside, outline
from colora.settings.config import RunConfig
from colora.system.errors import UserError


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "oct")


def check(root):
    outline(RunConfig(dataset=f"folder:{root}"))


def refused(root, sentence):
    """Both the run and the check before it say the same sentence."""
    for meet in (lambda: load(f"folder:{root}"), lambda: check(root)):
        with pytest.raises(UserError, match=sentence) as error:
            meet()
        assert error.value.field == "dataset"


def images_in(data):
    return sum(len(split) for split in data.splits.values())


def test_folder_splits_by_patient(tiny_folder):
    data = load(f"folder:{tiny_folder}")
    assert data.class_names == ("ONE", "THREE", "TWO")  # sorted
    assert images_in(data) == 72
    patients = [set(data.splits[s].patient_ids) for s in SPLITS]
    assert not (patients[0] & patients[1] or patients[0] & patients[2] or patients[1] & patients[2])
    assert all(abs(len(data.splits[s]) - share * 72) <= 3 for s, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True))
    assert all(min(data.counts(s)) >= 2 for s in SPLITS)
    assert data.warnings == ()
    assert data.checksum() == load(f"folder:{tiny_folder}").checksum()
    assert data.checksum() != load(f"folder:{tiny_folder}", split_seed=1).checksum()
    for split in data.splits.values():
        assert split.image_ids.tolist() == sorted(split.image_ids)
        named = [data.class_names[label] for label in split.labels]
        assert [i.split("/")[0] for i in split.image_ids] == named


def test_each_image_keeps_its_label_and_patient(tiny_folder):
    """The files are read in split order; whatever the order, id, pixels, label and patient belong together."""
    every = load_outside({"dataset": f"folder:{tiny_folder}", "image_size": 32}).images
    row = {image_id: i for i, image_id in enumerate(every.image_ids)}
    data = load(f"folder:{tiny_folder}")
    for split in data.splits.values():
        same = [row[image_id] for image_id in split.image_ids]
        assert np.array_equal(split.images, every.images[same])
        assert np.array_equal(split.labels, every.labels[same])
        assert np.array_equal(split.patient_ids, every.patient_ids[same])
        assert split.images.base is not None  # a slice of one array: no image is held twice


def test_without_patients_the_split_is_by_image_and_says_so(tmp_path):
    root = write_folder(tmp_path / "oct", patients=5, scans=2)
    for path in list(root.rglob("*.png")):
        path.rename(path.with_name(path.name.replace("-", "ä ")))
    data = load(f"folder:{root}")
    assert data.splits["train"].patient_ids is None
    assert "by image" in data.split_rule
    assert "better than they are" in data.warnings[0]
    assert data.counts("val") == [2, 2, 2]
    with_pattern = load(f"folder:{root}", patient_pattern=r"ä (?P<patient>\d+)ä")
    assert with_pattern.splits["train"].patient_ids is not None
    assert with_pattern.warnings == ()


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("(", "is no regular expression"),
        (r"(\d+)", "has no group"),
        (r"x(?P<patient>\d+)", "finds no patient in 'ONE-0-1.png'"),
        (r"(x(?P<patient>\d+))?", "finds no patient in 'ONE-0-1.png'"),
    ],
)
def test_wrong_patient_patterns(tiny_folder, pattern, sentence):
    config = RunConfig(dataset=f"folder:{tiny_folder}", patient_pattern=pattern, image_size=32)
    for meet in (load_dataset, outline):  # before the launch, and not in each seed after it
        with pytest.raises(UserError, match=sentence) as error:
            meet(config)
        assert error.value.field == "patient_pattern"


def test_too_few_images_or_patients_to_split_are_refused_before_the_launch(tmp_path):
    by_patient = write_folder(tmp_path / "a", patients=2, scans=1)
    for path in (by_patient / "TWO").iterdir():
        path.unlink()
    refused(
        by_patient,
        "The 4 images of 4 patients in .* are too few to split into training, validation and test: test would have "
        "none. Add images: whole patients go into one split, so each class needs images of at least three patients.$",
    )
    by_image = write_folder(tmp_path / "b", patients=1, scans=2)
    for path in list(by_image.rglob("*.png")):
        path.rename(path.with_name(path.name.replace("-", " ")))
    refused(by_image, "The 6 images in .*: validation and test would have none. .* each class needs at least three im")


def test_a_pattern_that_takes_all_for_few_patients_is_named(tiny_folder):
    config = RunConfig(dataset=f"folder:{tiny_folder}", patient_pattern="(?P<patient>[A-Z]+)")  # finds the class
    with pytest.raises(UserError, match=r"The 72 images of 3 patients in .* correct patient_pattern '\(\?P<patient>\["):
        outline(config)


def test_no_folder_no_class_one_class(tmp_path, root):
    refused(tmp_path / "no", "There is no folder")
    (tmp_path / "empty" / "A").mkdir(parents=True)
    refused(tmp_path / "empty", r"no sub-folder with images \(\.bmp, .*\): each class is one sub-folder")
    for name in ("TWO", "THREE"):
        (root / name).rename(tmp_path / name)
    refused(root, r"one class only \(ONE\); at least two are needed")


def test_what_is_left_out_is_said(root):
    (root / "EMPTY").mkdir()
    (root / "NOTES").mkdir()
    (root / "NOTES" / "readme.txt").write_text("no image")
    (root / "a.png").write_bytes(b"")
    (root / "b.jpg").write_bytes(b"")
    (root / ".hidden").mkdir()
    (root / "ONE" / "._ONE-0-1.png").write_bytes(b"what macOS puts beside a file")
    data = load(f"folder:{root}")
    assert images_in(data) == 72
    assert data.warnings == (
        "Images beside the class folders, in no class, left out: 2; first: a.png.",
        f"Sub-folders without an image ({', '.join(SUFFIXES)}) are no class: EMPTY, NOTES.",
        "Files in the class folders that are not read: 1 .txt; the first: NOTES/readme.txt.",
    )


def test_images_that_do_not_open_are_all_listed_and_refused_above_5_percent(root):
    before = load(f"folder:{root}")
    (root / "ONE" / "ONE-999-1.png").write_text("no image")
    (root / "TWO" / "TWO-999-2.png").write_bytes(b"")
    whole = (root / "ONE" / "ONE-0-1.png").read_bytes()
    (root / "ONE" / "ONE-998-3.png").write_bytes(whole[: len(whole) // 2])
    data = load(f"folder:{root}")
    assert images_in(data) == 72
    assert data.warnings == (
        "3 of 75 images did not open and were left out: ONE/ONE-998-3.png, ONE/ONE-999-1.png, TWO/TWO-999-2.png.",
    )
    assert data.left_out[1:] == (
        "ONE/ONE-999-1.png: it is no PNG, JPEG, TIFF, BMP, GIF or WEBP",
        "TWO/TWO-999-2.png: the file is empty",
    )
    assert data.left_out[0].startswith("ONE/ONE-998-3.png: image file is truncated")
    assert before.left_out == ()

    for n in range(3):
        (root / "ONE" / f"ONE-997-{n}.png").write_text("no image")
    with pytest.raises(UserError, match=r"6 of 78 images in .*oct do not open \(more than 5 %\).* The first: ONE/ONE-"):
        load(f"folder:{root}")


def test_one_bad_name_in_a_message_of_many(tmp_path):
    root = write_folder(tmp_path / "oct", patients=60)
    for n in range(7):
        (root / "ONE" / f"ONE-999-{n}.png").write_text("no image")
    data = load(f"folder:{root}", image_size=16)
    assert data.warnings[0].startswith("7 of 367 images did not open and were left out: ONE/ONE-999-0.png, ")
    assert data.warnings[0].endswith("ONE/ONE-999-4.png, ....")
    assert len(data.left_out) == 7


def test_16_bit_and_colour_images_are_converted_and_said(root):
    deep = np.linspace(1000, 50_000, 32 * 32).reshape(32, 32).astype(np.uint16)
    Image.fromarray(deep).save(root / "ONE" / "ONE-900-1.png")
    Image.fromarray(deep).save(root / "ONE" / "ONE-900-2.tif")
    Image.new("RGB", (32, 32), "red").save(root / "TWO" / "TWO-900-1.png")
    Image.new("RGB", (32, 32), (90, 90, 90)).save(root / "TWO" / "TWO-900-2.jpg")
    two = Image.new("L", (32, 32), 10)
    two.save(root / "THREE" / "THREE-900-1.tif", save_all=True, append_images=[Image.new("L", (32, 32), 200)])
    data = load(f"folder:{root}")
    assert images_in(data) == 77
    assert data.warnings == (
        "In colour, made grey: 1 of 77 images; the first: TWO/TWO-900-1.png.",
        "More than 8 bits a pixel, brought to 8 (grey over each image's own range): 2 of 77 images; the first: "
        "ONE/ONE-900-1.png.",
        "Several pages or frames, the first was taken: 1 of 77 images; the first: THREE/THREE-900-1.tif.",
    )
    by_id = {i: image for s in data.splits.values() for i, image in zip(s.image_ids, s.images, strict=True)}
    assert (by_id["ONE/ONE-900-1.png"].min(), by_id["ONE/ONE-900-1.png"].max()) == (0, 255)
    assert by_id["TWO/TWO-900-1.png"].max() == 76
    assert by_id["THREE/THREE-900-1.tif"].max() == 10


@pytest.mark.parametrize("what", ["file", "folder", "class", "broken"])
def test_links_out_of_the_folder_are_refused(tmp_path, root, what):
    outside = write_folder(tmp_path / "oct-outside", patients=1)  # its path begins like the folder's own
    link, target = {
        "file": (root / "ONE" / "ONE-5000-1.png", outside / "ONE" / "ONE-0-1.png"),
        "folder": (root / "ONE" / "more", outside / "ONE"),
        "class": (root / "LINKED", outside / "ONE"),
        "broken": (root / "ONE" / "ONE-5000-1.png", tmp_path / "gone.png"),
    }[what]
    link.symlink_to(target)
    refused(root, f"{link} is a link that leads out of the folder, to {target}: put a copy in its place, take it out")


def test_links_that_stay_inside_are_left_out_and_said(tmp_path, root):
    (root / "ONE" / "ONE-5000-1.png").symlink_to(root / "TWO" / "TWO-100-1.png")
    (root / "ONE" / "loop").symlink_to(root)
    (root / "AGAIN").symlink_to("ONE")
    data = load(f"folder:{root}")
    assert images_in(data) == 72
    said = "Links to images or folders that are there already, not followed: 3; the first: AGAIN."
    assert data.warnings == (said,)
    (tmp_path / "way").symlink_to(root)  # the folder that a person names may be a link itself
    assert load(f"folder:{tmp_path / 'way'}").checksum() == data.checksum()
    only = tmp_path / "only"
    (only / "A").mkdir(parents=True)
    (only / "store").mkdir()
    for n in range(3):
        (only / "A" / f"{n}.png").symlink_to(only / "store" / "x")
    refused(only, "has no sub-folder with images")  # what they lead to is not there


def test_a_pipe_named_like_an_image_is_refused(root):
    os.mkfifo(root / "ONE" / "ONE-7-7.png")
    refused(root, r"ONE-7-7.png is named like an image but is a pipe, socket or device: take it out")


def test_a_folder_named_like_an_image_is_a_folder(root):
    inner = root / "ONE" / "ONE-3.png"
    inner.mkdir()
    (root / "ONE" / "ONE-0-1.png").rename(inner / "ONE-0-1.png")
    (root / "ONE" / "empty.jpg").mkdir()
    data = load(f"folder:{root}")
    assert images_in(data) == 72
    assert data.warnings == ()
    assert "ONE/ONE-3.png/ONE-0-1.png" in np.concatenate([s.image_ids for s in data.splits.values()])


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_with_spaces_and_umlauts(tmp_path, form):
    """macOS stores "ä" as two characters, Linux as they come: the names people see are the same."""
    root = write_folder(tmp_path / "Größe 3 µm")
    (root / "ONE").rename(root / unicodedata.normalize(form, "Ödem, zystoid"))
    for path in list(root.rglob("*.png")):
        name = unicodedata.normalize(form, path.name.replace("-", " Auge é "))
        path.rename(path.with_name(name))
    check(root)
    pattern = unicodedata.normalize("NFC", r" Auge é (?P<patient>\d+) ")
    data = load(f"folder:{root}", patient_pattern=pattern)
    assert data.class_names == ("THREE", "TWO", unicodedata.normalize("NFC", "Ödem, zystoid"))
    assert data.source == "folder:Größe 3 µm"
    assert len(np.unique(np.concatenate([s.patient_ids for s in data.splits.values()]))) == 36
    ids = [i for s in data.splits.values() for i in s.image_ids]
    assert all((root / i).is_file() for i in ids)  # the id is the path as it is stored


def test_two_classes_of_one_name(root):
    (root / "TWO").rename(root / unicodedata.normalize("NFC", "Ödem"))
    (root / "THREE").rename(root / unicodedata.normalize("NFD", "Ödem"))
    refused(root, "two sub-folders named Ödem, which differ only in how their letters are stored")


def test_names_that_are_no_utf8(root):
    """As from an old Windows disk; such a name must not fail in the middle of a run, where it is written as text."""
    path = os.fsencode(root / "ONE") + b"/ONE-700-1 \xe4.png"
    with open(path, "wb") as file:
        file.write((root / "ONE" / "ONE-0-1.png").read_bytes())
    os.rename(os.fsencode(root / "TWO"), os.fsencode(root) + b"/\xd6dem")
    data = load(f"folder:{root}", patient_pattern=r"-(?P<patient>\d+)-")
    assert data.class_names == ("ONE", "THREE", "\\xd6dem")
    ids = np.concatenate([s.image_ids for s in data.splits.values()])
    assert "ONE/ONE-700-1 \\xe4.png" in ids
    assert all(i.encode() for i in ids)


def test_no_permission_on_a_sub_folder(root, monkeypatch):
    (root / "ONE" / "private").mkdir()
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("private"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    refused(root, "no permission to read the folder .*private: give this user access to it, or take it out")


def test_a_folder_on_a_disk_that_fails(root, monkeypatch):
    def broken(path):
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(os, "scandir", broken)
    refused(root, "The folder .*oct/? cannot be read: Input/output error")


def test_no_permission_on_an_image(root, monkeypatch):
    opened = prepare.regular

    def guarded(path):
        if str(path).endswith("ONE-0-1.png"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path)

    monkeypatch.setattr(prepare, "regular", guarded)
    data = load(f"folder:{root}")
    assert data.left_out == ("ONE/ONE-0-1.png: no permission to read it",)
    assert "1 of 72 images did not open" in data.warnings[0]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read everything")
def test_no_permission_for_real(root):
    (root / "ONE").chmod(0)
    try:
        refused(root, "no permission to read the folder")
    finally:
        (root / "ONE").chmod(0o700)


def test_listing_is_in_path_order_and_tells_how_far_it_is(tmp_path, monkeypatch):
    for name in ("A/b-1.png", "A/b/2.png", "A/b.png", "A/B.JPG", "B/z.png", "B/c.dcm", "B/.d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr("colora.data.listing.TELL_EVERY", 2)
    told = []
    listing = folder_catalogue(tmp_path, on_progress=lambda *done: told.append(done))
    assert listing.paths == ["A/B.JPG", "A/b/2.png", "A/b-1.png", "A/b.png", "B/z.png"]
    assert listing.paths == [str(p) for p in sorted(map(type(tmp_path), listing.paths))]
    assert listing.labels.tolist() == [0, 0, 0, 0, 1]
    assert [done for done, _ in told] == list(range(2, 2 * len(told) + 1, 2))
    assert {total for _, total in told} == {0}  # not known yet


def test_real_folder_and_npz_hold_the_same_eyes(shared):
    from_file = load(f"npz:{shared / 'data' / 'oct2017-sample_224.npz'}", image_size=224)
    outside = load_outside({"dataset": f"folder:{shared / 'data' / 'oct2017-sample'}", "image_size": 224})
    from_folder = outside.dataset
    assert from_file.class_names == from_folder.class_names == ("CNV", "DME", "DRUSEN", "NORMAL")
    assert [len(from_file.splits[s]) for s in SPLITS] == [482, 102, 116]
    every = outside.images
    assert every.images.shape == (700, 224, 224)
    assert len(set(every.patient_ids)) == 439
    assert from_folder.warnings == ()
    known = {image.tobytes() for image in every.images}
    same = sum(image.tobytes() in known for s in SPLITS for image in from_file.splits[s].images)
    assert same == 700  # both were prepared by the same rule
