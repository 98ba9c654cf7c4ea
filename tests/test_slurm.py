"""SLURM's engine without a SLURM: the site file, the script, what squeue says, why jobs end, a task's first look."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from datetime import datetime

import pytest

from colora.cli_cluster import example
from colora.cli_runs import look_beyond
from colora.config import RunConfig
from colora.engines import ENGINES, engine_named
from colora.engines import slurm as engine
from colora.engines.slurm import client, jobs, records, task
from colora.engines.slurm.ending import ending, waits_for
from colora.engines.slurm.jobs import Job
from colora.engines.slurm.script import render
from colora.engines.slurm.site import Site, asked_from, available, load_site, seconds_of
from colora.errors import UserError
from colora.queue import order
from colora.queue.actions import move
from colora.queue.supervisor import Supervisor
from colora.queue.view import rows
from colora.runs import Group, Run, create_group, own_process, write_json


@pytest.fixture
def site_file(tmp_path, monkeypatch):
    """A function that writes colora-slurm.toml."""
    path = tmp_path / "colora-slurm.toml"
    monkeypatch.setenv("COLORA_SLURM", str(path))

    def write(text: str) -> None:
        path.write_text(text)

    write("")
    return write


@pytest.fixture
def group(tmp_path, site_file) -> Group:
    """Two seeds, submitted as job 12."""
    place = order.last_place(tmp_path / "runs") | {"submission": 1}
    group = create_group(tmp_path / "runs", "g", RunConfig(epochs=5), [0, 3], place, engine="slurm")
    assert records.claim(group.path) == 1
    records.write_submission(group.path, 1, job="12", seeds=[0, 3], request=Site().model_dump())
    return group


@pytest.fixture
def says(monkeypatch):
    """A function that lets SLURM say this of its jobs, and nothing in its accounting."""

    def let(*known: Job, accounting: tuple[Job, ...] = ()) -> None:
        monkeypatch.setattr(engine, "ask", lambda site, ids: {job.task: job for job in known})
        monkeypatch.setattr(engine, "remembered", lambda site, job_id: {job.task: job for job in accounting})

    return let


def set_state(run: Run, state: str, **changes) -> None:
    lines = [json.dumps({"epoch": epoch}) + "\n" for epoch in range(1, changes.get("epoch", 0) + 1)]
    if lines:
        (run.path / "metrics.jsonl").write_text("".join(lines))
    write_json(run.path / "status.json", Run(run.path).written_status() | {"state": state} | changes)


def states(group: Group) -> list[str]:
    engine.look(group, pause=0)
    return [run.state for run in Group(group.path).runs]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("1:30", 90), ("1:00:00", 3600), ("2-0", 172_800), ("1-12:30", 131_400), ("1-0:0:5", 86_405)],
)
def test_times_as_slurm_writes_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('partiton = "gpu"', "colora-slurm.toml: there is no setting 'partiton': did you mean 'partition'"),
        ('time = "tomorrow"', "colora-slurm.toml: time: 'tomorrow' is no time limit"),
        ('time = "0:30"', "time: must be a minute or more"),
        ('time = "1:30"\nsignal_seconds = 100', r"signal_seconds \(100\) must be less than the time limit"),
        ('gres = "gpu:1; rm -rf"', "gres: String should match pattern"),
        ('memory = "lots"', "memory: .* but is 'lots'"),
        ("cpus = 0", "cpus: .* but is 0"),
        ('extra = ["--array=1-9"]', "'--array' is set by CoLoRA itself"),
        ('extra = ["--mem=1G"]', "'--mem' is set by CoLoRA itself: set memory instead"),
        ('extra = ["constraint"]', "'constraint' is not a long option"),
        ('setup = ["a\\nb"]', "setup: String should match pattern"),
        ('python = "~/bin/python"', "python: must be an absolute path"),
        ("partition =", "colora-slurm.toml cannot be read"),
    ],
)
def test_a_site_file_is_checked_with_a_sentence(site_file, text, sentence):
    site_file(text)
    with pytest.raises(UserError, match=sentence):
        load_site()
    assert available()  # the form shows it and says so


def test_a_launch_changes_some_settings_for_itself(site_file):
    site_file('partition = "gpu"\ncpus = 8\ngres = "gpu:1"')
    asked = asked_from(["time=2:00:00", "gres=", "cpus=2", "extra=--nice=5", "extra=--exclusive"])
    site = load_site(asked)
    assert (site.partition, site.time, site.gres, site.cpus) == ("gpu", "2:00:00", None, 2)
    assert site.extra == ["--nice=5", "--exclusive"]
    with pytest.raises(UserError, match="cannot set 'python' for SLURM"):
        load_site({"python": "/bin/sh"})
    with pytest.raises(UserError, match="takes NAME=VALUE"):
        asked_from(["time"])
    with pytest.raises(UserError, match="--slurm goes with --engine slurm"):
        engine_named("local").check(None, "g", [0], asked)
    with pytest.raises(UserError, match="no engine 'pbs'"):
        engine_named("pbs")


def test_slurm_is_there_with_sbatch_or_with_an_ssh_prefix_that_leads_to_it(site_file, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert not available()
    site_file('ssh = ["ssh", "login"]')
    assert available()


@pytest.mark.parametrize("gres", ["gpu:1", "gpu:a100:1", "shard:4"])
def test_a_gpu_or_a_share_of_one(tmp_path, gres):
    assert f"#SBATCH --gres={gres}\n" in render(load_site({"gres": gres}), tmp_path / "g", [0], 1)


def test_the_example_is_a_valid_site_file_that_names_every_setting():
    text = example()
    enabled = "\n".join(line.removeprefix("# ") for line in text.splitlines() if " = " in line)
    assert set(tomllib.loads(enabled)) == set(Site.model_fields)
    Site(**tomllib.loads(enabled))
    assert tomllib.loads(text) == {}


def test_the_script(tmp_path):
    site = Site(partition="gpu", gres="gpu:1", parallel=2, setup=["module load cuda"], python="/opt/my py/python")
    site = site.model_copy(update={"directory": "/shared/it's here", "extra": ["--constraint=a100"]})
    lines = render(site, tmp_path / "g", [0, 1, 2, 7], 3, priority=2).splitlines()
    assert lines[0] == "#!/bin/bash -l"
    assert [line for line in lines if line.startswith("#SBATCH")] == [
        f"#SBATCH {option}"
        for option in (
            "--job-name=g", "--array=0-2,7%2", "--nodes=1", "--ntasks=1", "--cpus-per-task=4", "--mem=16G",
            "--time=24:00:00", "--partition=gpu", "--gres=gpu:1", "--nice=-2000", "--signal=B:USR1@120", "--requeue",
            "--open-mode=append", f'--output="{tmp_path}/g/slurm/0003_%a.log"', "--constraint=a100",
        )
    ]  # fmt: skip
    assert lines[-4:] == [
        "module load cuda",
        "cd '/shared/it'\"'\"'s here' || exit 1",
        "export OMP_NUM_THREADS=4",
        f"exec '/opt/my py/python' -m colora.engines.slurm.task {tmp_path}/g 3",
    ]
    assert subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, check=False).returncode == 0
    with pytest.raises(UserError, match="cannot hold a path"):
        render(site, tmp_path / "100%", [0], 1)


def test_ssh_gets_one_quoted_command_and_the_script_on_its_input(tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\necho "$#" > "$0.seen"\nshift\nexec sh -c "$*"\n')  # as sshd does
    ssh.chmod(0o755)
    site = Site(ssh=[str(ssh), "login"])
    odd = "a b'c\"; echo $HOME * \\"
    assert client.call(site, ["printf", "%s|", odd, "x"]) == f"{odd}|x|"
    assert client.call(site, ["cat"], "the script\n") == "the script\n"
    assert (tmp_path / "ssh.seen").read_text() == "2\n"
    with pytest.raises(UserError, match=r"SLURM \(through .*ssh login\) refused 'sh': no such account"):
        client.call(site, ["sh", "-c", "echo no such account >&2; exit 1"])
    client.check_folder(site, str(tmp_path))
    with pytest.raises(UserError, match="does not see /nowhere/at all"):
        client.check_folder(site, "/nowhere/at all")
    with pytest.raises(UserError, match="There is no command 'ssh-nowhere' here: is the ssh prefix"):
        client.call(Site(ssh=["ssh-nowhere"]), ["sbatch"])
    with pytest.raises(UserError, match="There is no command 'sbatch-nowhere' here: install SLURM's clients"):
        client.call(Site(), ["sbatch-nowhere"])


def test_a_connection_that_ssh_keeps_for_later_is_not_waited_for(tmp_path, monkeypatch):
    """As OpenSSH before 8.5 does it with ControlPersist: a process in the background holds the standard error."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f"""#!/bin/sh
