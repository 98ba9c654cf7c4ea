"""How much of a network trains, in sentences: of what `colora.adapters.summary.count_parameters` has counted, as the
command line, the log and the pages say it. Runs of an older version did not count what the adapted layers hold."""

from collections.abc import Mapping

COUNTED = {"adapter", "adapted", "trainable", "deployed", "layers"}
FEW = 0.5  # of the frozen weights; where less lies in adapted layers, that is said


def reached(counts: Mapping[str, int]) -> float | None:
    """Share, 0 to 1, of the frozen weights that lie in adapted layers; None without adapters, or where not counted."""
    if not counts.get("adapter") or not counts.keys() >= COUNTED:
        return None
    return counts["adapted"] / _frozen(counts)


def says_trained(counts: Mapping[str, int]) -> str | None:
    """What the adapters reach and train; None as `reached`."""
    share = reached(counts)
    if share is None:
        return None
    adapter, head = counts["adapter"], counts["trainable"] - counts["adapter"]
    on = "1 layer, which holds" if counts["layers"] == 1 else f"{counts['layers']:,} layers, which hold"
    return (
        f"Adapters on {on} {_percent(share)} of the frozen weights, train {_amount(adapter)}: "
        f"{_percent(adapter / _frozen(counts))} of these; the head trains {_amount(head)} beside them."
    )


def says_few_reached(counts: Mapping[str, int]) -> str | None:
    """A warning, where most of the frozen weights lie in layers without an adapter; else None."""
    share = reached(counts)
    if share is None or share >= FEW:
        return None
    return (
        f"Only {_percent(share)} of the frozen weights lie in layers with an adapter: most of the network stays as it "
        "is. Targets that match more layers reach more; all reaches every one."
    )


def says_by_pointwise_rank(adapters: Mapping[str, int]) -> str | None:
    """What the rank of the pointwise factor does to one network, of {rank, or "none" for a whole one: weights of its
    adapters}; None without adapters, or where no layer is so large that the rank makes its factor smaller."""
    if len(set(adapters.values())) < 2:
        return None
    each = [f"{_amount(n)} {'where it is whole' if p == 'none' else f'with rank {p}'}" for p, n in adapters.items()]
    return f"Weights of the adapters by the rank of the pointwise factor: {', '.join(each)}."


def _frozen(counts: Mapping[str, int]) -> int:
    return max(1, counts["deployed"] - (counts["trainable"] - counts["adapter"]))


def _amount(count: int) -> str:
    return f"{count / 1e6:.2f} million" if count >= 100_000 else f"{count:,}"


def _percent(share: float) -> str:
    """Such as `1.9 %`; neither all nor nothing where it is not that."""
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        text = "99.9"
    return "under 0.1 %" if text == "0.0" and share > 0 else f"{text} %"
