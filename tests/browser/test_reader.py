"""Who judged what, where two people and a terminal share a server that is killed under their open pages."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pandas as pd
import pytest
from browsing import ROOT, STORY, choose, idle, watched
from fabricate import fabricate
from serving import Site

from colora.distillation.verdicts import journal
from pages.components.images.in_address import code

pytestmark = STORY
IMAGE = "train-0003"
NAMED = code("0" * 64, IMAGE)  # in an address


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    fabricate(tmp_path / "runs", "shared", ["done"])
    site = Site(tmp_path / "runs")
    site.start()
    yield site
    site.kill()


def ready(tab) -> None:
    """The picture is painted, and the page knows who reads."""
    tab.locator("canvas[data-ready]").wait_for()
    tab.locator(".verdicts button:enabled").first.wait_for()
    idle(tab)


def open_image(site: Site, tab, image: str = IMAGE):
    tab.goto(f"{site.address}/images?group=shared&image={image}")
    ready(tab)
    return tab


def you(tab, name: str):
    return tab.get_by_role("button", name=f"You are {name}", exact=True)


def call_oneself(tab, name: str) -> None:
    tab.get_by_role("button", name="You are").click()
    tab.get_by_label("Reader", exact=True).fill(name)
    tab.get_by_label("Reader", exact=True).press("Enter")
    you(tab, name).wait_for()
    tab.keyboard.press("Escape")
    tab.get_by_test_id("stPopoverBody").wait_for(state="detached")
    ready(tab)


def note(tab):
    return tab.locator(".noted input")


def has_note(tab, text: str) -> None:
    tab.wait_for_function(
        """(text) => [...document.querySelectorAll("[data-testid=stBidiComponentIsolated]")]
          .some((host) => host.shadowRoot?.querySelector(".noted input")?.value === text)""",
        arg=text,
    )


def drafts(tab) -> list[str]:
    """All that the browser keeps of notes, names and values."""
    kept = tab.evaluate("Object.entries(localStorage).flat().filter((text) => text.includes('note'))")
    return sorted(kept)


def press(tab, verdict: str) -> None:
    tab.locator(".verdicts").get_by_role("button", name=verdict.partition(",")[0]).click()
    stands(tab, verdict)


def stands(tab, verdict: str) -> None:
    tab.locator(".standing", has_text=f"Your verdict: {verdict}").wait_for()
    idle(tab)


def on_to(tab, key: str, image: str) -> None:
    tab.locator("canvas").focus()
    tab.keyboard.press(key)
    tab.locator(f"canvas[data-ready='{image}']").wait_for()
    ready(tab)


def neighbour(tab) -> str:
    """The next image's id; the tab goes there."""
    tab.locator("canvas").focus()
    tab.keyboard.press("ArrowRight")
    tab.locator(f"canvas[data-ready]:not([data-ready='{IMAGE}'])").wait_for()
    ready(tab)
    return tab.locator("canvas").get_attribute("data-ready")


