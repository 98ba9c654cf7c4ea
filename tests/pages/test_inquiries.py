"""What models are asked beside a page: in order, once, and no longer than somebody waits for it."""

import time
from threading import Event
from types import SimpleNamespace

import pytest
from predicting import PATIENCE_SECONDS, at_rest

from colora.system.errors import UserError
from pages.components.explain.inquiries import KEPT_BYTES, Inquiries, Inquiry, _is_connected


@pytest.fixture
def inquiries(monkeypatch):
    monkeypatch.setattr("pages.components.explain.inquiries.SOON_SECONDS", 0)
    made = Inquiries()
    yield made
    made.want([])
    at_rest(made)


def ten_questions(begun: Event, on: Event, asked: list[int]) -> Inquiry:
    """One that asks ten times, and each time waits to be let `on`."""

    def work(tell):
        for question in range(10):
            tell("asking", question, 10)
            asked.append(question)
            begun.set()
            assert on.wait(PATIENCE_SECONDS)
        return "there"

    return Inquiry("slow", work)


def test_they_are_answered_in_their_order_and_once(inquiries):
    done = []

    def asks(name: str) -> Inquiry:
        return Inquiry(name, lambda tell: done.append(name) or name.upper())

    found = inquiries.want([asks("a"), asks("b"), asks("c")])
    assert [one.answer.result(PATIENCE_SECONDS) for one in found] == ["A", "B", "C"]
    again = inquiries.want([asks("c"), asks("a"), asks("d")])
    assert [one.answer.result(PATIENCE_SECONDS) for one in again] == ["C", "A", "D"]
    assert done == ["a", "b", "c", "d"] and again[0] is found[2]


def test_what_nobody_waits_for_any_more_ends_between_two_questions(inquiries):
    begun, on, asked = Event(), Event(), []
    slow = ten_questions(begun, on, asked)
    first, never = inquiries.want([slow, Inquiry("never", lambda tell: asked.append("never"))])
    assert begun.wait(PATIENCE_SECONDS) and first.says == "asking"
    (other,) = inquiries.want([Inquiry("other", lambda tell: "there")])
    on.set()
    assert other.answer.result(PATIENCE_SECONDS) == "there"
    assert asked == [0] and first.dropped and never.dropped and first.found is None


def test_what_is_wanted_again_while_it_is_dropped_is_asked_anew(inquiries):
    begun, on = Event(), Event()

    def slow(tell):
        tell("asking", 0, 2)
        begun.set()
        assert on.wait(PATIENCE_SECONDS)
        tell("asking", 1, 2)
        return "there"

    (first,) = inquiries.want([Inquiry("slow", slow)])
    assert begun.wait(PATIENCE_SECONDS)
    inquiries.want([])
    (again,) = inquiries.want([Inquiry("slow", slow)])
    on.set()
    assert again is not first and again.answer.result(PATIENCE_SECONDS) == "there" and first.answer.cancelled()


def test_one_that_is_asked_goes_on_where_it_is_still_wanted(inquiries):
    begun, on, times = Event(), Event(), []

    def slow(tell):
        times.append(1)
        begun.set()
        assert on.wait(PATIENCE_SECONDS)
        return "there"

    (first,) = inquiries.want([Inquiry("slow", slow)])
    assert begun.wait(PATIENCE_SECONDS)
    (same, more) = inquiries.want([Inquiry("slow", slow), Inquiry("more", lambda tell: "more")])
    on.set()
    assert same is first and more.answer.result(PATIENCE_SECONDS) == "more" and times == [1]


def test_several_of_the_same_key_are_one(inquiries):
    """Two images with the same pixels side by side have the same map."""
    done = []
    asked = [Inquiry("a", lambda tell: done.append("a") or "A") for _ in range(3)]
    first, *same = inquiries.want([*asked, Inquiry("b", lambda tell: "B")])[:3]
    assert first.answer.result(PATIENCE_SECONDS) == "A" and all(one is first for one in same)
    (later,) = inquiries.want([Inquiry("c", lambda tell: "C")])
    assert later.answer.result(PATIENCE_SECONDS) == "C" and done == ["a"]


