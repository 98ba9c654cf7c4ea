"""Evaluate freezes the question that is asked, shows what is frozen first, and replaces it when that is confirmed."""

import re

import numpy as np
import pytest
from elsewhere import ANEW, make_anew
from fabricate import fabricate, fill_run, labels_of, patients, probabilities
from opened import ran, texts
from pressing import nothing_done, press

from colora.metrics.operating_point import Choice, judged, scores
from colora.metrics.over_seeds import ensemble
from colora.results.operating_point import Question
from colora.results.question import freeze, frozen, says
from colora.runs import access
from colora.runs.documents import QUESTION, question_file
from colora.runs.folder import Group

ASKED = {"part": "Operating point"}
DRUSEN = Question(("DRUSEN",), Choice("cost", 20.0))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def group(folder) -> Group:
    return fabricate(folder, "early", ["done", "done", "queued"], {"epochs": 2}, with_patients=True)


def fields(app) -> tuple:
    (value,) = [field.value for field in app.number_input] or [None]
    return app.multiselect(key="positives").value, app.selectbox(key="rule").value, value


def shown_threshold(app) -> str:
    return re.search(r"\*\*.* against the rest, from (\d\.\d{3}) on\*\*", texts(app)).group(1)


def test_what_is_asked_is_frozen_with_the_threshold_that_stands_there(open_page, folder, group):
    app = open_page("evaluate", "early", folder=folder, **ASKED)
    assert "Frozen" not in texts(app) and "show-frozen" not in [button.key for button in app.button]
    app.multiselect(key="positives").set_value(["DRUSEN"])
    app = press(ran(app), "freeze")
    kept = question_file(group.path)
    assert (kept["positives"], kept["rule"], kept["value"], kept["seeds"]) == (["DRUSEN"], "sensitivity", 0.95, [0, 1])
    assert f"{kept['threshold']:.3f}" == shown_threshold(app)
    assert f"**Frozen:** {says(kept)}." in texts(app) and f"; by {kept['frozen_by']}, " in texts(app)
    button = app.button(key="freeze")
    assert button.disabled and button.help == "It is frozen as it is shown." and "positives" not in app.query_params
    assert fields(app) == (["DRUSEN"], "sensitivity", 0.95)


def test_at_first_the_frozen_question_is_asked_and_the_way_back_to_it_is_a_button(open_page, folder, group):
    freeze(group, DRUSEN)
    app = open_page("evaluate", "early", folder=folder, **ASKED)
    assert fields(app) == (["DRUSEN"], "cost", 20.0) and app.query_params.keys() == {"group", "part"}
    assert shown_threshold(app) == f"{question_file(group.path)['threshold']:.3f}"
    app.multiselect(key="positives").set_value(["CNV", "DRUSEN"])
    app.selectbox(key="rule").set_value("sensitivity")
    app = ran(app)
    assert fields(app) == (["CNV", "DRUSEN"], "sensitivity", 0.95) and "rule" in app.query_params
    app = press(app, "show-frozen")
    assert fields(app) == (["DRUSEN"], "cost", 20.0) and "rule" not in app.query_params
    app.number_input(key="cost").set_value(2.0)
    assert "show-frozen" in [button.key for button in ran(app).button]
    app.multiselect(key="positives").set_value([])
    assert "show-frozen" in [button.key for button in ran(app).button] and app.button(key="freeze").disabled
    assert fields(press(app, "show-frozen")) == (["DRUSEN"], "cost", 20.0)


def test_fields_that_nobody_has_changed_follow_the_group_that_is_shown(open_page, folder, group):
    freeze(group, Question(("DRUSEN",), Choice("sensitivity", 0.3)))  # lower than the field goes by itself
    fabricate(folder, "other", ["done"], {"epochs": 2})
    app = open_page("evaluate", "other", folder=folder, **ASKED)
    assert fields(app) == (["CNV", "DME"], "sensitivity", 0.95)
    app.selectbox(key="group").set_value("early")
    assert fields(ran(app)) == (["DRUSEN"], "sensitivity", 0.3)
    app.selectbox(key="group").set_value("other")
    assert fields(ran(app)) == (["CNV", "DME"], "sensitivity", 0.95)


def test_another_one_is_replaced_when_that_is_confirmed(open_page, folder, group):
    first = freeze(group, DRUSEN)
    app = open_page("evaluate", "early", folder=folder, positives="CNV", **ASKED)
    press(app, "freeze")
    assert f"**Frozen now:** {says(first)}." in texts(app) and question_file(group.path) == first
    assert "**Instead:** CNV against the rest, least cost on validation where a missed one costs 20" in texts(app)
    press(app, "freeze", "confirm-freeze")
    assert question_file(group.path)["positives"] == ["CNV"] and not app.error

def test_models_that_are_others_are_told_with_what_the_kept_threshold_is_worth_of_them(open_page, folder, group):
    kept = freeze(group, DRUSEN)
    fill_run(group.runs[2], "done", 2, None, {}, [], True)
    app = open_page("evaluate", "early", folder=folder, **ASKED)
    p = ensemble([probabilities("test", seed, 2) for seed in range(3)])
    member, known = labels_of("test") == 2, np.array(patients("test"))
    worth = judged(member, scores(p, [2]), kept["threshold"], known)
    (said,) = [warning.value for warning in app.warning if "this threshold" in warning.value]
    assert "The model was that of seeds 0-1 when this threshold was chosen, and is that of seeds 0-2 now." in texts(app)
    for name in ("sensitivity", "specificity"):
        assert f"{name} {worth[name].value:.3f}" in said
    assert not app.button(key="freeze").disabled
    press(app, "freeze")
    press(app, "freeze", "confirm-freeze")
    assert question_file(group.path)["seeds"] == [0, 1, 2] and not frozen(Group(group.path)).changed
    assert "when this threshold was chosen" not in texts(ran(app))


@pytest.mark.parametrize("view", [{"seed": "Seed 1"}, {"epoch": "1"}])
def test_a_model_that_does_not_stand_for_the_group_is_not_frozen(open_page, folder, group, view):
    app = open_page("evaluate", "early", folder=folder, **view, **ASKED)
    button = app.button(key="freeze")
    assert button.disabled and "choose all finished seeds at their selected epoch" in button.help


def test_a_reader_sees_what_is_frozen_and_freezes_nothing(open_page, folder, group, monkeypatch):
    app = open_page("evaluate", "early", folder=folder, **ASKED)
    monkeypatch.setattr(access, "why_not", lambda action, owner=None: "Not you." if action == "freeze" else None)
    button = ran(app).button(key="freeze")
    assert button.disabled and button.help == "Not you."


def test_nothing_is_frozen_of_a_group_that_has_the_name_by_then(open_page, folder):
    group = fabricate(folder, "early", ["done"], {"epochs": 2})
    app = open_page("evaluate", "early", folder=folder, **ASKED)
    make_anew(group)
    with nothing_done(folder, []):
        press(app, "freeze")
    assert f"early {ANEW}" in texts(app) and not (group.path / QUESTION).exists()
