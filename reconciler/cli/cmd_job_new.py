"""`reconciler job new`: a whole manifest, written from little.

Owns: the group, its commands for MusicBrainz, and what is asked there. Never: writes a file (cli.new_written), or
reads a Metalink (cli.cmd_job_new_multi_source).
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click

from reconciler.cli.cmd_job_new_multi_source import multi_source
from reconciler.cli.context import Context, state_options
from reconciler.cli.groups import GuessingGroup
from reconciler.cli.new_manifests import crate_manifest, discography_manifest, mbid_in, release_manifest
from reconciler.cli.new_written import target_option, write_new
from reconciler.clock import SystemClock
from reconciler.errors import NotFoundError
from reconciler.ids import Mbid
from reconciler.musicbrainz.answers import Answers
from reconciler.musicbrainz.client import MusicBrainz
from reconciler.musicbrainz.model import NoAnswerError, SubjectKind
from reconciler.musicbrainz.tracklist import resolved_release
from reconciler.state.database import Database

# A person waits: what does not answer at the second try is left to the daemon.
TRIES_MAX = 2

T = TypeVar("T")


@click.group(cls=GuessingGroup, short_help="Write a manifest: of something at MusicBrainz, or of files with mirrors.")
def new() -> None:
    """Write a whole manifest into jobs/active: from the id, or the address of the page, of something at MusicBrainz, or
    from a Metalink or addresses of files.

    Nothing is asked: what is chosen stands in the file, with comments, to be changed. Where MusicBrainz does not
    answer, the manifest is written without what it would have said, and the daemon looks that up when it can.

    \b
    Examples:
      reconciler job new discography https://musicbrainz.org/artist/8ca01f46-53ac-4af2-8516-55a909c0905e
      reconciler job new multi-source --metalink concert.meta4
    """


@new.command("mb-release", short_help="A release, with its tracks.")
@click.argument("release", metavar="MBID-OR-URL")
@target_option
@state_options
def mb_release(context: Context, release: str, *, target_dir: str) -> None:
    """Write a manifest for one edition of an album, with every track that it has.

    Take lines out to want fewer tracks. The id is that of a release, not of its release group.

    \b
    Examples:
      reconciler job new mb-release https://musicbrainz.org/release/c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
      reconciler job new mb-release c0d0c0a4-4a26-4d74-9c02-67c9321b3b22 --target-dir library/new
    """
    mbid = mbid_in(release, "release")
    found, why = _asked(context, lambda service: service.release(mbid))
    resolved = resolved_release(found, asked=mbid) if found is not None else None
    write_new(context, release_manifest(mbid, resolved, target_dir=target_dir), why)


@new.command(short_help="What an artist has released.")
@click.argument("artist", metavar="MBID-OR-URL")
@click.option("--profile", type=click.Choice(["core", "extended", "all"]), default="core", show_default=True)
@target_option
@state_options
def discography(context: Context, artist: str, *, profile: str, target_dir: str) -> None:
    """Write a manifest for the releases of an artist: one edition of each album.

    core: official albums. extended: also EPs, singles, live albums and compilations. all: every type.

    \b
    Example:
      reconciler job new discography https://musicbrainz.org/artist/8ca01f46-53ac-4af2-8516-55a909c0905e
    """
    mbid, name, why = _named(context, "artist", artist)
    write_new(context, discography_manifest(mbid, name, profile=profile, target_dir=target_dir), why)


@new.command("label-crate", short_help="Some releases of a label.")
@click.argument("label", metavar="MBID-OR-URL")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="So many releases.")
@click.option(
    "--order",
    type=click.Choice(["popularity", "newest", "oldest"]),
    default="popularity",
    show_default=True,
    help="Which come first; popularity is what is known here.",
)
@target_option
@state_options
def label_crate(context: Context, label: str, *, limit: int, order: str, target_dir: str) -> None:
    """Write a manifest for a number of releases of a label.

    \b
    Example:
      reconciler job new label-crate https://musicbrainz.org/label/9e6b4d7f-4958-4db7-8504-d89e315836af --order oldest
    """
    mbid, name, why = _named(context, "label", label)
    write_new(context, crate_manifest(mbid, name, limit=limit, order=order, target_dir=target_dir), why)


new.add_command(multi_source)


# ---- asking ----------------------------------------------------------------------------------------------------------


def _named(context: Context, kind: SubjectKind, given: str) -> tuple[Mbid, str, str]:
    """The id that holds now, the name, and why there is none."""
    mbid = mbid_in(given, kind)
    found, why = _asked(context, lambda service: service.named(kind, mbid))
    return (mbid, "", why) if found is None else (found.mbid, found.name, "")


def _asked(context: Context, question: Callable[[MusicBrainz], Awaitable[T]]) -> tuple[T | None, str]:
    """The answer, or why there is none; raises NotFoundError where there is no such thing."""

    async def ask(database: Database) -> T:
        settings = context.settings().musicbrainz
        service = MusicBrainz(settings, memory=Answers(database), clock=SystemClock(), tries_max=TRIES_MAX)
        try:
            return await question(service)
        finally:
            await service.close()

    with _memory(context) as database:
        try:
            return asyncio.run(ask(database)), ""
        except NoAnswerError as error:
            if error.code == "not found":
                raise NotFoundError(error.message, hint=error.hint) from error
            return None, error.message


@contextlib.contextmanager
def _memory(context: Context) -> Iterator[Database]:
    """The daemon's memory of answers; one for the moment where no daemon has worked here yet."""
    with contextlib.ExitStack() as stack:
        if context.database_path.exists():
            yield stack.enter_context(context.database_to_edit())
            return
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="reconciler-new-"))
        yield stack.enter_context(contextlib.closing(Database.open(Path(scratch) / "answers.db")))
