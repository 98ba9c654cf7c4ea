"""The app's real server and real browsers over the queue: killed at random moments, and many hands at once.

`make test-kill` has the long versions.
"""

import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from browsing import IN_BROWSER, type_in, watched
from queueing import Lab, busy, promised, wait_for
from serving import ROOT, Site, trainers

from colora.queue import order
from colora.queue.actions import resume, stop
from colora.queue.supervisor import supervising
from colora.runs.folder import STATES, Group, Run, create_group, read_json, read_json_lines, write_json
from colora.runs.listing import list_groups
from colora.settings.config import make_config
from colora.settings.presets import QUICK_LOOK
from colora.system.errors import UserError

pytestmark = [
    *IN_BROWSER,
    pytest.mark.skipif(sys.platform != "linux", reason="process groups are killed as on Linux"),
]
RIGHT_WITHIN_SECONDS = 3  # with nothing but the training beside it: a busier machine is given more
EPOCHS = 25
WAYS = ("stop", "resume", "retry", "rm", "undo", "move")


def rounds(short: int, loop: int) -> pytest.MarkDecorator:
    long = pytest.param(loop, id="loop", marks=[pytest.mark.kill, pytest.mark.slow])
    return pytest.mark.parametrize("rounds", [pytest.param(short, id="short", marks=pytest.mark.story), long])


@pytest.fixture
def site(lab) -> Iterator[Site]:
    site = Site(lab.runs_dir)
    site.start()
    yield site
    site.kill()


@pytest.fixture
def tab(browser) -> Iterator[Callable]:
    """Opens a tab, each of a browser of its own."""
    with ExitStack() as contexts:

        def opened(server_dies: bool):
            page = contexts.enter_context(watched(browser, server_dies)).new_page()
            page.set_default_timeout(30_000 * busy())
            return page

        yield opened


def press_launch(page, site: Site, epochs: int) -> str:
    """Fill in the Launch page's quick look, small, and press Launch; returns the name of the group."""
    page.goto(f"{site.address}/launch")
    page.get_by_text("python -m colora launch --name quick-look").wait_for()
    type_in(page, "Random seeds", "0-2", "--seeds 0-2")
    type_in(page, "Image size", "32", "--image-size 32")
    type_in(page, "Epochs", str(epochs), f"--epochs {epochs}")
    name = page.get_by_label("Name", exact=True).input_value()
    page.get_by_role("button", name="Launch", exact=True).click()
    return name


def launch_here(page, site: Site, epochs: int) -> Group:
    name = press_launch(page, site, epochs)
    page.wait_for_url(f"**/monitor?group={name}", timeout=120_000 * busy())
    return Group(site.runs_dir / name)


def begin_here(page, site: Site, epochs: int) -> Group:
    """The same group, queued but started by nobody until Monitor looks: quicker than the form."""
    config = make_config(dict(QUICK_LOOK.values) | {"image_size": 32, "epochs": epochs})
    group = create_group(site.runs_dir, "begun", config, [0, 1, 2], order.last_place(site.runs_dir))
    page.goto(f"{site.address}/monitor?group=begun")
    return group


def epochs(group: Group) -> list[int]:
    """Finished epochs of each seed, which must be 1, 2, 3 and so on, each once."""
    found = [[row["epoch"] for row in read_json_lines(run.path / "metrics.jsonl")] for run in group.runs]
    assert found == [list(range(1, len(each) + 1)) for each in found]
    return [len(each) for each in found]


def what_is_true(group: Group) -> tuple[str, int]:
    """(the group's state, seeds done), from the system's own list of processes and the bare files."""

    def written() -> list[str]:
        return [read_json(run.path / "status.json")["state"] for run in group.runs]

    while True:  # files and processes of one moment: what begins or ends between two looks is looked at again
        before, living = written(), trainers(group.path.parent)
        guarded = trainers(group.path.parent, guards=True)
        if before == written():
            break
    assert all(len(pids) == 1 for pids in living.values()), living
    states = []
    for run, state in zip(group.runs, before, strict=True):
        name = f"{group.name}/{run.path.name}"
        lives = name in living or (state == "starting" and name in guarded)  # its guard has yet to start it
        states.append(state if lives or state in ("queued", "done") else "gone")
    done = states.count("done")
    if done == len(states):
        return "done", done
    if "running" in states or (done and "gone" not in states):
        return "running", done
    return next((state for state in ("starting", "gone") if state in states), "queued"), done


