"""A frozen question keeps its threshold; what that is worth is of the models that are there now."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fabricate import CLASS_NAMES, fabricate, fill_run, labels_of, patients, probabilities, write_predictions

from colora.metrics.operating_point import Choice, judged, scores, threshold
from colora.metrics.over_seeds import ensemble
from colora.results import judged as predictions
from colora.results.operating_point import Question, points
from colora.results.question import freeze, frozen, question_of, says, usual_question
from colora.results.statistics import group_statistics
from colora.results.summary import best_run
from colora.runs import audit
from colora.runs.documents import QUESTION, question_file
from colora.runs.folder import Group, write_json
from colora.runs.selection import selected_epoch
from colora.system.errors import UserError

URGENT = Question(("DME", "CNV"), Choice("sensitivity", 0.9), 0.02)
DRUSEN = Question(("DRUSEN",), Choice("cost", 3.0))


@pytest.fixture
def group(tmp_path, monkeypatch) -> Group:
    """Two seeds of three are finished."""
    monkeypatch.setenv("COLORA_USER", "eve")
    return fabricate(tmp_path / "runs", "g", ["done", "done", "queued"], with_patients=True)


def asked(group: Group, seeds: list[int], split: str, positives: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(member, score) of the ensemble of these seeds, from the learner itself."""
    p = [probabilities(split, seed, selected_epoch(group.runs[seed])) for seed in seeds]
    return np.isin(labels_of(split), positives), scores(ensemble(p), positives)


def worth(group: Group, seeds: list[int], split: str, at: float) -> dict:
    return judged(*asked(group, seeds, split, [0, 1]), at, np.array(patients(split)))


def test_what_is_frozen_is_the_ensembles_threshold_and_its_worth_that_of_the_operating_point(group):
    kept = freeze(group, URGENT)
    at = threshold(*asked(group, [0, 1], "val", [0, 1]), URGENT.choice)
    assert (kept["positives"], kept["rule"], kept["value"]) == (["CNV", "DME"], "sensitivity", 0.9)
    assert (kept["threshold"], kept["seeds"], kept["frozen_by"]) == (at, [0, 1], "eve") and "prevalence" not in kept
    assert question_file(group.path) == kept and len(kept["checksum"]) == 64
    _, joint = points(predictions.judged(group, "test"), predictions.judged(group, "val"), URGENT)
    found = frozen(group)
    assert (found.threshold, found.on_validation, found.judged) == (at, joint.on_validation, joint.judged)
    assert (found.seeds, found.kept, found.changed, found.says_changed()) == ([0, 1], kept, False, None)
    assert found.judged == worth(group, [0, 1], "test", at) and found.on_validation["sensitivity"].value >= 0.9
    assert found.question == replace(URGENT, positives=("CNV", "DME"), prevalence=None) == question_of(kept)
    assert found.says() == says(kept) == (
        f"CNV, DME against the rest, {URGENT.choice.says()}, from {at:.3f} on; by eve, {kept['frozen'][:10]}"
    )  # fmt: skip


def test_when_another_seed_finishes_the_threshold_stays_and_its_worth_is_of_all_three(group):
    kept = freeze(group, URGENT)
    fill_run(group.runs[2], "done", 6, None, {}, [], True)
    group = Group(group.path)
    found = frozen(group)
    assert (found.threshold, found.seeds, found.changed) == (kept["threshold"], [0, 1, 2], True)
    assert found.says_changed() == (
        "The model was that of seeds 0-1 when this threshold was chosen, and is that of seeds 0-2 now."
    )
    assert found.judged == worth(group, [0, 1, 2], "test", kept["threshold"])
    assert found.on_validation == worth(group, [0, 1, 2], "val", kept["threshold"])
    assert threshold(*asked(group, [0, 1, 2], "val", [0, 1]), URGENT.choice) != kept["threshold"]
    with pytest.raises(UserError, match="has a frozen question already: CNV, DME against the rest, sens"):
        freeze(group, URGENT)  # the same question, and another threshold
    assert freeze(group, URGENT, replace=True)["seeds"] == [0, 1, 2] and not frozen(group).changed


def test_a_seed_that_predicts_something_else_is_another_model(group):
    kept = freeze(group, URGENT)
    write_predictions(group.runs[1], 2, True)
    found = frozen(Group(group.path))
    assert (found.seeds, found.threshold, found.changed) == ([0, 1], kept["threshold"], True)
    assert found.says_changed() == (
        "The predictions of seeds 0-1 are others now than those that chose this threshold."
    )
    assert found.judged != worth(group, [0, 1], "test", kept["threshold"])


@pytest.mark.parametrize("states", [["done"], ["done"] * 3])
def test_of_a_single_seed_and_with_the_papers_rule_it_is_one_seeds_own(tmp_path, states):
    values = {"epochs": 2, "selection": "paper" if len(states) > 1 else "validation"}
    group = fabricate(tmp_path, "one", states, values, with_patients=True)
    seed = best_run(group).seed
    kept = freeze(group, URGENT)
    assert kept["seeds"] == [seed] == frozen(group).seeds
    assert kept["threshold"] == threshold(*asked(group, [seed], "val", [0, 1]), URGENT.choice)
    assert frozen(group).judged == worth(group, [seed], "test", kept["threshold"])


