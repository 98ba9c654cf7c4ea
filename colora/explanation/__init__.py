"""Where a model looks, and what such a map is worth.

`methods` and `maps` say what there is and put it together, `overlay` draws it: these run without torch.
`attribution` and `perturbation` ask the networks.
"""
