"""The Distil page over fabricated runs: preview, save, remove and undo, train on a cut, compare."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from fabricate import CLASS_NAMES, COUNTS, MOST_USED, fabricate
from image_pages import shown
from opened import opener, ran, texts

from colora.data.cuts import list_cuts, read_cut
from colora.data.leaks import find_leaks
from colora.data.rules import make_rule
from colora.data.sources import load_dataset
from colora.distillation import verdicts
from colora.distillation.distil import distil, divide, overlap, pool_of
from colora.distillation.leak_free import leak_free_cut
from colora.distillation.scores import read_predictions, score_images
from colora.runs import audit
from colora.runs.folder import Group
from colora.settings.config import make_config
from colora.system.errors import UserError
from pages.components.launch.origin import dataset_of

CHECKSUM = "0" * 64  # of fabricated data
SMALLEST = min(COUNTS["train"])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("made") / "runs"
    fabricate(path, "three-done", ["done"] * 3)
    return path


@pytest.fixture
def runs(made, tmp_path) -> Path:
    """A copy of its own: these tests save cuts."""
    return shutil.copytree(made, tmp_path / "runs")


@pytest.fixture
def open_distil(monkeypatch, runs):
    open_page = opener(monkeypatch, runs)
    return lambda group="three-done": open_page("distil", group)


def division(runs: Path, **rule):
    predictions = read_predictions(Group(runs / "three-done"), "train")
    table = pool_of(score_images(predictions), "run")
    return divide(table, predictions.class_names, make_rule(**rule), verdicts.current(runs, CHECKSUM))


def counts(app) -> dict:
    """{class: {fate: images}} of the preview's table."""
    return app.table[0].value.map(lambda text: int(text.replace(",", ""))).to_dict("index")


def says(divided) -> dict:
    names = {"Sorted": "pool", "Goes": "dropped", "Stays": "kept", "Left over": "rest"}
    return {
        c: {
            title: divided.counts[fate][i]
            for title, fate in names.items()
            if fate != "rest" or sum(divided.counts[fate])
        }
        for i, c in enumerate(CLASS_NAMES)
    }


def test_the_preview_begins_with_a_cut_that_fits_the_smallest_class(open_distil, runs):
    app = open_distil()
    assert (app.number_input(key="drop").value, app.number_input(key="keep").value) == (1, 29)  # of 32
    assert counts(app) == says(division(runs, drop=1, keep=29))
    assert "Of each class, discard the 1 of highest entropy and keep the next 29." in texts(app)
    goes = division(runs, drop=1, keep=29).images.query("fate == 'dropped'")
    assert sorted(tile["id"] for tile in shown(app, "cut-dropped")["tiles"]) == sorted(goes["image_id"])
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    kept = [trace for trace in figure["data"] if trace.get("line", {}).get("width") == 4]
    assert [trace["name"] for trace in kept] == CLASS_NAMES and all(trace["line"]["dash"] == "solid" for trace in kept)


def test_the_pool_is_the_images_trained_on_or_the_whole_split(open_distil, runs):
    fabricate(runs, "balanced", ["done"] * 2, {"train_set": "balanced"})
    app = open_distil("balanced")
    assert [row["Sorted"] for row in counts(app).values()] == [MOST_USED] * 4
    assert (app.number_input(key="drop").value, app.number_input(key="keep").value) == (1, 27)
    app.segmented_control(key="pool").set_value("train")
    assert [row["Sorted"] for row in counts(ran(app)).values()] == COUNTS["train"]
    assert (app.number_input(key="drop").value, app.number_input(key="keep").value) == (1, 29)
    saved(app, "whole")
    cut = read_cut(runs, "whole")
    assert cut.pool == "train" and cut.counts["pool"] == COUNTS["train"]
    assert open_distil("three-done").segmented_control(key="pool").disabled  # trained on all of them


@pytest.mark.parametrize(
    ("kind", "fields", "rule"),
    [
        ("rank", {"drop": 2, "keep": 20}, {"drop": 2, "keep": 20}),
        ("share", {"drop-share": "10", "keep-share": "50,0"}, {"drop_share": 0.1, "keep_share": 0.5}),
        ("threshold", {"highest": "0,9"}, {"highest": 0.9}),
        ("random", {"keep": 12, "draw": 5}, {"keep": 12, "seed": 5}),
    ],
)
def test_every_rule_divides_as_it_says(open_distil, runs, kind, fields, rule):
    app = open_distil()
    app.radio(key="rule").set_value(kind)
    ran(app)
    for key, value in fields.items():
        (app.text_input if isinstance(value, str) else app.number_input)(key=key).set_value(value)
    ran(app)
    assert counts(app) == says(division(runs, kind=kind, **rule))
    assert len(app.get("plotly_chart")) == (0 if kind == "random" else 1)


