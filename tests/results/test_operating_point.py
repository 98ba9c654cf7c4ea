"""A group's threshold is chosen on validation, each seed's own, and is judged on the split that is asked for."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fabricate import fabricate, labels_of, patients, probabilities

from colora.metrics.operating_point import Choice, at_prevalence, judged, scores, threshold
from colora.metrics.over_seeds import Spread, ensemble
from colora.results import judged as predictions
from colora.results.operating_point import Question, group_operating_point, operating_point, points, usual_positives
from colora.results.statistics import group_statistics
from colora.runs.folder import Group
from colora.runs.selection import selected_epoch
from colora.system.errors import UserError

URGENT = Question(("DME", "CNV"), Choice("sensitivity", 0.9), 0.02)
NAMES = ["CNV", "DME", "DRUSEN", "NORMAL"]


@pytest.fixture(scope="module")
def group(tmp_path_factory) -> Group:
    return fabricate(tmp_path_factory.mktemp("runs"), "g", ["done", "done", "running"], with_patients=True)


@pytest.fixture(scope="module")
def both(group) -> tuple[predictions.Judged, predictions.Judged]:
    return predictions.judged(group, "test"), predictions.judged(group, "val")


@pytest.mark.parametrize(
    ("names", "usual"),
    [(NAMES, ["CNV", "DME"]), (["normal", "Diabetic macular edema", "drusen"], ["Diabetic macular edema"]),
     (["cnv", "dme"], ["cnv"]), (["glaucoma", "Healthy", "AMD"], ["glaucoma", "AMD"]), (["CNV", "Control"], ["CNV"]),
     (["bladder", "femur", "heart"], ["bladder"]), (["normal", "control"], ["normal"]), (["A"], ["A"])],
)  # fmt: skip
def test_first_urgent_classes_are_asked_for_then_whatever_is_not_healthy_then_the_first(names, usual):
    assert usual_positives(names) == usual


def test_a_questions_classes_stand_in_the_datas_order():
    assert URGENT.classes(NAMES) == [0, 1]
    assert Question(("NORMAL", "NORMAL"), Choice("youden")).classes(NAMES) == [3]


@pytest.mark.parametrize(
    ("positives", "told"),
    [(("DME", "dme", "XYZ"), "No class is called XYZ, dme: there are CNV, DME, DRUSEN, NORMAL"),
     ((), "Choose at least one of the 4 classes, and not all of them"), (tuple(NAMES), "not all of them")],
)  # fmt: skip
def test_classes_that_make_no_question_are_a_sentence(both, positives, told):
    question = Question(positives, Choice("youden"))
    for asked in (lambda: question.classes(NAMES), lambda: group_operating_point(*both, question)):
        with pytest.raises(UserError, match=told):
            asked()


def test_each_seed_and_the_ensemble_have_the_threshold_that_their_own_validation_chooses(both, group):
    seeds, joint = points(*both, URGENT)
    done = [run for run in group.runs if run.state == "done"]
    of = {split: [probabilities(split, run.seed, selected_epoch(run)) for run in done] for split in ("val", "test")}
    models = [*zip(of["test"], of["val"], strict=True), (ensemble(of["test"]), ensemble(of["val"]))]
    for found, (p, own) in zip([*seeds, joint], models, strict=True):
        asked = {"val": (np.isin(labels_of("val"), [0, 1]), scores(own, [0, 1])),
                 "test": (np.isin(labels_of("test"), [0, 1]), scores(p, [0, 1]))}  # fmt: skip
        at = threshold(*asked["val"], URGENT.choice)
        known = {split: np.array(patients(split)) for split in asked}
        assert found.threshold == at and found.reason is None
        assert found.on_validation == judged(*asked["val"], at, known["val"])
        assert found.on_validation["sensitivity"].value >= 0.9
        assert found.judged == judged(*asked["test"], at, known["test"])
        assert found.at_prevalence == at_prevalence(*asked["test"], at, 0.02, known["test"])
        assert "patient" in found.judged["specificity"].method
    assert len({found.threshold for found in (*seeds, joint)}) == 3


def test_the_document_has_all_of_it_and_the_spread_over_seeds(both):
    seeds, joint = points(*both, URGENT)
    told = group_operating_point(*both, URGENT)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["positives"] == ["CNV", "DME"] and (told["chosen_on"], told["rule"]) == ("val", "sensitivity")
    assert told["says"] == URGENT.choice.says() and told["prevalence"] == 0.02
    assert told["seeds"] == [{"seed": s, **own.as_dict()} for s, own in zip((0, 1), seeds, strict=True)]
    assert told["ensemble"] == joint.as_dict()
    assert set(told["ensemble"]) == {"threshold", "on_validation", "judged", "at_prevalence"}
    assert list(told["over_seeds"]) == ["sensitivity", "specificity", "ppv", "npv"]
    for name, spread in told["over_seeds"].items():
        assert spread == Spread.of([own.judged[name].value for own in seeds]).as_dict()


def test_statistics_hold_the_answer_to_a_question(group, both):
    found = group_statistics(group, question=URGENT)
    assert found["operating_point"] == group_operating_point(*both, URGENT)
    assert json.dumps(found, allow_nan=False)


def test_classes_that_there_are_not_are_told_before_anything_is_drawn(group, monkeypatch):
    monkeypatch.setattr("colora.results.statistics.statistics", lambda *_: pytest.fail("drawn"))
    with pytest.raises(UserError, match="No class is called XYZ"):
        group_statistics(group, question=Question(("XYZ",), Choice("youden")))


def test_on_validation_itself_a_threshold_is_worth_what_it_was_chosen_for(both):
    found = group_operating_point(both[1], both[1], URGENT)["ensemble"]
    assert found["judged"] == found["on_validation"]


def test_one_seed_has_no_ensemble_and_without_a_prevalence_there_are_no_values_at_one(tmp_path):
    one = fabricate(tmp_path, "one", ["done"])
    told = group_operating_point(
        predictions.judged(one, "test"), predictions.judged(one, "val"), Question(("DRUSEN",), Choice("cost", 5.0))
    )
    assert told["ensemble"] is None and told["prevalence"] is None and told["rule"] == "cost"
    assert told["seeds"][0]["at_prevalence"] == {} and told["seeds"][0]["judged"]["npv"]["method"] == "Wilson"
    assert told["over_seeds"]["npv"]["n"] == 1


@pytest.mark.parametrize(("label", "kind"), [(0, "negative"), (3, "positive")])
def test_where_validation_has_one_kind_alone_no_threshold_can_be_chosen(label, kind):
    p = probabilities("test", 0, 6)
    validation = np.full(200, label), p, None
    found = operating_point(labels_of("test"), p, None, validation, [0, 1], URGENT)
    assert found.threshold is None and found.reason == f"no threshold can be chosen: in validation no image is {kind}"
    told = found.as_dict()
    assert told["reason"] == found.reason and told["judged"] == told["on_validation"] == told["at_prevalence"] == {}


def test_a_group_without_a_threshold_has_reasons_and_no_spread(both):
    seen, validation = both
    normal = replace(validation, table=validation.table.assign(target=3))
    told = group_operating_point(seen, normal, URGENT)
    assert told["over_seeds"] == {} and all("no image is positive" in own["reason"] for own in told["seeds"])
    assert "no image is positive" in told["ensemble"]["reason"]
