"""From a zip or the files of a folder to a folder of images in the runs folder: complete, or not there at all.

Written is beside, under a name that says whose it is (`system.beside`), so that what a killed process has left is swept
up and what another one is still at is not. The bytes are counted as they are written: what a zip says of its sizes is
taken for no more than a forecast. The same images a second time are the folder that is there already.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from colora.data.listing import shown
from colora.data.uploads.kept import FILE, NAMED_FOLDERS, Upload, list_uploads, read_upload
from colora.data.uploads.names import Places, is_image, name_of
from colora.data.uploads.zipped import CHUNK_BYTES, MOST_FILES, Entry, entries_of, too_many
from colora.runs.access import check
from colora.runs.audit import acting_user, own_folder, record, this_moment, uploads_folder
from colora.system.beside import FOLDER, beside, sweep
from colora.system.download import Progress, quiet
from colora.system.errors import Cancelled, UserError
from colora.system.files import sync_folder, write_json
from colora.system.storage import Stop, check_room, disk_errors, locked, never, size_text

KEPT_FREE = 1 << 30  # bytes of the disk that an upload leaves to runs
MOST_REASONS = 12  # of files that are left out
FOLDER_BYTES = 4_096  # that a folder takes on most disks
MOST_UNPACKED = 200  # times its own size: scans that are stored without compression, with wide black margins, reach 50
ALWAYS_UNPACKED = 256 << 20  # bytes, whatever the zip's size
ELSEWHERE = "choose another runs folder with COLORA_RUNS_DIR"
Kept = list[tuple[str, Entry]]  # the path of each below the folder, and the file


def take_zip(
    runs_dir: Path, file: BinaryIO, called: str, on_progress: Progress = quiet, should_stop: Stop = never
) -> tuple[Upload, bool]:
    """The images and tables of a zip that is called so; and whether the same ones were there already.

    Raises UserError for what is no zip or holds no image, for more than the disk or `MOST_UNPACKED` allows, and where
    whoever acts may not; Cancelled where `should_stop` says so. Nothing is left of a try that fails.
    """
    check("upload", runs_dir, called)
    packed = file.seek(0, os.SEEK_END)
    most = max(ALWAYS_UNPACKED, MOST_UNPACKED * packed)
    taking = _Taking(runs_dir, called, "zip", most, on_progress, should_stop)
    return taking.take(name_of(_without_ending(called)), entries_of(file, called))


def take_files(
    runs_dir: Path,
    files: Iterable[tuple[str, BinaryIO]],
    on_progress: Progress = quiet,
    should_stop: Stop = never,
) -> tuple[Upload, bool]:
    """The same of the files of a folder, each with its path, which begins with that folder's name. Raises UserError as
    `take_zip`, and where the paths name no folder."""
    there = list(files)
    tops = {path.replace("\\", "/").partition("/")[0] for path, _ in there}
    if len(tops) != 1 or not all("/" in path.replace("\\", "/") for path, _ in there):
        raise UserError(
            "The browser has not told in which folders the files lie, as where a folder is dropped: choose it with the "
            "button instead, or pack it as a zip."
        )
    called = tops.pop()
    check("upload", runs_dir, called)
    if len(there) > MOST_FILES:
        raise too_many(called)
    entries = [_loose(path.replace("\\", "/").partition("/")[2], file) for path, file in there]
    return _Taking(runs_dir, called, "folder", None, on_progress, should_stop).take(name_of(called), entries)


def _loose(path: str, file: BinaryIO) -> Entry:
    def chunks() -> Iterable[bytes]:
        file.seek(0)
        while part := file.read(CHUNK_BYTES):
            yield part

    return Entry(path, file.seek(0, os.SEEK_END), chunks)


def _without_ending(called: str) -> str:
    name = PurePosixPath(called.replace("\\", "/")).name
    return name[:-4] if name.lower().endswith(".zip") else name


def _few(by_reason: dict[str, int]) -> dict[str, int]:
    """The commonest reasons, and how many files have another one: a zip may hold as many endings as files."""
    common = sorted(by_reason.items(), key=lambda pair: -pair[1])
    rest = sum(n for _, n in common[MOST_REASONS:])
    return dict(common[:MOST_REASONS]) | ({"of other kinds": rest} if rest else {})


class _Taking:
    """One of them on its way in."""

    def __init__(
        self, runs_dir: Path, called: str, came_as: str, most: int | None, on_progress: Progress, should_stop: Stop
    ):
        self.runs_dir, self.called, self.came_as, self.most = runs_dir, shown(called), came_as, most
        self.on_progress, self.should_stop = on_progress, should_stop
        self.folder, self.written = uploads_folder(runs_dir), 0

    def take(self, name: str, entries: list[Entry]) -> tuple[Upload, bool]:
        places = Places()
        kept = [(place, entry) for entry in entries if (place := places.place(entry.path, entry.refused)) is not None]
        left_out = _few(places.left_out.by_reason)
        some = {reason: [shown(path) for path in places.left_out.examples.get(reason, ())] for reason in left_out}
        if not any(is_image(place) for place, _ in kept):
            raise self._no_image(left_out)
        with disk_errors(self.folder, ELSEWHERE):
            own_folder(self.runs_dir)
            self.folder.mkdir(exist_ok=True)
            sweep(self.folder)
            self.total = sum(entry.bytes for _, entry in kept)
            self._check(self.total)
            self._check_room(self.total + FOLDER_BYTES * places.folders)
            staging = beside(self.folder / name, FOLDER)
            try:
                staging.mkdir()
                sums = {place: self._write(staging / place, entry) for place, entry in kept}
                about = self._about(sums) | {"left_out": left_out, "examples": some}
                if known := self._known(about["checksum"]):
                    return known, True
                self._sync(staging, list(sums))
                write_json(staging / FILE, about)
                upload, again = self._publish(staging, name, about["checksum"])
            finally:
                shutil.rmtree(staging, ignore_errors=True)  # gone already where it was renamed
        if not again:
            facts = {key: about[key] for key in ("called", "images", "bytes", "checksum")}
            record(self.runs_dir, "upload", "", [], upload=upload.name, **facts)
        return upload, again

    def _no_image(self, left_out: dict[str, int]) -> UserError:
        there = ", ".join(f"{n:,} {reason}" for reason, n in left_out.items())
        return UserError(
            f"{self.called} holds no image that can be read (PNG, JPEG, TIFF, BMP, GIF, WebP)"
            f"{f'; there are {there}' if there else ''}. Export the scans as PNG or TIFF, with a sub-folder for each "
            "class."
        )

    def _check(self, count: int) -> None:
        """Raises UserError for more bytes than a zip of this size may hold."""
        if self.most is not None and count > self.most:
            raise UserError(
                f"{self.called} would unpack to more than {size_text(self.most)}, {MOST_UNPACKED} times its own size, "
                "which no set of scans does: look into it, and pack the folder anew."
            )

    def _check_stop(self) -> None:
        if self.should_stop():
            raise Cancelled(f"Cancelled while {self.called} was unpacked; nothing of it is kept.")

    def _check_room(self, count: int) -> None:
        what = f"{self.called}, with {size_text(KEPT_FREE)} left for runs,"
        check_room(self.folder, count + KEPT_FREE, what, ELSEWHERE)

    def _write(self, path: Path, entry: Entry) -> str:
        """The file, and its SHA-256."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = hashlib.sha256()
        with open(path, "xb") as out:
            for part in entry.chunks():
                self._check_stop()
                self.written += len(part)
                self._check(self.written)
                if self.written > self.total:  # more than it says of itself
                    self._check_room(len(part))
                out.write(part)
                content.update(part)
                self.on_progress("Unpacking" if self.most else "Writing", self.written, max(self.total, self.written))
        return content.hexdigest()

    def _sync(self, staging: Path, places: list[str]) -> None:
        """To the disk, when all is written: most of it is there by then."""
        for number, place in enumerate(places, start=1):
            self._check_stop()
            with open(staging / place, "r+b") as file:
                os.fsync(file.fileno())
            self.on_progress("Saving", number, len(places))
        for folder in {folder for place in places for folder in PurePosixPath(place).parents}:
            sync_folder(staging / folder)

    def _about(self, sums: dict[str, str]) -> dict[str, Any]:
        images = [place for place in sums if is_image(place)]
        folders = sorted({str(PurePosixPath(place).parent) for place in images} - {"."})
        whole = hashlib.sha256()
        for place in sorted(sums):
            whole.update(f"{place}\0{sums[place]}\n".encode())
        return {
            "called": self.called,
            "came_as": self.came_as,
            "images": len(images),
            "tables": len(sums) - len(images),
            "bytes": self.written,
            "folders": len(folders),
            "first_folders": folders[:NAMED_FOLDERS],
            "checksum": whole.hexdigest(),
            "created": this_moment(),
            "by": acting_user(),
        }

    def _known(self, checksum: str) -> Upload | None:
        return next((known for known in list_uploads(self.runs_dir) if known.about.get("checksum") == checksum), None)

    def _publish(self, staging: Path, name: str, checksum: str) -> tuple[Upload, bool]:
        with locked(self.folder, self.should_stop):
            if known := self._known(checksum):  # another one was faster
                return known, True
            place, number = self.folder / name, 2
            while os.path.lexists(place):
                place, number = self.folder / f"{name}-{number}", number + 1
            staging.rename(place)
            sync_folder(self.folder)
        return read_upload(place), False
