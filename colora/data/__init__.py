"""Images and labels: sources, splits, patients, preparation at one size, and the lists that say which to train on.

Each source becomes a `dataset.Dataset` in `sources.load_dataset`. Knows settings and run folders' cuts, and no network:
arrays of uint8, no torch.
"""
