"""A bar on stderr for what takes a while, downloads, images being read; or lines, for a program that reads them."""

import json
import os
import sys
import time
from typing import Any

LINES = "COLORA_PROGRESS"  # in the environment, "lines": a line of JSON now and then, terminal or not
EACH_SECONDS = 0.3  # between two of these lines


class Bar:
    """Bytes, or what `unit` says, on stderr, where that is a terminal; starts anew with each state."""

    def __init__(self, name: str, unit: str = "B"):
        self.name, self.unit, self.state, self.bar = name, unit, "", None
        self.told = 0.0

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, state: str, done: int, total: int | None) -> None:
        if os.environ.get(LINES) == "lines":
            self._line(state, done, total)
            return
        from tqdm import tqdm

        if self.bar is None:
            shape = _assumed_shape()
            self.bar = tqdm(
                unit=self.unit, unit_scale=self.unit == "B", file=sys.stderr, disable=None, leave=False, **shape
            )
        if state != self.state or done < self.bar.n:
            self.state = state
            self.bar.reset(total)
            # What is there already did not arrive now: it counts for how far, not for how fast.
            self.bar.initial = self.bar.n = self.bar.last_print_n = done
            self.bar.set_description(f"{state} {self.name}")
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def _line(self, state: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if state != self.state or now - self.told >= EACH_SECONDS:
            self.state, self.told = state, now
            print(json.dumps({"progress": state, "done": done, "total": total}), file=sys.stderr, flush=True)


def _assumed_shape() -> dict[str, int]:
    """Columns and rows for tqdm where the terminal has none, as one that a program opened and gave no size."""
    if not sys.stderr.isatty():
        return {}
    columns, rows = os.get_terminal_size(sys.stderr.fileno())
    return {} if columns and rows else {"ncols": 79, "nrows": 24}
