"""A cut that leaves out what validation or test have too: by picture, patient and label; and a training on it."""

from dataclasses import replace

import numpy as np
import pytest
from small_data import load, write_npz
from training import SMALL

from colora.cli.main import main
from colora.data.cuts import PINNED, list_cuts, read_cut
from colora.data.leaks import find_leaks
from colora.data.rules import make_rule
from colora.data.sources import check_cut, load_dataset
from colora.distillation.comparison import plan_comparison
from colora.distillation.distil import divide
from colora.distillation.leak_free import leak_free_cut
from colora.runs.folder import Run, create_group
from colora.settings.config import make_config
from colora.system.errors import UserError

LEAKY = {"train/000000", "train/000001"}  # the same as in test, nearly the same as in validation
TWO = {"train/000002", "train/000003"}
OF_PATIENT = {"train/000028", "train/000029"}


@pytest.fixture
def leaky(tmp_path):
    """The tiny data with one leak of each kind."""
    clean = load(f"npz:{write_npz(tmp_path / 'clean.npz')}")
    images, labels, patients = (
        {name: getattr(clean.splits[name], what).copy() for name in ("train", "val", "test")}
        for what in ("images", "labels", "patient_ids")
    )
    images["test"][0] = images["train"][0]
    images["val"][0] = np.clip(images["train"][1].astype(int) + 9, 0, 255)
    images["train"][3] = images["train"][2]
    labels["train"][:4], labels["test"][0] = [0, 1, 0, 1], 0
    patients["val"][-1] = patients["train"][-1]
    assert patients["train"][-2] == patients["train"][-1]
    path = tmp_path / "leaky.npz"
    return write_npz(path, **{f"{name}_{what}": values[name] for name in images for what, values in (
        ("images", images), ("labels", labels), ("patients", {k: v.astype(int) for k, v in patients.items()}),
    )})  # fmt: skip


def made(runs, path, name="clean", leaks=None, **how):
    config = make_config({"dataset": f"npz:{path}", **SMALL})
    dataset = load_dataset(config)
    return leak_free_cut(runs, name, dataset, config, leaks or find_leaks(dataset), **how), dataset


def test_it_leaves_out_leaks_patients_and_pictures_under_two_labels(tmp_path, leaky):
    cut, dataset = made(tmp_path / "runs", leaky)
    train = dataset.splits["train"]
    out = set(train.image_ids.tolist()) - set(cut.image_ids)
    assert out == LEAKY | TWO | OF_PATIENT and cut == read_cut(tmp_path / "runs", "clean")
    per_class = [
        np.bincount(train.labels[k], minlength=3).tolist() for k in (slice(None), np.isin(train.image_ids, [*out]))
    ]
    assert [cut.counts["pool"], cut.counts["excluded"]] == per_class and sum(cut.counts["kept"]) == 24
    assert cut.counts["dropped"] == cut.counts["rest"] == [0, 0, 0]
    assert cut.notes == [
        "6 of 30 training images are left out: 2 have the same or nearly the same picture in validation or test, 2 "
        "have their patient in validation or test, 2 have their picture under two labels."
    ]
    assert (cut.data_checksum, cut.pool, cut.labels) == (dataset.checksum(), "train", {})
    assert cut.source.settings == {"dataset": f"npz:{leaky}", "image_size": 32}


def test_without_patients_theirs_stay_and_the_rule_says_so(tmp_path, leaky):
    cut, _ = made(tmp_path, leaky, patients=False)
    assert len(cut.image_ids) == 26 and set(cut.image_ids) >= OF_PATIENT
    assert cut.rule.says() == "leave out what validation or test have too, or nearly, and pictures under two labels"


def test_unknown_patients_are_said(tmp_path):
    cut, _ = made(tmp_path, write_npz(tmp_path / "x.npz", **{f"{s}_patients": None for s in ("train", "val", "test")}))
    assert len(cut.image_ids) == 30 and not cut.rule.patients
    assert cut.notes == ["The patients are not known: other images of theirs may be in validation or test."]


