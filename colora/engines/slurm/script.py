"""The batch script of a group: one array, whose task numbers are the seeds. It is shown before and kept after."""

import shlex
from pathlib import Path

from colora.engines.slurm.site import Site
from colora.settings.seeds import format_seeds
from colora.system.errors import UserError

LARGEST_SEED = 4_000_000  # SLURM's own limit of MaxArraySize; a cluster may have a smaller one
NICE_PER_PRIORITY = 1000  # points of SLURM's priority for one of ours


def render(site: Site, group: Path, seeds: list[int], submission: int, priority: int = 0) -> str:
    """The script of `submission` of a group's folder. Raises UserError for what a batch script cannot express."""
    group = Path(group).absolute()
    if any(character in str(group) for character in '"%\\\n'):
        raise UserError(f"{group}: SLURM's options cannot hold a path with \", % or a backslash.", field="name")
    if max(seeds) > LARGEST_SEED:
        raise UserError(f"Seed {max(seeds)} cannot be the number of an array's task.", field="seeds")
    at_most = f"%{site.parallel}" if site.parallel else ""
    options = [
        f'--job-name="{group.name}"',
        f"--array={format_seeds(seeds)}{at_most}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={site.cpus}",
        f"--mem={site.memory}",
        f"--time={site.time}",
        *[f"--{name}={value}" for name in ("partition", "account", "gres") if (value := getattr(site, name))],
        *([f"--nice={-NICE_PER_PRIORITY * priority}"] if priority else []),
        f"--signal=B:USR1@{site.signal_seconds}",
        "--requeue" if site.requeue else "--no-requeue",
        "--open-mode=append",
        f'--output="{group}/slurm/{submission:04d}_%a.log"',
        *site.extra,
    ]
    lines = [
        "#!/bin/bash -l",
        f"# {group.name}: each task of this array trains one seed, and its number is the seed.",
        *[f"#SBATCH {option}" for option in options],
        "",
        *site.setup,
        f"cd {shlex.quote(site.directory)} || exit 1",
        f"export OMP_NUM_THREADS={site.cpus}",
        f"exec {shlex.quote(site.python)} -m colora.engines.slurm.task {shlex.quote(str(group))} {submission}",
    ]
    return "\n".join(lines) + "\n"
