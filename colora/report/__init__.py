"""From an answer to paper: documents that say what a page of the app says, for a patient's file or a study's.

Lays out what others have computed, and computes nothing. Each document is a function here and a template beside it,
set by typst, with the fonts that come with it and without a network. No torch; opens no run folder.
"""
