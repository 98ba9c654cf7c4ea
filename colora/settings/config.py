"""What to run: one pydantic model that the form, the command line and the JSON files share.

A field's description is its help text everywhere; its `section` groups the form. Where the paper (Rivera & Hoyos,
arXiv 2505.18315) is silent the default is ours and the field is the setting.
"""

import json
import os
import typing
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from colora.settings.catalog import BACKBONES, nearest, split_backbone
from colora.settings.medmnist_info import info, known, names
from colora.settings.seeds import format_seeds
from colora.system.errors import UserError
from colora.system.typed import bare, clean_path, typed_number, typed_path

SCHEMA_VERSION = 1
FILES = ("folder", "table")  # sources of image files, which are split here
WITH_PATH = ("npz", *FILES)
SOURCES = (*WITH_PATH, "phantom")  # and MedMNIST's sets by name
DATA_FIELDS = (  # what decides images, classes and splits
    "dataset", "data_dir", "class_names", "layout", "columns", "patient_pattern", "ignore_splits", "split_seed",
    "data_roots", "image_size",
)  # fmt: skip
SMALL_POINTWISE_RANK = 8  # what it saves is shown beside the whole factor
KNOWN_WEIGHTS = ("imagenet", "shipped", "none")  # anything else is a file


def _field(default: Any, description: str, section: str, **constraints: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"section": section}, **constraints)


