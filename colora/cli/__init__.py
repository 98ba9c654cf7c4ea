"""Every job without a browser: each file adds its own commands to the parser, `main` puts them together.

Knows everything and decides nothing: parse, ask the package that does the work, print. What needs torch is imported
where it is used, so that the other commands answer at once.
"""
