"""Images of each class, counted from labels and file names, are those that training then finds."""

import numpy as np
import pytest
from small_data import write_folder, write_npz

from colora.data import counts as counting
from colora.data.check import look
from colora.data.counts import ClassCounts, found_counts, medmnist_counts, phantom_counts, too_large
from colora.data.dataset import SPLITS
from colora.data.medmnist import get
from colora.data.phantom import PhantomSettings, class_labels, generate
from colora.data.sources import load_dataset, used_index
from colora.settings.config import RunConfig, make_config
from colora.system.errors import UserError


def counts_of(config: RunConfig) -> ClassCounts:
    """Of a set by name, or of one's own data as they are looked at before training."""
    own = ":" in config.dataset
    return found_counts(look(config), config) if own else medmnist_counts(config.dataset, config.image_size)


def assert_as_loaded(dataset: str, **settings) -> None:
    """The same classes and counts as `load_dataset` finds, complete and balanced."""
    config = make_config({"dataset": dataset, "image_size": 28, **settings})
    loaded, found = load_dataset(config), counts_of(config)
    assert found.class_names == loaded.class_names
    assert {split: list(found.counts[split]) for split in SPLITS} == {s: loaded.counts(s) for s in SPLITS}
    for train_set, per_class in (("complete", None), ("balanced", None), ("balanced", 3)):
        chosen = config.model_copy(update={"train_set": train_set, "per_class": per_class})
        labels = loaded.splits["train"].labels[used_index(loaded, chosen)]
        assert found.used(train_set, per_class) == tuple(np.bincount(labels, minlength=loaded.classes))


def test_counts_of_a_file_are_those_of_its_images(tiny_npz, tmp_path):
    assert_as_loaded(f"npz:{tiny_npz}")
    assert_as_loaded(f"npz:{write_npz(tmp_path / 'unnamed.npz', named=False)}")


def test_counts_of_a_set_are_those_of_its_images_downloaded_and_unpacked(medmnist, tmp_path):
    get("colourmnist", 28)
    assert_as_loaded("colourmnist")
    packed = tmp_path / "packed" / "colourmnist.npz"
    packed.parent.mkdir()
    packed.write_bytes(medmnist.files[packed.name])
    found = medmnist_counts("colourmnist", 28, str(packed.parent))
    assert found.counts == dict.fromkeys(SPLITS, (12, 10, 8))
    assert found.source == f"Counted from the labels in {packed}."


def test_a_set_that_is_not_here_or_damaged_has_no_counts_unless_published(medmnist):
    assert medmnist_counts("octmnist") is None  # the test's set is not the published one
    (medmnist.root / "octmnist.npz").write_bytes(b"cut off")
    assert medmnist_counts("octmnist", 28) is None
    many = write_npz(medmnist.root / "octmnist_64.npz", counts=(1, 1, 1, 1, 1), class_names=None)
    assert many.exists() and medmnist_counts("octmnist", 64) is None  # five classes where the set has four


def test_published_counts_of_octmnist(tmp_path):
    found = medmnist_counts("octmnist", 28, str(tmp_path))
    assert [found.total(split) for split in SPLITS] == [97_477, 10_832, 1_000]
    assert found.used("balanced") == (7_754,) * 4 and sum(found.used("balanced")) == 31_016
    assert found.used("complete") == (33_484, 10_213, 7_754, 46_026)
    assert found.total("val") == 4 * 2_708  # what the paper's table 1 prints
    with pytest.raises(UserError, match="Class 2 has 7754 training images, fewer than per_class 8000"):
        found.used("balanced", 8_000)


def test_counts_of_the_generated_images_are_those_that_are_drawn():
    settings = PhantomSettings(counts=(40, 20, 12))
    for split in SPLITS:
        drawn = generate(split, 16, settings=settings).labels
        assert class_labels(split, settings).tolist() == drawn.tolist()
    found = phantom_counts()
    assert found.synthetic and found.source.startswith("SYNTHETIC")
    assert found.used("balanced") == (194,) * 4


def test_counts_of_a_folder_are_its_files(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "oct", patients=4, scans=3)
    (folder / "ONE" / "notes.txt").touch()
    assert_as_loaded(f"folder:{folder}")
    config = make_config({"dataset": f"folder:{folder}"})
    found = counts_of(config)
    assert found.class_names == ("ONE", "THREE", "TWO") and sum(map(found.total, SPLITS)) == 36
    assert found.source == f"Counted from the file names in {folder}." and not too_large(config)
    monkeypatch.setattr(counting, "FOLDER_LIMIT", 38)
    assert too_large(config)  # 3 folders and 37 files
    with pytest.raises(UserError, match="There is no folder"):
        counts_of(make_config({"dataset": f"folder:{tmp_path / 'gone'}"}))


def test_a_table_is_large_by_its_size_and_a_file_never(tiny_npz, tmp_path, monkeypatch):
    (tmp_path / "labels.csv").write_text("image,label\na.png,A\n")
    monkeypatch.setattr(counting, "TABLE_LIMIT", 19)
    assert too_large(make_config({"dataset": f"table:{tmp_path / 'labels.csv'}"}))
    monkeypatch.setattr(counting, "TABLE_LIMIT", 20)
    assert not too_large(make_config({"dataset": f"table:{tmp_path / 'labels.csv'}"}))
    assert not too_large(make_config({"dataset": f"npz:{tiny_npz}"}))
