"""Finished models on other images, with other classes."""

import shutil

import numpy as np
import pytest
from sklearn import metrics
from small_data import write_npz

from colora.prediction.outside import evaluate_group
from colora.runs.folder import Group, Run, create_group
from colora.settings.config import make_config
from colora.system.errors import UserError
from colora.training.run import train_run


@pytest.fixture
def group(trained):
    return Group(trained.path.parent)


def part(path, tiny_npz, labels, names=("ONE", "TWO", "THREE"), shown=None):
    """A file with the test images of these labels, which get the labels and names of another set."""
    with np.load(tiny_npz) as file:
        own = file["test_labels"].ravel()
        images, patients = file["test_images"], file["test_patients"]
    keep = np.isin(own, labels)
    new = np.array(shown or range(3))[own[keep]]
    changed = {"test_images": images[keep], "test_patients": patients[keep], "test_labels": new}
    rest = {f"{split}_labels": np.zeros((30, 1), int) for split in ("train", "val")}
    return write_npz(path, class_names=np.array(names) if names else None, **changed, **rest)


def test_a_set_without_a_class_has_figures_of_those_that_are_there(group, trained, tiny_npz, tmp_path):
    path = part(tmp_path / "a.npz", tiny_npz, [0, 2], ("THREE", "ONE"), shown=[1, -1, 0])
    result = evaluate_group(group, {"dataset": f"npz:{path}"})
    table = trained.predictions("test").query("label != 1")
    labels, p = table["label"].to_numpy(), table[["p_0", "p_1", "p_2"]].to_numpy()
    called = p.argmax(axis=1)
    areas = [metrics.roc_auc_score(labels == c, p[:, c]) for c in (0, 2)]
    (seed,) = result["seeds"]
    assert result["n"] == seed["n"] == 20 and result["absent"] == ["TWO"]
    assert seed["accuracy"] == pytest.approx(np.mean(called == labels))
    assert seed["auc"] == pytest.approx(np.mean(areas))
    assert seed["per_class"]["ONE"]["recall"] == pytest.approx(np.mean(called[labels == 0] == 0))
    two = seed["per_class"]["TWO"]
    assert two.pop("specificity") == pytest.approx(np.mean(called != 1))
    assert two == {"n": 0, "auc": None, "recall": None, "precision": None, "average_precision": None}
    assert seed["called_absent"] == {"TWO": int(np.sum(called == 1))}
    assert result["over_seeds"]["auc"]["median"] == seed["auc"]
    assert result["classes"] == [
        {"own": "THREE", "given": None, "model": "THREE", "images": 8},
        {"own": "ONE", "given": None, "model": "ONE", "images": 12},
    ]
    assert result["overlap"]["images_in_test"] == 20 and result["overlap"]["images_trained_on"] == 0
    assert result["warnings"] == [
        "No image is of class TWO: its sensitivity (recall), precision and AUC are not defined, and the mean AUC is "
        "over the other 2 classes. The accuracy is over all 20 images. Called so, which is wrong for any of them: "
        f"{np.sum(called == 1)}."
    ]


def test_images_called_an_absent_class_are_counted_of_each_seed_and_of_the_ensemble(tiny_npz, tmp_path):
    config = make_config(
        {"dataset": f"npz:{tiny_npz}", "backbone": "resnet18:layer1", "weights": "none", "image_size": 32}
        | {"batch_size": 8, "threads": 1, "epochs": 1}
    )
    group = create_group(tmp_path / "runs", "g", config, [0, 1])
    for run in group.runs:
        assert train_run(run.path) == 0
    path = part(tmp_path / "a.npz", tiny_npz, [1], ("TWO", "ONE"), shown=[1, 0, -1])
    result = evaluate_group(Group(group.path), {"dataset": f"npz:{path}"})
    tables = [Run(run.path).predictions("test").query("label == 1") for run in group.runs]
    p = np.stack([table[["p_0", "p_1", "p_2"]].to_numpy(float) for table in tables])
    own, joint = np.sum(p.argmax(2) != 1, axis=1), int(np.sum(p.mean(0).argmax(1) != 1))
    assert [sum(row["called_absent"].values()) for row in result["seeds"]] == own.tolist()
    assert sum(result["ensemble"]["called_absent"].values()) == joint
    assert [row["accuracy"] for row in result["seeds"]] == pytest.approx(1 - own / 10)
    assert result["ensemble"]["auc"] is None and result["over_seeds"]["auc"] is None
    low, high = sorted(own.tolist())
    between = f"{low} to {high}" if low < high else f"{low}"
    assert result["warnings"][0] == (
        "No image is of the classes ONE, THREE: their sensitivity (recall), precision and AUC are not defined; all are "
        "of TWO, so no AUC is defined, nor its specificity. The accuracy is over all 10 images. Called so, which is "
        f"wrong for any of them: {between} by each seed, {joint} by the ensemble."
    )


