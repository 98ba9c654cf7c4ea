"""The Launch form's values: from a preset into the session, from there to the config, and what is wrong.

They live in `st.session_state` under "launch.FIELD", so that they outlast a visit to another page. Three
fields hold a choice and a detail in one text ('npz:FILE', 'resnet18:layer2', a weights FILE): two keys each.
"""

import types
import typing
from contextlib import suppress
from typing import Any

import streamlit as st

from colora.config import KNOWN_WEIGHTS, SOURCES, WITH_PATH, RunConfig, config_problems
from colora.data.folder import patient_expression
from colora.data.medmnist import check_medmnist
from colora.errors import UserError
from colora.medmnist_info import stored_size
from colora.typed import bare, clean_path, is_dir, is_file, typed_number, typed_numbers, typed_path, typed_whole_numbers
from colora.vary import FIELDS as SERIES
from colora.weights import IMAGENET
from pages.components.downloads import Target, set_target, weights_target

FIELDS = RunConfig.model_fields
SECTIONS = tuple(dict.fromkeys(field.json_schema_extra["section"] for field in FIELDS.values()))
PLACES = ("data_dir", "cut")  # settings that are paths, or may be
HERE = "on the computer that runs this app"


def key(field: str) -> str:
    return f"launch.{field}"


def fill(values: dict[str, Any]) -> None:
    """Put `values`, and the defaults of all other fields, into the form."""
    for field, about in FIELDS.items():
        value = values.get(field, about.default)
        if field == "dataset":
            source, _, path = value.partition(":")
            st.session_state[key("dataset")], st.session_state[key("dataset.path")] = source, path
        elif field == "backbone":
            name, _, cut = value.partition(":")
            st.session_state[key("backbone")], st.session_state[key("backbone.cut")] = name, cut
        elif field == "weights":
            known = value in KNOWN_WEIGHTS
            st.session_state[key("weights")] = value if known else "file"
            st.session_state[key("weights.path")] = "" if known else value
        elif kind(field) is list:
            st.session_state[key(field)] = ", ".join(value or [])
        elif field in SERIES or kind(field) is float:
            st.session_state[key(field)] = "" if value is None else number_text(value)
        else:
            st.session_state[key(field)] = "" if value is None and kind(field) is str else value


def number_text(value: float) -> str:
    """`0.001`, and every digit of a number that has more than six."""
    return short if float(short := f"{value:g}") == value else repr(value)


def read() -> dict[str, Any]:
    """The form's values, ready for `make_config`; a field that does not apply has its default."""
    values = {field: _read_field(field) for field in FIELDS}
    return {field: value if applies(field, values) else FIELDS[field].default for field, value in values.items()}


def _read_field(field: str) -> Any:
    value = st.session_state[key(field)]
    if field == "dataset":
        return value if value not in WITH_PATH else f"{value}:{_place(st.session_state[key('dataset.path')])}"
    if field == "backbone":
        cut = bare(st.session_state[key("backbone.cut")])
        return f"{value}:{cut}" if cut else value
    if field == "weights":
        return _place(st.session_state[key("weights.path")]) if value == "file" else value
    if field in SERIES:
        return next(iter(numbers(field)), None)
    if kind(field) is float:
        with suppress(ValueError):
            return typed_number(value)
        return bare(value) or None  # which the config refuses
    if kind(field) is list:
        return [bare(part) for part in value.split(",")] if bare(value) else None
    if field in PLACES:
        value = _place(value)
    elif isinstance(value, str):
        value = bare(value)
    return None if value == "" and optional(field) else value


def _place(text: str) -> str:
    """The path that was typed; an address that is none of this computer as it stands, which `problems` says."""
    try:
        return clean_path(text)
    except UserError:
        return text


def numbers(field: str) -> list[Any]:
    """What stands in a field that takes several values; empty where that is not one number or several."""
    try:
        return (typed_whole_numbers if kind(field) is int else typed_numbers)(st.session_state[key(field)])
    except ValueError:
        return []


def separators(field: str) -> str:
    return "commas" if kind(field) is int else "semicolons, as 0.001; 0.003"


def series(values: dict[str, Any]) -> dict[str, list[Any]]:
    """{field: its values} of the fields that have several; one such field makes a group of each of its values."""
    return {field: given for field in SERIES if applies(field, values) and len(given := numbers(field)) > 1}


