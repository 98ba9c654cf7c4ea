"""SLURM as an engine: one group is one `sbatch --array`, and nothing of ours schedules across machines.

    site.py     colora-slurm.toml and what one launch asks for        client.py   the commands, here or through ssh
    script.py   the batch script                                     jobs.py     what squeue and sacct say
    task.py     one task, on its node                                ending.py   why a job ended, or waits, in words
    records.py  what is kept in the group's folder

The run folder is the truth, so every question to SLURM is about what it leaves open: why a seed waits, where it runs,
and how a job ended that could not say so itself. Whoever submitted may be gone; any host that sees the folder and
reaches SLURM can look, stop and resume.
"""

import math
import time
from functools import cache
from pathlib import Path
from typing import Any

from colora.engines.slurm import records
from colora.engines.slurm.client import answer, call, check_folder
from colora.engines.slurm.ending import ending, waits_for
from colora.engines.slurm.jobs import Job, ask, remembered
from colora.engines.slurm.script import NICE_PER_PRIORITY, render
from colora.engines.slurm.site import Site, load_site
from colora.queue import order
from colora.queue.actions import STOP_WAIT_SECONDS, begin_anew
from colora.runs import access, verdict
from colora.runs.audit import record
from colora.runs.folder import ACTIVE, ENDED_EARLY, Group, Run, queued_status
from colora.runs.listing import list_groups, run_folders, written_state
from colora.runs.lock import editing
from colora.runs.names import NAME
from colora.system.errors import UserError
from colora.system.files import read_json, write_bytes, write_json

__all__ = ["STOP_WAIT_SECONDS", "check", "forgotten", "look", "move", "resume", "retry", "start", "stop"]

LOOK_SECONDS = 10  # a busy controller is asked no more often by one process, for one group
STOP_POLL_SECONDS = 1
ENDING_SECONDS = 20  # for a job to end after its run has
KILL_AFTER_SECONDS = 60  # after the wish to stop: a step may take long
ENDED = ("done", "failed", "stopped", "damaged")

# group -> when this process last asked, on the monotonic clock, and what stood against an answer
_looked: dict[Path, tuple[float, UserError | None]] = {}


def check(runs_dir: Path, name: str, seeds: list[int], asked: dict[str, Any], priority: int = 0) -> None:
    """Let SLURM itself judge the script of a launch, without submitting it."""
    if not NAME.fullmatch(name):
        return  # which is refused where the group would be made
    site, runs_dir = load_site(asked), Path(runs_dir).absolute()
    there = next(folder for folder in (runs_dir, *runs_dir.parents) if folder.exists())
    check_folder(site, str(there))
    _test(site, render(site, runs_dir / name, seeds, 1, priority), seeds)


def _test(site: Site, script: str, seeds: list[int]) -> None:
    try:
        call(site, ["sbatch", "--test-only"], script)
    except UserError as error:
        if "array" in str(error).lower():
            raise UserError(f"{error} (the seeds are the task numbers: {min(seeds)} to {max(seeds)})") from error
        raise


def start(group: Group, priority: int = 0) -> dict[str, Any]:
    return _submit(group, group.runs, priority)


def _submit(group: Group, runs: list[Run], priority: int = 0) -> dict[str, Any]:
    """One array for these seeds: {"job": its number}, and sbatch's "remark" if it made one, as on a priority that it
    ignores. The script and its answer stay in the group's folder.

    From the moment at which a run's queue.json names the new submission, tasks of earlier ones leave it alone.
    """
    site, seeds = load_site(group.info.get("slurm")), sorted(run.seed for run in runs)
    path = group.path.absolute()
    _test(site, render(site, path, seeds, 1, priority), seeds)
    number = records.claim(path)
    script = render(site, path, seeds, number, priority)
    write_bytes(records.script_path(path, number), script.encode())
    with editing(path.parent):
        place = order.last_place(path.parent, priority)
        for run in runs:
            write_json(run.path / "queue.json", place | {"submission": number})
            (run.path / "stop").unlink(missing_ok=True)
            (run.path / "job.json").unlink(missing_ok=True)
            epoch = 0 if run.state == "damaged" else run.written_status()["epoch"]
            write_json(run.path / "status.json", queued_status(run.config.epochs, epoch))
    about = {"seeds": seeds, "request": site.model_dump(), "submitted": time.time(), "by": place["user"]}
    records.write_submission(path, number, job=None, **about)
    said, remarks = answer(site, ["sbatch", "--parsable"], script)
    job = said.strip().partition(";")[0]
    records.write_submission(path, number, job=job, **about)
    own = [line.removeprefix("sbatch:").strip() for line in remarks.splitlines() if line.startswith("sbatch:")]
    if any("nice value" in line.lower() for line in own):  # "Nice value must be non-negative, value ignored"
        own.append("Only SLURM's administrators put jobs before those of others: priority above 0 has no effect here")
    return {"job": job} | ({"remark": "; ".join(own)} if own else {})


