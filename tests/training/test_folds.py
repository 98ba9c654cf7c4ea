"""A cross-fitted seed: what it leaves out changes nothing of its model, and that is what its predictions say."""

import numpy as np
import pytest
from safetensors.numpy import load_file
from training import SMALL

from colora.distillation.scores import read_predictions
from colora.results.judged import judged
from colora.results.summary import group_summary, run_report
from colora.runs.features import read_features
from colora.runs.folder import Group, Run, create_group
from colora.runs.prediction_table import read_epoch
from colora.runs.selection import selected_row
from colora.settings.config import make_config
from colora.system.errors import UserError
from colora.training.run import train_run


@pytest.fixture(scope="module")
def group(tmp_path_factory, tiny_npz) -> Group:
    """Three folds, of which seed 1 leaves out the second and seed 4 the same."""
    config = make_config({"dataset": f"npz:{tiny_npz}", **SMALL, "epochs": 1, "folds": 3})
    made = create_group(tmp_path_factory.mktemp("folds"), "g", config, [0, 1, 2, 4])
    for run in made.runs:
        assert train_run(run.path) == 0
    return Group(made.path)


def test_each_image_is_left_out_in_turn_with_its_patient(group):
    tables = {run.seed: run.predictions("train") for run in group.runs}
    out = np.stack([tables[seed]["held_out"] for seed in (0, 1, 2)])
    assert (out.sum(0) == 1).all()
    assert (tables[4]["held_out"] == tables[1]["held_out"]).all()
    assert all(table["used"].all() for table in tables.values())
    one = tables[0]
    assert not set(one["patient_id"][one["held_out"]]) & set(one["patient_id"][~one["held_out"]])
    assert group.runs[0].resolved.class_counts["used"] == [12, 10, 8]  # the group's


def test_what_is_left_out_changes_nothing_of_the_model(group, tiny_npz, tmp_path):
    seed = group.runs[1]
    out = seed.predictions("train")["held_out"].to_numpy()
    arrays = dict(np.load(tiny_npz))
    arrays["train_images"][out] = 255 - arrays["train_images"][out]
    np.savez(tmp_path / "others.npz", **arrays)
    config = seed.config.model_copy(update={"dataset": f"npz:{tmp_path / 'others.npz'}"})
    run = create_group(tmp_path, "h", config, [1]).runs[0]
    assert train_run(run.path) == 0
    one, same = (load_file(place / "model.safetensors") for place in (seed.path, run.path))
    assert all(np.array_equal(one[name], same[name]) for name in one)


def test_its_training_figures_are_of_what_it_learned_from(group):
    run = Run(group.runs[0].path)
    row = run.metrics.iloc[selected_row(run.metrics, "validation")]
    table = run.predictions("train")
    learned = ~table["held_out"]
    right = table[["p_0", "p_1", "p_2"]].to_numpy().argmax(1) == table["label"]
    assert right[learned].mean() == pytest.approx(row["train_accuracy"]) == pytest.approx(
        run_report(run, "train")["accuracy"]
    )
    assert len(read_epoch(run.path / "predictions" / "epochs" / "epoch-01.safetensors", "train")) == learned.sum()
    assert len(read_features(run, {"train": 30})["train"]) == 30
    assert group_summary(group)["over_seeds"]["train"] == {"accuracy": None, "auc": None}  # of different images


def test_label_doubt_is_of_the_seeds_that_left_the_image_out(group):
    found = read_predictions(group, "train")
    assert found.learned.shape == (4, 30)
    assert (found.learned == ~np.stack([run.predictions("train")["held_out"] for run in group.runs])).all()
    assert found.label_doubt.judged.all()
    assert found.over_seeds["label_doubt"].notna().all()
    assert not read_predictions(group, "val").learned.any()


def test_no_figure_over_seeds_is_of_training_images_that_differ(group):
    assert len(judged(group, "test").probabilities) == 4
    for run in group.runs:  # of one seed they are what it has learned from
        learned = run.predictions("train").query("not held_out")
        for epoch in (None, 1):
            assert judged(group, "train", [run], epoch).table["image_id"].tolist() == learned["image_id"].tolist()
    with pytest.raises(UserError, match=r"g is cross-fitted: each seed leaves out one of 3 parts .* on Images"):
        judged(group, "train")
