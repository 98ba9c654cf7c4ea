"""The Launch form's values: from a preset into the session, from there to the config, and what is wrong.

They live in `st.session_state` under "launch.FIELD", so that they outlast a visit to another page. Three
fields hold a choice and a detail in one text ('npz:FILE', 'resnet18:layer2', a weights FILE): two keys each.

Any field can have several values; each combination of them makes a group. Those in COMMAS take them as they are, others
once "launch.several" lists them: then their values live under "launch.FIELD.several".
"""

import types
import typing
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice, product
from typing import Any

import streamlit as st

from colora.data.medmnist import check_medmnist
from colora.data.patients import patient_expression
from colora.networks.weights import IMAGENET
from colora.runs.access import named_place
from colora.settings.config import KNOWN_WEIGHTS, SOURCES, WITH_PATH, RunConfig, config_problems
from colora.settings.medmnist_info import stored_size
from colora.settings.relevance import DECIDING, unused
from colora.settings.vary import MOST, groups_of, optional, settled
from colora.system.errors import UserError
from colora.system.typed import (
    bare,
    clean_path,
    is_dir,
    is_file,
    number_text,
    typed_number,
    typed_numbers,
    typed_whole_numbers,
)
from pages.components.data.downloads import Target, set_target, weights_target
from pages.components.launch.weights_asked import weights_refused

FIELDS = RunConfig.model_fields
SECTIONS = tuple(dict.fromkeys(field.json_schema_extra["section"] for field in FIELDS.values()))
PLACES = ("data_dir", "cut")  # settings that are paths, or may be
HERE = "on the computer that runs this app"
COMMAS = ("lr", "rank", "merge_every")  # whose field always takes several values, one after another
CHOSEN = "launch.several"  # which of the other fields have several values
GIVEN = ("train_set",)  # what the form's user decides, though no flag of its own says so (`vary.settled`)
LOOKED_AT = 500  # combinations, to see which fields mean anything; a launch has no more than MOST groups
Values = dict[str, Any]
Series = dict[str, list[Any]]


def key(field: str) -> str:
    return f"launch.{field}"


def fill(values: dict[str, Any]) -> None:
    """Put `values`, and the defaults of all other fields, into the form; none has several values then."""
    st.session_state[CHOSEN] = []
    for field, about in FIELDS.items():
        put(field, values.get(field, about.default))


def put(field: str, value: Any) -> None:
    """One value into the form."""
    st.session_state[CHOSEN] = [other for other in st.session_state[CHOSEN] if other != field]
    st.session_state[key(f"{field}.several")] = None
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
    else:
        st.session_state[key(field)] = in_widget(field, value)


def typed() -> dict[str, Any]:
    """{key in the session: what stands there} of all that a person can type or choose in the fields."""
    places = [key(field) for field in FIELDS] + [key(f"{field}.several") for field in FIELDS]
    places += [key("dataset.path"), key("backbone.cut"), key("weights.path"), CHOSEN]
    return {place: st.session_state[place] for place in places if place in st.session_state}


def in_widget(field: str, value: Any) -> Any:
    """How the value of a field with one widget stands in that; `plain` reads it."""
    if kind(field) is list:
        return ", ".join(value or [])
    if field in COMMAS or kind(field) is float:
        return "" if value is None else number_text(value)
    return "" if value is None and kind(field) is str else value


def read() -> Values:
    """The form's values, of several the first; a field that does not apply has its default."""
    values = {field: _first(field) for field in FIELDS}
    idle = unused(values)  # once: nearly every field applies, and the page reads the form five times
    return {f: values[f] if f not in idle or applies(f, values) else about.default for f, about in FIELDS.items()}


def _first(field: str) -> Any:
    if takes_several(field):
        return next(iter(several(field)), None)
    return read_one(field)


def chosen() -> list[str]:
    """The fields that were made to take several values."""
    return st.session_state[CHOSEN]


def read_one(field: str) -> Any:
    """The value of a field that takes one."""
    value = st.session_state[key(field)]
    if field == "dataset":
        return value if value not in WITH_PATH else f"{value}:{_place(st.session_state[key('dataset.path')])}"
    if field == "backbone":
        cut = bare(st.session_state[key("backbone.cut")])
        return f"{value}:{cut}" if cut else value
    if field == "weights":
        return _place(st.session_state[key("weights.path")]) if value == "file" else value
    return plain(field, value)


