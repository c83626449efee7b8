"""The command `reconciler`: which commands there are, and what their errors look like.

Owns: the command table and the one place where an error becomes a message and an exit code. Never: does a command's
work.
"""

import io
import sys
from typing import Literal, assert_never, get_args

import click
from loguru import logger

from reconciler import __version__
from reconciler.cli.context import log_to_stderr
from reconciler.cli.groups import GuessingGroup
from reconciler.errors import DiskError, ExitCode, ReconcilerError

EPILOG = """\b
Begin here:
  reconciler demo                      see it work: no network, half a minute
  reconciler init --root ~/music       make the folders
  reconciler run --root ~/music        start the daemon
  reconciler doctor --root ~/music     what is in its way, and what to do

\b
Exit codes: 0 ok, 1 failure, 2 invalid input or usage, 3 not everything completed, 4 not found,
75 another instance, 78 bad configuration.
"""


CommandName = Literal[
    "demo",
    "init",
    "run",
    "validate",
    "plan",
    "status",
    "job",
    "peers",
    "hooks",
    "library",
    "doctor",
    "simulate",
    "completion",
    "git-filter",
]


class Commands(GuessingGroup):
    """The commands in the order in which a newcomer meets them, each loaded when it is used.

    `validate` in a git hook must not wait for the daemon's libraries: loading those takes a second, the check a moment.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name every command."""
        return list(get_args(CommandName))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Load one command; None where there is no such."""
        return _load(cmd_name) if cmd_name in get_args(CommandName) else None  # type: ignore[arg-type]


def _load(name: CommandName) -> click.Command:  # noqa: C901, PLR0911, PLR0912 - one for each command
    # ruff: noqa: PLC0415 - late on purpose, see Commands
    match name:
        case "demo":
            from reconciler.cli.cmd_demo import demo

            return demo
        case "init":
            from reconciler.cli.cmd_init import init

            return init
        case "run":
            from reconciler.cli.cmd_run import run

            return run
        case "validate":
            from reconciler.cli.cmd_validate import validate

            return validate
        case "plan":
            from reconciler.cli.cmd_plan import plan

            return plan
        case "status":
            from reconciler.cli.cmd_status import status

            return status
        case "job":
            from reconciler.cli.cmd_job import job

            return job
        case "peers":
            from reconciler.cli.cmd_peers import peers

            return peers
        case "hooks":
            from reconciler.cli.cmd_hooks import hooks

            return hooks
        case "library":
            from reconciler.cli.cmd_library import library

            return library
        case "simulate":
            from reconciler.cli.cmd_simulate import simulate

            return simulate
        case "doctor":
            from reconciler.cli.cmd_doctor import doctor

            return doctor
        case "completion":
            from reconciler.cli.cmd_completion import completion

            return completion
        case "git-filter":
            from reconciler.cli.cmd_git_filter import git_filter

            return git_filter
        case _:
            assert_never(name)


@click.group(
    cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="reconciler")
@click.option("--debug", is_flag=True, help="Say more, and show tracebacks.")
def cli(*, debug: bool) -> None:
    """Write what music you want as YAML in a folder; a daemon makes it so."""
    log_to_stderr(debug=debug)


def main() -> None:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that is no text, or a terminal that has not all characters: shown escaped, as JSON has it, too.
            stream.reconfigure(errors="backslashreplace")
    try:
        # Without standalone mode click returns the code of an Exit instead of leaving.
        sys.exit(cli(standalone_mode=False, prog_name="reconciler") or ExitCode.OK)
    except click.Abort:
        click.echo("stopped", err=True)
        sys.exit(ExitCode.FAILURE)
    except click.ClickException as refused:
        refused.show()
        sys.exit(refused.exit_code)
    except ReconcilerError as error:
        sys.exit(_tell(error))
    except OSError as error:
        # What no command has words of its own for: a name that is too long, a folder that may not be looked into.
        where = f"{error.filename}: " if error.filename else ""
        hint = "look at that path and its permissions; --debug says where it came from"
        sys.exit(_tell(DiskError(f"{where}{error.strerror or error}", hint=hint)))


def _tell(error: ReconcilerError) -> int:
    """Say what happened, where, and what to do next."""
    click.echo(f"reconciler: {error.message}", err=True)
    if error.hint:
        click.echo(f"  what to do: {error.hint}", err=True)
    if "--debug" in sys.argv:
        logger.opt(exception=error).debug("where it came from")
    return int(error.exit_code)