class RunConfig(BaseModel):
    """The complete settings of one group of runs; every seed of the group shares them.

    Construct it through `make_config`, whose errors are sentences (UserError) instead of pydantic's reports.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    dataset: str = _field(
        "phantom",
        "Where the images come from: a MedMNIST set by name (octmnist, pathmnist, ...), 'npz:FILE' (MedMNIST's file "
        "format), 'folder:DIR' (one sub-folder a class, below train, val and test or not), 'table:FILE' (CSV, TSV, "
        "Excel or Parquet with a line an image), or 'phantom' (generated, synthetic).",
        "Data",
    )
    data_dir: str | None = _field(
        None, "Folder of the MedMNIST sets' files; empty: where the medmnist package keeps them, ~/.medmnist.", "Data"
    )
    class_names: list[str] | None = _field(
        None, "Names of the classes in label order, where the file has none (CNV,DME,DRUSEN,NORMAL).", "Data"
    )
    layout: Literal["auto", "classes", "class-number"] = _field(
        "auto",
        "How a folder is arranged: found out ('auto'), every sub-folder is a class whatever its name ('classes'), or "
        "folders such as AMD1 ... AMD15 are the patients of a class ('class-number').",
        "Data",
    )
    columns: str | None = _field(
        None,
        "Which columns of a table hold what, as path=image,label=disease,split=set,patient=id,eye=side; usual names "
        "are recognised without it.",
        "Data",
    )
    patient_pattern: str | None = _field(
        None,
        "Regular expression with a group named 'patient', searched in each file name, or, with a / in it or where no "
        "name has it, in the path below the folder; Kermany's CLASS-PATIENT-N, CLASS/PATIENT/N and a table's patients "
        "are recognised without it.",
        "Data",
    )
    ignore_splits: bool = _field(
        False, "Pool the train, val and test that a folder or table brings, and split all its images anew.", "Data"
    )
    split_seed: int = _field(
        0, "Seed of the random split of a folder or table, as far as it brings none of its own.", "Data", ge=0
    )
    data_roots: list[str] | None = _field(
        None,
        "Folders, beside the chosen one, into which links and table entries may lead (such as a cache of DVC or "
        "Hugging Face).",
        "Data",
    )
    train_set: Literal["complete", "balanced"] = _field(
        "complete",
        "'complete' trains on the whole training split; 'balanced' on the first n images of each class (paper).",
        "Data",
    )
    per_class: int | None = _field(
        None, "n of the balanced set; empty: as many as the smallest class has (paper: 7,754).", "Data", ge=1
    )
    cut: str | None = _field(
        None,
        "Train on the images of a cut: its name (colora distil makes one) or its .json FILE. The group keeps a copy.",
        "Data",
    )
    folds: int | None = _field(
        None,
        "Cross-fitting: so many parts of the training images, by patient where patients are known, one of which each "
        "seed leaves out, so that wrong labels can be told; empty: every seed trains on all of them.",
        "Data",
        ge=2,
        le=20,
    )
    image_size: int = _field(224, "Side of the square image the network sees, in pixels.", "Data", ge=16, le=1024)
    augment: Literal["none", "flip", "flip+shift"] = _field(
        "none",
        "'flip' mirrors half of the training images left to right (right and left eye); '+shift' also moves each by "
        "up to 1/16 of its side.",
        "Data",
    )

    backbone: str = _field(
        "vgg16", "Pretrained network; a cut as in 'resnet18:layer3' puts the head after that block.", "Model"
    )
    weights: str = _field(
        "imagenet",
        "'imagenet' (torchvision's own), 'shipped' (texturenet's), a .safetensors or .pth FILE, or 'none' (random).",
        "Model",
        validate_default=True,  # against the backbone
    )
    partial_weights: bool = _field(
        False, "Accept a weights file that lacks some layers; the run then lists what stayed random.", "Model"
    )
    method: Literal["colora", "head", "full"] = _field("colora", "What is trained.", "Model")

    order: Literal["inception", "separable"] = _field(
        "inception",
        "CoLoRA's factor order: 'inception' is pointwise first (eq. 14-19), 'separable' depthwise first (eq. 9).",
        "CoLoRA",
    )
    rank: int = _field(1, "Number of depthwise-separable terms in each update (paper: 1).", "CoLoRA", ge=1, le=64)
    pointwise_rank: int | None = _field(
        None,
        "Rank p of the pointwise factor, a product B A of p (Cout + Cin) weights; empty: a whole one (paper), which in "
        "1x1 convolutions is as large as the kernel. 8 trains a few per cent of the weights.",
        "CoLoRA",
        ge=1,
        le=512,
    )
    layers: Literal["auto", "conv", "conv+linear"] = _field(
        "auto",
        "Layers to adapt: convolutions alone ('conv', paper), linear ones too ('conv+linear'), or these too where most "
        "of the network's weights lie in them ('auto').",
        "CoLoRA",
    )
    bias: Literal["auto", "all", "none"] = _field(
        "auto", "Bias updates: where the layer has a bias ('auto'), on every layer ('all'), or on none.", "CoLoRA"
    )
    targets: str = _field(
        "all",
        "Which layers: 'all', 'spatial' (convolutions larger than 1x1), or names and globs with commas, each of which "
        "also matches the end of a longer name.",
        "CoLoRA",
    )
    merge_every: int = _field(1, "Merge the update into the kernel after so many epochs or steps.", "CoLoRA", ge=1)
    merge_unit: Literal["epochs", "steps"] = _field("epochs", "Unit of merge_every (paper: epochs).", "CoLoRA")
    optimizer_at_merge: Literal["reset", "keep"] = _field(
        "reset", "What a merge does to Adam's moments of the adapters it starts anew.", "CoLoRA"
    )

    epochs: int = _field(20, "Passes over the training images (paper: 20).", "Training", ge=1, le=10_000)
    batch_size: int = _field(32, "Training images per step.", "Training", ge=1, le=65_536)
    lr: float = _field(1e-3, "Adam's learning rate (paper: the default, 0.001).", "Training", gt=0, le=10)
    lr_head: float | None = _field(
        None, "Learning rate of the head; empty: the same as lr (paper).", "Training", gt=0, le=10
    )
    schedule: Literal["constant", "cosine"] = _field(
        "constant", "'constant' keeps the learning rate (paper); 'cosine' lowers it to 0 over the run.", "Training"
    )
    eps: float = _field(1e-8, "Adam's epsilon (torch 1e-8; Keras 1e-7).", "Training", gt=0, le=1)
    batch_norm: Literal["eval", "train"] = _field(
        "eval", "Batch norm uses the pretrained statistics ('eval') or each batch's own ('train').", "Training"
    )
    train_figures: Literal["full", "pass"] = _field(
        "full",
        "Loss, accuracy and AUC on the training images after each epoch: 'full' evaluates the merged model on all of "
        "them, 'pass' takes the predictions of the training pass itself, which costs nothing.",
        "Training",
    )
    selection: Literal["validation", "paper"] = _field(
        "validation",
        "Which epoch counts: best on validation, or the paper's rule, best TEST accuracy over all seeds and epochs "
        "(optimistic: the test images choose).",
        "Training",
    )

    device: Literal["auto", "cuda", "mps", "cpu"] = _field("auto", "Where to compute.", "Machine")
    precision: Literal["auto", "fp32", "bf16"] = _field(
        "auto", "'auto' is bf16 autocast on a GPU that has it, else fp32; weights stay fp32.", "Machine"
    )
    threads: int | None = _field(
        None, "CPU threads; empty: as many as torch takes. Fixed when a run starts.", "Machine", ge=1, le=1024
    )

    @field_validator("*", mode="before")
    @classmethod
    def _as_people_type(cls, value: Any, info: ValidationInfo) -> Any:
        """A number may have a decimal comma; a list may be one text with commas; a text can be written to a file and
        stand in a command."""
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and "\0" in text:
                raise ValueError("it holds a NUL character: type it anew")
            if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise ValueError("it holds bytes that are no text: give the file or folder a name in UTF-8")
        annotation = cls.model_fields[info.field_name].annotation
        if not isinstance(value, str):
            return value
        kinds = {typing.get_origin(kind) or kind for kind in (annotation, *typing.get_args(annotation))}
        if list in kinds:
            return [bare(part) for part in value.split(",")]
        if {int, float} & kinds:
            if type(None) in kinds and bare(value).lower() == "none":
                return None
            with suppress(ValueError):  # pydantic says what is wrong
                return value if "," not in value and " " not in bare(value) else typed_number(value)
        return value

    @field_validator("dataset")
    @classmethod
    def _known_source(cls, value: str) -> str:
        kind, colon, place = bare(value).partition(":")
        if kind in WITH_PATH:
            place = _cleaned(place)
        value = f"{kind}{colon}{place}"
        if kind not in SOURCES:
            _check_medmnist_name(kind)
        if kind in WITH_PATH and not place:
            raise ValueError(f"'{kind}:' needs a path after the colon")
        if kind not in WITH_PATH and ":" in value:
            raise ValueError(f"'{kind}' takes nothing after it")
        return value

    @field_validator("data_dir")
    @classmethod
    def _clean(cls, value: str | None) -> str | None:
        return value and _cleaned(value)

    @field_validator("data_roots")
    @classmethod
    def _clean_roots(cls, value: list[str] | None) -> list[str] | None:
        return [_cleaned(root) for root in value if root.strip()] or None if value else None

    @field_validator("cut")
    @classmethod
    def _names_its_images_itself(cls, value: str | None, info: ValidationInfo) -> str | None:
        value = value and _cleaned(value)
        if value is not None and info.data.get("train_set", "complete") != "complete":
            raise ValueError("it names the training images itself: choose train_set 'complete' with it")
        return value

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, value: str) -> str:
        try:
            split_backbone(value)
        except UserError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("weights")
    @classmethod
    def _of_this_backbone(cls, value: str, info: ValidationInfo) -> str:
        value = _cleaned(value)
        if value in ("imagenet", "shipped") and "backbone" in info.data:
            name, _ = split_backbone(info.data["backbone"])
            if value != (wanted := BACKBONES[name].pretrained):
                raise ValueError(f"there are no '{value}' weights of {name}: choose '{wanted}', a file, or 'none'")
        return value

    @field_validator("class_names")
    @classmethod
    def _distinct_names(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and (len(value) < 2 or len(set(value)) != len(value) or not all(n.strip() for n in value)):
            raise ValueError("needs at least two different names, separated by commas")
        return value

    @model_validator(mode="after")
    def _per_class_goes_with_balanced(self) -> "RunConfig":
        if self.per_class is not None and self.train_set != "balanced":
            raise ValueError("per_class is the n of the balanced set: choose train_set 'balanced' with it")
        return self

    def changes(self) -> dict[str, Any]:
        """The fields that differ from the defaults, in their declared order."""
        return self.model_dump(exclude_defaults=True)


def _cleaned(path: str) -> str:
    """`clean_path`, with pydantic's kind of error."""
    try:
        return clean_path(path)
    except UserError as error:
        raise ValueError(str(error)) from error


