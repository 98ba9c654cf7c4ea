"""The picker of folders and files beside the fields that take a path, over small folders of the test's own."""

import os
import threading
from pathlib import Path

import pytest
from fabricate import fabricate
from opened import opener, ran, texts, told
from queueing import PATIENCE_SECONDS

from colora.runs import access, audit
from pages.components.beside import Job
from pages.components.picker import counted, dialog, fits, places


def images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        (folder / f"{n}.png").touch()


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path) -> Path:
    """An account's home that has a set of images; counts of other tests are forgotten."""
    counted._counts.clear()
    fits._kept.clear()
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    images(tmp_path / "home" / "oct" / "CNV", 3)
    images(tmp_path / "home" / "oct" / "DME", 2)
    images(tmp_path / "home" / "flat", 4)
    return tmp_path / "home"


@pytest.fixture
def open_page(monkeypatch, tmp_path):
    return opener(monkeypatch, tmp_path / "runs")


def pressed(app, key: str):
    app.button(key=key).click()
    return ran(app)


def picker(app) -> dict[str, str]:
    """{key: label} of the picker's buttons that can be pressed."""
    return {
        str(button.key): button.label
        for button in app.button
        if str(button.key).startswith("picker-") and not button.disabled
    }


def opened(open_page, kind: str = "folder", **query):
    """The Data page with a field of its own path, its picker open."""
    title, field = {
        "folder": ("A folder of your own", "images"),
        "npz": ("A file of your own (.npz)", "file"),
        "table": ("A table of your own (CSV, Excel ...)", "table"),
    }[kind]
    return pressed(open_page("data", set=title, **query), f"browse-{field}")


def test_a_folder_is_found_by_what_it_holds_and_taken(open_page, home):
    app = opened(open_page)
    said = texts(app)
    assert "4 images, in no sub-folder" in said and "5 images: CNV 3, DME 2" in said
    assert list(picker(app).values())[:2] == ["Home", "Up"]
    app = pressed(app, "picker-into-1")
    assert app.session_state["picker"].where == home / "oct"
    assert "3 images, in no sub-folder" in texts(app)
    app = pressed(app, "picker-up")
    assert app.session_state["picker"].where == home
    above = next(key for key, label in picker(app).items() if key.startswith("picker-above") and label != "/")
    app = pressed(pressed(pressed(app, above), "picker-place-0"), "picker-take-1")
    assert app.text_input(key="images").value == str(home / "oct")
    assert not picker(app) and "Patients" in texts(app)


def test_a_picker_begins_at_what_the_field_holds_and_cancel_leaves_that(open_page, home):
    app = opened(open_page, images=str(home / "oct" / "none" / "deeper"))
    assert app.session_state["picker"].where == home / "oct"
    app = pressed(app, "picker-cancel")
    assert app.text_input(key="images").value == str(home / "oct" / "none" / "deeper") and not picker(app)


def test_a_picker_that_was_left_with_its_page_is_closed(open_page):
    app = opened(open_page)
    app.switch_page("pages/overview.py")
    ran(app)
    app.switch_page("pages/data.py")
    assert not picker(ran(app))


def test_a_file_is_taken_by_its_ending(open_page, home):
    (home / "set.npz").touch()
    (home / "other.txt").touch()
    app = opened(open_page, "npz")
    assert "0 B" in texts(app) and "other" not in texts(app)
    app = pressed(app, "picker-take-2")
    assert app.text_input(key="file").value == str(home / "set.npz")
    (home / "labels.csv").touch()
    assert "labels.csv" in texts(opened(open_page, "table"))


def test_long_lists_are_turned_over(open_page, home, monkeypatch):
    monkeypatch.setattr(dialog, "ROWS", 2)
    for n in range(3):
        (home / f"z{n}").mkdir()
    app = opened(open_page)
    assert "Page 1 of 3" in texts(app) and "picker-previous" not in picker(app)
    app = pressed(pressed(app, "picker-next"), "picker-next")
    assert "Page 3 of 3" in texts(app) and picker(app)["picker-into-0"] == "z2" and "picker-next" not in picker(app)
    assert picker(pressed(app, "picker-previous"))["picker-into-0"] == "z0"


def test_odd_names_are_texts_and_those_that_no_field_holds_cannot_be_taken(open_page, home):
    for name in ("*bold* `x`", "two\nlines", "right\u202eleft", os.fsdecode(b"half\xff")):
        images(home / "odd" / name, 1)
    app = pressed(opened(open_page), "picker-into-2")
    labels = [label for key, label in picker(app).items() if key.startswith("picker-into")]
    assert labels == [r"\*bold\* \`x\`", r"half\\xff", r"right\\u202eleft", r"two\\nlines"]
    assert [key for key in picker(app) if key.startswith("picker-take")] == ["picker-take-this", "picker-take-0"]
    app = pressed(app, "picker-into-1")
    assert app.session_state["picker"].where == home / "odd" / os.fsdecode(b"half\xff")
    assert app.button(key="picker-take-this").disabled


