"""Who starts what is queued: this machine's own queue, or a cluster's. A second engine is a module and a line below.

    local   the supervisor of this machine, GPU by GPU (colora.queue)
    slurm   one `sbatch --array` a group; SLURM decides when and where (colora.engines.slurm.engine)

A group keeps its engine's name in group.json. Whatever the engine, each seed is `python -m colora train --run-dir DIR`,
which is idempotent, and the run folder is the truth about it. Imports no torch.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from colora.runs.folder import Group, Run
from colora.system.errors import UserError

ENGINES = {"local": "colora.engines.local", "slurm": "colora.engines.slurm.engine"}


class Engine(Protocol):
    """What each module of `ENGINES` has, beside STOP_WAIT_SECONDS. What a person asks for is audited, and refused with
    a UserError."""

    def check(self, runs_dir: Path, name: str, seeds: list[int], asked: dict[str, Any], priority: int = 0) -> None:
        """Refuse, before anything is made, what could not be started; `asked` is this launch's own wishes."""

    def start(self, group: Group, priority: int = 0) -> dict[str, Any]:
        """See to it that a new group's queued seeds are trained: {"pid"} or {"job"}, perhaps with a "remark"."""

    def stop(self, group: Group, wait: float) -> dict[int, str]:
        """Stop what waits or runs; each seed's state once all have stopped, or after `wait` seconds."""

    def ask_to_stop(self, group: Group) -> list[Run]:
        """The first half of `stop`: leave the wish; returns those asked."""

    def see_stopped(self, group: Group, asked: list[Run], wait: float) -> dict[int, str]:
        """The second half: wait for those asked, and end what does not heed."""

    def resume(self, group: Group) -> dict[str, Any]:
        """Go on with what did not finish, after its last epoch: {"seeds", "pid" or "job"}."""

    def retry(self, group: Group, seeds: list[int] | None = None) -> dict[str, Any]:
        """Train seeds from the beginning, also seeds new to the group: {"seeds", "pid" or "job"}."""

    def move(self, runs_dir: Path, target: str, end: str | None, priority: int | None) -> list[Path]:
        """Move waiting seeds in the queue; returns their folders."""

    def look(self, group: Group) -> None:
        """Bring the run folders up to date with what the engine knows; called now and then by whoever waits."""

    def forgotten(self, group: Group) -> bool:
        """Whether seeds wait that nobody is going to start until someone resumes the group."""

    def note(self, run: Run) -> str:
        """What a waiting run waits for; this machine's queue says it with the places (colora.engines.view)."""


def engine_named(name: str) -> Engine:
    if name not in ENGINES:
        raise UserError(f"There is no engine '{name}': choose one of {', '.join(ENGINES)}.", field="engine")
    return import_module(ENGINES[name])  # type: ignore[return-value]


def engine_of(group: Group) -> Engine:
    return engine_named(group.engine)
