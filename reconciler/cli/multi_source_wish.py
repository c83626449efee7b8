"""The options that describe files with sources: a Metalink, or one file by its addresses and hashes.

Owns: reading them, and which go together. Never: words a manifest (cli.new_multi_source).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import click

from reconciler.cli.new_manifests import mbid_in
from reconciler.errors import InvalidInputError
from reconciler.ids import Mbid
from reconciler.manifests.metalink import METALINK_BYTES_MAX, LinkedFile, read_metalink
from reconciler.manifests.model import Problem

# Mirrors of one file that are asked by default: more than fill a home connection, few enough to be no burden to the
# rest. A manifest takes 100.
MIRRORS_DEFAULT, MIRRORS_MAX = 20, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedWish:
    """What a Metalink lists, and which mirrors are preferred."""

    name: str
    """Of the Metalink, without its extension; empty where it has none."""
    files: tuple[LinkedFile, ...]
    mirrors_max: int
    """Of each file."""
    locations: tuple[str, ...]
    """Countries whose mirrors come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWish:
    """One file as a person describes it."""

    path: str
    """Empty = as the first address calls it."""
    size: int
    sha256: str
    merkle_root: str
    chunk_hashes: str
    recording: Mbid | None
    urls: tuple[str, ...]
    peers: tuple[str, ...]
    """Overlay peers, as `<peer id>@host:port`."""


_OPTIONS = (
    click.option(
        "--metalink",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True),
        metavar="FILE",
        help="A Metalink 4 (.meta4); - is the input.",
    ),
    click.option(
        "--mirrors",
        type=click.IntRange(1, MIRRORS_MAX),
        default=MIRRORS_DEFAULT,
        show_default=True,
        help="With --metalink: so many mirrors of each file, the first by its priorities.",
    ),
    click.option(
        "--location",
        "locations",
        multiple=True,
        metavar="COUNTRY",
        help="With --metalink: mirrors there come first (de, us); may be repeated.",
    ),
    click.option("--url", "urls", multiple=True, metavar="URL", help="Where a file is; repeat it for mirrors."),
    click.option("--overlay", "peers", multiple=True, metavar="ID@HOST:PORT", help="An overlay peer that has it."),
    click.option("--size", type=click.IntRange(1), metavar="BYTES", help="Its size."),
    click.option("--sha256", default="", metavar="HEX", help="SHA-256 of the whole file."),
    click.option("--merkle-root", default="", metavar="HEX", help="Its BEP 52 root: chunks are verified as they come."),
    click.option("--chunk-hashes", default="", metavar="URL", help="Its chunk list, where none is beside the file."),
    click.option("--recording", metavar="MBID-OR-URL", help="What it records: more peers are found by it."),
    click.option("--path", default="", help="Its name below the target folder; left out, as the first URL calls it."),
)


def multi_source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options, and hand the command a LinkedWish or a FileWish after its first argument."""

    @functools.wraps(command)
    def run(
        context: object,
        *,
        metalink: str | None,
        mirrors: int,
        locations: tuple[str, ...],
        target_dir: str,
        size: int | None,
        **file: Any,
    ) -> None:
        if metalink is not None:
            if size is not None or any(file.values()):
                raise InvalidInputError(
                    "--metalink says everything about its files", hint="leave the other options out"
                )
            wish: LinkedWish | FileWish = _linked(metalink, mirrors_max=mirrors, locations=locations)
        elif locations:
            raise InvalidInputError("--location chooses among the mirrors of a Metalink", hint="give --metalink FILE")
        elif size is None:
            hint = "give --metalink FILE, or --url with --size and --sha256"
            raise InvalidInputError("nothing says which file, of how many bytes", hint=hint)
        else:
            recording = file.pop("recording")
            mbid = None if recording is None else mbid_in(recording, "recording")
            wish = FileWish(size=size, recording=mbid, **file)
        command(context, wish, target_dir=target_dir)

    for option in reversed(_OPTIONS):
        option(run)
    return run


def _linked(metalink: str, *, mirrors_max: int, locations: tuple[str, ...]) -> LinkedWish:
    try:
        with click.open_file(metalink, "rb") as file:
            data = file.read(METALINK_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidInputError(f"{metalink}: {error.strerror}", hint="name a file that can be read") from error
    from_input = metalink == "-"
    files = read_metalink(data)
    if isinstance(files, Problem):
        place = ("standard input" if from_input else metalink, str(files.line), str(files.column))
        raise InvalidInputError(f"{':'.join(place)}: {files.message}", hint=files.hint)
    name = "" if from_input else PurePath(metalink).stem
    return LinkedWish(name=name, files=files, mirrors_max=mirrors_max, locations=locations)
