"""A real SLURM of one node on loopback: two CPUs, a fake GPU, no accounting, all in one folder. Needs root."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
START_SECONDS = 30

CONFIGURATION = """
ClusterName=colora-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=2
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MpiDefault=none
SwitchType=switch/none
GresTypes=gpu
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=1,bf_interval=1,enable_user_top
PriorityType=priority/basic
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=4000 Gres=gpu:1
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no SLURM here; empty where there can."""
    absent = [name for name in PROGRAMS if not shutil.which(name, path=_path())]
    if absent:
        return f"{absent[0]} is missing: install slurm-wlm and munge"
    return "" if os.geteuid() == 0 else "starting a SLURM needs to be root"


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


class Cluster:
    """Started when made; `close` ends what was started, by pid."""

    def __init__(self, folder: Path):
        self.folder, self.processes = folder, []
        self.host = socket.gethostname().partition(".")[0]
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        ports = {"ctld_port": _free_port(), "slurmd_port": _free_port()}
        self.conf = folder / "slurm.conf"
        self.conf.write_text(CONFIGURATION.format(folder=folder, host=self.host, **ports))
        (folder / "gres.conf").write_text("Name=gpu Count=1 File=/dev/null\n")
        self.environment = os.environ | {"SLURM_CONF": str(self.conf), "PATH": _path()}
        try:
            self._start(
                "munged", "--foreground", "--force", "--num-threads=2", f"--socket={folder}/munge.sock",
                f"--key-file={key}", f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
                f"--seed-file={folder}/munged.seed",
            )  # fmt: skip
            self._until(lambda: (folder / "munge.sock").exists(), "munged")
            self._start("slurmctld", "-D", "-i", "-f", str(self.conf))
            self._start("slurmd", "-D", "-f", str(self.conf))
            self._until(lambda: "idle" in self.run("sinfo", "--noheader", "--format=%T", check=False), "the node")
        except BaseException:
            self.close()
            raise

    def _start(self, *command: str) -> None:
        with open(self.folder / "daemons.log", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, start_new_session=True
            )
        self.processes.append(process)

    def _until(self, condition, what: str) -> None:
        end = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > end or any(process.poll() is not None for process in self.processes):
                logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*.log"))
                raise RuntimeError(f"{what} did not come up:\n{logs}")
            time.sleep(0.1)

    def run(self, *command: str, check: bool = True) -> str:
        """What one of SLURM's commands prints."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, check=check, timeout=60)
        return done.stdout

    def requeue(self, task: str) -> None:
        """As a preemption does: the task is ended, and runs again (`at_once`)."""
        self.run("scontrol", "requeue", task)

    def at_once(self, task: str) -> None:
        """Spare the two minutes that SLURM lets a job wait that was requeued; its old credential must be over first."""
        self._until(lambda: "PENDING" in self.run("squeue", "--noheader", f"--jobs={task}", "--format=%T"), task)
        self.run("scontrol", "update", f"JobId={task}", "StartTime=now+3")

    def empty(self) -> None:
        """End every job, and wait until the node is free."""
        self.run("scancel", "--quiet", "--user=root", check=False)
        self._until(lambda: not self.run("squeue", "--noheader").strip(), "the end of all jobs")

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for keeper in self._keepers():  # of jobs that a failed test has left behind: they outlive slurmd
            for process in [*keeper.children(recursive=True), keeper]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def _keepers(self) -> list[psutil.Process]:
        """The living slurmstepd processes of this cluster, and of no other on this machine."""
        own, found = f"SLURM_CONF={self.conf}\0".encode(), []
        for process in psutil.process_iter(["name"]):
            with suppress(OSError, psutil.NoSuchProcess):  # it has ended meanwhile
                if process.info["name"].startswith("slurmstepd") and process.status() != psutil.STATUS_ZOMBIE:
                    environment = Path(f"/proc/{process.pid}/environ").read_bytes()  # psutil stops at its odd title
                    found += [process] if own in environment else []
        return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
