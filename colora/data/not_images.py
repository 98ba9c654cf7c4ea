"""Files that lie among the images of a set and are none of them: told by name, counted, and left out.

A cloud drive's thumbnails, a viewer's, and segmentation masks are images too, of the same class folder, and would be
trained on without a word. By name alone only what has its scan beside it is taken for one: `scan_mask.png` beside
`scan.jpeg` is a mask, alone it is a scan with an odd name. Masks without such a pair are found by their two grey
values when they are read (`prepare.is_mask`).
"""

import os
import re
from collections.abc import Collection, Iterable

HIDDEN, THUMBNAIL, MASK, NO_ENDING = "hidden", "thumbnail", "mask", "no ending"
TWICE, BROKEN, LOOSE = "link to an image that is there", "broken link", "in no class"
SYSTEM_FOLDERS = {  # of systems and drives, by their names in small letters
    name.lower(): name
    for name in (
        "__MACOSX",
        "@eaDir",
        "#recycle",
        "@Recycle",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    )
}
SYSTEM_FILES = {name.lower(): name for name in ("Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r")}
PARTS = (
    (THUMBNAIL, r"thumb(?:nail)?s?"),
    (MASK, r"masks?|seg(?:m|ment(?:ation)?s?)?|labels?|labelmap|annotations?|gt|ground[ _-]?truth"),
)
ENDS = [(reason, re.compile(rf"(.+?)[ _.-]+(?:{words})", re.IGNORECASE)) for reason, words in PARTS]
BEGINS = [(reason, re.compile(rf"(?:{words})[ _.-]+(.+)", re.IGNORECASE)) for reason, words in PARTS]
FOLDERS = [(reason, re.compile(rf"\.?(?:{words})", re.IGNORECASE)) for reason, words in PARTS]
SUSPECT = re.compile("|".join(words for _, words in PARTS), re.IGNORECASE)  # a quick look, before the pairs


def ending(name: str) -> str:
    """ ".dcm" of "A.DCM"; what a file without one is counted under."""
    return os.path.splitext(name)[1].lower() or NO_ENDING


def stem(name: str) -> str:
    return os.path.splitext(name)[0]


def paired(names: Iterable[str], beside: Collection[str] = ()) -> dict[str, str]:
    """{file name: THUMBNAIL or MASK} of those whose scan is among `names`, or among the stems `beside`."""
    names = list(names)
    suspects = [name for name in names if SUSPECT.search(stem(name))]
    if not suspects:
        return {}
    stems = {stem(name).lower() for name in names} | {one.lower() for one in beside}
    found = {}
    for name in suspects:
        for reason, pattern in (*ENDS, *BEGINS):
            match = pattern.fullmatch(stem(name))
            if match and {match[1].lower(), stem(match[1]).lower()} & stems:  # scan_mask, and scan.jpg_mask
                found[name] = reason
                break
    return found


def of_folder(name: str) -> str | None:
    """THUMBNAIL or MASK of a folder that is named so; whether its files have their scans beside it is to be seen."""
    return next((reason for reason, pattern in FOLDERS if pattern.fullmatch(name)), None)


def scan_of(name: str) -> str:
    """The stem, in small letters, of the scan that a file in a folder of masks or thumbnails would be of."""
    own = stem(name)
    for _, pattern in (*ENDS, *BEGINS):
        if match := pattern.fullmatch(own):
            return match[1].lower()
    return own.lower()
