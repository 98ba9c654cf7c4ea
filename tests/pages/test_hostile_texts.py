"""Whatever is typed into any field, stands in an address or in a file's name: no traceback, and never markup."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from fabricate import fabricate, write_seen
from hostile import MARKUP, NAME, hostile_file, hostile_folder, hostile_runs, markup_on
from image_pages import asks, judged, told_by_browser
from opened import every_kind, opener, ran, texts

from colora.data.cuts import save_cut
from colora.data.rules import make_rule
from colora.distillation import verdicts
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.runs.features import features_path
from colora.runs.folder import Group

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
def open_page(monkeypatch, runs, site_file, stand_ins):
    site_file('ssh = ["ssh", "login.example.org"]')  # so that the form offers SLURM's fields
    return opener(monkeypatch, runs)


def fields(app) -> list:
    return [*app.text_input, *app.text_area]


def shows_no_markup(app) -> None:
    """Typed texts and names are escaped wherever Streamlit reads Markdown: texts, labels, options, cells, captions."""
    assert not (found := markup_on(app)), found


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
        ("predict", {"group": "with-patients", "from": "A folder of this computer"}, {"folder"}),
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
    "evaluate": ("group", "seed", "epoch", "split", "show", "cells", "tiles", "part", "positives", "rule"),
    "images": ("group", "view", "part", "image", "from", "to", "rank", "per", "patient", "model", "sort", "verdict"),
    "predict": ("group", "from", "folder", "calibrated"),
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
    """`hostile.hostile_runs`: names, classes, patients, images, notes, reasons, people, cuts and files as markup."""
    return hostile_runs(tmp_path_factory.mktemp("foreign"))


@pytest.mark.parametrize("group", [NAME, "two", "far"], ids=["one", "two", "far"])
@pytest.mark.parametrize("page", PARAMETERS)
def test_names_from_the_disk_are_never_markup(open_page, foreign, page, group):
    app = open_page(page, group, folder=foreign, groups=f"{NAME},two", trash="true", state="")
    shows_no_markup(app)
    if "group" in app.session_state:
        assert app.session_state["group"] == group


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("images", {"image": f"train-0000 {MARKUP}"}),
        ("images", {"view": "Figures 11 and 12"}),
        ("images", {"view": "Verdicts"}),
        ("images", {"part": "Test"}),
        ("evaluate", {"seed": "Seed 1", "split": "Train", "cells": "per cent"}),
        ("evaluate", {"part": "Operating point", "rule": "youden"}),
        ("evaluate", {"show": f"CNV {MARKUP} called DME {MARKUP}"}),
        ("monitor", {"single": "0"}),
        ("distil", {"rule": "By verdicts only", "exclude": "Truly hard", "correct": "true"}),
        ("launch", {"clone": NAME, "cut": "mine"}),
        ("launch", {"clone": "two"}),
        ("overview", {"search": "x", "order": "Name"}),
    ],
)
def test_no_part_of_a_page_takes_a_text_for_markup(open_page, foreign, page, query):
    shows_no_markup(open_page(page, NAME, folder=foreign, **query))


def test_no_point_of_a_map_takes_a_text_for_markup(open_page, foreign):
    done = Group(foreign / NAME).runs[:2]
    for run in done:
        write_seen(run)
    for colour in ("True class", "Score", "Verdict"):
        app = open_page("images", NAME, folder=foreign, view="Map", colour=colour, like=f"train-0000 {MARKUP}")
        (chart,) = app.get("plotly_chart")
        assert "train-0399" in chart.proto.spec and "most like train-0000" in texts(app)
        shows_no_markup(app)
    for run in done:
        features_path(run).unlink()


def test_what_unfolds_takes_no_text_for_markup(open_page, foreign):
    for page, keys in (("monitor", ["log"]), ("distil", ["agree", "compare"]), ("images", ["other"])):
        query = {"image": f"train-0000 {MARKUP}"} if page == "images" else {}
        app = open_page(page, NAME, folder=foreign, **query)
        for key in keys:
            app.session_state[key] = True
        shows_no_markup(ran(app))


@pytest.mark.parametrize(
    ("page", "button"), [("monitor", "remove"), ("monitor", "resume"), ("monitor", "retry"), ("monitor", "clone")]
)
def test_no_dialog_takes_a_text_for_markup(open_page, foreign, page, button):
    app = open_page(page, NAME, folder=foreign)
    app.button(key=button).click()
    shows_no_markup(ran(app))


def test_a_folder_and_a_file_of_hostile_names_are_no_markup_on_data(open_page, tmp_path):
    folder, file = hostile_folder(tmp_path), hostile_file(tmp_path)
    for query in (
        {"set": "A folder of your own", "images": str(folder)},
        {"set": "A file of your own (.npz)", "file": str(file)},
        {"set": "OCTMNIST", "folder": str(tmp_path / NAME)},
    ):
        app = open_page("data", **query)
        assert query["set"] == "OCTMNIST" or app.get("image"), app.error
        shows_no_markup(app)


def test_markup_would_be_found():
    from streamlit.testing.v1 import AppTest

    def page(text: str) -> None:
        import plotly.graph_objects as go
        import streamlit as st

        st.caption(text)
        st.button("b", help=text)
        st.pills("p", [text])
        st.radio("r", [text], captions=[text])
        st.expander(text)
        st.popover(text)
        st.metric("m", text)
        st.progress(0.5, text=text)
        st.table({"a": [text]})
        st.dataframe({"a": [1]}, column_config={"a": st.column_config.NumberColumn(help=text)})
        st.plotly_chart(go.Figure([go.Scatter(y=[1], name=text)]))
        st.html(f"<p>{text}</p>")

    found = markup_on(AppTest.from_function(page, args=(MARKUP,)).run())
    assert len(found) == 13, found
