"""What can be trained on and started from: MedMNIST's sets and ImageNet weights, and getting them here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from colora.data.counts import NOTES, phantom_counts
from colora.data.medmnist import SHARED_PATIENTS, SPLIT_RULE
from colora.data.samples import Samples
from colora.networks.weights import IMAGENET, checkpoints_folder
from colora.runs import access
from colora.settings.catalog import BACKBONES
from colora.settings.config import make_config
from colora.settings.medmnist_info import SIZES, default_folder, info, names
from colora.system.errors import UserError
from colora.system.storage import size_text
from colora.system.typed import clean_path
from pages.components import address, show
from pages.components.data import counts, downloads
from pages.components.frame import inside_app, one_of

PHANTOM, FOLDER, NPZ = "phantom", "folder", "npz"
SETS = (*sorted(names(), key=lambda name: name != "octmnist"), PHANTOM, FOLDER, NPZ)
TITLES = {name: info(name).title for name in names()} | {
    PHANTOM: "Generated images (SYNTHETIC)",
    FOLDER: "A folder of your own",
    NPZ: "A file of your own (.npz)",
}


def choose() -> tuple[str, str | None]:
    """The set, and the folder of its files where it is not the usual one, or one's own folder or file of images."""
    grid = st.grid(2, min_column_width=240)
    with grid.cell():
        name = st.selectbox(
            "Set",
            SETS,
            format_func=TITLES.get,
            key=address.one("set", SETS, TITLES.get),
            help="MedMNIST's sets of small images with one label each, generated images, or your own. Type to search.",
        )
    with grid.cell():
        if name == FOLDER:
            own = st.text_input(
                "Folder of images",
                key=address.text("images"),
                placeholder="/path/to/folder",
                help="On the computer that runs this app, with one sub-folder of images for each class.",
            )
            return name, clean_path(own) or None
        if name == NPZ:
            own = st.text_input(
                "File of images",
                key=address.text("file"),
                placeholder="/path/to/file.npz",
                help="On the computer that runs this app, in MedMNIST's format: images and labels of train, val and "
                "test.",
            )
            return name, clean_path(own) or None
        folder = st.text_input(
            "Folder of MedMNIST's files",
            key=address.text("folder"),
            placeholder=str(default_folder()),
            help="On the computer that runs this app; empty: where the medmnist package keeps them. "
            "A launch asks for the same folder.",
            disabled=name == PHANTOM,
        )
    return name, clean_path(folder) or None


def about(name: str) -> None:
    """What the set is, in three lines."""
    facts = info(name)
    source = facts.urls[SIZES[0]].partition("/files/")[0]
    images = " + ".join(f"{n:,}" for n in facts.images.values())
    st.markdown(show.literal(facts.about))
    colour = "colour, converted to grey" if facts.colour else "grey"
    st.caption(
        f"{len(facts.class_names)} classes · {images} images (train + validation + test), the same at every size · "
        f"{colour} · licence {show.literal(facts.licence)} · source [MedMNIST]({source})"
    )
    pairs = zip(facts.class_names, facts.long_names, strict=True)
    spelt = [show.literal(f"{short}: {long}") for short, long in pairs if short.lower() != long.lower()]
    caption(" · ".join(spelt))


def caption(text: str) -> None:
    """A caption, or its empty place: what follows keeps its own, so that nothing of another set stays behind."""
    st.caption(text) if text else st.empty()


def image_set(name: str, folder: str | None, shown: downloads.Shown) -> None:
    """The set's files at each size, its classes, and the way around the network."""
    about(name)
    targets = {size: downloads.set_target(name, size, folder) for size in SIZES}
    place = access.named_place(folder) if folder else default_folder()
    grid = st.grid(2, min_column_width=300)
    for size, target in targets.items():
        with grid.cell():
            downloads.card(target, f"{size} px", shown)
    st.caption(
        "A launch takes the files of its image size, or of the next larger one; the paper's is 224 px. A set is "
        f"unpacked once, and its .npz file may be deleted then. The disk of {show.literal(place)} has "
        f"{downloads.free_room(place)} free."
    )
    with st.expander("This computer has no network", icon=":material/usb:", key="offline-set"):
        size = st.selectbox("Size", SIZES, index=len(SIZES) - 1, format_func="{} px".format, key="offline-size")
        downloads.by_hand(targets[size])
    st.subheader(f"Classes of {TITLES[name]}")
    if found := counts.of_set(name, folder):
        counts.show_counts(found, TITLES[name], NOTES.get(name, ""))
    else:
        st.info("Images of each class are counted as soon as the set is on this computer.", icon=":material/info:")
    caption(f":material/warning: {SHARED_PATIENTS[name]}" if name in SHARED_PATIENTS else "")
    samples = counts.samples_of_set(name, folder)
    caption("" if samples else f"{SPLIT_RULE}.")
    counts.show_samples(samples, TITLES[name])