def test_a_class_of_which_nothing_is_left_is_noted_and_fewer_than_two_are_refused(tmp_path, leaky):
    config = make_config({"dataset": f"npz:{leaky}", **SMALL})
    dataset = load_dataset(config)
    train = dataset.splits["train"]
    for gone, sentence in (([1, 2], "only images of ONE are left"), ([0, 1, 2], "no image is left")):
        leaks = replace(find_leaks(dataset), leaking=frozenset(train.image_ids[np.isin(train.labels, gone)].tolist()))
        with pytest.raises(UserError, match=f"Without leaks {sentence} to train on, of 30 training images: ") as caught:
            leak_free_cut(tmp_path, "none", dataset, config, leaks)
        assert caught.value.field == "dataset" and list_cuts(tmp_path) == []
    leaks = replace(leaks, leaking=frozenset(train.image_ids[train.labels == 2].tolist()))
    cut = leak_free_cut(tmp_path, "two", dataset, config, leaks)
    assert cut.counts["kept"][2] == 0 and "Nothing is left of THREE" in cut.notes[-1]


def test_leaks_of_other_data_are_no_ones(tmp_path, leaky):
    leaks = replace(find_leaks(load(f"npz:{leaky}")), leaking=frozenset({"else/1"}))
    with pytest.raises(ValueError, match="else/1 is not in the train split"):
        made(tmp_path, leaky, "other", leaks)


def test_it_reads_well_wherever_cuts_are_shown(tmp_path, leaky, capsys):
    cut, _ = made(tmp_path, leaky)
    says = (
        "leave out what validation or test have too, or nearly, those of their patients, and pictures under two labels"
    )
    assert cut.rule.says() == says and cut.source_says == "From a check of the data"
    assert main(["cut", "list", "--runs-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{'clean':<24} {cut.short_hash}       24 images  a check of the data: {says}\n"
    assert main(["cut", "show", "clean", "--runs-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == [f"  Rule: {says}.", "  From a check of the data; pool: the whole train split, 30 images."]
    with pytest.raises(
        UserError, match="clean was made from a check of the data, so there is no group to compare it with"
    ):
        plan_comparison(tmp_path, cut, "x")
    other = make_config({"dataset": f"npz:{write_npz(tmp_path / 'other.npz')}", **SMALL})
    with pytest.raises(UserError, match=r"made from a check of the data on npz:leaky.npz.*or make a cut of these\."):
        check_cut(other, cut)


def test_the_rule_is_about_the_data_and_goes_with_no_verdicts_or_scores():
    with pytest.raises(UserError, match="Patients belongs to the rule leaks, not to rank"):
        make_rule(keep=3, patients=True)
    for wrong in ({"exclude": ["artefact"]}, {"correct_labels": True}):
        with pytest.raises(UserError, match="do not go with the rule leaks"):
            make_rule(kind="leaks", **wrong)
    with pytest.raises(UserError, match="is about the data and no model's predictions"):
        divide(None, [], make_rule(kind="leaks"))
    with pytest.raises(SystemExit):
        main(["distil", "g", "--name", "x", "--rule", "leaks"])


def test_a_launch_on_it_trains_on_these_images_alone(tmp_path, leaky):
    from colora.training.run import train_run

    cut, _ = made(tmp_path / "runs", leaky)
    config = make_config({"dataset": f"npz:{leaky}", **SMALL, "cut": "clean", "epochs": 1})
    check_cut(config, cut)
    run = create_group(tmp_path / "runs", "g", config, [0], documents={PINNED: cut.model_dump()}).runs[0]
    assert train_run(run.path) == 0
    trained = Run(run.path).predictions("train")
    assert sorted(trained.loc[trained["used"], "image_id"]) == cut.image_ids
    assert Run(run.path).resolved.cut_hash == cut.hash
