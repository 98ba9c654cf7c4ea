"""Which settings decide what a network is and what a step of its training takes: one table for launch and page.

Changing any other one measures nothing again: it enters the arithmetic of training.estimate, or changes no figure.
"""

from colora.settings.config import RunConfig, make_config

MODEL = (  # what is built and what trains
    "backbone", "method", "image_size", "order", "rank", "pointwise_rank", "layers", "bias", "targets",
)  # fmt: skip
WEIGHTS = ("weights", "partial_weights")  # which file of weights is taken, and whether it fits
WORK = (*MODEL, "batch_size", "augment", "batch_norm", "device", "precision", "threads")  # and how a step computes


def work_of(config: RunConfig) -> RunConfig:
    """The same work, with every other setting at its default and random weights."""
    return make_config({name: getattr(config, name) for name in WORK} | {"weights": "none"})
