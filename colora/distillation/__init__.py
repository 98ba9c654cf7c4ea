"""Which images to train on: scores of doubt, the rule that divides by them, what readers say, and whether it helped.

Knows results and never touches a model: a cut is a list of images, trained like any other group.
"""
