"""Images that come in through the browser: a zip or a folder becomes a folder of the runs folder, to be trained on.

`names` says what of it is kept and where, `zipped` reads a zip of which nothing is trusted, `take` writes, and `kept`
has what is there: list, find, remove.
"""
