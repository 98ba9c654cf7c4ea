"""A server over a runs folder, and Chromium to look at it: what every story in a browser needs."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from colora.system.installation import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
PATIENCE_SECONDS = 120  # of a browser on a machine that trains meanwhile
SHOWN = 1500  # characters of a tab, where a story failed
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
AT_LEAVING = "Cannot send rerun backMessage when disconnected"  # a page that refreshes itself, at the moment it is left
EXCEPTION = "An exception on the page: "
TELL_EXCEPTIONS = f"""
    const told = new Set();
    new MutationObserver(() => {{
      for (const shown of document.querySelectorAll('[data-testid="stException"]')) {{
        if (!told.has(shown.textContent)) console.error("{EXCEPTION}" + shown.textContent);
        told.add(shown.textContent);
      }}
    }}).observe(document, {{childList: true, subtree: true}});
"""
IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium, google-chrome or chromium-browser on PATH"),
]
STORY = [*IN_BROWSER, pytest.mark.story]
ROW, TICK, NAME = 35, 16, 80  # pixels: height of a row of groups, and where in it the box and the name are


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@contextmanager
def served(
    runs_dir: Path,
    killed: bool = False,
    port: int | None = None,
    options: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[str]:
    """The address of a server over `runs_dir`, ended by its own pid, or killed. It must have written no traceback.
    `options` are Streamlit's."""
    port = port or free_port()
    log = runs_dir.parent / "server.log"
    with open(log, "wb") as out:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "streamlit",
                "run",
                "app.py",
                f"--server.port={port}",
                "--server.headless=true",
                *options,
            ],
            cwd=ROOT,
            env=os.environ | {"COLORA_RUNS_DIR": str(runs_dir)} | (environment or {}),
            stdout=out,
            stderr=out,
        )
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            try:
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2)
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://localhost:{port}"
    finally:
        server.kill() if killed else server.terminate()
        server.wait(PATIENCE_SECONDS)
    written = log.read_text(errors="replace")
    assert "Traceback (most recent call last)" not in written, written


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, as in a container, Chromium starts only without its sandbox.
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *QUIET])
        yield chromium
        chromium.close()


@contextmanager
def watched(browser, server_dies: bool = False, **options) -> Iterator:
    """A browser of its own, of which every tab must never see a script or console error, an exception drawn on a page,
    however briefly, or a foreign host. `server_dies`: what scripts and console say of that is no error."""
    usual = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
    context, errors = browser.new_context(**usual | options), []
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    context.add_init_script(TELL_EXCEPTIONS)

    def told(text: str, place: str = "") -> None:
        # Opened below the root, Streamlit first looks for its server there (404), then where it is.
        about_the_server = "/_stcore/" in place or (server_dies and not text.startswith(EXCEPTION))
        if not about_the_server and not text.startswith(AT_LEAVING):
            errors.append(f"{text} {place}")

    context.on("weberror", lambda error: told(str(error.error)))
    context.on("console", lambda m: told(m.text, str(m.location)) if m.type == "error" else None)
    context.on("request", lambda r: None if "://localhost:" in r.url or r.url[:4] != "http" else errors.append(r.url))
    try:
        yield context
        assert not errors, errors
    except Exception as error:
        error.add_note(on_screen(context))
        raise
    finally:
        context.close()


def on_screen(context) -> str:
    """What each tab shows, for whoever reads why a story failed."""
    told = []
    for page in context.pages:
        with suppress(Exception):  # it hangs: the story's own error is what counts
            page.set_default_timeout(5000)
            state = page.locator(".stApp").get_attribute("data-test-script-state")
            told.append(f"{page.url}, script {state}: {page.locator('body').inner_text()[:SHOWN]}")
    return f"On the screen: {told}"


@pytest.fixture
def page(browser):
    """A tab of a `watched` browser."""
    with watched(browser) as context:
        yield context.new_page()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function):
    """What a story's tab showed when it failed belongs to its error."""
    try:
        return (yield)
    except Exception as error:
        if (page := pyfuncitem.funcargs.get("page")) is not None and hasattr(page, "context"):
            error.add_note(on_screen(page.context))
        raise


def idle(page) -> None:
    """Until the page's script has run to its end."""
    page.wait_for_selector('.stApp[data-test-script-state="notRunning"]')


def tab_to(page, what, key: str = "Tab") -> None:
    """With the Tab key, until one of what a locator finds has the focus."""
    for _ in range(80):
        page.keyboard.press(key)
        if what.evaluate_all("(all) => all.includes(document.activeElement)"):
            return
    raise AssertionError(f"{key} never comes to {what}")


def choose(page, label: str, option: str) -> None:
    """Choose from a list, which may close again while the page is being renewed."""
    from playwright.sync_api import TimeoutError

    for _ in range(20):
        page.get_by_role("combobox", name=label).click()
        with suppress(TimeoutError):
            page.get_by_role("option", name=option).click(timeout=5000)
            return
    raise AssertionError(f"{label} never offered {option}")


def type_in(page, label: str, text: str, shown: str | re.Pattern) -> None:
    """Type, leave the field, and wait for what the command then says; the page may go on counting."""
    field = page.get_by_label(label, exact=True)
    field.fill(text)
    field.press("Tab")
    page.get_by_text(shown).wait_for()


def at_row(page, number: int, x: int) -> None:
    """Click into a row of the table of groups."""
    table = page.get_by_test_id("stDataFrame").first
    table.click(position={"x": x, "y": ROW * (number + 1) + ROW / 2})


def button(page, name: str):
    return page.get_by_role("button", name=name)
