"""The Simple form: which scans, what they are called, how thorough; what is asked about, and what a reload keeps."""

import json
from pathlib import Path

import pytest
from fabricate import fabricate
from opened import COUNTS, ESTIMATE, MEASURED, ran, texts
from PIL import Image
from small_data import write_folder
from streamlit.testing.v1 import AppTest

from colora.networks.weights import remote_weights
from colora.settings.thoroughness import LEVELS
from colora.system.errors import UserError

WAYS, FROM, LEVEL, PATH = "launch-ways", "launch-from", "launch-level", "launch.dataset.path"


def words(app: AppTest) -> list[str]:
    """What the command would be, under All settings."""
    app.segmented_control(key=WAYS).set_value("All settings")
    return ran(app).code[0].value.split()


def on_this_computer(app: AppTest, place: Path) -> AppTest:
    app.segmented_control(key=FROM).set_value("On this computer")
    ran(app)
    app.text_input(key=PATH).set_value(str(place))
    return ran(app)


@pytest.fixture
def scans(tmp_path) -> Path:
    return write_folder(tmp_path / "my scans", patients=6, scans=1)


@pytest.fixture
def launch(open_page, tmp_path, monkeypatch):
    """The page as a newcomer finds it, with ResNet-18's weights on this computer."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    file = remote_weights("resnet18").path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    return lambda **query: open_page("launch", folder=tmp_path / "runs", start="my-images", **query)


def test_nothing_is_called_wrong_before_something_was_typed(launch):
    app = launch()
    assert app.segmented_control(key=WAYS).value == "Simple"
    assert not app.error and ":red[" not in texts(app)
    assert "Still to be said: **Which scans**." in texts(app) and app.button(key="launch-button").disabled
    assert app.text_input(key="launch-name").value == "my-images"


def test_a_folder_a_level_and_it_can_be_launched(launch, scans, tmp_path):
    app = on_this_computer(launch(), scans)
    assert app.text_input(key="launch-name").value == "my-scans"
    assert "Trains on 12 images" in texts(app) and not app.button(key="launch-button").disabled
    app.radio(key=LEVEL).set_value("look")
    assert "**my-scans** · 1 training · ResNet-18 to layer3 at 224 px" in texts(ran(app))
    command = words(app)
    assert command[command.index("--seeds") + 1] == "0" and command[command.index("--epochs") + 1] == "8"
    assert app.session_state["launch.merge_every"] == "8"


def test_a_level_takes_what_this_computer_can_within_its_time(launch, scans, monkeypatch):
    from pages.components import command

    def told(arguments, timeout=0):
        size = int(arguments[arguments.index("--image-size") + 1])
        slow = {"seconds_per_image": size / 8, "idle_seconds_per_image": size / 8}
        return ESTIMATE | {"measured": MEASURED | slow}

    command._asked.clear()
    monkeypatch.setattr(command, "run_colora", told)
    app = on_this_computer(launch(), scans)
    said = dict(zip(LEVELS, app.radio(key=LEVEL).proto.captions, strict=True))
    # 12 images a pass: at 64 px 8 s each; a look may take 15 min, three seeds of the good model an hour
    assert said["look"].endswith("1 seed of 8 epochs, ResNet-18 to layer3 at 64 px")
    assert said["look"].startswith("About 13 min")
    assert said["good"].endswith("3 seeds of 10 epochs, ResNet-18 to layer3 at 64 px")
    assert said["everything"].endswith("10 seeds of 20 epochs, ResNet-18 to layer3 at 128 px")
    assert app.session_state["launch.image_size"] == 64
    command._asked.clear()


def test_without_weights_here_it_is_the_shipped_network_and_says_so(launch, scans, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    app = on_this_computer(launch(), scans)
    assert "since no ImageNet weights are on this computer" in texts(app)
    assert app.session_state["launch.backbone"] == "texturenet" and not app.button(key="launch-button").disabled


def test_all_settings_are_the_same_state_and_what_is_changed_there_is_kept(launch, scans):
    app = on_this_computer(launch(), scans)
    command = words(app)
    assert command[command.index("--backbone") + 1] == "resnet18:layer3"
    app.text_input(key="launch.lr").set_value("0.002")
    ran(app)
    app.segmented_control(key=WAYS).set_value("Simple")
    app = ran(app)
    assert app.radio(key=LEVEL).value == "own" and app.session_state["launch.lr"] == "0.002"
    app.radio(key=LEVEL).set_value("good")
    assert ran(app).session_state["launch.lr"] == "0.003"


def test_all_settings_of_a_level_survive_a_reload(launch, scans):
    app = on_this_computer(launch(), scans)
    words(app)
    assert app.session_state["launch.image_size"] == 224 and app.session_state[LEVEL] == "good"
    again = launch(**{name: "".join(app.query_params[name]) for name in app.query_params if name != "start"})
    assert again.segmented_control(key=WAYS).value == "All settings"
    assert (again.session_state["launch.image_size"], again.session_state[LEVEL]) == (224, "good")
    again.segmented_control(key=WAYS).set_value("Simple")
    assert ran(again).radio(key=LEVEL).value == "good"


def test_a_folder_one_level_too_high_is_asked_about(launch, tmp_path):
    for name, count in (("sample/CNV", 60), ("sample/DME", 60), ("volumes", 2)):
        for number in range(count):
            place = tmp_path / "data" / name / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), number).save(place)
    app = on_this_computer(launch(), tmp_path / "data")
    said = texts(app)
    assert "The class volumes has 2 of 122 images, under 2%: is it one?" in said
    assert "The images of sample lie in its sub-folders (CNV, DME), which are all taken as this class." in said
    assert "if they are patients" not in said
    assert "To be answered: **Which scans**." in said and app.button(key="launch-button").disabled
    assert not [button for button in app.button if button.key == "instead-patients" and button.disabled]
    app.button(key=f"instead-folder:{tmp_path}/data/sample").click()
    assert "Trains on 84 images: 42 of each class" in texts(ran(app))
    assert app.session_state[PATH] == str(tmp_path / "data" / "sample")
    assert not app.button(key="launch-button").disabled


def test_classes_that_are_meant_so_are_launched(launch, tmp_path):
    for name, count in (("CNV", 120), ("rare", 2)):
        for number in range(count):
            place = tmp_path / "data" / name / f"{name}-{number}-1.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), number).save(place)
    app = on_this_computer(launch(), tmp_path / "data")
    app.button(key="meant-dataset").click()
    assert "To be answered" not in texts(ran(app)) and ":material/check: Meant so." in texts(app)


def test_an_absurd_value_is_asked_about_once(open_page):
    app = open_page("launch")
    app.text_input(key="launch.lr").set_value("5")
    said = texts(ran(app))
    assert "5 is far from usual (0.000001 to 0.1): it ruins most trainings." in said
    assert "To be answered: **Learning rate**." in said and app.button(key="launch-button").disabled
    app.button(key="meant-lr").click()
    assert not ran(app).button(key="launch-button").disabled
    app.text_input(key="launch.lr").set_value("6")
    assert ran(app).button(key="launch-button").disabled


def test_names_may_have_spaces(open_page, tmp_path):
    fabricate(tmp_path, "drusen first", ["done"])
    app = open_page("launch", folder=tmp_path)
    app.text_input(key="launch-name").set_value("drusen first")
    assert "A group named 'drusen first' exists already; 'drusen first-2' is free." in texts(ran(app))
    app.text_input(key="launch-name").set_value("drusen second try")
    assert not ran(app).button(key="launch-button").disabled
    assert "--name 'drusen second try'" in app.code[0].value
    app.text_input(key="launch-name").set_value(" two  spaces ")
    assert "--name 'two spaces'" in ran(app).code[0].value  # nobody sees two
    app.text_input(key="launch-name").set_value("drusen/first")
    assert "single spaces" in texts(ran(app)) and app.button(key="launch-button").disabled


def test_what_was_typed_survives_a_reload(open_page, tmp_path):
    app = open_page("launch")
    app.text_input(key="launch-max_hours").set_value("2")
    ran(app)
    app.text_input(key="launch-name").set_value("mine")
    app.text_input(key="launch.lr").set_value("a little")
    app.number_input(key="launch.epochs").set_value(7)
    app.selectbox(key="launch.method").set_value("full")
    app.selectbox(key="launch.weights").set_value("file")
    ran(app)
    app.checkbox(key="launch.partial_weights").set_value(True)
    ran(app)
    again = open_page("launch", **{name: "".join(app.query_params[name]) for name in app.query_params})
    state = again.session_state
    assert state["launch.partial_weights"] is True
    assert (state["launch-name"], state["launch.lr"], state["launch.epochs"]) == ("mine", "a little", 7)
    assert (state["launch.method"], state["launch-max_hours"]) == ("full", "2")
    assert "**Learning rate**" in texts(again) and again.button(key="launch-button").disabled


@pytest.mark.parametrize(
    "query",
    [
        {"with.method": "magic", "with.epochs": "1e999", "with.folds": "[3]", "with.ignore_splits": "2"},
        {"with.nothing": "1", "with.several": '["lr", "gone", 3]', "with.epochs": "9" * 400},
        {"with.level": "forever", "with.ways": "Hard", "with.from": "Mars", "with.backbone": "../../x"},
        {"with.dataset": "null", "with.weights": "null", "with.lr.foo": "1", "with.epochs": "[" * 3000},
        {"with.several": "[" * 3000, "with.several.several": "[]", "with.typed": "x"},
    ],
)
def test_an_address_that_no_form_wrote_is_passed_over(open_page, query):
    app = open_page("launch", start="quick-look", **query)
    assert app.session_state["launch.method"] == "colora" and app.session_state["launch.epochs"] == 12
    assert app.session_state["launch.backbone"] == "texturenet"


@pytest.mark.parametrize(
    "query",
    [
        {"with.several": '["dataset"]'},
        {"with.several": '["epochs", "epochs"]', "with.epochs.several": '["x", true]'},
        {"with.several": '["targets"]', "with.targets.several": "[true]"},
        {"with.several": '["data_dir", "method"]', "with.method.several": '["head", "magic", "head"]'},
    ],
)
def test_several_values_that_an_address_names_in_part_are_a_form_all_the_same(open_page, query):
    app = open_page("launch", start="quick-look", **query)
    assert app.multiselect(key="launch.several").value == list(dict.fromkeys(json.loads(query["with.several"])))
    if "with.method.several" in query:
        assert app.multiselect(key="launch.method.several").value == ["head"]


def test_settings_in_an_address_without_a_level_are_ones_own(launch, scans):
    app = launch(**{"with.lr": "0.01", "with.seeds": "7", "with.dataset.path": str(scans)})
    assert app.radio(key=LEVEL).value == "own"
    assert "Seeds: 7; 10 epochs, ResNet-18" in str(app.radio(key=LEVEL).proto.captions)
    assert (app.session_state["launch.lr"], app.session_state["launch-seeds"]) == ("0.01", "7")


def test_no_level_trains_with_what_only_all_settings_show(launch, scans):
    app = on_this_computer(launch(), scans)
    words(app)
    app.selectbox(key="launch.selection").set_value("paper")
    ran(app)
    app.segmented_control(key=WAYS).set_value("Simple")
    assert ran(app).radio(key=LEVEL).value == "own"
    app.radio(key=LEVEL).set_value("good")
    assert ran(app).session_state["launch.selection"] == "validation"
    app.radio(key=LEVEL).set_value("own")
    assert ran(app).session_state["launch.selection"] == "paper"


def test_a_level_that_cannot_be_tried_is_not_waited_for(launch, scans, monkeypatch):
    from pages.components import command

    def told(arguments, timeout=0):
        if arguments[0] == "preflight" and "128" in arguments:
            raise UserError("There is no memory for it.")
        return ESTIMATE if arguments[0] == "preflight" else COUNTS

    command._asked.clear()
    monkeypatch.setattr(command, "run_colora", told)
    app = on_this_computer(launch(), scans)
    assert "Trying" not in texts(app) and app.session_state["launch.image_size"] == 64
    command._asked.clear()


def test_what_is_pressed_is_what_was_shown_though_more_was_measured_since(launch, scans, monkeypatch):
    from pages.components.launch import thorough

    launched = []
    monkeypatch.setattr(thorough, "highest", lambda level, measured: measured[0] if measured else None)
    app = on_this_computer(launch(), scans)
    assert "ResNet-18 to layer3 at 64 px" in texts(app)
    monkeypatch.setattr(thorough, "highest", lambda level, measured: measured[-1] if measured else None)
    here = "pages.components.launch.launching.launch_known"
    monkeypatch.setattr(here, lambda _, groups, *rest, **options: launched.append(groups))
    monkeypatch.setattr("pages.components.command.run_colora", lambda words, timeout=0: launched.append(words))
    app.button(key="launch-button").click()
    ran(app)
    assert "64" in str(launched) and "224" not in str(launched)


def test_other_ways_keep_the_folder_that_was_named(launch, scans):
    app = on_this_computer(launch(), scans)
    app.segmented_control(key=FROM).set_value("Generated, to try it")
    ran(app)
    app.segmented_control(key=FROM).set_value("On this computer")
    assert ran(app).text_input(key=PATH).value == str(scans)


def test_a_refused_launch_is_said_as_long_as_the_form_is_the_same(launch, scans, monkeypatch):
    def refuse(arguments, timeout=0):
        raise UserError("The disk is full.")

    app = on_this_computer(launch(), scans)
    monkeypatch.setattr("pages.components.launch.launching.model_answers", lambda *_: None)
    monkeypatch.setattr("pages.components.command.run_colora", refuse)
    app.button(key="launch-button").click()
    for _ in range(2):
        assert "Not launched. The disk is full." in [error.value for error in ran(app).error]
    app.text_input(key="launch-name").set_value("another")
    assert "Not launched." not in texts(ran(app))


def test_scans_used_before_are_offered_with_their_settings(launch, scans, tmp_path):
    fabricate(tmp_path / "runs", "earlier", ["done"], {"dataset": f"folder:{scans}", "split_seed": 7})
    app = launch()
    app.segmented_control(key=FROM).set_value("Used before")
    ran(app)
    app.selectbox(key="launch-before").set_value(f"folder:{scans}")
    ran(app)
    assert app.session_state["launch.split_seed"] == 7 and "split seed 7" in texts(app)
    assert app.text_input(key="launch-name").value == "my-scans"


def test_a_name_that_was_typed_stays_with_other_scans(launch, scans):
    app = launch()
    app.text_input(key="launch-name").set_value("chosen by me")
    app = on_this_computer(ran(app), scans)
    assert app.text_input(key="launch-name").value == "chosen by me"


def test_generated_scans_need_no_answer(launch):
    app = launch()
    app.segmented_control(key=FROM).set_value("Generated, to try it")
    ran(app)
    assert not app.button(key="launch-button").disabled and "mean nothing for patients" in texts(app)


def test_no_way_is_shown_that_does_not_show_what_is_trained_on(launch, scans, tmp_path):
    fabricate(tmp_path / "runs", "earlier", ["done"], {"dataset": f"folder:{scans}"})
    app = launch()
    app.segmented_control(key=FROM).set_value("Generated, to try it")
    ran(app)
    for way in ("Used before", "Bring them here"):
        app.segmented_control(key=FROM).set_value(way)
        assert ran(app).segmented_control(key=FROM).value == way and app.button(key="launch-button").disabled
    on_this_computer(app, scans)
    app.segmented_control(key=FROM).set_value("Bring them here")
    assert ran(app).button(key="launch-button").disabled
    app.segmented_control(key=FROM).set_value("Used before")  # which it is
    assert ran(app).selectbox(key="launch-before").value == f"folder:{scans}"
    app.segmented_control(key=WAYS).set_value("All settings")
    ran(app)
    app.selectbox(key="launch.dataset").set_value("phantom")
    ran(app)
    app.segmented_control(key=WAYS).set_value("Simple")
    assert ran(app).segmented_control(key=FROM).value == "Generated, to try it"


def test_another_path_has_none_of_the_settings_of_the_one_before(launch, scans, tmp_path):
    app = on_this_computer(launch(), tmp_path)
    app.session_state["launch.patient_pattern"] = "("
    ran(app).button(key="usual-patient_pattern").click()
    assert ran(app).session_state["launch.patient_pattern"] == ""
    app.session_state["launch.patient_pattern"] = "(?P<patient>x)"
    app.text_input(key=PATH).set_value(str(scans))
    assert ran(app).session_state["launch.patient_pattern"] == ""
    app.text_input(key=PATH).set_value(str(tmp_path / "labels.csv"))
    assert "There is no file" in texts(ran(app)) and app.session_state["launch.dataset"] == "table"


def test_a_wrong_limit_is_said_where_it_stands_and_in_the_bar(launch, scans):
    app = on_this_computer(launch(), scans)
    words(app)
    app.text_input(key="launch-max_hours").set_value("soon")
    said = texts(ran(app))
    assert "A limit is a number" in said and "To be put right: **Longest run (h)**." in said
    app.segmented_control(key=WAYS).set_value("Simple")
    assert "To be put right: **Longest run (h)**." in texts(ran(app)) and app.radio(key=LEVEL).value == "own"
    app.radio(key=LEVEL).set_value("good")
    assert not ran(app).button(key="launch-button").disabled


def test_the_name_follows_the_scans_after_a_reload_too(launch, scans):
    app = on_this_computer(launch(), scans)
    again = launch(**{name: "".join(app.query_params[name]) for name in app.query_params if name != "start"})
    assert again.text_input(key="launch-name").value == "my-scans"
    again.segmented_control(key=FROM).set_value("Generated, to try it")
    assert ran(again).text_input(key="launch-name").value == "try-it"


def test_a_time_that_was_measured_stands_while_it_is_asked_anew(launch, scans, monkeypatch):
    from pages.components import command

    command._asked.clear()
    app = on_this_computer(launch(), scans)
    assert app.session_state["launch.image_size"] == 224
    asked = command._asked()
    for question in list(asked._answers):
        asked._answers[question].until = 0  # of a busy computer, a minute ago
        before, now = asked._answers[question].result(), asked.to(*question)
        assert now.latest() == before
    command._asked.clear()
