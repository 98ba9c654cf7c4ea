"""The cut without leaks, from the Data page: who may make it, of which name, and what is made."""

import pytest
from opened import opener, ran, texts
from small_data import write_leaky

from colora.data.cuts import list_cuts, read_cut
from colora.runs import access
from colora.settings.config import make_config
from pages.components.data import beside, look


@pytest.fixture
def open_checked(monkeypatch, tmp_path):
    """The Data page on a folder with a leak, after every image was read."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "runs").mkdir()
    root = write_leaky(tmp_path / "leaky")
    open_page = opener(monkeypatch, tmp_path / "runs")

    def opened():
        app = open_page("data", set="A folder of your own", images=str(root))
        app.button(key="look-duplicates").click()
        return ran(app)

    return opened


def test_the_cut_is_made_of_the_size_that_is_asked_for(open_checked, tmp_path):
    app = open_checked()
    app.number_input(key="leak-cut-size").set_value(32)
    app.button(key="cut-leaks").click()
    said = texts(ran(app))
    cut = read_cut(tmp_path / "runs", "without-leaks")
    assert (cut.image_size, cut.rule.kind, len(cut.image_ids)) == (32, "leaks", 5)
    assert "Saved as **without-leaks**. 2 of 7 training images are left out" in said
    app.number_input(key="leak-cut-size").set_value(48)
    app.button(key="cut-leaks").click()
    assert "without-leaks" in ran(app).error[0].value  # another one has the name
    app.number_input(key="leak-cut-size").set_value(5)
    app.button(key="cut-leaks").click()
    assert "image_size: input should be greater than or equal to 16" in ran(app).error[0].value
    app.text_input(key="leak-cut-name").set_value(" ")
    app.button(key="cut-leaks").click()
    assert "Type a name." in texts(ran(app)) and len(list_cuts(tmp_path / "runs")) == 1


def test_a_reader_may_look_and_not_cut(open_checked, monkeypatch):
    app = open_checked()
    monkeypatch.setattr(access, "why_not", lambda action, owner=None: "Not you." if action == "cut" else None)
    button = ran(app).button(key="cut-leaks")
    assert button.disabled and button.help == "Not you."


def test_a_look_that_is_stopped_says_so(open_checked, monkeypatch, tmp_path):
    app = open_checked()
    config = make_config({"dataset": f"folder:{tmp_path / 'leaky'}"})
    monkeypatch.setattr("pages.components.data.downloads.Shown.follow", lambda self: None)
    app.button(key="look-duplicates").click()
    assert "Stop looking" in [button.label for button in ran(app).button]
    app.button(key="stop-looking").click()
    ran(app)
    check = beside.check_of(config, look.stamps_of(config))
    assert str(check.answer.exception(timeout=30)) == "Stopped."
    assert "Stopped." in [info.value for info in ran(app).info]
