"""The version of CoLoRA Studio: here, at the bottom, since downloads tell it to the hosts that they ask."""

VERSION = "0.1.0"