def test_where_data_roots_bound_places_nothing_else_is_shown(open_page, home, monkeypatch, tmp_path):
    (home / "oct" / "out").symlink_to(home / "flat")
    rules = f'data_roots = ["{home}/oct", "{home}/unplugged"]'
    (tmp_path / "access.toml").write_text(rules)
    monkeypatch.setenv("COLORA_ACCESS", str(tmp_path / "access.toml"))
    app = opened(open_page)
    assert app.session_state["picker"].where == home / "oct"
    assert "out" not in picker(app).values() and "picker-up" not in picker(app)
    gone = app.button(key="picker-place-1")
    assert (gone.label, gone.disabled) == ("unplugged", True) and "there is no such folder now" in gone.help
    app = opened(open_page, images=str(home / "flat"))
    assert app.session_state["picker"].where == home / "oct"


def test_who_may_not_name_data_has_no_picker(open_page, monkeypatch, tmp_path):
    (tmp_path / "runs").mkdir()
    ann = access.Person("ann@clinic.example", "reader", tmp_path / "runs")
    monkeypatch.setattr("pages.components.sign_in.person", lambda: ann)
    app = open_page("data", set="A folder of your own")
    assert app.text_input(key="images") and not [b for b in app.button if str(b.key).startswith("browse-")]
    assert audit.recorded(tmp_path / "runs") == []


def test_what_is_not_counted_in_time_is_said(open_page, monkeypatch):
    monkeypatch.setattr(counted, "WAIT_SECONDS", 0)
    monkeypatch.setattr(counted._Counts, "_work", lambda self: None)
    assert texts(opened(open_page)).count("counting …") == 3


def test_what_was_counted_meanwhile_is_shown_by_the_next_run(open_page, monkeypatch):
    done = threading.Event()
    whole = counted.held
    monkeypatch.setattr(counted, "held", lambda path: done.wait(PATIENCE_SECONDS) and whole(path))
    monkeypatch.setattr(counted, "WAIT_SECONDS", 0)
    app = opened(open_page)
    assert "counting …" in texts(app)
    done.set()
    monkeypatch.setattr(counted, "WAIT_SECONDS", PATIENCE_SECONDS)
    said = texts(ran(app))
    assert "counting …" not in said and "5 images: CNV 3, DME 2" in said


def test_a_page_with_an_open_picker_waits_for_nothing(open_page, monkeypatch, home):
    """What is clicked in a dialog waits for the page's script to end."""
    free = threading.Event()

    def slow(arguments, timeout=0):
        free.wait(PATIENCE_SECONDS)
        return told(arguments)

    for name in ("CNV", "DME"):
        images(home / "large" / name, 40)
    app = open_page("launch")
    app.selectbox(key="launch.dataset").set_value("folder")
    ran(app)
    app.text_input(key="launch.dataset.path").set_value(str(home / "large"))
    assert "0.91 M" in [metric.value for metric in ran(app).metric]
    monkeypatch.setattr("pages.components.command.run_colora", slow)
    app.text_input(key="launch.dataset.path").set_value(str(home / "large"))
    app.number_input(key="launch.batch_size").set_value(17)
    app.number_input(key="launch.image_size").set_value(96)
    app = pressed(app, "browse-launch.dataset.path")
    assert "Counting …" in texts(app) and picker(app)
    free.set()
    assert "0.91 M" in [metric.value for metric in pressed(app, "picker-cancel").metric]


