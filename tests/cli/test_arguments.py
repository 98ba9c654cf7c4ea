"""No option twice: the last would win in silence, and half of what was asked for would be gone."""

import argparse

import pytest
from commands import mistake

from colora.cli.arguments import Parser
from colora.cli.main import _parser


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["launch", "--name", "g", "--lr", "1", "--lr", "2"], "--lr"),
        (["launch", "--name", "g", "--name=h"], "--name"),
        (["launch", "--nam", "g", "--na", "h"], "--name"),  # abbreviations are the option itself
        (["launch", "--name", "g", "--partial-weights", "--partial-weights"], "--partial-weights"),
        (["launch", "--name", "g", "--engine", "local", "--engine", "slurm"], "--engine"),
        (["list", "--json", "--json"], "--json"),
        (["queue", "move", "g", "--first", "--first"], "--first"),
        (["bench", "--repeats", "1", "--repeats", "1"], "--repeats"),  # the same value as well
        (["supervise", "--slots", "1", "--slots", "2"], "--slots"),
        (["cut", "show", "--runs-dir", "a", "--runs-dir", "b", "x"], "--runs-dir"),
    ],
)
def test_an_option_given_twice_is_one_sentence(capsys, arguments, flag):
    said = mistake(capsys, *arguments)
    assert said.startswith(f"colora {arguments[0]}") and f": {flag} is given twice: leave one out" in said


def commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [parser, *(one for action in inner for sub in action.choices.values() for one in commands(sub))]


def test_every_option_of_every_command_is_taken_once_but_for_those_that_collect():
    """A new command or option has it without saying so."""
    for parser in commands(_parser()):
        assert isinstance(parser, Parser)
        for action in parser._actions:
            collects = type(action).__name__ == "_AppendAction"
            if action.option_strings and not collects and "--help" not in action.option_strings:
                assert type(action).__name__ == "Once", (parser.prog, action.option_strings)
                assert action.nargs in (None, 0), (parser.prog, action.option_strings)
            if collects:
                assert action.dest in ("vary", "slurm")


def test_every_command_and_the_whole_tell_of_themselves():
    for parser in commands(_parser()):
        assert parser.prog in parser.format_help()


def test_a_repeated_setting_is_shown_the_way_to_several_values(capsys):
    said = mistake(capsys, "launch", "--name", "g", "--lr", "1e-3", "--lr", "1e-4")
    assert said == "colora launch: --lr is given twice: leave one out; several values go into --vary.\n"


def test_two_parses_know_nothing_of_each_other():
    parser = Parser(prog="x")
    parser.add_argument("--n")
    assert [parser.parse_args(["--n", value]).n for value in ("1", "2")] == ["1", "2"]


def test_what_slurm_is_asked_for_twice_is_a_mistake(capsys):
    common = ["launch", "--name", "g", "--preset", "quick-look"]
    said = mistake(capsys, *common, "--slurm", "time=1:00:00", "--slurm", "cpus=2", "--slurm", "time=2:00:00")
    assert "--slurm time is given twice: leave one out." in said
