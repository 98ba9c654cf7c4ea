"""Hostile commands, a few of very many; `make test-fuzz` takes more, and `python tests/support/fuzz.py 2000 0` as many
as one likes, by hand, and prints the figures.
"""

import pytest
from fuzz import KINDS, fuzz


@pytest.mark.parametrize("cases", [pytest.param(50, id="some"), pytest.param(2000, id="all", marks=pytest.mark.fuzz)])
def test_no_hostile_command_is_a_fault_hangs_says_more_than_a_line_or_harms_a_neighbour(tmp_path, cases):
    outcomes = list(fuzz(tmp_path, range(cases)))
    wrong = [str(outcome) for outcome in outcomes if outcome.wrong()]
    assert not wrong, "\n".join(wrong)
    codes = [outcome.code for outcome in outcomes]
    assert len(codes) == cases and 0.1 * cases < codes.count(0) < 0.9 * cases, "some are sound, and most are not"
    assert {outcome.kind for outcome in outcomes} == set(KINDS)
    print(f"{cases} hostile commands, slowest {max(outcome.seconds for outcome in outcomes):.2f} s")
