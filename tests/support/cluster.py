"""A real SLURM of one node on loopback: two CPUs, a fake GPU of four shards, no accounting; in one folder, as root."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
START_SECONDS = 60  # of which a quiet machine takes three
END_SECONDS = 120  # for jobs to end: KillWait, and their node's word of it
LOOK_SECONDS = 10  # how often whoever waits for something looks whether the node is still there
GONE = ("down", "drain", "fail", "unknown")  # what a node's state begins with where it takes no jobs

CONFIGURATION = """
ClusterName=colora-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
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
GresTypes=gpu,shard
ReturnToService=2
KillWait=30
UnkillableStepTimeout=600
MessageTimeout=30
SchedulerParameters=sched_interval=1,bf_interval=1,enable_user_top
PriorityType=priority/basic
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=4000 Gres=gpu:1,shard:4
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
    """Started when made; `close` ends what was started, by pid.

    One that a test has left behind broken is started anew, once: what breaks again fails each later test at once.
    """

    def __init__(self, folder: Path):
        self.folder, self.processes = folder, []
        self.host = socket.gethostname().partition(".")[0]
        self.broken, self.restarts, self.failing, self.looked = "", 1, False, 0.0
        self.start()

    def start(self) -> None:
        folder = self.folder
        for name in ("state", "spool"):
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir()
        key = folder / "munge.key"
        for left in (key, folder / "munge.sock"):
            left.unlink(missing_ok=True)
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        ports = {"ctld_port": _free_port(), "slurmd_port": _free_port()}
        self.conf = folder / "slurm.conf"
        self.conf.write_text(CONFIGURATION.format(folder=folder, host=self.host, **ports))
        (folder / "gres.conf").write_text("Name=gpu Count=1 File=/dev/null\nName=shard Count=4\n")
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
            self._until(lambda: self.node() == "idle", "the node")
        except BaseException:
            self.close()
            raise

    def _start(self, *command: str) -> None:
        with open(self.folder / "daemons.log", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, start_new_session=True
            )
        self.processes.append(process)

    def _until(self, condition, what: str, seconds: float = START_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not condition():
            self._daemons_live()
            if time.monotonic() > end:
                raise RuntimeError(f"waited {seconds} s in vain for {what}:\n{self._said()}")
            time.sleep(0.1)

    def _daemons_live(self) -> None:
        dead = [process.args[0] for process in self.processes if process.poll() is not None]
        if dead:
            raise RuntimeError(f"{', '.join(dead)} ended:\n{self._logs()}")

    def _said(self) -> str:
        """Why nodes are out of work, what the jobs do, and the last lines of every daemon's log."""
        told = [self.run(*command, check=False) for command in (("sinfo", "--list-reasons"), ("squeue", "--long"))]
        return "\n".join([*told, self._logs()])

    def _logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*.log"))

    def node(self) -> str:
        """The node's state as sinfo tells it, such as "idle", "mixed" or "down*"; "" where it tells none."""
        return self.run("sinfo", "--noheader", "--format=%T", check=False).strip()

    def look(self) -> None:
        """For whoever waits for a job: raises RuntimeError where no job can run any more."""
        now = time.monotonic()
        if self.failing or now - self.looked < LOOK_SECONDS:
            return
        self.looked = now
        self._daemons_live()
        if self.node().startswith(GONE):
            raise RuntimeError(f"the node takes no jobs:\n{self._said()}")

    def ready(self) -> None:
        """Raises RuntimeError where a test has left this cluster broken, and one new start did not help."""
        if not self.broken:
            return
        if not self.restarts:
            raise RuntimeError(f"an earlier test left the cluster broken: {self.broken}")
        self.restarts -= 1
        self.close()
        self.processes = []
        self.start()
        self.broken = ""

    @contextmanager
    def node_failing(self) -> Iterator[None]:
        """Its slurmd falls silent and the controller takes the node for down; afterwards it is back at work."""
        slurmd = self.processes[-1]
        self.failing = True
        try:
            slurmd.send_signal(signal.SIGSTOP)
            self.run("scontrol", "update", f"NodeName={self.host}", "State=DOWN", "Reason=test")
            yield
        finally:
            self.failing = False
            slurmd.send_signal(signal.SIGCONT)
            self._back()

    def _back(self) -> None:
        """Or it is back by itself: then SLURM refuses to resume it, and it is as well."""

        def back() -> bool:
            if self.node().startswith(GONE):
                self.run("scontrol", "update", f"NodeName={self.host}", "State=RESUME", check=False)
            return self.node() in ("idle", "mixed", "allocated")

        self._until(back, "the node")

    def run(self, *command: str, check: bool = True) -> str:
        """What one of SLURM's commands prints."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, check=check, timeout=60)
        return done.stdout

    def requeue(self, task: str) -> None:
        """As a preemption does: the task is ended, and runs again (`at_once`)."""
        self.run("scontrol", "requeue", task)

    def at_once(self, task: str) -> None:
        """Spare the two minutes that SLURM lets a job wait that was requeued; its old credential is revoked by then."""
        self._until(lambda: "PENDING" in self.run("squeue", "--noheader", f"--jobs={task}", "--format=%T"), task)
        self.run("scontrol", "update", f"JobId={task}", "StartTime=now+3")

    def empty(self) -> None:
        """End every job, and wait until the node is idle. Where it does not become so, the cluster counts as broken."""
        try:
            self._daemons_live()
            self.run("scancel", "--quiet", "--user=root", check=False)
            self._until(lambda: not self.run("squeue", "--noheader").strip(), "the end of all jobs", END_SECONDS)
            self._back()
            self._until(lambda: self.node() == "idle", "an idle node", END_SECONDS)
        except (RuntimeError, subprocess.SubprocessError) as error:
            self.broken = str(error)
            raise

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
