"""The question that a group keeps is read as it was written, or is damaged, in a sentence that names the file."""

import json

import pytest

from colora.runs.documents import QUESTION, question_file
from colora.runs.folder import write_json
from colora.system.errors import UserError

WHOLE = {
    "positives": ["CNV", "DME"],
    "rule": "sensitivity",
    "value": 0.95,
    "threshold": 0.3125,
    "seeds": [0, 1],
    "checksum": "0" * 64,
    "frozen": "2026-11-29T12:00:00.000Z",
    "frozen_by": "eve",
}
NOT_THERE = object()
WRONG = {
    "positives": (NOT_THERE, None, "CNV", [], [1], [None]),
    "rule": (NOT_THERE, None, "best", 7),
    "value": (NOT_THERE, None, 0, 1.5, -1.0, "0.9", True, float("nan")),
    "threshold": (NOT_THERE, None, -0.1, 1.5, "0.3", float("nan"), float("inf"), [0.3]),
    "seeds": (NOT_THERE, None, [], [1, 1], [-1], ["0"], 3),
    "checksum": (NOT_THERE, None, 7),
    "frozen": (NOT_THERE, None, "yesterday", 7),
    "frozen_by": (NOT_THERE, None, 7),
}


def test_a_group_has_none_or_what_was_frozen(tmp_path):
    assert question_file(tmp_path) is None
    write_json(tmp_path / QUESTION, WHOLE)
    assert question_file(str(tmp_path)) == WHOLE
    for rule, value, at in (("cost", 20, 1.0000000000000002), ("youden", 0, 0)):
        found = WHOLE | {"rule": rule, "value": value, "threshold": at, "of a later version": [1]}
        write_json(tmp_path / QUESTION, found)
        assert question_file(tmp_path) == found


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_value_that_none_can_be_is_damage(tmp_path, key, value):
    document = {k: v for k, v in (WHOLE | {key: value}).items() if v is not NOT_THERE}
    (tmp_path / QUESTION).write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"question\.json.* is damaged"):
        question_file(tmp_path)


def test_what_does_not_go_together_is_named(tmp_path):
    write_json(tmp_path / QUESTION, WHOLE | {"rule": "cost", "value": -2.0})
    with pytest.raises(UserError, match=r"question\.json holds no such document \(the rule cost has no value -2\)"):
        question_file(tmp_path)
    (tmp_path / QUESTION).unlink()
    (tmp_path / QUESTION).symlink_to("nowhere")
    with pytest.raises(UserError, match=r"question\.json"):
        question_file(tmp_path)
