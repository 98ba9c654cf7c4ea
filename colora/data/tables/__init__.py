"""`table:FILE`: from a table of images to a catalogue. `table` tells the story, the other files its steps: which column
holds what, where an image lies, its label, its split; `beside` offers a table that lies with class folders.
"""
