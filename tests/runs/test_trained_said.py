"""How much of a network trains, in sentences, and where it is little."""

import pytest

from colora.runs.trained_said import reached, says_by_pointwise_rank, says_few_reached, says_trained

COUNTS = {"adapter": 470_000, "adapted": 23_450_000, "trainable": 1_530_000, "deployed": 24_560_000, "layers": 53}


def test_the_sentence_has_layers_reach_and_weights():
    assert says_trained(COUNTS) == (
        "Adapters on 53 layers, which hold 99.8 % of the frozen weights, train 0.47 million: 2.0 % of these; the head "
        "trains 1.06 million beside them."
    )
    assert reached(COUNTS) == pytest.approx(23.45 / 23.5)
    one = {"adapter": 12, "adapted": 99_999, "trainable": 112, "deployed": 100_100, "layers": 1}
    assert says_trained(one) == (
        "Adapters on 1 layer, which holds 99.9 % of the frozen weights, train 12: under 0.1 % of these; the head "
        "trains 100 beside them."
    )


def test_what_was_not_counted_is_not_said():
    """As in runs of an older version, and where there are no adapters."""
    older = {name: value for name, value in COUNTS.items() if name not in ("adapted", "layers")}
    head = {"adapter": 0, "adapted": 0, "trainable": 10, "deployed": 100, "layers": 0}
    partly = {name: value for name, value in COUNTS.items() if name != "layers"}
    for counts in (older, head, partly, {}):
        assert reached(counts) is says_trained(counts) is says_few_reached(counts) is None


@pytest.mark.parametrize(("adapted", "warns"), [(49, True), (50, False), (100, False), (0, True)])
def test_less_than_half_is_a_warning(adapted, warns):
    counts = {"adapter": 3, "adapted": adapted, "trainable": 13, "deployed": 110, "layers": 2}
    said = says_few_reached(counts)
    assert (said is not None) is warns
    if warns:
        assert said.startswith(f"Only {adapted}.0 % of the frozen weights lie in layers with an adapter: most of the ")


def test_ranks_of_the_pointwise_factor_are_compared_where_they_differ():
    assert says_by_pointwise_rank({"none": 13_445_760, "8": 452_000}) == (
        "Weights of the adapters by the rank of the pointwise factor: 13.45 million where it is whole, 0.45 million "
        "with rank 8."
    )
    assert says_by_pointwise_rank({"none": 5, "512": 5}) is says_by_pointwise_rank({}) is None