def plain(field: str, value: Any) -> Any:
    """The value of a field with one widget, from what stands in that."""
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


def several(field: str) -> list[Any]:
    """What stands in a field that takes several values; empty where that is not one value or several."""
    typed = st.session_state[key(field) if field in COMMAS else key(f"{field}.several")]
    if isinstance(typed, list):
        return [_cleaned(field, value) if isinstance(value, str) else value for value in typed]
    if kind(field) in (int, float):
        with suppress(ValueError):
            return _numbers(field, typed)
        return []
    return [_one(field, line) for line in typed.splitlines() if bare(line)]


def _numbers(field: str, text: str) -> list[Any]:
    """Raises ValueError where one is none. An optional one may be `none`."""
    if optional(field) and "none" in text.lower():
        parts = [bare(part) for part in text.split(";" if ";" in text else ",") if bare(part)]
        return [None if part.lower() == "none" else _numbers(field, part)[0] for part in parts]
    return (typed_whole_numbers if kind(field) is int else typed_numbers)(text)


def _one(field: str, text: str) -> Any:
    if optional(field) and bare(text).lower() == "none":
        return None
    return [bare(part) for part in text.split(",")] if kind(field) is list else _cleaned(field, text)


def _cleaned(field: str, text: str) -> str:
    """What was typed, with its path cleaned where it is one, or ends in one as `folder:DIR`."""
    text = bare(text)
    source, colon, place = text.partition(":")
    if field == "dataset" and source in WITH_PATH:
        return f"{source}{colon}{_place(place)}"
    known = field == "weights" and text in KNOWN_WEIGHTS
    return _place(text) if field in (*PLACES, "weights") and not known else text


def separators(field: str) -> str:
    return "commas" if kind(field) is int else "semicolons, as 0.001; 0.003"


def series(values: Values) -> Series:
    """{field: its values} of the fields that have several and mean something."""
    return {
        field: given
        for field in FIELDS
        if takes_several(field) and len(given := several(field)) > 1 and applies(field, values)
    }


def applies(field: str, values: Values) -> bool:
    """Whether a field is used by any of the groups; one that is not is neither shown nor launched."""
    if field not in unused(values):
        return True
    deciding = {other: several(other) for other in DECIDING if takes_several(other)}
    combined = islice(product(*deciding.values()), LOOKED_AT)
    return any(field not in unused(values | dict(zip(deciding, one, strict=True))) for one in combined)


def takes_several(field: str) -> bool:
    return field in COMMAS or field in chosen()


def each_group(values: Values, varied: Series) -> list[Values]:
    """The values of each group; of so many that they are refused the first."""
    combined = (dict(zip(varied, one, strict=True)) for one in product(*varied.values()))
    own = [settled(values | one, varied, GIVEN) for one in islice(combined, MOST)]
    return [{field: one.get(field, FIELDS[field].default) for field in FIELDS} for one in own]


def groups(name: str, values: Values, varied: Series) -> dict[str, RunConfig]:
    """{name: config} of what will be launched. Raises UserError as `vary.groups_of`."""
    return groups_of(name, values, varied, [field for field in GIVEN if field not in varied])


def group_names(name: str) -> list[str]:
    """The groups that the form would make under this name; itself alone where the form is wrong."""
    values = read()
    try:
        return list(groups(name, values, series(values)))
    except UserError:
        return [name]


def name_too_long(name: str, values: Values, varied: Series) -> dict[str, str]:
    """{"name": sentence} where it leaves no room for what tells the groups apart."""
    try:
        groups(name, values, varied)
    except UserError as error:
        return {"name": str(error)} if error.field == "name" else {}
    return {}