def applies(field: str, values: dict[str, Any]) -> bool:
    """Whether a field means anything beside the others; one that does not is neither shown nor launched."""
    source = values["dataset"].partition(":")[0]
    if field == "per_class":
        return values["train_set"] == "balanced"
    if field == "class_names":
        return source == "npz"
    if field == "data_dir":
        return source not in SOURCES
    if field in ("patient_pattern", "split_seed"):
        return source == "folder"
    if field == "partial_weights":
        return values["weights"] not in KNOWN_WEIGHTS
    return section(field) != "CoLoRA" or values["method"] == "colora"


def problems(values: dict[str, Any]) -> dict[str, str]:
    """{field: sentence} of what is wrong, files that are not there included; empty if it can be launched."""
    found = {field: _without_name(field, sentence) for field, sentence in config_problems(values).items()}
    for field, value in values.items():
        if value is None and not optional(field):
            several = f", or several with {separators(field)}" if field in SERIES else ""
            found[field] = f"A number is needed here{several}."
    found |= _series_problems(values)
    source, _, place = values["dataset"].partition(":")
    if source in WITH_PATH and (missing := _missing(place, folder=source == "folder")):
        found["dataset"] = missing
    if source not in SOURCES and not {"dataset", "image_size"} & found.keys():
        try:
            check_medmnist(source, values["image_size"], values["data_dir"])
        except UserError as error:
            found[error.field or "dataset"] = str(error)
        except OSError as error:
            found["data_dir"] = f"{error.filename} cannot be read: {error.strerror}."
    for field, target in needed(values).items():
        if field == "weights" or "image_size" not in found:
            how = "only partly" if target.state == "partial" else "not"
            found[field] = f"{target.title} is {how} in {target.file.path.parent} yet ({target.whole})."
    if values["patient_pattern"]:
        try:
            patient_expression(values["patient_pattern"])
        except UserError as error:
            found["patient_pattern"] = _without_name("patient_pattern", str(error))
    if values["weights"] not in KNOWN_WEIGHTS and (missing := _missing(values["weights"], folder=False)):
        found["weights"] = missing
    return found


def _series_problems(values: dict[str, Any]) -> dict[str, str]:
    """Of a field with several values whichever is wrong, and of a second such field that there is another."""
    found, several = {}, series(values)
    for number, (field, given) in enumerate(several.items()):
        wrong = [config_problems(values | {field: value}).get(field) for value in given]
        if sentence := next(filter(None, wrong), None):
            found[field] = _without_name(field, sentence)
        elif len(set(given)) < len(given):
            found[field] = "One of the values is there twice."
        elif number:
            found[field] = "Only one field can have several values, and another has them already."
    return found


def needed(values: dict[str, Any]) -> dict[str, Target]:
    """{"dataset", "weights": the public file that has to be downloaded first}."""
    found, source = {}, values["dataset"].partition(":")[0]
    with suppress(UserError, OSError):  # of a folder that cannot be looked into, which `problems` says
        if source not in SOURCES and values["image_size"] is not None:
            found["dataset"] = set_target(source, stored_size(values["image_size"]), values["data_dir"])
    if values["weights"] == "imagenet" and values["backbone"].partition(":")[0] in IMAGENET:
        found["weights"] = weights_target(values["backbone"])
    return {field: target for field, target in found.items() if target.state in ("absent", "partial")}


def _missing(place: str, folder: bool) -> str | None:
    """A sentence if there is no such file, or folder."""
    what = "folder" if folder else "file"
    if not place:
        return f"Type the path of the {what}."
    try:
        path = typed_path(place)
    except UserError as error:
        return str(error)
    found = is_dir(path) if folder else is_file(path)
    return None if found else f"There is no {what} {path} {HERE}."


def _without_name(field: str, sentence: str) -> str:
    """The config names the field, as the command line needs it; beside the field itself that is noise."""
    text = sentence.removeprefix(f"{field}: ").replace("input should be", "must be")
    return text[0].upper() + text[1:]


def section(field: str) -> str:
    return FIELDS[field].json_schema_extra["section"]


def kind(field: str) -> Any:
    """The plain type of a field: Literal, bool, int, float, str or list, without None."""
    annotation = FIELDS[field].annotation
    if optional(field):
        annotation = next(a for a in typing.get_args(annotation) if a is not types.NoneType)
    return typing.get_origin(annotation) or annotation


def optional(field: str) -> bool:
    return isinstance(FIELDS[field].annotation, types.UnionType)
