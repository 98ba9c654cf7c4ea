"""`colora cluster`: a site file to begin with, and whether SLURM can be reached and takes what it says."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from colora.cli.groups import add_runs_dir
from colora.system.errors import UserError

EXAMPLES = {"partition": "gpu", "account": "my-lab", "gres": "gpu:1", "parallel": 4, "extra": ["--constraint=a100"]}
EXAMPLES |= {"setup": ["module load cuda", "source /shared/colora-studio/.venv/bin/activate"]}
EXAMPLES |= {"ssh": ["ssh", "-o", "BatchMode=yes", "login.example.org"], "memory": "32G", "cpus": 8}


def add_cluster_command(command: Callable, with_json: Callable) -> None:
    """Registers it; `command` and `with_json` are the command line's own."""
    cluster = with_json(command("cluster", _cluster, "SLURM: check the site file, or print one to begin with"))
    cluster.add_argument("job", choices=("check", "example"), nargs="?", default="check")
    add_runs_dir(cluster)


def _cluster(args: argparse.Namespace) -> int:
    if args.job == "example":
        print(json.dumps({"toml": example()}, indent=1) if args.json else example(), end="" if not args.json else "\n")
        return 0
    found = checked(args.runs_dir)
    if args.json:
        print(json.dumps(found, indent=1))
        return 0
    print(f"site file   {found['site_file'] or 'none: the defaults count (colora cluster example prints one)'}")
    print(f"SLURM       {found['version']}" + (f", through {' '.join(found['ssh'])}" if found["ssh"] else ""))
    print("partitions  " + "\n            ".join(found["partitions"]))
    print(f"a seed      {found['answer']}")
    return 0


def example() -> str:
    """A site file that explains itself: every setting commented out, with what it means and its default."""
    from colora.engines.slurm.site import FILE, Site

    lines = [f"# {FILE}: what each seed's job asks SLURM for. Remove the # of what your cluster needs.", ""]
    for name, field in Site.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = EXAMPLES.get(name, default)
        lines += [f"# {field.description}", f"# {name} = {_toml(shown)}", ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    return json.dumps(value)  # text, numbers, true and lists of text are written alike in both


def checked(runs_dir: Path) -> dict[str, Any]:
    """What SLURM says of itself and of one seed's job under this site file. Raises UserError where it won't."""
    from colora.engines.engine import engine_named
    from colora.engines.slurm.client import call
    from colora.engines.slurm.site import load_site, site_file

    site, path = load_site(), site_file()
    version = call(site, ["sbatch", "--version"]).strip()
    lines = call(site, ["sinfo", "--noheader", "--format=%P|%a|%l|%D nodes|%c CPUs|%m MB|%G"]).splitlines()
    engine_named("slurm").check(runs_dir, "check", [0], {})
    if not lines:
        raise UserError("SLURM has no partition that you may see: ask who runs the cluster.")
    return {
        "site_file": str(path) if path else None,
        "version": version,
        "ssh": site.ssh,
        "partitions": [" ".join(line.split("|")) for line in lines],
        "answer": f"would be taken: {site.cpus} CPUs, {site.memory}, {site.gres or 'no GPU'}, {site.time} in "
        f"{site.partition or 'the default partition'}",
    }
