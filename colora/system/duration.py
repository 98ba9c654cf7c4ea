"""Spans of time as people say them."""


def duration(seconds: float) -> str:
    """`about 3 min`; nobody plans by the second."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h" if seconds < 36_000 else f"about {seconds / 3600:.0f} h"


def span(low: float, high: float) -> str:
    """`about 3 to 7 min`, `about 50 s to 2 min`; one figure where people would say the same of both."""
    first, last = duration(low), duration(high)
    if first == last:
        return first
    number, _, unit = first.partition(" ")[2].partition(" ")
    if first.startswith("about ") and last.endswith(f" {unit}"):
        first = f"about {number}"
    return f"{first} to {last.removeprefix('about ')}"
