"""The command line. `--json` prints one JSON document on stdout and nothing else; errors are one line on stderr.

Exit codes: 0 done, 1 something failed, 2 a mistake a person can put right.
"""

import sys
from collections.abc import Sequence
from typing import Any

from colora.cli.arguments import Parser
from colora.cli.cluster import add_cluster_command
from colora.cli.costs import add_cost_commands
from colora.cli.files import add_file_commands
from colora.cli.groups import runs_folders
from colora.cli.images import add_image_commands
from colora.cli.launch import add_launch_command
from colora.cli.results import add_result_commands
from colora.cli.runs import add_run_commands
from colora.settings.catalog import NOTICE
from colora.system import access, processor
from colora.system.errors import UserError
from colora.system.storage import FORBIDDEN, FULL, NO_PLACE
from colora.system.typed import shortened


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    processor.prepare()
    args = _parser().parse_args(arguments)
    try:
        if folders := runs_folders(args):
            access.write_as(*folders)
        return args.run(args)
    except UserError as error:
        print(f"colora {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, `head` for one, has had enough
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print(f"\ncolora {args.command}: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (*FULL, *FORBIDDEN, *NO_PLACE):
            raise
        why = "the disk is full: free some space" if error.errno in FULL else "there is no permission"
        if error.errno in NO_PLACE:
            why = f"there can be no such place ({error.strerror})"
        what = shortened(str(error.filename)) if error.filename else "a file"
        print(f"colora {args.command}: {what} cannot be read or written: {why}.", file=sys.stderr)
        return 2


def _parser() -> Parser:
    parser = Parser(prog="colora", description=f"CoLoRA fine-tuning of CNNs on retinal OCT images. {NOTICE}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Any, about: str | None) -> Parser:
        sub = commands.add_parser(name, help=about, description=about) if about else commands.add_parser(name)
        sub.set_defaults(run=run)
        return sub

    def with_json(sub: Parser) -> Parser:
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        return sub

    add_launch_command(command, with_json)
    add_result_commands(command, with_json)
    add_cost_commands(command, with_json)
    add_run_commands(command, with_json)
    add_file_commands(command, with_json)
    add_image_commands(command, with_json)
    add_cluster_command(command, with_json)
    return parser