def shown(page) -> tuple[str, int]:
    """The same, as Monitor shows it."""
    badges = [text.split()[-1] for text in page.locator(".stMarkdownBadge").all_text_contents()]
    done = page.get_by_text(" seeds done").first.text_content().split(" of ")[0]
    return next(badge for badge in badges if badge in STATES), int(done)


def seconds_until_right(page, site: Site, group: Group, begin: float) -> float:
    """From `begin` until Monitor shows what is true."""
    page.goto(f"{site.address}/monitor?group={group.name}")
    page.get_by_text(" seeds done").first.wait_for()
    while shown(page) != what_is_true(group):
        assert time.monotonic() - begin < 120 * busy(), (shown(page), what_is_true(group))
        time.sleep(0.05)
    return time.monotonic() - begin


@rounds(short=1, loop=20)
def test_the_real_server_is_killed_with_its_process_group(tab, lab, site, rounds):
    """It has launched the group; supervisor and runs do not notice, and the next server shows them as they are."""
    page, group, least, late = tab(server_dies=True), None, [0, 0, 0], []
    for _ in range(rounds):
        if group is None or not group.active:
            group = launch_here(page, site, epochs=EPOCHS) if rounds > 2 else begin_here(page, site, epochs=400)
            least = [0, 0, 0]
            wait_for(lambda: supervising(lab.runs_dir))
        supervisor = supervising(lab.runs_dir)
        time.sleep(random.uniform(0, 2))
        before = trainers(lab.runs_dir)
        site.kill()
        assert what_is_true(group)[0] != "gone"
        site.start()
        late.append(seconds_until_right(page, site, group, time.monotonic()))
        assert late[-1] < promised(RIGHT_WITHIN_SECONDS, rounds), late
        now = epochs(group)
        assert all(here >= there for here, there in zip(now, least, strict=True))
        least, after = now, trainers(lab.runs_dir)
        for name, pids in before.items():
            assert after.get(name) == pids or Run(lab.runs_dir / name).state == "done"
        assert supervising(lab.runs_dir) == supervisor
        group = Group(group.path)
    if rounds > 2:
        wait_for(lambda: Group(group.path).state == "done", 300 * busy())
        assert epochs(group) == [EPOCHS] * 3
    else:
        wait_for(lambda: sum(epochs(group)) > sum(least), 60 * busy())  # it still trains
        assert set(stop(Group(group.path)).values()) <= {"stopped", "done"}
    print(f"right after {[round(seconds, 1) for seconds in late]} s, load {os.getloadavg()}")


@pytest.mark.kill
@pytest.mark.slow
def test_the_real_server_is_killed_while_it_launches(tab, lab, site):
    """Then there is the whole group, which somebody starts or Resume does, or none and its name is free."""
    page, there = tab(server_dies=True), []
    for number in range(20):
        name = press_launch(page, site, epochs=2)
        time.sleep(random.uniform(0, 8))
        site.kill()
        groups = {group.name: group for group in list_groups(lab.runs_dir)}
        there.append(name in groups)
        assert {path.name for path in lab.runs_dir.iterdir() if path.name[0] != "."} == set(groups)
        if name in groups:
            group = groups[name]
            assert {run.state for run in group.runs} <= {"queued", "starting", "running", "done"}
            if not supervising(lab.runs_dir):
                resume(group)
            if number % 5 == 4:
                wait_for(lambda group=group: Group(group.path).state == "done", 300)
                assert epochs(group) == [2, 2, 2]
            elif Group(group.path).active:
                stop(group)
        site.start()
    print(f"{sum(there)} of {len(there)} were launched before the kill")


class Watch(threading.Thread):
    """Looks all the time for two processes of one run."""

    def __init__(self, lab: Lab):
        super().__init__(daemon=True)
        self.lab, self.ended, self.doubled, self.looks = lab, threading.Event(), [], 0

    def run(self) -> None:
        while not self.ended.wait(0.2):
            self.looks += 1
            self.doubled += [found for found in trainers(self.lab.runs_dir).items() if len(found[1]) > 1]