def generated() -> None:
    """The synthetic images, which need no download."""
    show.synthetic_badge()
    st.markdown(
        "Images drawn by the app, like optical coherence tomography (OCT) of four classes. They need no download, show "
        "the whole job, and **mean nothing for patients**."
    )
    counts.show_counts(phantom_counts(), "SYNTHETIC images")
    counts.show_samples(counts.samples_of_phantom(), "SYNTHETIC images")


def own_folder(root: str | None) -> None:
    """Images of each class in a folder, its patients, and some images."""
    if root is None:
        st.info("Name a folder with one sub-folder of images a class; nothing of it leaves this computer.")
        return
    config = make_config({"dataset": f"folder:{root}"})
    found = counts.of_source(config)
    if found is None:
        st.info("This folder holds too many files to count them while you wait; training counts them.")
        return
    counts.show_counts(found, Path(root).name)
    own_samples(counts.samples_of_own(config), root, "A folder of images")


def own_file(path: str | None) -> None:
    """Images of each class in each split of a file, its patients, and some images."""
    if path is None:
        st.info("Name a file in MedMNIST's format; nothing of it leaves this computer.")
        return
    config = make_config({"dataset": f"npz:{path}"})
    found = counts.of_source(config)
    assert found is not None  # only a folder may be too large to count
    counts.show_counts(found, Path(path).name)
    own_samples(counts.samples_of_own(config), path, "A MedMNIST file (.npz)")


def own_samples(samples: Samples, place: str, source: str) -> None:
    """Some of one's own images, what they take on the disk, and the way to train on them as this `source`."""
    counts.show_samples(samples, Path(place).name)
    st.caption(f"{size_text(samples.size)} in {show.literal(place)}.")
    st.page_link("pages/launch.py", label=f"Launch: train on it as *{source}*", icon=":material/play_arrow:")


def weights(shown: downloads.Shown) -> None:
    """ImageNet's pretrained weights, a file a backbone."""
    st.subheader("ImageNet weights")
    st.caption(
        "What a network has learnt from a million photographs; fine-tuning starts there. The files are torchvision's "
        f"own, and what torchvision has downloaded is used. TextureNet is shipped with the app. The disk of "
        f"{show.literal(checkpoints_folder())} has {downloads.free_room(checkpoints_folder())} free."
    )
    grid = st.grid(2, min_column_width=300)
    for name in IMAGENET:
        with grid.cell():
            downloads.card(downloads.weights_target(name), BACKBONES[name].title, shown)
    with st.expander("This computer has no network", icon=":material/usb:", key="offline-weights"):
        title = {name: BACKBONES[name].title for name in IMAGENET}
        name = st.selectbox("Backbone", title, format_func=title.get, key="offline-backbone")
        downloads.by_hand(downloads.weights_target(name))


@contextmanager
def sentences() -> Iterator[None]:
    """What cannot be read is said in its place, and the rest of the page is shown."""
    try:
        yield
    except UserError as error:
        show.say(error)
    except OSError as error:
        show.say(f"{error.filename} cannot be read: {error.strerror}.")


inside_app()
st.header("Data")
shown = downloads.Shown()
others = st.container()
st.subheader("Image sets")
with sentences():
    name, folder = choose()
    if folder:
        access.check_looking("name", folder)
    with one_of(4, {PHANTOM: 1, FOLDER: 2, NPZ: 3}.get(name, 0)):
        if name == PHANTOM:
            generated()
        elif name == FOLDER:
            own_folder(folder)
        elif name == NPZ:
            own_file(folder)
        else:
            image_set(name, folder, shown)
show.picture_format()
with sentences():
    weights(shown)
with others, sentences():
    downloads.elsewhere(shown)
shown.follow()
