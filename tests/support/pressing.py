"""Pressing what a page has drawn after what it is about has gone: the buttons of groups, and that nothing was done."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elsewhere import ANEW, GONE, everything, make_anew, rename, take_away
from opened import ran

# Keys that are pressed one after the other: the group's state, what happens to it meanwhile, what is said then.
ON_MONITOR = {
    ("resume", "confirm-resume"): ("stopped", take_away, GONE),
    ("retry", "confirm-retry"): ("stopped", make_anew, ANEW),
    ("remove", "confirm-remove"): ("stopped", rename, GONE),
    ("clone",): ("stopped", make_anew, ANEW),
    ("stop", "confirm-stop"): ("queued", make_anew, ANEW),
    ("queue", "move-first"): ("queued", take_away, GONE),
    ("queue", "move-last"): ("queued", make_anew, ANEW),
    ("queue", "set-priority"): ("queued", rename, GONE),
}
ON_OVERVIEW = {
    ("open-one",): (take_away, GONE),
    ("compare",): (rename, GONE),
    ("clone",): (take_away, GONE),
    ("note", "save-note"): (make_anew, ANEW),
    ("remove", "confirm-remove"): (make_anew, ANEW),
}


@contextmanager
def nothing_done(folder: Path, commands: list) -> Iterator[None]:
    before = everything(folder)
    yield
    assert (commands, everything(folder).keys() ^ before.keys()) == ([], set())
    assert everything(folder) == before


def press(app, *keys: str):
    """Press buttons in one run: AppTest runs the whole page, so a dialog is opened in the same run."""
    for key in keys:
        app.button(key=key).click()
    return ran(app)