def _check_medmnist_name(name: str) -> None:
    """ValueError for what is no data source, or a MedMNIST set that cannot be trained on."""
    try:
        if not known(name):
            raise ValueError(f"there is no data source '{name}': {nearest(name, (*SOURCES, *names()))}")
        info(name)
    except UserError as error:
        raise ValueError(str(error)) from error


def make_config(values: dict[str, Any]) -> RunConfig:
    """RunConfig from plain values. Raises UserError with one sentence that names the first wrong field."""
    problems = config_problems(values)
    if problems:
        field, message = next(iter(problems.items()))
        raise UserError(message, field=field)
    return RunConfig(**values)


def config_problems(values: dict[str, Any]) -> dict[str, str]:
    """What is wrong, as {field: sentence}; empty if nothing is. The form marks each field with its own sentence."""
    try:
        RunConfig(**values)
    except ValidationError as error:
        return {str(e["loc"][0]) if e["loc"] else "per_class": _sentence(e) for e in error.errors()}
    return {}


def _sentence(error: Any) -> str:
    field = str(error["loc"][0]) if error["loc"] else "per_class"
    if error["type"] == "extra_forbidden":
        return f"There is no setting '{field}': {nearest(field, RunConfig.model_fields)}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        if not message.startswith(("There is no", field)):
            message = f"{field}: {message}"
        return message if message[-1] in ".?" else message + "."
    return f"{field}: {message[0].lower()}{message[1:]}, but got {error['input']!r}."


