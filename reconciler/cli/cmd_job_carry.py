"""`reconciler job export|import`, and `job resume --from`: jobs that leave, and jobs that come in.

Owns: which files these commands read and write, and what they say of them. Never: speaks to a daemon, which finds a new
manifest by itself; what a manifest becomes here is reconcile.imports, what leaves is reconcile.exports.
"""

import contextlib
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import click
from rich.table import Table

from reconciler.cli.context import Context, state_options
from reconciler.cli.finishing import job_ids
from reconciler.cli.render import counted, problem_line, shown
from reconciler.clock import SystemClock
from reconciler.errors import ExitCode, InvalidInputError, NotFoundError
from reconciler.ids import JobId
from reconciler.manifests.read import MANIFEST_BYTES_MAX
from reconciler.reconcile.exports import Export, export_job, save_export, save_exported
from reconciler.reconcile.here import Here
from reconciler.reconcile.imports import import_manifests
from reconciler.reconcile.incoming import Incoming, incoming_file, incoming_in
from reconciler.reconcile.intake import Outcome
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.policy import policy_of
from reconciler.state.jobs import JobStore
from reconciler.state.sightings import SightingStore

# Of the jobs whose id begins with what was given; more of it leaves fewer.
_IDS_SHOWN_MAX = 5


@click.command("export", short_help="Write a job's manifest, with its status, to take it elsewhere.")
@click.argument("job_id", shell_complete=job_ids)
@click.option(
    "--output", metavar="FILE", default="", help="A file; - is standard output. Else it goes to jobs/exported."
)
@state_options
def export_(context: Context, job_id: str, *, output: str) -> None:
    """Write the manifest of a job to a file: every byte as it is here, with the job's status as word of its origin.

    Where the manifest is gone, what the daemon last acted on is written. An older export of the same job is replaced,
    any other file is not. Needs no daemon.

    \b
    Examples:
      reconciler job export 01HRQ4
      reconciler job export 01HRQ4 --output /mnt/usb/loveless.yml
      reconciler job export 01HRQ4 --output - | ssh nas reconciler job import --root /srv/music --manifest -
    """
    with _stores(context) as (jobs, sightings):
        here = Here(Folders(root=context.root), sightings=sightings)
        export = export_job(_named(job_id, here, jobs), here=here, jobs=jobs)
        if output == "-":
            sys.stdout.buffer.write(export.data)
            sys.stdout.buffer.flush()
            _tell_notes(export.notes)
            return
        if output:
            path = Path(output).absolute()
            changed = save_export(export, path)
        else:
            path, changed = save_exported(export, here.folders)
    _tell_export(context, export, path, changed=changed)


@click.command("import", short_help="Take in a manifest, or a folder of them.")
@click.option(
    "--manifest",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="One manifest, YAML or JSON; - is standard input.",
)
@click.option("--directory", type=click.Path(path_type=Path), metavar="FOLDER", help="The manifests directly in it.")
@state_options
def import_(context: Context, *, manifest: Path | None, directory: Path | None) -> None:
    """Check manifests and write each into jobs/active, where a daemon acts on it; nothing is written over.

    What is here already, unchanged, is left as it is. A manifest whose id is another job's here gets a new id. Its
    status only says where it came from: files that are in the library already are verified and kept, the rest is
    fetched. A manifest with a mistake is refused with every problem, and the others of its folder are taken in.

    Exit code 0 when all are here now; 2 for one that is refused, 3 for a folder of which some are.

    \b
    Examples:
      reconciler job import --manifest loveless.yml
      reconciler job import --directory /mnt/backup/jobs/exported
    """
    if (manifest is None) == (directory is None):
        what = "nothing says what to import" if manifest is None else "--manifest and --directory are both given"
        raise InvalidInputError(what, hint="give --manifest FILE, or --directory FOLDER")
    if directory is not None:
        take_in(context, incoming_in(directory))
    elif manifest is not None:
        take_in(context, [_piped() if str(manifest) == "-" else incoming_file(manifest)], is_batch=False)


def resume_from(context: Context, folder: Path) -> None:
    """Take in the manifests of a folder, or of the `jobs/active` of a root folder, to go on with their jobs here."""
    active = folder / "jobs" / "active"
    take_in(context, incoming_in(active if active.is_dir() else folder))


