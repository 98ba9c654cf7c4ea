"""SLURM as an engine: `engine` has its functions, the others ask the cluster and tell what it answers.

Knows SLURM by its own commands only; nothing of ours schedules across machines.
"""
