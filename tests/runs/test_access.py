"""Whoever acts is asked for their role where a thing is done: what is refused is not done, and is in the audit log."""

import os
from pathlib import Path

import pytest
from fabricate import fabricate
from small_data import write_npz

from colora.data.cuts import list_cuts, read_cut, remove_cut, save_cut
from colora.data.rules import make_rule
from colora.data.sources import load_dataset, outline
from colora.data.thumbnails import open_pictures
from colora.distillation import verdicts
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.distillation.verdicts_csv import import_csv
from colora.engines.engine import engine_named
from colora.engines.launch import launch
from colora.metrics.operating_point import Choice
from colora.queue import actions, transfers
from colora.results.operating_point import Question
from colora.results.question import freeze
from colora.runs import access, audit, notes, trash
from colora.runs.access import Person, Refused
from colora.runs.documents import question_file
from colora.runs.folder import Group
from colora.settings.access import ACTIONS, ROLES
from colora.settings.config import make_config
from colora.system.errors import UserError

EVE, ANN, ROOT = "eve@lab.example", "ann@lab.example", "prof@clinic.example"


@pytest.fixture
def act_as(monkeypatch, tmp_path):
    """A function: from now on this person acts, in this role."""

    def become(name: str, role: str | None) -> None:
        monkeypatch.setattr(access, "acting", lambda: Person(name, role, tmp_path / "runs"))
        monkeypatch.setattr(audit, "signed_in", lambda: name)

    return become


@pytest.fixture
def group(tmp_path, act_as, monkeypatch) -> Group:
    """Launched by Eve; nothing is started for it."""
    act_as(EVE, "researcher")
    monkeypatch.setattr("colora.queue.actions.ensure_supervisor", lambda *_: 1)
    return fabricate(tmp_path / "runs", "first", ["stopped", "queued"])


def last_line(runs_dir: Path) -> dict:
    return audit.recorded(runs_dir)[-1]


OF_GROUPS = {
    "stop": actions.ask_to_stop,
    "resume": actions.resume,
    "retry": actions.retry,
    "move": lambda group: actions.move(group.path.parent, group.name, "first"),
    "rm": trash.remove,
    "note": lambda group: notes.write_notes(group, "seen"),
}
MAY = {  # role: with one's own group, with another's
    "reader": (set(), set()),
    "researcher": ({"stop", "resume", "retry", "move", "note"}, {"note"}),
    "admin": (set(OF_GROUPS) - {"rm"}, set(OF_GROUPS) - {"rm"}),  # rm: of what waits, only refused for that reason
    None: (set(), set()),
}


@pytest.mark.parametrize("role", MAY)
@pytest.mark.parametrize("action", OF_GROUPS)
@pytest.mark.parametrize("own", [True, False])
def test_what_is_done_to_a_group_takes_its_role(group, act_as, role, action, own):
    runs, name = group.path.parent, EVE if own else ANN
    act_as(name, role)
    before = audit.recorded(runs)
    if action in MAY[role][not own]:
        OF_GROUPS[action](group)
        line = last_line(runs)
        assert (line["action"], line["user"], line["group"]) == (action, name, "first")
    elif role == "admin":
        with pytest.raises(UserError, match="still waits or runs"):
            OF_GROUPS[action](group)
        assert audit.recorded(runs) == before
    else:
        with pytest.raises(Refused, match=f"may not {ACTIONS[action].words}") as refused:
            OF_GROUPS[action](group)
        line = last_line(runs)
        assert len(audit.recorded(runs)) == len(before) + 1
        assert (line["action"], line["user"], line["group"]) == ("refused", name, "first")
        assert line["detail"] == {"refused": action, "why": str(refused.value)}
        assert [run.state for run in Group(group.path).runs] == ["stopped", "queued"]
        assert not (group.path / "seed-01" / "stop").exists() and not notes.read_notes(group)


def test_an_owner_is_known_in_any_case_and_a_damaged_group_is_nobodys(group, act_as):
    act_as("EVE@lab.example", "researcher")
    assert access.why_not("stop", access.owner_of(group)) is None
    (group.path / "group.json").write_text("[1]")
    assert access.why_not("stop", access.owner_of(Group(group.path))).startswith(
        "EVE@lab.example, here as a researcher, may not stop runs that are not their own: that is for an admin."
    )