def absolute_paths(config: RunConfig) -> RunConfig:
    """The same config with `~` and relative paths resolved, since a run's process may start elsewhere."""
    kind, _, place = config.dataset.partition(":")
    dataset = f"{kind}:{_absolute(place)}" if place else kind
    weights = config.weights if config.weights in KNOWN_WEIGHTS else _absolute(config.weights)
    data_dir = _absolute(config.data_dir) if config.data_dir else None
    cut = _absolute(config.cut) if config.cut and names_file(config.cut) else config.cut
    roots = [_absolute(root) for root in config.data_roots] if config.data_roots else None
    found = {"dataset": dataset, "weights": weights, "data_dir": data_dir, "cut": cut, "data_roots": roots}
    return config.model_copy(update=found)


def names_file(cut: str) -> bool:
    """Whether the setting `cut` is a path and not a name."""
    return "/" in cut or os.sep in cut or cut.endswith(".json")


def _absolute(path: str) -> str:
    return str(typed_path(path).absolute())


def launch_arguments(name: str, config: RunConfig, seeds: list[int]) -> list[str]:
    """The arguments after `python -m colora` that launch exactly this group: defaults are left out."""
    return ["launch", "--name", name, "--seeds", format_seeds(seeds), *setting_flags(config.changes())]


def setting_flags(values: dict[str, Any]) -> list[str]:
    """Flags of the command line for these settings, none of which is None."""
    arguments = []
    for field, value in values.items():
        flag = "--" + field.replace("_", "-")
        text = ",".join(value) if isinstance(value, list) else _plain(value)
        if value is True:
            arguments.append(flag)
        elif text.startswith("-"):  # which argparse would take for another flag
            arguments.append(f"{flag}={text}")
        else:
            arguments += [flag, text]
    return arguments


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, float) else str(value)
