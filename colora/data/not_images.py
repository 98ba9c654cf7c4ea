"""Files that lie among the images of a set and are none of them: told by name, counted, and left out.

A cloud drive's thumbnails, a viewer's, and segmentation masks are images too, of the same class folder, and would be
trained on without a word. By name alone only what has its scan beside it is taken for one: `scan_mask.png` beside
`scan.jpeg` is a mask, alone it is a scan with an odd name. Masks without such a pair are found by their two grey
values when they are read (`prepare.two_valued`).
"""

import os
import re
from collections.abc import Iterable, Iterator

HIDDEN, THUMBNAIL, MASK, NO_ENDING = "hidden", "thumbnail", "mask", "no ending"
LONGEST_ENDING = 12  # with its dot
TWICE, BROKEN, LOOSE = "link to an image that is there", "broken link", "in no class"
SYSTEM_FOLDERS = {  # of systems and drives, by their names in small letters
    name.lower(): name.lstrip(".")  # since what begins with a dot is an ending
    for name in (
        "__MACOSX",
        "@eaDir",  # Synology
        "#recycle",
        "#snapshot",
        ".@__thumb",  # QNAP
        "@__thumb",
        "@Recycle",
        "@Recently-Snapshot",
        ".thumbnails",
        ".AppleDouble",
        "Network Trash Folder",
        "Temporary Items",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    )
}
SYSTEM_FILES = {name.lower(): name for name in ("Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r")}
PARTS = (
    (THUMBNAIL, r"thumb(?:nail)?s?|tn|previews?"),
    (
        MASK,
        r"masks?|seg(?:m|ment(?:ation)?s?)?|labels?|labelmap|annotations?|annotated|overlays?|gt|ground[ _-]?truth",
    ),
)
# scan_mask, scan_mask2, scan_mask_IRF; mask_scan, mask_001 of image_001
ENDS = [
    (reason, re.compile(rf"(.+?)[ _.-]+(?:{words})(\d{{1,3}}|[ _.-]+[a-z0-9]{{1,8}})?", re.IGNORECASE))
    for reason, words in PARTS
]
BEGINS = [(reason, re.compile(rf"(?:{words})([ _.-]+|(?=\d))(.+)", re.IGNORECASE)) for reason, words in PARTS]
SCANS = ("image", "img", "scan", "oct", "bscan", "b-scan")
BESIDE = r"(?:oct|b-?scans?|images?|imgs?|files?|pngs?|tiffs?|binary|lesions?|layers?|fluids?|manual)"
FOLDERS = [
    (reason, re.compile(rf"[._]*(?:{BESIDE}[ _.-]+)*(?:{words})(?:[ _.-]+(?:{BESIDE}|{words}))*", re.IGNORECASE))
    for reason, words in PARTS
]
SUSPECT = re.compile("|".join(words for _, words in PARTS), re.IGNORECASE)  # a quick look, before the pairs


def ending(name: str) -> str:
    """ ".dcm" of "A.DCM"; what a file without one is counted under, as one that is named by DICOM's 1.2.840.113619."""
    found = os.path.splitext(name)[1].lower()
    return found if found[1:].isalnum() and not found[1:].isdecimal() and len(found) <= LONGEST_ENDING else NO_ENDING


def stem(name: str) -> str:
    return os.path.splitext(name)[0]


def paired(names: Iterable[str]) -> dict[str, str]:
    """{file name: THUMBNAIL or MASK} of those whose scan is among `names`."""
    names = list(names)
    suspects = [name for name in names if SUSPECT.search(stem(name))]
    if not suspects:
        return {}
    stems = {stem(name).lower() for name in names}
    found = {}
    for name in suspects:
        if reason := next((reason for reason, scans in _may_be_of(stem(name)) if scans & stems), None):
            found[name] = reason
    return found


def _may_be_of(own: str) -> Iterator[tuple[str, set[str]]]:
    """What a stem may be, and the stems, in small letters, that its scan may have."""
    own = own.lower()
    for reason, pattern in ENDS:
        if match := pattern.fullmatch(own):
            yield reason, {match[1], stem(match[1]), match[1] + (match[2] or "")}  # of scan_mask; of scan.jpg_mask
    for reason, pattern in BEGINS:
        if match := pattern.fullmatch(own):
            yield reason, {match[2], stem(match[2]), *(f"{scan}{match[1]}{match[2]}" for scan in SCANS)}


def of_folder(name: str) -> str | None:
    """THUMBNAIL or MASK of a folder that is named so; whether its files have their scans beside it is to be seen."""
    return next((reason for reason, pattern in FOLDERS if pattern.fullmatch(name)), None)


def scans_of(name: str) -> set[str]:
    """The stems, in small letters, one of which the scan has that a file in a folder of masks or thumbnails is of."""
    own = stem(name)
    return {own.lower()}.union(*(scans for _, scans in _may_be_of(own)))
