"""Cuts as files: what they must agree with, their names, the trash; and what they select of a data set."""

import json
import os

import pytest
from fabricate import fabricate
from small_data import cut_of, load, write_npz

from colora.data.cuts import (
    PINNED,
    cut_hash,
    cuts_folder,
    list_cuts,
    pinned_cut,
    read_cut,
    remove_cut,
    restore_cut,
    save_cut,
)
from colora.data.medmnist import get
from colora.data.rules import make_rule
from colora.data.sources import check_cut, training_labels, used_index
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.runs.audit import recorded
from colora.runs.trash import empty, free_name, listed, put_back
from colora.settings.config import absolute_paths, make_config
from colora.system.errors import UserError


@pytest.fixture
def predictions(tmp_path):
    return read_predictions(fabricate(tmp_path, "source", ["done"]), "train")


def test_the_hash_is_that_of_the_canonical_json():
    # printf '{"data_checksum":"ab","image_ids":["a","é"]}' | sha256sum
    assert cut_hash("ab", ["é", "a"]) == "14c9f07e4fd6e3692ee3f721acb72baf4be0e55131257962597de27d973b93f6"
    assert cut_hash("ab", ["a", "é"]) == cut_hash("ab", ["é", "a"]) == cut_hash("ab", ["a", "é"], {})
    assert cut_hash("ab", ["a", "é"], {"a": 2}) != cut_hash("ab", ["a", "é"])
    assert cut_hash("ac", ["a", "é"]) != cut_hash("ab", ["a", "é"])


def test_a_saved_cut_is_read_by_name_and_by_path(tmp_path, predictions):
    cut = distil(predictions, "mine", make_rule(drop=1, keep=9))
    path = save_cut(tmp_path, cut)
    assert path == tmp_path / ".colora" / "cuts" / "mine.json"
    assert read_cut(tmp_path, "mine") == read_cut(tmp_path / "elsewhere", str(path)) == cut
    assert recorded(tmp_path)[-1]["detail"] == {"cut": "mine", "hash": cut.hash}
    with pytest.raises(UserError, match=r"There is no cut yours .* does not exist.: there are mine"):
        read_cut(tmp_path, "yours")


@pytest.mark.parametrize("name", ["../x", ".x", "a/b", "x.json", "", "a" * 81])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, predictions, name):
    with pytest.raises(UserError, match="cannot name a cut"):
        save_cut(tmp_path, distil(predictions, name, make_rule(keep=9)))
    assert not cuts_folder(tmp_path).exists()


def test_another_cut_of_the_same_name_is_replaced_only_when_asked(tmp_path, predictions):
    first, second = (distil(predictions, "c", make_rule(keep=keep)) for keep in (9, 8))
    save_cut(tmp_path, first)
    save_cut(tmp_path, first)  # the same images: nothing is lost
    with pytest.raises(UserError, match="Another cut is named 'c'"):
        save_cut(tmp_path, second)
    assert read_cut(tmp_path, "c") == first
    save_cut(tmp_path, second, replace=True)
    assert read_cut(tmp_path, "c") == second


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c["image_ids"].append("train-9999"), "its counts are not those of its images"),
        (lambda c: c["image_ids"].__setitem__(0, "val-0000"), "its image ids are not sorted and distinct"),
        (lambda c: c["image_ids"].__setitem__(-1, "train-9999"), "its images do not agree with its hash"),
        (lambda c: c.update(data_checksum="1" * 64), "its images do not agree with its hash"),
        (lambda c: c.update(labels={c["image_ids"][0]: 1}), "its images do not agree with its hash"),
        (lambda c: c.update(labels={"train-9999": 1}), "it corrects labels of images that it does not keep"),
        (lambda c: c.update(labels={c["image_ids"][0]: 4}), "a corrected label is none of its 4 classes"),
        (lambda c: c.update(schema_version=2), "schema_version: Input should be 1"),
        (lambda c: c.pop("hash"), "hash: Field required"),
        (lambda c: c.update(more=1), "more: Extra inputs are not permitted"),
    ],
)
def test_a_file_that_was_changed_is_refused_and_listed_with_the_reason(tmp_path, predictions, change, sentence):
    path = save_cut(tmp_path, distil(predictions, "c", make_rule(keep=9)))
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=sentence) as caught:
        read_cut(tmp_path, "c")
    assert str(path) in str(caught.value)
    assert [(row["name"], sentence in row["reason"]) for row in list_cuts(tmp_path)] == [("c", True)]


def test_a_file_that_is_no_json_is_a_sentence(tmp_path):
    file = tmp_path / "c.json"
    file.write_bytes(b"\x00{")
    with pytest.raises(UserError, match="is not a usable cut"):
        read_cut(tmp_path, str(file))


def test_the_list_says_rule_counts_and_source(tmp_path, predictions):
    assert list_cuts(tmp_path) == []
    save_cut(tmp_path, distil(predictions, "c", make_rule(drop=1, keep=9)))
    (row,) = list_cuts(tmp_path)
    assert (row["name"], row["images"], row["counts"]["kept"], row["reason"]) == ("c", 36, [9] * 4, None)
    assert row["says"] == "of each class, discard the 1 of highest entropy and keep the next 9"
    assert row["source"]["group"] == "source"
    assert "image_ids" not in row


