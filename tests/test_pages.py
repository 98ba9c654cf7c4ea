"""Every page over fabricated run folders: what is said and offered, without torch and without a traceback."""

import json
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fabricate import damage, fabricate, labels_of, probabilities
from opened import COUNTS, opener, ran, texts

from colora.catalog import NOTICE
from colora.config import PRESETS, launch_arguments, make_config, parse_seeds
from colora.cuts import PINNED, save_cut
from colora.distil import distil
from colora.errors import UserError
from colora.evaluate import confusion_matrix, per_class
from colora.results import Spread, run_summary
from colora.rules import make_rule
from colora.runs import Group, read_json, read_json_lines, write_json
from colora.scores import read_predictions
from colora.weights import remote_weights

ROOT = Path(__file__).parents[1]
PAGES = ("overview", "launch", "data", "monitor", "results")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A runs folder with one group of each kind."""
    path = tmp_path_factory.mktemp("runs")
    fabricate(path, "three-done", ["done"] * 3)
    fabricate(path, "one-done", ["done"])
    fabricate(path, "paper-rule", ["done"] * 2, {"selection": "paper"}, warnings=["A warning of the run."])
    fabricate(path, "real-file", ["done"], {"dataset": "npz:/data/octmnist_224.npz"})
    fabricate(path, "failed", ["done", "failed"])
    fabricate(path, "lost", ["lost"])
    fabricate(path, "running", ["done", "running", "queued"], {"epochs": 8})
    fabricate(path, "waiting", ["starting", "queued"])
    damage(fabricate(path, "damaged", ["stopped"]))
    return path


@pytest.fixture
def open_page(monkeypatch, runs):
    """Opens a page of the app: `open_page("monitor", "failed")`, on another runs folder with `folder`."""
    return opener(monkeypatch, runs)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("kind", ["three-done", "waiting", "damaged", "empty"])
def test_every_page_carries_the_notice_whatever_there_is_to_show(open_page, tmp_path, page, kind):
    app = open_page(page, folder=tmp_path) if kind == "empty" else open_page(page, kind)
    assert NOTICE in texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_an_address_opened_on_a_fresh_server_is_shown_inside_the_app(open_page, page):
    assert NOTICE in texts(open_page(page, "three-done", fresh_server=True))


def test_empty_overview_says_what_to_do_first(open_page, tmp_path):
    app = open_page("overview", folder=tmp_path)
    assert "Nothing has been run yet" in texts(app)
    assert [button.label for button in app.button] == ["Set up the quick look"]


def test_overview_reads_only_the_groups_it_shows(open_page, tmp_path):
    for number in range(21):
        fabricate(tmp_path, f"group-{number:02d}", ["queued"])
    damage(Group(tmp_path / "group-00"))
    app = open_page("overview", folder=tmp_path)
    assert len(app.dataframe[0].value) == 20 and not app.warning
    app.pagination(key="page").set_value(2)
    assert len(ran(app).dataframe[0].value) == 1 and "group-00" in app.warning[0].value


@pytest.mark.parametrize("page", ["monitor", "results"])
def test_without_runs_a_page_leads_to_launch(open_page, tmp_path, page):
    assert "no run has been launched" in texts(open_page(page, folder=tmp_path))


def test_overview_lists_each_group_with_state_seeds_and_figures(open_page, runs):
    table = open_page("overview").dataframe[0].value.set_index("Group")
    states = {name: row["State"][0] for name, row in table.iterrows()}
    assert states["three-done"] == "done" and states["failed"] == "failed" and states["damaged"] == "damaged"
    assert states["running"] == "running" and states["lost"] == "lost"
    assert table.loc["running", "Seeds"] == "1 of 3"
    assert table.loc["three-done", "Data"] == "phantom (SYNTHETIC)"
    assert table.loc["real-file", "Data"] == "octmnist_224.npz"
    spread = Spread.of([run_summary(run)["test"]["accuracy"] for run in Group(runs / "three-done").runs])
    assert table.loc["three-done", "Test accuracy"] == f"{spread.median:.3f} [{spread.q1:.3f}–{spread.q3:.3f}]"
    assert table.loc["one-done", "Test accuracy"].endswith("(1 seed)")
    assert table.loc["paper-rule", "Test AUC"].endswith("optimistic")


def test_damaged_group_is_named_with_its_file_and_the_others_are_shown(open_page):
    app = open_page("overview")
    assert "**damaged** is damaged" in texts(app) and "status.json cannot be read" in texts(app)
    assert len(app.dataframe[0].value) == 9


@pytest.mark.parametrize("page", ["monitor", "results"])
def test_damaged_group_is_a_sentence_on_its_own_pages(open_page, page):
    app = open_page(page, "damaged")
    assert "status.json cannot be read" in app.error[0].value
    app.selectbox(key="group").set_value("one-done")
    assert not ran(app).error


def test_monitor_shows_why_a_seed_failed_and_offers_to_resume(open_page):
    app = open_page("monitor", "failed")
    assert app.error[0].value.startswith("**Seed 1 failed.** The GPU ran out of memory at batch size 32")
    assert [button.key for button in app.button] == ["resume", "retry", "remove"]


def test_monitor_of_a_running_group_shows_progress_and_time_left(open_page):
    app = open_page("monitor", "running")
    table = app.dataframe[0].value.set_index("Seed")
    assert [state[0] for state in table["State"]] == ["done", "running", "queued"]
    assert table["Progress"].tolist() == [100, 100 * 4.5 / 8, 0]  # four epochs and half of the fifth
    assert table.loc[1, "Time left"] == "a few seconds"  # 3.5 epochs of 2.5 s
    assert table.loc[2, "Time left"] == "about 30 s"  # and eight more
    assert "1 of 3 seeds done · about 30 s left" in texts(app)
    assert len(app.get("plotly_chart")) == 3


def test_stop_asks_first_and_then_calls_the_command(open_page, monkeypatch, runs):
    called = []
    app = open_page("monitor", "running")
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: called.append(arguments))
    app.button(key="stop").click()
    ran(app)
    assert not called and "Finished epochs are kept" in texts(app)
    app.button(key="stop").click()  # AppTest runs the whole page, so the dialog has to be opened in the same run
    app.button(key="confirm-stop").click()
    ran(app)
    assert called == [["stop", str(runs / "running")]]


def test_a_refused_command_is_a_sentence(open_page, monkeypatch):
    def refuse(arguments, timeout=0):
        raise UserError("lost has no stopped, failed or lost seed to resume.")

    app = open_page("monitor", "lost")
    monkeypatch.setattr("pages.components.command.run_colora", refuse)
    app.button(key="resume").click()
    assert "no stopped, failed or lost seed" in ran(app).error[0].value


def test_monitor_before_the_first_epoch_says_what_will_come(open_page):
    assert "The curves begin when the first epoch is finished." in texts(open_page("monitor", "waiting"))


def test_monitor_says_how_many_images_are_prepared(open_page, tmp_path):
    group = fabricate(tmp_path, "large", ["starting"])
    status = group.runs[0].path / "status.json"
    write_json(status, read_json(status) | {"preparing": [1_200, 100_000]})
    app = open_page("monitor", "large", folder=tmp_path)
    assert "Seed 0: preparing images 1,200 of 100,000" in [c.value for c in app.caption]


def test_results_show_the_exact_figures_over_seeds(open_page, runs):
    app = open_page("results", "three-done")
    rows = [run_summary(run)["test"] for run in Group(runs / "three-done").runs]
    accuracy, auc = (Spread.of([row[metric] for row in rows]) for metric in ("accuracy", "auc"))
    assert [metric.value for metric in app.metric] == [f"{accuracy.median:.3f}", f"{auc.median:.3f}"]
    said = f"Median over 3 seeds · middle half (IQR) {accuracy.q1:.3f} to {accuracy.q3:.3f} · range "
    assert said + f"{accuracy.low:.3f} to {accuracy.high:.3f}" in texts(app)
    assert "Test split of phantom (SYNTHETIC), 200 images · each seed's selected epoch, chosen on validation" in texts(
        app
    )


def test_results_say_how_the_splits_were_made(open_page):
    shown = [caption.value for caption in open_page("results", "three-done").caption]
    assert any(text.startswith("Train, validation and test were separated so: ") for text in shown)


def test_results_of_one_seed_are_those_of_its_predictions(open_page):
    app = open_page("results", "one-done")
    matrix = confusion_matrix(labels_of("test"), probabilities("test", 0, 6))
    shown = app.table[0].value
    for (name, row), expected in zip(shown.iterrows(), per_class(matrix), strict=True):
        assert row["Images"] == expected["n"] == 50, name
        assert row["Recall"] == f"{expected['recall']:.3f}"
        assert row["Specificity"] == f"{expected['specificity']:.3f}"
    assert "nothing can be said about the spread" in texts(app)


def test_results_on_another_split_count_that_splits_images(open_page):
    app = open_page("results", "one-done")
    app.button_group(key="split").set_value("val")
    shown = ran(app).table[0].value
    assert shown["Images"].tolist() == np.bincount(labels_of("val")).tolist()
    assert "Validation split of phantom (SYNTHETIC), 100 images · seed 0" in texts(app)


def test_results_of_the_papers_rule_are_marked_wherever_they_appear(open_page):
    app = open_page("results", "paper-rule")
    assert "**Optimistic figures.**" in app.warning[0].value and "A warning of the run." in app.warning[0].value
    origins = [caption.value for caption in app.caption if "split of phantom" in caption.value]
    assert len(origins) == 4 and all(o.endswith("chosen on TEST, so optimistic") for o in origins)


@pytest.mark.parametrize("present", [[0], [0, 2]])
def test_results_where_the_test_split_lacks_classes(open_page, tmp_path, present):
    """AUC and recall of such a class are not defined; everything else is shown."""
    group = fabricate(tmp_path, "lacks", ["done"])
    run = group.runs[0]
    table = run.predictions("test")
    table[table["label"].isin(present)].reset_index(drop=True).to_parquet(run.path / "predictions" / "test.parquet")
    if len(present) == 1:
        rows = [row | {"test_auc": None} for row in read_json_lines(run.path / "metrics.jsonl")]
        (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for page in ("results", "monitor", "overview"):
        app = open_page(page, "lacks", folder=tmp_path)
        assert not app.error
    app = open_page("results", "lacks", folder=tmp_path)
    classes = next(t.value for t in app.table if "Recall" in t.value.columns)
    assert classes["Recall"].tolist().count("–") == 4 - len(present)
    assert classes["AUC"].tolist().count("–") == (4 if len(present) == 1 else 2)


def test_results_of_an_unfinished_seed_say_when_they_come(open_page):
    app = open_page("results", "failed")
    app.selectbox(key="seed-failed").set_value(1)
    assert "Seed 1 has not written its predictions" in texts(ran(app))


def test_unknown_group_in_the_address_is_said(open_page):
    app = open_page("monitor", "deleted-long-ago")
    assert "There is no group named 'deleted-long-ago'" in app.warning[0].value


def test_launch_shows_parameters_and_the_command_of_the_preset(open_page, runs):
    app = open_page("launch")
    command = app.code[0].value
    assert command.startswith("python -m colora launch --name quick-look --seeds 0-2 --train-set balanced --image-size")
    assert command.endswith(f"--runs-dir {runs}")
    assert [metric.value for metric in app.metric] == ["0.91 M", "1.50 M"]


def test_launch_marks_each_mistake_at_its_field_and_waits(open_page):
    app = open_page("launch")
    app.text_input(key="launch-name").set_value("three-done")
    app.text_input(key="launch-seeds").set_value("3-1")
    app.number_input(key="launch.image_size").set_value(5000)
    app.selectbox(key="launch.dataset").set_value("folder")
    said = texts(ran(app))
    assert "A group named 'three-done' exists already; 'three-done-2' is free." in said
    assert "The range '3-1' runs backwards" in said
    assert "Must be less than or equal to 1024, but got 5000." in said
    assert "Type the path of the folder." in said
    assert "To be put right first: Name, Random seeds, Images, Image size." in said
    assert app.button(key="launch-button").disabled


def test_launch_opens_a_folded_section_that_holds_a_mistake(open_page):
    app = open_page("launch")
    assert not any(expander.proto.expanded for expander in app.expander)
    app.number_input(key="launch.rank").set_value(0)
    opened = [expander.label for expander in ran(app).expander if expander.proto.expanded]
    assert opened == ["CoLoRA settings :red[:material/error:]"]


def test_launch_says_the_commands_refusal_and_keeps_what_was_typed(open_page, monkeypatch):
    called = []

    def refuse(arguments, timeout=0):
        called.append(arguments)
        raise UserError("The weights file is not one.")

    app = open_page("launch")
    app.text_input(key="launch-name").set_value("mine")
    app.number_input(key="launch.epochs").set_value(2)
    monkeypatch.setattr("pages.components.command.run_colora", refuse)
    app.button(key="launch-button").click()
    ran(app)
    assert "Not launched. The weights file is not one." in [error.value for error in app.error]
    assert called[-1][:5] == ["launch", "--name", "mine", "--seeds", "0-2"]
    assert app.text_input(key="launch-name").value == "mine"
    assert app.number_input(key="launch.epochs").value == 2


def test_launch_form_turns_each_preset_into_its_own_command(open_page, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("vgg16", "resnet18"):
        file = remote_weights(name).path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"weights")
    for preset in PRESETS:
        app = open_page("launch", folder=tmp_path)
        app.radio(key="launch-preset").set_value(preset.title)
        ran(app)
        values = dict(preset.values)
        if "dataset" in values and ":" in values["dataset"]:  # its file is not here; the form waits for one
            kind = values["dataset"].partition(":")[0]
            place = tmp_path / f"images-{kind}"
            for scan in ("CNV/CNV-1-1.png", "DME/DME-2-1.png", "DME/DME-3-1.png"):
                (place / scan).parent.mkdir(parents=True, exist_ok=True)
                (place / scan).touch()
            values["dataset"] = f"{kind}:{place}"
            app.text_input(key="launch.dataset.path").set_value(str(place))
            assert "3 images: CNV 1, DME 2; about 70 % train." in texts(ran(app))
        elif values.get("dataset") == "octmnist":  # nor is the set, until its download lies in the folder
            values["data_dir"] = str(tmp_path / "sets")
            app.text_input(key="launch.data_dir").set_value(values["data_dir"])
            ran(app)
            assert "OCTMNIST at 224 px is not in" in texts(app)
            assert "Trains on 31,016 images: 7,754 of each class (balanced)." in texts(app)
            (tmp_path / "sets").mkdir()
            zipfile.ZipFile(tmp_path / "sets" / "octmnist_224.npz", "w").close()
            ran(app)
        arguments = launch_arguments(preset.name, make_config(values), parse_seeds(preset.seeds))
        expected = ["python", "-m", "colora", *arguments, "--runs-dir", str(tmp_path)]
        assert shlex.split(app.code[0].value) == expected


def test_the_server_never_imports_torch(runs):
    script = f"""
