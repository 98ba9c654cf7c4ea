"""What a number of test images is good for, in words that are the same on every page: the smallest difference in
accuracy that it tells apart."""

from colora.metrics.differences import DISAGREEMENT, resolves

MEANS = (
    f"Of two models that differ on {100 * DISAGREEMENT:.0f} % of the images, so many independent images show such a "
    "difference in accuracy in four of five studies. Several images of one patient count for fewer."
)


def tells_apart(images: int, kind: str = "test ", patients: int | None = None) -> str:
    """`1,000 test images tell 2.8 points of accuracy apart`, of at least one; `kind` stands before the word, with its
    space."""
    of = f" of {patients:,} patient{'s' * (patients != 1)}" if patients else ""
    tell = f"image{of} tells" if images == 1 else f"images{of} tell"
    return f"{images:,} {kind}{tell} {_points(images)} of accuracy apart"


def in_cell(images: int) -> str:
    """`1,000: 2.8 points`, below a heading that says the rest."""
    return f"{images:,}: {_points(images)}"


def _points(images: int) -> str:
    return f"{100 * resolves(images):.1f} points"