def test_a_removed_cut_comes_back(tmp_path, predictions):
    cut = distil(predictions, "c", make_rule(keep=9))
    save_cut(tmp_path, cut)
    remove_cut(tmp_path, "c")
    assert list_cuts(tmp_path) == []
    restore_cut(tmp_path, "c")
    assert read_cut(tmp_path, "c") == cut
    remove_cut(tmp_path, "c")
    save_cut(tmp_path, cut)
    with pytest.raises(UserError, match="has taken the name of the removed cut"):
        restore_cut(tmp_path, "c")
    (entry,) = listed(tmp_path)
    assert put_back(tmp_path, entry, free_name(tmp_path, entry)).name == "c-2.json"
    assert read_cut(tmp_path, "c-2") == cut.model_copy(update={"name": "c-2"}) and read_cut(tmp_path, "c") == cut
    remove_cut(tmp_path, "c-2")
    assert empty(tmp_path) == 1
    with pytest.raises(UserError, match="No removed cut named 'c'"):
        restore_cut(tmp_path, "c")
    with pytest.raises(UserError, match="There is no cut d in"):
        remove_cut(tmp_path, "d")


def test_a_cut_selects_images_of_the_train_split_and_corrects_a_copy(tiny_npz):
    dataset = load(f"npz:{tiny_npz}")
    train = dataset.splits["train"]
    ids = train.image_ids[[7, 2, 29]].tolist()
    wrong = int(train.labels[2])
    cut = cut_of(dataset, ids, labels={ids[1]: (wrong + 1) % 3})
    used = used_index(dataset, make_config({"dataset": f"npz:{tiny_npz}", "cut": "hand"}), cut)
    assert used.tolist() == [2, 7, 29]
    assert training_labels(dataset, used, cut).tolist() == [(wrong + 1) % 3, train.labels[7], train.labels[29]]
    assert dataset.splits["train"].labels[2] == wrong


@pytest.mark.parametrize("split", ["test", "val"])
def test_no_image_of_another_split_can_be_trained_on(tiny_npz, split):
    dataset = load(f"npz:{tiny_npz}")
    leaky = cut_of(dataset, [dataset.splits[split].image_ids[0], dataset.splits["train"].image_ids[0]])
    config = make_config({"dataset": f"npz:{tiny_npz}", "image_size": 32})
    for look in (lambda: used_index(dataset, config, leaky), lambda: check_cut(config, leaky)):
        with pytest.raises(UserError, match=f"names the image {split}/000000, which is not in the train split"):
            look()


def test_a_cut_of_other_data_is_refused_before_the_launch(tmp_path, tiny_npz):
    config = make_config({"dataset": f"npz:{tiny_npz}", "image_size": 32})
    dataset = load(f"npz:{tiny_npz}")
    cut = cut_of(dataset, dataset.splits["train"].image_ids[:3].tolist())
    check_cut(config, cut)
    other = make_config({"dataset": f"npz:{write_npz(tmp_path / 'other.npz', size=36)}", "image_size": 32})
    with pytest.raises(UserError, match=r"of other images than npz:.*other.npz has at 32 px .*checksums differ"):
        check_cut(other, cut)
    with pytest.raises(UserError, match="checksum holds for that size only: train at --image-size 32"):
        check_cut(make_config({"dataset": f"npz:{tiny_npz}", "image_size": 64}), cut)
    with pytest.raises(UserError, match="of other images than phantom"):
        check_cut(make_config({"dataset": "phantom", "image_size": 32}), cut)


def test_a_cut_of_another_medmnist_set_is_refused_once_the_set_is_unpacked(medmnist, tiny_npz):
    root = str(medmnist.root)
    config = make_config({"dataset": "octmnist", "image_size": 28, "data_dir": root})
    other = load(f"npz:{tiny_npz}", image_size=28)
    cut = cut_of(other, other.splits["train"].image_ids[:3].tolist(), image_size=28)
    check_cut(config, cut)  # nothing of the set is here, so only the run itself could tell
    get("octmnist", 28, root)
    dataset = load("octmnist", image_size=28, data_dir=root)
    check_cut(config, cut_of(dataset, dataset.splits["train"].image_ids[:3].tolist(), image_size=28))
    with pytest.raises(UserError, match="of other images than octmnist has at 28 px"):
        check_cut(config, cut)


def test_the_setting_takes_a_name_or_a_path_and_no_balanced_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute_paths(make_config({"cut": "mine"})).cut == "mine"
    assert absolute_paths(make_config({"cut": "mine.json"})).cut == str(tmp_path / "mine.json")
    with pytest.raises(UserError) as caught:
        make_config({"cut": "mine", "train_set": "balanced"})
    assert str(caught.value) == "cut: it names the training images itself: choose train_set 'complete' with it."
    assert caught.value.field == "cut"


def test_a_group_without_a_cut_has_none_pinned(tmp_path):
    assert pinned_cut(tmp_path) is None
    (tmp_path / PINNED).write_text("{}")
    with pytest.raises(UserError, match="is not a usable cut"):
        pinned_cut(tmp_path)


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)])
def test_what_is_no_file_is_one_cuts_trouble(tmp_path, put):
    """A pipe would let whoever reads it wait for ever."""
    (folder := tmp_path / ".colora" / "cuts").mkdir(parents=True)
    put(folder / "odd.json")
    (row,) = list_cuts(tmp_path)
    assert row["name"] == "odd" and row["reason"] == f"{folder / 'odd.json'} is no file: move what lies there away."
    with pytest.raises(UserError, match=r"There is no cut odd"):
        read_cut(tmp_path, "odd")
