"""Whatever is typed into any field, stands in an address or in a file's name: no traceback, and never markup."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from fabricate import CLASS_NAMES, fabricate
from image_pages import asks, judged, told_by_browser
from opened import every_kind, opener, ran

from colora.data.cuts import save_cut
from colora.data.rules import make_rule
from colora.distillation import verdicts
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.runs.folder import Group

MARKUP = "[x](javascript:alert(1)) <img src=x onerror=alert(1)> $x^2$ :red[warm] :material/home: `a` **b** _c_"
TEXTS = (
    "x" * 300,
    "/" + "y" * 5000,
    "/data/a\0b",
    ' "C:\\Users\\me\\left eye" ',
    "file:///tmp/left%20eye%00",
    "0,01",
    "  \u202e אב 👁️\u00a0",
    MARKUP,
    "../../etc",
    "~nobody-at-all/x",
    "(" * 500,
    "-9" + "9" * 5000,
    "[a-",
    "one\u2028two\n# three\n- four",
)
UNESCAPED = r"(?<!\\)(\]\(javascript|<img|\$x|:red\[warm|:material/home|`a|_c_)|(?<![*\\])\*\*b\*\*"
MARKDOWN = ("title", "header", "subheader", "markdown", "caption", "info", "success", "warning", "error")
LAUNCHES = (
    {"launch.dataset": "folder", "launch.weights": "file"},
    {"launch.dataset": "npz", "launch.train_set": "complete"},
    {"launch.dataset": "octmnist"},
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A runs folder with one group of each kind, patients, a cut, and two readers."""
    path = every_kind(tmp_path_factory.mktemp("runs"))
    group = fabricate(path, "with-patients", ["done"] * 2, with_patients=True)
    found = read_predictions(Group(group.path), "train")
    save_cut(path, distil(found, "mine", make_rule(drop=1, keep=9)))
    for reader in ("ann", "bob"):
        verdicts.judge(path, reader, found.data_checksum, "train-0000", "hard")
    return path


@pytest.fixture
def open_page(monkeypatch, runs, site_file):
    site_file('ssh = ["ssh", "login.example.org"]')  # so that the form offers SLURM's fields
    return opener(monkeypatch, runs)


def fields(app) -> list:
    return [*app.text_input, *app.text_area]


def shows_no_markup(app) -> None:
    """Typed texts and names are escaped wherever Streamlit reads Markdown: texts, labels, options, cells, captions."""
    said = [str(element.value) for kind in MARKDOWN for element in app.get(kind)]
    said += [widget.label for kind in ("text_input", "button", "checkbox", "expander", "selectbox") for widget in
             app.get(kind)]  # fmt: skip
    said += [option for widget in app.get("button_group") for option in widget.options]
    said += [image.caption for element in app.get("image") for image in element.proto.imgs]
    for element in app.table:
        frame = element.value
        said += [str(text) for text in (*frame.columns, *frame.index, *frame.to_numpy().ravel())]
    assert not (found := [text for text in said if re.search(UNESCAPED, text)]), found


def type_everywhere(app, texts=TEXTS, kept: tuple[str, ...] = ()) -> set[str]:
    """Each text into all fields of the page at once; returns the fields' keys."""
    typed = set()
    for text in texts:
        for field in fields(app):
            if field.key not in kept:
                field.set_value(text[: field.proto.max_chars or None])
                typed.add(field.key)
        shows_no_markup(ran(app))
    return typed


def elsewhere(app) -> None:
    """Nothing that was typed breaks the next page, nor its own page when that is visited again."""
    page = app._page_hash
    for name in ("monitor", "launch"):
        app.query_params.clear()
        app.switch_page(f"pages/{name}.py")
        ran(app)
    app._page_hash = page
    ran(app)


@pytest.mark.parametrize("chosen", LAUNCHES, ids=lambda chosen: chosen["launch.dataset"])
def test_any_text_in_any_field_of_launch(open_page, chosen):
    app = open_page("launch")
    for key, value in chosen.items():
        app.selectbox(key=key).set_value(value)
    ran(app)
    typed = type_everywhere(app)
    assert {"launch-name", "launch-seeds", "launch.lr", "launch.lr_head", "launch.cut", "launch.targets"} <= typed
    own = {"folder": {"launch.dataset.path", "launch.weights.path", "launch.patient_pattern"}}
    assert own.get(chosen["launch.dataset"], set()) <= typed
    elsewhere(app)


def test_any_text_in_the_fields_of_slurm(open_page):
    app = open_page("launch")  # where all the rest is right, since they are drawn only then
    others = tuple(field.key for field in fields(app))
    app.segmented_control(key="launch-engine").set_value("SLURM")
    ran(app)
    assert {"launch-slurm-partition", "launch-slurm-extra"} <= type_everywhere(app, kept=others)
    elsewhere(app)


def test_a_text_that_a_command_cannot_take_is_a_sentence_where_everything_else_is_right(open_page, monkeypatch):
    """The form asks the command line what a model takes, also of what the page alone holds to be right."""
    from pages.components import command

    app = open_page("launch")
    monkeypatch.undo()
    monkeypatch.setattr(command.subprocess, "run", refuse_nul)
    command._asked.clear()
    for text in TEXTS:
        app.text_input(key="launch.targets").set_value(text)
        app.text_input(key="launch.backbone.cut").set_value(text)
        shows_no_markup(ran(app))
    command._asked.clear()


def refuse_nul(command, **options):
    """As `subprocess.run` of a command that refuses its arguments with the last of them."""
    if any("\0" in part for part in command):
        raise ValueError("embedded null byte")
    return SimpleNamespace(returncode=2, stderr=f"colora params: {command[-2]} is nothing known.", stdout="")


