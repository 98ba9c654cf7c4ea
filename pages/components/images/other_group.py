"""One image under the models of another group that was trained on the same data."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora.distillation.scores import SeedPredictions
from colora.runs.documents import contained
from colora.runs.external import about_external, external_splits
from colora.runs.folder import Group
from colora.runs.listing import list_groups
from colora.runs.names import is_external
from colora.system.errors import UserError
from pages.components import show
from pages.components.images import scored
from pages.components.images.in_address import IMAGE, code
from pages.components.runs import runs_dir


def other_groups(
    group: Group, found: SeedPredictions, record: dict[str, Any], own_table: pd.DataFrame, split: str
) -> None:
    """The same image under the models of another group on the same data; looked for only while it is unfolded."""
    unfolded = st.expander(
        "The same image under another group", icon=":material/compare:", key="other", on_change="rerun"
    )
    if not unfolded.open:
        return
    with unfolded:
        known = {other.name: same_data(other, group, found) for other in list_groups(runs_dir())}
        others = {name: splits for name, splits in known.items() if splits}
        names = list(others)
        if not names:
            met = "tested" if is_external(split) else "trained"
            st.caption(f"No other group was {met} on these data at this image size.")
            return
        name = st.selectbox("Group", names, key="other-group")
        try:
            other = Group(runs_dir() / name)
            with contained(other.path):
                at = with_image(other, others[name], record["image_id"])
                predictions, table = scored.predictions(other, at), scored.scores(other, at, None)
        except UserError as error:
            show.say(error, st.info, ":material/hourglass:")
            return
        compare(found, record, own_table, predictions, table, name)
        st.caption("Groups on the same data at the same image size; at another size the images count as others.")


def same_data(other: Group, group: Group, found: SeedPredictions) -> list[str]:
    """The splits in which another group has the same data: trained on them, however it was set up, or tested; none
    where it has not, and of a damaged one."""
    if other.name == group.name:
        return []
    try:
        with contained(other.path):
            if is_external(found.split):
                tests = external_splits(other)
                return [split for split in tests if about_external(other, split)["checksum"] == found.data.checksum]
            resolved = next((run.resolved for run in other.runs if run.resolved and run not in other.apart), None)
    except UserError:
        return []
    return [found.split] if resolved is not None and resolved.data_checksum == found.data_checksum else []


def with_image(group: Group, splits: list[str], image_id: str) -> str:
    """The first of the splits that has the image; where none has, the first. Raises UserError where one cannot be
    read."""
    ids = ((split, scored.predictions(group, split).images["image_id"]) for split in splits)
    return next((split for split, own in ids if (own == image_id).any()), splits[0])


def compare(
    found: SeedPredictions,
    record: dict[str, Any],
    own_table: pd.DataFrame,
    predictions: SeedPredictions,
    table: pd.DataFrame,
    name: str,
) -> None:
    rows = np.flatnonzero((table["image_id"] == record["image_id"]).to_numpy())
    if not len(rows):
        st.caption(f"{show.literal(name)} has no prediction of this image in this split.")
        return
    theirs = table.iloc[int(rows[0])].to_dict()
    lines = []
    both = ((found.group.name, found, record, own_table), (name, predictions, theirs, table))
    for group_name, of, one, among in both:
        lines.append(
            {
                "Group": group_name,
                "Predicted": of.class_names[int(one["predicted"])],
                **{c: f"{one[f'p_{i}']:.3f}" for i, c in enumerate(of.class_names)},
                "Entropy (nats)": f"{one['entropy']:.3f}",
                "Entropy rank": f"{int((among['entropy'] > one['entropy']).sum()) + 1:,}",
            }
        )
    shown = pd.DataFrame(lines).set_index("Group").fillna("–")
    show.table(shown, border="horizontal", alt=f"This image in two groups, {name} second")
    st.page_link(
        "pages/images.py",
        label=f"Open it in {show.literal(name)}",
        icon=":material/open_in_new:",
        query_params={
            "group": name,
            "part": show.split_text(predictions.split),
            IMAGE: code(predictions.data_checksum, record["image_id"]),
        },
    )
