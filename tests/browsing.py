"""A server over a runs folder, and Chromium to look at it: what every story in a browser needs."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
PATIENCE_SECONDS = 120  # of a browser on a machine that trains meanwhile
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium, google-chrome or chromium-browser on PATH"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@contextmanager
def served(runs_dir: Path, killed: bool = False) -> Iterator[str]:
    """The address of a server over `runs_dir`, ended by its own pid, or killed."""
    port = free_port()
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
            ],
            cwd=ROOT,
            env=os.environ | {"COLORA_RUNS_DIR": str(runs_dir)},
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


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, as in a container, Chromium starts only without its sandbox.
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *QUIET])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A tab; at the end it must have seen no script or console error, traceback or foreign host."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    tab, errors = context.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    # Opened below the root, Streamlit first looks for its server there (404), then where it is.
    tab.on(
        "console",
        lambda m: (
            errors.append(f"{m.text} {m.location}")
            if m.type == "error" and "/_stcore/" not in str(m.location)
            else None
        ),
    )
    tab.on(
        "request",
        lambda r: errors.append(r.url) if r.url.startswith("http") and "://localhost:" not in r.url else None,
    )
    yield tab
    assert not errors
    assert tab.locator('[data-testid="stException"]').count() == 0
    context.close()


def idle(page) -> None:
    """Until the page's script has run to its end."""
    page.wait_for_selector('.stApp[data-test-script-state="notRunning"]')


def type_in(page, label: str, text: str, shown: str) -> None:
    """Type, leave the field, and wait for what the command then says; the page may go on counting."""
    field = page.get_by_label(label, exact=True)
    field.fill(text)
    field.press("Tab")
    page.get_by_text(shown).wait_for()
