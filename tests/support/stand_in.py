"""A training process that trains nothing, and a supervisor that starts it. No torch: starts at once.

    python tests/support/stand_in.py supervise RUNS_DIR SLOTS TERM_AFTER KILL_AFTER LINGER
    python tests/support/stand_in.py colora train --run-dir RUN_DIR    (so that it proves to be that run's)
    python tests/support/stand_in.py -m colora.engines.slurm.task GROUP_DIR SUBMISSION

RUN_DIR/plan.json, or its group's or the runs folder's, says how the training process behaves: `epochs`, `seconds` an
epoch, `exit` with this code after the first epoch, `deaf` to the stop file and SIGTERM, with a `family` of deaf
processes of its own (one in a session apart), `mute` but for its epochs. Once there is a file RUN_DIR/go, every epoch
ends at once. Like a real one it goes on after its last finished epoch; metrics.jsonl keeps what each epoch "found".

The file that STAND_IN_CLOCK names holds seconds by which the wall clock of these processes is wrong.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from colora.runs.silence import times
from colora.runs.verdict import limit_met
from colora.system.files import append_json, read_json, read_json_lines, write_json
from colora.system.process import own_process

STEP_SECONDS = 0.05
BEAT_SECONDS = 1
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
PLAN = {"epochs": 2, "seconds": 0.2, "exit": None, "deaf": False, "family": False, "say": "", "mute": False}


def found(epoch: int) -> dict:
    """A row of metrics.jsonl that follows from the epoch alone."""
    figures = {"loss": 0.5**epoch, "accuracy": 1 - 0.5**epoch, "auc": 1 - 0.25**epoch}
    row = {f"{split}_{name}": value for split in ("train", "val", "test") for name, value in figures.items()}
    return {"epoch": epoch, **row, "seconds": 0.1, "eval_seconds": 0.0, "images_per_s": 1.0}


def train(folder: Path) -> int:
    given = [place / "plan.json" for place in (folder, *folder.parents[:2]) if (place / "plan.json").exists()]
    plan = PLAN | (read_json(given[0]) if given else {})
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN if plan["deaf"] else lambda number, _: asked.append(number))
    status = read_json(folder / "status.json") | {"process": own_process(), "epochs": plan["epochs"]}

    def tell(**changes) -> None:
        nonlocal status
        status = status | changes | times()
        write_json(folder / "status.json", status)

    tell(state="running")
    print(f"begins on GPU {os.environ.get('CUDA_VISIBLE_DEVICES')}", flush=True)
    if plan["family"]:
        for apart in (False, True):
            subprocess.Popen([sys.executable, "-c", DEAF], start_new_session=apart)
    first = len(read_json_lines(folder / "metrics.jsonl")) + 1
    for epoch in range(first, plan["epochs"] + 1):
        end = time.monotonic() + plan["seconds"]
        while time.monotonic() < end and not (folder / "go").exists():
            time.sleep(STEP_SECONDS)
            if set(asked) == {signal.SIGTERM} and "COLORA_TASK" in os.environ and not (folder / "stop").exists():
                tell(state="queued", process=None, reason=f"SLURM took its place back in epoch {epoch}.")
                return 0
            if not plan["mute"] and time.monotonic() - status["beat"] > BEAT_SECONDS:
                tell()
            if not plan["deaf"] and (asked or (folder / "stop").exists()):
                if limit := limit_met(folder):
                    tell(state="failed", process=None, reason=f"{limit}: ended in epoch {epoch}.")
                else:
                    tell(state="stopped", process=None, reason=f"Stopped on request in epoch {epoch}.")
                (folder / "stop").unlink(missing_ok=True)
                return 0
        append_json(folder / "metrics.jsonl", found(epoch))
        print(plan["say"], flush=True)
        tell(epoch=epoch)
        if plan["exit"] is not None:
            return plan["exit"]
    tell(state="done", process=None)
    return 0


def command(run: Path) -> list[str]:
    return [sys.executable, __file__, "colora", "train", "--run-dir", str(run)]


def set_clock(offset: Path, put=setattr) -> None:
    now = time.time
    put(time, "time", lambda: now() + float(offset.read_text()))


def main() -> int:
    if offset := os.environ.get("STAND_IN_CLOCK"):
        set_clock(Path(offset))
    if sys.argv[1] == "colora":
        return train(Path(sys.argv[-1]))
    if sys.argv[1] == "-m":  # as a job's script calls Python
        from colora.engines.slurm import task

        return task.main(sys.argv[3:], command)
    import colora.queue.supervisor
    from colora.queue.slots import make_slots
    from colora.queue.supervisor import Supervisor, supervise

    colora.queue.supervisor.TURN_SECONDS, colora.queue.supervisor.SHARE = 0.1, 1
    slots, term_after, kill_after, linger = json.loads(f"[{','.join(sys.argv[3:])}]")
    supervisor = Supervisor(Path(sys.argv[2]), make_slots(cpu_slots=slots), command, term_after, kill_after)
    return 0 if supervise(supervisor, linger) else 4


if __name__ == "__main__":
    sys.exit(main())
