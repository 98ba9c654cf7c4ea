"""The command line. `--json` prints one JSON document on stdout and nothing else; errors are one line on stderr.

Exit codes: 0 done, 1 something failed, 2 a mistake a person can put right. What nobody foresaw is one line too, which
names the file with the traceback (colora.cli.faults); `--debug`, before or after the command, shows it instead.
"""

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from colora.cli.arguments import Parser
from colora.cli.cluster import add_cluster_command
from colora.cli.costs import add_cost_commands
from colora.cli.faults import fault, print_traceback
from colora.cli.files import add_file_commands
from colora.cli.groups import runs_folders
from colora.cli.images import add_image_commands
from colora.cli.launch import add_launch_command
from colora.cli.predictions import add_prediction_commands
from colora.cli.question import add_freeze_command
from colora.cli.results import add_result_commands
from colora.cli.runs import add_run_commands
from colora.cli.statistics import add_statistics_commands
from colora.settings.catalog import NOTICE
from colora.system import file_rights, processor
from colora.system.errors import UserError
from colora.system.storage import FORBIDDEN, FULL
from colora.system.typed import one_line

DEBUG = "--debug"
LONGEST_PART = 150  # letters at the beginning and at the end of a path that a sentence names


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    given, debug = _taken_out(sys.argv[1:] if arguments is None else arguments)
    _show_all_characters()
    _keep_libraries_quiet()
    command = "colora"
    try:
        processor.prepare()
        args = _parser().parse_args(given)
        command = f"colora {args.command}"
        if folders := runs_folders(args):
            file_rights.write_as(*folders)
        code = args.run(args)
        if sys.stdout:
            sys.stdout.flush()  # now, while a full disk can still be said
        return code
    except UserError as error:
        return _say(command, str(error), error.exit_code)
    except BrokenPipeError:  # the reader, `head` for one, has had enough
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print(f"\n{command}: interrupted", file=sys.stderr)
        return 130
    except SystemExit:
        raise
    except BaseException as error:  # whatever it is, a person gets a line that says what to do or where to look
        _let_go_of_output()
        if debug:
            print_traceback(error)
        if sentence := _of_the_system(error):
            return _say(command, sentence, 2)
        return 1 if debug else _say(command, fault(error, given), 1)


def _taken_out(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """The arguments without --debug, and whether it was among them; behind `--` it is a name like any other."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    ours = [text for text in arguments[:end] if text != DEBUG]
    return [*ours, *arguments[end:]], DEBUG in arguments[:end]


def _keep_libraries_quiet() -> None:
    """What they remark on damaged data would be a second line beside the sentence about it."""
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", module=r"(PIL|numpy|pandas|zipfile|torch\.(serialization|_utils|storage))\b")


def _show_all_characters() -> None:
    """What the terminal, or a file in another encoding, cannot show is written as its escape, and ends no command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _say(command: str, sentence: str, code: int) -> int:
    print(f"{command}: {one_line(sentence)}", file=sys.stderr)
    return code


def _let_go_of_output() -> None:
    """What could not be written is not tried again at the end, where Python says so in its own words."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _of_the_system(error: BaseException) -> str | None:
    """What the system refused, as a sentence; None where that is not what has happened."""
    if not isinstance(error, OSError) or error.errno is None:
        return None
    if error.errno == errno.ENOENT and not _here():
        return "the folder in which this command was given is gone: change to another one."
    if error.filename is None and error.errno not in (*FULL, *FORBIDDEN):
        return None
    if error.errno in FULL:
        why = "the disk is full: free some space"
    elif error.errno in FORBIDDEN:
        why = "there is no permission"
    else:
        why = error.strerror
    if error.filename is None:
        return f"The output, or a file, cannot be read or written: {why}."
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    if len(path) > 2 * LONGEST_PART:
        path = f"{path[:LONGEST_PART]}…{path[-LONGEST_PART:]}"
    return f"{path} cannot be read or written: {why}."


def _here() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def _parser() -> Parser:
    parser = Parser(prog="colora", description=f"CoLoRA fine-tuning of CNNs on retinal OCT images. {NOTICE}")
    parser.add_argument(DEBUG, action="store_true", help="show the traceback of a fault of the program; of any command")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Any, about: str | None) -> Parser:
        listed = {"help": about.replace("%", "%%"), "description": about} if about else {}  # help is formatted
        sub = commands.add_parser(name, **listed)
        sub.set_defaults(run=run)
        return sub

    def with_json(sub: Parser) -> Parser:
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        return sub

    add_launch_command(command, with_json)
    add_result_commands(command, with_json)
    add_prediction_commands(command, with_json)
    add_statistics_commands(command, with_json)
    add_freeze_command(command, with_json)
    add_cost_commands(command, with_json)
    add_run_commands(command, with_json)
    add_file_commands(command, with_json)
    add_image_commands(command, with_json)
    add_cluster_command(command, with_json)
    return parser
