"""Retry, remove and undo, the queue on the command line, slots, and the log of who did what."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import stand_in
from commands import document, mistake
from queueing import Lab

import colora.queue.actions
from colora.queue import order
from colora.queue.actions import move, requeue, retry, stop
from colora.queue.slots import make_slots
from colora.runs.audit import record, recorded
from colora.runs.folder import Group, Run, append_json, own_process, write_json
from colora.runs.listing import list_groups
from colora.runs.trash import listed, remove, restore
from colora.system.errors import UserError
from colora.system.process import identity, send


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A runs folder that nobody supervises."""
    monkeypatch.setattr(colora.queue.actions, "ensure_supervisor", lambda runs_dir: None)
    (tmp_path / "runs").mkdir()
    return Lab(tmp_path / "runs")


def set_state(run: Run, state: str, **changes) -> None:
    write_json(run.path / "status.json", Run(run.path).written_status() | {"state": state} | changes)


def waiting(lab) -> list[str]:
    return [f"{folder.parent.name}-{int(folder.name[-2:])}" for folder in order.waiting(lab.runs_dir)]


def test_retry_begins_anew_and_keeps_what_was(lab):
    group = lab.group("g", 4)
    for run, state in zip(group.runs, ("done", "failed", "stopped", "lost"), strict=True):
        set_state(run, state, epoch=1)
        append_json(run.path / "metrics.jsonl", stand_in.found(1))
    (group.runs[3].path / "config.json").write_text("{")
    assert retry(Group(group.path))["seeds"] == [1, 2, 3]
    runs = Group(group.path).runs
    assert [run.state for run in runs] == ["done", "queued", "queued", "queued"]
    assert [len(run.metrics) for run in runs] == [1, 0, 0, 0]
    assert runs[3].config == group.config
    assert [entry.name for entry in listed(lab.runs_dir)] == [f"g.seed-0{n}" for n in (1, 2, 3)]
    with pytest.raises(UserError, match="no stopped, failed, lost or damaged seed to retry"):
        retry(Group(group.path))


def test_retry_of_named_seeds_adds_new_ones_and_refuses_finished_ones(lab):
    group = lab.group("g", 2)
    set_state(group.runs[0], "done")
    set_state(group.runs[1], "failed")
    with pytest.raises(UserError, match="Seed 0 of g is done: only what did not finish is retried"):
        retry(Group(group.path), [0])
    assert not listed(lab.runs_dir)
    assert retry(Group(group.path), [1, 7])["seeds"] == [1, 7]
    assert Group(group.path).info["seeds"] == [0, 1, 7]
    assert waiting(lab) == ["g-1", "g-7"]


def test_resume_queues_behind_all_others_and_keeps_the_epoch(lab):
    group = lab.group("g")
    set_state(group.runs[0], "failed", epoch=1)
    append_json(group.runs[0].path / "metrics.jsonl", stand_in.found(1))
    (group.runs[0].path / "stop").touch()
    lab.group("other")
    assert requeue(Group(group.path)) == [0]
    assert waiting(lab) == ["other-0", "g-0"]
    assert Run(group.runs[0].path).status["epoch"] == 1
    assert not Run(group.runs[0].path).stop_requested


def test_of_many_who_resume_at_once_one_does(lab):
    group = lab.group("g", 3)
    for run in group.runs:
        set_state(run, "failed")
    with ThreadPoolExecutor(6) as browsers:
        found = list(browsers.map(lambda _: requeue(Group(group.path)), range(6)))
    assert sorted(found) == [[]] * 5 + [[0, 1, 2]]
    assert waiting(lab) == ["g-0", "g-1", "g-2"]


def test_a_group_is_removed_and_brought_back_as_it_was(lab):
    group = lab.group("g.1", 2)
    with pytest.raises(UserError, match=r"g\.1 still waits or runs: stop it first, with colora stop .*g\.1"):
        remove(group)
    stop(group)
    before = {path.name: path.read_bytes() for path in group.path.rglob("*.json")}
    remove(Group(group.path))
    assert list_groups(lab.runs_dir) == []
    later = lab.group("g.1")
    with pytest.raises(UserError, match="has taken the name"):
        restore(lab.runs_dir, "g.1")
    set_state(later.runs[0], "done")
    remove(Group(later.path))
    assert len(Group(restore(lab.runs_dir, "g.1")).runs) == 1  # the latest
    remove(Group(later.path))
    listed(lab.runs_dir)[-1].path.rename(lab.runs_dir.parent / "away")
    restore(lab.runs_dir, "g.1")
    assert {path.name: path.read_bytes() for path in group.path.rglob("*.json")} == before
    with pytest.raises(UserError, match="No removed group named 'never'"):
        restore(lab.runs_dir, "never")


