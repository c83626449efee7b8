"""The generated pages of docs/reference say what the program says.

`RECONCILER_WRITE_REFERENCE=1 pytest tests/tidy/test_reference.py` writes them anew.
"""

import os

import click
import pytest
from house import REPOSITORY

from reconciler import errors
from reconciler.cli.main import cli
from reconciler.errors import ExitCode, ReconcilerError

HEAD = "<!-- Generated from the program by tests/tidy/test_reference.py; edit there. -->\n"


def cli_page() -> str:
    """Every command with its help text, as `--help` prints it."""
    parts = [HEAD, "# Commands\n"]
    for words, command in _commands(cli, ("reconciler",)):
        context = click.Context(command, info_name=" ".join(words), terminal_width=100, **cli.context_settings)
        parts.append(f"## `{' '.join(words)}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(command, words):
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=" ".join(words))
        for name in command.list_commands(context):
            yield from _commands(command.get_command(context, name), (*words, name))


def errors_page() -> str:
    """The error tree: what each means, whose fault, whether it is tried again, and the exit code."""
    lines = [HEAD, "# Errors and exit codes\n", "| error | what happened | whose fault | tried again | exit code |"]
    lines.append("|---|---|---|---|---|")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ReconcilerError)]
    for kind in kinds:
        said = " ".join((kind.__doc__ or "").split())
        again = "yes" if kind.retriable else "no"
        lines.append(f"| `{kind.__name__}` | {said} | {kind.fault} | {again} | {int(kind.exit_code)} |")
    lines += ["", "| exit code | name |", "|---|---|", *(f"| {code.value} | {code.name} |" for code in ExitCode), ""]
    return "\n".join(lines)


@pytest.mark.parametrize(("name", "make"), [("cli.md", cli_page), ("errors.md", errors_page)])
def test_a_reference_page_is_what_the_program_says(name, make):
    """A changed option or error without its page is noticed."""
    page = REPOSITORY / "docs" / "reference" / name
    if os.environ.get("RECONCILER_WRITE_REFERENCE"):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(make(), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == make()
