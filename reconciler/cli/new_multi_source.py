"""What `job new multi-source` writes: files that are known by their bytes, and where each can be had.

Owns: this text, for a Metalink as for addresses that a person gives. Never: reads a file, or chooses mirrors
(cli.linked_files).
"""

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from reconciler.cli.linked_files import Choice, choose
from reconciler.cli.multi_source_wish import FileWish, LinkedWish
from reconciler.cli.new_manifests import NewManifest, made_manifest
from reconciler.errors import InvalidInputError
from reconciler.library.naming import safe_component
from reconciler.manifests.block import Field, lines_of
from reconciler.manifests.model import JobType, UrlSource, WantedFile
from reconciler.manifests.read import MANIFEST_BYTES_MAX

# What a manifest holds besides its files: some 2 KB of head, comments and directives.
_REST_BYTES = 4096

# Where a list of files is too long for a manifest, it is tried with fewer mirrors of each: with hashes of their pieces
# down to this many, and if need be without.
_FEWER_MIRRORS = (20, 8, 3, 1)
_MIRRORS_WITH_PIECES_MIN = 3


def file_manifest(wish: FileWish, target_dir: str) -> NewManifest:
    """One file with the sources that a person names; raises InvalidInputError."""
    path = wish.path or _name_in(wish.urls)
    sources: list[Field] = [{"url": url} for url in wish.urls]
    sources += [{"overlay": peer} for peer in wish.peers]
    fields: dict[str, Field] = {"path": path, "size": wish.size}
    named = {
        "root": wish.merkle_root.lower(),
        "sha256": wish.sha256.lower(),
        "chunk_hashes": wish.chunk_hashes,
        "mb_recording_id": wish.recording or "",
    }
    fields |= {name: value for name, value in named.items() if value}
    if sources:
        fields["sources"] = sources
    where = f"{len(sources)} source{'' if len(sources) == 1 else 's'}" if sources else "whoever of the overlay has it"
    return made_manifest(
        JobType.MULTI_SOURCE,
        {"target_dir": target_dir, "files": [fields]},
        above=_above("One file, known by its bytes."),
        name=path.rpartition("/")[2],
        tracks=1,
        chosen=(f"{path}: {wish.size} bytes, from {where}, into {target_dir}",),
    )


def metalink_manifest(wish: LinkedWish, target_dir: str) -> NewManifest:
    """The files of a Metalink that can be fetched; raises InvalidInputError where there are none, or too many."""
    choice, files = _that_fits(wish)
    if not files:
        why = choice.left_out[0] if choice.left_out else "it lists no file"
        raise InvalidInputError(f"nothing in this Metalink can be fetched: {why}", hint="get another Metalink")
    counted = "One file" if len(files) == 1 else f"{len(files)} files"
    return made_manifest(
        JobType.MULTI_SOURCE,
        {"target_dir": target_dir, "files": files},
        above=_above(f"{counted} of a Metalink."),
        name=wish.name or choice.files[0].path.partition("/")[0],
        tracks=len(files),
        skipped=choice.left_out,
        chosen=(f"{len(files)} of {len(wish.files)} files, into {target_dir}", *choice.chosen),
    )


def _that_fits(wish: LinkedWish) -> tuple[Choice, list[Field]]:
    """As many mirrors of each file as one manifest has room for."""
    fewer = (wish.mirrors_max, *(fewer for fewer in _FEWER_MIRRORS if fewer < wish.mirrors_max))
    tries = [(most, True) for most in fewer if most >= _MIRRORS_WITH_PIECES_MIN or most == wish.mirrors_max]
    for most, with_pieces in (*tries, *((most, False) for most in fewer)):
        choice = choose(wish.files, mirrors_max=most, locations=wish.locations, with_pieces=with_pieces)
        files: list[Field] = [_fields(file) for file in choice.files]
        size = len("\n    ".join(lines_of({"files": files})).encode())
        if size + _REST_BYTES <= MANIFEST_BYTES_MAX:
            return choice, files
    message = f"{len(choice.files)} files with their mirrors are more than one manifest holds"
    raise InvalidInputError(message, hint="split the Metalink into several")


def _fields(file: WantedFile) -> dict[str, Field]:
    fields: dict[str, Field] = {"path": file.path, "size": file.size, "sha256": str(file.sha256)}
    if file.pieces is not None:
        fields["pieces"] = {"length": file.pieces.length_bytes, "sha256": [*file.pieces.sha256]}
    fields["sources"] = [{"url": source.url} for source in file.sources if isinstance(source, UrlSource)]
    return fields


def _above(first: str) -> list[str]:
    return [
        f"{first} Each is fetched from all its sources at once, and gets its name only when its hash is right.",
        "Take files or sources out, or add some: other mirrors, or overlay peers as `overlay: <peer id>@host:port`.",
    ]


def _name_in(urls: Sequence[str]) -> str:
    """What the first address calls the file; raises InvalidInputError where it says nothing."""
    try:
        last = unquote(urlsplit(urls[0]).path).rstrip("/").rpartition("/")[2] if urls else ""
    except ValueError:
        last = ""
    if not last:
        raise InvalidInputError("no address says what the file is called", hint="name it with --path")
    return safe_component(last)
