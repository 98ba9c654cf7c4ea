"""From a config to running seeds: check, make the run folders, and work through them one process a seed.

The browser's server never owns a run. It calls `python -m colora launch`, which starts a detached worker
(`python -m colora work`) and ends; the worker starts `python -m colora train --run-dir DIR` for one seed after another.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from colora.config import RunConfig, absolute_paths
from colora.data import check_dataset
from colora.download import Progress, quiet
from colora.errors import UserError
from colora.process import identity
from colora.runs import ACTIVE, Group, Run, create_group, own_process, queued_status, worker_alive, write_json

POLL_SECONDS = 0.2
STOP_WAIT_SECONDS = 60


def launch(runs_dir: Path, name: str, config: RunConfig, seeds: list[int], on_progress: Progress = quiet) -> Group:
    """Checks data, model and weights, then makes the group with all seeds queued. Nothing runs yet.

    ImageNet weights that are not on this machine are downloaded, which `on_progress` follows; data sets are not.
    Raises UserError, and leaves no folder behind, where the runs would certainly fail.
    """
    config = absolute_paths(config)
    check_dataset(config)
    _check_model(config, on_progress)
    _check_fit(config, len(seeds), Path(runs_dir))
    return create_group(Path(runs_dir), name, config, seeds)


def _check_model(config: RunConfig, on_progress: Progress) -> None:
    from colora.backbones import build_meta, matching_weights, weights_file  # torch, which pages do without
    from colora.methods import apply_method

    model = build_meta(config.backbone, 2, config.image_size)
    if config.weights != "none":
        path = weights_file(config.backbone, config.weights, on_progress)
        matching_weights(model, config.backbone, path, config.partial_weights)
    apply_method(model, config, seed=0)


def _check_fit(config: RunConfig, seeds: int, runs_dir: Path) -> None:
    from colora.preflight import check_fit, estimate  # torch

    there = next(folder for folder in (runs_dir.absolute(), *runs_dir.absolute().parents) if folder.exists())
    check_fit(config, estimate(config), seeds, there)


def start_worker(group: Group) -> int:
    """A process that outlives this one, its terminal and the browser, and works through the queued seeds; its pid."""
    with open(group.path / "worker.log", "ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "colora", "work", str(group.path.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parent.parent,
            close_fds=True,
            start_new_session=True,
        )
    write_json(group.path / "worker.json", identity(worker.pid))
    return worker.pid


def work(group: Group, on_progress: Callable[[Group], None] | None = None) -> None:
    """Train every queued seed of the group, one after another, until none is queued; seeds fail one by one."""
    write_json(group.path / "worker.json", own_process())
    while True:
        runs = Group(group.path).runs
        queued = next((run for run in runs if run.state == "queued"), None)
        if queued is None:
            return
        if queued.stop_requested:
            mark_stopped(queued)
            continue
        _train_in_child(queued, on_progress)


def _train_in_child(run: Run, on_progress: Callable[[Group], None] | None) -> None:
    with open(run.path / "log.txt", "ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "colora", "train", "--run-dir", str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parent.parent,
        )
        while child.poll() is None:
            time.sleep(POLL_SECONDS)
            if on_progress:
                on_progress(Group(run.path.parent))
    after = Run(run.path)
    if after.state not in ("done", "stopped", "failed"):
        _mark_dead(after, child.returncode)
    if on_progress:
        on_progress(Group(run.path.parent))


def _mark_dead(run: Run, code: int) -> None:
    """status.json of a run whose process ended without a word of its own."""
    if code < 0:
        how = f"was killed by signal {-code}" + (" (probably out of memory)" if code == -9 else "")
    else:
        how = f"ended with exit code {code}"
    tail = run.log_tail(5)
    reason = f"The training process {how}. Resume continues after epoch {run.status['epoch']}."
    write_json(
        run.path / "status.json",
        run.status
        | {
            "state": "failed",
            "process": None,
            "finished": time.time(),
            "reason": reason + (f"\n{tail}" if tail else ""),
        },
    )


def mark_stopped(run: Run) -> None:
    """A seed that was still waiting when a person stopped the group."""
    reason = "Stopped on request before it started."
    write_json(run.path / "status.json", run.status | {"state": "stopped", "process": None, "reason": reason})
    (run.path / "stop").unlink(missing_ok=True)


def stop(group: Group, wait: float = STOP_WAIT_SECONDS) -> dict[int, str]:
    """Ask every waiting or running seed to stop; returns each seed's state once they have, or after `wait` seconds.

    A running seed finishes its step and ends; its unfinished epoch is done again on resume.
    """
    for run in group.runs:
        if run.state in ("queued", *ACTIVE):
            (run.path / "stop").touch()
    end = time.monotonic() + wait
    while Group(group.path).active and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return {run.seed: run.state for run in Group(group.path).runs}


def requeue(group: Group) -> list[int]:
    """Queue every seed that was stopped, failed or was lost; returns those seeds. UserError where there is none."""
    again = [run for run in group.runs if run.state in ("stopped", "failed", "lost")]
    if not again:
        raise UserError(f"{group.name} has no stopped, failed or lost seed to resume: it is {group.state}.")
    for run in again:
        (run.path / "stop").unlink(missing_ok=True)
        write_json(run.path / "status.json", queued_status(run.config.epochs, run.status["epoch"]))
    return [run.seed for run in again]


def resume(group: Group) -> dict[str, Any]:
    """Queue what did not finish and see to it that a worker runs: {"seeds", "pid"} (pid None: one was running)."""
    seeds = requeue(group)
    return {"seeds": seeds, "pid": None if worker_alive(group.path) else start_worker(group)}
