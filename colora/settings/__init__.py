"""What can be asked for: one checked model of a run's settings, and the plain tables around it (names, presets, rules).

Knows no torch, no run folder and no data: form, command line and run folder read the same few files.
"""
