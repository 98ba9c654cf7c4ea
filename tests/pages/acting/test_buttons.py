"""Which buttons there are, read from the pages themselves: each is among the harmless or acts on what was drawn, says
which action it takes, and is pressed in the tests beside this one."""

import ast
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from opened import ROOT
from pressing import ON_MONITOR, ON_OVERVIEW

from colora.settings.access import ACTIONS

HARMLESS = {
    "Train on your own scans": "only leads to another page",
    "Set up the quick look": "only leads to another page",
    "refresh": "draws the page anew",
    "clear": "takes filters away",
    "back": "leads to the grid",
    "step-back": "leads to another image",
    "step-on": "leads to another image",
    "like-this": "leads to the map",
    "clear-map": "takes a selection away",
    "previous": "turns over the grid",
    "next": "turns over the grid",
    "launch-button": "the disabled one",
    "verify-{target.id}": "reads, and bears the name of its file",
    "look-duplicates": "reads the images beside the page",
    "stop-looking": "ends that",
    "look-again": "asks the models again",
    "look-open-{number}": "leads to that image, large",
    "answer-{field}-{value}": "fills a field of the form it stands in",
    "instead-{one.instead}": "fills a field of the form it stands in",
    "instead-patients": "fills a field of the form it stands in",
    "Take that setting back": "fills a field of the form it stands in",
    "meant-{field}": "answers a question of the form it stands in",
    "again-{command}": "asks once more what a model takes",
    "show-anew": "draws the page anew",
    "sign-in-{name}": "leads to where one signs in",
    "sign-out": "ends one's own session",
    "show-frozen": "fills the fields of a question with the frozen one",
    "scans-back": "puts one's own scans back",
    "remove": "takes one's own scan out of the tab",
    "remove-all": "takes one's own scans out of the tab",
    "again": "asks once more what a scan is called",
    "stop-folder": "ends what predicts a folder",
    "seen-test": "takes away what was said",
    "stop-features": "ends what makes a group known",
    "stop-upload": "ends what this tab brings in",
    "keep-upload": "closes the dialog",
    "browse-{key}": "opens the picker of a path",
    "picker-place-{number}": "leads to another folder of the picker",
    "picker-up": "leads to another folder of the picker",
    "picker-above-{number}": "leads to another folder of the picker",
    "picker-into-{number}": "leads to another folder of the picker",
    "picker-previous": "turns over the picker's list",
    "picker-next": "turns over the picker's list",
    "picker-cancel": "closes the picker",
    "picker-take-{which}": "fills a field of the form it stands in",
    "take-fit-{fit['spec']}": "fills a field of the form it stands in",
    "verdict-import": "adds to the reader's own verdicts, whatever the group",
}
WIDGETS = ("button", "form_submit_button", "chat_input", "data_editor")


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a method or a function on the pages, with its name as it is written."""
    for file in [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]:
        if file.name != "acting.py":
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call):
                    yield ast.unparse(node.func), node


def key_of(call: ast.Call, position: int) -> str:
    """The button's key, or its label where it has none."""
    key = next((word.value for word in call.keywords if word.arg == "key"), None)
    key = key or (call.args[position] if len(call.args) > position else call.args[0])
    return ast.unparse(key).lstrip("f").strip("'\"")


def test_a_button_on_a_page_is_harmless_or_acts_on_what_was_drawn():
    plain = {
        key_of(call, 99) for name, call in calls() if name.rpartition(".")[2] in WIDGETS and name != "acting.button"
    }
    assert plain == set(HARMLESS)


def acting_keys() -> set[str]:
    found = {key_of(call, 2) for name, call in calls() if name == "acting.button"}
    found |= {key_of(call, 1) for name, call in calls() if name == "pressed"}
    return found - {"key"}  # which the function `pressed` of two toolbars hands on


def test_every_button_that_acts_is_pressed_here():
    pressed = {key for keys in (*ON_MONITOR, *ON_OVERVIEW) for key in keys}
    pressed |= {"undo", "put-back", "delete", "confirm-delete", "empty-trash", "train-on-cut", "remove-cut", "save-cut"}
    pressed |= {"launch-comparison", "train-now", "undo-cut", "launch-button", "cut-leaks", "freeze", "confirm-freeze"}
    pressed |= {"start-{target.id}", "cancel-{transfer.id}"}
    pressed |= {"features", "predict-folder"}  # in pages/predict
    pressed |= {"test", "stop-test", "remove-test", "undo-test"}  # in pages/test_external
    pressed |= {"remove-upload-{upload.name}", "confirm-remove-upload", "undo-upload"}  # in pages/test_uploading
    pressed |= {"add-columns"}  # in pages/test_subgroups
    assert acting_keys() == pressed


LEADS = {  # what a button of `acting` does that takes no action of `settings.access`
    "open-one": "leads to the group",
    "compare": "leads to Compare",
    "note": "opens the note, to read it too",
    "train-now": "leads to the Launch form",
}


def needed(name: str, call: ast.Call) -> str | None:
    """The action that a button says it does; "among others" where its options are put together beside it."""
    said = [word.value.value for word in call.keywords if word.arg == "needs" and isinstance(word.value, ast.Constant)]
    last = call.args[-1].value if name == "pressed" and isinstance(call.args[-1], ast.Constant) else None
    among = ["among others"] if any(word.arg is None for word in call.keywords) else []
    return (said or ([last] if last in ACTIONS else among) or [None])[0]


def test_every_button_that_acts_says_what_it_takes():
    places = {"acting.button": 2, "pressed": 1}
    found = {key_of(call, places[name]): needed(name, call) for name, call in calls() if name in places}
    found.pop("key")  # which the function `pressed` of two toolbars hands on, with its action
    assert {key for key, action in found.items() if action is None} == set(LEADS)
    assert set(found.values()) <= {*ACTIONS, "among others", None}


def test_what_a_button_is_about_must_be_known(monkeypatch):
    from pages.components import acting

    monkeypatch.setattr(acting.st, "session_state", {})
    with pytest.raises(TypeError, match="SimpleNamespace"):
        acting.press("key", (SimpleNamespace(name="first"),))
