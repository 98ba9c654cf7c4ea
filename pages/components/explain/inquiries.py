"""What models are asked while somebody looks on: one question after another, in a thread beside the page.

So every key, choice and verdict is served meanwhile. What nobody waits for any more is dropped between two questions,
and so is all where the tab is closed, or where no page has looked for a while, since it shows another one. The last
answers of each session are kept.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from threading import Lock, Thread
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from colora.system.download import Progress
from pages.components import show, sign_in

POLL_SECONDS = 0.4
SOON_SECONDS = 0.3  # what is there as fast is waited for: the page would be drawn twice at once
LEFT_SECONDS = 90  # a hidden tab looks once a minute
KEPT_BYTES = 64 * 2**20


class _Dropped(Exception):
    """Nobody waits for the answer."""


@dataclass(eq=False)
class Inquiry:
    """`work` asks, tells how far it is, and returns what it has found, of so many `bytes`. What it raises, `answer`
    raises."""

    key: Hashable
    work: Callable[[Progress], Any]
    bytes: int = 0
    answer: Future = field(default_factory=Future)
    says: str = ""
    share: float = 0.0
    dropped: bool = False

    @property
    def under_way(self) -> bool:
        return not self.answer.done()

    @property
    def error(self) -> BaseException | None:
        """What the work has raised."""
        return None if self.under_way or self.answer.cancelled() else self.answer.exception()

    @property
    def found(self) -> Any | None:
        """None until it is there, and where there was an error or it was dropped."""
        return None if self.under_way or self.answer.cancelled() or self.error else self.answer.result()

    def run(self, looked_on: Callable[[], bool]) -> None:
        def tell(what: str, done: int, total: int | None) -> None:
            if self.dropped or not looked_on():
                raise _Dropped
            self.says, self.share = what, done / max(total or 1, 1)

        try:
            found = self.work(tell)
        except _Dropped:
            self.answer.cancel()
        except Exception as error:  # the page that waits for the answer raises it
            self.answer.set_exception(error)
        else:
            self.answer.set_result(found)


def always() -> bool:
    return True


class Inquiries:
    """Of one session; `connected` says whether its tab is still there."""

    def __init__(self, connected: Callable[[], bool] = always) -> None:
        self._connected = connected
        self._lock = Lock()
        self._known: OrderedDict[Hashable, Inquiry] = OrderedDict()
        self._waiting: deque[Inquiry] = deque()
        self._now: Inquiry | None = None
        self._looked = time.monotonic()
        self._drawn: tuple[Sequence[Inquiry], int] = (), 0  # what the page is drawn with, and how many were there

    def want(self, asked: Sequence[Inquiry]) -> list[Inquiry]:
        """These are answered next, in their order, or have been already; others that wait are dropped. Several of the
        same key are one. For the first of them it waits a moment; the page is then drawn with what is there."""
        self.look()
        with self._lock:
            keys = {one.key for one in asked}
            for key in [key for key, one in self._known.items() if one.under_way and key not in keys]:
                self._known.pop(key).dropped = True
            for key in [key for key, one in self._known.items() if one.answer.cancelled()]:
                del self._known[key]
            found = [self._known.setdefault(one.key, one) for one in asked]
            for key in keys:
                self._known.move_to_end(key)
            once = {one.key: one for one in found if one.under_way and one is not self._now}
            self._waiting = deque(once.values())
            self._keep_the_last(keys)
            if self._waiting and self._now is None:
                self._now = self._waiting.popleft()
                Thread(target=self._work, args=(self._now,), name="colora-inquiries", daemon=True).start()
        wait([one.answer for one in found[:1]], SOON_SECONDS)
        self._drawn = found, answered(found)
        return found

    def look(self) -> None:
        """Somebody still looks on."""
        self._looked = time.monotonic()

    def known(self, one: Inquiry) -> Inquiry:
        """The inquiry of the same key that is answered or under way, for whom another builds on its answer; else this
        one."""
        with self._lock:
            found = self._known.get(one.key, one)
            return one if found.answer.cancelled() else found

    def newer(self) -> bool:
        """Whether there are more answers than the page was drawn with; to ask so is to look on."""
        self.look()
        asked, before = self._drawn
        return answered(asked) > before

    @property
    def lacking(self) -> bool:
        """Whether the page was drawn without some of the answers."""
        asked, before = self._drawn
        return before < len(asked)

    def progress(self) -> tuple[str, float] | None:
        """What is being asked for the page, and how far all of it is, in 0..1; None where nothing is."""
        asked, _ = self._drawn
        now = next((one for one in asked if one.under_way), None)
        return now and (now.says, (answered(asked) + now.share) / len(asked))

    def forget(self, keys: Iterable[Hashable]) -> None:
        """They are asked anew."""
        with self._lock:
            for key in keys:
                self._known.pop(key, None)

    def _keep_the_last(self, keys: Iterable[Hashable]) -> None:
        room = sum(one.bytes for one in self._known.values()) - KEPT_BYTES
        for key in [key for key in self._known if key not in keys]:
            if room <= 0:
                break
            room -= self._known.pop(key).bytes

    def _work(self, first: Inquiry) -> None:
        now: Inquiry | None = first
        while now is not None:
            now.run(self._looked_on)
            with self._lock:
                if not self._looked_on():
                    self._leave()
                now = self._now = self._waiting.popleft() if self._waiting else None

    def _looked_on(self) -> bool:
        return time.monotonic() - self._looked < LEFT_SECONDS and self._connected()

    def _leave(self) -> None:
        while self._waiting:
            self._waiting.popleft().answer.cancel()


def inquiries() -> Inquiries:
    """Those of this session."""
    if "inquiries" not in st.session_state:
        session = get_script_run_ctx().session_id
        st.session_state["inquiries"] = Inquiries(partial(_is_connected, session))
    return st.session_state["inquiries"]


def _is_connected(session: str) -> bool:
    """Whether a tab is open; one that lost its connection for a moment asks anew when it has it again."""
    return not runtime.exists() or runtime.get_instance().is_active_session(session)


def follow() -> None:
    """How far the models are, and the page anew when there is more than it was drawn with."""
    if inquiries().lacking:
        st.fragment(_look, run_every=POLL_SECONDS)()


def _look() -> None:
    sign_in.still()
    if inquiries().newer():
        st.rerun()
    say_progress()


def say_progress() -> None:
    if now := inquiries().progress():
        says, share = now
        st.progress(share, text=show.literal(f"{says} …" if says else "Loading the models …"))


def answered(asked: Sequence[Inquiry]) -> int:
    """How many of them, by an answer, an error, or since nobody has waited for them."""
    return sum(not one.under_way for one in asked)
