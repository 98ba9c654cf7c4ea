"""The rule of a cut: what goes together, and what it says to people."""

import pytest

from colora.data.rules import Rule, make_rule
from colora.system.errors import UserError


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({}, "rule", "Rank needs drop (how many of the hardest to discard), keep (how many of the next), or both."),
        ({"score": "entropie", "drop": 1}, "score", "There is no score 'entropie': did you mean 'entropy'?"),
        ({"drop": -1}, "drop", "Drop: input should be greater than or equal to 0, but got -1."),
        ({"keep": 0}, "keep", "Keep: input should be greater than or equal to 1, but got 0."),
        ({"kind": "random", "drop": 2, "keep": 3}, "rule", "Drop belongs to the rule rank, not to random."),
        ({"keep": 3, "highest": 0.5}, "rule", "Highest belongs to the rule threshold, not to rank."),
        ({"kind": "share"}, "rule", "Share needs drop_share, keep_share, or both."),
        (
            {"kind": "share", "drop_share": 0.5, "keep_share": 0.6},
            "rule",
            "Drop_share and keep_share together are more than the whole, 1.",
        ),
        ({"kind": "threshold"}, "rule", "Threshold needs lowest, highest, or both."),
        (
            {"kind": "threshold", "lowest": 2, "highest": 1},
            "rule",
            "Lowest is above highest, so nothing lies between them.",
        ),
        (
            {"kind": "threshold", "highest": float("nan")},
            "highest",
            "Highest: input should be a finite number, but got nan.",
        ),
        (
            {"kind": "random"},
            "rule",
            "Random needs keep, how many of each class to draw, or keep_each, a number for each class.",
        ),
        (
            {"kind": "labels", "score": "entropy"},
            "rule",
            "Labels goes by label_doubt: leave score out, or choose rank, share or threshold.",
        ),
        ({"kind": "labels", "keep": 3}, "rule", "Keep belongs to the rule rank or random, not to labels."),
        ({"kind": "verdicts"}, "rule", "Verdicts needs exclude (such as artefact), correct_labels, or both."),
        (
            {"drop": 1, "exclude": ["fine"]},
            "exclude",
            "There is no verdict 'fine' to leave out: known are wrong_label, artefact, hard.",
        ),
        (
            {"drop": 1, "readers": ["ann"]},
            "rule",
            "Readers says whose verdicts count, so it needs exclude or correct_labels.",
        ),
    ],
)  # fmt: skip
def test_each_wrong_rule_has_a_sentence(values, field, sentence):
    with pytest.raises(UserError) as caught:
        make_rule(**values)
    assert (str(caught.value), caught.value.field) == (sentence, field)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"drop": 10, "keep": 7040},
            "of each class, discard the 10 of highest entropy and keep the next 7,040",
        ),
        (
            {"score": "margin", "drop": 5},
            "of each class, discard the 5 of lowest margin and keep all the others",
        ),
        (
            {"kind": "share", "drop_share": 0.05, "keep_share": 0.9},
            "of each class, discard the 5 % of highest entropy and keep the next 90 %",
        ),
        (
            {"kind": "threshold", "score": "entropy_share", "highest": 0.5, "exclude": ["hard", "artefact"]},
            "keep entropy, share <= 0.5, without those judged artefact or truly hard",
        ),
        ({"keep": 5}, "of each class, keep the 5 of highest entropy"),
        (
            {"kind": "labels", "exclude": ["artefact"]},
            "discard the images whose labels confident learning doubts and no reader holds for right, without "
            "those judged artefact",
        ),
        ({"kind": "share", "keep_share": 0.5}, "of each class, keep the 50 % of highest entropy"),
        ({"kind": "random", "keep": 30, "seed": 4}, "of each class, keep 30 drawn at random (seed 4)"),
        ({"kind": "random", "keep_each": [3, 4]}, "keep 3 + 4 of the classes drawn at random (seed 0)"),
        ({"kind": "random", "keep_each": [4, 4]}, "of each class, keep 4 drawn at random (seed 0)"),
        (
            {"kind": "verdicts", "correct_labels": True, "readers": ["ann", "bob"]},
            "keep every image that the verdicts leave, with corrected labels (readers: ann, bob)",
        ),
    ],
)
def test_a_rule_says_what_it_does_and_survives_its_own_json(values, said):
    rule = make_rule(**values)
    assert rule.says() == said
    assert Rule.model_validate_json(rule.model_dump_json()) == rule
