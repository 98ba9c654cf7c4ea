"""The Overview page over fabricated groups: what it lists, finds, compares, copies, annotates and removes."""

import json
from pathlib import Path

import pytest
from fabricate import damage, fabricate, living_trainer
from opened import ran, texts
from ticking import table, tick, tick_in_trash

from colora.metrics.over_seeds import Spread
from colora.results.overview import Line
from colora.results.summary import run_summary
from colora.runs.documents import run_file
from colora.runs.folder import Group
from colora.runs.listing import list_groups
from colora.runs.notes import write_notes
from colora.runs.trash import found, listed, put_back, remove, restore, to_trash
from colora.system.errors import UserError
from pages.components.show import OPTIMISTIC


def enabled(app) -> list[str]:
    return [button.key for button in app.button if not button.disabled]


def test_empty_overview_says_what_to_do_first(open_page, tmp_path):
    app = open_page("overview", folder=tmp_path)
    assert "Nothing has been run yet" in texts(app)
    assert [button.label for button in app.button] == ["Train on your own scans", "Set up the quick look"]


@pytest.mark.parametrize("query", [{}, {"search": "first"}])
def test_without_runs_there_is_nothing_to_filter(open_page, tmp_path, query):
    app = open_page("overview", folder=tmp_path, **query)
    assert "Nothing has been run yet" in texts(app) and not app.text_input and not app.multiselect and not app.selectbox
    damage(fabricate(tmp_path, "first", ["done"]))
    assert ran(app).text_input(key="search").value == query.get("search", "") and list(table(app).index) == ["first"]


def test_overview_reads_only_the_groups_it_shows(open_page, tmp_path):
    for number in range(21):
        fabricate(tmp_path, f"group-{number:02d}", ["queued"])
    damage(Group(tmp_path / "group-00"))
    app = open_page("overview", folder=tmp_path)
    assert len(app.dataframe[0].value) == 20 and "damaged" not in texts(app)
    app.pagination[0].set_value(2)
    assert len(ran(app).dataframe[0].value) == 1 and "group-00" in app.warning[0].value
    app.text_input(key="search").set_value("group-07")
    assert list(table(ran(app)).index) == ["group-07"]


def test_overview_lists_each_group_with_state_seeds_and_figures(open_page, runs):
    shown = table(open_page("overview"))
    states = {name: row["State"][0] for name, row in shown.iterrows()}
    assert states["three-done"] == "done" and states["failed"] == "failed" and states["damaged"] == "damaged"
    assert states["running"] == "running" and states["lost"] == "lost"
    assert shown.loc["running", "Seeds"] == "1 of 3 · running: 1 · queued: 2"
    assert shown.loc["failed", "Seeds"] == "1 of 2 · failed: 1"
    assert shown.loc["running", "Progress"] == pytest.approx(100 * (1 + 4.5 / 8) / 3)
    assert shown.loc["three-done", ["Network", "Method", "Data"]].tolist() == [
        "ResNet-18 to layer2",
        "CoLoRA",
        "phantom (SYNTHETIC)",
    ]
    assert shown.loc["real-file", "Data"] == "octmnist_224.npz"
    spread = Spread.of([run_summary(run)["test"]["accuracy"] for run in Group(runs / "three-done").runs])
    assert shown.loc["three-done", "Test accuracy"] == f"{spread.median:.3f} [{spread.q1:.3f}–{spread.q3:.3f}]"
    assert shown.loc["one-done", "Test accuracy"].endswith("(1 seed)")
    assert shown.loc["paper-rule", "Test AUC"].endswith("optimistic")
    assert shown.loc[["three-done", "running"], "Test images"].tolist() == ["200: 6.3 points"] * 2


def test_overview_says_what_figures_mean_where_they_stand(open_page):
    columns = json.loads(open_page("overview").dataframe[0].proto.columns)
    assert all(OPTIMISTIC in columns[name]["help"] for name in ("Test accuracy", "Test AUC"))
    assert "in four of five studies" in columns["Test images"]["help"]


def test_overview_reads_no_file_twice_for_the_number_of_test_images(tmp_path, monkeypatch):
    line = Line(fabricate(tmp_path, "g", ["queued", "done"]))
    read = []
    monkeypatch.setattr("colora.results.overview.run_file", lambda path: read.append(path) or run_file(path))
    assert (line.data, line.test_images) == (("phantom (synthetic)", True), 200)
    assert len(read) == 2, "each seed's file up to the first that has found its data"
    waiting = Line(fabricate(tmp_path, "w", ["queued"]))
    assert (waiting.data, waiting.test_images) == (("phantom", True), None)


def test_overview_says_by_which_rule_the_epochs_were_chosen(open_page):
    said = texts(open_page("overview"))
    assert "median over the finished seeds [interquartile range], each at its selected epoch, the best on valid" in said


