"""SLURM's own commands, here or through an ssh prefix, their refusals as sentences. No shell on this side."""

import os
import shlex
import subprocess
from collections.abc import Sequence

from colora.engines.slurm.site import Site
from colora.errors import UserError

ANSWER_SECONDS = 60  # a busy controller takes its time, a missing one even longer


def call(site: Site, command: Sequence[str], text: str = "") -> str:
    """What `command` prints, given `text` on its standard input. Raises UserError with what SLURM says against it.

    Without a terminal: an ssh that would ask for a password fails instead of waiting for one unseen.
    """
    line = [*site.ssh, shlex.join(command)] if site.ssh else list(command)
    try:
        done = subprocess.run(
            line,
            input=text,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
            start_new_session=True,
            env=os.environ | {"SLURM_TIME_FORMAT": "standard"},
        )
    except FileNotFoundError as error:
        advice = "is the ssh prefix in colora-slurm.toml right?" if site.ssh else _NO_SLURM
        raise UserError(f"There is no command '{line[0]}' here: {advice}", field="engine") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{_where(site)} has not answered '{command[0]}' within {ANSWER_SECONDS} s.", field="engine"
        ) from error
    if done.returncode:
        lines = [line for line in (done.stderr.strip() or done.stdout.strip()).splitlines() if line.strip()]
        said = "; ".join(lines[-3:]) or f"it ended with exit code {done.returncode} and said nothing"
        raise UserError(f"{_where(site)} refused '{command[0]}': {said}", field="engine")
    return done.stdout


_NO_SLURM = "install SLURM's clients, or reach them with ssh = [...] in colora-slurm.toml."


def _where(site: Site) -> str:
    return f"SLURM (through {shlex.join(site.ssh)})" if site.ssh else "SLURM"


def check_folder(site: Site, folder: str) -> None:
    """Raises UserError where the ssh prefix leads to a machine that does not see a folder of this one."""
    if not site.ssh:
        return
    try:
        call(site, ["test", "-d", folder])
    except UserError as error:
        if "refused 'test': it ended with exit code 1 " not in str(error):
            raise
        raise UserError(
            f"{shlex.join(site.ssh)} does not see {folder}: the runs folder must be on a file system that this machine "
            "and the cluster share, under the same path.",
            field="engine",
        ) from error
