"""What one launch asks for beside its settings: how long a seed may be silent, and may run."""

import json

import pytest

from colora.runs.folder import create_group, read_json, write_json
from colora.runs.limits import Limits, limits_of
from colora.settings.config import RunConfig
from colora.system.errors import UserError


def test_limits_are_kept_with_the_group_and_in_no_run(tmp_path):
    plain = create_group(tmp_path, "plain", RunConfig(), [0])
    group = create_group(tmp_path, "g", RunConfig(), [0], limits=Limits(600, 1.5).as_dict())
    assert read_json(group.path / "group.json")["limits"] == {"max_silence": 600, "max_hours": 1.5}
    assert limits_of(group.path) == Limits(600, 1.5)
    assert Limits(600, 1.5).says() == "a seed is ended after 600 s of silence or 1.5 h of running"
    assert "limits" not in read_json(plain.path / "group.json") and limits_of(plain.path) == Limits()
    assert Limits().says() == "" and Limits().as_dict() == {}
    assert group.config == plain.config
    config = [read_json(one.runs[0].path / "config.json") for one in (group, plain)]
    assert config[0] == config[1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_silence", 29.9),
        ("max_silence", float("inf")),
        ("max_hours", 0),
        ("max_hours", -1),
        ("max_hours", float("nan")),
    ],
)
def test_what_is_no_limit_is_refused(field, value):
    with pytest.raises(UserError, match=f"--{field.replace('_', '-')} takes a number of") as refused:
        Limits(**{field: value})
    assert refused.value.field == field


DAMAGES = ["x", 7, [1], {"max_silence": "soon"}, {"max_silence": 1}, {"other": 3}, {"max_hours": None}]
DAMAGES += [{"max_hours": [1]}, {"max_hours": "nan"}]


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_is_ended_for_a_limit_that_is_damaged(tmp_path, damage):
    group = create_group(tmp_path, "g", RunConfig(), [0])
    write_json(group.path / "group.json", group.info | {"limits": damage})
    assert limits_of(group.path) == Limits()
    (group.path / "group.json").write_text(json.dumps([1]))
    assert limits_of(group.path) == limits_of(tmp_path / "nowhere") == Limits()
