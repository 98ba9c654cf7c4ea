"""Which column of a table holds what: told by `--columns`, else by the names that people give columns.

A name is the same in any case, with blanks, underscores, hyphens or none. Names that may mean something else, such as
"id", count only where no clearer one is there. Nothing is guessed from the cells, but for a table whose first line
names no columns, as Google's AutoML and Vertex AI import them: `TRAIN,gs://bucket/x.png,CNV`.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

from colora.data.listing import SUFFIXES
from colora.data.tables.splits import is_split
from colora.system.errors import UserError
from colora.system.table_file import Table, columns_text
from colora.system.table_rows import numbered
from colora.system.typed import bare, one_line, shortened

ROLES = {
    "path": "the image files",
    "label": "the class",
    "split": "train, val or test",
    "patient": "the patient",
    "eye": "the eye",
}
NEEDED = ("path", "label")
# {role: (its usual names, names that may mean it), each without blanks and signs}
NAMES = {
    "path": (
        "path paths file files filename filenames filepath image images imagepath imagefile imagefilename imagename "
        "imagefilepath imageindex "
        "datei dateiname dateipfad bild bilder bilddatei bildname pfad "
        "img imgs imgpath imgfile imgname scan scans scanpath scanfile scanname bscan "
        "bscanpath picture oct octpath octfile imageuri imagegcsuri gcsfilepath",
        "imageid imgid scanid id name uri url",
    ),
    "label": (
        "label labels class classes classname classlabel disease diagnosis diagnose category target dx finding "
        "findings findinglabel findinglabels groundtruth gt pathology klasse befund",
        "condition classid labelid grade stage severity type y",
    ),
    "split": ("split splits datasplit set subset mluse partition usage", "phase"),
    "patient": (
        "patient patients patientid patientno patientnumber patientcode idpatient subject subjects subjectid subjectno "
        "participant participantid person personid mrn patientnr patientennr patientennummer patientenid",
        "pid caseid case",
    ),
    "eye": ("eye eyes laterality eyeside imagelaterality auge", "side seite"),
}
HOW = "such as --columns path=image,label=disease (in the app: the field Columns)"


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns, None where it has none of the kind."""

    path: str
    label: str
    split: str | None = None
    patient: str | None = None
    eye: str | None = None

    @property
    def others(self) -> tuple[str, ...]:
        """Those that are not kept as metadata."""
        return tuple(name for name in (self.path, self.label, self.split, self.patient, self.eye) if name)


def columns_of(table: Table, told: str | None) -> Columns:
    """`told` is such as `path=image,label=disease`; an empty name, as `split=`, says that there is none.

    Raises UserError for what is told wrongly, a class or image column that is not there, and where two may be it.
    """
    found = _told(table, told) if told else {}
    if not table.headed and not all(role in found for role in NEEDED):
        return _without_names(table, found)
    taken = set(found.values())
    for role in ROLES:
        if role not in found:
            found[role] = _by_name(table, role, taken)
            taken.add(found[role])
    for role in NEEDED:
        if not found[role]:
            raise UserError(
                f"{table.name}, read {table.told}, has no column that is known to hold {ROLES[role]}. Its columns are: "
                f"{columns_text(table)}. Say which, {HOW}.",
                field="columns",
            )
    return Columns(**found)


def _by_name(table: Table, role: str, taken: set[str | None]) -> str | None:
    for names in NAMES[role]:
        known = set(names.split())
        fitting = [name for name in table.cells.columns if plain_name(name) in known and name not in taken]
        if len(fitting) > 1:
            both = " and ".join(one_line(shortened(name)) for name in fitting)
            none = "" if role in NEEDED else f", or {role}= where none is"
            raise UserError(
                f"{table.name} has {len(fitting)} columns that may hold {ROLES[role]}: {both}. Say which, as --columns "
                f"{role}={one_line(shortened(fitting[0]))}{none} (in the app: the field Columns).",
                field="columns",
            )
        if fitting:
            return fitting[0]
    return None