def test_rm_trash_and_undo_on_the_command_line(lab, capsys):
    group = lab.group("g")
    assert "stop it first" in mistake(capsys, "rm", group.path)
    assert document(capsys, "stop", group.path) == {"name": "g", "seeds": {"0": "stopped"}}
    place = document(capsys, "rm", group.path)["trash"]
    assert os.path.isdir(place) and not group.path.exists()
    assert [entry["name"] for entry in document(capsys, "trash", "--runs-dir", lab.runs_dir)] == ["g"]
    assert document(capsys, "rm", "--undo", group.path)["path"] == str(group.path)
    assert Group(group.path).state == "stopped"
    document(capsys, "rm", group.path)
    assert document(capsys, "trash", "empty", "--runs-dir", lab.runs_dir) == {"deleted": 1}
    assert "No removed group" in mistake(capsys, "rm", "--undo", group.path)
    assert "is not a group of runs" in mistake(capsys, "retry", group.path)


def test_the_trash_on_the_command_line(lab, capsys, monkeypatch):
    monkeypatch.setenv("COLORA_USER", "ann")
    there = ["--runs-dir", lab.runs_dir]
    for name in ("g", "other", "g"):
        set_state(lab.group(name).runs[0], "done")
        document(capsys, "rm", name, *there)
    rows = document(capsys, "trash", *there)
    assert [(row["title"], row["kind"], row["by"], row["bytes"] > 0) for row in rows] == [
        (name, "group", "ann", True) for name in ("g", "other", "g")
    ]
    assert document(capsys, "trash", "delete", rows[2]["entry"], *there) == {"deleted": 1}
    assert not os.path.exists(rows[2]["path"]) and os.path.exists(rows[0]["path"])
    set_state(lab.group("g").runs[0], "failed")
    assert "has taken the name" in mistake(capsys, "trash", "put-back", "g", *there)
    document(capsys, "trash", "put-back", "g", "--as", "g-before", *there)
    assert Group(lab.runs_dir / "g-before").state == "done" and Group(lab.runs_dir / "g").state == "failed"
    for bad in ("../g", "/etc", "nothing", "."):
        assert "There is no '" in mistake(capsys, "trash", "delete", bad, *there)
    assert "cannot name a group" in mistake(capsys, "trash", "put-back", "other", "--as", "../x", *there)
    assert "Name what to put back" in mistake(capsys, "trash", "put-back", *there)
    assert [line["action"] for line in recorded(lab.runs_dir)] == ["rm", "rm", "rm", "delete", "undo"]


def test_a_retried_seed_lies_in_the_trash_with_who_retried_it(lab, capsys, monkeypatch):
    monkeypatch.setenv("COLORA_USER", "ann")
    group = lab.group("g", 2)
    stop(group)
    retry(Group(group.path), [1])
    there = ["--runs-dir", lab.runs_dir]
    (row,) = document(capsys, "trash", *there)
    assert (row["title"], row["by"], row["kind"]) == ("seed 1 of g, before a retry", "ann", "seed")
    assert "Only whole groups, cuts, tests and scans" in mistake(capsys, "trash", "put-back", row["entry"], *there)
    stop(Group(group.path))


def test_a_deletion_that_was_cut_off_is_no_entry_and_is_ended_later(lab, capsys):
    half = lab.runs_dir / ".colora" / "trash" / ".going.g.20260131T120000000000Z"
    half.mkdir(parents=True)
    (half / "group.json").write_text("{}")
    assert document(capsys, "trash", "--runs-dir", lab.runs_dir) == []
    document(capsys, "trash", "empty", "--runs-dir", lab.runs_dir)
    assert not half.exists()