def test_only_finished_seeds_have_figures_on_overview(open_page, runs):
    shown = table(open_page("overview"))
    first = run_summary(Group(runs / "running").runs[0])["test"]["accuracy"]
    assert shown.loc["running", "Test accuracy"] == f"{first:.3f} (1 of 3 seeds)"
    assert shown.loc["lost", "Test accuracy"] == "–"


def test_a_run_whose_process_died_without_a_word_is_shown_as_lost(open_page, monkeypatch, tmp_path):
    dying = living_trainer(tmp_path / "alone" / "seed-00")
    fabricate(tmp_path, "alone", ["running"], pid=dying.pid)
    followed = []
    app = open_page("overview", folder=tmp_path)
    monkeypatch.setattr("pages.components.overview.live.follow", lambda *given: followed.append(given))
    ran(app)
    drawn, stamp = followed[0]
    assert stamp() == drawn
    dying.kill()
    dying.wait()
    assert stamp() != drawn, "the page is drawn anew though no file has changed"
    assert table(ran(app)).loc["alone", "State"][0] == "lost"


def test_damaged_group_is_named_with_its_file_and_the_others_are_shown(open_page):
    app = open_page("overview")
    assert "**damaged** is damaged" in texts(app) and "status.json cannot be read" in texts(app)
    assert len(table(app)) == 9


def test_search_and_state_narrow_the_list(open_page):
    app = open_page("overview")
    app.multiselect(key="state").set_value(["failed", "lost"])
    assert sorted(table(ran(app)).index) == ["failed", "lost"]
    app.text_input(key="search").set_value("no such words")
    assert "No group has all of these words and one of these states." in texts(ran(app))


def test_ticked_groups_decide_what_can_be_done(open_page):
    app = open_page("overview")
    assert enabled(app) == ["refresh"]
    assert enabled(tick(app, "lost")) == ["open-one", "clone", "note", "remove", "refresh"]
    assert enabled(tick(app, "lost", "failed")) == ["compare", "remove", "refresh"]
    app.multiselect(key="state").set_value(["done"])  # other rows: nothing is ticked
    assert enabled(ran(app)) == ["refresh"]


def test_compare_and_copy_lead_to_their_pages_with_the_groups(open_page):
    app = tick(open_page("overview"), "three-done", "failed")
    app.button(key="compare").click()
    ran(app)
    assert app.query_params["groups"] == "three-done,failed"
    app = open_page("overview")
    app.text_input(key="search").set_value("failed")  # stands in the address, which the next page does not take over
    app = tick(ran(app), "failed")
    app.button(key="clone").click()
    assert ran(app).text_input(key="launch-name").value == "failed-2"


def test_a_note_is_written_by_the_command_and_shown(open_page, monkeypatch, tmp_path):
    group = fabricate(tmp_path, "g", ["failed"])
    called = []
    app = tick(open_page("overview", folder=tmp_path), "g")
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: called.append(arguments))
    app.button(key="note").click()
    ran(app)
    app.text_area(key="note-text").set_value("- the first try")
    app.button(key="note").click()  # AppTest runs the whole page, so the dialog has to be opened in the same run
    app.button(key="save-note").click()
    ran(app)
    assert called == [["note", str(group.path), f"--identity={group.identity}", "--text=- the first try"]]
    write_notes(group, "the first try")
    assert table(ran(app)).loc["g", "Notes"] == "the first try"


def test_groups_are_removed_after_a_question_and_brought_back(open_page, monkeypatch, tmp_path):
    made = [fabricate(tmp_path, name, ["stopped"]) for name in ("old", "older")]
    groups = {group.path: group.identity for group in made}
    called = []
    app = tick(open_page("overview", folder=tmp_path), "old", "older")

    def run_colora(arguments, timeout=0):
        called.append(arguments)
        if arguments[0] == "rm":
            return {"trash": str(remove(Group(Path(arguments[1]))))}
        return [{"path": str(put_back(tmp_path, found(tmp_path, arguments[2])))}]

    monkeypatch.setattr("pages.components.command.run_colora", run_colora)
    app.button(key="remove").click()
    ran(app)
    assert not called and "will go to the trash" in texts(app)
    app.button(key="remove").click()
    app.button(key="confirm-remove").click()
    ran(app)
    assert called == [["rm", str(path), f"--identity={identity}"] for path, identity in groups.items()]
    entries = [entry.path.name for entry in listed(tmp_path)]
    assert "**old, older** are in the trash." in [info.value for info in app.info]
    called.clear()
    app.button(key="undo").click()
    ran(app)
    assert called == [["trash", "put-back", entry, "--runs-dir", str(tmp_path)] for entry in entries]
    assert {path: Group(path).identity for path in groups} == groups
    assert "undo" not in [button.key for button in app.button]


def trash_table(app):
    return next(frame for frame in app.dataframe if "trash-" in frame.proto.id).value


