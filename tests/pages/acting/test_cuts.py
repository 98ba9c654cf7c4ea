"""A cut, or the group it comes from, goes away or is replaced between the drawing of a page and the press."""

from pathlib import Path

import pytest
from elsewhere import ANEW, make_anew
from fabricate import fabricate
from opened import ran, texts
from pressing import nothing_done, press

from colora.data.cuts import list_cuts, read_cut, remove_cut, same_cut, save_cut
from colora.data.rules import make_rule
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.runs import trash
from colora.runs.folder import Group
from colora.system.errors import UserError


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


def test_a_cut_is_known_by_its_identity(runs, cut):
    assert same_cut(runs, "mine", cut.identity) == read_cut(runs, "mine")
    cut_replaced(runs, cut)
    with pytest.raises(UserError, match="The cut mine was replaced elsewhere meanwhile"):
        remove_cut(runs, "mine", cut.identity)
