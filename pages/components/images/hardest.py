"""The paper's figures 11 and 12 for any group: the hardest images of each class, and those at a chosen rank."""

import io
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from colora import plots
from colora.data.thumbnails import Pictures
from colora.distillation.scores import SeedPredictions, whose_says
from colora.runs.folder import Group
from colora.settings.catalog import NOTICE, SCORES
from colora.system.errors import UserError
from pages.components import address, show
from pages.components.images import scored
from pages.components.images.hardest_looked_at import hardest_looked_at
from pages.components.images.listed import choose_score, choose_whose, score_title

EACH = 25  # images of a class, as in the paper
PAPER_RANK = 5000
FEW = 10  # classes on a sheet; more would make a picture that no screen shows
POOLS = {"used": "Images trained on", "whole": "Whole train split"}


def hardest(group: Group, about: dict[str, Any], found: SeedPredictions, split: str) -> None:
    grid = st.grid(3, min_column_width=250)
    with grid.cell():
        score = choose_score(found)
    with grid.cell():
        whose = choose_whose(found)
    table = scored.scores(group, split, whose)
    pool = "whole"
    if split == "train" and not table["used"].all():
        with grid.cell():
            pool = st.segmented_control(
                "Which images",
                list(POOLS),
                required=True,
                format_func=POOLS.get,
                key=address.one("sheet-pool", list(POOLS), POOLS.get),
                help="The paper's figure 11 sorts the balanced set, which is what its models trained on.",
            )
    rows = scored.order_of(group, split, whose, score, "hardest")
    if pool == "used":
        rows = rows[table["used"].to_numpy()[rows]]
    source = scored.pictures_of(found)
    if isinstance(source, UserError):
        st.warning(f"The images cannot be shown: {show.literal(source)}", icon=":material/hide_image:")
        return
    orders = by_class(table["label"].to_numpy(), rows)
    origin = (
        f"{show.split_of(about, split)}, {len(rows):,} images, sorted within each true class by "
        f"{SCORES[score].title.lower()} of {whose_says(found, whose, score)}"
    )
    model = f"{show.model_title(about['backbone'])}, {show.method_title(about['method'])}, group {group.name}"
    name = f"{group.name}-{show.split_in_file(split)}"
    if len(orders) > FEW:
        st.caption(f"The first {FEW} of {len(orders)} classes that have images.")
        orders = {c: orders[c] for c in list(orders)[:FEW]}
    most = "most doubted" if score == "label_doubt" else "least certain"
    sheet(
        table, orders, 0, found, split, source, score,
        f"The {EACH} {most} images of each class (figure 11)", (origin, model), f"{name}-hardest",
    )  # fmt: skip
    hardest_looked_at(group, found, table, orders, split, source)
    rank = choose_rank(orders)
    sheet(
        table, orders, rank - 1, found, split, source, score,
        f"From rank {rank:,} of each class (figure 12)", (origin, model), f"{name}-rank-{rank}",
    )  # fmt: skip


def by_class(labels: np.ndarray, rows: np.ndarray) -> dict[int, np.ndarray]:
    """Class -> its positions in the table, in the order of `rows`: least certain first, equal scores by image id."""
    return {int(c): rows[labels[rows] == c] for c in np.unique(labels[rows])}


def choose_rank(orders: dict[int, np.ndarray]) -> int:
    """The paper's 5000 where every class reaches it, else the middle of the smallest class."""
    smallest = min(map(len, orders.values()))
    usual = PAPER_RANK if smallest >= PAPER_RANK + EACH else max(1, smallest // 2)
    largest = max(map(len, orders.values()))
    return st.number_input(
        "Rank of the second sheet",
        1,
        largest,
        step=EACH,
        key=address.number("sheet-rank", usual, 1, largest, whole=True),
        width=220,
        help="1 is the first image of its class in this order. The paper shows 5000 to 5025.",
    )


def sheet(
    table: pd.DataFrame,
    orders: dict[int, np.ndarray],
    first: int,
    found: SeedPredictions,
    split: str,
    source: Pictures,
    score: str,
    title: str,
    origin: tuple[str, ...],
    name: str,
) -> None:
    """One figure with its download."""
    picked = {c: table.iloc[rows[first : first + EACH]] for c, rows in orders.items() if len(rows) > first}
    blocks, missing = {}, []
    for c, rows in picked.items():
        images = source.read(scored.places(rows, split))
        missing += [image for image in images if isinstance(image, UserError)]
        blocks[c] = [
            plots.Cell(None if isinstance(image, UserError) else image, int(predicted), bool(right), float(value))
            for image, predicted, right, value in zip(
                images, rows["predicted"], rows["right"], rows[score], strict=True
            )
        ]
    wrong = sum(not cell.right for cells in blocks.values() for cell in cells)
    shown = sum(map(len, blocks.values()))
    says = f"Under each image: the predicted class, and {score_title(score).lower()}. {wrong} of {shown} are wrong."
    picture = plots.contact_sheet(blocks, found.class_names, title, (says, *origin, NOTICE))
    classes = ", ".join(f"{found.class_names[c]} {len(cells)}" for c, cells in blocks.items())
    st.markdown(f"**{title}**")
    if missing:
        what = f"{len(missing)} of these {shown} images cannot be shown"
        show.say(f"{what}. {missing[0]}", st.warning, ":material/hide_image:")
    content = png(picture)
    st.image(content, alt=f"{title}. {classes} images; {wrong} of {shown} predicted wrongly.", width="stretch")
    st.download_button(
        "Download as PNG",
        content,
        file_name=f"{name}.png",
        mime="image/png",
        icon=":material/download:",
        type="tertiary",
        key=f"download-{'hardest' if first == 0 and 'figure 11' in title else 'rank'}",
        on_click="ignore",
    )


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "png", compress_level=3)
    return out.getvalue()
