"""`npz:FILE`: MedMNIST's file format, {train,val,test}_{images,labels}.

Images are uint8 or uint16: grey (N, H, W) or (N, H, W, 1), or in colour (N, H, W, 3); labels are class numbers from 0,
(N,) or (N, 1). Optional keys: `class_names` (C,) and `{split}_patients` (N,). Nothing is unpickled.
"""

import math
from pathlib import Path

import numpy as np

from colora.data.dataset import SPLITS, Dataset, Split, outline_split
from colora.data.listing import shown
from colora.data.npz_file import Header, NpzFile, need_memory, open_npz
from colora.data.prepare import MAX_PIXELS, Converted, Progress, coloured, prepare_array, quiet, upper_bits
from colora.settings.catalog import MOST_CLASSES
from colora.system.errors import UserError
from colora.system.typed import one_line, shortened

FORMAT = "MedMNIST's format has train_images, train_labels, val_images, val_labels, test_images and test_labels"
OWN_SPLITS = "the file's own splits"
UNKNOWN_PATIENTS = "; it holds no patient ids, so they may share patients"
VERIFIED_BYTES = 256 << 20  # a check before a launch takes no more than about a second
MOST_SAID = 12  # members of a file that are told by name
MOST_GAPS = 2  # numbered classes for each one that occurs; more are no class numbers


def read_npz(path: Path, image_size: int, on_progress: Progress = quiet) -> Dataset:
    """Raises UserError that says what is wrong with the file and what was expected."""
    with open_npz(path, FORMAT) as file:
        labels, names = checked(file)
        total = sum(map(len, labels.values()))
        need_memory(
            total * image_size**2, f"{path} at {image_size} px", "choose a smaller image size, or take more memory"
        )
        converted, splits, done = Converted(), {}, 0
        for name in SPLITS:
            images = np.empty((len(labels[name]), image_size, image_size), dtype=np.uint8)
            filled = 0
            for part in file.rows(f"{name}_images"):
                on_progress(done + filled, total)
                images[filled : filled + len(part)] = prepared(part, image_size, converted, f"{name}/", filled)
                filled += len(part)
            done += filled
            ids = np.array([f"{name}/{i:06d}" for i in range(filled)], dtype=str)
            splits[name] = Split(images, labels[name], ids, patients(file, name))
        on_progress(total, total)
    return _dataset(path, splits, names, "class_names" in file, tuple(converted.sentences(total)))


def outline_npz(path: Path) -> Dataset:
    """What `read_npz` would return without its pixels. Raises UserError as that does for keys, types, shapes and
    labels; damaged pixels are found in small files."""
    with open_npz(path, FORMAT) as file:
        labels, names = checked(file)
        if sum(member.file_size for member in file.members.values()) <= VERIFIED_BYTES:
            file.verify()
        splits = {name: outline_split(labels[name], patients(file, name)) for name in SPLITS}
        return _dataset(path, splits, names, "class_names" in file)


def _dataset(
    path: Path, splits: dict[str, Split], names: tuple[str, ...], given: bool, warnings: tuple[str, ...] = ()
) -> Dataset:
    known = splits["train"].patient_ids is not None
    return Dataset(
        splits,
        names,
        class_names_given=given,
        source=f"npz:{path.name}",
        split_rule=OWN_SPLITS if known else OWN_SPLITS + UNKNOWN_PATIENTS,
        warnings=warnings,
        patients_from="the file's train_patients, val_patients, test_patients" if known else "",
    )


def labels_of(path: Path) -> dict[str, np.ndarray]:
    """(N,) int64 of each split. Raises UserError as `read_npz`."""
    with open_npz(path, FORMAT) as file:
        return checked(file)[0]


