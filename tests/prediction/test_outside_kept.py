"""What finished models said of other data, kept: what `evaluate` reckons with, and each image at its place."""

import shutil

import numpy as np
import pandas as pd
import pytest
from small_data import write_npz

from colora.data.sources import load_outside
from colora.data.thumbnails import Predicted, open_pictures
from colora.distillation.scores import read_predictions
from colora.prediction.models import GroupModels
from colora.prediction.outside import evaluate_group
from colora.results.predictions import checksums_by_place, place_of
from colora.results.statistics import group_statistics
from colora.runs.documents import external_file
from colora.runs.external import about_external, data_of, external_splits
from colora.runs.folder import Group
from colora.system.errors import UserError


@pytest.fixture
def group(trained, tmp_path):
    """The finished run in a place where a test can be kept."""
    path = tmp_path / "runs" / trained.path.parent.name
    shutil.copytree(trained.path.parent, path)
    return Group(path)


def test_the_figures_are_those_of_the_tables(group, tiny_npz):
    data = {"dataset": f"npz:{tiny_npz}"}
    found = evaluate_group(group, data, "val", keep="again")
    (run,) = group.runs
    table, own = run.predictions("external/again"), run.predictions("val")
    assert found["kept"] == "external/again" and external_splits(group) == ["external/again"]
    shared = [name for name in own.columns if name in table]
    pd.testing.assert_frame_equal(table[shared], own[shared], atol=1e-6)
    assert set(table["source_split"]) == {"val"}
    told = group_statistics(group, "external/again")
    assert told["seeds"][0]["overall"]["accuracy"]["value"] == pytest.approx(found["seeds"][0]["accuracy"])
    assert told["n"] == found["n"] == 30 and told["data"]["split"] == "other data, their val split"
    assert found["warnings"][0] in told["warnings"]
    about = about_external(group, "external/again")
    assert about["overlap"] == found["overlap"] and about["settings"]["dataset"] == f"npz:{tiny_npz}"
    assert about["checksum"] == run.resolved.data_checksum  # the same data at the same size are the same data


def test_each_image_is_found_again_where_splits_are_pooled_and_classes_left_out(group, tiny_npz, tmp_path):
    path = write_npz(tmp_path / "b.npz", class_names=np.array(["ONE", "SIX", "THREE"]))
    found = evaluate_group(group, {"dataset": f"npz:{path}"}, "all", leave_out_unknown=True, keep="all-of-it")
    (run,) = group.runs
    predictions = read_predictions(group, found["kept"])
    images, data = predictions.images, data_of(run, found["kept"])
    assert len(images) == found["n"] < 90 and set(images["source_split"]) == {"train", "val", "test"}
    whole = load_outside({"dataset": f"npz:{path}", "image_size": 32}, "all")
    assert predictions.data_checksum == data.verdicts != data.checksum == whole.dataset.checksum()
    kept = checksums_by_place(images, predictions.checksums, found["kept"])
    pictures = Predicted(open_pictures(data.config, tuple(kept)), kept)
    shown = pictures.read([place_of(row, found["kept"]) for row in images.to_dict("records")])
    assert not any(isinstance(image, UserError) for image in shown)
    positions = {image_id: i for i, image_id in enumerate(whole.images.image_ids.tolist())}
    for row, image in zip(images.to_dict("records"), shown, strict=True):
        assert np.array_equal(image, whole.images.images[positions[row["image_id"]]])
        assert row["label"] == {0: 0, 2: 2}[int(whole.images.labels[positions[row["image_id"]]])]


def test_the_distances_are_those_that_predict_tells(group, tiny_npz):
    evaluate_group(group, {"dataset": f"npz:{tiny_npz}"}, "test", keep="far")
    (run,) = group.runs
    images = load_outside({"dataset": f"npz:{tiny_npz}", "image_size": 32}, "test").images.images
    seen = GroupModels.of(group).seen(images, run.seed)
    assert run.predictions("external/far")["distance"].to_numpy() == pytest.approx(seen.distances[:, 0], rel=1e-5)
    found = group_statistics(group, "external/far")["shift"]
    assert found["distance"]["external/far"]["n"] == found["distance"]["test"]["n"] == 30
    beyond = (found["distance"][split]["beyond"]["value"] for split in ("external/far", "test"))
    assert len({round(each, 6) for each in beyond}) == 1  # they are the same images


def test_without_features_nothing_is_known_of_distance_and_the_rest_is(group, tiny_npz):
    (run,) = group.runs
    (run.path / "predictions" / "features.safetensors").unlink()
    found = evaluate_group(group, {"dataset": f"npz:{tiny_npz}"}, "test", keep="near")
    assert "distance" not in run.predictions(found["kept"])
    shift = group_statistics(group, found["kept"])["shift"]
    assert shift["distance"] is None and set(shift["prevalence"]) == {"train", "test", "external/near"}


def test_what_a_table_tells_of_the_images_is_kept(group, tmp_path, tiny_folder):
    paths = sorted(path.relative_to(tiny_folder) for path in tiny_folder.rglob("*.png"))[:12]
    rows = [{"file": str(path), "label": path.parent.name, "device": f"d{i % 2}"} for i, path in enumerate(paths)]
    shutil.copytree(tiny_folder, tmp_path / "scans")
    table = tmp_path / "scans" / "labels.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    found = evaluate_group(group, {"dataset": f"table:{table}"}, keep="devices")
    kept = pd.read_parquet(group.path / "external" / "devices" / "metadata.parquet")
    assert found["n"] == 12 and kept["device"].tolist() == [f"d{i % 2}" for i in range(12)]
    assert kept.index.tolist() == group.runs[0].predictions("external/devices")["image_id"].tolist()


def test_a_name_that_is_taken_is_told_before_any_image_is_read(group, tiny_npz, monkeypatch):
    data = {"dataset": f"npz:{tiny_npz}"}
    evaluate_group(group, data, "test", keep="once")
    monkeypatch.setattr("colora.prediction.outside.load_outside", lambda *_: pytest.fail("read"))
    with pytest.raises(UserError, match="has a test named 'once' already"):
        evaluate_group(group, data, "test", keep="once")
    with pytest.raises(UserError, match="cannot name a test on other data"):
        evaluate_group(group, data, "test", keep="../once")


def test_nothing_is_kept_of_what_was_not_asked_to_be(group, tiny_npz):
    assert evaluate_group(group, {"dataset": f"npz:{tiny_npz}"})["kept"] is None
    assert not (group.path / "external").exists()


def test_without_predictions_on_train_all_else_is_told(group, tiny_npz):
    (group.path / "seed-00" / "predictions" / "train.parquet").unlink()
    found = evaluate_group(group, {"dataset": f"npz:{tiny_npz}"})
    assert found["n"] == 30 and found["overlap"]["images_nearly_trained_on"] is None


def test_where_the_training_images_are_gone_near_copies_are_not_known(group, tiny_npz, tmp_path):
    path = group.path / "seed-00" / "config.json"
    path.write_text(path.read_text().replace(str(tiny_npz), str(tmp_path / "gone.npz")))
    found = evaluate_group(Group(group.path), {"dataset": f"npz:{tiny_npz}"}, keep="later")
    assert found["overlap"]["images_nearly_trained_on"] is None
    assert any("near copies of images trained on is not known: " in said for said in found["warnings"])
    assert external_file(group.path / "external" / "later")["warnings"] == found["warnings"]
