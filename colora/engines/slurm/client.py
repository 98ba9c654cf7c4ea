"""SLURM's own commands, here or through an ssh prefix, their refusals as sentences. No shell on this side."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence

from colora.engines.slurm.site import Site
from colora.system.errors import UserError

ANSWER_SECONDS = 60  # a busy controller takes its time, a missing one even longer


class Refused(UserError):
    """A command that was there and ended with an error; `said` is what it printed of it, in one line."""

    def __init__(self, message: str, said: str):
        super().__init__(message, field="engine")
        self.said = said


def call(site: Site, command: Sequence[str], text: str = "") -> str:
    """What `command` prints, given `text` on its standard input. Raises UserError with what SLURM says against it."""
    return answer(site, command, text)[0]


def answer(site: Site, command: Sequence[str], text: str = "") -> tuple[str, str]:
    """Its standard output, as of `call`, and its remarks on standard error.

    Without a terminal: an ssh that would ask for a password fails instead of waiting for one unseen. The remarks go
    through a file, because the connection that ssh keeps for later calls (ControlPersist; OpenSSH before 8.5) holds its
    standard error open, and a pipe would not come to its end before that.
    """
    line = [*site.ssh, shlex.join(command)] if site.ssh else list(command)
    try:
        with tempfile.TemporaryFile("w+", errors="replace") as remarks:
            done = subprocess.run(
                line,
                input=text,
                stdout=subprocess.PIPE,
                stderr=remarks,
                text=True,
                timeout=ANSWER_SECONDS,
                check=False,
                start_new_session=True,
                env=os.environ | {"SLURM_TIME_FORMAT": "standard"},
            )
            remarks.seek(0)
            said = remarks.read().strip()
    except FileNotFoundError as error:
        advice = "is the ssh prefix in colora-slurm.toml right?" if site.ssh else _NO_SLURM
        raise UserError(f"There is no command '{line[0]}' here: {advice}", field="engine") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{_where(site)} has not answered '{command[0]}' within {ANSWER_SECONDS} s.", field="engine"
        ) from error
    if done.returncode:
        lines = [line for line in (said or done.stdout.strip()).splitlines() if line.strip()]
        said = "; ".join(lines[-3:]) or f"it ended with exit code {done.returncode} and said nothing"
        name = next(word for word in command if word != "env" and "=" not in word)
        raise Refused(f"{_where(site)} refused '{name}': {said}", said)
    return done.stdout, said


_NO_SLURM = "install SLURM's clients, or reach them with ssh = [...] in colora-slurm.toml."


def _where(site: Site) -> str:
    return f"SLURM (through {shlex.join(site.ssh)})" if site.ssh else "SLURM"


def check_folder(site: Site, folder: str) -> None:
    """Raises UserError where the ssh prefix leads to a machine that does not see a folder of this one."""
    if not site.ssh:
        return
    try:
        call(site, ["test", "-d", folder])
    except Refused as error:
        if not error.said.startswith("it ended with exit code 1 "):
            raise
        raise UserError(
            f"{shlex.join(site.ssh)} does not see {folder}: the runs folder must be on a file system that this machine "
            "and the cluster share, under the same path.",
            field="engine",
        ) from error
