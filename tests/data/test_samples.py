"""Images to look at: of each class, from where they lie, with what is known of the patients."""

import numpy as np
from small_data import write_folder, write_npz

from colora.data.medmnist import get
from colora.data.phantom import PhantomSettings, generate
from colora.data.samples import SIDE, file_samples, medmnist_samples, npz_samples, phantom_samples
from colora.settings.config import make_config


def test_of_a_set_the_first_training_images_of_each_class(medmnist):
    assert medmnist_samples("octmnist") is None
    get("octmnist", 64)
    found = medmnist_samples("octmnist", each=2)
    with np.load(medmnist.root / "octmnist_64.npz") as file:
        images, labels = file["train_images"], file["train_labels"].ravel()
    for c, shown in enumerate(found.images):
        assert len(shown) == min(2, (labels == c).sum())
        for image, expected in zip(shown, images[labels == c], strict=False):
            np.testing.assert_array_equal(image, expected)
    assert "at 64 px" in found.which and "it has no patient ids" in found.patients


def test_generated_ones_are_those_of_training():
    found = phantom_samples(each=1)
    drawn = generate("train", SIDE, settings=PhantomSettings(counts=(24, 1, 1)))  # the first of those of training
    for c, (shown,) in enumerate(found.images):
        np.testing.assert_array_equal(shown, drawn.images[np.flatnonzero(drawn.labels == c)[0]])
    assert found.which.startswith("SYNTHETIC")


def test_of_a_folder_spread_over_the_files(tmp_path):
    root = write_folder(tmp_path / "oct", patients=6, scans=2)
    found = file_samples(make_config({"dataset": f"folder:{root}"}), each=3)
    assert found.class_names == ("ONE", "THREE", "TWO")
    assert [len(shown) for shown in found.images] == [3, 3, 3] and found.images[0][0].shape == (SIDE, SIDE)
    assert found.patients == "18 patients, by file name CLASS-PATIENT-N."
    (root / "ONE" / "scan.png").write_bytes(b"no image")
    named = file_samples(make_config({"dataset": f"folder:{root}", "class_names": "1,3,2"}), each=100)
    assert len(named.images[0]) == 12 and named.class_names == ("1", "3", "2")
    assert named.patients == "19 patients, by file name CLASS-PATIENT-N."  # the one that tells none is one of its own
    assert named.size == sum(path.stat().st_size for path in root.rglob("*.png"))


def test_of_a_file_the_first_of_each_class_and_whether_patients_are_shared(tmp_path, monkeypatch):
    file = write_npz(tmp_path / "own.npz", SIDE, class_names=np.array(["ONE", "TWO", "THREE", "FOUR"]))
    found = npz_samples(file, each=2)
    with np.load(file) as stored:
        images, labels = stored["train_images"], stored["train_labels"].ravel()
    assert found.class_names == ("ONE", "TWO", "THREE", "FOUR") and [len(own) for own in found.images] == [2, 2, 2, 0]
    for c in range(3):
        np.testing.assert_array_equal(found.images[c], images[labels == c][:2])
    assert found.patients == "45 patients, none of them is in two splits."  # 15 in each split
    assert found.size == file.stat().st_size
    shared = write_npz(tmp_path / "shared.npz", 8, val_patients=np.arange(30) // 2 + 10)
    assert npz_samples(shared).patients.startswith("40 patients, 5 of them in more than one split")
    unknown = write_npz(tmp_path / "unknown.npz", 8, counts=(300, 300), train_patients=None)
    assert (
        npz_samples(unknown).patients == "The file's own splits; it holds no patient ids, so they may share patients."
    )
    monkeypatch.setattr("colora.data.samples.READ_BYTES", 0)
    first = npz_samples(unknown, each=300)
    assert first.which == "The first training images of each class, among the first 256."
    assert sum(map(len, first.images)) == 256
