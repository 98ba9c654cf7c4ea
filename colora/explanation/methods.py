"""The ways to ask a network where it looks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    title: str
    about: str
    source: str


METHODS = {
    "hirescam": Method(
        "HiResCAM",
        "Which places of the last map of features raise the score of the class. Quick, and as coarse as that map.",
        "Draelos and Carin 2020, arXiv:2011.08891",
    ),
    "grad-cam": Method(
        "Grad-CAM",
        "As HiResCAM, but each feature has one weight for the whole picture. The one that is known best.",
        "Selvaraju et al. 2017, arXiv:1610.02391",
    ),
    "occlusion": Method(
        "Occlusion",
        "How far the score of the class falls when a patch of the picture is blurred. Slow, and looks at answers only.",
        "Zeiler and Fergus 2014, arXiv:1311.2901",
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        "How much each pixel has added to the score of the class on the way from a blurred picture to this one. "
        "Much of it is the picture itself.",
        "Sundararajan et al. 2017, arXiv:1703.01365",
    ),
}
USUAL = next(iter(METHODS))
SMALLEST = 128  # pixels; below that a map's places are so few that it points at nothing
PLACES = 16  # a side, by which maps are compared and pictures covered
STEPS = 5  # from the whole picture to none of it; with 8 the verdicts are the same (benchmarks/explanations)
NO_FINDING = (
    "A map tells which places of the picture the answer hangs on. It is no finding: where it is bright the models "
    "look, whether or not anything is there."
)
