"""Under every button that acts, what it is about goes away before it is pressed: nothing is touched, and it says so.

Which buttons there are is read from the pages themselves, so that a new one has to be here, or among the harmless.
"""

import ast
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from elsewhere import ANEW, GONE, everything, make_anew, rename, take_away
from fabricate import fabricate
from host import download_told
from opened import ROOT, opener, ran, texts
from ticking import tick, tick_in_trash

from colora.data.cuts import list_cuts, read_cut, remove_cut, same_cut, save_cut
from colora.data.rules import make_rule
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.runs import trash
from colora.runs.folder import Group, own_process
from colora.settings.access import ACTIONS
from colora.system.errors import UserError

HARMLESS = {
    "Set up the quick look": "only leads to another page",
    "refresh": "draws the page anew",
    "clear": "takes filters away",
    "back": "leads to the grid",
    "step-back": "leads to another image",
    "step-on": "leads to another image",
    "previous": "turns over the grid",
    "next": "turns over the grid",
    "launch-button": "the disabled one",
    "verify-{target.id}": "reads, and bears the name of its file",
    "again-{command}": "asks once more what a model takes",
    "show-anew": "draws the page anew",
    "sign-in-{name}": "leads to where one signs in",
    "sign-out": "ends one's own session",
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


# ---- what goes away, and how


@contextmanager
def nothing_done(folder: Path, commands: list) -> Iterator[None]:
    before = everything(folder)
    yield
    assert (commands, everything(folder).keys() ^ before.keys()) == ([], set())
    assert everything(folder) == before


@pytest.fixture
def commands(monkeypatch) -> list:
    """What pages ask the command line for, and it does not do."""
    asked: list = []
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: asked.append(arguments))
    return asked


@pytest.fixture
def open_page(monkeypatch, tmp_path, commands) -> Callable:
    """Pages over `runs`: the group that a page shows, `first`, and another one that is not the newest."""
    page_of = opener(monkeypatch, tmp_path / "runs")
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: commands.append(arguments))
    return page_of


@pytest.fixture
def runs(tmp_path) -> Path:
    fabricate(tmp_path / "runs", "other", ["stopped", "queued"])
    return tmp_path / "runs"


def press(app, *keys: str):
    """Press buttons in one run: AppTest runs the whole page, so a dialog is opened in the same run."""
    for key in keys:
        app.button(key=key).click()
    return ran(app)


# ---- groups

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


@pytest.mark.parametrize("keys", ON_MONITOR, ids=lambda keys: keys[-1])
def test_monitor_acts_on_the_group_that_it_showed_or_on_none(open_page, runs, commands, keys):
    state, goes, says = ON_MONITOR[keys]
    group = fabricate(runs, "first", [state])
    app = open_page("monitor", "first")
    if len(keys) > 1:
        press(app, keys[0])
    goes(group)
    fabricate(runs, "newest", ["stopped", "queued"])
    with nothing_done(runs, commands):
        press(app, *keys)
    assert f"first {says}" in texts(app) and app.header[0].value == "Monitor"
    if says == GONE:  # and no other group is shown in its place
        assert not app.button and app.selectbox(key="group").value is None
        assert "**first** was removed elsewhere meanwhile. Choose another group." in texts(app)
        app.selectbox(key="group").set_value("other")
        assert "resume" in [button.key for button in ran(app).button] and "meanwhile" not in texts(app)
    else:
        assert "**first** was made anew elsewhere: this is the new one." in texts(app)
        assert "anew elsewhere" not in texts(ran(app))


@pytest.mark.parametrize("keys", ON_OVERVIEW, ids=lambda keys: keys[-1])
def test_overview_acts_on_the_ticked_groups_or_on_none(open_page, runs, commands, keys):
    goes, says = ON_OVERVIEW[keys]
    group = fabricate(runs, "first", ["stopped"])
    app = tick(open_page("overview"), *(["first", "other"] if keys == ("compare",) else ["first"]))
    if len(keys) > 1:
        press(app, keys[0])
    goes(group)
    fabricate(runs, "newest", ["stopped"])
    with nothing_done(runs, commands):
        press(app, *keys)
    assert f"first {says}" in texts(app) and app.header[0].value == "Groups of runs"