def test_doubted_labels_go_where_folds_tell_of_them(open_distil, runs):
    fabricate(runs, "cross-fitted", ["done"] * 3, {"folds": 3})
    app = open_distil("cross-fitted")
    app.radio(key="rule").set_value("labels")
    told = read_predictions(Group(runs / "cross-fitted"), "train").label_doubt
    goes = counts(ran(app))
    assert sum(row["Goes"] for row in goes.values()) == told.doubted.sum()
    assert "Discard the images whose labels confident learning doubts and no reader holds for right." in texts(app)
    assert len(app.get("plotly_chart")) == 1
    saved(app, "without-doubt")
    assert read_cut(runs, "without-doubt").rule.kind == "labels"
    app = open_distil("three-done")
    app.radio(key="rule").set_value("labels")
    assert "every finished seed has learned from some of these: it takes a group with folds" in texts(ran(app))


def test_equal_scores_are_shown_in_the_cuts_order(open_distil, runs):
    for table, path in train_tables(runs):
        table[[f"p_{c}" for c in range(4)]] = 0.25
        table["image_id"] = table["image_id"].to_numpy()[::-1]
        table.to_parquet(path)
    app = open_distil()
    app.number_input(key="drop").set_value(12)
    app.number_input(key="keep").set_value(3)
    app.segmented_control(key="cut-class").set_value("CNV")
    goes = division(runs, drop=12, keep=3).images.query("fate == 'dropped' and label == 0")
    assert [tile["id"] for tile in shown(ran(app), "cut-dropped")["tiles"]] == sorted(goes["image_id"])[:10]


def test_a_group_whose_predictions_have_changed_is_divided_anew(open_distil, runs, monkeypatch):
    one_address = "pages.components.distil.cut_preview.id"  # for all tables
    monkeypatch.setattr(one_address, lambda table: 0, raising=False)
    app = open_distil()
    assert counts(app)["CNV"]["Sorted"] == COUNTS["train"][0]
    for table, path in train_tables(runs):
        table["used"] = table.groupby("label").cumcount() < 31
        table.to_parquet(path)
    assert {row["Sorted"] for row in counts(ran(app)).values()} == {31}


def train_tables(runs: Path) -> list[tuple[pd.DataFrame, Path]]:
    paths = [run.path / "predictions" / "train.parquet" for run in Group(runs / "three-done").runs]
    return [(pd.read_parquet(path), path) for path in paths]


def test_too_much_is_a_sentence_with_the_largest_cut_that_works(open_distil):
    app = open_distil()
    app.number_input(key="keep").set_value(SMALLEST)
    error = ran(app).error[0].value
    assert f"DRUSEN has {SMALLEST} images" in error and f"the largest keep that works is {SMALLEST - 1}" in error
    app.radio(key="rule").set_value("threshold")
    assert "needs lowest, highest, or both" in ran(app).error[0].value


def test_verdicts_leave_images_out_and_correct_labels(open_distil, runs):
    first = division(runs, drop=1, keep=29).images.query("rank == 0 and label == 0")["image_id"].iloc[0]
    verdicts.judge(runs, "reader", CHECKSUM, first, "artefact")
    app = open_distil()
    app.button_group(key="exclude").set_value(["artefact"])
    ran(app)
    assert counts(app)["CNV"]["Left out"] == 1 and counts(app)["CNV"]["Goes"] == 1
    assert [tile["id"] for tile in shown(app, "cut-excluded")["tiles"]] == [first]
    app.radio(key="rule").set_value("verdicts")
    assert counts(ran(app))["CNV"]["Stays"] == COUNTS["train"][0] - 1


def test_the_seeds_own_cuts_are_compared_when_asked(open_distil, runs):
    app = open_distil()
    assert "Jaccard" not in texts(app)
    app.session_state["agree"] = True
    shared = overlap(read_predictions(Group(runs / "three-done"), "train"), make_rule(drop=1, keep=29))
    assert f"Two seeds share **{shared.median('kept'):.0%}** of what either keeps" in texts(ran(app))


def saved(app, name: str):
    field = next(field for field in app.text_input if field.label == "Name of the cut")
    field.set_value(name)
    app.button(key="save-cut").click()
    return ran(app)


def test_a_cut_is_saved_listed_removed_and_brought_back(open_distil, runs, monkeypatch):
    monkeypatch.setattr(audit, "signed_in", audit.signed_in)  # app.py sets it: taken back with the test
    monkeypatch.setattr("pages.components.sign_in.who", lambda: "ann@clinic")
    app = saved(open_distil(), "mine")
    expected = distil(read_predictions(Group(runs / "three-done"), "train"), "mine", make_rule(drop=1, keep=29))
    assert read_cut(runs, "mine").hash == expected.hash and "Saved as **mine**" in texts(app)
    row = app.dataframe[-1].value.iloc[0]
    assert (row["Cut"], row["Images"], row["From"]) == ("mine", 4 * 29, "three-done")
    app.button(key="remove-cut").click()
    ran(app)
    assert list_cuts(runs) == [] and "The cut **mine** is in the trash." in texts(app)
    app.button(key="undo-cut").click()
    ran(app)
    assert read_cut(runs, "mine").hash == expected.hash
    assert read_cut(runs, "mine").user == "ann@clinic"
    done = [(line["action"], line["user"]) for line in audit.recorded(runs)]
    assert done == [(action, "ann@clinic") for action in ("cut", "cut-rm", "cut-undo")]


