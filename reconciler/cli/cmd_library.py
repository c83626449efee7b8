"""`reconciler library`: learn what is in the library, and whether it is still as it was.

Owns: the words, the progress and the exit codes. Never: looks at a file itself (library.scan), or changes one.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from reconciler.cli.context import Context, state_options
from reconciler.cli.groups import GuessingGroup
from reconciler.cli.render import megabytes, shown
from reconciler.clock import SystemClock
from reconciler.errors import ExitCode, NotFoundError, OtherInstanceError
from reconciler.library.index import LibraryIndex, shared_folders
from reconciler.library.listing import Unreadable, files_below
from reconciler.library.register import Register
from reconciler.library.scan import Looked, Outcome, Scan
from reconciler.library.suspicion import suspect
from reconciler.library.verify import State, Verification, Verified
from reconciler.overlay.filehash import hash_file
from reconciler.state.database import Database
from reconciler.state.location import InstanceLock

# Files named in `--json` for each reason; the counts are whole. A library of untagged files would be a document of
# megabytes.
NAMED_MAX = 1000

# Untagged files that are told of as text; a whole library of them would bury what is broken.
UNTAGGED_TOLD_MAX = 20

_PATH_WIDTH = 200


@click.group(cls=GuessingGroup, short_help="The files you have: scan, verify.")
def library() -> None:
    """Work on the files below `library.roots`, whoever put them there.

    \b
    Examples:
      reconciler library scan --root ~/music
      reconciler library verify --root ~/music
    """


@library.command(short_help="Look through the library, and offer what is tagged to overlay peers.")
@click.option("--quick", is_flag=True, help="Read headers only: a damaged file is not noticed.")
@click.option("--forget", is_flag=True, help="Forget files that are gone, so that `verify` does not miss them.")
@state_options
def scan(context: Context, *, quick: bool, forget: bool) -> None:
    """Look at every audio file below `library.roots` and remember what it is.

    A file whose tags name a MusicBrainz recording is offered to overlay peers, once the daemon listens
    (`mesh.overlay.listen`). One without is remembered and not offered; one that is damaged is named. Links and hidden
    files are passed over. A file that is as it was is not read again, so a scan that was stopped goes on where it was;
    a daemon may run meanwhile. Nothing in the library is changed. What is known of a file that is gone is kept for
    `verify` to tell, until --forget says that it was meant; not below a root that is empty or not there.

    Exit code 3: something is damaged or cannot be read. 4: no library root is there.

    \b
    Examples:
      reconciler library scan --root ~/music
      reconciler library scan --json | jq '.untagged.files[].path'
    """
    roots = _roots(context)
    counts: Counter[str] = Counter()
    named: dict[Outcome, list[Looked]] = {"untagged": [], "broken": [], "unreadable": []}
    with _database(context) as database, _progress(lambda: _bytes_below(roots, context), context) as advance:
        looking = Scan(
            index=LibraryIndex(database, shared=shared_folders(context.settings().library, root=context.root)),
            register=Register(database),
            hash_file=hash_file,
            clock=SystemClock(),
            whole=not quick,
        )
        for looked in looking.run(roots, never=(context.state,)):
            advance(looked.size)
            counts.update(_counted(looked))
            if looked.outcome in named and len(named[looked.outcome]) < NAMED_MAX:
                named[looked.outcome].append(looked)
            if not context.as_json:
                _tell(looked, counts)
        for path in looking.forget_gone(roots) if forget else ():
            counts["forgotten"] += 1
            if not context.as_json:
                click.echo(f"forgotten: {shown(path, _PATH_WIDTH)}")
    if context.as_json:
        context.print_json(_as_json(roots, counts, named))
    else:
        click.echo(_summary(counts) if counts["files"] else f"no audio file lies below {_names(roots)}")
    if counts["broken"] or counts["unreadable"]:
        raise click.exceptions.Exit(ExitCode.NOT_ALL_COMPLETED)


@library.command(short_help="See whether every known file is still as it was.")
@click.option("--suspicious", is_flag=True, help="Also name FLAC files that look as if made from lossy ones.")
@state_options
def verify(context: Context, *, suspicious: bool) -> None:
    """Read every known file again and say what became of it. Nothing is changed or deleted.

    Known are the files that a scan has seen and those that jobs have published. `moved`: the same bytes, or a FLAC's
    same audio, elsewhere below the roots. `retagged`: the same audio under other tags. `changed`: good, and not the
    same. `corrupt`: not good audio any more, or other bytes although size and time are the same. A scan takes what was
    moved, retagged or changed for the new state.

    With --suspicious, a FLAC whose spectrum ends like that of a lossy one is named, with figures: a warning,
    which an old recording can earn as well.

    Exit code 3: something is corrupt, missing or cannot be read. 4: nothing is known, or no library root is there.

    \b
    Examples:
      reconciler library verify --root ~/music
      reconciler library verify --json | jq -r '.corrupt.files[].path'
    """
    roots = _roots(context)
    counts: Counter[str] = Counter()
    named: dict[str, list[dict[str, str]]] = {state: [] for state in (*get_args(State)[1:], "suspicious")}
    with context.database() as database, _progress(Register(database).bytes_known, context) as advance:
        comparing = Verification(register=Register(database), hash_file=hash_file)
        for verified in comparing.run(roots, never=(context.state,)):
            advance(verified.size)
            counts.update({"files": 1, "bytes": verified.size, verified.state: 1})
            _name(named, counts, verified, suspicious=suspicious)
    if not counts["files"]:
        raise NotFoundError(
            "no file below the library roots is known yet", hint="`reconciler library scan` looks at them"
        )
    if context.as_json:
        states = {state: {"count": counts[state], "files": files} for state, files in named.items()}
        total = {name: counts[name] for name in ("files", "bytes", "good")}
        context.print_json({"roots": [str(root) for root in roots], **total, **states})
    else:
        _print_verified(context, counts, named)
    if any(counts[state] for state in ("corrupt", "missing", "unreadable")):
        raise click.exceptions.Exit(ExitCode.NOT_ALL_COMPLETED)


def _name(
    named: dict[str, list[dict[str, str]]], counts: Counter[str], verified: Verified, *, suspicious: bool
) -> None:
    """Keep what is to be told of a file."""
    said = {"path": verified.path, "reason": verified.reason}
    if verified.moved_to:
        said["moved_to"] = verified.moved_to
    if verified.state != "good" and len(named[verified.state]) < NAMED_MAX:
        named[verified.state].append(said)
    if not suspicious or verified.state not in ("good", "retagged"):
        return
    with suppress(OSError):  # it was there a moment ago; the next run says what became of it
        shelf = suspect(Path(verified.path))
        counts["suspicious"] += shelf is not None
        if shelf is not None and len(named["suspicious"]) < NAMED_MAX:
            named["suspicious"].append(
                {"path": verified.path, "reason": str(shelf), "cutoff_khz": f"{shelf.cutoff_hz / 1000:.1f}"}
            )


def _print_verified(context: Context, counts: Counter[str], named: dict[str, list[dict[str, str]]]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("STATE", "FILE", "WHAT"):
        table.add_column(heading, overflow="fold")
    for state, files in named.items():
        for each in files:
            what = f"{each['reason']}, at {each['moved_to']}" if "moved_to" in each else each["reason"]
            table.add_row(state, shown(each["path"], _PATH_WIDTH), shown(what, _PATH_WIDTH * 2))
        if counts[state] > len(files):
            table.add_row(state, f"and {counts[state] - len(files)} more", "")
    if table.row_count:
        context.console.print(table)
    words = ", ".join(f"{counts[state]} {state}" for state in named if counts[state])
    click.echo(
        f"{counts['files']} files of {megabytes(counts['bytes'])}: {counts['good']} good{', ' + words if words else ''}"
    )


def _roots(context: Context) -> list[Path]:
    """The library roots; raises NotFoundError unless one of them is there."""
    roots = [context.root / root for root in context.settings().library.roots] or [context.root / "library"]
    if not any(root.is_dir() for root in roots):
        raise NotFoundError(
            f"there is no library at {_names(roots)}", hint="mount it, or say where it is in library.roots"
        )
    return roots


def _names(roots: list[Path]) -> str:
    return ", ".join(shown(str(root), _PATH_WIDTH) for root in roots)


@contextmanager
def _database(context: Context) -> Iterator[Database]:
    """Open the state database beside a daemon; where none runs, it is made or brought up to date first."""
    try:
        with InstanceLock(context.state):
            Database.open(context.database_path).close()
    except OtherInstanceError:
        pass  # the daemon has done it
    with context.database_to_edit() as database:
        yield database


def _bytes_below(roots: list[Path], context: Context) -> int:
    found = files_below(roots, never=(context.state,))
    return sum(each.size for each in found if not isinstance(each, Unreadable))


@contextmanager
def _progress(total: Callable[[], int], context: Context) -> Iterator["_Advance"]:
    """Show on a terminal how far it is, in bytes; nothing elsewhere."""
    if context.as_json or not sys.stderr.isatty():
        yield _Advance(None)
        return
    bar = Progress(
        TextColumn("reading"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )
    with bar:
        bar.add_task("reading", total=total())
        yield _Advance(bar)


class _Advance:
    """Moves the bar on, where there is one."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar

    def __call__(self, size: int) -> None:
        """So many bytes more have been looked at."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], size)


def _counted(looked: Looked) -> dict[str, int]:
    files = {"files": 1, "bytes": looked.size, looked.outcome: 1}
    return {**files, "unchanged": int(looked.unchanged), "moved": int(bool(looked.moved_from))}


def _tell(looked: Looked, counts: Counter[str]) -> None:
    if looked.moved_from:
        click.echo(f"moved: {shown(looked.moved_from, _PATH_WIDTH)} -> {shown(looked.path, _PATH_WIDTH)}")
    if looked.outcome == "untagged" and (looked.unchanged or counts["untagged"] > UNTAGGED_TOLD_MAX):
        return
    if looked.reason:
        click.echo(f"{looked.outcome}: {shown(looked.path, _PATH_WIDTH)}: {shown(looked.reason, _PATH_WIDTH)}")


def _summary(counts: Counter[str]) -> str:
    words = ", ".join(
        f"{counts[each]} {each}" for each in ("untagged", "broken", "unreadable", "moved", "forgotten") if counts[each]
    )
    return (
        f"{counts['files']} files of {megabytes(counts['bytes'])}: {counts['offered']} offered"
        f"{', ' + words if words else ''}; {counts['unchanged']} as they were"
    )


def _as_json(roots: list[Path], counts: Counter[str], named: dict[Outcome, list[Looked]]) -> dict[str, object]:
    return {
        "roots": [str(root) for root in roots],
        **{name: counts[name] for name in ("files", "bytes", "unchanged", "moved", "forgotten", "offered")},
        **{
            outcome: {
                "count": counts[outcome],
                "files": [{"path": each.path, "reason": each.reason} for each in files],
            }
            for outcome, files in named.items()
        },
    }