@pytest.mark.parametrize(
    ("page", "query", "keys"),
    [
        ("overview", {}, {"search"}),
        ("data", {}, {"folder"}),
        ("data", {"set": "A folder of your own"}, {"images"}),
        ("data", {"set": "A file of your own (.npz)"}, {"file"}),
        ("images", {"group": "with-patients"}, {"from", "to", "patient"}),
        ("images", {"group": "with-patients", "image": "train-0001"}, {"reader"}),
        ("distil", {"group": "with-patients", "rule": "By share"}, {"drop-share", "keep-share", "compare-seeds"}),
        ("distil", {"group": "with-patients", "rule": "By score"}, {"lowest", "highest", "compare-lr"}),
    ],
    ids=lambda value: "" if isinstance(value, set) else "-".join(value.values()) if isinstance(value, dict) else value,
)
def test_any_text_in_any_field(open_page, page, query, keys):
    app = open_page(page, **query)
    if asks(app):
        told_by_browser(app)
    if page == "distil":
        app.session_state["compare"] = True
        ran(app)
    filters = ("from", "to", "patient") if "image" in query else ()  # which would close the image
    assert keys <= type_everywhere(app, kept=filters)
    if page == "images" and "image" in query:
        for text in ("x" * 300, "/data/a\0b", MARKUP, "../../etc"):
            for reader in (text, "ann"):  # refused as a name, and with the text as her note
                app.text_input(key="reader").set_value(reader)
                ran(app)
                shows_no_markup(judged(app, "fine", note=text))
    elsewhere(app)


def test_any_text_as_the_name_of_a_cut(open_page):
    app = open_page("distil", "with-patients")
    for text in TEXTS:
        name = next(field for field in app.text_input if field.key.startswith("cut-name"))
        name.set_value(text[:80])
        app.button(key="save-cut").click()
        shows_no_markup(ran(app))


PARAMETERS = {
    "overview": ("search", "state", "order"),
    "launch": ("clone", "cut"),
    "data": ("set", "folder", "images", "file"),
    "monitor": ("group", "single"),
    "compare": ("groups", "split", "metric"),
    "evaluate": ("group", "seed", "epoch", "split", "show", "cells", "tiles"),
    "images": ("group", "view", "part", "image", "from", "to", "rank", "per", "patient", "model", "sort", "verdict"),
    "distil": ("group", "cut", "pool", "rule", "drop", "keep", "lowest", "model", "readers"),
}


@pytest.mark.parametrize("page", PARAMETERS)
def test_any_text_in_the_address(open_page, page):
    app = open_page(page)
    wholes = ["/data/a\0b", "\0", "z" * 5000, f"👁️ \u202e {MARKUP}", "~nobody-at-all/../x", "9" * 5000, "-1"]
    asked = [dict.fromkeys(PARAMETERS[page], text) for text in wholes]
    if page == "data":
        own = ("A folder of your own", "A file of your own (.npz)", "OCTMNIST")
        asked += [whole | {"set": which} for whole in asked[:4] for which in own]
    asked += [{name: "\0"} for name in PARAMETERS[page]]  # where all the rest is usual
    for query in asked:
        app.query_params.clear()
        for name, value in query.items():
            app.query_params[name] = value
        shows_no_markup(ran(app))
    elsewhere(app)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> Path:
    """Groups whose names, classes, patients, images, notes, reasons and people are written as markup."""
    path = tmp_path_factory.mktemp("foreign")
    bad = MARKUP.replace("/", "∕")  # a name in a folder has no slash
    said = {"reason": f"{MARKUP} failed.", "warnings": [MARKUP]}
    group = fabricate(path, "one", ["done", "failed"], with_patients=True, **said)
    found = read_predictions(Group(group.path), "train")
    save_cut(path, distil(found, "mine", make_rule(drop=1, keep=9)))
    for run in group.runs:
        config = json.loads((run.path / "config.json").read_text())
        config["resolved"] |= {"class_names": [f"{name} {MARKUP}" for name in CLASS_NAMES], "data_source": MARKUP}
        config["resolved"] |= {"split_rule": MARKUP, "preparation": MARKUP}
        (run.path / "config.json").write_text(json.dumps(config))
        for file in (run.path / "predictions").glob("*.parquet"):
            table = pd.read_parquet(file)
            table["image_id"] += f" {MARKUP}"
            table["patient_id"] += f" {MARKUP}"
            table.to_parquet(file)
    cut = path / ".colora" / "cuts" / "mine.json"
    cut.with_name("torn.json").write_text('{"name": "' + MARKUP)
    info = json.loads((group.path / "group.json").read_text())
    (group.path / "group.json").write_text(json.dumps(info | {"launched_by": MARKUP}))
    (group.path / "notes.txt").write_text(MARKUP)
    group.path.rename(path / bad)
    fabricate(path, "two", ["done"])
    return path


@pytest.mark.parametrize("page", PARAMETERS)
def test_names_from_the_disk_are_never_markup(open_page, foreign, page):
    name = next(entry.name for entry in foreign.iterdir() if "onerror" in entry.name)
    shows_no_markup(app := open_page(page, name, folder=foreign, groups=f"{name},two"))
    if page == "images":
        image = read_predictions(Group(foreign / name), "train").images["image_id"].iloc[0]
        shows_no_markup(open_page(page, name, folder=foreign, image=image))
        shows_no_markup(open_page(page, name, folder=foreign, view="Figures 11 and 12"))
        shows_no_markup(open_page(page, name, folder=foreign, view="Verdicts"))
    assert name in str(app.session_state["group"]) if "group" in app.session_state else True
