"""What a rule would do, before anything is saved: counts, the curve with its cuts, images of what goes and stays."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora import plots
from colora.data.rules import Rule
from colora.data.thumbnails import Pictures
from colora.distillation.distil import Division, Pool, divide, overlap, pool_of, verdicts_for, with_doubted
from colora.distillation.scores import SeedPredictions, Whose
from colora.settings.catalog import SCORES
from colora.system.errors import UserError
from pages.components import show
from pages.components.elements.gallery import gallery
from pages.components.images import scored
from pages.components.images.listed import score_title

FATES = {
    "dropped": ("Goes", "harder than what is kept"),
    "kept": ("Stays", "trained on"),
    "rest": ("Left over", "easier than what is kept, or not drawn"),
    "excluded": ("Left out", "by verdicts"),
}
SHOWN = 10  # images of each fate
EVERY_CLASS = "All classes"


def division(found: SeedPredictions, whose: Whose, pool: Pool, rule: Rule) -> Division:
    """`distil.divide` of a pool, computed once. Raises UserError where the rule cannot be applied."""
    table = with_doubted(scored.scores(found.group, "train", whose), found, rule)
    judged = verdicts_for(found, rule)
    stamps = scored.stamps_of(found.group, "train")
    key = (str(found.group.path), whose, pool, rule.model_dump_json(), found.data_checksum, stamps)
    return _division(table, found.class_names, rule, judged, pool, key, None if judged is None else judged.to_csv())


@st.cache_resource(show_spinner="Dividing the images …", max_entries=3)
def _division(
    _table: pd.DataFrame, _class_names: list[str], _rule: Rule, _judged: Any, pool: Pool, key: Any, judged: str | None
) -> Division:
    return divide(pool_of(_table, pool), _class_names, _rule, _judged)


def counts(divided: Division, origin: str) -> None:
    totals = {fate: sum(divided.counts[fate]) for fate in FATES}
    shown = [fate for fate in FATES if totals[fate] or fate in ("dropped", "kept")]
    grid = st.grid(len(shown), min_column_width=130)
    for fate in shown:
        title, meaning = FATES[fate]
        grid.metric(title, f"{totals[fate]:,}", help=f"Images {meaning}.", border=True)
    rows = {
        name: {"Sorted": divided.counts["pool"][c]} | {FATES[fate][0]: divided.counts[fate][c] for fate in shown}
        for c, name in enumerate(divided.class_names)
    }
    table = pd.DataFrame(rows).T.rename_axis("True class")
    show.table(table.map("{:,}".format), border="horizontal", alt="Images of each class: what goes and what stays")
    st.caption(show.literal(origin))
    for note in divided.notes:
        show.say(note, st.warning, ":material/warning:")
    if divided.labels:
        st.caption(f"{len(divided.labels):,} images that stay have a corrected label.")


def cut_curve(divided: Division, rule: Rule, name: str, origin: str) -> None:
    """Figure 10 with both cuts in it."""
    if not rule.uses_score:
        return
    images = divided.images[divided.images["rank"] >= 0].sort_values("rank")
    curves, parts = {}, []
    for c, class_name in enumerate(divided.class_names):
        rows = images[images["class"] == c]
        if rows.empty:
            continue
        values = rows[rule.score].to_numpy(dtype=np.float64)
        kept = (rows["fate"] == "kept").to_numpy()
        curves[c] = {"ranks": rows["rank"].to_numpy(), "scores": values, "kept": kept}
        cuts = np.flatnonzero(np.diff(kept))
        edges = np.unique(np.concatenate([plots.thinned(len(rows)), cuts, cuts + 1]))
        part = rows.iloc[edges][["image_id", "rank", rule.score, "fate"]]
        parts.append(part.assign(rank=part["rank"] + 1, true_class=class_name))
    show.show_figure(
        plots.divided_scores(curves, divided.class_names, score_title(rule.score), SCORES[rule.score].harder > 0),
        "Where the cuts lie",
        "Each class from its hardest image on. Dotted goes, bold stays, faint is left over; the strokes are the cuts.",
        f"{score_title(rule.score)} over rank in each class with the cuts, {sum(divided.counts['kept']):,} images stay",
        pd.concat(parts, ignore_index=True),
        f"{name}-cuts",
        origin,
    )


def galleries(divided: Division, rule: Rule, source: Pictures | UserError, judged: pd.DataFrame) -> str | None:
    """Images of what goes and of what stays; returns the id of one that a person wants to see large."""
    names = [EVERY_CLASS, *divided.class_names]
    chosen = st.segmented_control("Class", names, default=EVERY_CLASS, required=True, format_func=show.literal,
                                  key="cut-class")  # fmt: skip
    images = divided.images
    if chosen != EVERY_CLASS:
        images = images[images["class"] == divided.class_names.index(chosen)]
    score = rule.score if rule.uses_score else "entropy"
    if isinstance(source, UserError):
        st.warning(f"The images themselves cannot be shown: {show.literal(source)}", icon=":material/hide_image:")
    for fate, title in (
        ("excluded", "Left out, as people judged"),
        ("dropped", "Goes: the hardest"),
        ("kept", "Stays: the hardest of them"),
        ("rest", "Left over: the hardest of them"),
    ):
        rows = images[images["fate"] == fate]
        if rows.empty:
            continue
        rows = _hardest(rows, score)
        many = int((images["fate"] == fate).sum())
        st.markdown(f"**{title}** · {min(SHOWN, many)} of {many:,}")
        ranks = [rank + 1 for rank in rows["rank"]] if fate != "excluded" else None
        gallery(
            f"cut-{fate}",
            scored.tiles(rows, "train", source, divided.class_names, score, ranks, judged),
            title,
            on_open=lambda image_id: st.session_state.__setitem__("open-image", image_id),
        )
    return st.session_state.pop("open-image", None)


def _hardest(rows: pd.DataFrame, score: str) -> pd.DataFrame:
    """The first SHOWN; equal scores by image id, as in the cut."""
    hard = SCORES[score].harder > 0
    first = (rows.nlargest if hard else rows.nsmallest)(SHOWN, score, keep="all")
    return first.sort_values([score, "image_id"], ascending=[not hard, True]).head(SHOWN)


def seeds_agree(found: SeedPredictions, rule: Rule, pool: Pool) -> None:
    """Overlap of the cuts that each seed's own model would make; computed only while it is unfolded."""
    unfolded = st.expander("Would every seed cut the same images?", icon=":material/join_inner:", key="agree",
                           on_change="rerun")  # fmt: skip
    if not unfolded.open:
        return
    with unfolded:
        with st.spinner("Cutting with every seed …"):
            shared = overlap(found, rule, pool)
        if shared is None:
            st.caption(
                "This is asked of two or more seeds, by a rule and score that differ between them (such as entropy)."
            )
            return
        st.markdown(
            f"Two seeds share **{shared.median('kept'):.0%}** of what either keeps"
            + (
                f" and **{shared.median('dropped'):.0%}** of what either discards"
                if not np.isnan(shared.median("dropped"))
                else ""
            )
            + " (Jaccard index, median over pairs)."
        )
        seeds = [f"seed {seed}" for seed in shared.seeds]
        left, right = st.columns(2)
        for place, title, values in ((left, "Discarded", shared.dropped), (right, "Kept", shared.kept)):
            with place:
                st.markdown(f"**{title}**")
                table = pd.DataFrame(values, index=seeds, columns=seeds).rename_axis("Share of images")
                alt = f"Overlap of what each two seeds would have {title.lower()}"
                show.table(table.map(lambda x: "–" if pd.isna(x) else f"{x:.2f}"), border="horizontal", alt=alt)
        st.caption("A little overlap of what is discarded means: the hardest images depend on the random start.")
