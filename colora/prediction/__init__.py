"""A group's finished models on images that they have not seen: one scan, a folder of them, another labelled set.

`known` is what a group's own images tell about how far an answer can be trusted, `answer` one image's answer beside it;
both know no torch. `models` runs the networks, `worker` keeps them in a process of its own beside a page.
"""