def test_unknown_classes_are_left_out_only_where_that_is_asked_for(group, trained, tiny_npz, tmp_path):
    data = {"dataset": f"npz:{part(tmp_path / 'a.npz', tiny_npz, [0, 1, 2], ('ONE', 'TWO', 'SIX'))}"}
    with pytest.raises(UserError, match=r"has the class SIX \(8 images\), unknown to the models; they know ONE, TWO"):
        evaluate_group(group, data)
    result = evaluate_group(group, data, leave_out_unknown=True)
    table = trained.predictions("test").query("label != 2")
    right = table[["p_0", "p_1", "p_2"]].to_numpy().argmax(axis=1) == table["label"]
    assert result["n"] == 22 and result["left_out_unknown"] == {"SIX": 8}
    assert result["seeds"][0]["accuracy"] == pytest.approx(np.mean(right))
    assert result["absent"] == ["THREE"]
    assert any("since the models do not know the class: SIX (8 images)" in said for said in result["warnings"])


def test_names_that_are_given_are_told_with_the_label_that_got_them(group, tiny_npz, tmp_path):
    path = part(tmp_path / "a.npz", tiny_npz, [0, 1], names=None)
    result = evaluate_group(group, {"dataset": f"npz:{path}", "class_names": ["one", "TWO"]})
    assert [tuple(row.values()) for row in result["classes"]] == [("0", "one", "ONE", 12), ("1", "TWO", "TWO", 10)]
    assert not any("order" in said for said in result["warnings"])
    with pytest.raises(UserError, match=r"The models know 3 classes \(ONE, TWO, THREE\), but npz:a.npz has 2 \(0, 1\)"):
        evaluate_group(group, {"dataset": f"npz:{path}"})


def test_data_that_were_trained_on_are_found_out_without_patients(group, tiny_npz, tmp_path):
    path = write_npz(tmp_path / "a.npz", train_patients=None, val_patients=None, test_patients=None)
    result = evaluate_group(group, {"dataset": f"npz:{path}"}, "all")
    assert result["n"] == 90 and result["data"]["split"] == "all"
    assert result["overlap"] == {
        "images": 90,
        "images_trained_on": 30,
        "images_nearly_trained_on": 0,
        "images_in_validation": 30,
        "images_in_test": 30,
        "images_of_patients_trained_on": None,
        "patients_trained_on": None,
    }
    assert result["warnings"] == [
        "30 of 90 images were trained on (the same pixels): these figures are no estimate for new scans.",
        "30 of 90 images are validation images of this group (the same pixels), which chose the epoch: the figures on "
        "them are optimistic.",
        "Whether these patients were also in training is not known: the data have no patient ids.",
    ]


def test_a_pattern_tells_the_patients_of_a_folder(group, tiny_folder, tmp_path):
    root = shutil.copytree(tiny_folder, tmp_path / "oct")
    for path in list(root.rglob("*.png")):
        path.rename(path.with_name(path.name.replace("-", "_")))
    data = {"dataset": f"folder:{root}"}
    found = evaluate_group(group, data)
    assert found["overlap"]["patients_trained_on"] is None
    assert found["warnings"][-1].endswith("; --patient-pattern tells them where names of files or folders do.")
    found = evaluate_group(group, data | {"patient_pattern": r"_(?P<patient>\d+)_"})
    assert found["overlap"]["patients_trained_on"] == 12 and found["overlap"]["images_of_patients_trained_on"] == 24
    assert found["warnings"] == [
        "24 of 72 images are of patients the models were trained on (the same ids): these figures are no estimate for "
        "new patients."
    ]
