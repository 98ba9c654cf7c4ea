"""SLURM on the pages: the choice and the script in the form, a group's jobs on Monitor. SLURM is some lines of sh."""

import os
import shlex

import pytest
from fabricate import fabricate, fill_run
from opened import opener, ran, texts
from queueing import wait_for

from colora.engines.slurm import records
from colora.engines.slurm.jobs import Job
from colora.engines.slurm.script import render
from colora.engines.slurm.site import Site, load_site
from colora.queue import order
from colora.runs.folder import Group, create_group, own_process
from colora.settings.config import make_config
from colora.settings.seeds import parse_seeds
from colora.system.files import read_json


@pytest.fixture
def open_page(monkeypatch, tmp_path):
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("COLORA_SLURM", str(tmp_path / "colora-slurm.toml"))
    (tmp_path / "colora-slurm.toml").write_text('partition = "gpu"\ngres = "gpu:1"\ntime = "1-00:00:00"\n')
    return opener(monkeypatch, tmp_path / "runs")


@pytest.fixture
def command(monkeypatch, tmp_path):
    """A function that puts a command of SLURM's onto the PATH; nothing of a real one stays there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not os.path.exists(f"{p}/sbatch"))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{path}{os.pathsep}/bin")

    def put(name: str, text: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)

    return put


def test_without_slurm_there_is_no_choice(open_page, monkeypatch, command):
    monkeypatch.setattr("colora.engines.slurm.site.shutil.which", lambda name: None)
    app = open_page("launch")
    assert not [field for field in app.text_input if "slurm" in field.key]
    assert "launch-engine" not in app.session_state and "#!/bin/bash" not in texts(app)


def test_the_form_offers_slurm_with_the_sites_values_and_shows_the_script(open_page, command, tmp_path):
    command("sbatch", "exit 0")
    app = open_page("launch")
    assert "--engine" not in texts(app)
    app.session_state["launch-engine"] = "SLURM"
    ran(app)
    assert app.text_input(key="launch-slurm-partition").placeholder == "gpu"
    assert app.text_input(key="launch-slurm-time").placeholder == "1-00:00:00"
    app.text_input(key="launch-slurm-time").set_value("2:00:00")
    ran(app)
    script = next(code.value for code in app.code if code.value.startswith("#!/bin/bash"))
    name, seeds = app.session_state["launch-name"], parse_seeds(app.session_state["launch-seeds"])
    expected = render(load_site({"time": "2:00:00"}), tmp_path / "runs" / name, seeds, 1)
    assert script.strip() == expected.strip() and "#SBATCH --time=2:00:00" in script and "--gres=gpu:1" in script
    shown = shlex.split(next(code.value for code in app.code if "launch" in code.value and "-m colora" in code.value))
    at = shown.index("--engine")
    assert shown[at : at + 4] == ["--engine", "slurm", "--slurm", "time=2:00:00"]
    app.text_area(key="launch-slurm-extra").set_value("--constraint=a100\n\n--exclusive\n")
    ran(app)
    script = next(code.value for code in app.code if code.value.startswith("#!/bin/bash"))
    assert "#SBATCH --constraint=a100\n#SBATCH --exclusive\n" in script
    shown = shlex.split(next(code.value for code in app.code if "launch" in code.value and "-m colora" in code.value))
    assert shown[at + 4 : at + 8] == ["--slurm", "extra=--constraint=a100", "--slurm", "extra=--exclusive"]
    app.text_area(key="launch-slurm-extra").set_value("--mem=1G")
    ran(app)
    assert any("'--mem' is set by CoLoRA itself: set memory instead" in error.value for error in app.error)
    app.text_area(key="launch-slurm-extra").set_value("")
    app.text_input(key="launch-slurm-time").set_value("soon")
    ran(app)
    assert any("time: 'soon' is no time limit" in error.value for error in app.error)
    assert app.button(key="launch-button").disabled


def test_an_ssh_prefix_alone_offers_slurm(open_page, command, tmp_path):
    (tmp_path / "colora-slurm.toml").write_text('ssh = ["ssh", "login"]\nextra = ["--exclusive"]\n')
    app = open_page("launch")
    app.session_state["launch-engine"] = "SLURM"
    ran(app)
    assert app.text_area(key="launch-slurm-extra").placeholder == "--exclusive"
    assert not app.error and any(code.value.startswith("#!/bin/bash") for code in app.code)


def test_a_wrong_site_file_is_a_sentence_in_the_form(open_page, command, tmp_path):
    command("sbatch", "exit 0")
    (tmp_path / "colora-slurm.toml").write_text('partiton = "gpu"\n')
    app = open_page("launch")
    app.session_state["launch-engine"] = "SLURM"
    ran(app)
    assert any("did you mean 'partition'" in error.value for error in app.error)
    assert app.button(key="launch-button").disabled


def test_monitor_shows_each_job_with_its_node_and_why_it_waits(open_page, command, tmp_path):
    answer = r"12_0|RUNNING|gpu07|2026-01-02T03:04:05|None\n12_3|PENDING||2026-01-03T00:00:00|JobArrayTaskLimit\n"
    command("squeue", f"[ $1 = --version ] && echo slurm 22.05.8 || printf '{answer}'")
    config = make_config({"backbone": "resnet18:layer2", "weights": "none", "image_size": 64, "epochs": 6})
    place = order.last_place(tmp_path / "runs") | {"submission": 1}
    group = create_group(tmp_path / "runs", "g", config, [0, 3], place, engine="slurm")
    fill_run(group.runs[0], "running", 2, None, own_process() | {"host": "gpu07"}, [])
    records.claim(group.path)
    records.write_submission(group.path, 1, job="12", seeds=[0, 3], request=Site().model_dump())
    app = open_page("monitor", "g")
    assert "Nobody starts" not in texts(app)
    wait_for(lambda: (group.runs[1].path / "job.json").exists())  # asked beside the page
    wait_for(lambda: read_json(group.runs[0].path / "job.json")["node"] == "gpu07")
    table = next(d.value for d in ran(app).dataframe if "Job" in d.value).set_index("Seed")
    assert table["Job"].tolist() == ["12_0", "12_3"] and table["SLURM says"].tolist() == ["running", "pending"]
    assert table.loc[0, "Node"] == "gpu07" and table.loc[0, "Began"] == "2026-01-02 03:04"
    assert table.loc[3, "Waits"] == "for other seeds of this group (parallel) (JobArrayTaskLimit)"
    assert [state[0] for state in app.dataframe[0].value["State"]] == ["running", "queued"]


def test_monitor_says_that_slurm_does_not_answer_and_shows_what_it_said_last(open_page, command, tmp_path, monkeypatch):
    command("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    place = order.last_place(tmp_path / "runs") | {"submission": 1}
    group = create_group(tmp_path / "runs", "g", make_config({"weights": "none"}), [0], place, engine="slurm")
    records.claim(group.path)
    records.write_submission(group.path, 1, job="12", seeds=[0], request=Site().model_dump())
    records.write_job(group.runs[0].path, Job("12_0", "PENDING", reason="Priority"))
    app = open_page("monitor", "g")
    wait_for(lambda: any("Unable to contact slurm controller" in warning.value for warning in ran(app).warning))
    for _ in range(3):  # it is not gone while nobody asks again, nor while the answer is awaited
        assert any("Unable to contact slurm controller" in warning.value for warning in ran(app).warning)
    assert next(d.value for d in app.dataframe if "Job" in d.value)["Waits"].tolist() == [
        "for jobs of higher priority (Priority)"
    ]
    monkeypatch.setattr("pages.components.cluster.TOLD_SECONDS", -1)  # as on a visit long after the last one
    wait_for(lambda: not any("Unable to contact" in warning.value for warning in ran(app).warning))


def test_the_priority_of_waiting_seeds_can_be_changed(open_page, monkeypatch, tmp_path):
    place = order.last_place(tmp_path / "runs", priority=-1) | {"submission": 1}
    group = create_group(tmp_path / "runs", "g", make_config({"weights": "none"}), [0, 3], place, engine="slurm")
    records.claim(group.path)
    records.write_submission(group.path, 1, job="12", seeds=[0, 3], request=Site().model_dump())
    records.write_job(group.runs[1].path, Job("12_3", "PENDING", reason="Priority"))
    fabricate(tmp_path / "runs", "here", ["queued"])
    monkeypatch.setattr("colora.engines.slurm.engine.look", lambda group: None)
    app = open_page("monitor", "g")
    called = []
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: called.append(arguments))
    app.button(key="queue").click()
    shown = next(frame.value for frame in ran(app).dataframe if "note" in frame.value)
    assert shown[["group", "seed", "priority"]].values.tolist() == [["g", 0, -1], ["g", 3, -1]]
    assert shown["note"].tolist()[1] == "in SLURM as 12_3: for jobs of higher priority (Priority)"
    assert "one above 0 is for SLURM's administrators" in texts(app)
    assert app.number_input(key="priority").value == -1
    app.button(key="queue").click()  # the dialog stays open for this run
    app.number_input(key="priority").set_value(-2)
    app.button(key="set-priority").click()
    ran(app)
    target = ["queue", "move", "g", f"--identity={group.identity}", "--runs-dir", str(tmp_path / "runs")]
    assert called == [[*target, "--priority=-2"]]


def test_monitor_of_this_machines_group_says_nothing_of_slurm(open_page, tmp_path):
    fabricate(tmp_path / "runs", "here", ["running", "queued"])
    app = open_page("monitor", "here")
    assert not any("Job" in d.value for d in app.dataframe) and Group(tmp_path / "runs" / "here").engine == "local"