def press_name(app, row: int):
    """As pressing a name in the table does."""
    widget = app.dataframe[0].proto.button_click_widgets["Group"]
    tree, states = app._tree, app._tree.get_widget_states

    def with_it():
        found = states()
        found.widgets.add(id=widget).string_trigger_value.data = json.dumps({"row": row, "label": "x"})
        return found

    tree.get_widget_states = with_it
    return ran(app)


def test_a_name_in_the_table_opens_the_group_that_stood_there(open_page, runs):
    group = fabricate(runs, "first", ["stopped"])
    app = open_page("overview")
    assert list(app.dataframe[0].value["Group"]) == ["first", "other"]
    fabricate(runs, "newest", ["stopped"])  # each stands one row lower now
    assert press_name(app, 0).query_params["group"] == "first"
    app = open_page("overview")
    take_away(group)
    app = press_name(app, 1)
    assert f"first {GONE}" in texts(app) and app.header[0].value == "Groups of runs"


def test_a_group_that_was_ticked_is_still_meant_when_others_come(open_page, runs, commands):
    fabricate(runs, "first", ["stopped"])
    app = press(tick(open_page("overview"), "first"), "remove")
    fabricate(runs, "newest", ["stopped"])
    app.button(key="remove").click()
    assert "**first** will go to the trash" in texts(ran(app)) and not commands


def test_each_page_without_its_group_shows_no_other(open_page, runs):
    group = fabricate(runs, "first", ["done"])
    pages = {page: open_page(page, "first") for page in ("monitor", "evaluate", "images", "distil")}
    take_away(group)
    for page, app in pages.items():
        assert "**first** was removed elsewhere meanwhile. Choose another group." in texts(ran(app)), page
        assert app.selectbox(key="group").value is None and not app.button and app.query_params["group"] == "first"
    trash.restore(runs, "first")
    assert ran(app).selectbox(key="group").value == "first" and "meanwhile" not in texts(app)


# ---- the trash


def removed_on_overview(app, runs: Path, monkeypatch):
    def really(arguments, timeout=0):
        return {"trash": str(trash.remove(Group(Path(arguments[1]))))}

    monkeypatch.setattr("pages.components.command.run_colora", really)
    return press(press(tick(app, "first"), "remove"), "remove", "confirm-remove")


def test_undo_brings_back_what_was_removed_here_and_nothing_of_its_name(open_page, runs, commands, monkeypatch):
    fabricate(runs, "first", ["stopped"])
    app = removed_on_overview(open_page("overview"), runs, monkeypatch)
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: commands.append(arguments))
    trash.put_back(runs, trash.listed(runs)[0], "back")
    take_away(fabricate(runs, "first", ["done"]))  # another one of its name
    with nothing_done(runs, commands):
        press(app, "undo")
    assert "first is not in the trash any more" in texts(app)


@pytest.mark.parametrize("keys", [("put-back",), ("delete", "confirm-delete"), ("empty-trash", "confirm-delete")])
def test_the_trash_acts_on_its_entries_as_they_were_drawn(open_page, runs, commands, keys):
    take_away(fabricate(runs, "first", ["done"]))
    (entry,) = trash.listed(runs)
    app = tick_in_trash(open_page("overview", trash="true"), runs, 0)
    if len(keys) > 1:
        press(app, keys[0])
    trash.put_back(runs, entry)
    take_away(fabricate(runs, "second", ["done"]))
    with nothing_done(runs, commands):
        press(app, *keys)
    assert "first is not in the trash any more" in texts(app)


# ---- cuts