def look(group: Group, pause: float = LOOK_SECONDS) -> None:
    """Ask SLURM about the group's unfinished seeds, and write down what it says of them: at most every `pause` s.

    In between it raises what the last question was answered with.
    """
    now = time.monotonic()
    asked, trouble = _looked.get(group.path, (-math.inf, None))
    if now - asked >= pause:
        _looked[group.path] = (now, trouble)
        trouble = None
        try:
            _look(group, strict=True)
        except UserError as error:
            trouble = error
        _looked[group.path] = (now, trouble)
    if trouble:
        raise UserError(str(trouble), field=trouble.field)


def _look(group: Group, strict: bool = False) -> dict[int, Job]:
    """{seed: Job} of the seeds that SLURM still has; what has ended unsaid is written down.

    A seed whose end only the accounting could tell waits for its word; `strict` raises what stands against that.
    """
    before = {run.seed: _written(run) for run in Group(group.path).runs}
    tasks = {run.seed: task for run in group.runs if (task := records.task_of(run.path))}
    open_ones = [seed for seed, task in tasks.items() if _unfinished(before[seed]) or _seen_alive(group, seed)]
    known = ask(load_site(), {tasks[seed].partition("_")[0] for seed in open_ones})
    account = cache(_account)
    alive, trouble = {}, None
    for run in group.runs:
        if run.seed not in open_ones:
            continue
        job = _of(known, tasks[run.seed])
        if job is None and _unfinished(before[run.seed]) and not run.stop_requested:
            ended = account(tasks[run.seed].partition("_")[0])
            if isinstance(ended, UserError):
                trouble = ended
                continue
            job = _of(ended, tasks[run.seed])
        if job:
            records.write_job(run.path, job)
            if not job.finished:
                alive[run.seed] = job
            if not job.finished and not job.waiting:
                verdict.vouch(run.path)
        _settle(run, job, before[run.seed])
    if strict and trouble:
        raise trouble
    return alive


def _account(number: str) -> dict[str, Job] | UserError:
    """What the accounting says of a job, or what stands against its answer: of many seeds it is asked once."""
    try:
        return remembered(load_site(), number)
    except UserError as error:
        return error


def _of(jobs: dict[str, Job], task: str) -> Job | None:
    """The job of an array's task. Those cancelled while they waited appear together, under the array's number."""
    together = jobs.get(task.partition("_")[0])
    return jobs.get(task) or (together if together and together.finished else None)


def _written(run: Run) -> dict[str, Any]:
    try:
        return run.written_status()
    except UserError:
        return {"state": "damaged"}


def _unfinished(status: dict[str, Any]) -> bool:
    return status["state"] in ("queued", *ACTIVE)


def _seen_alive(group: Group, seed: int) -> bool:
    """Whether SLURM's last word on a seed was that its job goes on: its end is to be noted once."""
    job = records.read_job(Run(group.path / f"seed-{seed:02d}").path)
    return bool(job) and not Job(**job).finished


