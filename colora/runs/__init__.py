"""The run folder, the only truth about a run: `folder` writes and reads it, the others look after it.

Knows settings and files, and neither images nor who trains. No torch, so that pages and queue can read.
"""
