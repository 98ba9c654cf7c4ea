"""Which scans to train on, the first question of the Simple form: each way to name some, and what it holds now.

A way is shown as chosen only while it shows what the form holds: nothing is trained on that the question does not say.
"""

from pathlib import Path, PurePath
from typing import Any

import streamlit as st

from colora.data.uploads.kept import list_uploads
from colora.runs.documents import contained
from colora.runs.listing import list_groups
from colora.settings.config import WITH_PATH
from colora.settings.glossary import explains
from colora.system.errors import UserError
from colora.system.table_file import ENDINGS
from colora.system.typed import bare
from pages.components import show
from pages.components.data import carried, uploading
from pages.components.data.downloads import Shown
from pages.components.launch import fields, form
from pages.components.launch.ways import BEFORE, BRING, FROM, GENERATED, PLACE
from pages.components.picker.dialog import browse
from pages.components.runs import runs_dir

KEY, CHOICE, LAST = "launch-from", "launch-before", "launch-last-scans"
LOOKED_AT = 20  # groups, the newest, whose data are offered again
BLANK = "folder:"
Data = dict[str, Any]  # of `carried.CARRIED`


def choose(values: form.Values, shown: Shown) -> None:
    """Brought in through the browser, which `shown` follows, on this computer, used before, or generated."""
    st.subheader("Which scans?")
    dataset, brought, before = values["dataset"], uploads(), used_before()
    before |= {} if dataset in before or dataset.partition(":")[0] in (*WITH_PATH, carried.PHANTOM) else {dataset: {}}
    options = [way for way in FROM if way != BEFORE or before]
    if not _holds(st.session_state.get(KEY), dataset, brought, before):
        st.session_state[KEY] = next(
            way for way in (BRING, BEFORE, PLACE, GENERATED) if _holds(way, dataset, brought, before)
        )
    way = st.segmented_control(
        "Which scans?",
        options,
        key=KEY,
        required=True,
        label_visibility="collapsed",
        on_change=_turned,
        persist_state="session",
    )
    if way == BRING:
        upload = uploading.drop("launch-drop", shown, lambda upload: put({"dataset": upload.dataset}))
        if dataset != BLANK and (upload is None or upload.dataset != dataset):
            st.success(f"**{show.literal(brought[dataset])}**, brought in before.", icon=":material/check:")
    elif way == PLACE:
        _place()
    elif way == BEFORE:
        _choose_before(dataset, before)
    else:
        show.synthetic_badge()
        st.caption("Drawn by the app, to see the whole job in minutes. They mean nothing for patients.")


def _holds(way: str | None, dataset: str, brought: dict[str, str], before: dict[str, Data]) -> bool:
    """Whether what the form holds is what a way shows; where it holds nothing, each may be chosen to name some."""
    nothing = dataset == BLANK
    return {
        BRING: nothing or dataset in brought,
        PLACE: dataset.partition(":")[0] in WITH_PATH,
        BEFORE: bool(before) and (nothing or dataset in before),
        GENERATED: dataset == carried.PHANTOM,
    }.get(way, False)


def uploads() -> dict[str, str]:
    """{dataset: name} of what was brought in."""
    return {one.dataset: one.name for one in list_uploads(runs_dir()) if not one.problem}


def used_before() -> dict[str, Data]:
    """{dataset: its settings} of what was brought in, and of what the newest groups were trained on."""
    found: dict[str, Data] = {dataset: {} for dataset in uploads()}
    for group in list_groups(runs_dir())[:LOOKED_AT]:
        try:
            with contained(group.path):
                values = group.config.model_dump(include=set(carried.CARRIED))
        except UserError:  # which Overview says
            continue
        if values["dataset"] != carried.PHANTOM:
            found[values["dataset"]] = values
    return found


def put(data: Data) -> None:
    """Data with their settings into the form, those that are not named as usual."""
    usual = {field: form.FIELDS[field].default for field in carried.CARRIED if field != "dataset"}
    for field, value in (usual | data | {"cut": None}).items():
        form.put(field, value)


def _turned() -> None:
    """To another way: with what it can show of what was named, generated ones at once, else with nothing yet."""
    way, values = st.session_state[KEY], form.read()
    dataset = values["dataset"]
    if dataset.partition(":")[2]:
        st.session_state[LAST] = {field: values[field] for field in carried.CARRIED}
    if way == GENERATED:
        put({"dataset": carried.PHANTOM})
        return
    st.session_state.pop(CHOICE, None)
    brought, before = uploads(), used_before()
    known = [one for one in (values, st.session_state.get(LAST)) if one and one["dataset"] != BLANK]
    held = next((one for one in known if _holds(way, one["dataset"], brought, before)), {"dataset": BLANK})
    if held is not values:
        put(held)


def _place() -> None:
    """One field for what there may be: its kind is seen by its name."""
    path = form.key("dataset.path")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Folder of scans",
            key=path,
            on_change=_named,
            placeholder="/data/oct-scans",
            help=f"A folder {form.HERE}, with one sub-folder of images for each class; or a table (CSV, Excel ...), or "
            f"a MedMNIST file (.npz).\n\n{explains('class')}",
            persist_state="session",
        )
        browse("folder", path, _named)


def _named() -> None:
    """Another path: data of its own, with none of the settings of those before."""
    path = bare(st.session_state[form.key("dataset.path")])
    ending = PurePath(path).suffix.lower()
    kind = "npz" if ending == ".npz" else "table" if ending in ENDINGS else "folder"
    put({"dataset": f"{kind}:{path}"})


def _choose_before(dataset: str, before: dict[str, Data]) -> None:
    if st.session_state.get(CHOICE) != dataset:
        st.session_state[CHOICE] = dataset if dataset in before else None
    st.selectbox(
        "Scans used before",
        list(before),
        format_func=title,
        key=CHOICE,
        placeholder="Choose",
        on_change=_chosen_before,
        persist_state="session",
    )


def _chosen_before() -> None:
    if chosen := st.session_state[CHOICE]:
        put({"dataset": chosen} | used_before().get(chosen, {}))


def title(dataset: str) -> str:
    """`oct2017-sample (/data/oct2017-sample)`: what a source is called in a list."""
    kind, _, place = dataset.partition(":")
    return f"{Path(place).name} ({place})" if place else fields.SOURCE_TITLES.get(kind, kind)
