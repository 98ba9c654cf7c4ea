"""The temperature that a run keeps is read as it was written, or is damaged, in a sentence that names the file."""

import json

import pytest

from colora.runs.documents import CALIBRATION, calibration_file
from colora.runs.folder import write_json
from colora.system.errors import UserError

WHOLE = {"epoch": 3, "images": 100, "temperature": 1.25, "log_loss": [0.5, 0.25]}
NOT_THERE = object()
WRONG = {
    "epoch": (NOT_THERE, None, -1, 1.5, True, "3"),
    "images": (NOT_THERE, None, -1, "100", []),
    "temperature": (NOT_THERE, None, 0, -1.0, 1e4, True, "1", float("nan"), float("inf"), [1.0]),
    "log_loss": (NOT_THERE, None, 0.5, [], [0.5], [0.5, 0.4, 0.3], [0.5, None], [0.5, float("nan")], ["a", "b"]),
}


def test_a_run_of_an_older_version_has_none_and_another_what_was_written(tmp_path):
    assert calibration_file(tmp_path) is None
    write_json(tmp_path / CALIBRATION, WHOLE)
    assert calibration_file(str(tmp_path)) == WHOLE
    write_json(tmp_path / CALIBRATION, WHOLE | {"temperature": 2, "of a later version": [1]})
    assert calibration_file(tmp_path)["temperature"] == 2


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_value_that_none_can_be_is_damage(tmp_path, key, value):
    document = {k: v for k, v in (WHOLE | {key: value}).items() if v is not NOT_THERE}
    (tmp_path / CALIBRATION).write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"calibration\.json.* is damaged"):
        calibration_file(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "7\n", "\0" * 99, "null"])
def test_what_is_no_document_is_damage(tmp_path, content):
    (tmp_path / CALIBRATION).write_text(content)
    with pytest.raises(UserError, match=r"calibration\.json"):
        calibration_file(tmp_path)


def test_a_link_to_nowhere_is_not_taken_for_no_file(tmp_path):
    (tmp_path / CALIBRATION).symlink_to("nowhere")
    with pytest.raises(UserError, match=r"calibration\.json"):
        calibration_file(tmp_path)
