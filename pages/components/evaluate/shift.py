"""Other data beside the group's own test split, on Evaluate: what the models reach on both, and what is different."""

from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from colora import plots
from colora.metrics.calibration import ERRORS
from colora.metrics.figures import TITLES
from colora.results.shift import Far, Shift, shift
from colora.runs.documents import contained
from colora.runs.features import features_path
from colora.system.errors import UserError
from pages.components import show
from pages.components.evaluate import intervals
from pages.components.evaluate.readers import View, seen
from pages.components.runs import file_stamp

OF_CLASS = ("sensitivity", "specificity", "auc")


def shift_part(view: View, origin: str) -> None:
    """Figures on both, then prevalence, calibration and distance, each with what it means."""
    st.caption(
        f"Other data beside the test split, of {show.literal(view.model())}. Where a figure falls, one of the parts "
        "below often tells why: other classes are common, the probabilities mean something else, or the images are "
        "unlike those that the models know."
    )
    try:
        found = shift_of(view)
    except UserError as error:
        show.say(error)
        return
    figures(view, origin)
    grid = st.grid(2, min_column_width=330)
    with grid.cell():
        prevalence(view, found, origin)
    with grid.cell():
        distance(view, found, origin)
    calibration(view, found, origin)


def shift_of(view: View) -> Shift:
    own = [replace(view, split=split).key for split in ("train", "val", "test")]
    return _shift(view, (view.key, *own), [file_stamp(features_path(run)) for run in view.runs])


@st.cache_resource(show_spinner=False, max_entries=8)
def _shift(_view: View, key: Any, stamps: Any) -> Shift:
    with contained(_view.group.path):
        return shift(seen(_view))


def figures(view: View, origin: str) -> None:
    """Accuracy and AUC, and of each class sensitivity, specificity and AUC, on both."""
    both = {split: intervals.model_figures(replace(view, split=split)) for split in ("test", view.split)}
    rows = [("All classes", name, [own.overall[name] for own in both.values()]) for name in ("accuracy", "auc")]
    rows += [
        (c, name, [own.per_class[c][name] for own in both.values()]) for c in view.class_names for name in OF_CLASS
    ]
    titles = [f"On {plots.split_title(split)}" for split in both]
    table = pd.DataFrame(
        [
            {
                "Of": c,
                "Figure": TITLES[name],
                **dict(zip(titles, map(show.estimate_text, pair), strict=True)),
                "Change": change(*(each.value for each in pair)),
            }
            for c, name, pair in rows
        ]
    )
    st.markdown("**What the models reach on both**")
    st.caption("In brackets: 95 % interval over images. Two intervals that do not meet differ by more than chance.")
    st.dataframe(table, hide_index=True, key="both-figures", alt=f"Figures on test and on other data. {origin}")
    show.csv_button(table, f"{view.name}-both", origin)


def change(test: float | None, there: float | None) -> str:
    return "–" if test is None or there is None else f"{there - test:+.3f}"


def prevalence(view: View, found: Shift, origin: str) -> None:
    """How common each class is."""
    counts = {
        plots.split_title(split): tuple(round((each.value or 0) * found.images[split]) for each in own)
        for split, own in found.prevalence.items()
    }
    table = pd.DataFrame(
        [
            {"class": c, "images": split, "share": each.value, "low": each.low, "high": each.high}
            for split, own in found.prevalence.items()
            for c, each in zip(view.class_names, own, strict=True)
        ]
    )
    show.show_figure(
        plots.class_shares(counts, view.class_names),
        "How common each class is",
        "Of the images trained on, of test, and of the other data. PPV and NPV, accuracy and the calibration depend on "
        "it; sensitivity, specificity and AUC do not.",
        "Share of each class in train, test and the other data",
        table,
        f"{view.name}-prevalence",
        origin,
    )


def distance(view: View, found: Shift, origin: str) -> None:
    """How far the images lie from what the models know."""
    if found.far is None:
        st.markdown("**How far the images are from what the models know**")
        st.info(
            "It is not known: a seed had not kept what it sees when these data were tested. *Make it known* on "
            "Predict, then test again.",
            icon=":material/explore_off:",
        )
        return
    table = pd.concat(
        [pd.DataFrame({"images": split, "distance": own.distances}) for split, own in found.far.items()],
        ignore_index=True,
    )
    limit = next(iter(found.far.values())).limit
    show.show_figure(
        plots.distances({split: own.distances for split, own in found.far.items()}, limit),
        "How far the images are from what the models know",
        " ".join(beyond(split, own, found.images[split]) for split, own in found.far.items())
        + " Distance in feature space (Mahalanobis), mean over the seeds: 0 is validation's median, the dotted line "
        "the limit beyond which one in twenty of its images lies.",
        "Distance of the images of test and of the other data",
        table,
        f"{view.name}-distance",
        origin,
    )


def beyond(split: str, own: Far, images: int) -> str:
    """`Of test 6.0 % [3.0, 11.9] lie beyond the limit.`"""
    some = "" if own.of == images else f" ({own.of:,} of its {images:,} images, evenly)"
    value, ends = own.beyond.value or 0.0, (own.beyond.low, own.beyond.high)
    between = "" if None in ends else f" [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"
    return f"Of {show.literal(plots.split_title(split))}{some} **{100 * value:.1f} %**{between} lie beyond the limit."


def calibration(view: View, found: Shift, origin: str) -> None:
    """Errors on both, as trained and at the temperature that validation chose."""
    table = pd.DataFrame(
        [
            {
                "Figure": TITLES[name],
                **{
                    f"{plots.split_title(split)}, {how}": show.estimate_text(getattr(own, part)[name], 4)
                    for split, own in found.calibration.items()
                    for how, part in (("as trained", "before"), ("calibrated", "after"))
                },
            }
            for name in ERRORS
        ]
    ).set_index("Figure")
    temperature = next(iter(found.calibration.values())).temperature
    st.markdown("**Whether the probabilities still mean what they say**")
    st.caption(
        f"Calibrated: at the temperature {temperature:.2f}, which validation chose; nothing was chosen on the other "
        "data. Lower is better; the part *Calibration* has the diagram."
    )
    show.table(table, border="horizontal", alt=f"Calibration errors on test and on other data. {origin}")
    st.caption(show.literal(origin))
    show.csv_button(table.reset_index(), f"{view.name}-shift-calibration", origin)