@pytest.fixture
def cut(runs):
    """The cut `mine` of `first`, older than `yours`."""
    group = fabricate(runs, "first", ["done"])
    made = distil(read_predictions(group, "train"), "mine", make_rule(drop=1, keep=9))
    for name, year in (("mine", 2025), ("yours", 2026)):
        save_cut(runs, made.model_copy(update={"name": name, "created": f"{year}-01-01T00:00:00Z"}))
    return read_cut(runs, "mine")


def cut_removed(runs: Path, cut) -> str:
    remove_cut(runs, "mine")
    return "The cut mine was removed elsewhere meanwhile; nothing was done."


def cut_replaced(runs: Path, cut) -> str:
    save_cut(runs, distil(read_predictions(Group(runs / "first"), "train"), "mine", make_rule(keep=3)), replace=True)
    return "The cut mine was replaced elsewhere meanwhile; nothing was done."


def source_anew(runs: Path, cut) -> str:
    make_anew(Group(runs / "first"))
    return f"first {ANEW}"


@pytest.mark.parametrize(
    ("key", "goes"),
    [
        ("train-on-cut", cut_replaced),
        ("remove-cut", cut_removed),
        ("remove-cut", cut_replaced),
        ("launch-comparison", cut_replaced),
        ("launch-comparison", source_anew),
        ("save-cut", source_anew),
    ],
)
def test_distil_acts_on_the_cut_and_the_group_that_it_showed(open_page, runs, commands, cut, key, goes):
    app = open_page("distil", "first", cut="mine")
    if key == "launch-comparison":
        app.session_state["compare"] = True
        ran(app)
    says = goes(runs, cut)
    with nothing_done(runs, commands):
        press(app, key)
    assert says in texts(app) and app.header[0].value == "Distil" and not app.error
    if goes is cut_removed:  # and no other cut takes its place under the buttons
        assert app.selectbox(key="cut").value is None and "remove-cut" not in [button.key for button in app.button]
        assert "The cut **mine** was removed elsewhere meanwhile. Choose another one." in texts(app)
        app.selectbox(key="cut").set_value("yours")
        assert "remove-cut" in [button.key for button in ran(app).button]


def test_a_saved_cut_that_is_removed_elsewhere_is_no_damage_of_the_group(open_page, runs, commands):
    fabricate(runs, "first", ["done"])
    app = press(open_page("distil", "first"), "save-cut")
    (name,) = (row["name"] for row in list_cuts(runs))
    assert f"Saved as **{name}**." in texts(app)
    remove_cut(runs, name)
    with nothing_done(runs, commands):
        press(app, "train-now")
    assert f"The cut {name} was removed elsewhere meanwhile; nothing was done." in texts(app)
    assert not app.error and "damaged" not in texts(app) and "Saved as" not in texts(app)


def test_a_cut_is_put_back_from_the_entry_that_was_made_here(open_page, runs, commands, cut):
    app = press(open_page("distil", "first", cut="mine"), "remove-cut")
    entry = trash.listed(runs)[-1]
    trash.put_back(runs, entry, "elsewhere")
    save_cut(runs, cut)
    remove_cut(runs, "mine")  # another entry of this name
    with nothing_done(runs, commands):
        press(app, "undo-cut")
    assert "the cut mine is not in the trash any more" in texts(app)


def test_replace_means_the_cut_that_was_there_when_the_page_was_drawn(open_page, runs, commands, cut):
    app = open_page("distil", "first")
    usual = app.button(key="save-cut").proto and next(f.key for f in app.text_input if f.key.startswith("cut-name-"))
    app.text_input(key=usual).set_value("mine")
    app.checkbox(key="replace-cut").set_value(True)
    ran(app)
    cut_replaced(runs, cut)
    with nothing_done(runs, commands):
        press(app, "save-cut")
    assert "Another cut was saved as 'mine' elsewhere meanwhile; nothing was done." in texts(app)
    press(app, "save-cut")  # by now it is drawn which one would be replaced
    assert "Saved as **mine**." in texts(app)


