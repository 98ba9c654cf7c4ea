"""The Launch form's widgets: a field's annotation gives the kind of widget, its description the help."""

import typing
from collections.abc import Callable, Iterable
from typing import Any, Literal

import streamlit as st

from colora.settings import glossary
from colora.settings.catalog import BACKBONES, METHODS
from colora.settings.medmnist_info import info, known, names
from colora.settings.vary import optional
from pages.components.launch import several, weights_asked
from pages.components.launch.form import COMMAS, FIELDS, HERE, chosen, key, kind, read, separators
from pages.components.picker.dialog import browse
from pages.components.show import mark

BASIC = (  # what nearly everyone sets, in the order of the form
    "dataset",
    "image_size",
    "train_set",
    "per_class",
    "backbone",
    "weights",
    "method",
    "epochs",
    "batch_size",
    "lr",
    "lr_head",
)
LABELS = {
    "dataset": "Images",
    "per_class": "Images per class",
    "train_set": "Training set",
    "folds": "Folds (cross-fitting)",
    "split_seed": "Seed of the split",
    "layout": "Arrangement of the folder",
    "data_dir": "Folder of MedMNIST's files",
    "lr": "Learning rate",
    "lr_head": "Learning rate of the head",
    "train_figures": "Training figures",
    "schedule": "Learning rate over time",
    "eps": "Adam's epsilon",
    "order": "Factor order",
    "bias": "Bias updates",
    "pointwise_rank": "Rank of the pointwise factor",
    "layers": "Kinds of layers",
    "targets": "Layers to adapt",
    "optimizer_at_merge": "Optimizer at a merge",
    "selection": "Selected epoch",
    "threads": "CPU threads",
}
SOURCE_TITLES = {
    "phantom": "Generated images (synthetic)",
    "folder": "A folder of images",
    "table": "A table of images (CSV, Excel ...)",
    "npz": "A MedMNIST file (.npz)",
} | {name: f"{info(name).title} (MedMNIST)" for name in sorted(names(), key=lambda name: name != "octmnist")}
SOURCE_PATHS = {
    "folder": (
        "Folder",
        f"A folder {HERE}, with one sub-folder of images for each class.",
    ),
    "table": (
        "Table",
        f"A file {HERE}: CSV, TSV, Excel or Parquet with a line an image, its path and its class.",
    ),
    "npz": (
        "File",
        f"A file {HERE}, in MedMNIST's format, such as octmnist_224.npz.",
    ),
}
WEIGHT_TITLES = {
    "imagenet": "ImageNet (pretrained)",
    "shipped": "Shipped with the app (TextureNet only)",
    "file": "A weights file",
    "none": "None (random start)",
}
OPTION_TITLES: dict[str, dict[str, str]] = {
    "method": {name: text.partition(":")[0] for name, text in METHODS.items()},
    "selection": {"validation": "best on validation", "paper": "the paper's rule: best on TEST (optimistic)"},
    "schedule": {"constant": "constant", "cosine": "falls to 0 (cosine)"},
    "train_figures": {"full": "from the model after the epoch", "pass": "from the training pass (faster)"},
    "augment": {"none": "none", "flip": "mirrored", "flip+shift": "mirrored and moved"},
    "layout": {
        "auto": "found out",
        "classes": "every sub-folder is a class",
        "class-number": "patients of a class: AMD1, AMD2, ...",
    },
    "layers": {
        "auto": "as the network is made",
        "conv": "convolutions alone",
        "conv+linear": "convolutions and linear layers",
    },
    "train_set": {"complete": "complete", "balanced": "balanced: as many of each class"},
}


EMPTY = {"pointwise_rank": "a whole factor", "folds": "none"}  # what an empty number means, where it is not found out


def kinds_of_layers(backbone: str) -> str:
    """Which layers of a network the CoLoRA settings are about, where the setting `layers` does not ask."""
    name = backbone.partition(":")[0]
    about = BACKBONES.get(name)
    if about is None:
        return ""
    if about.linear:
        return f"{about.title} has linear layers too: they are adapted where most of its weights lie in them."
    return f"{about.title}: convolutions alone are adapted. It has no linear layers but the head's, which trains whole."


def set_title(dataset: str) -> str:
    """A MedMNIST set's title, which names it in the Data page's address."""
    return info(dataset).title if known(dataset) else ""


def label(field: str) -> str:
    return LABELS.get(field, field.replace("_", " ").capitalize())


def draw(fields: Iterable[str], found: dict[str, str], below: dict[str, Callable[[str], None]]) -> None:
    """The widgets of `fields` in a grid, a cell for each part of a field, its problem under the last.

    `below` names fields whose problem is shown in another way than by `mark`.
    """
    grid = st.grid(2, min_column_width=240)
    for field in fields:
        usual = [part for part in PARTS.get(field, (_generic,)) if _shown(part)]
        parts = [_several] if field in chosen() else usual
        for part in parts:
            with grid.cell():
                part(field)
                if part is parts[-1]:
                    below.get(field, mark)(found.get(field))


