"""What another browser or a terminal does meanwhile to a group that a page shows, and what is said of it then."""

from pathlib import Path

from fabricate import fabricate

from colora.runs import trash
from colora.runs.folder import Group, read_json, write_json

GONE = "was removed elsewhere meanwhile; nothing was done."
ANEW = "was removed elsewhere meanwhile, and another group has its name now; nothing was done."


def take_away(group: Group) -> None:
    """Into the trash, as `colora rm` does once nothing of it waits or runs."""
    for run in group.runs:
        write_json(run.path / "status.json", read_json(run.path / "status.json") | {"state": "stopped"})
    trash.remove(Group(group.path))


def rename(group: Group) -> None:
    group.path.rename(group.path.with_name("moved"))


def make_anew(group: Group) -> None:
    states = [run.state for run in group.runs]
    take_away(group)
    fabricate(group.path.parent, group.name, states)


def everything(folder: Path) -> dict[str, bytes]:
    """All that lies in a runs folder, the trash, the cuts and the audit log too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
