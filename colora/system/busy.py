"""How busy a computer is while something is timed on it, and how long the same would take if it were not.

Others' share is what the cores that this process may use have done in that time, less what it has done itself. Imports
no torch.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from colora.system.process import cpu_count

NOTICED = 0.1  # share of the cores that others take; with less a computer counts as idle
LEAST_SECONDS = 0.3  # of what is timed: the system counts the cores' work in hundredths
WORKING = ("user", "nice", "system", "irq", "softirq", "steal")


@dataclass(frozen=True)
class Timed:
    """Of one piece of work: seconds by the clock, the processor's seconds, and others' share of the cores, 0 to 1."""

    seconds: float
    own: float
    others: float

    def idle_seconds(self, threads: int) -> float:
        """By the clock on an idle computer: with what others took, and never with more than its own threads."""
        if self.others < NOTICED:
            return self.seconds
        return min(self.seconds, max(self.seconds * (1 - self.others), self.own / threads))


def timed(work: Callable[[], None]) -> Timed:
    """`work`, again and again for as long as the clock needs to tell."""
    worked, own, begin, times = _worked(), time.process_time(), time.perf_counter(), 0
    while not times or time.perf_counter() - begin < LEAST_SECONDS:
        work()
        times += 1
    seconds, own = time.perf_counter() - begin, time.process_time() - own
    others = (_worked() - worked - own) / (seconds * cpu_count())
    return Timed(seconds / times, own / times, min(1.0, max(0.0, others)))


def _worked() -> float:
    """Seconds that the cores of this process have worked, for whomever, since the computer started."""
    each = psutil.cpu_times(percpu=True)
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(each))
    return sum(getattr(core, kind, 0.0) for n, core in enumerate(each) if n in mine for kind in WORKING)
