"""A new manifest goes into jobs/active, and the person is told.

Owns: where it goes, and what is said of what was chosen and left out. Never: asks the person anything, writes over a
file, or speaks to a daemon: it finds the new file by itself.
"""

from collections.abc import Sequence

import click

from reconciler.cli.context import Context
from reconciler.cli.new_files import NewFiles
from reconciler.cli.new_manifests import NewManifest
from reconciler.cli.render import shown
from reconciler.errors import InvalidInputError, NotFoundError

_LINES_SHOWN_MAX = 20

target_option = click.option(
    "--target-dir",
    default="library",
    show_default=True,
    help="Where the files go: relative to the root folder, or absolute below a library root.",
)


def write_new(context: Context, made: NewManifest, why: str = "") -> None:
    """Write a manifest and tell of it; `why` says why something was not looked up.

    Raises NotFoundError, InvalidInputError where the file is there already, and DiskError.
    """
    active = context.root / "jobs" / "active"
    if not active.is_dir():
        raise NotFoundError(f"{context.root} has no jobs/active", hint="make it with `reconciler init`, or name --root")
    path = active / made.file_name
    if not NewFiles(below=context.root).file(path, made.text):
        raise InvalidInputError(f"{path} is there already", hint="edit that one, or remove it first")
    name = str(path.relative_to(context.root))
    if context.as_json:
        context.print_json(
            {
                "path": name,
                "job_id": made.job_id,
                "job_type": made.job_type,
                "mbid": made.mbid,
                "name": made.name,
                "tracks": made.tracks,
                "skipped": list(made.skipped),
                "not_looked_up": why,
            }
        )
        return
    click.echo(f"wrote {shown(name, 400)}: {made.job_type} of {shown(made.name or str(made.mbid), 200)}")
    _say(made.chosen, "")
    _say(made.skipped, "left out: ")
    if why:
        click.echo(f"  not looked up: {shown(why, 400)}; the daemon does when it can")


def _say(lines: Sequence[str], head: str) -> None:
    for line in lines[:_LINES_SHOWN_MAX]:
        click.echo(f"  {head}{shown(line, 400)}")
    if len(lines) > _LINES_SHOWN_MAX:
        click.echo(f"  {head}and {len(lines) - _LINES_SHOWN_MAX} more")