def test_the_queue_on_the_command_line(lab, capsys):
    lab.group("a", 2)
    lab.group("b")
    set_state(lab.group("now").runs[0], "running", process=own_process())
    far = lab.group("far").runs[0].path
    write_json(far / "queue.json", order.place(far) | {"host": "elsewhere", "user": "ann"})
    rows = document(capsys, "queue", "--runs-dir", lab.runs_dir)
    assert [(row["group"], row["state"], row["place"]) for row in rows] == [
        ("now", "running", None), ("a", "queued", 1), ("a", "queued", 2), ("b", "queued", 3), ("far", "queued", 4)
    ]  # fmt: skip
    assert rows[1]["note"].startswith("waits, nobody trains: ")
    assert rows[4]["note"] == "queued by ann on elsewhere: it starts there, or here once it is resumed"
    document(capsys, "queue", "move", "b", "--first", "--runs-dir", lab.runs_dir)
    assert waiting(lab)[:3] == ["b-0", "a-0", "a-1"]
    document(capsys, "queue", "move", "a/seed-01", "--priority", 5, "--runs-dir", lab.runs_dir)
    assert waiting(lab)[:3] == ["a-1", "b-0", "a-0"]
    assert "Nothing of 'now' waits" in mistake(capsys, "queue", "move", "now", "--last", "--runs-dir", lab.runs_dir)
    assert "Say what to move and where" in mistake(capsys, "queue", "move", "a", "--runs-dir", lab.runs_dir)


def test_several_are_moved_by_names_and_paths_and_keep_their_order(lab, capsys):
    for name, seeds in (("a", 2), ("b", 1), ("c", 1)):
        lab.group(name, seeds)
    there = ["--runs-dir", lab.runs_dir]
    document(capsys, "queue", "move", "c", "b", "--first", *there)
    assert waiting(lab) == ["c-0", "b-0", "a-0", "a-1"]
    document(capsys, "queue", "move", lab.runs_dir / "c", lab.runs_dir / "a" / "seed-00", "--last", *there)
    assert waiting(lab) == ["b-0", "a-1", "c-0", "a-0"]
    assert "did you mean" in mistake(capsys, "queue", "move", "b", "cc", "--first", *there)
    assert waiting(lab) == ["b-0", "a-1", "c-0", "a-0"]


def test_whatever_is_done_is_audited(lab, monkeypatch):
    monkeypatch.setenv("COLORA_USER", "ann@clinic")
    group = lab.group("g", 2)
    move(lab.runs_dir, "g", "first")
    stop(Group(group.path))
    colora.queue.actions.resume(Group(group.path))
    stop(Group(group.path))
    retry(Group(group.path), [1])
    stop(Group(group.path))
    remove(Group(group.path))
    restore(lab.runs_dir, "g")
    lines = recorded(lab.runs_dir)
    assert [line["action"] for line in lines] == ["move", "stop", "resume", "stop", "retry", "stop", "rm", "undo"]
    assert {(line["user"], line["group"]) for line in lines} == {("ann@clinic", "g")}
    assert [line["seeds"] for line in lines[:6]] == [[0, 1], [0, 1], [0, 1], [0, 1], [1], [1]]
    assert lines[0]["detail"] == {"end": "first"}


def test_many_writers_of_the_audit_log_lose_no_line(tmp_path):
    code = "import sys; from colora.runs.audit import record\nfor n in range(50): record(sys.argv[1], 'a', 'g', [n])"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    record(tmp_path, "a", "g", [0])
    assert len(recorded(tmp_path)) == 151


@pytest.mark.parametrize(
    ("asked", "names", "gpu"),
    [
        ({"gpus": ["0", "3"], "per_gpu": 2}, ["gpu-0-0", "gpu-3-0", "gpu-0-1", "gpu-3-1"], ["0", "3", "0", "3"]),
        ({"cpu_slots": 2}, ["cpu-0", "cpu-1"], ["", ""]),
        ({"gpus": []}, ["cpu-0"], [""]),
    ],
)
def test_slots(monkeypatch, asked, names, gpu):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("colora.queue.slots.cpu_count", lambda: 8)
    slots = make_slots(**asked)
    assert [slot.name for slot in slots] == names
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots] == gpu
    threads = {slot.environment.get("OMP_NUM_THREADS") for slot in slots}
    assert threads == ({str(8 // len(slots))} if len(slots) > 1 else {None})


def test_found_gpus_are_those_that_are_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5")
    assert [slot.name for slot in make_slots()] == ["gpu-2-0", "gpu-GPU-5-0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [slot.name for slot in make_slots()] == ["cpu-0"]


def test_a_signal_reaches_only_the_process_that_was_meant():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = identity(child.pid)
    assert not send(known | {"started": 1.0}, signal.SIGKILL)  # the pid was given to another process
    assert child.poll() is None
    assert send(known, signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL
    assert not send(known, signal.SIGKILL)


def test_pages_and_supervisor_need_no_torch():
    code = "import sys, colora.queue.supervisor, colora.queue.actions, colora.engines.view; "
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys, colora.queue.guard; sys.exit(bool({'psutil', 'pydantic', 'filelock'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
