"""What a data set holds."""

import plotly.graph_objects as go

from colora.plots.style import CLASS_COLOURS, FEW_CLASSES, SPLIT_NAMES, base_figure, class_colour, plain


def class_shares(counts: dict[str, tuple[int, ...]], class_names: tuple[str, ...]) -> go.Figure:
    """Each class's share of each split's images, one colour a class; `counts` maps a split to images of each class."""
    splits = list(counts)
    totals = [max(1, sum(counts[split])) for split in splits]
    traces = [
        go.Bar(
            x=[SPLIT_NAMES.get(split, plain(split)) for split in splits],
            y=[counts[split][c] / total for split, total in zip(splits, totals, strict=True)],
            name=plain(name),
            customdata=[counts[split][c] for split in splits],
            marker={"color": class_colour(c), "pattern": {"shape": "/" if c >= len(CLASS_COLOURS) else ""}},
            texttemplate="%{y:.0%}" if len(class_names) <= FEW_CLASSES else None,
            textposition="outside",
            textfont={"size": 11},
            cliponaxis=False,
            hovertemplate="%{x}: <b>%{customdata:,}</b> images (%{y:.1%})",
        )
        for c, name in enumerate(class_names)
    ]
    figure = base_figure(traces, "", "Share of the split's images", 320, barmode="group")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure
