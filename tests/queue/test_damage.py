"""Files in run folders damaged in any way: that run is marked, everything else works."""

import os
import random
import sys

import pytest
import stand_in
from fabricate import fabricate, whole_run
from queueing import wait_for

import colora.queue.actions
from colora.cli.main import main
from colora.engines import view
from colora.queue import order
from colora.queue.actions import ask_to_stop, goes_on, requeue, retry, stop
from colora.queue.slots import make_slots
from colora.queue.supervisor import Supervisor, finds_work, supervising
from colora.results.summary import group_summary
from colora.runs.folder import Group, Run, create_group
from colora.runs.listing import listing
from colora.runs.trash import remove
from colora.settings.config import make_config
from colora.system.errors import UserError
from colora.system.files import write_json
from colora.system.process import is_alive, own_process
from colora.training.checkpoint import saved_model_epoch
from colora.training.run import train_run

DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "noise": lambda content: random.Random(1).randbytes(len(content)),
    "other": lambda content: b'{"something": ["else"]}\n',
    "number": lambda content: b"7\n",
}


MARKED = {"status.json", "config.json", "metrics.jsonl"}  # without these nothing can be said of a run


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_file_is_damaged_that_run_is_marked_and_all_else_works(tmp_path, damage, capsys):
    group = whole_run(tmp_path / "runs")
    runs_dir, run = group.path.parent, group.runs[0].path
    whole = fabricate(runs_dir, "whole", ["done"])
    expected = group_summary(whole)
    files = sorted(path for path in run.rglob("*") if path.is_file())
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        path.write_bytes(DAMAGES[damage](content))
        name = path.relative_to(run).as_posix()
        states = [one.state for one in Group(group.path).runs]
        if name in MARKED:
            assert states == ["damaged", "done"], (name, states)
            assert path.name in Group(group.path).runs[0].status["reason"]
        else:
            assert states == ["done", "done"], (name, states)
        assert {row["name"] for row in listing(runs_dir)} == {"g", "whole"}
        assert view.rows(runs_dir) == [] and order.waiting(runs_dir) == []
        assert Supervisor(runs_dir, make_slots(), tell=lambda said: None).turn() is False
        assert main(["list", "--runs-dir", str(runs_dir)]) == main(["queue", "--runs-dir", str(runs_dir)]) == 0
        assert main(["show", str(group.path), "--json"]) in (0, 2)  # figures, or one sentence
        assert capsys.readouterr().err.count("\n") <= 1
        assert group_summary(Group(whole.path)) == expected
        path.write_bytes(content)
    assert group_summary(Group(group.path))["state"] == "done"


@pytest.mark.parametrize("state", ["queued", "running", "stopped", "failed"])
def test_values_of_the_wrong_kind_stop_nobody(lab, state):
    """Files that are JSON and yet not what the queue writes, as an editor or a foreign tool may leave them."""
    bad, good = lab.group("bad"), lab.group("good")
    run = bad.runs[0].path
    wrong = ([], 7, {"guard": 7, "child": "x", "order": "first", "priority": None, "code": []}, {"guard": {"pid": 1}})
    gone = own_process() | {"started": 0.0}
    status = bad.runs[0].written_status() | {"state": state, "process": gone if state == "running" else None}
    write_json(run / "status.json", status)
    for value in wrong:
        for name in ("process.json", "exit.json", "queue.json"):
            write_json(run / name, value)
        assert Run(run).state == ("lost" if state == "running" else state)
        assert order.waiting(lab.runs_dir)[0] == good.runs[0].path
        assert [row["group"] for row in view.rows(lab.runs_dir)][:1] == ["good"]
        assert finds_work(lab.runs_dir)
    write_json(run / "status.json", status | {"process": {"pid": 1}})
    assert Run(run).state == "damaged"
    assert Supervisor(lab.runs_dir, [], tell=lambda said: None).turn() is True  # the other one waits
    assert stop(Group(good.path)) == {0: "stopped"}


FOREIGN_GROUPS = ("7", '"x"', "[]", "{}", '{"seeds": null}', '{"seeds": "x"}', '{"seeds": [{}]}', '{"seeds": [-1]}')


@pytest.mark.parametrize("content", FOREIGN_GROUPS)
def test_a_group_json_of_another_program_stops_nobody(lab, content, capsys):
    bad, good = lab.group("bad"), lab.group("good")
    (bad.path / "group.json").write_text(content)
    assert order.waiting(lab.runs_dir) == [good.runs[0].path]
    assert [row["group"] for row in view.rows(lab.runs_dir)] == ["good"]
    assert order.last_place(lab.runs_dir)["order"] == 3
    assert Supervisor(lab.runs_dir, [], tell=lambda said: None).turn() is True
    assert {row["name"]: row["state"] for row in listing(lab.runs_dir)} == {"bad": "damaged", "good": "queued"}
    for command in ("list", "queue"):
        assert main([command, "--runs-dir", str(lab.runs_dir)]) == 0
    assert main(["show", str(bad.path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_no_single_byte_stops_anybody(tmp_path, capsys):
    """Whatever byte of whatever document is another one."""
    group = whole_run(tmp_path / "runs")
    runs_dir, run = group.path.parent, group.runs[0].path
    fabricate(runs_dir, "whole", ["done"])
    gone = own_process() | {"started": 0.0}
    write_json(run / "status.json", group.runs[0].written_status() | {"state": "running", "process": gone})
    write_json(run / "exit.json", {"guard": None, "child": gone, "code": None, "signal": 9, "oom_kills": 0})
    chance = random.Random(0)
    for path in (group.path / "group.json", *(run / f"{name}.json" for name in ("status", "process", "exit", "queue"))):
        content = path.read_bytes()
        for _ in range(60):
            at = chance.randrange(len(content))
            path.write_bytes(content[:at] + chance.randbytes(1) + content[at + 1 :])
            finds_work(runs_dir)
            assert {row["name"] for row in listing(runs_dir)} == {"g", "whole"}
            assert order.last_place(runs_dir)["order"] >= 1
            view.rows(runs_dir)
            assert Run(run).state in ("running", "failed", "lost", "damaged", "stopping", "starting", "stopped")
        path.write_bytes(content)
    assert Run(run).state == "failed"


def test_what_goes_wrong_with_one_run_is_told_and_the_others_start(lab, monkeypatch):
    bad, good = lab.group("bad").runs[0].path, lab.group("good").runs[0].path
    told, started = [], []

    def start(supervisor, folder, slot) -> None:
        if folder == bad:
            raise ZeroDivisionError("no bug that is known")
        started.append(folder)

    monkeypatch.setattr(Supervisor, "_start", start)
    supervisor = Supervisor(lab.runs_dir, make_slots(), tell=told.append)
    assert supervisor.turn() and supervisor.turn()
    assert started == [good, good]
    assert len(told) == 1 and told[0].startswith("bad/seed-00: ZeroDivisionError: no bug") and "Traceback" in told[0]


def test_a_run_that_cannot_be_started_says_why_and_starts_once_it_can(lab, capsys):
    run = lab.group("g", epochs=1, seconds=0.01).runs[0].path
    os.mkfifo(run / "log.txt")
    told = []
    supervisor = Supervisor(lab.runs_dir, make_slots(), stand_in.command, tell=told.append)
    assert supervisor.turn() and supervisor.turn()
    reason = f"It cannot be started ({run / 'log.txt'}: it is no regular file); this is tried again."
    assert (Run(run).state, Run(run).status["reason"]) == ("queued", reason)
    ask_to_stop(Group(run.parent))
    assert not supervisor.turn() and Run(run).state == "stopped"
    assert requeue(Group(run.parent)) == [0]
    assert supervisor.turn() and (Run(run).state, Run(run).status["reason"]) == ("queued", reason)
    assert [said.partition(": ")[2][:7] for said in told] == ["OSError", "stopped"]
    assert main(["show", "g", "--runs-dir", str(lab.runs_dir)]) == 0 and reason in capsys.readouterr().out
    (run / "log.txt").unlink()
    wait_for(lambda: not supervisor.turn())
    assert (Run(run).state, Run(run).status["reason"]) == ("done", None)


def deep(path) -> None:
    """Brackets in brackets, at which Python's reader gives up with a RecursionError."""
    path.write_text("[" * 100_000)


@pytest.mark.parametrize("name", ["status.json", "queue.json", "process.json", "config.json", "exit.json"])
@pytest.mark.parametrize("state", ["queued", "running"])
def test_no_file_of_one_run_keeps_the_supervisor_from_the_others(lab, name, state):
    """The first in every order is the bad one."""
    bad, good = lab.group("a", priority=9).runs[0], lab.group("b", epochs=1, seconds=0.01)
    gone = own_process() | {"started": 0.0}
    status = {"state": state, "process": gone if state == "running" else None}
    write_json(bad.path / "status.json", bad.written_status() | status)
    deep(bad.path / name)
    supervisor = Supervisor(lab.runs_dir, make_slots(cpu_slots=2), stand_in.command, tell=lambda said: None)

    def turned_until_done() -> bool:
        supervisor.turn()
        return lab.states(good) == ["done"]

    wait_for(turned_until_done)
    assert finds_work(lab.runs_dir) in (True, False)
    (bad.path / name).unlink()


@pytest.mark.parametrize(
    "place", ["supervisor.written_state", "order.is_mine", "order.key", "supervisor.process_file", "tended.limits_of"]
)
def test_whatever_goes_wrong_with_one_run_the_supervisor_goes_on(lab, monkeypatch, place):
    """Also where it only looks, sorts, or settles; it says so once."""
    bad, good = lab.group("a", priority=9, seconds=0.01), lab.group("b", epochs=1, seconds=0.01)
    told = []
    supervisor = Supervisor(lab.runs_dir, make_slots(cpu_slots=2), stand_in.command, tell=told.append)
    module, _, name = f"colora.queue.{place}".rpartition(".")
    real = getattr(sys.modules[module], name)

    def breaks(where):
        if "a" in (where.name, where.parent.name):
            raise RecursionError("too deep")
        return real(where)

    monkeypatch.setattr(sys.modules[module], name, breaks)
    wait_for(lambda: (supervisor.turn(), lab.states(good) == ["done"])[1])
    assert finds_work(lab.runs_dir) in (True, False)
    assert len([said for said in told if said.startswith("a/seed-00: RecursionError: too deep")]) == 1
    monkeypatch.undo()
    wait_for(lambda: (supervisor.turn(), lab.states(bad) == ["done"])[1])


def test_a_runs_folder_that_cannot_be_listed_ends_no_supervisor(lab, monkeypatch):
    """What it looks after already it goes on to look after."""
    group = lab.group("g", epochs=1, seconds=600)
    supervisor = Supervisor(lab.runs_dir, make_slots(cpu_slots=1), stand_in.command, tell=lambda said: None)
    assert supervisor.turn()
    lab.until(group, "running")

    def forbidden(runs_dir):
        raise PermissionError(13, "Permission denied", str(runs_dir))

    monkeypatch.setattr("colora.queue.supervisor.run_folders", forbidden)
    (group.runs[0].path / "go").touch()
    wait_for(lambda: not supervisor.turn())
    assert lab.states(group) == ["done"]


def test_a_damaged_run_that_still_trains_is_stopped_and_never_doubled(lab, monkeypatch):
    monkeypatch.setattr(colora.queue.actions, "ensure_supervisor", supervising)
    group = lab.group("g", 2, epochs=1, seconds=60)
    lab.supervise()
    run = group.runs[0]
    trainer = lab.trainer(run)
    lab.until(group, "running", "queued")
    good = (run.path / "config.json").read_bytes()
    (run.path / "config.json").write_text("{")
    assert lab.states(group) == ["damaged", "queued"] and goes_on(Run(run.path))
    with pytest.raises(UserError, match="Seed 0 of g is damaged, and still runs: stop it first"):
        retry(Group(group.path))
    with pytest.raises(UserError, match="still waits or runs"):
        remove(Group(group.path))
    assert stop(Group(group.path)) == {0: "damaged", 1: "stopped"}
    assert not is_alive(trainer)
    wait_for(lambda: not goes_on(Run(run.path)))  # its guard has just seen it end
    (run.path / "config.json").write_bytes(good)
    assert lab.states(group) == ["stopped", "stopped"]
    (run.path / "config.json").write_text("{")
    assert retry(Group(group.path), [0])["seeds"] == [0]
    lab.until(group, "done", "stopped")


def test_a_damaged_checkpoint_is_a_sentence(tmp_path, tiny_npz):
    small = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "batch_size": 8, "epochs": 2}
    run = create_group(tmp_path, "g", make_config(small | {"dataset": f"npz:{tiny_npz}"}), [0]).runs[0].path
    assert train_run(run, lambda: len(Run(run).metrics) == 1) == 0  # in the second epoch
    checkpoint = run / "checkpoint" / "last.safetensors"
    for content in (b"", checkpoint.read_bytes()[:1000], random.Random(0).randbytes(2000)):
        checkpoint.write_bytes(content)
        assert train_run(run) == 2
        reason = Run(run).status["reason"]
        assert reason.startswith(f"{checkpoint} is damaged (")
        assert reason.endswith("begin this seed anew, with colora retry or on Monitor.")
    (run / "model.safetensors").write_bytes(b"x")
    assert saved_model_epoch(Run(run)) is None
