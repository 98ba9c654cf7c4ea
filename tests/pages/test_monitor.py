"""The Monitor page over fabricated groups: progress, reasons, curves, and what can be done with the seeds."""

import base64
import json
import re
import time
import tomllib

import numpy as np
import pytest
from fabricate import PARAMETERS, fabricate, metrics_row, train_on
from opened import ROOT, ran, texts

from colora.queue import order
from colora.runs.folder import Group, append_json, read_json, write_json
from colora.system.errors import UserError
from pages.components.show import OPTIMISTIC


def watch(monkeypatch) -> list:
    """The commands that the page runs from now on."""
    called: list = []

    def run_colora(arguments, timeout=0):
        called.append(arguments)
        return {"trash": "there"}

    monkeypatch.setattr("pages.components.command.run_colora", run_colora)
    return called


def press(app, opens: str, confirms: str):
    """Open a dialog and press its button. AppTest runs the whole page, so both in one run."""
    app.button(key=opens).click()
    ran(app)
    app.button(key=opens).click()
    app.button(key=confirms).click()
    return ran(app)


def traces(app, number: int) -> dict[str, list]:
    """{trace: its x} of a chart, the bands left out."""
    found = {}
    for trace in json.loads(app.get("plotly_chart")[number].proto.spec)["data"]:
        x = trace["x"]
        if isinstance(x, dict):  # plotly packs typed arrays
            x = np.frombuffer(base64.b64decode(x["bdata"]), x["dtype"]).tolist()
        found[trace["name"]] = x
    return {name: x for name, x in found.items() if ": " not in name}


def test_why_a_seed_failed_and_what_can_be_done(open_page):
    app = open_page("monitor", "failed")
    assert app.error[0].value.startswith("**Seed 1 failed.** The GPU ran out of memory at batch size 32")
    assert [button.key for button in app.button] == ["resume", "retry", "clone", "remove"]
    assert app.button(key="resume").label == "Run the missing seeds …"
    assert open_page("monitor", "lost").button(key="resume").label == "Resume …"


def test_a_running_group_shows_progress_speed_and_time_left(open_page):
    app = open_page("monitor", "running")
    table = app.dataframe[0].value.set_index("Seed")
    assert [state[0] for state in table["State"]] == ["done", "running", "queued"]
    assert table["Progress"].tolist() == [100, 100 * 4.5 / 8, 0]  # four epochs and half of the fifth
    assert table.loc[1, "Time left"] == "a few seconds"  # 3.5 epochs of 2.5 s
    assert table.loc[2, "Time left"] == "about 30 s"  # and eight more
    assert table.loc[[0, 1], "Images/s"].tolist() == [200, 200]  # 400 images in 2 s
    assert "1 of 3 seeds done · about 30 s left" in texts(app)
    assert "Accuracies are of each seed's best epoch so far, chosen on validation." in texts(app)
    assert "the seeds that have finished it, done or not: 2 of 3 seeds up to epoch 4, 1 up to 8." in texts(app)
    assert "Bold: median over 2 of 3 seeds; dark" in texts(app)


def test_test_figures_of_epochs_that_the_test_images_chose_are_called_optimistic(open_page):
    column = json.loads(open_page("monitor", "paper-rule").dataframe[0].proto.columns)["Test accuracy"]
    assert column["label"] == "Test accuracy, optimistic" and column["help"] == OPTIMISTIC
    column = json.loads(open_page("monitor", "three-done").dataframe[0].proto.columns)["Test accuracy"]
    assert "label" not in column and "help" not in column


def test_bands_say_of_how_many_of_the_groups_seeds_they_are(open_page, tmp_path):
    said = texts(open_page("monitor", "three-done"))
    assert "Bold: median over 3 seeds; dark" in said and "Every epoch is over" not in said
    assert "The line is of 1 seed." in texts(open_page("monitor", "one-done"))
    group = fabricate(tmp_path, "mixed", ["done"] * 3 + ["failed"], {"epochs": 8})
    train_on(group.runs[1], data_checksum="1" * 64)
    app = open_page("monitor", "mixed", folder=tmp_path)
    assert "Bold: median over 3 of 4 seeds; dark" in texts(app)
    assert "done or not: 3 of 4 seeds up to epoch 4, 2 up to 8." in texts(app)
    chart = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    (test,) = [trace for trace in chart if trace["name"] == "Test" and trace["mode"] == "lines"]
    assert [row[-1] for row in test["customdata"]] == ["3 of 4 seeds"] * 4 + ["2 of 4 seeds"] * 4


def test_seeds_that_train_side_by_side_each_have_their_own_time_left(open_page, tmp_path):
    fabricate(tmp_path, "beside", ["running", "running", "queued"], {"epochs": 8})
    app = open_page("monitor", "beside", folder=tmp_path)
    left = app.dataframe[0].value["Time left"].tolist()
    assert left == ["a few seconds", "a few seconds", "about 30 s"]  # 3.5 epochs of 2.5 s; then eight
    assert "0 of 3 seeds done · about 30 s left" in texts(app)