shift
(i=0; while [ ! -e {tmp_path}/end ] && [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done) </dev/null >/dev/null &
echo a remark >&2
exec sh -c "$*"
""")
    ssh.chmod(0o755)
    monkeypatch.setattr(client, "ANSWER_SECONDS", 15)
    try:
        assert client.answer(Site(ssh=[str(ssh), "login"]), ["echo", "12"]) == ("12\n", "a remark")
    finally:
        (tmp_path / "end").touch()


def test_squeues_columns_and_both_kinds_of_its_json():
    text = "12_0|RUNNING|n7|2026-01-02T03:04:05|None\n12_1|PENDING||N/A|Resources\n12|CANCELLED||N/A|Dependency\n"
    columns = jobs.from_columns(text)
    assert columns["12_0"] == Job("12_0", "RUNNING", "n7", "2026-01-02T03:04:05", "")
    assert columns["12_1"] == Job("12_1", "PENDING", "", "", "Resources")
    old = [
        {"array_job_id": 12, "array_task_id": 0, "array_task_string": "", "job_id": 13, "job_state": "RUNNING",
         "nodes": "n7", "state_reason": "None", "start_time": 0},
        {"array_job_id": 12, "array_task_id": None, "array_task_string": "1,4-8:2%1", "job_id": 12,
         "job_state": "PENDING", "nodes": "", "state_reason": "Resources", "start_time": 0},
        {"array_job_id": 99, "array_task_id": 0, "array_task_string": "", "job_id": 99, "job_state": "RUNNING"},
    ]  # fmt: skip
    new = [
        entry
        | {
            "job_state": [entry["job_state"]],
            "array_job_id": {"set": True, "infinite": False, "number": entry["array_job_id"]},
            "array_task_id": {"set": entry["array_task_id"] is not None, "number": entry["array_task_id"] or 0},
            "start_time": {"set": False, "infinite": False, "number": 0},
        }
        for entry in old
    ]
    for entries in (old, new):
        found = jobs.from_json(json.dumps({"jobs": entries}), {"12"})
        assert set(found) == {"12_0", "12_1", "12_4", "12_6", "12_8"}
        assert found["12_0"] == Job("12_0", "RUNNING", "n7") and found["12_6"].reason == "Resources"


# An array's job 4711 on a SLURM 24.05, without the hundred keys that nobody reads here: a task that runs, one that
# ends, one whose node comes up, one that is held still, those that wait together, and a job that is no array.
SQUEUE_24 = {
    "jobs": [
        {
            "array_job_id": {"set": True, "infinite": False, "number": 4711},
            "array_task_id": {"set": True, "infinite": False, "number": task},
            "array_max_tasks": {"set": True, "infinite": False, "number": 2},
            "array_task_string": "",
            "job_id": 4711 + task,
            "job_state": states,
            "nodes": "gpu07",
            "node_count": {"set": True, "infinite": False, "number": 1},
            "start_time": {"set": True, "infinite": False, "number": 1_767_323_045},
            "state_reason": "None",
        }
        for task, states in enumerate(
            (["RUNNING"], ["CANCELLED", "COMPLETING"], ["PENDING", "CONFIGURING"], ["RUNNING", "STOPPED"])
        )
    ]
    + [
        {
            "array_job_id": {"set": True, "infinite": False, "number": 4711},
            "array_task_id": {"set": False, "infinite": False, "number": 0},
            "array_task_string": "4-9%2",
            "job_id": 4711,
            "job_state": ["PENDING"],
            "nodes": "",
            "start_time": {"set": False, "infinite": False, "number": 0},
            "state_reason": "JobArrayTaskLimit",
        },
        {
            "array_job_id": {"set": True, "infinite": False, "number": 0},
            "array_task_id": {"set": False, "infinite": False, "number": 0},
            "array_task_string": "",
            "job_id": 4720,
            "job_state": ["RUNNING"],
            "nodes": "gpu01",
            "state_reason": "None",
        },
    ],
    "last_backfill": {"set": True, "infinite": False, "number": 1_767_323_000},
    "meta": {"plugin": {"data_parser": "data_parser/v0.0.41"}, "slurm": {"release": "24.05.3"}},
    "errors": [],
    "warnings": [],
}


def test_the_json_of_slurm_24():
    found = jobs.from_json(json.dumps(SQUEUE_24), {"4711"})
    start = datetime.fromtimestamp(1_767_323_045).isoformat()
    assert found["4711_0"] == Job("4711_0", "RUNNING", "gpu07", start)
    assert [found[f"4711_{task}"].state for task in range(1, 5)] == ["COMPLETING", "CONFIGURING", "STOPPED", "PENDING"]
    assert not any(found[f"4711_{task}"].finished or found[f"4711_{task}"].waiting for task in range(4))
    assert found["4711_9"] == Job("4711_9", "PENDING", reason="JobArrayTaskLimit") and len(found) == 10


@pytest.mark.parametrize("json_says", ["no JSON", '{"jobs": [{"id": 12}]}', None])
def test_where_squeues_json_fails_its_columns_are_read_from_then_on(monkeypatch, json_says):
    asked = []

    def call(site, command, text=""):
        asked.append("--json" in command)
        if "--version" in command:
            return "slurm 26.11.0"
        if "--json" in command and json_says is None:
            raise client.Refused("SLURM refused 'squeue': no plugin", "no plugin")
        return json_says if "--json" in command else "12_0|RUNNING|n7|N/A|None\n"

    monkeypatch.setattr(jobs, "call", call)
    monkeypatch.setattr(jobs, "_without_json", set())
    jobs._version.cache_clear()
    for _ in range(2):
        assert jobs.ask(Site(), ["12"]) == {"12_0": Job("12_0", "RUNNING", "n7")}
    jobs._version.cache_clear()
    assert asked == [False, True, False, False]


def test_an_answer_in_no_known_shape_is_a_sentence(monkeypatch):
    monkeypatch.setattr(jobs, "_version", lambda ssh: (22, 5))
    monkeypatch.setattr(jobs, "call", lambda site, command, text="": "welcome to the cluster\n")
    with pytest.raises(UserError, match="squeue answered what cannot be read here: 'welcome to the cluster'"):
        jobs.ask(Site(), ["12"])


ACCOUNT = """\
12_0|COMPLETED|n7
12_3|CANCELLED by 1000|n8
12_[4-8:2,11%2]|CANCELLED by 1000|None assigned
12_2|OUT_OF_MEMORY|n[1-2]
13|TIMEOUT|n9
"""


def test_what_the_accounting_says():
    found = jobs.from_accounting(ACCOUNT)
    assert set(found) == {"12_0", "12_2", "12_3", "12_4", "12_6", "12_8", "12_11", "13"}
    assert found["12_3"] == Job("12_3", "CANCELLED", "n8", reason="CANCELLED by 1000")
    assert found["12_11"] == Job("12_11", "CANCELLED", reason="CANCELLED by 1000")
    assert found["12_2"].node == "n[1-2]" and all(job.finished for job in found.values())
    with pytest.raises(UserError, match=r"sacct answered what cannot be read here: '12_\[1-\.\.\.\]\|PENDING\|n'"):
        jobs.from_accounting("12_[1-...]|PENDING|n\n")


@pytest.mark.parametrize(
    "said",
    [
        "Slurm accounting storage is disabled",
        "env: ‘sacct’: No such file or directory",
        "bash: line 1: sacct: command not found",
        "sh: 1: sacct: not found",
    ],
)
def test_without_accounting_nothing_is_remembered(monkeypatch, said):
    def refuse(site, command, text=""):
        raise client.Refused(f"SLURM refused 'sacct': {said}", said)

    monkeypatch.setattr(jobs, "call", refuse)
    assert jobs.remembered(Site(), "12") == {}
    said = "sacct: error: Problem talking to the database: Connection refused"
    with pytest.raises(UserError, match="Problem talking to the database"):
        jobs.remembered(Site(), "12")


def test_a_command_that_is_not_there_is_known_by_its_own_name(monkeypatch, tmp_path):
    """As jobs.ask and jobs.remembered call theirs, with a word for them in the environment."""
    with pytest.raises(client.Refused, match=r"SLURM refused 'sacct-nowhere': .*sacct-nowhere.*[Nn]o such file"):
        client.call(Site(), [*jobs.WHOLE, "sacct-nowhere"])


def test_a_seed_whose_end_only_the_accounting_knows_waits_for_its_word(group, says, monkeypatch):
    asked = []

    def refuse(site, job_id):
        asked.append(job_id)
        raise UserError("the database is away")

    first, second = group.runs
    set_state(first, "running", epoch=2, heartbeat=1.0, process=own_process())
    says()
    monkeypatch.setattr(engine, "remembered", refuse)
    for _ in range(2):  # the second answer is the first one's
        with pytest.raises(UserError, match="the database is away"):
            engine.look(group)
    assert [run.written_status()["state"] for run in (first, second)] == ["running", "queued"] and asked == ["12"]
    (second.path / "stop").touch()
    assert engine.stop(group, 0)[3] == "stopped"  # which needs no accounting
    says(accounting=(Job("12_0", "TIMEOUT", "n7"),))
    assert states(group) == ["failed", "stopped"]
    engine.look(group)


def test_a_command_that_waits_says_once_that_slurm_does_not_answer(group, monkeypatch, capsys):
    answers = iter([UserError("it is away"), UserError("it is away"), {}, UserError("it is away")])

    def ask(site, ids):
        if isinstance(answer := next(answers), UserError):
            raise answer
        return answer

    monkeypatch.setattr(engine, "ask", ask)
    monkeypatch.setattr(engine, "remembered", lambda site, job_id: {"12_0": Job("12_0", "PENDING")})
    monkeypatch.setattr(engine.look, "__defaults__", (0,))
    set_state(group.runs[0], "running", process=own_process() | {"host": "n7"})
    said = []
    for _ in range(4):
        look_beyond(group)
        said.append(capsys.readouterr().err)
    assert said == ["Not asked: it is away\n", "", "", "Not asked: it is away\n"]


def test_which_squeue_is_asked_how(monkeypatch):
    asked, version = [], ""

    def call(site, command, text=""):
        asked.append(command)
        if command == ["squeue", "--version"]:
            return f"slurm {version}"
        return '{"jobs": []}' if "--json" in command else ""

    monkeypatch.setattr(jobs, "call", call)
    for said, word in (("22.05.8", "--array"), ("23.02.1", "--json"), ("24.11.0", "--json")):
        version = said
        jobs._version.cache_clear()
        assert jobs.ask(Site(), ["12"]) == {}
        assert word in asked[-1] and "--jobs=12" in asked[-1] and "--states=all" in asked[-1]
    jobs._version.cache_clear()
    before = len(asked)
    assert jobs.ask(Site(), []) == {} and len(asked) == before


def test_a_job_that_slurm_killed_has_that_reason(group, says):
    first, second = group.runs
    set_state(first, "running", epoch=2, process=own_process())
    set_state(second, "running", epoch=0, process=own_process())
    says(Job("12_0", "OUT_OF_MEMORY", "n7"), Job("12_3", "NODE_FAIL", "n8"))
    assert states(group) == ["failed", "lost"]
    assert Run(first.path).status["reason"] == (
        "SLURM ended its job 12_0 on n7 for using more than the 16G of memory it had asked for: raise memory for this "
        "group, or lower the batch size. Resume continues after epoch 2."
    )
    assert Run(second.path).status["reason"].startswith("The node of its job 12_3 on n8 failed.")
    assert records.read_job(first.path)["state"] == "OUT_OF_MEMORY"


@pytest.mark.parametrize(
    ("job", "last", "state", "words"),
    [
        (Job("1_0", "TIMEOUT", "n"), {}, "failed", "at the time limit of 24:00:00"),
        (Job("1_0", "PREEMPTED", "n"), {}, "failed", "was preempted"),
        (Job("1_0", "CANCELLED"), {}, "stopped", "cancelled with SLURM's own commands"),
        (Job("1_0", "FAILED", reason="NonZeroExitCode"), {}, "failed", "NonZeroExitCode. .*\nno module"),
        (Job("1_0", "DEADLINE"), {}, "failed", "deadline"),
        (Job("1_0", "LAUNCH_FAILED"), {}, "failed", "SLURM ended its job 1_0: LAUNCH_FAILED"),
        (None, {}, "lost", "keeps no accounting"),
        (None, {"told": ["SIGTERM"], "seconds": 900}, "lost", "preempted"),
        (None, {"told": ["SIGTERM"], "seconds": 86_390}, "failed", "at the time limit"),
        (None, {"told": [], "oom_kills": 1, "seconds": 5}, "failed", "16G of memory"),
    ],
)
def test_every_ending_says_what_to_do(job, last, state, words):
    found = ending(job, "1_0", {"epoch": 3}, Site().model_dump(), last, "no module")
    assert found["state"] == state and "Resume continues after epoch 3." in found["reason"]
    assert re.search(words, found["reason"], re.DOTALL)


def test_reasons_for_waiting_are_explained_where_they_are_known():
    assert waits_for("Resources") == "for free nodes or GPUs (Resources)"
    assert waits_for("QOSMaxNodePerUserLimit") == "QOSMaxNodePerUserLimit"
    assert waits_for("") == "SLURM has not looked at it yet"


def test_what_the_run_says_itself_comes_first(group, says, monkeypatch):
    run = group.runs[0]
    set_state(run, "running", epoch=2, process=own_process())
    known = {"12_0": Job("12_0", "COMPLETED", "n7")}

    def ask(site, ids):  # the run ends while SLURM is asked
        set_state(run, "done", process=None)
        return known

    monkeypatch.setattr(engine, "ask", ask)
    monkeypatch.setattr(engine, "remembered", lambda site, job_id: {})
    assert states(group)[0] == "done"


def test_requeued_without_a_word_it_is_queued_again(group, says):
    set_state(group.runs[0], "running", epoch=2, process=own_process())
    says(Job("12_0", "PENDING", reason="BeginTime"), Job("12_3", "PENDING", reason="Resources"))
    assert states(group) == ["queued", "queued"]
    assert Run(group.runs[0].path).status["reason"] == "SLURM runs it again; it goes on after epoch 2."
    assert engine.note(group.runs[1]) == "in SLURM as 12_3: for free nodes or GPUs (Resources)"


def test_what_slurm_has_forgotten_is_asked_of_its_accounting_and_heartbeats_are_believed(group, says, monkeypatch):
    first, second = group.runs
    set_state(first, "running", epoch=2, process=own_process())
    monkeypatch.setattr("colora.queue.verdict._heard", {})
    says(accounting=(Job("12_3", "TIMEOUT", "n1", reason="TIMEOUT"),))
    assert states(group) == ["running", "failed"]  # the first one's heart beats
    assert "time limit" in Run(second.path).status["reason"]
    set_state(first, "running", heartbeat=1.0)  # long ago by every clock
    monkeypatch.setattr("colora.queue.verdict._heard", {})
    assert states(group)[0] == "lost"
    assert "keeps no accounting" in Run(first.path).status["reason"]


def test_a_wish_to_stop_stays_until_a_run_whose_heart_beats_has_heeded_it(group, says, monkeypatch):
    run = group.runs[0]
    set_state(run, "running", epoch=2, process=own_process() | {"host": "n7"})
    monkeypatch.setattr("colora.queue.verdict._heard", {})
    says()
    (run.path / "stop").touch()
    assert states(group)[0] == "stopping" and run.stop_requested
    set_state(run, "running", heartbeat=1.0)
    monkeypatch.setattr("colora.queue.verdict._heard", {})
    assert states(group)[0] == "stopped" and not run.stop_requested


def test_resume_leaves_alone_what_lives_though_slurm_does_not_know_it(group, says, monkeypatch):
    first, second = group.runs
    set_state(first, "running", epoch=2, process=own_process() | {"host": "n7"})
    set_state(second, "stopped")
    monkeypatch.setattr("colora.queue.verdict._heard", {})
    submitted = []
    monkeypatch.setattr(engine, "_submit", lambda group, runs, priority: submitted.append(runs) or {"job": "13"})
    says()
    assert engine.resume(group) == {"seeds": [3], "job": "13"} and submitted == [[second]]
    set_state(second, "done")
    with pytest.raises(UserError, match="g has no stopped, failed or lost seed to resume"):
        engine.resume(group)


def test_a_run_that_slurm_just_said_to_run_is_not_lost_by_a_wrong_clock(group, says, monkeypatch):
    run = group.runs[0]
    set_state(run, "running", heartbeat=time.time() - 3600, process=own_process() | {"host": "n7"})
    monkeypatch.setattr("colora.queue.verdict._heard", {})
    monkeypatch.setattr("colora.queue.verdict._vouched", {})
    assert Run(run.path).state == "lost"  # nobody has asked SLURM
    says(Job("12_0", "RUNNING", "n7"), Job("12_3", "PENDING"))
    assert states(group)[0] == "running"
    later = time.monotonic() + 121
    monkeypatch.setattr("colora.queue.verdict.time.monotonic", lambda: later)
    assert Run(run.path).state == "lost"


def test_the_launch_hears_that_its_priority_has_no_effect(group, monkeypatch, capsys):
    """As sbatch tells it to whoever is no administrator of SLURM's, with exit code 0; ssh's banner is not its own."""

    def answer(site, command, text=""):
        remarks = "Authorized use only\nsbatch: error: Nice value must be non-negative, value ignored\n"
        return "13\n", remarks if "--nice=-2000" in text else ""

    monkeypatch.setattr(engine, "answer", answer)
    monkeypatch.setattr(engine, "call", lambda site, command, text="": "")
    assert engine.start(group) == {"job": "13"}
    begun = engine.start(group, priority=2)
    assert begun["job"] == records.submission_of(group.runs[0].path)["job"] == "13"
    assert begun["remark"] == (
        "error: Nice value must be non-negative, value ignored; Only SLURM's administrators put jobs before those of "
        "others: priority above 0 has no effect here"
    )


def test_a_suspended_job_is_not_lost(group, says, monkeypatch):
    run = group.runs[0]
    set_state(run, "running", heartbeat=1.0, process=own_process() | {"host": "n7"})
    monkeypatch.setattr("colora.queue.verdict._heard", {})
    assert Run(run.path).state == "lost"
    says(Job("12_0", "SUSPENDED", "n7"), Job("12_3", "PENDING"))
    assert states(group) == ["running", "queued"]


def test_a_killed_training_on_a_node_may_want_more_memory(group, monkeypatch):
    run = group.runs[0]
    set_state(run, "running", epoch=1, process=own_process())
    ending = {"guard": own_process(), "child": own_process(), "code": None, "signal": 9, "oom_kills": 1}
    write_json(run.path / "exit.json", ending)
    assert task.conclude(run.path, [], -9, 0) == 1
    reason = Run(run.path).status["reason"]
    assert Run(run.path).state == "failed" and "lack of memory" in reason and "Or raise memory" in reason


@pytest.mark.parametrize("refusal", ["job may not be requeued", "nothing"])
def test_a_turn_that_slurm_does_not_grant_again_fails_with_its_words(group, monkeypatch, tmp_path, refusal):
    """The time limit is near, and the job has requeue = false, or scontrol does not answer."""
    run = group.runs[0]
    says = "exec sleep 60" if refusal == "nothing" else f"echo $* {refusal} >&2; exit 1"
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\n{says}\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setattr(task, "REQUEUE_SECONDS", 0.5 if refusal == "nothing" else 60)
    set_state(run, "queued", epoch=2, reason="SLURM took its place back")
    assert task.conclude(run.path, [signal.SIGUSR1], 0, first_epoch=1) == 1
    words = "scontrol has not answered within 0.5 s" if refusal == "nothing" else f"requeue 12_0 {refusal}"
    assert Run(run.path).state == "failed" and Run(run.path).status["reason"] == (
        f"The job's time limit is over and SLURM does not run it again ({words}). Resume continues after epoch 2."
    )


def test_tasks_cancelled_while_they_waited_are_found_under_the_arrays_number(group, says):
    (group.runs[0].path / "stop").touch()
    says(Job("12", "CANCELLED"))
    assert states(group) == ["stopped", "stopped"]
    reasons = [Run(run.path).status["reason"] for run in group.runs]
    assert reasons[0] == "Stopped on request before it started." and "cancelled with SLURM's own commands" in reasons[1]
    assert not Run(group.runs[0].path).stop_requested


def test_slurms_runs_are_not_this_machines(group):
    supervisor = Supervisor(group.path.parent, slots=[], tell=lambda said: None)
    set_state(group.runs[0], "running", process=own_process() | {"started": 0.0})
    assert not supervisor.turn() and not supervisor.finds_work()
    assert Run(group.runs[0].path).state == "running"  # its heart beats, and pids are not asked
    assert order.waiting(group.path.parent) == []
    assert [(row["seed"], row["state"], row["place"]) for row in rows(group.path.parent)] == [
        (0, "running", None), (3, "queued", None)
    ]  # fmt: skip
    with pytest.raises(UserError, match="Nothing of 'g' waits"):
        move(group.path.parent, "g", "first")
    assert set(ENGINES) == {"local", "slurm"}


def test_two_hosts_never_claim_the_same_submission(group):
    assert [records.claim(group.path) for _ in range(3)] == [2, 3, 4]
    assert records.submissions(group.path) == [1, 2, 3, 4]
    assert records.submission_of(group.runs[0].path)["job"] == "12"


def test_a_task_leaves_alone_what_is_not_its_own(group, monkeypatch, capsys):
    monkeypatch.setattr(task, "ATTRIBUTES_SECONDS", 0.05)
    monkeypatch.setattr(task, "POLL_SECONDS", 0.01)
    run = group.runs[0]
    assert task.is_ours(run.path, 1)
    assert not task.is_ours(run.path, 2)  # the file system has not heard of it within a minute
    write_json(run.path / "queue.json", order.place(run.path) | {"submission": 5})
    assert not task.is_ours(run.path, 1)
    assert "belongs to submission 5, not to 1: left alone" in capsys.readouterr().out
    assert task.may_begin(run.path)
    set_state(run, "running", process=own_process() | {"host": "elsewhere"})
    assert task.may_begin(run.path)  # its heart does not beat
    beats = iter(range(10))
    monkeypatch.setattr(task.time, "sleep", lambda seconds: set_state(run, "running", heartbeat=float(next(beats))))
    assert not task.may_begin(run.path)
    assert "is being trained on elsewhere" in capsys.readouterr().out
    for state in ("done", "stopped"):
        set_state(run, state, process=None)
        assert not task.may_begin(run.path)
    set_state(run, "queued")
    (run.path / "stop").touch()
    assert not task.may_begin(run.path)
    assert Run(run.path).state == "stopped" and not Run(run.path).stop_requested


def test_finished_jobs_and_waiting_ones_are_told_apart():
    job = Job("1_0", "RUNNING")
    assert not job.finished and not job.waiting
    assert replace(job, state="PENDING").waiting and replace(job, state="REQUEUE_HOLD").waiting
    assert replace(job, state="NODE_FAIL").finished and not replace(job, state="COMPLETING").finished


def test_the_engine_needs_no_torch():
    code = "import sys, colora.engines.slurm, colora.engines.local, colora.engines.slurm.script; "
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys, colora.engines.slurm.task; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