def take_in(context: Context, offers: Iterable[Incoming], *, is_batch: bool = True) -> None:
    """Import what is offered and say what became of each."""
    settings = context.settings()
    places = policy_of(settings, root=PurePosixPath(context.root), hostname=socket.gethostname()).places
    with _stores(context) as (_, sightings):
        outcomes = import_manifests(
            offers,
            folders=Folders(root=context.root),
            sightings=sightings,
            places=places,
            clock=SystemClock(),
            entropy=os.urandom,
        )
    if context.as_json:
        context.print_json([outcome.as_json() for outcome in outcomes])
    elif is_batch:
        _tell_batch(context, outcomes)
    else:
        _tell_one(outcomes[0])
    if any(outcome.result == "refused" for outcome in outcomes):
        raise click.exceptions.Exit(ExitCode.NOT_ALL_COMPLETED if is_batch else ExitCode.INVALID_INPUT)


@contextlib.contextmanager
def _stores(context: Context) -> Iterator[tuple[JobStore | None, SightingStore | None]]:
    """What a daemon has noted of the root folder; nothing where none has worked there."""
    if not context.database_path.exists():
        yield None, None
        return
    with context.database() as database:
        yield JobStore(database), SightingStore(database)


def _named(prefix: str, here: Here, jobs: JobStore | None) -> JobId:
    """The only job whose id begins so, in a file or in the database; raises NotFoundError, InvalidInputError."""
    name = prefix.strip()
    known = [record.job_id for record in jobs.find(name)] if jobs is not None else []
    found = sorted({*here.beginning_with(name), *known})
    if not found:
        raise NotFoundError(f"no job's id begins with {name!r}", hint="`reconciler status` lists them")
    if len(found) > 1:
        ids = ", ".join(found[:_IDS_SHOWN_MAX])
        raise InvalidInputError(f"{len(found)} jobs begin with {name!r}: {ids}", hint="write more of the id")
    return found[0]


def _piped() -> Incoming:
    """A manifest from standard input; one byte more than is allowed is read, to be refused for it."""
    return Incoming(source="-", data=sys.stdin.buffer.read(MANIFEST_BYTES_MAX + 1))


def _tell_export(context: Context, export: Export, path: Path, *, changed: bool) -> None:
    name = str(path.relative_to(context.root) if path.is_relative_to(context.root) else path)
    if context.as_json:
        context.print_json(
            {"job_id": export.job_id, "path": name, "changed": changed, "notes": list(export.notes)},
        )
        return
    click.echo(f"{'wrote' if changed else 'as it was already:'} {shown(name, 400)}: job {export.job_id}")
    _tell_notes(export.notes)


def _tell_notes(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(f"  {shown(note, 400)}", err=True)


def _tell_one(outcome: Outcome) -> None:
    _tell_problems(outcome)
    match outcome.result:
        case "imported":
            click.echo(f"imported {shown(outcome.path, 400)}: job {outcome.job_id}{_was(outcome)}")
        case "unchanged":
            click.echo(f"here already: {shown(outcome.path, 400)}: job {outcome.job_id or 'without an id yet'}")
        case "refused":
            click.echo(f"refused {shown(outcome.source, 400)}; nothing was written", err=True)
    _tell_notes(outcome.notes)


def _tell_batch(context: Context, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        _tell_problems(outcome)
    table = Table(box=None, pad_edge=False)
    for heading in ("RESULT", "JOB", "FILE", "FROM", "WAS", "NOTE"):
        table.add_column(heading)
    for outcome in outcomes:
        problem = f"{counted(len(outcome.problems), 'problem')}, above"
        table.add_row(
            outcome.result,
            outcome.job_id or "",
            shown(outcome.path, 200),
            shown(Path(outcome.source).name, 200),
            str(outcome.was or ""),
            problem if outcome.result == "refused" else shown("; ".join(outcome.notes), 400),
        )
    if outcomes:
        context.console.print(table)
    counts = Counter(outcome.result for outcome in outcomes)
    said = f"{counts['imported']} imported, {counts['unchanged']} here already, {counts['refused']} refused"
    click.echo(said if outcomes else "no manifest lies directly in that folder", err=True)


def _tell_problems(outcome: Outcome) -> None:
    for problem in outcome.problems:
        click.echo(problem_line(outcome.source, problem), err=True)


def _was(outcome: Outcome) -> str:
    return f"; where it came from it was {outcome.was}" if outcome.was is not None else ""
