"""The machine beneath: files, processes, devices, downloads, text that was typed, and the one error that people read.

Knows nothing of runs, networks or images: what stands here would serve another program as well.
"""