def test_what_nobody_has_frozen_is_the_usual_question(group):
    found = frozen(group)
    assert found.question == usual_question(CLASS_NAMES) == Question(("CNV", "DME"), Choice("sensitivity", 0.95))
    assert found.threshold == threshold(*asked(group, [0, 1], "val", [0, 1]), found.question.choice)
    assert (found.kept, found.changed) == (None, False) and not (group.path / QUESTION).exists()
    assert found.says().endswith("; the usual question, which nobody has frozen")
    assert found.judged == worth(group, [0, 1], "test", found.threshold)


def test_another_question_takes_its_place_only_when_asked_and_the_log_keeps_the_one_before(group):
    runs_dir, first = group.path.parent, freeze(group, URGENT)
    assert freeze(group, URGENT) == first and len(audit.recorded(runs_dir)) == 1, "what is frozen stays as it is"
    with pytest.raises(UserError, match=r"frozen question already: CNV, DME .* by eve, .*--replace"):
        freeze(group, DRUSEN)
    with pytest.raises(UserError, match="was frozen elsewhere meanwhile; nothing was done"):
        freeze(group, DRUSEN, replace=True, instead_of=first | {"threshold": 0.5})
    assert question_file(group.path) == first
    second = freeze(group, DRUSEN, replace=True, instead_of=first)
    assert frozen(group).question == DRUSEN and second["threshold"] == frozen(group).threshold
    lines = audit.recorded(runs_dir)
    assert [(line["action"], line["user"], line["group"], line["seeds"]) for line in lines] == [
        ("freeze", "eve", "g", [0, 1])
    ] * 2
    assert lines[0]["detail"]["replaced"] is None and lines[1]["detail"]["replaced"] == first
    assert lines[1]["detail"]["threshold"] == second["threshold"]
    assert freeze(group, Question(("DRUSEN",), Choice("youden", 7.0)), replace=True)["value"] == 0.0


def test_what_cannot_be_asked_or_answered_is_not_frozen(group, tmp_path, monkeypatch):
    waiting = fabricate(tmp_path, "waiting", ["queued"])
    for of, question, told in (
        (group, Question(("XYZ",), DRUSEN.choice), "No class is called XYZ"),
        (group, Question(tuple(CLASS_NAMES), DRUSEN.choice), "not all of them"),
        (waiting, DRUSEN, "waiting has no finished seed yet"),
    ):
        with pytest.raises(UserError, match=told):
            freeze(of, question)
        assert not (of.path / QUESTION).exists() and not audit.recorded(of.path.parent)
    read = predictions.judged

    def normal_alone(group, split, *rest):
        found = read(group, split, *rest)
        return replace(found, table=found.table.assign(target=3)) if split == "val" else found

    monkeypatch.setattr("colora.results.question.judged", normal_alone)
    with pytest.raises(UserError, match="cannot be frozen: no threshold can be chosen: in validation no image is posi"):
        freeze(group, DRUSEN)
    with pytest.raises(UserError, match="g cannot answer its usual question: no threshold can be chosen"):
        frozen(group)


def test_a_group_made_anew_meanwhile_gets_no_question(group, monkeypatch):
    def made_anew() -> str:
        write_json(group.path / "group.json", group.info | {"identity": "another"})
        return "eve"

    monkeypatch.setattr("colora.results.question.acting_user", made_anew)
    with pytest.raises(UserError, match="another group has its name now; nothing was done"):
        freeze(group, URGENT)
    assert not (group.path / QUESTION).exists()


def test_a_damaged_question_is_that_groups_alone_and_can_be_frozen_anew(group, tmp_path):
    freeze(group, URGENT)
    (group.path / QUESTION).write_text('{"positives": ["CNV"]')
    with pytest.raises(UserError, match=r"g/question\.json"):
        frozen(group)
    found = group_statistics(group)
    assert list(found["frozen"]) == ["reason"] and "question.json" in found["frozen"]["reason"]
    assert found["ensemble"]["overall"]["accuracy"]["value"] > 0.5, "the figures stand"
    other = fabricate(tmp_path / "runs", "other", ["done"])
    assert frozen(other).kept is None
    assert freeze(group, DRUSEN) == question_file(group.path), "there was nothing to lose"
    write_json(group.path / QUESTION, question_file(group.path) | {"positives": ["CNV", "XYZ"]})
    with pytest.raises(UserError, match="No class is called XYZ"):
        frozen(group)
    assert freeze(group, URGENT)["positives"] == ["CNV", "DME"]


def test_statistics_tell_it_with_its_worth(group):
    kept = freeze(group, URGENT)
    told, found = group_statistics(group)["frozen"], frozen(group)
    assert json.loads(json.dumps(told, allow_nan=False)) == told == found.as_dict()
    assert (told["kept"], told["threshold"], told["changed"]) == (kept, kept["threshold"], False)
    assert told["judged"]["specificity"] == found.judged["specificity"].as_dict()
