"""Groups that one engine starts, this machine's queue or a real SLURM, with stand-ins for the training."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster import Cluster
from queueing import STAND_IN, Lab, wait_for

from colora.engines.engine import engine_of
from colora.queue import order
from colora.queue.supervisor import supervising
from colora.runs.folder import Group, Run, create_group, read_json_lines
from colora.settings.config import RunConfig

SITE = {"time": "00:10:00", "cpus": 1, "memory": "200M", "signal_seconds": 20, "parallel": 1}


class Bench(Lab):
    """A runs folder whose groups one engine starts, one seed at a time."""

    def __init__(self, runs_dir: Path, engine: str, site: Path | None = None, cluster: Cluster | None = None):
        super().__init__(runs_dir)
        self.engine, self.site, self.cluster = engine, site, cluster
        self.supervisor: subprocess.Popen | None = None

    def group(self, name: str, seeds: int = 1, priority: int = 0, **plan: Any) -> Group:
        config, place = RunConfig(epochs=plan.get("epochs", 2)), order.last_place(self.runs_dir, priority)
        group = create_group(self.runs_dir, name, config, list(range(seeds)), place, engine=self.engine)
        self.plan(group, **plan)
        return group

    def supervise(self, *arguments, **options) -> subprocess.Popen:
        """Of stand-ins; at work when this returns, so that nobody starts one of real runs."""
        started = super().supervise(*arguments, **options)
        wait_for(lambda: (known := supervising(self.runs_dir)) and known["pid"] == started.pid)
        return started

    def begun(self, name: str, seeds: int = 1, **plan: Any) -> Group:
        group = self.group(name, seeds, **plan)
        if self.engine == "local" and self.supervisor is None:
            self.supervisor = self.supervise()
        engine_of(group).start(group)
        return group

    def wait(self, condition: Callable[[], Any], *patience: Any) -> None:
        """As long as there is a node to wait for."""
        super().wait(lambda: (self.cluster and self.cluster.look()) or condition(), *patience)

    def close(self) -> None:
        """Leaves the cluster empty for the next test, and nothing running even where that fails."""
        try:
            if self.cluster:
                self.cluster.empty()
        finally:
            super().close()

    def look(self, group: Group) -> None:
        """What a page or a waiting command does now and then."""
        if self.engine == "slurm":
            engine_of(group).look(group, pause=0)

    def states(self, group: Group) -> list[str]:
        self.look(group)
        return super().states(group)

    def configure(self, **changes: Any) -> None:
        """Write the site file anew: what differs from SITE and the stand-in's Python."""
        values = SITE | {"python": str(self.site.parent / "python")} | changes
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        self.site.write_text("\n".join(lines) + "\n")


def on_slurm(cluster: Cluster, tmp_path: Path, monkeypatch: Any) -> Bench:
    """A bench on a real SLURM, with a Python on the node that trains stand-ins."""
    cluster.ready()
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, cluster.environment[name])
    monkeypatch.setattr("colora.engines.slurm.engine.ENDING_SECONDS", 120)
    monkeypatch.setenv("COLORA_SLURM", str(tmp_path / "colora-slurm.toml"))
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    bench = Bench(tmp_path / "runs", "slurm", tmp_path / "colora-slurm.toml", cluster)
    bench.configure()
    return bench


def epochs(run: Run) -> list[int]:
    """The finished epochs in a run's metrics, in the order in which they were written."""
    return [row["epoch"] for row in read_json_lines(run.path / "metrics.jsonl")]
