"""A yes-or-no question on the command line: the flags that ask it, and `freeze`, which keeps it with the group."""

import argparse
from collections.abc import Callable
from typing import Any

from colora.cli.asked import names
from colora.cli.groups import IDENTITY, add_group, group_of
from colora.cli.printing import say
from colora.settings.catalog import THRESHOLD_RULES
from colora.system.errors import UserError
from colora.system.typed import one_line


def add_question(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """Classes, rule and value."""
    about = "operating point: one of these classes, or none"
    parser.add_argument("--positives", type=names, metavar="A,B,...", required=required, help=about)
    about = "how validation chooses its threshold: at least a sensitivity (default), Youden's index, or least cost"
    parser.add_argument("--rule", choices=tuple(THRESHOLD_RULES), help=about)
    about = "of the rule: a sensitivity (default 0.95), or how many false alarms a miss costs"
    parser.add_argument("--value", type=float, help=about)


def add_freeze_command(command: Callable, with_json: Callable) -> None:
    """Registers it; `command` and `with_json` are the command line's own."""
    about = "keep a yes-or-no question and the threshold that validation chooses for it; statistics tells it"
    freeze = with_json(command("freeze", _freeze, about))
    add_group(freeze)
    add_question(freeze, required=True)
    freeze.add_argument("--replace", action="store_true", help="replace another question that is frozen already")
    freeze.add_argument("--identity", metavar="ID", help=IDENTITY)


def asked_question(args: argparse.Namespace) -> Any:
    """The `results.operating_point.Question`, None where nothing is asked."""
    from colora.metrics.operating_point import Choice
    from colora.results.operating_point import Question

    prevalence = vars(args).get("prevalence")
    if not args.positives:
        for name in ("rule", "value", "prevalence"):
            if vars(args).get(name) is not None:
                raise UserError(f"--{name} is of an operating point: name its classes with --positives.")
        return None
    if prevalence is not None and not 0 < prevalence < 1:
        raise UserError(f"A prevalence lies between 0 and 1, and {prevalence:g} does not.")
    rule = args.rule or "sensitivity"
    if rule == "youden" and args.value is not None:
        raise UserError("--value: Youden's rule takes none.")
    value = THRESHOLD_RULES[rule] if args.value is None else args.value
    try:
        choice = Choice(rule, value)
    except ValueError as error:
        raise UserError(f"--value: {error}.") from error
    return Question(tuple(args.positives), choice, prevalence)


def _freeze(args: argparse.Namespace) -> int:
    from colora.results.question import freeze, says

    question = asked_question(args)
    group = group_of(args)
    kept = freeze(group, question, args.replace)
    return say(args, {"name": group.name, **kept}, f"{group.name}, frozen: {one_line(says(kept))}")
