"""Other data on the pages: chosen as a split is, tested by a form, taken away and brought back."""

import shutil

import numpy as np
import pytest
from fabricate import fabricate, fabricate_external, labels_of, probabilities, write_seen
from image_pages import act, ids, shown
from opened import opener, ran, texts
from small_data import write_npz

from colora.metrics.classification import accuracy
from colora.metrics.over_seeds import Spread
from colora.results.judged import judged
from colora.results.shift import shift
from colora.runs import trash
from colora.runs.external import about_external, external_splits, external_test, remove_external
from colora.runs.folder import Group, read_json, write_json

SPLIT = "external/clinic-b"
LEAK = "40 of 200 images are near copies of images trained on (stored anew, resized or a little changed): these figures"


@pytest.fixture
def runs(tmp_path):
    path = tmp_path / "runs"
    group = fabricate(path, "g", ["done"] * 3, with_patients=True)
    for run in group.runs:
        write_seen(run)
    fabricate_external(group, warnings=[LEAK])
    return path


@pytest.fixture
def open_page(monkeypatch, runs):
    return opener(monkeypatch, runs)


def test_other_data_have_every_figure_of_a_split(open_page):
    app = open_page("evaluate", "g", split=SPLIT)
    own = Spread.of(accuracy(labels_of("test"), probabilities("test", seed, 2)) for seed in range(3))
    assert app.metric[0].value == f"{own.median:.3f}"
    said = texts(app)
    assert "External test clinic-b, phantom (SYNTHETIC), 200 images · each seed's selected epoch" in said
    assert "No weight, epoch or threshold was chosen on them" in said and LEAK in said
    assert not app.select_slider and "Other data met each seed's selected epoch." in said
    table = next(frame.value for frame in app.dataframe if f"{SPLIT}_accuracy" in frame.value)
    assert sorted(table[f"{SPLIT}_accuracy"])[1] == pytest.approx(own.median)
    app.button_group(key="over").set_value(True)
    ran(app)
    assert "95 % interval" in texts(app) and "of 100 patients" in texts(app)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("Calibration", "chosen on validation"),
        ("Operating point", "Decision curve"),
        ("Every figure", "for a table that needs one number"),
        ("Shift", "lie beyond the limit"),
    ],
)
def test_each_part_is_there(open_page, part, said):
    app = open_page("evaluate", "g", split=SPLIT, part=part)
    assert said in texts(app) and not app.error


def test_what_has_shifted_is_beside_test(open_page, runs):
    app = open_page("evaluate", "g", split=SPLIT, part="Shift")
    both = next(frame.value for frame in app.dataframe if "Change" in frame.value)
    assert list(both.columns) == ["Of", "Figure", "On Test", "On clinic-b", "Change"]
    change = both.iloc[0]
    test, there = (float(change[name].split()[0]) for name in ("On Test", "On clinic-b"))
    assert float(change["Change"]) == pytest.approx(there - test, abs=2e-3) and there < test
    calibration = next(table.value for table in app.table if table.value.index.name == "Figure")
    assert list(calibration.columns)[2:] == ["clinic-b, as trained", "clinic-b, calibrated"]
    beyond = shift(judged(Group(runs / "g"), SPLIT)).far[SPLIT].beyond
    assert 0.1 < beyond.value < 0.2 and f"Of clinic-b **{100 * beyond.value:.1f} %** [" in texts(app)


def test_no_shift_is_asked_of_the_groups_own_splits(open_page):
    app = open_page("evaluate", "g", part="Shift")  # of an address that was of other data
    assert "lie beyond the limit" not in texts(app) and not app.exception


def test_the_images_behind_a_cell_are_those_of_the_other_data(open_page):
    app = open_page("evaluate", "g", split=SPLIT)
    tiles = shown(app, "behind")["tiles"]
    assert all(tile["image"] and "test-" in tile["id"] for tile in tiles)
    act(app, "open", tiles[0]["id"], "behind")
    assert app.query_params["part"] == [SPLIT] or app.query_params["part"] == SPLIT


def test_images_shows_other_data_with_verdicts_of_their_own(open_page):
    app = open_page("images", "g", part=SPLIT)
    assert len(ids(app)) == 25 and all(tile["image"] for tile in shown(app)["tiles"])
    assert "External test clinic-b, phantom (SYNTHETIC), 200 images" in texts(app)
    act(app, "open", ids(app)[0], "grid")
    assert shown(app, "large")["data"] == "e" * 64 and not app.error
    assert "Other data met each seed's selected epoch alone." in texts(app)
    app = open_page("images", "g", part=SPLIT, view="Figures 11 and 12")
    assert "(figure 12)" in texts(app) and not app.warning and not app.error