def test_curves_mark_merges_and_show_single_seeds_on_demand(open_page):
    app = open_page("monitor", "running")
    assert len(app.get("plotly_chart")) == 3
    assert set(traces(app, 0)) == {"Train", "Validation", "Test", "Merge"}
    assert traces(app, 0)["Merge"] == list(range(1, 9))  # after every epoch
    app.button_group(key="single").set_value([1])
    drawn = traces(ran(app), 1)
    assert set(drawn) - {"Train", "Validation", "Test", "Merge"} == {
        f"seed 1, {s}" for s in ("train", "validation", "test")
    }
    assert drawn["seed 1, test"] == [1, 2, 3, 4]


def papers(app) -> list[str]:
    """The background of each chart."""
    return [json.loads(chart.proto.spec)["layout"]["paper_bgcolor"] for chart in app.get("plotly_chart")]


def test_figures_are_drawn_once_for_all_who_look_and_anew_when_an_epoch_has_ended(open_page, monkeypatch, tmp_path):
    group = fabricate(tmp_path, "watched", ["running", "queued"], {"epochs": 8})
    from colora import plots
    from pages.components import show

    draw, drawn = plots.learning_curves, []
    monkeypatch.setattr(plots, "learning_curves", lambda *args: drawn.append(args[1]) or draw(*args))
    light = [open_page("monitor", "watched", folder=tmp_path) for _ in range(2)]
    assert sorted(drawn) == ["accuracy", "auc", "loss"]
    drawn.clear()
    monkeypatch.setattr(show, "theme_type", lambda: "dark")
    dark = [open_page("monitor", "watched", folder=tmp_path) for _ in range(2)]
    assert sorted(drawn) == ["accuracy", "auc", "loss"]
    monkeypatch.setattr(show, "theme_type", lambda: "light")
    assert [set(papers(one)) for one in (*light, *dark)] == [{"#ffffff"}] * 2 + [{"#020406"}] * 2
    status = group.runs[0].path / "status.json"
    write_json(status, read_json(status) | {"step": 7, "heartbeat": 0.0})
    assert ran(light[0]).dataframe[0].value["Progress"].tolist() == [100 * 4.7 / 8, 0]  # the table goes on
    assert len(drawn) == 3
    append_json(group.runs[0].path / "metrics.jsonl", metrics_row(0, 5) | {"merges": 5})
    for one in light:
        assert traces(ran(one), 1)["Test"] == [1, 2, 3, 4, 5]
    assert len(drawn) == 6


def test_a_server_does_not_look_through_all_its_objects_after_each_refresh():
    """It did so in 50 ms, which twenty sessions on one run paid ten times a second."""
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings["runner"]["postScriptGC"] is False


def test_a_group_of_one_seed_has_nothing_to_choose(open_page):
    app = open_page("monitor", "one-done")
    assert [group.key for group in app.button_group] == ["picture-format"] and len(app.get("plotly_chart")) == 3


@pytest.mark.parametrize(
    ("name", "opens", "says", "command"),
    [
        ("running", "stop", "Finished epochs are kept", "stop"),
        ("lost", "resume", "Seed 0 (lost) goes on after epoch 3 of 6.", "resume"),
        ("failed", "retry", "Seeds 1 of **failed** begin anew.", "retry"),
        ("failed", "remove", "will go to the trash", "rm"),
    ],
)
def test_stop_resume_retry_and_remove_ask_first(open_page, monkeypatch, runs, name, opens, says, command):
    app = open_page("monitor", name)
    called = watch(monkeypatch)
    app.button(key=opens).click()
    assert says in texts(ran(app)) and not called
    app.button(key=opens).click()
    app.button(key=f"confirm-{opens}").click()
    ran(app)
    assert called == [[command, str(runs / name), f"--identity={Group(runs / name).identity}"]]


def test_a_refused_command_is_a_sentence(open_page, monkeypatch):
    def refuse(arguments, timeout=0):
        raise UserError("lost has no stopped, failed or lost seed to resume.")

    app = open_page("monitor", "lost")
    monkeypatch.setattr("pages.components.command.run_colora", refuse)
    assert "no stopped, failed or lost seed" in press(app, "resume", "confirm-resume").error[-1].value


def test_the_place_in_the_queue_can_be_changed(open_page, monkeypatch, tmp_path):
    for name, place in (("first", 1), ("second", 2)):
        group = fabricate(tmp_path, name, ["queued", "queued"])
        for run in group.runs:
            write_json(run.path / "queue.json", order.last_place(tmp_path, priority=place) | {"order": place})
    app = open_page("monitor", "first", folder=tmp_path)
    called = watch(monkeypatch)
    app.button(key="queue").click()
    shown = next(frame.value for frame in ran(app).dataframe if "place" in frame.value)
    assert shown[["place", "group", "seed", "priority"]].values.tolist() == [
        [1, "second", 0, 2],
        [2, "second", 1, 2],
        [3, "first", 0, 1],
        [4, "first", 1, 1],
    ]
    assert app.number_input(key="priority").value == 1
    press(app, "queue", "move-first")
    app.button(key="queue").click()
    ran(app)
    app.button(key="queue").click()
    app.number_input(key="priority").set_value(5)
    app.button(key="set-priority").click()
    ran(app)
    identity = Group(tmp_path / "first").identity
    target = ["queue", "move", "first", f"--identity={identity}", "--runs-dir", str(tmp_path)]
    assert called == [[*target, "--first"], [*target, "--priority=5"]]