def test_where_no_page_looks_any_more_all_is_dropped_and_asked_anew_when_one_does(inquiries, monkeypatch):
    begun, on = Event(), Event()

    def slow(tell):
        begun.set()
        assert on.wait(PATIENCE_SECONDS)
        tell("asking", 1, 2)
        return "there"

    first, never = inquiries.want([Inquiry("slow", slow), Inquiry("never", lambda tell: "never")])
    assert begun.wait(PATIENCE_SECONDS)
    with monkeypatch.context() as patched:
        patched.setattr("pages.components.explain.inquiries.LEFT_SECONDS", 0)
        on.set()
        at_rest(inquiries)
    assert first.answer.cancelled() and never.answer.cancelled() and first.found is never.found is None
    wanted = [inquiries.known(Inquiry("slow", slow)), inquiries.known(Inquiry("never", lambda tell: "at last"))]
    again, other = inquiries.want(wanted)
    assert (again.answer.result(PATIENCE_SECONDS), other.answer.result(PATIENCE_SECONDS)) == ("there", "at last")


def test_what_a_tab_asked_that_was_closed_ends_at_once_and_is_asked_anew_when_it_is_back(monkeypatch):
    monkeypatch.setattr("pages.components.explain.inquiries.SOON_SECONDS", 0)
    open_tabs, begun, on, asked = {"a"}, Event(), Event(), []
    inquiries = Inquiries(lambda: "a" in open_tabs)

    def want() -> list[Inquiry]:
        never = Inquiry("never", lambda tell: "at last")
        return inquiries.want([ten_questions(begun, on, asked), never])

    first, never = want()
    assert begun.wait(PATIENCE_SECONDS)
    open_tabs.clear()
    on.set()
    at_rest(inquiries)
    assert asked == [0] and first.answer.cancelled() and never.answer.cancelled()
    open_tabs.add("a")
    again, other = want()
    assert (again.answer.result(PATIENCE_SECONDS), other.answer.result(PATIENCE_SECONDS)) == ("there", "at last")


def test_a_session_without_a_server_is_always_there(monkeypatch):
    monkeypatch.setattr("streamlit.runtime.exists", lambda: False)
    assert _is_connected("of a test")
    monkeypatch.setattr("streamlit.runtime.exists", lambda: True)
    server = SimpleNamespace(is_active_session=lambda session: session == "open")
    monkeypatch.setattr("streamlit.runtime.get_instance", lambda: server)
    assert _is_connected("open") and not _is_connected("closed")


def test_a_page_notices_what_it_was_not_drawn_with(inquiries):
    on, more = Event(), Event()

    def both() -> list[Inquiry]:
        return inquiries.want([Inquiry("a", lambda tell: on.wait(PATIENCE_SECONDS)), Inquiry("b", waits)])

    def waits(tell):
        tell("asking", 1, 4)
        return more.wait(PATIENCE_SECONDS)

    first, second = both()
    assert inquiries.lacking and not inquiries.newer() and inquiries.progress() == ("", 0)
    on.set()
    assert first.answer.result(PATIENCE_SECONDS) and inquiries.newer()
    both()
    assert inquiries.lacking and not inquiries.newer()
    while not second.says:
        time.sleep(0.005)
    assert inquiries.progress() == ("asking", (1 + 1 / 4) / 2)
    more.set()
    assert second.answer.result(PATIENCE_SECONDS) and inquiries.newer() and inquiries.progress() is None
    both()
    assert not inquiries.lacking and not inquiries.newer()


def test_an_error_is_the_answer_until_it_is_forgotten(inquiries):
    times = []

    def refuses(tell):
        times.append(1)
        raise UserError("No.")

    for _ in range(2):
        (one,) = inquiries.want([Inquiry("a", refuses)])
        with pytest.raises(UserError):
            one.answer.result(PATIENCE_SECONDS)
        assert one.found is None
    assert len(times) == 1
    inquiries.forget(["a"])
    (one,) = inquiries.want([Inquiry("a", refuses)])
    with pytest.raises(UserError):
        one.answer.result(PATIENCE_SECONDS)
    assert len(times) == 2


def test_the_last_answers_are_kept_as_far_as_there_is_room(inquiries):
    def asks(number: int) -> Inquiry:
        return Inquiry(number, lambda tell: number, KEPT_BYTES // 4)

    made = {}
    for number in range(6):
        (made[number],) = inquiries.want([asks(number)])
        made[number].answer.result(PATIENCE_SECONDS)
    assert [inquiries.want([asks(number)])[0] is made[number] for number in (5, 3)] == [True, True]
    assert inquiries.want([asks(0)])[0] is not made[0]
    large = [asks(number) for number in range(10, 20)]  # on one page: none of them is asked for ever
    assert [one.answer.result(PATIENCE_SECONDS) for one in inquiries.want(large)] == list(range(10, 20))
    assert inquiries.want([asks(number) for number in range(10, 20)]) == large
