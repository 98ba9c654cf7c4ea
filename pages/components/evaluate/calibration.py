"""Whether the chosen model's probabilities mean what they say on Evaluate, and what a temperature makes of them."""

from typing import Any

import pandas as pd
import streamlit as st

from colora import plots
from colora.metrics import calibration
from colora.metrics.calibration import COLDEST, ERRORS, HOTTEST, Calibration
from colora.metrics.figures import TITLES
from colora.metrics.over_seeds import Spread
from pages.components import address, show
from pages.components.evaluate import intervals
from pages.components.evaluate.readers import View

CALLED = "the class it calls"
PARTS = {
    "reliability": ("Reliability", "how far the bins' confidence is from their truth; lower is better"),
    "resolution": ("Resolution", "how far the bins' truth is from the average; higher is better"),
    "uncertainty": ("Uncertainty", "the data's own, the same for every model"),
    "within_bins": ("Within bins", "what bins of several confidences hide"),
}
AT_ITS_END = 0.01  # of a temperature that reached an end of where it is looked for


def calibration_part(view: View, origin: str) -> None:
    """Diagram, errors before and after, and each seed's temperature."""
    seeds, one = intervals.calibrations(view)
    st.caption(
        "Calibrated: of the images that get 0.8, eight of ten are right. A temperature divides the logits by one "
        "number, chosen on validation for the lowest log loss: above 1 the model was too sure. It changes no answer. "
        f"Shown: {show.literal(view.model())}, temperature **{one.temperature:.2f}**."
    )
    for said in warnings(view, one):
        st.caption(f":orange[:material/warning:] {show.literal(said)}")
    grid = st.grid(2, min_column_width=330)
    with grid.cell():
        diagram(view, one, origin)
    with grid.cell():
        errors(view, one, origin)
        if view.several:
            every_seed(view, seeds, origin)


def warnings(view: View, one: Calibration) -> list[str]:
    found = []
    if view.split == "val":
        found.append("These are the images that chose the temperature: what it gains here is a little too good.")
    if not COLDEST + AT_ITS_END < one.temperature < HOTTEST - AT_ITS_END:
        found.append(
            f"No temperature between {COLDEST:g} and {HOTTEST:g} is best on validation, where every image is right, "
            "or of one class, or none is right: do not use it."
        )
    return found


def diagram(view: View, one: Calibration, origin: str) -> None:
    names = [CALLED, *view.class_names]
    asked = st.selectbox(
        "Probability of",
        names,
        key=address.one("reliability", names),
        help="Of the class that the model calls, whether it is right; or of one class, whether the image is of it.",
    )
    c = None if asked == CALLED else view.class_names.index(asked)
    found = intervals.model(view)
    before = calibration.reliability(found.labels, found.probabilities, c)
    after = calibration.reliability(found.labels, calibration.tempered(found.probabilities, one.temperature), c)
    y = "Share that is right" if c is None else "Share that is of the class"
    show.show_figure(
        plots.reliability_diagram(before, after, "Mean probability", y),
        "Reliability diagram",
        "Ten bins of equally many images each: what share is right, with its 95 % interval (Wilson), over the mean "
        "probability. Dotted: calibrated. Below: how many images.",
        f"Reliability diagram of {view.model()}, before and after its temperature",
        plots.reliability_table(before, after),
        f"{view.name}-reliability",
        origin,
    )


def errors(view: View, one: Calibration, origin: str) -> None:
    """ECE, Brier, log loss and Brier's parts, before and after."""
    rows = [
        {
            "Figure": TITLES[name],
            "As trained": show.estimate_text(one.before[name], 4),
            "Calibrated": show.estimate_text(one.after[name], 4),
        }
        for name in ERRORS
    ]
    rows += [
        {
            "Figure": f"Brier: {title.lower()}",
            "As trained": f"{getattr(one.parts_before, name):.4f}",
            "Calibrated": f"{getattr(one.parts_after, name):.4f}",
        }
        for name, (title, _) in PARTS.items()
    ]
    table = pd.DataFrame(rows).set_index("Figure")
    st.markdown("**Before and after**")
    st.caption(
        "In brackets: 95 % interval over images. ECE: mean distance of confidence and truth. Brier score: mean squared "
        "distance, 0 to 2, = reliability - resolution + uncertainty + within bins. Lower is better."
    )
    show.table(table, border="horizontal", alt=f"Calibration errors before and after. {origin}")
    st.caption(
        f"By chance alone a calibrated model would show an ECE of {one.by_chance:.4f} on as many images; an ECE is "
        "never zero, so its interval may lie above what a calibrated model has. "
        + "; ".join(f"{title}: {meaning}" for title, meaning in PARTS.values())
        + "."
    )
    show.csv_button(table.reset_index(), f"{view.name}-calibration", origin)


def every_seed(view: View, seeds: list[Calibration], origin: str) -> None:
    """Temperature and errors seed by seed, and their spread."""
    rows: list[dict[str, Any]] = []
    for run, own in zip(view.runs, seeds, strict=True):
        row: dict[str, Any] = {"seed": run.seed, "temperature": own.temperature}
        for name in ERRORS:
            row |= {f"{name}, as trained": own.before[name].value, f"{name}, calibrated": own.after[name].value}
        rows.append(row)
    table = pd.DataFrame(rows)
    spread = Spread.of(table["temperature"])
    st.markdown("**Seed by seed**")
    if spread:
        st.caption(
            f"Temperature, median over {show.literal(view.counted())}: {spread.median:.2f} [{spread.q1:.2f}, "
            f"{spread.q3:.2f}], {spread.low:.2f} to {spread.high:.2f}. The ensemble has its own: a mean of models is "
            "less sure than each."
        )
    st.dataframe(
        table,
        hide_index=True,
        key="temperatures",
        column_config={"seed": "Seed", "temperature": st.column_config.NumberColumn("Temperature", format="%.3f")}
        | {
            column: st.column_config.NumberColumn(
                f"{TITLES[column.partition(',')[0]]},{column.partition(',')[2]}", format="%.4f"
            )
            for column in table.columns[2:]
        },
        alt="Temperature and errors of each seed",
    )
    show.csv_button(table, f"{view.name}-temperatures", origin)