def test_a_cluster_asks_the_same(group, act_as):
    act_as(ANN, "researcher")
    slurm = engine_named("slurm")
    for act in (slurm.ask_to_stop, slurm.resume, slurm.retry, lambda g: slurm.move(g.path.parent, g.name)):
        with pytest.raises(Refused, match="that are not their own"):
            act(group)


def test_a_launch_takes_a_researcher(tmp_path, act_as):
    act_as(EVE, "reader")
    with pytest.raises(Refused, match="here as a reader, may not launch runs: that is for a researcher"):
        launch(tmp_path / "runs", "second", make_config({"dataset": "phantom"}), [0])
    assert not (tmp_path / "runs" / "second").exists() and last_line(tmp_path / "runs")["group"] == "second"


def test_a_question_is_frozen_by_a_researcher_whoever_launched_the_group(tmp_path, act_as):
    act_as(EVE, "researcher")
    group = fabricate(tmp_path / "runs", "first", ["done"], {"epochs": 1})
    ask = Question(("CNV",), Choice("youden"))
    for role in ("reader", None):
        act_as(ANN, role)
        with pytest.raises(Refused, match="may not freeze the question that a group answers: that is for a researcher"):
            freeze(group, ask)
        line = last_line(tmp_path / "runs")
        assert (line["action"], line["user"], line["detail"]["refused"]) == ("refused", ANN, "freeze")
        assert question_file(group.path) is None
    act_as(ANN, "researcher")
    assert freeze(group, ask)["frozen_by"] == ANN == last_line(tmp_path / "runs")["user"]


def test_what_was_removed_is_put_back_by_who_removed_it_or_by_an_admin(tmp_path, act_as):
    runs = tmp_path / "runs"
    act_as(ROOT, "admin")
    trash.remove(fabricate(runs, "first", ["done"]))
    (entry,) = trash.listed(runs)
    act_as(ANN, "researcher")
    for act in (trash.put_back, trash.delete, lambda runs, _: trash.empty(runs)):
        with pytest.raises(Refused):
            act(runs, entry)
    act_as(ROOT, "reader")  # who was an admin
    back = trash.put_back(runs, entry)
    with pytest.raises(Refused, match="here as a reader, may not remove groups: that is for an admin"):
        trash.remove(Group(back))
    act_as("other@clinic.example", "admin")
    trash.put_back(runs, trash.Entry(trash.remove(Group(back))))
    trash.remove(Group(back))
    assert trash.empty(runs) == 1


def test_a_cut_is_replaced_by_who_saved_it_and_removed_by_an_admin(tmp_path, act_as):
    runs = tmp_path / "runs"
    act_as(EVE, "researcher")
    found = read_predictions(fabricate(runs, "first", ["done"]), "train")
    save_cut(runs, distil(found, "mine", make_rule(keep=3)))
    save_cut(runs, distil(found, "mine", make_rule(keep=4)), replace=True)
    act_as(ANN, "researcher")
    same = distil(found, "mine", make_rule(keep=4))  # it would be hers
    for cut, replace in ((distil(found, "mine", make_rule(keep=5)), True), (same, False)):
        with pytest.raises(Refused, match="may not replace cuts that are not their own"):
            save_cut(runs, cut, replace)
    save_cut(runs, distil(found, "yours", make_rule(keep=5)))
    act_as(EVE, "reader")
    with pytest.raises(Refused, match="may not save cuts: that is for a researcher"):
        save_cut(runs, distil(found, "third", make_rule(keep=5)))
    act_as(EVE, "researcher")
    with pytest.raises(Refused, match="may not remove cuts: that is for an admin"):
        remove_cut(runs, "mine")
    assert {row["name"]: row["user"] for row in list_cuts(runs)} == {"mine": EVE, "yours": ANN}
    act_as(ROOT, "admin")
    remove_cut(runs, "mine")


def test_a_reader_judges_in_their_own_name_alone(tmp_path, act_as):
    runs, about = tmp_path / "runs", ("sum", "1.png")
    act_as(EVE, "reader")
    me, columns = verdicts.own_reader(), "image_id,verdict,data_checksum,reader"
    verdicts.judge(runs, me, *about, "hard")
    for act in (
        lambda: verdicts.judge(runs, "ann-lab.example", *about, "fine"),
        lambda: verdicts.undo(runs, "ann-lab.example"),
        lambda: import_csv(runs, f"{columns}\n2.png,hard,s,{me}\n1.png,fine,s,ann\n".encode()),
    ):
        with pytest.raises(Refused, match="take back verdicts that are not their own: that is for an a"):
            act()
    assert verdicts.current(runs)[["reader", "image_id", "verdict"]].values.tolist() == [[me, "1.png", "hard"]]
    assert verdicts.undo(runs, me)["image_id"] == "1.png"
    act_as(EVE, None)
    with pytest.raises(Refused, match=r"eve@lab.example may not give or take back verdicts: that is for a reader"):
        verdicts.judge(runs, me, *about, "hard")
    act_as(ROOT, "admin")
    verdicts.judge(runs, "ann-lab.example", *about, "fine")


def test_downloads_take_a_researcher_and_stand_in_the_audit_log(tmp_path, act_as, medmnist):
    act_as(EVE, "reader")

    def start() -> transfers.Transfer:
        return transfers.start_download("data", "octmnist", 28)

    for act in (start, lambda: transfers.cancel("data-octmnist-28-x"), lambda: transfers.forget("data-octmnist-28-x")):
        with pytest.raises(Refused, match="may not start or cancel downloads"):
            act()
        assert last_line(tmp_path / "runs")["detail"]["refused"] == "download"
    assert transfers.downloads() == []
    act_as(EVE, "researcher")
    started = start()
    line = last_line(tmp_path / "runs")
    assert (line["action"], line["user"], line["detail"]["path"]) == ("download", EVE, str(started.path))
    transfers.cancel(started.id)


# ---- commands that the app starts


def test_a_command_is_held_to_the_role_that_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(access, "acting", access.from_environment)
    monkeypatch.delenv("COLORA_ROLE", raising=False)
    group = fabricate(tmp_path / "runs", "first", ["stopped"])
    notes.write_notes(group, "in a terminal")
    monkeypatch.setenv("COLORA_USER", EVE)
    for role, allowed in (("researcher", True), ("reader", False), ("", False), ("root", False), ("Admin", False)):
        monkeypatch.setenv("COLORA_ROLE", role)
        assert (access.why_not("note") is None) is allowed, role
    access.nobodys()
    assert access.why_not("rm") is None and not {"COLORA_ROLE", "COLORA_USER", "COLORA_ACCESS"} & os.environ.keys()


def test_a_command_is_told_who_acts_and_which_rules_count(monkeypatch, tmp_path, act_as):
    monkeypatch.delenv("COLORA_ACCESS", raising=False)
    assert access.passed_on(tmp_path) == {}
    act_as(EVE, "reader")
    monkeypatch.setattr(access, "in_app", True)
    monkeypatch.setattr("colora.system.installation.ROOT", tmp_path)
    (tmp_path / "colora-access.toml").write_text("")
    told = {"COLORA_USER": EVE, "COLORA_ROLE": "reader", "COLORA_RUNS_DIR": str(tmp_path / "runs")}
    assert access.passed_on(tmp_path / "runs") == told | {"COLORA_ACCESS": str(tmp_path / "colora-access.toml")}
    act_as(EVE, None)
    assert access.passed_on(tmp_path / "runs")["COLORA_ROLE"] == ""
    monkeypatch.setattr(access, "acting", lambda: None)  # where nobody signs in, the rules on places hold all the same
    rules = {"COLORA_RUNS_DIR": str(tmp_path / "runs"), "COLORA_ACCESS": str(tmp_path / "colora-access.toml")}
    assert access.passed_on(tmp_path / "runs") == rules


def test_every_action_that_is_asked_for_is_in_the_table():
    assert set(OF_GROUPS) <= set(ACTIONS) and all(rule.own in ROLES for rule in ACTIONS.values())


# ---- which places may be named


@pytest.fixture
def roots(tmp_path, monkeypatch) -> Path:
    """Data lie below `oct` only, and a file of the same kind lies beside it."""
    (tmp_path / "oct").mkdir()
    for folder in (tmp_path / "oct", tmp_path):
        write_npz(folder / "tiny.npz", 28)
    (tmp_path / "access.toml").write_text(f'data_roots = ["{tmp_path}/oct"]\nadmins = ["{ROOT}"]')
    monkeypatch.setenv("COLORA_ACCESS", str(tmp_path / "access.toml"))
    return tmp_path


def test_what_lies_elsewhere_is_refused_in_the_same_words_whether_it_is_there_or_not(roots):
    inside = make_config({"dataset": f"npz:{roots}/oct/tiny.npz", "image_size": 28})
    outline(inside)
    said = set()
    for place in ("tiny.npz", "none.npz", "oct/../tiny.npz", "oct2/tiny.npz", "\u200b", "no/such/folder.npz"):
        outside = make_config({"dataset": f"npz:{roots}/{place}", "image_size": 28})
        for act in (outline, load_dataset, open_pictures):
            with pytest.raises(Refused) as refused:
                act(outside)
            said.add(str(refused.value))
    where = f"data, weights and cut files have to lie below {roots}/oct"
    assert said == {f"This place may not be named: {where}. Ask {ROOT}."}


def test_every_kind_of_place_is_asked_for(roots, few_phantoms):
    (roots / "folder").mkdir()
    runs = roots / "runs"
    for settings in (
        {"dataset": f"folder:{roots}/folder"},
        {"dataset": "octmnist", "data_dir": str(roots)},
        {"weights": f"{roots}/x.safetensors", "backbone": "resnet18:layer1"},
        {"cut": f"{roots}/x.json"},
    ):
        with pytest.raises(Refused, match="This place may not be named"):
            launch(runs, "first", make_config({"dataset": "phantom", "image_size": 32} | settings), [0])
    with pytest.raises(Refused):
        read_cut(runs, f"{roots}/x.json")
    assert not (runs / "first").exists()
    load_dataset(make_config({"dataset": "phantom", "image_size": 32}))  # which names none


def test_a_look_elsewhere_is_written_down_once_a_minute(roots, act_as, monkeypatch):
    (roots / "runs").mkdir()
    act_as(EVE, "researcher")
    monkeypatch.setattr(access, "_told", {})
    for place in ("a", "a", "b"):
        with pytest.raises(Refused):
            access.named_place(roots / place)
    lines = audit.recorded(roots / "runs")
    assert [line["detail"]["place"] for line in lines] == [str(roots / "a"), str(roots / "b")]
    assert {(line["user"], line["action"], line["detail"]["refused"]) for line in lines} == {(EVE, "refused", "name")}


def test_in_a_terminal_roots_hold_where_the_file_is_named_only(roots, monkeypatch):
    monkeypatch.delenv("COLORA_ACCESS")
    monkeypatch.setattr("colora.system.installation.ROOT", roots)
    (roots / "access.toml").rename(roots / "colora-access.toml")
    assert access.named_place(roots / "tiny.npz") == roots / "tiny.npz"
    monkeypatch.setattr(access, "in_app", True)
    with pytest.raises(Refused):
        access.named_place(roots / "tiny.npz")


def test_a_list_of_places_asks_without_writing_down(roots, act_as, monkeypatch):
    (roots / "runs").mkdir()
    act_as(EVE, "researcher")
    assert access.data_roots() == [roots / "oct"]
    asked = [access.may_be_named(roots / place) for place in ("oct", "oct/none", "oct2", ".")]
    assert asked == [True, True, False, False]
    assert not (roots / "runs" / ".colora").exists()
    (roots / "access.toml").write_text("data_roots = []")
    assert access.data_roots() == [] and not access.may_be_named(roots / "oct")
    monkeypatch.delenv("COLORA_ACCESS")
    assert access.data_roots() is None and access.may_be_named(roots)
