"""How many images folders hold, counted beside the pages, for all sessions: a page waits for a moment and shows what is
known by then. A count is kept for a minute, as long as the folder itself has not changed.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from queue import LifoQueue
from threading import Lock, Thread
from typing import Any

import streamlit as st

from colora.data.browsing import Held, held
from pages.components.runs import file_stamp

AT_ONCE = 2  # threads: they wait for the disk, mostly
KEPT, KEPT_SECONDS = 512, 60.0  # what changes deep in a folder leaves no mark at its top
WAIT_SECONDS = 0.7
ASKED = "picker-asked"


class Count(Future):
    """How many images a folder holds, perhaps not counted yet; given to others until `until`, by time.monotonic()."""

    until = float("inf")


class _Counts:
    """The last ones asked for are counted first: somebody looks at them now. The threads are daemons, so that a server
    that is to end does not wait for a disk that does not answer."""

    def __init__(self) -> None:
        self.lock, self.waiting = Lock(), LifoQueue()
        self.known: OrderedDict[Any, Count] = OrderedDict()
        for _ in range(AT_ONCE):
            Thread(target=self._work, name="colora-counts", daemon=True).start()

    def of(self, paths: Sequence[Path]) -> list[Count]:
        """Known, under way, or asked for now."""
        keys = [(str(path), file_stamp(path)) for path in paths]
        with self.lock:
            for key, path in reversed(list(zip(keys, paths, strict=True))):
                count = self.known.get(key)
                if count is None or count.cancelled() or count.until < time.monotonic():
                    self.known[key] = count = Count()
                    self.waiting.put((path, count))
                self.known.move_to_end(key)
            found = [self.known[key] for key in keys]
            done = [key for key, count in self.known.items() if count.done()]
            for key in done[: max(0, len(done) - KEPT)]:
                del self.known[key]
        return found

    def _work(self) -> None:
        while True:
            path, count = self.waiting.get()
            if not count.set_running_or_notify_cancel():
                continue
            try:
                count.set_result(held(path))
            except Exception as error:  # the page that shows it says it
                count.set_exception(error)
            count.until = time.monotonic() + KEPT_SECONDS


@st.cache_resource(show_spinner=False)
def _counts() -> _Counts:
    return _Counts()


def counts_of(paths: Sequence[Path]) -> list[Count]:
    """Of these folders, those included that are not counted yet after WAIT_SECONDS. What this tab has asked for before
    and does not show any more is not counted."""
    before, now = st.session_state.get(ASKED, []), _counts().of(paths)
    for count in before:
        if not any(count is other for other in now):
            count.cancel()
    st.session_state[ASKED] = now
    wait(now, WAIT_SECONDS)
    return now


def known(count: Count) -> Held | None:
    """None of what is not counted yet, or cannot be, as a disk that was taken out: `says` tells which."""
    return count.result() if count.done() and not count.cancelled() and not count.exception() else None


def says(count: Count) -> str:
    if found := known(count):
        return found.says()
    if not count.done():
        return "counting …"
    if count.cancelled():
        return "not counted"
    error = count.exception()
    if isinstance(error, OSError):
        return f"not counted: {error.strerror or 'it cannot be read'}"
    raise error