def test_a_disk_that_went_away_is_said(open_page, monkeypatch):
    def gone(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(counted, "held", gone)
    assert texts(opened(open_page)).count("not counted: Input/output error") == 3


def test_earlier_groups_tell_where_data_are(tmp_path, home, monkeypatch):
    runs = tmp_path / "runs"
    monkeypatch.setenv("COLORA_RUNS_DIR", str(runs))
    fabricate(runs, "a", ["done"], {"dataset": f"folder:{home}/oct"})
    fabricate(runs, "b", ["done"], {"weights": f"{home}/flat/w.pth"})
    fabricate(runs, "damaged", ["done"])
    (runs / "damaged" / "group.json").write_text("{")
    assert places.places("folder") == [home]
    (tmp_path / "elsewhere").mkdir()
    fabricate(runs, "c", ["done"], {"dataset": f"folder:{tmp_path}/elsewhere/oct"})
    assert places.places("folder") == [home, tmp_path / "elsewhere"]
    assert places.places("weights") == [home, home / "flat"]
    (runs / ".colora" / "uploads").mkdir(parents=True)
    assert runs / ".colora" / "uploads" in places.places("folder")


class Asked:
    """In place of the jobs beside the server: each is answered at once, or stays under way."""

    def __init__(self, answers: dict[str, dict] | None):
        self.answers, self.arguments = answers, []

    def get(self, key):
        return None

    def start(self, key, arguments, seconds, begun, of=None):
        self.arguments.append(arguments)
        job = Job("colora weights", seconds, begun)
        if self.answers is not None:
            files = [argument for argument in arguments[2:] if not argument.startswith("--")]
            job.answer.set_result({"files": [self.answers[Path(file).name] for file in files]})
        return job


def answer(*titles: str, why: str | None = None, **refused) -> dict:
    known = {"ResNet-18 (to layer3)": ("resnet18", "layer3"), "VGG16": ("vgg16", None)}
    listed = [known[title] for title in titles]
    found = [
        {"backbone": name, "cut": cut, "spec": f"{name}:{cut}" if cut else name, "title": title}
        for title, (name, cut) in zip(titles, listed, strict=True)
    ]
    return {"fits": found, "why": why, "refused": refused}


@pytest.fixture
def weights(home) -> Path:
    for name in ("a.safetensors", "b.pth", "c.bin"):
        (home / "w" / name).parent.mkdir(exist_ok=True)
        (home / "w" / name).write_bytes(b"12")
    return home / "w"


def launch_with(open_page, file: Path, backbone: str = "resnet18"):
    app = open_page("launch")
    app.selectbox(key="launch.backbone").set_value(backbone)
    app.selectbox(key="launch.weights").set_value("file")
    ran(app)
    app.text_input(key="launch.weights.path").set_value(str(file))
    return ran(app)


@pytest.fixture
def asked(monkeypatch):
    """A function that puts in what the files are answered with."""

    def put(answers: dict[str, dict] | None) -> Asked:
        jobs = Asked(answers)
        monkeypatch.setattr(fits, "jobs", lambda: jobs)
        return jobs

    monkeypatch.setattr("pages.components.data.downloads.Shown.follow", lambda self: None)
    return put


def test_files_of_weights_say_which_network_they_fit(open_page, weights, asked):
    jobs = asked(
        {
            "a.safetensors": answer("ResNet-18 (to layer3)", resnet18=None),
            "b.pth": answer(),
            "c.bin": answer(why="c.bin cannot be read as weights"),
        }
    )
    app = pressed(launch_with(open_page, weights / "a.safetensors"), "browse-launch.weights.path")
    said = texts(app)
    assert "2 B · fits ResNet-18 (to layer3)" in said and "2 B · fits no network here" in said
    assert "2 B · no file of weights" in said
    listing = next(one for one in jobs.arguments if len(one) > 4)
    assert listing == ["weights", "fits", *map(str, sorted(weights.iterdir()))]
    before = len(jobs.arguments)
    assert picker(ran(app)) and all(f"--backbone={'resnet18'}" in one for one in jobs.arguments[before:])


def test_a_wrong_file_of_weights_is_told_at_its_field_with_the_network_that_it_fits(open_page, weights, asked):
    sentence = f"{weights}/a.safetensors is not for vgg16: features.0.weight is (1,) there and (2,) here."
    refused = {"vgg16": {"field": "weights", "sentence": sentence}, "resnet18:layer3": None}
    jobs = asked({"a.safetensors": answer("ResNet-18 (to layer3)", **refused)})
    app = launch_with(open_page, weights / "a.safetensors", "vgg16")
    said = texts(app)
    assert sentence in said and "This file fits ResNet-18 (to layer3)." in said
    assert "To be put right: **Weights file**." in said and app.button(key="launch-button").disabled
    app = pressed(app, "take-fit-resnet18:layer3")
    assert app.selectbox(key="launch.backbone").value == "resnet18"
    assert app.text_input(key="launch.backbone.cut").value == "layer3"
    assert "It fits ResNet-18 to layer3." in texts(app) and not app.button(key="launch-button").disabled
    assert jobs.arguments[-1][2:] == [str(weights / "a.safetensors"), "--backbone=resnet18:layer3"]


def test_while_a_file_is_checked_the_form_says_so(open_page, weights, asked):
    asked(None)
    app = launch_with(open_page, weights / "a.safetensors")
    assert "Checking whether it fits ResNet-18 …" in texts(app)
    assert not app.button(key="launch-button").disabled  # the launch looks for itself


def test_what_cannot_be_asked_is_said_and_the_launch_is_free(open_page, weights, monkeypatch, asked):
    from colora.system.errors import UserError

    jobs = asked(None)

    def broken(key, arguments, seconds, begun, of=None):
        job = Job("colora weights", seconds, begun)
        job.answer.set_exception(UserError("colora weights was killed by signal 9: no memory"))
        return job

    monkeypatch.setattr(jobs, "start", broken)
    app = launch_with(open_page, weights / "a.safetensors")
    assert "Which networks the files fit is not known: colora weights was killed by signal 9" in texts(app)
    assert not app.button(key="launch-button").disabled
