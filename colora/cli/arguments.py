"""argparse as the command line has it: errors on one line, and no option twice, since the last would win in silence."""

import argparse
import sys
from typing import Any, NoReturn

from colora.system.typed import one_line

PLAIN = ("store", "store_const", "store_true", "store_false")  # "append" takes an option as often as it is given


def _once(action: type[argparse.Action]) -> type[argparse.Action]:
    """The action, refusing the second time. Positional arguments and abbreviations of an option are the same action."""

    class Once(action):
        def __call__(
            self, parser: "Parser", namespace: argparse.Namespace, values: Any, option: str | None = None
        ) -> None:
            given = vars(namespace).setdefault("_given", set())
            if option and self in given:
                instead = parser.instead.get(self.dest, "")
                parser.error(f"{self.option_strings[0]} is given twice: leave one out{instead}.")
            given.add(self)
            super().__call__(parser, namespace, values, option)

    return Once


class Parser(argparse.ArgumentParser):
    """Its commands are Parsers too. `instead` goes on, {destination: text}, where that option is given twice."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.instead: dict[str, str] = {}
        for name in PLAIN:
            self.register("action", name, _once(self._registry_get("action", name)))
        self.register("action", None, self._registry_get("action", "store"))

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {one_line(message)}", file=sys.stderr)
        raise SystemExit(2)