def test_a_test_that_was_taken_away_comes_back_by_undo(open_page, runs):
    app = open_page("evaluate", "g", split=SPLIT)
    app.button(key="remove-test").click()
    ran(app)
    assert external_splits(Group(runs / "g")) == [] and app.button_group(key="split").value == "test"
    assert "**The test of g on clinic-b** is in the trash." in texts(app)
    app.button(key="undo-test").click()
    ran(app)
    assert external_splits(Group(runs / "g")) == [SPLIT] and app.button_group(key="split").value == SPLIT
    assert "is in the trash" not in texts(app)


def test_one_that_was_tested_anew_elsewhere_is_not_taken_away(open_page, runs):
    app = open_page("evaluate", "g", split=SPLIT)
    shutil.rmtree(runs / "g" / "external" / "clinic-b")
    fabricate_external(Group(runs / "g"))
    app.button(key="remove-test").click()
    ran(app)
    assert "was tested anew elsewhere meanwhile; nothing was done" in texts(app)
    assert external_splits(Group(runs / "g")) == [SPLIT]


def test_a_damaged_test_is_said_where_it_is_chosen_and_the_group_is_well(open_page, runs):
    (runs / "g" / "external" / "clinic-b" / "external.json").write_text("[")
    app = open_page("evaluate", "g")
    assert not app.error and app.metric
    app.button_group(key="split").set_value(SPLIT)
    ran(app)
    assert len(app.error) == 1 and "external.json" in app.error[0].value and "is damaged:" not in texts(app)
    assert not app.button(key="remove-test").disabled
    app = open_page("images", "g", part=SPLIT)
    assert "external.json" in texts(app) and not app.exception


def test_a_damaged_file_of_a_test_is_no_damage_of_the_group(open_page, runs):
    (runs / "g" / "external" / "clinic-b" / "seed-01.parquet").write_bytes(b"no table")
    app = open_page("evaluate", "g", split=SPLIT)
    (error,) = app.error
    assert "remove this test, and test again. The group is not affected" in error.value
    assert "**g** is damaged" not in texts(app) and not app.button(key="remove-test").disabled


def test_a_test_comes_back_from_the_trash_of_overview(open_page, runs):
    remove_external(external_test(Group(runs / "g"), SPLIT))
    app = open_page("overview", trash="true")
    assert "Tick groups, cuts, tests or scans." in [button.help for button in app.button]
    entry = trash.listed(runs)[0]
    assert trash.free_name(runs, entry) == "clinic-b"


def test_the_same_image_in_another_group_has_that_groups_classes(open_page, runs):
    other = fabricate(runs, "turned", ["done"])
    config = other.runs[0].path / "config.json"
    config.write_text(config.read_text().replace("CNV", "X").replace("NORMAL", "CNV").replace('"X"', '"NORMAL"'))
    fabricate_external(Group(other.path), "same")
    app = open_page("images", "g", part=SPLIT)
    act(app, "open", ids(app)[0], "grid")
    app.session_state["other"] = True
    ran(app)
    rows = next(table.value for table in app.table if table.value.index.name == "Group")
    p = probabilities("test", 0, 2)[int(shown(app, "large")["id"].removeprefix("test-"))]
    own = rows.loc["turned", ["NORMAL", "DME", "DRUSEN", "CNV"]].tolist()
    assert rows.index.tolist() == ["g", "turned"] and own == [f"{each:.3f}" for each in p]


def test_a_seed_that_was_trained_anew_is_named(open_page, runs):
    path = runs / "g" / "seed-02" / "status.json"
    write_json(path, read_json(path) | {"finished": 3.0})
    app = open_page("evaluate", "g", split=SPLIT)
    assert "Seed 2 was finished, or trained anew, after the test on clinic-b" in texts(app)
    assert "2 of 3 seeds" in texts(app)


def test_groups_stand_side_by_side_on_what_they_were_tested_on(open_page, runs):
    fabricate_external(fabricate(runs, "h", ["done"] * 2, {"lr": 0.01}, with_patients=True))
    fabricate(runs, "alone", ["done"])
    app = open_page("compare", groups="g,h,alone", split=SPLIT)
    said = texts(app)
    assert "Not tested on clinic-b: alone." in said and "External test clinic-b" in said
    assert "alone was not tested on data named clinic-b" in said and not app.exception
    assert f"g: {LEAK}" in said
    rows = next(frame.value for frame in app.dataframe if "Seeds done" in frame.value)
    assert rows["Accuracy"].tolist()[2] == "–" and rows["Accuracy"].str.contains(r"\[").tolist() == [True, True, False]
    assert "Other data met each seed's selected epoch alone." in said


