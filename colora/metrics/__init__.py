"""Figures of labels and probabilities: of one model, over seeds, and how unsure models are.

Pure functions of arrays: no torch, no files, no run folders.
"""