@pytest.fixture
def removed(tmp_path, monkeypatch):
    """A runs folder with a group, and in its trash two groups, a seed that was retried, and a cut."""
    monkeypatch.setenv("COLORA_USER", "ann")
    for name in ("here", "old", "taken"):
        fabricate(tmp_path, name, ["done"])
    for name in ("old", "taken"):
        remove(Group(tmp_path / name))
    to_trash(tmp_path, fabricate(tmp_path, "here-too", ["done"]).runs[0].path, "here-too.seed-00")
    (tmp_path / "hard.json").write_text("{}")
    to_trash(tmp_path, tmp_path / "hard.json", "hard.cut")
    fabricate(tmp_path, "taken", ["failed"])
    return tmp_path


def test_the_trash_tells_what_when_by_whom_and_how_large(open_page, removed):
    folded = open_page("overview", folder=removed)
    assert not any("trash-" in frame.proto.id for frame in folded.dataframe)
    table = trash_table(open_page("overview", folder=removed, trash="true"))
    assert table["What"].tolist() == ["the cut hard", "seed 0 of here-too, before a retry", "taken", "old"]
    assert table["By"].tolist() == ["unknown", "unknown", "ann", "ann"]
    assert table["Size"].str.fullmatch(r"[0-9.]+ (B|kB|MB)").all() and table["Removed"].str.len().gt(8).all()


def test_what_somebody_else_has_put_into_the_trash_is_shown_all_the_same(open_page, removed):
    for name in ("notes", "old.20269999T999999000000Z"):
        (removed / ".colora" / "trash" / name).write_text("mine")
    table = trash_table(open_page("overview", folder=removed, trash="true")).set_index("What")
    assert table.loc[["notes", "old.20269999T999999000000Z"], "Removed"].tolist() == ["unknown"] * 2


def test_groups_come_back_from_the_trash_after_a_reload_under_a_free_name(open_page, removed):
    app = tick_in_trash(open_page("overview", folder=removed, trash="true"), removed, 2, 3)
    app.button(key="put-back").click()
    assert "Back again: taken-2, old." in [success.value for success in ran(app).success]
    assert Group(removed / "taken-2").state == Group(removed / "old").state == "done"
    assert Group(removed / "taken").state == "failed"
    app = tick_in_trash(open_page("overview", folder=removed, trash="true"), removed, 1)
    assert app.button(key="put-back").disabled and not app.button(key="delete").disabled


def test_what_went_back_meanwhile_is_said_and_nothing_else_done(open_page, removed):
    app = tick_in_trash(open_page("overview", folder=removed, trash="true"), removed, 3)
    restore(removed, "old")  # in another tab
    app.button(key="put-back").click()
    assert "old is not in the trash any more" in ran(app).warning[-1].value
    assert {group.name for group in list_groups(removed)} == {"here", "here-too", "old", "taken"}


def test_the_trash_is_emptied_after_a_question(open_page, removed):
    app = open_page("overview", folder=removed, trash="true")
    app.button(key="empty-trash").click()
    said = "\n".join(text.value for text in ran(app).text)
    assert "the cut hard, seed 0 of here-too, before a retry, taken, old: " in said and len(listed(removed)) == 4
    app.button(key="empty-trash").click()
    app.button(key="confirm-delete").click()
    assert "The trash is empty." in texts(ran(app)) and listed(removed) == []
    assert {group.name for group in list_groups(removed)} == {"here", "here-too", "taken"}


def test_a_refused_removal_says_why(open_page, monkeypatch, tmp_path):
    fabricate(tmp_path, "busy", ["running"])

    def refuse(arguments, timeout=0):
        raise UserError("busy still waits or runs: stop it first.")

    app = tick(open_page("overview", folder=tmp_path), "busy")
    monkeypatch.setattr("pages.components.command.run_colora", refuse)
    app.button(key="remove").click()
    ran(app)
    app.button(key="remove").click()
    app.button(key="confirm-remove").click()
    assert "busy still waits or runs" in ran(app).error[0].value


def test_the_panel_of_this_computer(open_page, monkeypatch, runs):
    from colora.system.devices import Gpu, Machine

    gpu = Gpu(0, "NVIDIA H100", 0.83, 12_000_000_000, 80_000_000_000)
    here = Machine(16, 0.37, 5_100_000_000, 16_000_000_000, 150_000_000_000, 270_000_000_000, (gpu,), None)
    monkeypatch.setattr("pages.components.machine.machine", lambda folder: here)
    from pages.components.machine import machine_now

    machine_now.clear()
    app = open_page("overview")
    said = texts(app)
    assert "**GPU 0** · 83% busy" in said and "NVIDIA H100" in said
    bars = [bar.proto.text for bar in app.get("progress")]
    assert bars == [
        "12.0 GB of 80.0 GB used",
        "37% of 16 cores",
        "5.1 GB of 16.0 GB used",
        "150.0 GB of 270.0 GB used",
    ]
    machine_now.clear()
