"""What every command starts from: the root folder, its configuration, and how to speak.

Owns: finding and reading these. Never: does a command's work.
"""

import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from loguru import logger
from rich.console import Console

from reconciler.config import Settings
from reconciler.errors import BadConfigurationError, InvalidInputError, NotFoundError
from reconciler.hooks.placeholders import check_command
from reconciler.library.naming import DEFAULT_TEMPLATE, check_template
from reconciler.manifests.configuration import read_configuration
from reconciler.manifests.files import read_input
from reconciler.state.database import Database
from reconciler.state.location import state_folder

CONFIGURATION_NAME = "reconciler.yml"

# A table that is piped somewhere is not cut to a terminal's width: what reads it wants whole ids and paths.
PIPED_WIDTH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One invocation."""

    root: Path
    """Absolute."""
    as_json: bool
    console: Console
    """Standard output, coloured on a terminal unless NO_COLOR is set."""
    state_given: Path | None
    """What `--state` says."""

    @property
    def state(self) -> Path:
        """The state folder of the root."""
        return self.state_given or state_folder(self.root, os.environ)

    @property
    def database_path(self) -> Path:
        """The state database, which exists once a daemon has run."""
        return self.state / "reconciler.db"

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """Open the state database for reading, beside a daemon or without one; NotFoundError where none has run yet."""
        with self._opened(Database.open_read_only) as database:
            yield database

    @contextlib.contextmanager
    def database_to_edit(self) -> Iterator[Database]:
        """Open the state database for writing as well; otherwise as `database`."""
        with self._opened(Database.open_beside) as database:
            yield database

    @contextlib.contextmanager
    def _opened(self, open_at: Callable[[Path], Database]) -> Iterator[Database]:
        if not self.database_path.exists():
            raise NotFoundError(
                f"no daemon has worked on {self.root} yet",
                hint=f"start one with `reconciler run --root {self.root}`, or name another --root",
            )
        database = open_at(self.database_path)
        try:
            yield database
        finally:
            database.close()

    def settings(self) -> Settings:
        """Read `reconciler.yml` and the environment; raises BadConfigurationError with every problem."""
        return settings_in(self.root)

    def print_json(self, value: object) -> None:
        """Print one JSON document."""
        click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def settings_in(root: Path) -> Settings:
    """The settings that hold for the root folder `root`; a root without a configuration has the defaults."""
    path = root / CONFIGURATION_NAME
    try:
        data = read_input(path).data
    except FileNotFoundError:
        data = b"{}\n"
    except InvalidInputError as error:
        raise BadConfigurationError(f"{path}: {error.message}", hint=error.hint) from error
    found = read_configuration(data, os.environ)
    if isinstance(found, tuple):
        # What the environment says stands in no file; its problem names the variable.
        lines = "\n".join(f"{path}:{each}" if each.line else str(each).removeprefix("0:0: ") for each in found)
        raise BadConfigurationError(lines, hint="mend the configuration and start again")
    try:
        for template in (found.library.naming, *(own.naming for own in found.library.root_rules)):
            check_template(template or DEFAULT_TEMPLATE)
    except InvalidInputError as error:
        raise BadConfigurationError(f"{path}: library.naming: {error.message}", hint=error.hint) from error
    if found.library.cover_art == "embed" and not found.library.write_tags:
        message = f"{path}: library.cover_art: embed puts pictures into tagged files, and library.write_tags is off"
        raise BadConfigurationError(message, hint="set library.write_tags: true, or library.cover_art: file")
    try:
        check_command(found.hooks.on_completed)
    except InvalidInputError as error:
        raise BadConfigurationError(f"{path}: {error.message}", hint=error.hint) from error
    return found


def terminal() -> Console:
    """Standard output for tables: as wide as the terminal, or as wide as it takes where it is piped."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


_ROOT = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    envvar="RECONCILER_ROOT",
    show_default="the current folder",
    help="The folder that holds jobs/, logs/ and reconciler.yml.",
)
_STATE = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="$STATE_DIRECTORY, else a folder below $XDG_STATE_HOME",
    help="The daemon's own folder: database, unfinished files, identity. Never in a synced folder.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text for people.")


def root_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--root` and `--json`, and hand the command a Context as its first argument."""

    @_ROOT
    @_JSON
    @functools.wraps(command)
    def run(*, root: Path, as_json: bool, state: Path | None = None, **rest: object) -> None:
        given = None if state is None else state.absolute()
        command(Context(root=root.absolute(), as_json=as_json, console=terminal(), state_given=given), **rest)

    return run


def state_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--root`, `--json` and `--state`: for commands that work on the daemon's own folder."""
    return _STATE(root_options(command))


def is_asked_itself() -> bool:
    """Whether a group of commands is to answer itself, and not one of its commands; an option before that is refused.

    It would be lost: each command has its own.
    """
    asked = click.get_current_context()
    if asked.invoked_subcommand is None:
        return True
    given = [name for name in asked.params if asked.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"write --{given[0].removeprefix('as_')} after `{asked.invoked_subcommand}`")
    return False


def log_to_stderr(*, debug: bool) -> None:
    """Send log lines for people to standard error: constant words, then pairs."""
    logger.remove()
    shown = "<dim>{time:HH:mm:ss}</dim> <level>{level: <7}</level> {message}{extra[pairs]}"

    def with_pairs(record: Any) -> None:
        pairs = (f"{name}={value}" for name, value in record["extra"].items() if name != "pairs" and value != "")
        record["extra"]["pairs"] = "".join(f" {pair}" for pair in pairs)

    logger.configure(patcher=with_pairs)
    logger.add(sys.stderr, format=shown, level="DEBUG" if debug else "INFO", backtrace=False, diagnose=False)
