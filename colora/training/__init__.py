"""One seed, from its folder to the trained model and back: `run` begins and ends it, `loop` is its epochs.

Beside them what is asked before (will it fit, how long) and after (other images). Knows no queue: it trains what it is
given. `preflight`, `estimate` and `total` import no torch until something has to be measured.
"""