def test_a_taken_name_is_refused_until_it_may_be_replaced(open_distil, runs):
    app = saved(open_distil(), "mine")
    app.number_input(key="keep").set_value(10)
    app = saved(ran(app), "mine")
    assert "Another cut is named 'mine'" in app.error[0].value
    app.checkbox(key="replace-cut").set_value(True)
    saved(app, "mine")
    assert len(read_cut(runs, "mine").image_ids) == 40
    assert "cannot name a cut" in saved(app, "no/name").error[0].value


def test_a_damaged_cut_is_said_and_the_others_work(open_distil, runs):
    app = saved(open_distil(), "mine")
    file = runs / ".colora" / "cuts" / "torn.json"
    file.write_text(file.with_name("mine.json").read_text().replace("train-0", "train-1", 1))
    app = ran(app)
    assert "**torn** cannot be used" in app.error[0].value and app.selectbox(key="cut").options == ["mine"]


def test_train_on_a_cut_fills_the_launch_form(open_distil, runs):
    app = saved(open_distil(), "mine")
    app.button(key="train-on-cut").click()
    ran(app)
    assert [header.value for header in app.header] == ["Launch"]
    state = app.session_state
    assert (state["launch.cut"], state["launch.train_set"], state["launch.dataset"]) == ("mine", "complete", "phantom")
    assert (state["launch.backbone"], state["launch.backbone.cut"], state["launch.epochs"]) == ("resnet18", "layer2", 6)
    assert (state["launch-name"], state["launch-seeds"]) == ("mine", "0-2")
    assert "--cut mine" in texts(app)


def test_a_cut_whose_group_is_gone_fills_the_form_with_what_it_tells(open_distil, runs):
    saved(open_distil(), "mine")
    fabricate(runs, "other", ["done"])
    shutil.rmtree(runs / "three-done")
    app = open_distil("other")
    app.button(key="train-on-cut").click()
    ran(app)
    assert [header.value for header in app.header] == ["Launch"]
    state, size = app.session_state, read_cut(runs, "mine").image_size
    assert (state["launch.cut"], state["launch.train_set"], state["launch.image_size"]) == ("mine", "complete", size)
    assert (state["launch-name"], state["launch-seeds"]) == ("mine", str(read_cut(runs, "mine").source.seeds[0]))
    assert "The group three-done, from which the cut was made, cannot be read" in texts(app)
    assert state["launch.dataset"] == "phantom" and "where they are not phantom (synthetic)" in texts(app)
    preset = app.selectbox(key="launch-preset")
    preset.set_value(preset.options[0])
    assert "from which the cut was made" not in texts(ran(app))


def test_a_cut_of_a_check_is_listed_and_trained_on_without_a_group(open_distil, runs, tiny_npz):
    config = make_config({"dataset": f"npz:{tiny_npz}", "image_size": 32})
    dataset = load_dataset(config)
    leak_free_cut(runs, "clean", dataset, config, find_leaks(dataset))
    app = open_distil()
    row = app.dataframe[-1].value.iloc[0]
    assert (row["Cut"], row["Images"], row["From"]) == ("clean", 30, "a check of the data")
    said = texts(app)
    assert "Rule: leave out what validation or test have too, or nearly, those of their patients, and pictures" in said
    assert "From a check of the data. Hash" in said and "Does the cut help?" not in said
    app.button(key="train-on-cut").click()
    ran(app)
    assert [header.value for header in app.header] == ["Launch"]
    assert app.session_state["launch.cut"] == "clean"
    assert app.session_state["launch.dataset.path"] == str(tiny_npz)


def test_the_data_of_a_cut_are_known_by_its_own_words_but_for_files():
    known = {"phantom (synthetic)": "phantom", "OCTMNIST (28 px)": "octmnist", "npz:my.npz": None}
    assert {said: dataset_of(SimpleNamespace(data_source=said)).get("dataset") for said in known} == known


def test_the_comparison_is_planned_and_launched(open_distil, runs, monkeypatch):
    app = saved(open_distil(), "mine")
    app.session_state["compare"] = True
    table = ran(app).table[-1].value
    assert table["Group"].tolist() == ["mine-balanced", "mine-distilled", "mine-random", "mine-full"]
    assert table["State"].tolist() == ["not launched"] * 4
    called = []
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: called.append(arguments))
    app.text_input(key="compare-seeds").set_value("0-1")
    ran(app)
    app.button(key="launch-comparison").click()
    ran(app)
    which = ["mine", f"--identity={read_cut(runs, 'mine').identity}", "--prefix=mine"]
    assert called == [["cut", "compare", *which, "--full-lr", "0.0001", "--runs-dir", str(runs), "--seeds", "0-1"]]


def test_a_refused_comparison_is_a_sentence(open_distil, runs, monkeypatch):
    def refuse(arguments, timeout=0):
        raise UserError("The weights are not here.")

    app = saved(open_distil(), "mine")
    app.session_state["compare"] = True
    ran(app)
    monkeypatch.setattr("pages.components.command.run_colora", refuse)
    app.button(key="launch-comparison").click()
    assert "Not launched. The weights are not here." in [error.value for error in ran(app).error]