def _settle(run: Run, job: Job | None, before: dict[str, Any]) -> None:
    """Write the state of a run whose job has ended, or waits again, without the run's own last word.

    `before` was read before SLURM was asked: what has changed since was written by a run that lives.
    """
    if not _unfinished(before) or (job and not job.finished and not job.waiting):
        return
    with editing(run.path.parent.parent):
        status = _written(Run(run.path))
        if status != before:
            return
        if job and job.waiting:
            if status["state"] == "queued":
                return
            reason = f"SLURM runs it again; it goes on after epoch {status['epoch']}."
            end = {"state": "queued", "reason": reason}
        elif job is None and status["state"] in ACTIVE and not verdict.fallen_silent(run.path, status["heartbeat"]):
            return  # its heart beats: SLURM's memory, or the site file, is another cluster's
        elif (run.path / "stop").exists():
            end = {"state": "stopped", "reason": _stopped(status)}
        else:
            about = records.submission_of(run.path)
            end = ending(job, records.task_of(run.path), status, about["request"], _last(run), records.output(run.path))
        write_json(run.path / "status.json", status | end | {"process": None, "finished": time.time()})
        if end["state"] != "queued":
            (run.path / "stop").unlink(missing_ok=True)


def _stopped(status: dict[str, Any]) -> str:
    if status["state"] == "queued" and not status["epoch"]:
        return "Stopped on request before it started."
    return f"Stopped on request. Resume continues after epoch {status['epoch']}."


def _last(run: Run) -> dict[str, Any]:
    """The task's own record of its end; {} where it was killed before it could write one."""
    path = run.path / "exit.json"
    return read_json(path) if path.exists() else {}


def forgotten(group: Group) -> bool:
    return any(run.state == "queued" and not records.submission_of(run.path) for run in group.runs)


def note(run: Run) -> str:
    """What a waiting run waits for, as SLURM said when it was last asked."""
    if not records.submission_of(run.path):
        return "not submitted to SLURM: colora resume does"
    job = records.read_job(run.path)
    said = f": {waits_for(job['reason'])}" if job else ""
    return f"in SLURM as {records.task_of(run.path)}{said}"


def stop(group: Group, wait: float = STOP_WAIT_SECONDS) -> dict[int, str]:
    """Cancel what waits, and let what runs finish its step; what does not heed is ended by SLURM after a minute."""
    return see_stopped(group, ask_to_stop(group), wait)


def ask_to_stop(group: Group) -> list[Run]:
    access.check_group("stop", group)
    asked = [run for run in group.runs if run.state in ("queued", *ACTIVE)]
    for run in asked:
        (run.path / "stop").touch()
    if asked:
        record(group.path.parent, "stop", group.name, [run.seed for run in asked])
    return asked


def see_stopped(group: Group, asked: list[Run], wait: float = STOP_WAIT_SECONDS) -> dict[int, str]:
    if asked:
        try:
            _see_to_the_end(group, asked, wait)
        except UserError as error:
            raise UserError(f"{error} Seeds that run stop by themselves; stop again for those that wait.") from error
    return {run.seed: run.state for run in Group(group.path).runs}


def _see_to_the_end(group: Group, asked: list[Run], wait: float) -> None:
    begin, told, refusal = time.monotonic(), set(), None
    seeds = {run.seed for run in asked}
    for run in asked:
        if not records.submission_of(run.path):
            _stop_unsubmitted(run)
    while True:
        alive = {seed: job for seed, job in _look(group).items() if seed in seeds}
        waited = time.monotonic() - begin
        late = waited > KILL_AFTER_SECONDS
        end = [job.task for job in alive.values() if job.waiting or late]
        ask_to_stop = [job.task for job in alive.values() if job.task not in told and job.task not in end]
        for tasks, how in ((end, []), (ask_to_stop, ["--signal=INT", "--batch"])):
            if tasks:
                try:
                    call(load_site(), ["scancel", "--quiet", *how, *tasks])
                    told |= set(tasks)
                except UserError as error:  # it may just be ending; else the next look finds it as it was
                    refusal = error
        if not alive:
            return
        if waited >= wait:
            if refusal and not told:
                raise refusal
            return
        time.sleep(STOP_POLL_SECONDS)


def _stop_unsubmitted(run: Run) -> None:
    with editing(run.path.parent.parent):
        status = _written(run)
        if _unfinished(status):
            end = {"state": "stopped", "reason": _stopped(status), "process": None}
            write_json(run.path / "status.json", status | end)
        (run.path / "stop").unlink(missing_ok=True)


