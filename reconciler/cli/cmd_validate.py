"""`reconciler validate`: every problem of every manifest, before anything runs.

Owns: which files are looked at and how problems are printed. Never: needs a daemon, a network or a configuration.
"""

import socket
from pathlib import Path, PurePosixPath

import click

from reconciler.cli.context import CONFIGURATION_NAME, Context, root_options, settings_in
from reconciler.cli.render import counted, problem_line
from reconciler.errors import ExitCode, FileBusyError, InvalidInputError, NotFoundError, UnsafePathError
from reconciler.manifests.files import read_input
from reconciler.manifests.model import Manifest, Problem
from reconciler.manifests.read import read_manifest
from reconciler.reconcile.checking import misplacement
from reconciler.reconcile.intake import problem_as_json
from reconciler.reconcile.names import is_manifest_name
from reconciler.reconcile.policy import policy_of


@click.command(short_help="Check manifests; print every problem with file, line and column.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@root_options
def validate(context: Context, paths: tuple[Path, ...]) -> None:
    """Check manifests and print each problem as `file:line:column: field: what is wrong`.

    PATHS are files or folders; without any, jobs/active of the root folder. Needs no daemon and no network, so it fits
    a git hook or CI. Exit code 0 when nothing is wrong, 2 when something is.

    \b
    Examples:
      reconciler validate jobs/active
      reconciler validate --json loveless.yml
    """
    files = manifest_files(paths or (context.root / "jobs" / "active",))
    found = [(path, problem) for path in files for problem in _problems(path)]
    errors = sum(problem.severity == "error" for _, problem in found)
    if context.as_json:
        context.print_json([{"file": str(path), **problem_as_json(problem)} for path, problem in found])
    else:
        for path, problem in found:
            click.echo(problem_line(str(path), problem))
        click.echo(_summary(len(files), errors), err=True)
    if errors:
        raise click.exceptions.Exit(ExitCode.INVALID_INPUT)


def manifest_files(paths: tuple[Path, ...]) -> list[Path]:
    """The manifests that were named, those of folders by name; raises NotFoundError."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files.extend(sorted(each for each in path.iterdir() if is_manifest_name(each.name)))
        elif path.exists():
            files.append(path)
        else:
            raise NotFoundError(f"{path} is not there", hint="name a manifest, a folder of manifests, or --root")
    return files


def _problems(path: Path) -> tuple[Problem, ...]:
    try:
        data = read_input(path).data
        parsed = read_manifest(data)
    except (InvalidInputError, UnsafePathError, FileBusyError) as error:
        return (Problem(line=0, column=0, pointer="", message=error.message, hint=error.hint),)
    if parsed.manifest is None:
        return parsed.problems
    return (*parsed.problems, *_placing(path, data, parsed.manifest))


def _placing(path: Path, data: bytes, manifest: Manifest) -> tuple[Problem, ...]:
    """What the configuration says about where files go, for a manifest that lies in a root folder with a
    configuration.
    """
    root = path.absolute().parent.parent.parent
    if path.absolute().parent != root / "jobs" / "active" or not (root / CONFIGURATION_NAME).exists():
        return ()
    places = policy_of(settings_in(root), root=PurePosixPath(root), hostname=socket.gethostname()).places
    misplaced = misplacement(data, manifest, places)
    return () if misplaced is None else (misplaced,)


def _summary(files: int, errors: int) -> str:
    if not files:
        return "no manifest is there; their names end in .yml, .yaml or .json"
    return f"{counted(files, 'manifest')}: {counted(errors, 'problem') if errors else 'nothing wrong'}"