def checked(file: NpzFile) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels (N,) int64 of each split, and the class names, of a file whose headers fit together."""
    missing = [f"{s}_{kind}" for s in SPLITS for kind in ("images", "labels") if f"{s}_{kind}" not in file]
    if missing:
        raise UserError(
            f"{file.path} lacks {', '.join(missing)} (it has {_members(file)}): {FORMAT}.",
            field="dataset",
        )
    labels = {name: _labels(file, name) for name in SPLITS}
    for name in SPLITS:
        _check_images(file, name, len(labels[name]))
        _check_patients(file, name, len(labels[name]))
    return labels, _class_names(file, labels)


def _members(file: NpzFile) -> str:
    names = [one_line(shortened(name)) for name in list(file.members)[:MOST_SAID]]
    more = len(file.members) - len(names)
    return ", ".join(names + ([f"{more:,} more"] if more else [])) or "nothing"


def _labels(file: NpzFile, name: str) -> np.ndarray:
    key = f"{name}_labels"
    header = file.header(key)
    if header.shape and header.shape[0] == 0:
        raise UserError(f"{file.path} has no image in its {name} split; every split needs some.", field="dataset")
    if header.dtype.kind not in "iu" or (len(header.shape) != 1 and header.shape[1:] != (1,)):
        raise UserError(
            f"{file.path}: {key} is {header}{_one_hot(file, key)}; expected one whole number an image, the class from "
            "0 on.",
            field="dataset",
        )
    values = file.read(key).reshape(-1)
    if values.min() < 0:
        raise UserError(f"{file.path}: {key} holds {values.min()}; labels count from 0.", field="dataset")
    if values.max() > np.iinfo(np.int64).max:
        raise UserError(f"{file.path}: {key} holds {values.max()}, which is no class number.", field="dataset")
    return values.astype(np.int64)


def _one_hot(file: NpzFile, key: str) -> str:
    """A hint for the commonest other form of labels."""
    header = file.header(key)
    if len(header.shape) != 2 or header.shape[1] < 2 or header.dtype.kind not in "iufb":
        return ""
    values = file.read(key).astype(np.float64)
    if not (np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all()):
        return ""
    return f", one-hot: save {key}.argmax(1) instead"


def _class_names(file: NpzFile, labels: dict[str, np.ndarray]) -> tuple[str, ...]:
    highest = max(int(values.max()) for values in labels.values())
    if "class_names" not in file:
        occurring = len(np.unique(np.concatenate(list(labels.values()))))
        if highest + 1 > MOST_GAPS * occurring:
            raise UserError(
                f"{file.path} has labels up to {highest:,}, but only {occurring} different ones: number the classes "
                "0, 1, 2 and so on.",
                field="dataset",
            )
        _check_count(file, highest + 1)
        return tuple(str(c) for c in range(highest + 1))
    _check_count(file, math.prod(file.header("class_names").shape))
    values = file.read("class_names").ravel()
    names = tuple(shown(n.decode("utf-8", "backslashreplace") if isinstance(n, bytes) else str(n)) for n in values)
    if highest >= len(names):
        raise UserError(
            f"{file.path} names {len(names)} classes but has labels up to {highest:,}; labels count from 0.",
            field="dataset",
        )
    if len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise UserError(f"{file.path}: class_names holds an empty name or one twice.", field="dataset")
    return names


def _check_count(file: NpzFile, classes: int) -> None:
    if classes > MOST_CLASSES:
        raise UserError(f"{file.path} has {classes:,} classes; there can be up to {MOST_CLASSES:,}.", field="dataset")


def _check_images(file: NpzFile, name: str, count: int) -> None:
    header = file.header(f"{name}_images")
    shape = header.shape
    grey = len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)
    colour = len(shape) == 4 and shape[3] == 3
    eight, sixteen = header.dtype == np.uint8, header.dtype.newbyteorder("=") == np.uint16
    if not ((grey or colour) and (eight or sixteen)) or 0 in shape[1:]:
        raise UserError(
            f"{file.path}: {name}_images is {header}; expected uint8 or uint16, (N, H, W) or (N, H, W, 3)."
            + _image_hint(header),
            field="dataset",
        )
    if shape[1] * shape[2] > MAX_PIXELS:
        raise UserError(
            f"{file.path}: {name}_images claims {shape[1]:,} x {shape[2]:,} pixels an image, which no scan has.",
            field="dataset",
        )
    if shape[0] != count:
        raise UserError(f"{file.path}: {shape[0]:,} {name}_images, but {count:,} {name}_labels.", field="dataset")


def _image_hint(header: Header) -> str:
    if header.dtype.kind in "fib" or (header.dtype.kind == "u" and header.dtype.itemsize > 2):
        return " Scale the values to 0 ... 255 and save them with astype('uint8')."
    if len(header.shape) == 4 and header.shape[1] in (1, 3):
        return " Put the channels last, with numpy.moveaxis(images, 1, 3)."
    return ""


def prepared(part: np.ndarray, image_size: int, converted: Converted, prefix: str, first: int) -> np.ndarray:
    """(n, image_size, image_size) uint8 of consecutive images, `first` the number of the first one."""
    if part.ndim == 4 and part.shape[3] == 1:
        part = part[..., 0]
    kinds: dict[str, np.ndarray] = {}
    if part.dtype != np.uint8:
        kinds["deep"] = np.arange(len(part))
        # Pillow wants this machine's byte order.
        part = part.astype(np.uint16) if part.ndim == 3 else upper_bits(part)
    if part.ndim == 4:
        kinds["colour"] = np.flatnonzero(coloured(part))
    for kind, which in kinds.items():
        for i in which:
            converted.add([kind], f"{prefix}{first + i:06d}")
    return prepare_array(part, image_size)


def _check_patients(file: NpzFile, name: str, count: int) -> None:
    key = f"{name}_patients"
    if key not in file:
        return
    header = file.header(key)
    if header.shape not in ((count,), (count, 1)) or header.dtype.kind not in "iufbUS":
        raise UserError(
            f"{file.path}: {key} is {header}; expected one number or text for each of the {count} images.",
            field="dataset",
        )


def patients(file: NpzFile, name: str) -> np.ndarray | None:
    """(N,) text, whose image each is, of one split; None where the file does not hold it."""
    key = f"{name}_patients"
    if key not in file:
        return None
    values = file.read(key).ravel()
    return np.char.decode(values, "utf-8", "backslashreplace") if values.dtype.kind == "S" else values.astype(str)
