"""No request leaves the computer but a download that someone asks for: not from the browser, not from the server, not
from what it starts; and no text of a run, an image or a file makes one, or runs."""

import os
import re
import subprocess
import sys
from urllib.parse import quote, urlencode

import pytest
from browsing import PATIENCE_SECONDS, STORY, idle, served, watched
from fabricate import CLASS_NAMES
from hostile import MARKUP, NAME, hostile_folder, hostile_runs
from queueing import wait_for
from serving import Site

from colora.runs.folder import Group
from colora.system.installation import ROOT
from pages.components.images.in_address import code

pytestmark = STORY
LEAVING = ROOT / "tests" / "support" / "leaving"
TRAINING_SECONDS = 600
ESTIMATED = re.compile("Rough: from a few training steps|The time is a range because the computer was busy")
IN_DOM = """() => {
    const found = [];
    const look = (root) => {
      for (const element of root.querySelectorAll("*")) {
        if (element.shadowRoot) look(element.shadowRoot);
        const link = element.getAttribute("href") ?? element.getAttribute("xlink:href") ?? "";
        const itself = decodeURIComponent(link) === element.textContent;  // an address that is written out
        if ([...element.attributes].some((one) => one.name.startsWith("on"))
            || /^\\s*javascript:/i.test(link)
            || (/^https?:..evil\\.example/i.test(link) && !itself)
            || /evil\\.example|^x$/.test(element.getAttribute("src") ?? "")
            || (element.closest("svg") && element.localName === "a")) found.push(element.outerHTML.slice(0, 300));
      }
    };
    look(document);
    return found;
}"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile")
    folder = hostile_folder(path)
    with served(hostile_runs(path / "runs")) as address:
        yield address, folder


@pytest.mark.parametrize(
    ("name", "query", "there"),
    [
        ("root", {"trash": "true"}, "What you remove|Empty the trash"),
        ("launch", {"clone": NAME, "cut": "mine"}, "What will run"),
        ("data", {"set": "A folder of your own", "images": ...}, "Samples of each class"),
        ("monitor", {"group": NAME}, "Accuracy|The curves begin"),
        ("monitor", {"group": "far"}, "The curves begin|Accuracy"),
        ("compare", {"groups": f"{NAME},two"}, "Side by side"),
        ("evaluate", {"group": NAME}, "Each class against the rest"),
        ("evaluate", {"group": "two"}, "Each class against the rest"),
        ("images", {"group": NAME}, "From rank"),
        ("images", {"group": NAME, "image": f"train-0000 {MARKUP}"}, "Neighbours in rank"),
        ("images", {"group": NAME, "view": "Figures 11 and 12"}, "cannot be shown|figure 11"),
        ("images", {"group": NAME, "view": "Verdicts"}, "Verdicts of each reader"),
        ("distil", {"group": NAME}, "Saved cuts"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 10 else "",
)
def test_no_text_of_a_run_or_a_file_becomes_part_of_a_page(browser, hostile, name, query, there):
    address, folder = hostile
    query = {key: str(folder) if value is ... else value for key, value in query.items()}
    asked, dialogs, sockets = [], [], []
    with watched(browser) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: sockets.append(socket.url))
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(f"{address}/{name.removeprefix('root')}?" + urlencode(query))
        page.get_by_text(re.compile(there)).first.wait_for()
        if name == "root":  # which goes on while a group runs
            page.wait_for_function("() => document.querySelector('td')")
        else:
            idle(page)
        shown = page.locator('[data-testid="stMain"]').inner_text()
        for figure in page.locator(".js-plotly-plot").all():
            figure.scroll_into_view_if_needed()
            figure.hover()
        found = page.evaluate(IN_DOM)
        assert not found and not dialogs
    own = tuple(f"{scheme}://{address.partition('://')[2]}/" for scheme in ("http", "ws"))
    assert not [url for url in asked + sockets if not url.startswith((*own, "data:", "blob:"))]
    assert name in ("root", "launch") or "onerror=alert(1)" in shown or "far" in shown


def test_a_figure_shows_a_hostile_class_as_it_is(page, hostile):
    page.goto(f"{hostile[0]}/evaluate?group={quote(NAME)}")
    page.get_by_text("Each class against the rest").wait_for()
    idle(page)
    matrix = page.locator(".js-plotly-plot").filter(has_text="Predicted class").first
    matrix.scroll_into_view_if_needed()
    ticks = matrix.locator(".ytick text").all_text_contents()
    assert ticks and set(ticks) <= {f"{name} {MARKUP}" for name in CLASS_NAMES}


@pytest.fixture
def leaving(tmp_path, monkeypatch):
    """The file in which every Python process that the test starts writes down what it asks of other computers."""
    file = tmp_path / "leaving.txt"
    monkeypatch.setenv("COLORA_TEST_LEAVING", str(file))
    monkeypatch.setenv("PYTHONPATH", f"{LEAVING}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return file


def test_what_leaves_would_be_seen(leaving):
    ask = "import socket; s = socket.socket(); s.settimeout(0.01); s.connect_ex(('192.0.2.1', 9))"
    subprocess.run([sys.executable, "-c", ask], check=True, timeout=PATIENCE_SECONDS)
    assert leaving.read_text().startswith("socket.connect ('192.0.2.1', 9) by -c")


def test_from_the_launch_to_the_last_page_nothing_leaves(browser, leaving, tmp_path):
    (tmp_path / "runs").mkdir(mode=0o700)
    site = Site(tmp_path / "runs")
    site.start()
    try:
        with watched(browser) as context:
            page, sockets = context.new_page(), []
            page.on("websocket", lambda socket: sockets.append(socket.url))
            page.goto(f"{site.address}/launch?start=quick-look")
            page.get_by_label("Name", exact=True).fill("small")
            page.get_by_label("Epochs", exact=True).fill("1")
            page.get_by_label("Epochs", exact=True).press("Enter")
            page.get_by_label("Random seeds", exact=True).fill("0")
            page.get_by_label("Random seeds", exact=True).press("Enter")
            page.get_by_text("Seed 0, 1 epoch").wait_for()
            page.get_by_text(ESTIMATED).wait_for(timeout=1000 * TRAINING_SECONDS)
            idle(page)
            page.get_by_role("button", name="Launch", exact=True).click()
            page.wait_for_url("**/monitor?group=small*", timeout=1000 * TRAINING_SECONDS)
            wait_for(lambda: Group(site.runs_dir / "small").state == "done", TRAINING_SECONDS)
            page.get_by_text("1 of 1 seeds done").wait_for()
            run = Group(site.runs_dir / "small").runs[0]
            images, checksum = run.predictions("train")["image_id"], run.resolved.data_checksum
            for name, there in (
                ("", "This computer"),
                ("launch", "Still to be said"),
                ("launch?start=quick-look", ESTIMATED),
                ("data", "ImageNet weights"),
                ("data?set=Generated+images+(SYNTHETIC)", "Samples of each class"),
                ("compare?groups=small", "Groups of runs"),
                ("evaluate?group=small", "Each class against the rest"),
                ("images?group=small", "From rank"),
                (f"images?group=small&image={code(checksum, images.iloc[0])}", "Neighbours in rank"),
                ("images?group=small&view=Figures+11+and+12", "figure 11"),
                ("images?group=small&view=Verdicts", "They hold for these data"),
                ("distil?group=small", "Saved cuts"),
            ):
                page.goto(f"{site.address}/{name}")
                page.get_by_text(there).first.wait_for()
                idle(page)
            assert not [url for url in sockets if not url.startswith(site.address.replace("http", "ws"))]
    finally:
        site.kill()
    heard = leaving.with_name("leaving.txt.heard").read_text()
    started = ("streamlit", "colora", "colora.queue.guard", "colora.queue.detach")
    assert all(f"'{module}'" in heard for module in started)
    assert not leaving.exists(), leaving.read_text()
    log = site.log.read_text()
    assert not [name for name in (*images, code(checksum, images.iloc[0])) if name in log]
