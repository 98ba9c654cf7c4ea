"""What squeue and sacct of several versions answer, read as jobs."""

import json
from dataclasses import replace
from datetime import datetime

import pytest

from colora.engines.slurm import client, jobs
from colora.engines.slurm.jobs import Job
from colora.engines.slurm.site import Site
from colora.system.errors import UserError


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


def counted(number: int | None = None) -> dict:
    """A number as SLURM's JSON has them; None is one that is not set."""
    return {"set": number is not None, "infinite": False, "number": number or 0}


def entry_24(array: int, task: int | None, job: int, states: list[str], **more) -> dict:
    """A job as SLURM 24.05 tells of it, without the hundred keys that nobody reads here."""
    usual = {"array_task_string": "", "nodes": "", "start_time": counted(), "state_reason": "None"}
    numbers = {"array_job_id": counted(array), "array_task_id": counted(task), "job_id": job}
    return numbers | {"job_state": states} | usual | more


# An array's job 4711: a task that runs, one that ends, one whose node comes up, one that is held still, those that wait
# together, and a job that is no array.
SQUEUE_24 = {
    "jobs": [
        entry_24(4711, task, 4711 + task, states, nodes="gpu07", start_time=counted(1_767_323_045))
        for task, states in enumerate(
            (["RUNNING"], ["CANCELLED", "COMPLETING"], ["PENDING", "CONFIGURING"], ["RUNNING", "STOPPED"])
        )
    ]
    + [
        entry_24(4711, None, 4711, ["PENDING"], array_task_string="4-9%2", state_reason="JobArrayTaskLimit"),
        entry_24(0, None, 4720, ["RUNNING"], nodes="gpu01"),
    ],
    "last_backfill": counted(1_767_323_000),
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


def test_finished_jobs_and_waiting_ones_are_told_apart():
    job = Job("1_0", "RUNNING")
    assert not job.finished and not job.waiting
    assert replace(job, state="PENDING").waiting and replace(job, state="REQUEUE_HOLD").waiting
    assert replace(job, state="NODE_FAIL").finished and not replace(job, state="COMPLETING").finished
