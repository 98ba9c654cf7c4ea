"""One image under the models of another group that was trained on the same data."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora.distillation.scores import SeedPredictions
from colora.plots import SPLIT_NAMES
from colora.runs.documents import contained
from colora.runs.folder import Group
from colora.runs.listing import list_groups
from colora.system.errors import UserError
from pages.components import show
from pages.components.images import scored
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
        names = [other.name for other in list_groups(runs_dir()) if same_data(other, group, found)]
        if not names:
            st.caption("No other group was trained on these data at this image size.")
            return
        name = st.selectbox("Group", names, key="other-group")
        try:
            other = Group(runs_dir() / name)
            with contained(other.path):
                predictions = scored.predictions(other, split)
                table = scored.scores(other, split, "best")
        except UserError as error:
            show.say(error, st.info, ":material/hourglass:")
            return
        compare(found, record, own_table, predictions, table, name)
        st.caption("Groups on the same data at the same image size; at another size the images count as others.")


def same_data(other: Group, group: Group, found: SeedPredictions) -> bool:
    """Whether a group was trained on the same data, however it was set up; a damaged one was not."""
    if other.name == group.name:
        return False
    try:
        with contained(other.path):
            resolved = next((run.resolved for run in other.runs if run.resolved and run not in other.apart), None)
    except UserError:
        return False
    return resolved is not None and resolved.data_checksum == found.data_checksum


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
    for group_name, one, among in ((found.group.name, record, own_table), (name, theirs, table)):
        lines.append(
            {
                "Group": group_name,
                "Predicted": found.class_names[int(one["predicted"])],
                **{c: f"{one[f'p_{i}']:.3f}" for i, c in enumerate(found.class_names)},
                "Entropy (nats)": f"{one['entropy']:.3f}",
                "Entropy rank": f"{int((among['entropy'] > one['entropy']).sum()) + 1:,}",
            }
        )
    show.table(
        pd.DataFrame(lines).set_index("Group"), border="horizontal", alt=f"This image in two groups, {name} second"
    )
    st.page_link(
        "pages/images.py",
        label=f"Open it in {show.literal(name)}",
        icon=":material/open_in_new:",
        query_params={"group": name, "part": SPLIT_NAMES[predictions.split], "image": record["image_id"]},
    )
