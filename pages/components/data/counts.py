"""Images of each class, as the pages show them: counted once for each state of the files."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora import plots
from colora.data.counts import ClassCounts, found_counts, medmnist_counts, phantom_counts
from colora.data.cuts import Cut
from colora.data.medmnist import on_disk
from colora.data.samples import Samples, file_samples, medmnist_samples, npz_samples, phantom_samples
from colora.results.resolving import MEANS, tells_apart
from colora.runs.access import named_place
from colora.settings.config import DATA_FIELDS, RunConfig, config_problems, make_config
from colora.settings.medmnist_info import SIZES, known, stored_size
from colora.system.errors import UserError
from pages.components import show
from pages.components.data import look
from pages.components.data.look import FOLDER_SECONDS
from pages.components.runs import place_stamps

STRIP_WIDTH, GAP = 340, 8  # pixels
SAYS = (
    "How much of each split a class makes up. A model trained on unequal classes comes to prefer the frequent ones; "
    "the balanced training set takes equally many of each."
)


def of_source(config: RunConfig) -> ClassCounts | None:
    """Of a config's data, kept until the files change; None where that is not known quickly, or not yet. Raises
    UserError for bad input."""
    kind, _, place = config.dataset.partition(":")
    if known(kind):
        return of_set(kind, config.data_dir, stored_size(config.image_size))
    if not place:
        return phantom_counts()
    found = look.at(config).found
    return found and found_counts(found, config)


def counted_classes(values: dict[str, Any]) -> ClassCounts | None:
    """The same of a form's values; None too where something is wrong with the data, which is said elsewhere."""
    data = {field: values[field] for field in DATA_FIELDS}
    try:
        return None if config_problems(data) else of_source(make_config(data))
    except UserError:
        return None


def of_set(name: str, data_dir: str | None, size: int | None = None) -> ClassCounts | None:
    """`counts.medmnist_counts`, kept until the files change."""
    found = [on_disk(name, stored, data_dir) for stored in ((size,) if size else SIZES)]
    stamps = [place_stamps(path) for on in found for path in (on.npz, on.folder / "set.json")]
    return _of_set(name, size, data_dir, stamps)


@st.cache_data(show_spinner=False, max_entries=64)
def _of_set(name: str, size: int | None, data_dir: str | None, stamps: Any) -> ClassCounts | None:
    return medmnist_counts(name, size, data_dir)


def show_training(counts: ClassCounts, train_set: str, per_class: int | None, folds: int | None) -> None:
    """How many images a launch trains on, and where the figures come from."""
    st.markdown("**Training images**")
    used = counts.used(train_set, per_class)
    each = f"{used[0]:,} of each class" if len(set(used)) == 1 else _listed(counts.class_names, used)
    line = f"Trains on {sum(used):,} images: {each} ({train_set})."
    line += f" Each seed leaves out one of {folds} parts of them." if folds else ""
    st.caption(f"{show.literal(line)}  \n{show.literal(counts.source)}")


def show_cut(cut: Cut) -> None:
    """The same of a launch on a cut."""
    used = cut.counts["kept"]
    each = f"{used[0]:,} of each class" if len(set(used)) == 1 else _listed(tuple(cut.class_names), tuple(used))
    st.markdown("**Training images**")
    st.caption(
        f"Trains on {sum(used):,} images: {show.literal(each)}, of the cut {show.literal(cut.name)} "
        f"({cut.short_hash}).  \nMade from " + show.literal(f"{cut.made_from} on {cut.data_source}: {cut.rule.says()}.")
    )


def show_resolved(counts: ClassCounts) -> None:
    """What the test images of a launch will tell apart; nothing where there is none."""
    if images := counts.total("test"):
        st.caption(f"{tells_apart(images)}.", help=MEANS)


def _listed(names: tuple[str, ...], counts: tuple[int, ...]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in zip(names, counts, strict=True))


