"""`freeze` keeps a question with its group, and `statistics` tells it."""

import pytest
from commands import document, mistake
from elsewhere import ANEW, make_anew
from fabricate import fabricate, fill_run

from colora.cli.main import main
from colora.cli.statistics import _frozen_text
from colora.metrics.operating_point import Choice
from colora.results.operating_point import Question
from colora.results.question import freeze, frozen, says
from colora.runs.documents import QUESTION, question_file
from colora.runs.folder import Group

URGENT = ("--positives", "DME,CNV", "--value", "0.9")


@pytest.fixture
def group(tmp_path) -> Group:
    return fabricate(tmp_path, "g", ["done", "done", "queued"], {"epochs": 2})


def test_freeze_prints_what_it_kept(group, capsys):
    there = ("--runs-dir", group.path.parent)
    found = document(capsys, "freeze", "g", *URGENT, *there)
    kept = question_file(group.path)
    assert found == {"name": "g"} | kept and kept == freeze(group, Question(("CNV", "DME"), Choice("sensitivity", 0.9)))
    said = mistake(capsys, "freeze", "g", "--positives", "DRUSEN", "--rule", "cost", *there)
    assert f"g has a frozen question already: {says(kept)}." in said and "--replace" in said
    assert question_file(group.path) == kept
    assert main(list(map(str, ["freeze", "g", "--positives", "DRUSEN", "--rule", "cost", "--replace", *there]))) == 0
    kept = question_file(group.path)
    assert capsys.readouterr().out == f"g, frozen: {says(kept)}\n" and (kept["rule"], kept["value"]) == ("cost", 5.0)


@pytest.mark.parametrize(
    ("asked", "told"),
    [((), "--positives"), (("--positives", "XYZ"), "No class is called XYZ"), (("--positives", ""), "No class is"),
     ((*URGENT, "--rule", "youden"), "Youden's rule takes none"),
     (("--positives", "CNV", "--value", "2"), "a sensitivity is above 0 and at most 1"),
     ((*URGENT, "--prevalence", "0.1"), "--prevalence")],
)  # fmt: skip
def test_a_mistake_freezes_nothing_and_is_one_line(group, capsys, asked, told):
    assert told in mistake(capsys, "freeze", "g", *asked, "--runs-dir", group.path.parent)
    assert not (group.path / QUESTION).exists()


def test_another_group_that_has_the_name_by_then_is_left_alone(group, capsys):
    which = ("g", "--runs-dir", group.path.parent, f"--identity={group.identity}")
    assert document(capsys, "freeze", *which, *URGENT)["seeds"] == [0, 1]
    make_anew(group)
    assert ANEW in mistake(capsys, "freeze", *which, *URGENT)
    assert "no group 'h'" in mistake(capsys, "freeze", "h", *URGENT, "--runs-dir", group.path.parent)


def test_statistics_tell_what_is_frozen_and_whether_the_models_are_others(group, capsys):
    kept = freeze(group, Question(("CNV", "DME"), Choice("sensitivity", 0.9)))
    assert len(_frozen_text(frozen(group).as_dict(), "test")) == 4, "the models are the same"
    fill_run(group.runs[2], "done", 2, None, {}, [])
    found = frozen(Group(group.path))
    assert main(["statistics", str(group.path)]) == 0
    lines = [f"  Frozen: {says(kept)}", "    on validation, and on test", f"    {found.says_changed()}"]
    for name in ("sensitivity", "specificity"):
        own, here = (
            f"{each.value:.3f} [{each.low:.3f}, {each.high:.3f}]  {each.method}"
            for each in (found.on_validation[name], found.judged[name])
        )
        lines.append(f"    {name:<18} {own}; {here}")
    assert "\n".join(lines) + "\n" in capsys.readouterr().out
    assert _frozen_text({"reason": "it is\ntorn"}, "test") == ["  Frozen: not estimable: it is torn"]