def test_a_launch_trains_on_the_cut_that_it_showed(open_page, runs, commands, cut, monkeypatch):
    from opened import told as answers

    monkeypatch.setattr("pages.components.command.run_colora", answers)
    app = open_page("launch", clone="first", cut="mine")
    assert "of the cut mine" in texts(app)
    says = cut_replaced(runs, cut)
    monkeypatch.setattr(
        "pages.components.command.run_colora",
        lambda arguments, timeout=0: answers(arguments) if arguments[0] != "launch" else commands.append(arguments),
    )
    with nothing_done(runs, commands):
        press(app, "launch-button")
    assert says in texts(app) and app.header[0].value == "Launch"


def test_the_names_of_a_comparison_that_are_taken_can_be_chosen_otherwise(open_page, runs, commands, cut):
    fabricate(runs, "mine-random", ["done"])
    app = open_page("distil", "first", cut="mine")
    app.session_state["compare"] = True
    said = texts(ran(app))
    assert "A group named mine-random exists and is something else: let the names of the groups begin with" in said
    assert "--prefix" not in said
    app.text_input(key="compare-prefix").set_value("his")
    assert ran(app).table[-1].value["Group"].tolist() == ["his-balanced", "his-distilled", "his-random", "his-full"]
    app.text_input(key="compare-prefix").set_value("a/b")
    assert "'a/b-balanced' cannot name a group" in texts(ran(app))
    app.text_input(key="compare-prefix").set_value("his")
    press(ran(app), "launch-comparison")
    assert "--prefix=his" in commands[0]


# ---- downloads


def test_a_download_is_cancelled_or_begun_as_it_was_drawn(monkeypatch, tmp_path, medmnist):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("pages.components.data.downloads.Shown.follow", lambda self: None)
    done: list = []
    for act in ("start_download", "cancel"):
        monkeypatch.setattr(f"pages.components.data.downloads.{act}", lambda *asked: done.append(asked))
    file = medmnist.root / "octmnist.npz"
    app = opener(monkeypatch, tmp_path / "runs")("data")
    known = download_told("data", "octmnist", 28, file, "downloading")  # meanwhile, elsewhere
    assert "is on its way already, started elsewhere; nothing was done." in texts(press(app, f"start-{known}"))
    download_told("data", "octmnist", 28, file, "done", process=None)
    assert "The download of octmnist has ended meanwhile; nothing was done." in texts(press(app, f"cancel-{known}"))
    download_told("data", "octmnist", 28, file, "downloading")
    ran(app)
    download_told("data", "octmnist", 28, file, "downloading", process=own_process() | {"label": "another try"})
    assert "octmnist was started again elsewhere; nothing was done." in texts(press(app, f"cancel-{known}"))
    assert done == []


def test_every_button_that_acts_is_pressed_here():
    pressed = {key for keys in (*ON_MONITOR, *ON_OVERVIEW) for key in keys}
    pressed |= {"undo", "put-back", "delete", "confirm-delete", "empty-trash", "train-on-cut", "remove-cut", "save-cut"}
    pressed |= {"launch-comparison", "train-now", "undo-cut", "launch-button"}
    pressed |= {"start-{target.id}", "cancel-{transfer.id}"}
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


# ---- what a button is about


def test_a_cut_is_known_by_its_identity(runs, cut):
    assert same_cut(runs, "mine", cut.identity) == read_cut(runs, "mine")
    cut_replaced(runs, cut)
    with pytest.raises(UserError, match="The cut mine was replaced elsewhere meanwhile"):
        remove_cut(runs, "mine", cut.identity)


def test_what_a_button_is_about_must_be_known(monkeypatch):
    from pages.components import acting

    monkeypatch.setattr(acting.st, "session_state", {})
    with pytest.raises(TypeError, match="SimpleNamespace"):
        acting.press("key", (SimpleNamespace(name="first"),))