def resume(group: Group) -> dict[str, Any]:
    """Submit again what did not finish and is in no job any more; not a run whose heart beats, whatever SLURM knows."""
    access.check_group("resume", group)
    alive = _still_alive(group)
    runs = Group(group.path).runs
    open_ones = [run for run in runs if run.state in (*ENDED_EARLY, "queued")]
    again = [run for run in open_ones if run.seed not in alive]
    if not again:
        raise UserError(
            f"{group.name} has no stopped, failed or lost seed to resume: it is {group.state}.{_alive(alive)}"
        )
    begun = _submit(group, again, _priority(again))
    record(group.path.parent, "resume", group.name, [run.seed for run in again], job=begun["job"])
    return {"seeds": [run.seed for run in again], **begun}


def _still_alive(group: Group) -> dict[int, Job]:
    """`_look`, after a moment for the jobs of seeds that have ended to end as well."""
    end = time.monotonic() + ENDING_SECONDS
    while True:
        alive = _look(group)
        states = {run.seed: run.state for run in Group(group.path).runs}
        if not any(states[seed] in ENDED for seed in alive) or time.monotonic() > end:
            return alive
        time.sleep(STOP_POLL_SECONDS / 2)


def _alive(alive: dict[int, Job]) -> str:
    jobs = ", ".join(f"seed {seed} as {job.task} ({job.state})" for seed, job in alive.items())
    return f" SLURM has {jobs}." if jobs else ""


def _priority(runs: list[Run]) -> int:
    return max(order.place(run.path)["priority"] for run in runs)


def retry(group: Group, seeds: list[int] | None = None) -> dict[str, Any]:
    """Submit seeds to train from the beginning; what they had goes to the trash."""
    access.check_group("retry", group)
    alive, wanted = _still_alive(group), seeds
    if wanted is None:
        wanted = [run.seed for run in Group(group.path).runs if run.state in (*ENDED_EARLY, "damaged")]
    if busy := {seed: job for seed, job in alive.items() if seed in wanted}:
        raise UserError(f"These are not over yet.{_alive(busy)} Stop {group.name} first.")
    if wanted:  # before anything goes to the trash
        site = load_site(group.info.get("slurm"))
        _test(site, render(site, group.path, sorted(wanted), 1), wanted)
    chosen, new, trash = begin_anew(group, seeds)
    fresh = [run for run in Group(group.path).runs if run.seed in chosen]
    begun = _submit(Group(group.path), fresh)
    record(group.path.parent, "retry", group.name, chosen, new=new, trash=trash, job=begun["job"])
    return {"seeds": chosen, **begun}


def move(runs_dir: Path, target: str, end: str | None = None, priority: int | None = None) -> list[Path]:
    """Change the order among one's own waiting jobs. SLURM lets only administrators raise a priority above others'."""
    name, _, seed = target.partition("/")
    access.check("move", runs_dir, name, access.owner_of(Group(runs_dir / name)))
    group = next((group for group in list_groups(runs_dir) if group.name == name), None)
    alive = _look(group) if group else {}
    jobs = {s: job for s, job in alive.items() if job.waiting and seed in ("", f"seed-{s:02d}")}
    if not jobs:
        raise UserError(f"Nothing of '{target}' waits in SLURM: colora queue lists what does.")
    tasks = [job.task for job in jobs.values()]
    if end == "first":
        call(load_site(), ["scontrol", "top", ",".join(tasks)])
    elif end == "last":
        priority = min([order.place(folder)["priority"] for folder in _others(runs_dir)], default=0) - 1
    folders = [run.path for run in group.runs if run.seed in jobs]
    if priority is not None:
        for task in tasks:
            call(load_site(), ["scontrol", "update", f"JobId={task}", f"Nice={-NICE_PER_PRIORITY * priority}"])
        with editing(runs_dir):
            for folder in folders:
                write_json(folder / "queue.json", order.place(folder) | {"priority": priority})
    seeds = [Run(folder).seed for folder in folders]
    detail = {name: value for name, value in (("end", end), ("priority", priority)) if value is not None}
    record(runs_dir, "move", name, seeds, **detail)
    return folders


def _others(runs_dir: Path) -> list[Path]:
    """Every waiting run of this folder that is SLURM's."""
    queued = [folder for folder in run_folders(runs_dir) if written_state(folder) == "queued"]
    return [folder for folder in queued if Run(folder).engine == "slurm"]
