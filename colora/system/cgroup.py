"""What this process's control group says of memory: kills by the kernel, and the room that is left. Linux only.

Standard library only: the guard of each run asks too.
"""

from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def _folders() -> Iterator[tuple[Path, int]]:
    """(folder, version) where this process's memory may be accounted, the nearest first."""
    try:
        groups = dict(line.split(":", 2)[1:] for line in OWN.read_text().splitlines())
    except FileNotFoundError:
        return
    for root, name, version in ((CGROUPS, "", 2), (CGROUPS / "memory", "memory", 1)):
        if name in groups:
            yield root / groups[name].strip("/"), version
        yield root, version  # a container sees its own group there


def oom_kills() -> int:
    """How many processes of this control group the kernel has ended for lack of memory; 0 where it does not count."""
    for folder, version in _folders():
        path = folder / ("memory.events" if version == 2 else "memory.oom_control")
        if path.is_file():
            return int(_table(path).get("oom_kill", 0))
    return 0


def memory() -> tuple[int, int] | None:
    """(free, limit): bytes that this control group may still take, file caches counted as free, and may have in all;
    None without a limit."""
    for folder, version in _folders():
        limit, used, cache = (
            ("memory.max", "memory.current", "inactive_file")
            if version == 2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        )
        if not (folder / limit).is_file() or not (folder / used).is_file():
            continue
        most = (folder / limit).read_text().strip()
        if most == "max":
            return None
        cached = int(_table(folder / "memory.stat").get(cache, 0)) if (folder / "memory.stat").is_file() else 0
        return max(0, int(most) - int((folder / used).read_text()) + cached), int(most)
    return None


def _table(path: Path) -> dict[str, str]:
    return dict(line.split() for line in path.read_text().splitlines())
