"""What was found in the data before training, at the head of every result: one line, and a banner where they leak."""

from pathlib import Path

import pytest
from fabricate import fabricate
from opened import opener, ran, texts

from colora.data.check import look
from colora.data.medmnist import SHARED_PATIENTS
from colora.data.rules import make_rule
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.results.summary import data_found
from colora.runs.documents import DATA
from colora.runs.folder import Group, write_json
from colora.settings.config import make_config

LINE = "Split generated apart, no patient in two splits. Patients: 1,486, by the generator's own numbers; "
LEAK = (
    "These data leak: 3 patients are in several splits; 1 picture is in several splits; 2 images of validation or test "
    "are nearly the same as one of an earlier split. The figures look better than they would on new patients."
)
RESULTS = ("monitor", "evaluate", "images", "predict", "distil")


def with_check(group: Group, leaks: bool) -> Group:
    """As a launch and a first seed leave it."""
    found = look(make_config({"dataset": "phantom"}))
    if leaks:
        found["patients"]["in_several_splits"] = 3
        found["duplicates"] = {"exact_across_splits": 1, "exact_across_classes": 0, "near_across_splits": 2}
    write_json(group.path / DATA, found)
    return Group(group.path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("runs")
    fabricate(path, "older", ["done"])
    with_check(fabricate(path, "clean", ["done"]), leaks=False)
    with_check(fabricate(path, "leaky", ["done"]), leaks=True)
    fabricate(path, "public", ["done"], {"dataset": "octmnist"})
    return path


@pytest.fixture
def open_page(monkeypatch, runs, stand_ins):
    return opener(monkeypatch, runs)


def banners(app) -> list[str]:
    return [warning.value for warning in app.warning if "data leak" in warning.value or "OCTMNIST's" in warning.value]


def to_data_page(app) -> list[str]:
    return [link.proto.query_string for link in app.get("page_link") if link.proto.label.startswith("What was found")]


@pytest.mark.parametrize("page", RESULTS)
def test_every_result_says_what_was_found_in_its_data(open_page, page):
    app = open_page(page, "clean")
    assert LINE in texts(app) and "Duplicates: not looked for yet." in texts(app)
    assert not banners(app) and not to_data_page(app)
    app = open_page(page, "older")
    assert "Patients: " not in texts(app) and not banners(app)


@pytest.mark.parametrize("page", RESULTS)
def test_every_result_of_data_that_leak_bears_a_banner(open_page, page):
    app = open_page(page, "leaky")
    assert banners(app) == [LEAK]
    assert to_data_page(app) == ["set=Generated+images+%28SYNTHETIC%29"]
    assert "3 of them in several splits. Duplicates: 1 picture in several splits; 2 images of" in texts(app)


@pytest.mark.parametrize("page", RESULTS)
def test_octmnist_bears_what_is_known_of_it_once(open_page, page):
    app = open_page(page, "public")
    assert banners(app) == [SHARED_PATIENTS["octmnist"]] and "3,663 of those belong to patients" in banners(app)[0]
    assert to_data_page(app) == ["set=OCTMNIST"]


def test_compare_says_it_of_each_group(open_page):
    app = open_page("compare")
    app.query_params["groups"] = "leaky,public,clean"
    said = texts(ran(app))
    assert banners(app) == [f"**leaky**: {LEAK}", f"**public**: {SHARED_PATIENTS['octmnist']}"]
    assert f"**leaky**: {LINE[:40]}" in said and f"**clean**: {LINE[:40]}" in said and "**public**: Split" not in said


def test_what_stands_in_the_file_is_text_and_no_markup(open_page, tmp_path):
    group = with_check(fabricate(tmp_path / "odd", "odd", ["done"]), leaks=False)
    write_json(group.path / DATA, look(make_config({"dataset": "phantom"})) | {"split_rule": "by **CNV** <b>x</b> $a$"})
    app = open_page("monitor", "odd", folder=tmp_path / "odd")
    (line,) = [caption.value for caption in app.caption if caption.value.startswith("Split by")]
    assert r"by \*\*CNV\*\* \<b\>x\</b\> \$a\$" in line


def test_a_damaged_check_is_a_sentence(open_page, tmp_path):
    group = fabricate(tmp_path / "broken", "broken", ["done"])
    (group.path / DATA).write_text('{"source": ')
    for page in RESULTS:
        assert "is damaged" in open_page(page, "broken", folder=tmp_path / "broken").error[0].value


def test_data_whose_leaks_a_cut_leaves_out_are_not_said_to_leak(tmp_path):
    group = with_check(fabricate(tmp_path, "g", ["done"], {"cut": "clean"}), leaks=True)
    cut = distil(read_predictions(group, "train"), "clean", make_rule(drop=1, keep=9))
    write_json(group.path / "cut.json", cut.model_dump())
    assert data_found(group)["leak"] == LEAK
    write_json(group.path / "cut.json", cut.model_copy(update={"rule": make_rule(kind="leaks")}).model_dump())
    assert data_found(group)["leak"] is None and data_found(group)["check"]["duplicates"]["exact_across_splits"] == 1
