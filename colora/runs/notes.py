"""What people note about a group: runs/GROUP/notes.txt, complete or absent; who wrote it is in the audit log."""

from colora.runs.access import check_group
from colora.runs.audit import record
from colora.runs.folder import Group, same_group
from colora.runs.lock import editing
from colora.system.errors import UserError
from colora.system.files import read_file, why, write_bytes

FILE = "notes.txt"
LONGEST = 10_000  # characters
MOST_BYTES = 2**20


def read_notes(group: Group) -> str:
    """The text, empty where nobody has written any."""
    try:
        return read_file(group.path / FILE, MOST_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise UserError(f"{group.path / FILE} cannot be read ({why(error)}): remove it, or note anew.") from error


def write_notes(group: Group, text: str) -> None:
    """Replaces what stood there; an empty text removes it. Raises UserError for one that is too long, or where the
    group is gone."""
    check_group("note", group)
    text, identity = text.strip(), group.identity
    if len(text) > LONGEST:
        raise UserError(f"A note has at most {LONGEST:,} characters; this one has {len(text):,}.", field="notes")
    with editing(group.path.parent):
        same_group(group.path, identity)
        if text:
            write_bytes(group.path / FILE, f"{text}\n".encode("utf-8", "backslashreplace"))
        else:
            (group.path / FILE).unlink(missing_ok=True)
    record(group.path.parent, "note", group.name, [], characters=len(text))