import os, sys
os.environ["COLORA_RUNS_DIR"] = {str(runs)!r}
import pages.components.command
pages.components.command.run_colora = lambda arguments: {COUNTS!r}
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(ROOT / "app.py")!r}, default_timeout=60).run()
for page in {PAGES!r}:
    app.switch_page(f"pages/{{page}}.py")
    app.query_params["group"] = "three-done"
    app.run()
    assert not app.exception, app.exception
print(sorted(name for name in ("torch", "torchvision") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_monitor_says_when_nobody_starts_the_waiting_seeds(open_page):
    app = open_page("monitor", "waiting")
    assert "Nobody starts the waiting seeds" in app.warning[0].value
    assert [button.key for button in app.button] == ["stop", "resume"]


def test_a_removed_group_can_be_brought_back(open_page, monkeypatch, tmp_path):
    fabricate(tmp_path, "old", ["stopped"])
    called = []
    app = open_page("overview", folder=tmp_path)
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: called.append(arguments))
    assert "undo" not in [button.key for button in app.button]
    app.session_state["removed"] = "old"
    ran(app)
    app.button(key="undo").click()
    ran(app)
    assert called == [["rm", "--undo", str(tmp_path / "old")]]
    assert "removed" not in app.session_state


def test_launch_on_a_cut_counts_its_images_and_says_what_is_wrong_with_it(open_page, runs):
    source = Group(runs / "three-done")
    save_cut(runs, distil(read_predictions(source, "train"), "mine", make_rule(drop=1, keep=9)))
    app = open_page("launch")
    app.selectbox(key="launch.train_set").set_value("complete")
    app.text_input(key="launch.cut").set_value("mine")
    said = texts(ran(app))
    assert "Trains on 36 images: 9 of each class, of the cut mine" in said
    assert "discard the 1 of highest entropy and keep the next 9." in said
    assert " --cut mine " in app.code[0].value
    app.number_input(key="launch.image_size").set_value(96)
    assert "The cut mine is of images at 64 px." in texts(ran(app))
    app.text_input(key="launch.cut").set_value("yours")
    assert "There is no cut yours" in texts(ran(app))
    assert app.button(key="launch-button").disabled


def test_results_name_the_cut(open_page, tmp_path):
    source = fabricate(tmp_path, "source", ["done"])
    cut = distil(read_predictions(source, "train"), "mine", make_rule(drop=1, keep=9))
    group = fabricate(tmp_path, "on-cut", ["done"], {"cut": "mine"})
    write_json(group.path / PINNED, cut.model_dump())
    said = texts(open_page("results", folder=tmp_path, group="on-cut"))
    assert f"trained on the cut mine ({cut.short_hash})" in said
    assert "Trained on the cut **mine** of source: of each class, discard the 1 of highest entropy" in said
