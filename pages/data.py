"""What can be trained on and started from: MedMNIST's sets and ImageNet weights, and getting them here."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from colora.data.counts import NOTES, phantom_counts
from colora.data.medmnist import SHARED_PATIENTS, SPLIT_RULE
from colora.networks.weights import IMAGENET, checkpoints_folder
from colora.runs import access
from colora.settings.catalog import BACKBONES
from colora.settings.config import make_config
from colora.settings.medmnist_info import SIZES, default_folder, info, names
from colora.system.errors import UserError
from colora.system.typed import clean_path
from pages.components import address, show
from pages.components.data import brought_in, carried, counts, downloads, duplicates, look
from pages.components.frame import inside_app, one_of
from pages.components.own_images import own_images
from pages.components.picker.dialog import browse

COMPARED_SIDE = 64  # pixels, at which a public set is looked through for duplicates, where it is here at that size
SETS = (*sorted(names(), key=lambda name: name != "octmnist"), *carried.TITLES)
BRING_IN = "Bring in scans: a zip or a folder from your computer"
OWN_FIELDS = {
    "folder": (
        "Folder of images",
        "/path/to/folder",
        "On the computer that runs this app, with one sub-folder of images for each class.",
    ),
    "table": (
        "Table of images",
        "/path/to/labels.csv",
        "On the computer that runs this app: CSV, TSV, Excel or Parquet with a line an image, its path and its class.",
    ),
    "npz": (
        "File of images",
        "/path/to/file.npz",
        "On the computer that runs this app, in MedMNIST's format: images and labels of train, val and test.",
    ),
}


def choose() -> tuple[str, str | None]:
    """The set, and the folder of its files where it is not the usual one, or one's own folder or file of images."""
    grid = st.grid(2, min_column_width=240)
    with grid.cell():
        name = st.selectbox(
            "Set",
            SETS,
            format_func=carried.set_title,
            key=address.one("set", SETS, carried.set_title),
            help="MedMNIST's sets of small images with one label each, generated images, or your own. Type to search.",
        )
    with grid.cell():
        if name in OWN_FIELDS:
            label, example, about = OWN_FIELDS[name]
            brought_in.fill_field()
            with st.container(horizontal=True, vertical_alignment="bottom"):
                place = address.text(carried.PATHS[name])
                own = st.text_input(label, key=place, placeholder=example, help=about)
                browse(name, place)
            return name, clean_path(own) or None
        folder = st.text_input(
            "Folder of MedMNIST's files",
            key=address.text("folder"),
            placeholder=str(default_folder()),
            help="On the computer that runs this app; empty: where the medmnist package keeps them. "
            "A launch asks for the same folder.",
            disabled=name == carried.PHANTOM,
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
    title = info(name).title
    st.subheader(f"Classes of {show.literal(title)}")
    if found := counts.of_set(name, folder):
        counts.show_counts(found, title, NOTES.get(name, ""))
    else:
        st.info("Images of each class are counted as soon as the set is on this computer.", icon=":material/info:")
    caption(f":material/warning: {SHARED_PATIENTS[name]}" if name in SHARED_PATIENTS else "")
    samples = counts.samples_of_set(name, folder)
    caption("" if samples else f"{SPLIT_RULE}.")
    counts.show_samples(samples, title)
    if here := [side for side, target in targets.items() if target.state in ("ready", "downloaded")]:
        compared = next((side for side in here if side >= COMPARED_SIDE), here[-1])
        values = {"dataset": name, "image_size": compared} | ({"data_dir": folder} if folder else {})
        config = make_config(values)
        duplicates.show_duplicates(config, look.stamps_of(config), shown)


def generated() -> None:
    """The synthetic images, which need no download."""
    show.synthetic_badge()
    st.markdown(
        "Images drawn by the app, like optical coherence tomography (OCT) of four classes. They need no download, show "
        "the whole job, and **mean nothing for patients**."
    )
    counts.show_counts(phantom_counts(), "SYNTHETIC images")
    counts.show_samples(counts.samples_of_phantom(), "SYNTHETIC images")


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
    with one_of(2 + len(OWN_FIELDS), 1 + [carried.PHANTOM, *OWN_FIELDS].index(name) if name in carried.TITLES else 0):
        if name == carried.PHANTOM:
            generated()
        elif name in OWN_FIELDS:
            if name == "folder":
                unfolded = not folder or brought_in.was_dropped()
                with st.expander(BRING_IN, icon=":material/upload:", expanded=unfolded, key="bring-in"):
                    brought_in.scans_brought_in(shown)
            own_images(name, folder, shown)
        else:
            image_set(name, folder, shown)
show.picture_format()
with sentences():
    weights(shown)
with others, sentences():
    downloads.elsewhere(shown)
shown.follow()
