"""Hostile commands, a few of very many: COLORA_FUZZ=5000 takes that many, from another number on with COLORA_FUZZ_FROM.

`python tests/support/fuzz.py 2000 0` does the same by hand, and prints the figures.
"""

import os

import pytest
from fuzz import KINDS, fuzz

CASES, FIRST = int(os.environ.get("COLORA_FUZZ", "50")), int(os.environ.get("COLORA_FUZZ_FROM", "0"))


@pytest.mark.timeout(120 + 10 * CASES)  # on a busy machine
def test_no_hostile_command_is_a_fault_hangs_says_more_than_a_line_or_harms_a_neighbour(tmp_path):
    outcomes = list(fuzz(tmp_path, range(FIRST, FIRST + CASES)))
    wrong = [str(outcome) for outcome in outcomes if outcome.wrong()]
    assert not wrong, "\n".join(wrong)
    codes = [outcome.code for outcome in outcomes]
    assert len(codes) == CASES and 0.1 * CASES < codes.count(0) < 0.9 * CASES, "some are sound, and most are not"
    assert {outcome.kind for outcome in outcomes} == set(KINDS) or CASES < 40