def problems(values: Values, varied: Series) -> dict[str, str]:
    """{field: sentence} of what is wrong, files that are not there included; empty if it can be launched."""
    found: dict[str, str] = {}
    for field, value in values.items():
        if field in chosen() and not several(field):
            found[field] = _several_needed(field)
        elif value is None and not optional(field):
            found[field] = "A number is needed here" + (
                f", or several with {separators(field)}." if field in COMMAS else "."
            )
    every = each_group(values, varied)
    for one in every:
        found = {field: without_name(field, said) for field, said in config_problems(one).items()} | found
    if not found:
        found |= _of_the_groups(values, varied)
    wrong = set(found)
    for one in reversed(every):  # what the first group lacks is said first
        found |= _files_missing(one, wrong)
    return found


def wanting(values: Values) -> set[str]:
    """The fields whose path nobody has typed yet: asked for, and no mistake."""
    blank = {"dataset": values["dataset"].partition(":")[2], "weights": values["weights"]}
    asked = {"dataset"} if values["dataset"].partition(":")[0] in WITH_PATH else set()
    return {field for field in (asked | {"weights"}) - set(chosen()) if not bare(blank[field])}


def _several_needed(field: str) -> str:
    if kind(field) in (int, float):
        return f"Numbers are needed here, with {separators(field)}."
    return "At least one value is needed here."


def _of_the_groups(values: Values, varied: Series) -> dict[str, str]:
    """What is wrong with the combinations: too many, or not all of them different."""
    if not varied:
        return {}
    try:
        groups("name", values, varied)
    except UserError as error:
        return {error.field or next(iter(varied)): without_name(error.field or "", str(error))}
    return {}


def _files_missing(values: Values, wrong: set[str]) -> dict[str, str]:
    """{field: sentence} of one group, as far as fields that are `wrong` in themselves let it be told."""
    missing: dict[str, str] = {}
    source, _, place = values["dataset"].partition(":")
    if source in WITH_PATH and (said := _missing(place, folder=source == "folder")):
        missing["dataset"] = said
    if source not in SOURCES and not {"dataset", "image_size"} & wrong:
        try:
            check_medmnist(source, values["image_size"], values["data_dir"])
        except UserError as error:
            missing[error.field or "dataset"] = str(error)
        except OSError as error:
            missing["data_dir"] = f"{error.filename} cannot be read: {error.strerror}."
    for field, target in needed(values).items():
        if field == "weights" or "image_size" not in wrong:
            how = "only partly" if target.state == "partial" else "not"
            missing[field] = f"{target.title} is {how} in {target.file.path.parent} yet ({target.whole})."
    if values["patient_pattern"]:
        try:
            patient_expression(values["patient_pattern"])
        except UserError as error:
            missing["patient_pattern"] = without_name("patient_pattern", str(error))
    if values["weights"] not in KNOWN_WEIGHTS:
        if said := _missing(values["weights"], folder=False):
            missing["weights"] = said
        elif not {"backbone", "weights"} & wrong and (refused := weights_refused(values)):
            missing[refused.field] = without_name(refused.field, str(refused))
    return missing


def needed(values: dict[str, Any]) -> dict[str, Target]:
    """{"dataset", "weights": the public file that has to be downloaded first}."""
    found, source = {}, values["dataset"].partition(":")[0]
    with suppress(UserError, OSError):  # of a folder that cannot be looked into, which `problems` says
        if source not in SOURCES and values["image_size"] is not None:
            found["dataset"] = set_target(source, stored_size(values["image_size"]), values["data_dir"])
    if values["weights"] == "imagenet" and (network := values["backbone"].partition(":")[0]) in IMAGENET:
        found["weights"] = weights_target(network)
    return {field: target for field, target in found.items() if target.state in ("absent", "partial")}


def first_needed(every: Sequence[Values]) -> dict[str, tuple[Target, Values]]:
    """{"dataset", "weights": the file that has to be downloaded first, and the group that needs it}."""
    found: dict[str, tuple[Target, Values]] = {}
    for values in every:
        for field, target in needed(values).items():
            found.setdefault(field, (target, values))
    return found


def _missing(place: str, folder: bool) -> str | None:
    """A sentence if there is no such file, or folder."""
    what = "folder" if folder else "file"
    if not place:
        return f"Type the path of the {what}."
    try:
        path = named_place(place)
    except UserError as error:
        return str(error)
    found = is_dir(path) if folder else is_file(path)
    return None if found else f"There is no {what} {path} {HERE}."


def without_name(field: str, sentence: str) -> str:
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
