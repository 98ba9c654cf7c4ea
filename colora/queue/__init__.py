"""Who trains what next on this machine: the queue, the supervisor that works through it, and each run's guard.

    colora launch ─► run folders (queued) ─► supervisor, one per runs folder, user and host
                                                └─► guard, one per run ─► python -m colora train --run-dir DIR

    app, pages, list, show, queue ─► worked: is there a supervisor? else one is begun
    systemd (supervise --install) ─► unit: one that stays

No process needs another to live on: the browser's server, the supervisor or a guard may be killed at any moment, and
training goes on. What stands in the run folders is enough for the next supervisor to take over. Imports no torch.
"""