@pytest.fixture
def answering(monkeypatch, tmp_path, trained):
    """Pages over a group whose models answer."""
    path = tmp_path / "answering"
    shutil.copytree(trained.path.parent, path / "small")
    return path, opener(monkeypatch, path)


def fill_in(app, path, kind="npz"):
    app.selectbox(key="outside.kind").set_value(kind)
    ran(app)
    app.text_input(key="outside.place").set_value(str(path))
    return ran(app)


def test_the_form_tests_on_other_data_and_goes_there(answering, tmp_path):
    runs, open_page = answering
    path = write_npz(tmp_path / "clinic b (2019).npz", class_names=np.array(["ONE", "SIX", "THREE"]))
    app = fill_in(open_page("evaluate", "small", outside="true"), path)
    (error,) = app.error
    assert "has the class SIX" in error.value and "unknown to the models" in error.value
    assert not [button for button in app.button if button.key == "test"]
    app.button(key="answer-leave_out_unknown-True").click()
    ran(app)
    met = next(table.value for table in app.table if "Taken as" in table.value)
    assert met["Taken as"].to_dict() == {"ONE": "ONE", "SIX": "left out", "THREE": "THREE"} and not app.error
    assert app.text_input(key="outside.name").placeholder == "clinic-b-2019"
    app.text_input(key="outside.name").set_value("a/b")
    ran(app)
    assert "'a/b' cannot name a test on other data" in texts(app) and app.button(key="test").disabled
    app.text_input(key="outside.name").set_value("")
    ran(app)
    app.button(key="test").click()
    ran(app)
    kept = about_external(Group(runs / "small"), "external/clinic-b-2019")
    assert kept["left_out_unknown"] == {"SIX": 10} and kept["settings"]["dataset"] == f"npz:{path}"
    assert app.button_group(key="split").value == "external/clinic-b-2019"
    assert f"Other data: npz:{path.name}, their test split, {kept['images']} images" in texts(app).replace("\\", "")
    app = fill_in(open_page("evaluate", "small", outside="true"), path)
    app.checkbox(key="outside.leave_out_unknown").set_value(True)
    ran(app)
    assert app.text_input(key="outside.name").placeholder == "clinic-b-2019-2"


def test_a_test_that_was_refused_is_told_until_somebody_has_seen_it(answering, tmp_path):
    runs, open_page = answering
    for name in ("ONE", "TWO"):  # which look like images until they are opened
        (tmp_path / "scans" / name).mkdir(parents=True)
        (tmp_path / "scans" / name / f"{name}.png").write_bytes(b"no image")
    app = fill_in(open_page("evaluate", "small", outside="true"), tmp_path / "scans", "folder")
    app.button(key="test").click()
    said = "The test on other data ended without a result: "
    assert said in texts(ran(app)) and external_splits(Group(runs / "small")) == []
    assert said in texts(open_page("evaluate", "small"))  # another tab, or later
    fill_in(app, write_npz(tmp_path / "other.npz"))
    assert said in texts(app) and app.text_input(key="outside.name").placeholder == "other"
    app.button(key="seen-test").click()
    assert said not in texts(ran(app)) and not app.button(key="test").disabled


def test_what_another_tab_has_tested_is_offered_and_not_gone_to(answering, tmp_path):
    _, open_page = answering
    other = open_page("evaluate", "small")
    app = fill_in(open_page("evaluate", "small", outside="true"), write_npz(tmp_path / "mine.npz"))
    app.button(key="test").click()
    assert ran(app).button_group(key="split").value == "external/mine"
    assert ran(other).button_group(key="split").value == "test"
    assert any("mine" in option for option in other.button_group(key="split").options)


def test_what_cannot_be_read_is_said_at_the_form_and_nothing_is_kept(answering, tmp_path):
    runs, open_page = answering
    app = fill_in(open_page("evaluate", "small", outside="true"), tmp_path / "nowhere", "folder")
    assert "nowhere" in app.error[0].value and not [button for button in app.button if button.key == "test"]
    assert external_splits(Group(runs / "small")) == []
