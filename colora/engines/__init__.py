"""Who starts what is queued (`local`, `slurm`), how groups are launched with them, and what waits for what.

An engine is one module with the functions of `engine.Engine` and one line in its table. Knows the queue and the run
folders; whatever the engine, a seed is `python -m colora train --run-dir DIR`. Imports no torch until it looks ahead.
"""