def show_counts(counts: ClassCounts, title: str, note: str = "", renamed: dict[str, str] | None = None) -> None:
    """A chart of the classes' shares and the table of their counts, with where these come from and a remark. `renamed`:
    {the name there: the class's}."""
    balanced = counts.used("balanced")
    table = pd.DataFrame({"Class": counts.class_names})
    for split in plots.SPLIT_NAMES:
        table[plots.SPLIT_NAMES[split]] = counts.counts[split]
    table["Balanced training set"] = balanced
    totals = table.drop(columns="Class").sum()
    there = {"Called there": [*(renamed or {}), ""]} if renamed else {}
    grid = st.grid(2, min_column_width=300)
    with grid.cell():
        show.show_figure(
            plots.class_shares(counts.counts, counts.class_names),
            "Share of each class",
            SAYS,
            f"Share of each class in the train, validation and test images of {title}",
            table,
            f"{title}-class-counts",
            counts.source,
        )
    with grid.cell():
        st.markdown("**Images of each class**")
        source = show.literal(counts.source)
        st.caption(f"{source}  \n{note}" if note else source)
        shown = pd.concat([table, pd.DataFrame([{"Class": "All", **totals}])], ignore_index=True)
        shown = shown.set_index("Class").map("{:,}".format).assign(**there)
        show.table(shown, alt=f"Images of each class in {title}")
        n = min(k for k in counts.counts["train"] if k)
        st.caption(
            f"**Complete** training set: all {counts.total('train'):,} training images. **Balanced**: the first {n:,} "
            f"of each class, as many as the smallest has, {sum(balanced):,} images."
        )


def samples_of_set(name: str, data_dir: str | None) -> Samples | None:
    """`samples.medmnist_samples`, read anew only when the files change."""
    stamps = [place_stamps(on_disk(name, size, data_dir).folder / "set.json") for size in SIZES]
    return _samples_of_set(name, data_dir, stamps)


@st.cache_data(show_spinner=False, max_entries=16)
def _samples_of_set(name: str, data_dir: str | None, stamps: Any) -> Samples | None:
    return medmnist_samples(name, data_dir)


@st.cache_data(show_spinner=False)
def samples_of_phantom() -> Samples:
    return phantom_samples()


def samples_of_own(config: RunConfig) -> Samples:
    """Of a folder, table or file. Raises UserError as `file_samples` and `npz_samples` do."""
    path = named_place(config.dataset.partition(":")[2])
    return _samples_of_own(config, config.model_dump_json(include=set(DATA_FIELDS)), path, place_stamps(path))


@st.cache_data(show_spinner="Reading the images …", max_entries=8, ttl=FOLDER_SECONDS)
def _samples_of_own(_config: RunConfig, key: str, path: Path, stamps: Any) -> Samples:
    return npz_samples(path) if _config.dataset.startswith("npz:") else file_samples(_config)


def show_samples(samples: Samples | None, title: str) -> None:
    """A strip of images a class, as the paper's figure 6, and what is known of the patients."""
    if samples is None:
        st.empty(), st.empty(), st.empty()  # each element keeps its place while a download is followed
        return
    st.markdown("**Samples of each class**")
    st.caption(show.literal(f"{samples.which} {samples.patients}"))
    shown = {name: images for name, images in zip(samples.class_names, samples.images, strict=True) if images}
    alts = [f"{len(images)} images of class {name} of {title}" for name, images in shown.items()]
    names = [show.literal(name) for name in shown]
    st.image([_strip(images) for images in shown.values()], caption=names, width=STRIP_WIDTH, alt=alts)


def _strip(images: list[np.ndarray]) -> np.ndarray:
    """(H, W, 4) uint8: the images side by side, each with a transparent gap behind it."""
    parts = []
    for image in images:
        opaque = np.full_like(image, 255)
        parts.append(np.pad(np.dstack([image, image, image, opaque]), ((0, 0), (0, GAP), (0, 0))))
    return np.hstack(parts)
