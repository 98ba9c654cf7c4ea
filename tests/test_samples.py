"""Images to look at: of each class, from where they lie, with what is known of the patients."""

import numpy as np
from conftest import write_folder

from colora.data.medmnist import get
from colora.data.phantom import PhantomSettings, generate
from colora.data.samples import SIDE, folder_samples, medmnist_samples, phantom_samples


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
    found = folder_samples(root, each=3)
    assert found.class_names == ("ONE", "THREE", "TWO")
    assert [len(shown) for shown in found.images] == [3, 3, 3] and found.images[0][0].shape == (SIDE, SIDE)
    assert found.patients == "18 patients by the file names: the split is by patient."
    (root / "ONE" / "scan.png").write_bytes(b"no image")
    named = folder_samples(root, each=100)
    assert len(named.images[0]) == 12 and "do not tell the patient" in named.patients
