"""Networks with pretrained weights, and which of their weights a method trains.

A network is one line in `settings.catalog` and one in `backbones`; a method is one line in `methods`. Knows no images
and no runs.
"""
