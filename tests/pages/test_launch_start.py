"""What the Launch form says it was filled from: a preset, a copy, a cut; and what was changed since."""

from pathlib import Path

import numpy as np
import pytest
from fabricate import fabricate
from opened import ran, texts
from small_data import write_npz

from colora.data.cuts import read_cut, save_cut
from colora.data.leaks import find_leaks
from colora.data.npz import read_npz
from colora.data.rules import make_rule
from colora.data.sources import load_dataset
from colora.distillation.distil import distil
from colora.distillation.leak_free import leak_free_cut
from colora.distillation.scores import read_predictions
from colora.runs.folder import Group
from colora.settings.config import make_config
from colora.settings.presets import PRESETS, QUICK_LOOK

QUICK = QUICK_LOOK.title
MEAN_NOTHING = "The figures mean nothing for patients."


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """`first`, of generated images, with the cut `hard10`; `real`, of a file, with a learning rate of many digits."""
    path = tmp_path_factory.mktemp("runs")
    first = fabricate(path, "first", ["done"], {"lr": 3e-3})
    fabricate(path, "real", ["done"], {"dataset": "npz:/data/octmnist_224.npz", "lr": 0.0012345678, "lr_head": 2e-4})
    save_cut(path, distil(read_predictions(Group(first.path), "train"), "hard10", make_rule(drop=1, keep=9)))
    return path


@pytest.fixture
def leak_free(runs, tmp_path) -> Path:
    """A file with one test image in training, of which a check made the cut `clean`."""
    clean = read_npz(write_npz(tmp_path / "clean.npz"), 32)
    train = np.concatenate([clean.splits["test"].images[:1], clean.splits["train"].images[1:]])
    path = write_npz(tmp_path / "leaky.npz", train_images=train)
    config = make_config({"dataset": f"npz:{path}", "image_size": 32})
    dataset = load_dataset(config)
    leak_free_cut(runs, "clean", dataset, config, find_leaks(dataset), patients=False, replace=True)
    return path


def start(app) -> str:
    return app.selectbox(key="launch-preset").value


def test_a_cut_is_named_with_its_group(open_page):
    app = open_page("launch", clone="first", cut="hard10")
    assert start(app) == "Cut hard10 of group first"
    assert app.selectbox(key="launch-preset").options == [start(app), *(preset.title for preset in PRESETS)]
    said = texts(app)
    assert f"The settings of first, on the cut hard10. {MEAN_NOTHING}" in said and QUICK_LOOK.about not in said
    assert (app.text_input(key="launch.cut").value, app.text_input(key="launch-name").value) == ("hard10", "hard10")


def test_a_cut_alone_names_the_group_that_it_was_made_from(open_page):
    assert start(open_page("launch", cut="hard10")) == "Cut hard10 of group first"


def test_a_cut_of_a_check_brings_the_data_that_were_checked(open_page, runs, leak_free):
    app = open_page("launch", cut="clean")
    assert start(app) == "Cut clean"
    assert "The cut clean and the data that were checked; all else is as usual." in texts(app)
    state = app.session_state
    assert (state["launch.dataset"], state["launch.dataset.path"]) == ("npz", str(leak_free))
    assert (state["launch.cut"], state["launch.image_size"], state["launch-seeds"]) == ("clean", 32, QUICK_LOOK.seeds)
    said = texts(app)
    assert "Trains on 29 images: ONE 11, TWO 10, THREE 8, of the cut clean" in said
    rule = "leave out what validation or test have too, or nearly, and pictures under two labels"
    assert f"Made from a check of the data on npz:leaky.npz: {rule}." in said


def test_a_cut_of_a_check_whose_settings_are_none_any_more_fills_what_it_tells(open_page, runs, leak_free):
    cut = read_cut(runs, "clean")
    unknown = cut.source.model_copy(update={"settings": {"dataset": "npz:x.npz", "of_tomorrow": 1}})
    save_cut(runs, cut.model_copy(update={"source": unknown}))
    app = open_page("launch", cut="clean")
    said = texts(app)
    assert "What was checked cannot be read, so all but the cut and its image size is as usual" in said
    assert "There is no setting 'of_tomorrow'" in said and app.session_state["launch.image_size"] == 32


def test_a_copy_of_real_images_is_not_said_to_mean_nothing(open_page):
    app = open_page("launch", clone="real")
    assert start(app) == "A copy of real" and MEAN_NOTHING not in texts(app)
    assert "The settings of real." in texts(app) and "Changed since" not in texts(app)
    assert app.text_input(key="launch.lr").value == "0.0012345678"  # the copy's own, to its last digit


def test_what_was_changed_is_named_in_place_of_the_presets_values(open_page):
    app = open_page("launch")
    assert start(app) == QUICK and f"{QUICK_LOOK.about} {MEAN_NOTHING}" in texts(app)
    app.number_input(key="launch.epochs").set_value(3)
    app.text_input(key="launch.lr").set_value("0,02")
    app.text_input(key="launch-seeds").set_value("0-4")
    said = texts(ran(app))
    assert f"Changed since: Epochs, Learning rate, Random seeds. {MEAN_NOTHING}" in said
    assert QUICK_LOOK.about not in said
    app.selectbox(key="launch.dataset").set_value("folder")
    app.number_input(key="launch.batch_size").set_value(8)
    said = texts(ran(app))
    assert "Changed since: Images, Epochs, Batch size, Learning rate and 1 more." in said and MEAN_NOTHING not in said


def test_fields_set_back_are_not_changed(open_page):
    app = open_page("launch")
    app.text_input(key="launch.lr").set_value("0.02")
    assert "Changed since: Learning rate." in texts(ran(app))
    app.text_input(key="launch.lr").set_value(" 0,010 ")
    assert QUICK_LOOK.about in texts(ran(app))


def test_it_stays_named_after_a_visit_to_another_page_and_stands_in_the_address(open_page):
    app = open_page("launch", clone="first", cut="hard10")
    app.number_input(key="launch.epochs").set_value(2)
    ran(app)
    for page in ("overview", "launch"):
        app.query_params.clear()
        app.switch_page(f"pages/{page}.py")
        ran(app)
    assert start(app) == "Cut hard10 of group first" and "Changed since: Epochs." in texts(app)
    assert app.number_input(key="launch.epochs").value == 2
    assert (app.query_params["clone"], app.query_params["cut"]) == ("first", "hard10")  # as a reload asks for it


def test_a_preset_takes_the_place_of_a_cut(open_page):
    app = open_page("launch", clone="first", cut="hard10")
    app.selectbox(key="launch-preset").set_value(QUICK)
    ran(app)
    assert start(app) == QUICK and QUICK_LOOK.about in texts(app)
    assert app.selectbox(key="launch-preset").options == [preset.title for preset in PRESETS]
    assert app.text_input(key="launch.cut").value == "" and not {"clone", "cut"} & set(app.query_params)


def test_a_cut_that_is_not_there_leaves_the_form_and_says_so(open_page):
    app = open_page("launch", clone="gone", cut="gone", start="quick-look")
    assert "No copy. There is no cut gone" in texts(app) and start(app) == QUICK
