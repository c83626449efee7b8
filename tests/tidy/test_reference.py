"""The generated pages of docs/reference say what the program says.

`RECONCILER_WRITE_REFERENCE=1 pytest tests/tidy/test_reference.py` writes them anew.
"""

import json
import os

import click
import pytest
from house import REPOSITORY

from reconciler import errors
from reconciler.cli.main import cli
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.manifests.forms import load_schema

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


CONFIGURATION = """\
# Configuration

`reconciler.yml` in the root folder; every setting is optional. An unknown one is an error with a suggestion, and a
wrong value is refused with its line before anything starts (exit code 78). Each can be given in the environment too:
`RECONCILER__MESH__OVERLAY__LISTEN=0.0.0.0:7443` is `mesh.overlay.listen`; lists are comma-separated.
"""


def configuration_page() -> str:
    """Every setting of the schema: what it does, its type and limits, its default."""
    parts = [HEAD, CONFIGURATION]
    for name, section in load_schema("configuration")["properties"].items():
        parts.append(f"## `{name}`\n")
        if "description" in section:
            parts.append(f"{_shown(section['description'])}\n")
        parts += ["| setting | what it does | values | default |", "|---|---|---|---|", *_settings(section, name), ""]
    return "\n".join(parts)


def _settings(section, path):
    for name, setting in section["properties"].items():
        where = f"{path}.{name}"
        if "properties" in setting:
            yield from _settings(setting, where)
            continue
        said = _shown(setting.get("description", setting["title"]))
        default = "" if "default" not in setting else f"`{json.dumps(setting['default'])}`"
        yield f"| `{where}` | {said} | {_values(setting)} | {default} |"
        each = setting.get("items", {}).get("properties", {})
        described = {name: below for name, below in each.items() if "description" in below}
        yield from _settings({"properties": described}, f"{where}[]")


def _shown(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def _values(setting):
    """What a setting may be, in a few words."""
    if "enum" in setting:
        return ", ".join(f"`{value}`" for value in setting["enum"])
    kind = setting.get("type", "")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    if "minimum" in setting:
        return f"{kind}, {setting['minimum']} to {setting['maximum']}"
    examples = [example for example in setting.get("examples", []) if example != setting.get("default")]
    return f"{kind}, such as `{json.dumps(examples[0])}`" if examples else kind


@pytest.mark.parametrize(
    ("name", "make"), [("cli.md", cli_page), ("errors.md", errors_page), ("configuration.md", configuration_page)]
)
def test_a_reference_page_is_what_the_program_says(name, make):
    """A changed option or error without its page is noticed."""
    page = REPOSITORY / "docs" / "reference" / name
    if os.environ.get("RECONCILER_WRITE_REFERENCE"):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(make(), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == make()