@pytest.mark.parametrize("opens", [None, "stop"])
def test_the_end_of_the_runs_renews_the_page_unless_a_dialog_is_open(open_page, monkeypatch, tmp_path, opens):
    group = fabricate(tmp_path, "ends", ["running"], epochs_done=6)
    app = open_page("monitor", "ends", folder=tmp_path)
    from pages.components.monitor import run_actions

    status, reruns, drawn = group.runs[0].path / "status.json", [], run_actions.actions

    def then_it_ends(group):
        drawn(group)
        write_json(status, read_json(status) | {"state": "done", "process": None})

    monkeypatch.setattr(run_actions, "actions", then_it_ends)
    monkeypatch.setattr("streamlit.rerun", lambda: reruns.append(True))
    if opens:
        app.button(key=opens).click()
    ran(app)
    assert len(reruns) == (0 if opens else 1)


def test_a_log_is_read_when_it_is_unfolded_and_first_of_the_seed_that_failed(open_page):
    app = open_page("monitor", "failed")
    assert not app.code
    app.session_state["log"] = True
    (log,) = ran(app).code
    assert log.value.startswith("seed 1 on cpu") and log.value.splitlines()[-1].startswith("The GPU ran out of memory")
    app.selectbox(key="log-seed-failed").set_value(0)
    app.session_state["log"] = True
    assert ran(app).code[0].value.splitlines()[-1].startswith("epoch 6/6")


def test_copy_leads_to_launch(open_page):
    app = open_page("monitor", "running")
    app.button(key="clone").click()
    assert ran(app).text_input(key="launch-name").value == "running-2"


def test_before_the_first_epoch_it_says_what_will_come(open_page):
    assert "The curves begin when the first epoch is finished." in texts(open_page("monitor", "waiting"))


def test_how_many_images_are_prepared(open_page, tmp_path):
    group = fabricate(tmp_path, "large", ["starting"])
    status = group.runs[0].path / "status.json"
    write_json(status, read_json(status) | {"preparing": [1_200, 100_000]})
    app = open_page("monitor", "large", folder=tmp_path)
    assert "Seed 0: preparing images 1,200 of 100,000" in [c.value for c in app.caption]


def test_a_seed_that_lives_and_tells_nothing_is_said_to_be_silent(open_page, tmp_path):
    group = fabricate(tmp_path, "hangs", ["done", "running"])
    status = group.runs[1].path / "status.json"
    assert not open_page("monitor", "hangs", folder=tmp_path).warning
    write_json(status, read_json(status) | {"beat": time.monotonic() - 90})
    says = texts(open_page("monitor", "hangs", folder=tmp_path))
    assert re.search(r"\*\*Seed 1\*\* is silent for 9\d s: its process \d+ lives and does nothing", says)
    assert re.search(r"\*\*hangs\*\*: seed 1 is silent for 9\d s", texts(open_page("overview", folder=tmp_path)))


def test_when_nobody_starts_the_waiting_seeds(open_page):
    app = open_page("monitor", "waiting")
    assert app.warning[0].value == "Waits, nobody trains: No test starts a supervisor by looking."
    assert [button.key for button in app.button] == ["stop", "resume", "queue", "clone"]


def test_a_split_without_figures_leaves_its_curve_out(open_page, tmp_path):
    """A file of one's own may lack a class in test, so that AUC is not defined there."""
    group = fabricate(tmp_path, "lacks", ["done"])
    path = group.runs[0].path / "metrics.jsonl"
    rows = [json.loads(line) | {"test_auc": None} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    app = open_page("monitor", "lacks", folder=tmp_path)
    assert not app.error
    assert set(traces(app, 2)) == {"Train", "Validation", "Merge"}


def test_what_the_adapters_reach_is_said_and_little_of_it_is_a_warning(open_page, tmp_path):
    said = "Adapters on 10 layers, which hold 99.7 % of the frozen weights, train 96,512: 14.1 % of these"
    app = open_page("monitor", "three-done")
    assert said in texts(app) and not app.warning
    group = fabricate(tmp_path, "few", ["queued", "running"])
    train_on(group.runs[1], parameters=PARAMETERS | {"adapted": 60_000})
    said = "Only 8.8 % of the frozen weights lie in layers with an adapter"
    assert texts(open_page("monitor", "few", folder=tmp_path)).count(said) == 1
