"""The Images page over fabricated runs: the list, its filters and its address, one image."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fabricate import CLASS_NAMES, labels_of, probabilities
from image_pages import CHECKSUM, groups_of_each_kind, ids, shown, sorted_ids
from opened import ran, texts

from colora.distillation import verdicts
from colora.distillation.scores import group_scores, read_predictions
from colora.metrics.classification import entropy
from colora.runs.folder import Group
from colora.runs.selection import selected_row
from colora.settings.catalog import NOTICE


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return groups_of_each_kind(tmp_path_factory.mktemp("runs"))


def test_the_grid_begins_with_the_least_certain_images_of_the_best_run(open_images, runs):
    app = open_images("three-done")
    assert ids(app) == sorted_ids(runs, "three-done", "train")[:25]
    first = shown(app)["tiles"][0]
    run = Group(runs / "three-done").runs[read_predictions(Group(runs / "three-done"), "train").best_seed]
    p = probabilities("train", run.seed, selected_row(run.metrics, "validation") + 1)
    row = int(first["id"].removeprefix("train-"))
    assert first["score"] == f"{entropy(p)[row]:.3f}" and first["rank"] == "1"
    assert first["true"]["name"] == CLASS_NAMES[labels_of("train")[row]]
    assert first["predicted"]["name"] == CLASS_NAMES[p[row].argmax()]
    assert [part["share"] for part in first["bar"]] == pytest.approx(p[row].tolist(), abs=1e-6)
    assert first["image"].startswith("data:image/jpeg;base64,")
    assert first["alt"].startswith(f"Train image {first['id']}: true class {first['true']['name']}, predicted")
    assert "1 to 25** of 400" in texts(app)


@pytest.mark.parametrize(
    ("score", "largest_first"),
    [("margin", False), ("self_confidence", False), ("mutual_information", True), ("rank_stability", False)],
)
def test_any_score_sorts_in_both_directions(open_images, runs, score, largest_first):
    app = open_images("three-done")
    app.selectbox(key="sort").set_value(score)
    assert ids(ran(app)) == sorted_ids(runs, "three-done", "train", "best", score, largest_first)[:25]
    app.segmented_control(key="direction").set_value("easiest")
    assert ids(ran(app)) == sorted_ids(runs, "three-done", "train", "best", score, not largest_first)[:25]


def test_another_model_sorts_by_its_own_scores(open_images, runs):
    app = open_images("three-done")
    assert app.selectbox(key="model").options == [
        "Best run (on validation)",
        "Mean over seeds",
        "Seed 0",
        "Seed 1",
        "Seed 2",
    ]
    app.selectbox(key="model").set_value("mean")
    assert ids(ran(app)) == sorted_ids(runs, "three-done", "train", "mean")[:25]
    assert "the mean over 3 seeds" in texts(app)
    app.selectbox(key="model").set_value("2")
    assert ids(ran(app)) == sorted_ids(runs, "three-done", "train", 2)[:25]


def test_one_seed_offers_no_score_over_seeds_and_no_mean(open_images):
    app = open_images("one-done")
    assert "Mutual information (nats)" not in app.selectbox(key="sort").options
    assert app.selectbox(key="model").options == ["Best run (on validation)"]


def test_the_papers_rule_is_called_optimistic(open_images):
    app = open_images("paper-rule")
    assert app.selectbox(key="model").options[0] == "Best run (on test, so optimistic)"
    assert "the test images chose it" in texts(app)


def test_filters_leave_out_and_count(open_images, runs):
    app = open_images("three-done")
    table = group_scores(Group(runs / "three-done"), "train")
    app.button_group(key="true").set_value(["DME"])
    app.button_group(key="answer").set_value("wrong")
    ran(app)
    expected = table[(table["label"] == 1) & ~table["right"]]
    assert sorted(ids(app)) == sorted(expected["image_id"])[:25] and len(expected) <= 25
    assert f"of {len(expected)}" in texts(app)
    app.button_group(key="answer").set_value(None)
    app.button_group(key="predicted").set_value(["DRUSEN", "CNV"])
    expected = table[(table["label"] == 1) & table["predicted"].isin([0, 2])]
    assert sorted(ids(ran(app))) == sorted(expected["image_id"]) and 0 < len(expected) < 25
    assert {tile["predicted"]["name"] for tile in shown(app)["tiles"]} == {"DRUSEN", "CNV"}
    app.button(key="clear").click()
    assert "of 400" in texts(ran(app))


def test_labels_in_doubt_are_sorted_counted_and_a_filter(open_images, runs):
    app = open_images("cross-fitted")
    told = read_predictions(Group(runs / "cross-fitted"), "train").label_doubt
    app.selectbox(key="sort").set_value("label_doubt")
    assert ids(ran(app)) == sorted_ids(runs, "cross-fitted", "train", "best", "label_doubt")[:25]
    assert 20 < told.doubted.sum() <= 45  # 40 were planted
    assert f"{told.doubted.sum()} of 400 labels are doubted, those of the highest doubt. Train split of" in texts(app)
    app.button_group(key="doubted").set_value("yes")
    wrong = sorted_ids(runs, "cross-fitted", "train", "best", "label_doubt")[: told.doubted.sum()]
    assert ids(ran(app)) == wrong[:25]
    assert f"of {told.doubted.sum()}" in texts(app)
    assert all(tile["true"]["name"] != tile["predicted"]["name"] for tile in shown(app)["tiles"])  # no memory of it
    app.button_group(key="doubted").set_value("no")
    assert f"of {400 - told.doubted.sum()}" in texts(ran(app))


def test_of_an_image_that_seeds_left_out_it_is_said_who_speaks_from_memory(open_images, runs):
    first = sorted_ids(runs, "cross-fitted", "train", "best", "label_doubt")[0]
    out = int(first.removeprefix("train-")) % 3
    app = open_images("cross-fitted", image=first)
    assert f"Left out of the training of seed {out}; the others have learned its label." in texts(app)
    app.segmented_control(key="timeline-seed").set_value(out)
    assert f"Seed {out} left this image out; of the train split only" in texts(ran(app))
    app.segmented_control(key="timeline-seed").set_value((out + 1) % 3)
    assert f"Seed {(out + 1) % 3} as it learnt" in texts(ran(app))


def test_a_filter_by_doubt_means_nothing_where_none_is_known(open_images, runs):
    app = open_images("three-done", doubted="Doubted")
    assert "of 400" in texts(app) and "Filters · 1 set" not in str(app.expander)
    app = open_images("three-done", part="Validation", doubted="Doubted")  # where it is known, and none is doubted
    assert "No image passes all the filters." in texts(app)


def test_images_that_every_seed_has_learned_from_are_not_sorted_by_doubt(open_images, runs):
    app = open_images("balanced", sort="Label doubt")
    assert "280 labels" in texts(app) and "120 cannot be judged: every model has learned from them." in texts(app)
    assert "1 to 25** of 280" in texts(app)
    app.button_group(key="trained").set_value("yes")
    assert "nan" not in texts(ran(app)) and not app.get("component_instance")


def test_doubt_is_offered_where_models_that_have_not_learned_speak(open_images):
    assert "Label doubt" not in open_images("three-done").selectbox(key="sort").options
    assert "Label doubt" in open_images("three-done", part="Validation").selectbox(key="sort").options
    assert "Label doubt" in open_images("one-done", part="Test").selectbox(key="sort").options


def test_images_trained_on_and_patients_are_filters_where_the_data_have_them(open_images, runs):
    table = group_scores(Group(runs / "balanced"), "train")
    app = open_images("balanced")
    app.button_group(key="trained").set_value("no")
    assert ids(ran(app)) == sorted_ids(runs, "balanced", "train", among=~table["used"])[:25]
    assert "of 280" in texts(app)
    app.button_group(key="trained").set_value("yes")
    assert ids(ran(app)) == sorted_ids(runs, "balanced", "train", among=table["used"])[:25]
    assert "of 120" in texts(app)
    app.button(key="clear").click()
    ran(app)
    app.text_input(key="patient").set_value(" train-eye-70 ")
    assert sorted(ids(ran(app))) == ["train-0140", "train-0141"]
    app.text_input(key="patient").set_value("train-eye-7")  # no part of an id
    assert sorted(ids(ran(app))) == ["train-0014", "train-0015"]
    everything = open_images("three-done")
    assert not {"trained", "patient"} & {widget.key for kind in ("button_group", "text_input")
                                         for widget in everything.get(kind)}  # fmt: skip


def test_an_image_that_was_not_trained_on_says_so_and_names_its_patient(open_images):
    app = open_images("balanced", image="train-0035")
    said, about = texts(app), shown(app, "large")["name"]["about"]
    assert about == "train-0035 · Train split, not trained on · patient train-eye-17"
    assert "This image was not trained on" in said


def test_images_that_nobody_has_judged_are_a_filter(open_images, runs):
    order = sorted_ids(runs, "three-done", "train")
    verdicts.judge(runs, "reader", CHECKSUM, order[0], "fine")
    verdicts.judge(runs, "reader", CHECKSUM, order[3], "hard")
    app = open_images("three-done", verdict="No verdict")
    assert ids(app) == [order[i] for i in range(27) if i not in (0, 3)] and "of 398" in texts(app)
    app.button_group(key="verdict").set_value(["none", "hard"])
    assert ids(ran(app)) == order[1:26] and "of 399" in texts(app)


def test_a_score_range_and_a_rank_choose_the_images(open_images, runs):
    app = open_images("three-done")
    app.text_input(key="from").set_value("0,2")
    app.text_input(key="to").set_value(" 0.8 ")
    ran(app)
    values = group_scores(Group(runs / "three-done"), "train")["entropy"]
    count = int(((values >= 0.2) & (values <= 0.8)).sum())
    assert f"1 to 25** of {count}" in texts(app)
    app.number_input(key="from-rank").set_value(51)
    ran(app)
    assert [tile["rank"] for tile in shown(app)["tiles"]][:2] == ["51", "52"]
    app.selectbox(key="sort").set_value("margin")  # bounds of entropy mean nothing for it
    assert "1 to 25** of 400" in texts(ran(app))


def test_another_group_begins_without_the_choices_of_the_last_one(open_images):
    app = open_images("three-done")
    app.button_group(key="true").set_value(["DME"])
    app.button(key="next").click()
    ran(app)
    app.selectbox(key="group").set_value("other-classes")
    assert "1 to 25** of 400" in texts(ran(app))
    assert "OEDEMA" in {tile["true"]["name"] for tile in shown(app)["tiles"]} | set(
        app.button_group(key="true").options
    )


def test_nothing_left_is_a_sentence(open_images):
    app = open_images("three-done")
    app.text_input(key="from").set_value("99")
    assert "No image passes all the filters." in texts(ran(app))


def test_pages_turn_and_the_address_keeps_the_view(open_images, runs):
    app = open_images("three-done")
    app.button(key="next").click()
    ran(app)
    expected = sorted_ids(runs, "three-done", "train")
    assert ids(app) == expected[25:50] and app.query_params["rank"] == "26"
    again = open_images("three-done", part="Validation", sort="Margin", rank="26", direction="Most certain first")
    assert ids(again) == sorted_ids(runs, "three-done", "val", "best", "margin", True)[25:50]
    assert again.segmented_control(key="part").value == "val"


@pytest.mark.parametrize("rank", ["0", "-5", "no number", "99999"])
def test_a_rank_that_is_none_shows_images_all_the_same(open_images, rank):
    assert 1 <= len(ids(open_images("three-done", rank=rank))) <= 25


def test_the_curve_has_a_line_a_class_and_the_slider_moves_the_grid(open_images, runs):
    app = open_images("three-done")
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    lines = {trace["name"]: trace for trace in figure["data"] if trace.get("mode") == "lines"}
    assert list(lines) == CLASS_NAMES
    app.slider(key="slide").set_value(201)
    assert ids(ran(app)) == sorted_ids(runs, "three-done", "train")[200:225]


def test_one_image_has_seeds_timeline_neighbours_and_scores(open_images, runs):
    order = sorted_ids(runs, "three-done", "train")
    app = open_images("three-done", image=order[10])
    large = shown(app, "large")
    assert large["id"] == order[10] and [layer["title"] for layer in large["layers"]] == [
        "As the network sees it, 64 px"
    ]
    assert ids(app, "neighbours") == order[7:14] and shown(app, "neighbours")["chosen"] == order[10]
    assert "Rank 11** of 400" in texts(app)
    seeds, epochs = (json.loads(chart.proto.spec) for chart in app.get("plotly_chart"))
    row = int(order[10].removeprefix("train-"))
    assert sum(trace.get("mode") == "markers" for trace in seeds["data"]) == 3
    seed = read_predictions(Group(runs / "three-done"), "train").best_seed
    line = next(trace for trace in epochs["data"] if trace["name"] == "CNV")
    values = np.frombuffer(base64.b64decode(line["y"]["bdata"]), dtype=line["y"]["dtype"])
    assert values == pytest.approx([probabilities("train", seed, epoch)[row, 0] for epoch in range(1, 7)])
    assert "3 merges of the updates" in texts(app)
    app.button(key="step-on").click()
    assert shown(ran(app), "large")["id"] == order[11]
    app.button(key="back").click()
    assert ids(ran(app)) == order[:25] and "image" not in app.query_params


def test_a_torn_epoch_file_is_said_beside_the_rest(open_images, runs, tmp_path):
    folder = shutil.copytree(runs, tmp_path / "copied")
    for file in folder.glob("three-done/seed-*/predictions/epochs/epoch-02.safetensors"):
        file.write_bytes(b"torn")
    image = sorted_ids(runs, "three-done", "train")[0]
    app = open_images("three-done", folder=folder, image=image)
    assert "epoch-02.safetensors is damaged" in app.error[0].value
    assert shown(app, "large")["id"] == image and len(ids(app, "neighbours")) == 7


def test_the_same_image_under_another_group(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[4]
    app = open_images("three-done", image=image)
    app.session_state["other"] = True
    ran(app)
    assert "three-done" not in app.selectbox(key="other-group").options
    app.selectbox(key="other-group").set_value("another")
    table = ran(app).table[-1].value
    assert table.loc["three-done", "Entropy rank"] == "5"
    assert table.loc["another", "Entropy rank"] == str(sorted_ids(runs, "another", "train").index(image) + 1)
    theirs = group_scores(Group(runs / "another"), "train").set_index("image_id").loc[image]
    assert table.loc["another", "Entropy (nats)"] == f"{theirs['entropy']:.3f}"
    assert table.loc["another", "Predicted"] == CLASS_NAMES[theirs["predicted"]]


def test_an_image_that_is_nowhere_or_filtered_out_is_said(open_images, runs):
    assert "There is no image 'nothing'" in texts(open_images("three-done", image="nothing"))
    table = group_scores(Group(runs / "three-done"), "train")
    right = table[table["right"]]["image_id"].iloc[0]
    app = open_images("three-done", image=right, answer="Wrong")
    assert "leave this image out: it has no neighbours" in texts(app) and shown(app, "large")["id"] == right


@pytest.mark.parametrize("page", ["images", "distil"])
def test_without_runs_and_without_predictions_the_page_says_what_is_missing(open_images, tmp_path, page):
    assert "no run has been launched" in texts(open_images(folder=tmp_path, page=page))
    waiting = texts(open_images("waiting", page=page))
    assert "the group is queued" in waiting


@pytest.mark.parametrize("page", ["images", "distil"])
def test_the_notice_stands_on_the_page(open_images, page):
    assert NOTICE in texts(open_images("three-done", page=page))


@pytest.mark.parametrize("page", ["images", "distil"])
def test_damage_is_a_sentence(open_images, page):
    assert "status.json cannot be read" in texts(open_images("damaged", page=page))
    assert "cannot be read as predictions" in texts(open_images("torn", page=page))


def test_without_the_data_scores_are_shown_and_the_reason(open_images):
    app = open_images("no-file")
    assert "There is no file /gone/octmnist_224.npz" in texts(app)
    tile = shown(app)["tiles"][0]
    assert tile["image"] is None and "There is no file" in tile["problem"] and float(tile["score"]) > 1
    large = shown(open_images("no-file", image=tile["id"]), "large")
    assert large["layers"] == [] and "There is no file" in large["problem"]
