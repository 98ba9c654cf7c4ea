"""The processes that hold groups' models: when one is begun, ended and begun anew, and each gets its own answer."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest
from fabricate import fabricate, fill_run
from stand_in_worker import mark, probabilities
from workers_of_tests import living_workers, until

from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components import workers as module
from pages.components.command import Unanswered
from pages.components.workers import AT_ONCE, ask, workers

pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture
def group(tmp_path) -> Group:
    return fabricate(tmp_path / "runs", "g", ["done"])


def asked(group: Group, name: str = "scan.png", data: bytes = b"pixels") -> dict:
    """What is seen in an image of one page."""
    told = ask(group, {"name": name, "bytes": len(data), "features_of": 0}, data)
    (seen,) = told["seen"]
    assert told["pages"] == 1
    return seen


def fresh(group: Group) -> Group:
    """As a page reads it anew."""
    return Group(group.path)


def pid(group: Group) -> int:
    return workers().of(fresh(group)).process.pid


def test_one_a_group_is_begun_when_it_is_needed_and_answers_what_it_was_asked(group):
    assert living_workers() == []
    first, worker = pid(group), workers().of(group)
    assert not worker.loaded
    for data in (b"one", b"two", b""):
        seen = asked(group, data=data)
        assert (seen["checksum"], seen["probabilities"]) == (str(mark(data)), probabilities(1, 4, data))
    assert worker.loaded
    told = ask(group, {"path": "/scans/two-pages.tif", "page": 0, "pages": 16, "features_of": 0})
    assert [one["checksum"] for one in told["seen"]] == [str(mark(b"/scans/two-pages.tif", n)) for n in (0, 1)]
    assert [process.pid for process in living_workers()] == [first] == [pid(group)]


def test_of_more_groups_than_may_be_held_the_longest_unused_is_ended(tmp_path):
    groups = [fabricate(tmp_path / "runs", f"g{n}", ["done"]) for n in range(AT_ONCE + 1)]
    first, second, third = groups
    pids = {one.name: pid(one) for one in (first, second)}
    asked(second)
    asked(first)
    assert asked(third)["checksum"] == str(mark(b"pixels"))
    until(lambda: len(living_workers()) == AT_ONCE)
    assert {process.pid for process in living_workers()} == {pids["g0"], pid(third)}
    assert pid(first) == pids["g0"] and pid(second) != pids["g1"]


def test_one_that_is_asked_just_now_is_not_the_one_that_is_ended(tmp_path):
    first, second, third = [fabricate(tmp_path / "runs", f"g{n}", ["done"]) for n in range(3)]
    with ThreadPoolExecutor() as pool:
        asked(first), asked(second)
        waits = pool.submit(asked, first, "slow.png")
        until(lambda: workers().of(first).lock.locked())
        asked(second)  # used later than the first one
        before = pid(first)
        asked(third)
        assert waits.result(20)["checksum"] == str(mark(b"pixels")) and pid(first) == before


READ = {"seed-00/config.json": True, "seed-00/model.safetensors": True, "question.json": False, "notes.txt": False}


@pytest.mark.parametrize(("file", "read"), READ.items())
def test_it_is_ended_when_a_file_that_it_has_read_is_another(group, file, read):
    before = pid(group)
    with open(group.path / file, "a") as changed:
        changed.write("\n")
    assert asked(fresh(group))["checksum"] == str(mark(b"pixels"))
    assert (pid(group) != before) is read and [process.pid for process in living_workers()] == [pid(group)]


def test_it_is_ended_when_a_seed_finishes_and_when_another_group_has_its_name(tmp_path):
    group = fabricate(tmp_path / "runs", "g", ["done", "queued"])
    before = pid(group)
    fill_run(fresh(group).runs[1], "done", 6, None, {}, [])
    after = pid(group)
    assert after != before
    group.path.rename(tmp_path / "moved")
    fabricate(tmp_path / "runs", "g", ["done", "done"])
    assert pid(group) != after


def test_a_refusal_is_the_commands_own_sentence(group):
    (group.path / "refuse").touch()
    for _ in range(2):  # and no process remembers it
        with pytest.raises(UserError, match=r"^The models of this group are gone\.$") as error:
            asked(group)
        assert not isinstance(error.value, Unanswered)
    (group.path / "refuse").unlink()
    assert asked(group)["checksum"] == str(mark(b"pixels"))
    with pytest.raises(UserError, match=r"^refused\.png is no image\.$"):
        asked(group, "refused.png")


def test_a_page_that_is_drawn_again_begins_no_worker_that_was_refused(group, monkeypatch):
    (group.path / "refuse").touch()
    begun, started = [], module.Worker.started.__func__
    monkeypatch.setattr(module.Worker, "started", classmethod(lambda cls, *of: begun.append(of) or started(cls, *of)))
    workers().warm(group)
    until(lambda: not living_workers())
    workers().warm(fresh(group))
    assert len(begun) == 1
    (group.path / "refuse").unlink()
    (group.path / "seed-00" / "model.safetensors").touch()  # the group is another one now
    workers().warm(fresh(group))
    workers().warm(fresh(group))
    assert len(begun) == 2 and asked(group)["checksum"] == str(mark(b"pixels"))


def test_what_cannot_be_started_is_a_sentence(group, monkeypatch):
    monkeypatch.setattr(module, "command_of", lambda *_, **__: (["/no/such/python"], {}))
    with pytest.raises(Unanswered, match=r"^colora worker cannot be started"):
        asked(group)


def test_killed_from_outside_it_is_begun_anew_at_the_next_question(group):
    worker = workers().of(group)
    asked(group)
    os.kill(worker.process.pid, 9)
    worker.process.wait()
    assert asked(group)["checksum"] == str(mark(b"pixels")) and pid(group) != worker.process.pid


def test_killed_over_a_question_it_is_a_sentence_and_half_an_answer_is_none(group):
    before = pid(group)
    with pytest.raises(Unanswered, match=r"^colora worker was killed by signal 9: it said nothing$"):
        asked(group, "dies.png")
    assert asked(group)["checksum"] == str(mark(b"pixels")) and pid(group) != before


def test_whoever_waits_while_it_ends_over_anothers_image_is_not_told_so_of_their_own(group):
    with ThreadPoolExecutor() as pool:
        asked(group)
        first = pool.submit(asked, group, "slow too-much.png")
        until(lambda: workers().of(group).lock.locked())
        second = pool.submit(asked, group, "mine.png", b"mine")
        with pytest.raises(UserError, match="This takes more memory than one image may") as error:
            first.result(20)
        assert not isinstance(error.value, Unanswered)
        assert second.result(20)["checksum"] == str(mark(b"mine"))


def test_its_end_for_want_of_questions_is_not_noticed(group):
    before = pid(group)
    assert asked(group, "idles.png")["checksum"] == str(mark(b"pixels"))
    assert pid(group) != before and (group.path / "idled").exists()


def test_ended_for_a_change_of_the_group_while_it_is_asked_another_one_answers(group):
    with ThreadPoolExecutor() as pool:
        asked(group)
        waits = pool.submit(asked, group, "slow.png")
        until(lambda: workers().of(group).lock.locked())
        (group.runs[0].path / "model.safetensors").touch()
        workers().of(fresh(group))
        assert waits.result(20)["checksum"] == str(mark(b"pixels"))


@pytest.mark.parametrize("late", [False, True], ids=["an image", "the models"])
def test_one_that_hangs_is_ended_after_its_time(group, monkeypatch, late):
    if late:
        (group.path / "late").touch()
    else:
        asked(group)
    monkeypatch.setattr(module, "READY_SECONDS" if late else "ANSWER_SECONDS", 0.3)
    worker, begun = workers().of(group), time.monotonic()
    with pytest.raises(Unanswered, match=r"^colora worker has not answered within 0 s; it was ended\. Try again\.$"):
        asked(group, "hangs.png")
    assert worker.process.wait(20) == -9 and time.monotonic() - begun < 10
    (group.path / "late").unlink(missing_ok=True)
    monkeypatch.setattr(module, "READY_SECONDS", 60)
    assert asked(group)["checksum"] == str(mark(b"pixels"))


def test_the_answer_to_another_question_is_never_given(group):
    before = pid(group)
    with pytest.raises(Unanswered, match=r"^colora worker answered another question than this one; it was ended"):
        asked(group, "other.png")
    assert asked(group, data=b"next")["checksum"] == str(mark(b"next")) and pid(group) != before


def test_sessions_that_ask_at_once_get_their_own_answers(group):
    own = [f"scan {n}".encode() for n in range(60)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda data: asked(group, data=data)["checksum"], own))
    assert found == [str(mark(data)) for data in own] and len(living_workers()) == 1


def test_while_the_models_load_everybody_waits_for_the_one_process(group):
    (group.path / "late").touch()
    found: list[str] = []
    waiting = [Thread(target=lambda: found.append(asked(group)["checksum"])) for _ in range(3)]
    for thread in waiting:
        thread.start()
    until(lambda: len(living_workers()) == 1)
    time.sleep(0.1)
    assert found == []
    (group.path / "late").unlink()
    for thread in waiting:
        thread.join(20)
    assert found == [str(mark(b"pixels"))] * 3 and len(living_workers()) == 1


@pytest.mark.processes
def test_one_that_has_ended_leaves_no_zombie(group):
    ended = Path(f"/proc/{pid(group)}")
    workers().of(group).end()
    until(lambda: not ended.exists())