def listed(site: Site) -> list[tuple[str, str, str, str]]:
    """What a terminal says: reader, image, verdict, note."""
    file = site.runs_dir.parent / "verdicts.csv"
    command = [sys.executable, "-m", "colora", "verdicts", "export", str(file), "--runs-dir", str(site.runs_dir)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    table = pd.read_csv(file, keep_default_na=False)
    return list(table[["reader", "image_id", "verdict", "note"]].itertuples(index=False, name=None))


def agreed(tab) -> str:
    """The number of the session in which page and server agree on who reads."""
    return tab.locator("span[data-agreed]").get_attribute("data-agreed")


def restart(site: Site, *tabs) -> None:
    """Kill the server under open pages, start another one, and wait until that has drawn them."""
    before = [agreed(tab) for tab in tabs]
    site.kill()
    site.start()
    for tab, number in zip(tabs, before, strict=True):
        tab.locator(f"span[data-agreed]:not([data-agreed=''], [data-agreed='{number}'])").wait_for(state="attached")
        ready(tab)


def test_every_verdict_is_its_readers_and_notes_are_there_again_when_the_server_was_killed(browser, site):
    with ExitStack() as stack:
        annas, bens = (stack.enter_context(watched(browser, server_dies=True)) for _ in range(2))
        anna, ben = (open_image(site, context.new_page()) for context in (annas, bens))
        call_oneself(anna, "anna")
        call_oneself(ben, "ben")
        press(ben, "Artefact")
        note(anna).fill("a cyst, perh")  # half-written: nobody has left the field
        choose(anna, "The right class, of a wrong label", "DME")
        restart(site, anna, ben)
        you(anna, "anna").wait_for()
        has_note(anna, "a cyst, perh")
        press(anna, "Wrong label, rather DME")
        anna.locator(".undo").click()
        stands(anna, "none yet")
        has_note(anna, "a cyst, perh")  # for another verdict
        second = neighbour(anna)
        note(anna).fill("of the second")
        on_to(anna, "ArrowLeft", IMAGE)
        has_note(anna, "a cyst, perh")
        anna.reload()
        ready(anna)
        has_note(anna, "a cyst, perh")
        note(anna).fill("a cyst, perhaps")
        press(anna, "Truly hard")
        press(ben, "Fine")
        assert listed(site) == [
            ("anna", IMAGE, "hard", "a cyst, perhaps"),
            ("ben", IMAGE, "fine", ""),
        ]
        has_note(anna, "a cyst, perhaps")  # that of the verdict that stands
        assert sum("note" in text for text in drafts(anna)) == 2  # of the second image alone: a name and a value
        assert not any(IMAGE in text or second in text or "anna" in text for text in drafts(anna))

        anna_again = open_image(site, annas.new_page(), second)
        you(anna_again, "anna").wait_for()  # a new tab of the same browser
        has_note(anna_again, "of the second")
        restart(site, anna, ben, anna_again)
        anna.locator(".undo:enabled").click()  # given in this tab, by whichever server
        stands(anna, "none yet")
        ben.locator(".undo:enabled").click()
        stands(ben, "Artefact")
        assert listed(site) == [("ben", IMAGE, "artefact", "")]
    files = sorted(path.name for path in (site.runs_dir / ".colora" / "verdicts").glob("*.jsonl"))
    assert files == ["anna.jsonl", "ben.jsonl"]


def test_undo_takes_back_what_its_own_tab_did_and_nothing_else(browser, site):
    with watched(browser) as context:
        first, second = (context.new_page() for _ in range(2))
        open_image(site, first)
        call_oneself(first, "anna")
        press(first, "Fine")
        open_image(site, second)
        you(second, "anna").wait_for()
        stands(second, "Fine")
        assert second.locator(".undo").is_disabled()
        assert "was not given in this tab" in second.locator(".undo").get_attribute("title")
        press(second, "Truly hard")
        first.locator(".undo").click()  # which still shows the verdict before
        first.get_by_text("Nothing was taken back: anna has judged this image anew since, truly hard").wait_for()
        stands(first, "Truly hard")
        assert first.locator(".undo").is_disabled()
        second.locator(".undo").click()
        stands(second, "Fine")
        assert second.locator(".undo").is_disabled()  # the one before is the first tab's
        press(first, "Artefact")  # its next turn
        first.locator(".undo").click()
        stands(first, "Fine")
        first.locator(".undo").click()
        stands(first, "none yet")
    assert [event["action"] for event in journal(site.runs_dir, "anna").events].count("undo") == 3


def test_keys_belong_to_what_lies_over_the_image(page, site):
    tab = open_image(site, page)
    tab.get_by_role("button", name="You are").click()
    field = tab.get_by_label("Reader", exact=True)
    field.fill("not / a name")
    field.press("Enter")
    tab.get_by_text("'not / a name' cannot name a reader").wait_for()
    field.fill("anna")
    field.press("Tab")  # out of the field, into nothing
    you(tab, "anna").wait_for()
    idle(tab)
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Escape")
    tab.get_by_test_id("stPopoverBody").wait_for(state="detached")
    tab.get_by_role("combobox", name="The right class").click()
    tab.get_by_role("listbox").wait_for()
    tab.keyboard.press("Escape")
    tab.get_by_role("listbox").wait_for(state="detached")
    note(tab).fill("a cyst")
    note(tab).press("Escape")  # leaves the field
    note(tab).press("ArrowLeft")
    idle(tab)
    assert tab.locator("canvas").get_attribute("data-ready") == IMAGE and f"image={NAMED}" in tab.url
    has_note(tab, "a cyst")
    tab.locator("canvas").focus()
    tab.keyboard.press("Escape")
    tab.locator(".tile").first.wait_for()
    tab.wait_for_function("() => !location.href.includes('image=')")


def test_a_browser_keeps_the_last_hundred_notes(page, site):
    tab = open_image(site, page)
    tab.evaluate(
        """() => {
          for (let i = 0; i < 130; i++) localStorage.setItem(`colora.note.${i}`, JSON.stringify({ note: "x", at: i }));
        }"""
    )
    note(tab).fill("a cyst")
    kept = "Object.keys(localStorage).filter((name) => name.startsWith('colora.note.')).map((name) => name.slice(12))"
    names = tab.evaluate(kept)
    own = [name for name in names if not name.isdecimal() or len(name) > 3]
    assert len(names) == 100 and len(own) == 1 and set(names) - set(own) == {str(i) for i in range(31, 130)}
    press(tab, "Fine")
    assert own[0] not in tab.evaluate(kept) and len(tab.evaluate(kept)) == 99
