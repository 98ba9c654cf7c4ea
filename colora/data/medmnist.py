"""`octmnist`, `pathmnist`, ...: MedMNIST's sets by name, downloaded, unpacked once and memory-mapped.

Files lie where the medmnist package keeps its own (~/.medmnist), under its names, so an existing download is used; the
unpacked copy lies beside them (`octmnist_224.npz`, `octmnist_224/`). Once unpacked, the .npz is not needed any more.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from colora.data import npz
from colora.data.dataset import Dataset, Split, outline_split
from colora.data.prepare import prepare_array
from colora.data.unpack import bytes_in, checksum, facts, is_unpacked, opened, read_splits, unpack
from colora.runs.access import named_place
from colora.settings.medmnist_info import default_folder, file_name, info, stored_size
from colora.system.download import Progress, RemoteFile, fetch, quiet, verify
from colora.system.errors import UserError
from colora.system.storage import Stop, file_size, locked, made_folder, never

SPLIT_RULE = "MedMNIST's own splits; it has no patient ids, so they may share patients"
SHARED_PATIENTS = {
    "octmnist": "OCTMNIST's validation split is drawn from its source's training images, and 3,663 of those belong to "
    "patients of the test split (TVST 2778252): the figures may be better than they would be on new patients. "
    "It names no patients, so that this cannot be repaired."
}


@dataclass(frozen=True)
class OnDisk:
    """What of one set at one size is on this machine; bytes are 0 for what is not there."""

    name: str
    size: int
    npz: Path
    folder: Path
    part_bytes: int
    npz_bytes: int
    unpacked_bytes: int

    @property
    def state(self) -> str:
        """One of "unpacked" (ready), "downloaded", "partial", "absent"."""
        if self.unpacked_bytes:
            return "unpacked"
        return "downloaded" if self.npz_bytes else "partial" if self.part_bytes else "absent"

    @property
    def bytes(self) -> int:
        return self.part_bytes + self.npz_bytes + self.unpacked_bytes


def remote_file(name: str, size: int, data_dir: str | Path | None = None) -> RemoteFile:
    """The .npz that MedMNIST publishes, and its place. Raises UserError for a set or a size that there is not."""
    facts_of = info(name)
    if size not in facts_of.urls:
        raise UserError(f"{name} is published at {', '.join(map(str, facts_of.urls))} px, not at {size}.", "image_size")
    folder = named_place(data_dir, "data_dir") if data_dir else default_folder()
    return RemoteFile(facts_of.urls[size], f"md5:{facts_of.md5[size]}", folder / file_name(name, size))


def unpacked_folder(file: RemoteFile) -> Path:
    """`octmnist_224.npz` -> `octmnist_224`, and `octmnist.npz` -> `octmnist`."""
    return file.path.with_suffix("")


def on_disk(name: str, size: int, data_dir: str | Path | None = None) -> OnDisk:
    """Looks at files and their sizes only. Raises UserError as `remote_file` does."""
    file = remote_file(name, size, data_dir)
    folder = unpacked_folder(file)
    return OnDisk(name, size, file.path, folder, file_size(file.part), file_size(file.path), bytes_in(folder))


def get(
    name: str,
    size: int,
    data_dir: str | Path | None = None,
    on_progress: Progress = quiet,
    should_stop: Stop = never,
) -> OnDisk:
    """Download what is missing, check it and unpack it; at once if that is done. Raises UserError, or Cancelled."""
    file = remote_file(name, size, data_dir)
    folder = unpacked_folder(file)
    made_folder(folder.parent)
    with locked(folder, should_stop, on_wait=lambda: on_progress("waiting", 0, None)):
        if not is_unpacked(folder):
            pixels = sum(info(name).images.values()) * size * size
            fetch(file, on_progress, should_stop, room=pixels)
            unpack(file.path, folder, len(info(name).class_names), file.checksum, on_progress, should_stop)
    return on_disk(name, size, data_dir)


def check_medmnist(name: str, image_size: int, data_dir: str | Path | None = None) -> None:
    """Quickly: raises UserError, with the ways to get it, where the set is not on this machine."""
    size = stored_size(image_size)
    found = on_disk(name, size, data_dir)
    if found.state == "unpacked":
        opened(found.folder)
    elif found.state == "downloaded":
        if not zipfile.is_zipfile(found.npz):  # a download cut off lacks the zip's end
            raise UserError(
                f"{found.npz} is not complete: delete it, then {_how_to_get(name, size, data_dir)}", field="dataset"
            )
    else:
        begun = " yet, its download is not complete" if found.state == "partial" else ""
        raise UserError(
            f"{info(name).title} at {size} px is not in {found.npz.parent}{begun}: {_how_to_get(name, size, data_dir)}",
            field="dataset",
        )


def _how_to_get(name: str, size: int, data_dir: str | Path | None) -> str:
    elsewhere = f" --data-dir {data_dir}" if data_dir else ""
    by_hand = remote_file(name, size, data_dir).by_hand()
    return f"run `colora data get {name} --size {size}{elsewhere}`, or {by_hand}."


def read_medmnist(
    name: str, image_size: int, data_dir: str | Path | None = None, on_progress: Progress = quiet
) -> Dataset:
    """The set, memory-mapped where it is stored at `image_size`, else prepared from the next larger size in memory.

    A downloaded file that nobody has unpacked is checked and unpacked first, which `on_progress` follows. Raises
    UserError as `check_medmnist`.
    """
    check_medmnist(name, image_size, data_dir)
    size = stored_size(image_size)
    file = remote_file(name, size, data_dir)
    folder = unpacked_folder(file)
    if not is_unpacked(folder):
        _unpack_existing(file, folder, len(info(name).class_names), on_progress)
    known, splits = facts(folder), read_splits(folder)
    as_stored = size == image_size
    if not as_stored:
        splits = {
            key: Split(prepare_array(split.images, image_size), split.labels, split.image_ids)
            for key, split in splits.items()
        }
    return _dataset(name, size, splits, known["colour"], known["checksum"] if as_stored else None)


def outline_medmnist(name: str, image_size: int, data_dir: str | Path | None = None) -> Dataset:
    """What `read_medmnist` would return without its pixels. Raises UserError as `check_medmnist`, and for a downloaded
    file whose labels cannot be read."""
    check_medmnist(name, image_size, data_dir)
    size = stored_size(image_size)
    counts = class_counts(name, size, data_dir)
    if counts is not None:
        labels = {split: np.repeat(np.arange(len(own)), own) for split, own in counts.items()}
    else:
        labels = npz.labels_of(remote_file(name, size, data_dir).path)
    return _dataset(name, size, {split: outline_split(own) for split, own in labels.items()}, info(name).colour)


def _dataset(
    name: str, size: int, splits: dict[str, Split], colour: bool, known_checksum: str | None = None
) -> Dataset:
    warnings = [SHARED_PATIENTS[name]] if name in SHARED_PATIENTS else []
    if colour:
        warnings.append(f"{info(name).title} is in colour; its images were converted to grey.")
    names = info(name).class_names
    return Dataset(
        splits,
        names,
        class_names_given=not all(text.isdecimal() for text in names),  # RetinaMNIST's grades are only numbered
        source=f"{info(name).title} ({size} px)",
        split_rule=SPLIT_RULE,
        warnings=tuple(warnings),
        known_checksum=known_checksum,
    )


def _unpack_existing(file: RemoteFile, folder: Path, classes: int, on_progress: Progress) -> None:
    with locked(folder):
        if not is_unpacked(folder):
            verify(file, on_progress)
            unpack(file.path, folder, classes, file.checksum, on_progress)


def class_counts(name: str, size: int, data_dir: str | Path | None = None) -> dict[str, list[int]] | None:
    """Images of each class in each split, from the unpacked set; None where it is not unpacked yet."""
    folder = unpacked_folder(remote_file(name, size, data_dir))
    return facts(folder)["counts"] if is_unpacked(folder) else None


def known_checksum(name: str, size: int, data_dir: str | Path | None = None) -> str | None:
    """`Dataset.checksum` of the unpacked set at its stored size; None where it would have to be computed."""
    if size != stored_size(size):
        return None
    folder = unpacked_folder(remote_file(name, size, data_dir))
    return facts(folder)["checksum"] if is_unpacked(folder) else None


def damages(
    name: str, size: int, data_dir: str | Path | None = None, on_progress: Progress = quiet
) -> dict[str, str | None]:
    """What is there of the set, read whole: {path: None if it is as published, else what is wrong and what to do}."""
    found, file = on_disk(name, size, data_dir), remote_file(name, size, data_dir)
    result: dict[str, str | None] = {}
    for path, there, check in (
        (found.npz, found.npz_bytes, lambda: verify(file, on_progress)),
        (found.folder, found.unpacked_bytes, lambda: _check_unpacked(found.folder)),
    ):
        if there:
            try:
                check()
                result[str(path)] = None
            except UserError as error:
                result[str(path)] = str(error)
    return result


def _check_unpacked(folder: Path) -> None:
    if checksum(folder) != facts(folder)["checksum"]:
        raise UserError(
            f"The images in {folder} have changed since they were unpacked: delete it and get the set again."
        )