def plain_name(name: str) -> str:
    """`Patient_ID`, `patient id` and `PatientID` are one."""
    return re.sub(r"[^\w]|_", "", name.casefold())


def _told(table: Table, told: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for part in re.split(r",(?=\s*\w+\s*=)", told):  # a column's name may hold a comma
        role, equals, name = part.partition("=")
        role, name = bare(role).lower(), bare(name)
        if not equals or role not in ROLES:
            near = difflib.get_close_matches(role, ROLES, 1)
            raise _wrong(
                f"'{shortened(bare(part))}' tells no column: write {', '.join(f'{role}=' for role in ROLES)} and a "
                "column's name, with commas between them" + (f". Is {near[0]} meant?" if near else ".")
            )
        if role in found:
            raise _wrong(f"{role} is told twice: a table has one column for {ROLES[role]}.")
        if not name and role in NEEDED:
            raise _wrong(f"{role}= names no column, and a table needs one for {ROLES[role]}.")
        found[role] = _column(table, name) if name else None
    for role, name in found.items():
        if name and (other := next((r for r, n in found.items() if n == name and r != role), None)):
            raise _wrong(f"the column {shortened(name)} is told twice, as {role} and as {other}.")
    return found


def _column(table: Table, name: str) -> str:
    names = list(table.cells.columns)
    same = [other for other in names if plain_name(other) == plain_name(name)]
    if name in names or len(same) == 1:
        return name if name in names else same[0]
    near = difflib.get_close_matches(name, names, 1)
    raise _wrong(
        f"{table.name} has no column '{shortened(name)}'"
        + (f"; is '{shortened(near[0])}' meant?" if near else ".")
        + f" Its columns, read {table.told}, are: {columns_text(table)}."
        + ("" if table.headed else " Its first line was taken for an image and not for names of columns.")
    )


def _wrong(said: str) -> UserError:
    return UserError(f"--columns: {one_line(said)}", field="columns")


def names_columns(first: list[str], told: str | None, is_image: Callable[[str], bool]) -> bool:
    """Whether a table's first line names its columns, and is no image's. `is_image` says of a cell whether there is
    such a file, with an ending or without."""
    if told and any(bare(part.partition("=")[2]) in map(bare, first) for part in told.split(",") if "=" in part):
        return True
    cells = set(map(plain_name, first))
    known = {role: cells & {name for either in names for name in either.split()} for role, names in NAMES.items()}
    if known["path"] and known["label"]:
        return True
    if any(_is_file(cell) for cell in first):
        return False
    return any(known.values()) or not any(is_image(bare(cell)) for cell in first if cell)


def _is_file(cell: str) -> bool:
    return bare(cell).lower().endswith((*SUFFIXES, ".dcm")) or "://" in cell


def _without_names(table: Table, found: dict[str, str | None]) -> Columns:
    """`path,label`, `label,path` or `split,path,label`, by what the first line holds."""
    names, cells = list(table.cells.columns), list(table.first)
    path = next((i for i, cell in enumerate(cells) if _is_file(cell)), len(cells) - 2 if len(cells) > 2 else 0)
    split = 0 if path == 1 and all(map(is_split, set(table.cells[names[0]]))) else None
    label = 0 if path == 1 and split is None and len(names) == 2 else path + 1
    rest = [name for i, name in enumerate(names) if i not in (path, label, split)]
    several = [name for name in rest if (table.cells[name] != "").any()]
    if found or label >= len(names) or several:
        line = one_line(shortened(", ".join(cells)))
        row = int((table.cells[several[0]] != "").to_numpy().argmax()) if several else 0
        why = f"{table.place(row)} has more than an image and its class" if several else "more has to be known of them"
        raise UserError(
            f"The first line of {table.name}, read {table.told}, is an image's and names no columns ({line}), and "
            f"{why}: an image has one class here. If they are other columns, name them in a first line, or say which "
            f"is which, as --columns path={numbered(path)},label={numbered(min(path + 1, len(names) - 1))} (in the "
            "app: the field Columns).",
            field="columns",
        )
    return Columns(names[path], names[label], None if split is None else names[split])
