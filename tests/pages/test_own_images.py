"""One's own images on the Data page and on the Launch form: settings, the one look, answers by click, duplicates."""

from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from opened import opener, ran, texts
from PIL import Image
from small_data import striped_images, write_folder, write_leaky

from pages.components.beside import Job, _take

FOLDER = "A folder of your own"
ALL_SETTINGS = {"with.ways": "All settings"}
ASKED = "has 6 folders named as AMD1 ... NORMAL3: 2 classes (AMD, NORMAL) of 6 patients?"


@pytest.fixture
def open_page(monkeypatch, tmp_path, medmnist):
    """Pages over an empty folder of runs, which follow what they look at to its end."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "runs").mkdir()
    return opener(monkeypatch, tmp_path / "runs")


@pytest.fixture
def eyes(tmp_path) -> Path:
    """Each patient of a class in a folder: AMD1 ... NORMAL3."""
    return write_scans(tmp_path / "eyes", [f"{name}{n}/{i}.png" for name in ("AMD", "NORMAL") for n in (1, 2, 3)
                                           for i in (1, 2)])  # fmt: skip


@pytest.fixture
def leaky(tmp_path) -> Path:
    return write_leaky(tmp_path / "leaky")


def write_scans(root: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(striped_images(np.array([number % 3]), 24, seed=number)[0]).save(root / name)
    return root


def labels(app) -> list[str]:
    return [button.label for button in app.button]


def link(app, label: str) -> str:
    return next(link.proto.query_string for link in app.get("page_link") if link.proto.label == label)


def test_what_may_be_meant_in_two_ways_is_answered_by_a_click(open_page, eyes):
    app = open_page("data", set=FOLDER, images=str(eyes))
    assert ASKED in texts(app) and not app.table
    assert [e.proto.expanded for e in app.expander if e.label.startswith("Settings")] == [False]
    app.button(key="answer-layout-class-number").click()
    said = texts(ran(app))
    assert app.selectbox(key="layout").value == "class-number" and app.query_params["layout"] == "class-number"
    assert app.table[0].value.index.tolist() == ["AMD", "NORMAL", "All"]
    assert "**Patients**: 6, by folder CLASSNUMBER; none of them in several splits." in said
    assert not app.error and "answer-layout-classes" not in [button.key for button in app.button]


def test_the_other_answer_makes_every_folder_a_class(open_page, eyes):
    app = open_page("data", set=FOLDER, images=str(eyes))
    app.button(key="answer-layout-classes").click()
    said = texts(ran(app))
    assert "has 6 folders" not in said
    assert app.selectbox(key="layout").value == "classes"


def test_launch_asks_the_same_at_its_field(open_page, eyes):
    app = open_page("launch", dataset=f"folder:{eyes}", **ALL_SETTINGS)
    assert ASKED in texts(app)
    assert "**Arrangement of the folder**" in texts(app)
    app.button(key="answer-layout-class-number").click()
    said = texts(ran(app))
    assert app.selectbox(key="launch.layout").value == "class-number"
    assert "Trains on 4 images: 2 of each class (complete)." in said
    assert "Split by patient, 70 / 15 / 15 % of the images, split seed 0." in said
    assert "Patients: 6, by folder CLASSNUMBER; none of them in several splits." in said
    assert "Duplicates" not in said  # nobody has looked


def test_splits_that_do_not_fit_together_are_pooled_by_a_click(open_page, tmp_path):
    names = [f"{split}/{c}/{c}-{p}-1.png" for split in ("train", "test") for c in ("A", "B") for p in range(4)]
    root = write_scans(tmp_path / "odd", [*names, "test/C/C-9-1.png"])
    app = open_page("data", set=FOLDER, images=str(root))
    assert "has other classes in its test split than in train" in app.error[0].value
    app.button(key="answer-ignore_splits-True").click()
    said = texts(ran(app))
    assert app.checkbox(key="ignore_splits").value and not app.error
    assert "the folders train, test were pooled" in said


def test_a_link_out_of_the_folder_is_asked_about_at_data_roots(open_page, tmp_path):
    root = write_folder(tmp_path / "linked", patients=4, scans=1)
    write_scans(tmp_path / "store", ["x.png"])
    (root / "ONE" / "ONE-77-1.png").symlink_to(tmp_path / "store" / "x.png")
    app = open_page("data", set=FOLDER, images=str(root))
    assert "is a link that leads out of the folder" in app.error[0].value
    (settings,) = [e for e in app.expander if e.label.startswith("Settings")]
    assert settings.proto.expanded and ":red[" in settings.label
    app.text_input(key="data_roots").set_value(str(tmp_path / "store"))
    assert not ran(app).error and app.table[0].value.loc["ONE"].tolist()[:3] == ["3", "1", "1"]


def test_settings_stand_in_the_address_and_go_along_to_launch(open_page, tmp_path):
    root = write_folder(tmp_path / "mine", patients=6, scans=1)
    app = open_page("data", set=FOLDER, images=str(root), class_names="wet, dry, none", split_seed="7")
    table = app.table[0].value
    assert table.index.tolist() == ["wet", "dry", "none", "All"]
    assert table["Called there"].tolist() == ["ONE", "THREE", "TWO", ""]
    assert "split seed 7" in texts(app)
    query = link(app, "Launch: train on it")
    assert "class_names=wet%2C+dry%2C+none" in query and "split_seed=7" in query
    app.number_input(key="split_seed").set_value(-1)
    assert "Must be greater than or equal to 0, but got -1." in texts(ran(app))
    assert not app.table


def test_launch_takes_the_data_of_the_data_page_and_keeps_what_was_set(open_page, tmp_path):
    root = write_folder(tmp_path / "mine", patients=6, scans=1)
    asked = {"dataset": f"folder:{root}", "class_names": "wet, dry, none", "ignore_splits": "true"}
    app = open_page("launch", **asked, **ALL_SETTINGS)
    state = app.session_state
    assert app.selectbox(key="launch-preset").value == "Data: mine"
    assert (state["launch.backbone"], state["launch.epochs"]) == ("resnet18", 10)  # as in the preset for one's own
    assert (state["launch.class_names"], state["launch.ignore_splits"]) == ("wet, dry, none", True)
    app.number_input(key="launch.epochs").set_value(3)
    app.text_input(key="launch.class_names").set_value("")
    ran(app)
    assert app.query_params["dataset"] == f"folder:{root}" and app.session_state["launch.class_names"] == ""
    for name in [name for name in app.query_params if name.startswith("with.")]:
        del app.query_params[name]
    app.query_params["class_names"] = "a, b, c"  # another address is asked for
    ran(app)
    assert app.session_state["launch.class_names"] == "a, b, c" and app.session_state["launch.epochs"] == 3
    assert "No copy" not in texts(open_page("launch", dataset="folder:x", layout="sideways"))
    said = texts(open_page("launch", dataset="folder:x", layout="sideways"))
    assert "These data cannot be taken over. layout: " in said


def test_what_is_not_read_is_counted_by_reason_with_examples(open_page, tmp_path):
    root = write_folder(tmp_path / "mixed", patients=4, scans=1)
    for number in range(3):
        (root / "TWO" / f"scan*{number}*.dcm").write_bytes(b"not read")
    app = open_page("data", set=FOLDER, images=str(root))
    (found,) = [table.value for table in app.table if "Such as" in table.value]
    assert found.index.tolist() == [".dcm"] and found["Files"].tolist() == ["3"]
    assert found["In"].tolist() == ["TWO 3"]
    assert r"scan\*0\*.dcm" in found["Such as"].iloc[0]
    assert "Not read: 3 files" in [expander.label for expander in app.expander]


def test_a_table_of_ones_own_and_the_field_of_its_columns(open_page, tmp_path):
    root = write_scans(tmp_path / "flat", [f"{number:02d}.png" for number in range(12)])
    lines = [f"{number:02d}.png,{'CNV' if number % 2 else 'NORMAL'}" for number in range(12)]
    (root / "labels.csv").write_text("\n".join(["scan,what", *lines]))
    app = open_page("data", set="A table of your own (CSV, Excel ...)", table=str(root / "labels.csv"))
    assert "Its columns are: " in app.error[0].value and "what" in app.error[0].value
    app.text_input(key="columns").set_value("path=scan,label=what")
    assert not ran(app).error and app.table[0].value.index.tolist() == ["CNV", "NORMAL", "All"]
    assert "columns=path%3Dscan%2Clabel%3Dwhat" in link(app, "Launch: train on it")


def test_a_table_beside_the_images_is_taken_by_a_click(open_page, tmp_path):
    root = write_scans(tmp_path / "told", [f"{c}/{c.lower()}_{n}.png" for c in ("AMD", "NO") for n in range(6)])
    rows = [f"{c.lower()}_{n},{c},{n}" for c in ("AMD", "NO") for n in range(6)]
    (root / "labels.csv").write_text("\n".join(["file_name,disease,patient_id", *rows]))
    table = str(root / "labels.csv")
    query = parse_qs(link(open_page("data", set=FOLDER, images=str(root)), "Take that table"))
    assert query == {"set": ["A table of your own (CSV, Excel ...)"], "table": [table]}
    app = open_page("launch", dataset=f"folder:{root}")
    assert parse_qs(link(app, "Take that table")) == {"dataset": [f"table:{table}"]}
    flat = write_scans(tmp_path / "flat", [f"images/{n:02d}.png" for n in range(12)])  # the table alone tells
    (flat / "labels.csv").write_text("\n".join(["image,label", *(f"{n:02d}.png,{'AB'[n % 2]}" for n in range(12))]))
    app = open_page("data", set=FOLDER, images=str(flat))
    assert "one class only (images)" in app.error[0].value
    assert parse_qs(link(app, "Take that table"))["table"] == [str(flat / "labels.csv")]
    app = open_page("launch", dataset=f"folder:{flat}")
    assert parse_qs(link(app, "Take that table")) == {"dataset": [f"table:{flat / 'labels.csv'}"]}
    app = open_page("data", **{name: value for name, (value,) in query.items()})
    assert "by the column patient_id" in texts(app) or "patient_id" in texts(app)


def test_a_large_folder_is_looked_at_beside_the_page(open_page, tmp_path, monkeypatch):
    root = write_folder(tmp_path / "large", patients=4, scans=1)
    monkeypatch.setattr("colora.data.counts.FOLDER_LIMIT", 10)
    monkeypatch.setattr("pages.components.data.look.look_at", lambda config: pytest.fail("looked at in the server"))
    app = open_page("data", set=FOLDER, images=str(root))
    assert app.table[0].value.loc["All"].tolist()[:3] == ["6", "3", "3"]
    assert "Of data as large as these no samples are shown." in texts(app) and not app.get("image")
    app = open_page("launch", dataset=f"folder:{root}")
    assert "Trains on 6 images: 2 of each class (complete)." in texts(app)


def test_what_a_large_folder_is_refused_for_is_answered_by_a_click_too(open_page, eyes, monkeypatch):
    monkeypatch.setattr("colora.data.counts.FOLDER_LIMIT", 10)
    app = open_page("data", set=FOLDER, images=str(eyes))
    assert ASKED in texts(app)
    app.button(key="answer-layout-class-number").click()
    assert ran(app).table[0].value.index.tolist() == ["AMD", "NORMAL", "All"]


def test_duplicates_are_looked_for_and_shown_in_pairs(open_page, leaky):
    app = open_page("data", set=FOLDER, images=str(leaky))
    assert "Look for duplicates" in labels(app)
    app.button(key="look-duplicates").click()
    said = texts(ran(app))
    assert "**Duplicates**: 1 picture under several classes." in said
    assert "Every image was read just now." in said and "The same pixels." in said
    assert "ONE/ONE-0-1.png" in said and "TWO/TWO-900-1.png" in said
    pair = [image.proto.imgs[0].alt for image in app.get("image") if len(image.proto.imgs) == 1]
    assert sorted(pair[:2]) == ["ONE/ONE-0-1.png", "TWO/TWO-900-1.png"]
    assert "Duplicates: " in texts(open_page("launch", dataset=f"folder:{leaky}"))


def test_a_check_that_fails_says_why_and_can_be_asked_again(open_page, leaky, monkeypatch):
    for scan in leaky.glob("ONE/*.png"):
        scan.write_bytes(b"no picture")
    app = open_page("data", set=FOLDER, images=str(leaky))
    app.button(key="look-duplicates").click()
    assert "do not open (more than 5 %" in ran(app).error[0].value
    assert "Look again" in labels(app)


def test_a_look_says_how_far_it_is():
    look = Job("colora data", 60, "Looking at the data")
    assert look.says() == "Waits for its turn …" and look.under_way and look.share == 0
    _take(look, '{"progress": "Reading", "done": 1200, "total": 5000}')
    assert look.says() == "Looking at the data: 1,200 of 5,000" and look.share == 0.24
    _take(look, '{"progress": "Reading", "done": 1200, "total": null}')
    assert look.says() == "Looking at the data: 1,200 files so far"
    _take(look, '{"progress": "Rea')
    assert look.done == 1200
