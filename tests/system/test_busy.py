"""Seconds of some work on a busy computer, and what they would be on an idle one."""

from types import SimpleNamespace

import pytest

from colora.system import busy
from colora.system.busy import Timed


@pytest.mark.parametrize(
    ("timed", "threads", "idle"),
    [
        (Timed(1.0, 2.0, 0.0), 2, 1.0),
        (Timed(4.0, 2.0, 0.75), 2, 1.0),  # a quarter of two cores for 4 s
        (Timed(1.0, 1.0, 0.5), 1, 1.0),  # one thread had a core to itself all the time
        (Timed(1.0, 1.5, 0.1), 2, 0.9),
        (Timed(1.0, 1.5, 0.09), 2, 1.0),  # too little to be told from nothing
        (Timed(1.0, 3.0, 0.2), 2, 1.0),  # never more than it has taken
    ],
)
def test_idle_seconds_are_the_share_that_others_left(timed, threads, idle):
    assert timed.idle_seconds(threads) == pytest.approx(idle)


def test_others_share_is_what_the_cores_did_less_its_own(monkeypatch):
    """Two cores worked 3 s in 2 s, 1 s of it here: others took half of what there was."""
    clock, own, cores = iter([0.0, 2.0, 2.0]), iter([0.0, 1.0]), iter([[10.0, 20.0], [11.0, 22.0]])

    def cpu_times(percpu):
        return [SimpleNamespace(user=seconds, idle=99.0, iowait=5.0) for seconds in next(cores)]

    monkeypatch.setattr(busy.psutil, "cpu_times", cpu_times)
    monkeypatch.setattr(busy, "cpu_count", lambda: 2)
    monkeypatch.setattr(busy.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(busy.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(busy.time, "process_time", lambda: next(own))
    done = []
    assert busy.timed(lambda: done.append(1)) == Timed(2.0, 1.0, 0.5)
    assert done == [1]
