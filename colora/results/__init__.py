"""From run folders to what is shown: one group, many side by side, and every image's predictions.

Reads, never writes. No torch, no figures: those are drawn from what is returned here.
"""