def _shown(part: Any) -> bool:
    """Whether the choice beside a path asks for one."""
    if part is _dataset_path:
        return st.session_state[key("dataset")] in SOURCE_PATHS
    return part is not _weights_path or st.session_state[key("weights")] == "file"


def _generic(field: str) -> None:
    widget(field, key(field), persist_state="session")


def widget(field: str, place: str, placeholder: str | None = None, persist_state: str | None = None) -> None:
    """The widget that a field's annotation asks for, whose value the session keeps under `place`; `placeholder` stands
    in an empty one for a whole number.

    Numbers have no bounds here: the browser would drop what lies outside without a word; the config says why. Those
    with a fraction are typed as text, since a browser's field for numbers drops the comma of "0,01" and makes it 1.
    """
    plain, about = kind(field), FIELDS[field]
    common = {"label": label(field), "key": place, "help": explained(field), "persist_state": persist_state}
    if field in COMMAS:
        common["help"] += f" Several values with {separators(field)} make one group each."
        st.text_input(**common)
    elif plain is Literal:
        titles = OPTION_TITLES.get(field, {})
        options = typing.get_args(about.annotation)
        st.selectbox(options=options, format_func=lambda o: titles.get(o, o), filter_mode=None, **common)
    elif plain is bool:
        st.checkbox(**common)
    elif plain is int:
        empty = placeholder or EMPTY.get(field) or ("automatic" if optional(field) else None)
        st.number_input(value=None, step=1, format="%d", placeholder=empty, **common)
    elif plain is float:
        st.text_input(placeholder="as the learning rate" if optional(field) else None, **common)
    else:
        st.text_input(placeholder="none" if optional(field) else None, **common)


def launch_name(label: str, says: str, found: dict[str, str]) -> None:
    """The field of what the launch is called, on either form."""
    about = f"{says}\n\n{glossary.explains('group')}"
    st.text_input(label, key="launch-name", help=about, persist_state="session")
    mark(found.get("name"))


def explained(field: str, says: str = "") -> str:
    """A field's tooltip: what it sets, and the word that it is about."""
    return "\n\n".join(filter(None, (says or FIELDS[field].description, glossary.of_setting(field))))


def _several(field: str) -> None:
    several.draw(field, label(field), title_of(field))


def title_of(field: str) -> Callable[[Any], str]:
    """How a field's choices are written."""
    backbones = {name: about.title for name, about in BACKBONES.items()}
    named = {"dataset": SOURCE_TITLES, "weights": WEIGHT_TITLES, "backbone": backbones} | OPTION_TITLES
    titles = {True: "yes", False: "no"} | named.get(field, {})
    return lambda option: titles.get(option, str(option))


def _dataset(field: str) -> None:
    st.selectbox(
        label(field),
        list(SOURCE_TITLES),
        format_func=SOURCE_TITLES.get,
        key=key(field),
        filter_mode=None,
        persist_state="session",
        help="Where the images come from. Nothing leaves the computer that runs this app.",
    )


def _dataset_path(field: str) -> None:
    name, about = SOURCE_PATHS[st.session_state[key(field)]]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(name, key=key("dataset.path"), help=about, persist_state="session")
        browse(st.session_state[key(field)], key("dataset.path"))


def _backbone(field: str) -> None:
    st.selectbox(
        "Backbone",
        list(BACKBONES),
        format_func=lambda name: BACKBONES[name].title,
        key=key(field),
        persist_state="session",
        help=explained(field, "The pretrained network."),
        on_change=_follow_backbone,
        args=(st.session_state[key(field)],),
    )


def _follow_backbone(before: str) -> None:
    """Another backbone brings its own pretrained weights, unless a file or a random start was asked for; one of another
    kind has no block of the name to cut after."""
    now = BACKBONES[st.session_state[key("backbone")]]
    if st.session_state[key("weights")] in ("imagenet", "shipped"):
        st.session_state[key("weights")] = now.pretrained
    if now.kind != BACKBONES[before].kind:
        st.session_state[key("backbone.cut")] = ""


def _backbone_cut(field: str) -> None:
    st.text_input(
        "Cut after block",
        key=key("backbone.cut"),
        persist_state="session",
        placeholder="whole network",
        help="Optional: put the head after this block, as layer3 of a ResNet. A shorter network is faster.",
    )


def _weights(field: str) -> None:
    st.selectbox(
        "Weights to start from",
        list(WEIGHT_TITLES),
        format_func=WEIGHT_TITLES.get,
        key=key(field),
        filter_mode=None,
        persist_state="session",
        help=explained(field),
    )


def _weights_path(field: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = key("weights.path")
        st.text_input("Weights file", key=place, persist_state="session", placeholder="weights.safetensors")
        browse("weights", place)
    weights_asked.show_fits(read(), key)


PARTS = {
    "dataset": (_dataset, _dataset_path),
    "backbone": (_backbone, _backbone_cut),
    "weights": (_weights, _weights_path),
}
