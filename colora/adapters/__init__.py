"""CoLoRA itself, a library of its own: adapters on convolutions, merged exactly, with their history and their files.

Start with `conv` (one convolution), go on with `model` (a network). Knows torch, safetensors and no other package of
colora.
"""