def command(lab: Lab, way: str) -> subprocess.Popen:
    arguments = {"undo": ["rm", "--undo"], "move": ["queue", "move", "g", "--first"]}.get(way, [way])
    place = ["--runs-dir", str(lab.runs_dir)] if way == "move" else [str(lab.runs_dir / "g")]
    return subprocess.Popen(
        [sys.executable, "-m", "colora", *arguments, *place, "--json"],
        cwd=ROOT,
        env=os.environ | {"COLORA_USER": "terminal"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def press_something(page) -> str | None:
    """Press one of Monitor's buttons, confirmed where it asks; None where there was none, or it went away."""
    from playwright.sync_api import Error

    buttons = {key: page.locator(f".st-key-{key} button") for key in ("stop", "resume", "retry", "remove")}
    try:
        page.locator(", ".join(f".st-key-{key} button" for key in buttons)).first.wait_for(timeout=5000 * busy())
        if not (there := [key for key, button in buttons.items() if button.count()]):
            return None
        key = random.choices(there, [1 if key == "remove" else 4 for key in there])[0]  # else little else happens
        buttons[key].first.click(timeout=5000 * busy())
        page.locator(f".st-key-confirm-{key} button").first.click(timeout=5000 * busy())
        return key
    except Error:  # the other browser or the terminal was faster
        return None


def back_again(lab: Lab) -> bool:
    """Whether the group is there and active; else brings it back, for a click may take effect late."""
    if not (lab.runs_dir / "g").exists():
        assert command(lab, "undo").wait(60 * busy()) == 0
        return False
    with suppress(UserError):  # removed or resumed between two looks
        if Group(lab.runs_dir / "g").active:
            return True
        resume(Group(lab.runs_dir / "g"))
    return False


def whole_or_gone(lab: Lab) -> bool:
    """Nothing of the group is damaged, but for the moment at which a seed is begun anew."""
    with suppress(UserError):
        return "damaged" not in [run.state for run in Group(lab.runs_dir / "g").runs]
    return not (lab.runs_dir / "g").exists()


@rounds(short=2, loop=20)
def test_two_browsers_and_a_terminal_act_at_once(tab, lab, site, rounds):
    """Never a traceback, a damaged folder or two processes for one run; who comes too late reads a sentence."""
    group = lab.group("g", 3, epochs=10_000, seconds=2)
    write_json(group.path / "plan.json", {"epochs": 10_000, "seconds": 2})  # for what begins anew
    lab.supervise(slots=2, term_after=20, kill_after=5, linger=600)
    lab.until(group, "running", "running", "queued")
    watch = Watch(lab)
    watch.start()
    pages, said, pressed = [tab(server_dies=False) for _ in range(2)], [], []
    try:
        for number in range(rounds + 10):
            if number >= rounds and any(pressed):  # on a slow machine the terminal may have been faster all the time
                break
            if not (lab.runs_dir / "g").exists():
                assert command(lab, "undo").wait(60 * busy()) == 0
            for page in pages:
                page.goto(f"{site.address}/monitor?group=g")
                page.get_by_text(re.compile("seeds done|no run has been launched")).first.wait_for()
            terminals = [command(lab, way) for way in random.sample(WAYS, 1 + number % 2, counts=[3, 3, 3, 1, 1, 1])]
            pressed += [press_something(page) for page in pages]
            for terminal in terminals:
                out, err = terminal.communicate(timeout=120 * busy())
                assert terminal.returncode in (0, 2), err
                assert err.count("\n") == (terminal.returncode == 2) and "Traceback" not in err
                if terminal.returncode == 0:
                    json.loads(out)
                said.append(err.strip())
            for page in pages:
                spinner = page.get_by_test_id("stSpinner").first
                # A stop waits 90 s at most; the page may go on refreshing itself.
                spinner.wait_for(state="hidden", timeout=120_000 * busy())
                said += page.get_by_test_id("stAlert").all_text_contents()
            wait_for(lambda: whole_or_gone(lab), 60 * busy())
        wait_for(lambda: back_again(lab), 60 * busy())
        before = sum(epochs(group))
        wait_for(lambda: back_again(lab) and sum(epochs(group)) > before, 60 * busy())
    finally:
        watch.ended.set()
        watch.join()
    assert not watch.doubled and watch.looks > 10
    assert any(pressed), pressed
    assert "Traceback" not in site.log.read_text()
    assert set(stop(Group(group.path)).values()) == {"stopped"}
    assert not trainers(lab.runs_dir)
    print(f"pressed {[key for key in pressed if key]}", *sorted({line for line in said if line}), sep="\n")
