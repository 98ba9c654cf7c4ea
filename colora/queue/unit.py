"""The supervisor of a runs folder as a service that systemd starts with the machine, one of this user's own.

    ~/.config/systemd/user/colora-HASH.service      of which HASH is the runs folder's

It stays though nothing waits, and takes over where another supervisor has ended. Ending it ends no training, as ending
any supervisor (KillMode=process); nor does another start of it.
"""

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

from colora.system.errors import UserError
from colora.system.files import write_bytes
from colora.system.installation import ROOT
from colora.system.process import os_user
from colora.system.storage import disk_errors, made_folder

SYSTEMCTL_SECONDS = 60
KEPT = (  # what a login shell may have set, and systemd has not: the same locks, programs, devices and files as now
    "PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "XDG_STATE_HOME", "XDG_CACHE_HOME", "COLORA_CACHE", "TORCH_HOME",
    "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS",
)  # fmt: skip
UNIT = """[Unit]
Description=CoLoRA Studio trains what waits in {name}

[Service]
Type=exec
WorkingDirectory={root}
{environment}ExecStart={command}
Restart=on-failure
RestartSec=10
KillMode=process

[Install]
WantedBy=default.target
"""


def unit_name(runs_dir: Path) -> str:
    return f"colora-{hashlib.sha256(os.fsencode(runs_dir.resolve())).hexdigest()[:16]}.service"


def unit_path(runs_dir: Path) -> Path:
    home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return home / "systemd" / "user" / unit_name(runs_dir)


def unit_text(runs_dir: Path) -> str:
    """The file of the service. Raises UserError for a path that systemd cannot take."""
    runs_dir = Path(runs_dir).absolute()
    command = [sys.executable, "-m", "colora", "supervise", "--stay", "--runs-dir", str(runs_dir)]
    given = [f"{name}={os.environ[name]}" for name in KEPT if name in os.environ]
    if not str(ROOT).isprintable():
        raise UserError(f"{str(ROOT)!r}: systemd cannot start anything in a folder of this name.")
    text = UNIT.format(
        name="".join(c if c.isprintable() else "?" for c in runs_dir.name).replace("%", "%%"),
        root=str(ROOT).replace("%", "%%"),
        environment="".join(f"Environment={quoted(one)}\n" for one in given),
        command=" ".join(quoted(word).replace("$", "$$") for word in command),
    )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{str(runs_dir)!r}: systemd takes names in UTF-8 only.") from error
    return text


def quoted(word: str) -> str:
    """A word as a line of a systemd unit has it: in quotes, with C's escapes, and % doubled."""
    inner = "".join(f"\\x{ord(c):02x}" if ord(c) < 32 or ord(c) == 127 else c for c in word.replace("\\", "\\\\"))
    return '"' + inner.replace('"', '\\"').replace("%", "%%") + '"'


def install(runs_dir: Path) -> str:
    """Write the service, enable and start it; a sentence for people. Raises UserError where that did not succeed, which
    says what is left to do."""
    path, name = unit_path(runs_dir), unit_name(runs_dir)
    made_folder(path.parent, "set XDG_CONFIG_HOME to a folder that you may write to")
    with disk_errors(path, "set XDG_CONFIG_HOME to a folder that you may write to"):
        write_bytes(path, unit_text(runs_dir).encode())
    commands = ["daemon-reload"], ["enable", "--now", name]
    if why := _systemctl(*commands):
        raise UserError(f"{path} is written, but {why}. What is left to do: {_typed(*commands)}")
    return (
        f"{path} is written, enabled and started: what waits in {runs_dir} is trained from now on, also after the "
        f"machine was started anew. So that it works while {os_user()} is not logged in: loginctl enable-linger "
        f"{os_user()}"
    )


def uninstall(runs_dir: Path) -> str:
    """Stop, disable and remove the service; what trains goes on. A sentence. Raises UserError where there is none, or
    systemd did not do it."""
    path, name = unit_path(runs_dir), unit_name(runs_dir)
    if not os.path.lexists(path):
        raise UserError(f"There is no {path}: nothing was installed for {runs_dir}.")
    why = _systemctl(["disable", "--now", name])
    with disk_errors(path, "remove it yourself"):
        for left in (path, *path.parent.glob(f"*.wants/{name}")):
            left.unlink(missing_ok=True)
    why = why or _systemctl(["daemon-reload"])
    if why:
        left_to_do = _typed(["stop", name], ["daemon-reload"])
        raise UserError(f"{path} is removed, but {why}. What is left to do: {left_to_do}")
    return f"{path} is stopped, disabled and removed; what trains goes on."


def _systemctl(*commands: list[str]) -> str:
    """Why one of these did not succeed; "" where all did."""
    for command in commands:
        said = f"systemctl --user {command[0]} failed"
        try:
            done = subprocess.run(
                ["systemctl", "--user", *command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SYSTEMCTL_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            return "there is no systemctl on this machine"
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{said} ({error})"
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            return f"{said} ({last.strip()})"
    return ""


def _typed(*commands: list[str]) -> str:
    return " && ".join(shlex.join(["systemctl", "--user", *command]) for command in commands)
