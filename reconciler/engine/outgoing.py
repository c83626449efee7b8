"""What goes into the library for a finished part: the part itself, or a tagged copy of it; and knowing it again there.

Owns: making the copy, and telling whether a file in the library is what was wanted, tagged or not. Never: gives
anything its name (library.publish), or changes a part: until the copy has its name, the job goes on with the part.

    part whole and verified -> copy with tags -> audio compared -> hashed -> "made of these bytes" on record -> its name

The record comes before the name. So whatever a crash leaves under the name is known for what it was made of, and is
neither fetched again nor taken for the file of somebody else. What is indexed, and so offered to others, is always the
file that lies there, under the root of its own bytes.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from reconciler.engine.events import Publish
from reconciler.ids import Root, Sha256
from reconciler.library.index import LibraryIndex, TaggedFile
from reconciler.library.room import require_room
from reconciler.library.tag_map import TrackTags
from reconciler.library.tags import NotTaggedError, tagged_copy
from reconciler.musicbrainz.cover import Cover
from reconciler.overlay.filehash import FileHashes, hash_file
from reconciler.sources.base import Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """The content of a file, and what names it."""

    size: int
    root: Root
    sha256: Sha256 | None
    """None for a large file that its root names alone."""
    chunk_hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A file on its way into the library."""

    path: Path
    content: Bytes
    tags: str = ""
    """For the trace: `written`, or why they were not; empty = none were asked for."""


def outgoing(
    part: Path, command: Publish, tags: TrackTags | None, cover: Cover | None, *, index: LibraryIndex
) -> Outgoing:
    """Choose what is published for `part`; DiskError or OSError where there is no room for a copy."""
    fetched = Bytes(
        size=command.variant.size, root=command.root, sha256=command.sha256, chunk_hashes=command.chunk_hashes
    )
    if tags is None:
        return Outgoing(path=part, content=fetched)
    copy = copy_of(part)
    require_room(part.parent, fetched.size)
    try:
        tagged_copy(part, copy, tags, cover)
    except NotTaggedError as why:
        return Outgoing(path=part, content=fetched, tags=f"not written: {why}")
    with copy.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = _bytes_of(hash_file(file.fileno(), size), size)
    index.add_tagged(
        TaggedFile(
            root=content.root,
            size=size,
            original_root=fetched.root,
            original_sha256=fetched.sha256 or Sha256(""),
            original_size=fetched.size,
            variant_id=command.variant.id,
        )
    )
    return Outgoing(path=copy, content=content, tags="written")


def copy_of(part: Path) -> Path:
    """Where the tagged copy of a part lies until it has its name."""
    return part.with_suffix(".tagged")


class Recogniser:
    """Knows what was wanted when it sees it: as it was fetched, or with tags."""

    def __init__(self, variant: Variant, root: Root | None, index: LibraryIndex) -> None:
        """`root` names what was fetched; None = nobody has said."""
        self._variant = variant
        self._root = root
        self._tagged = {each.root: each for each in index.tagged_of(original_root=root, variant_id=variant.id)}
        self._sizes = {variant.size, *(each.size for each in self._tagged.values())}
        self.found: Bytes | None = None
        """The content of the file that was seen last and is wanted."""

    def __call__(self, existing: int) -> bool:
        """Whether the file behind a descriptor is it."""
        size = os.fstat(existing).st_size
        if size not in self._sizes:
            return False
        hashes = hash_file(existing, size)
        if hashes.root not in self._tagged and (size != self._variant.size or self._is_another(hashes)):
            return False
        self.found = _bytes_of(hashes, size)
        return True

    def fetched(self) -> Bytes:
        """What the file that was seen had been before it was tagged."""
        assert self.found is not None
        made_of = self._tagged.get(self.found.root)
        if made_of is None:
            return self.found
        return Bytes(
            size=made_of.original_size,
            root=made_of.original_root,
            sha256=made_of.original_sha256 or None,
            chunk_hashes=(),
        )

    def _is_another(self, hashes: FileHashes) -> bool:
        if self._root is not None and hashes.root != self._root:
            return True
        return bool(wrong_content(hashes, self._variant))


def wrong_content(hashes: FileHashes, variant: Variant) -> str:
    """Why a file is not the variant; empty = it is."""
    if variant.root and hashes.root != variant.root:
        return f"the file's root is {hashes.root}, expected {variant.root}"
    if variant.sha256 and hashes.sha256 != variant.sha256:
        return f"the file's SHA-256 is {hashes.sha256}, expected {variant.sha256}"
    return ""


def _bytes_of(hashes: FileHashes, size: int) -> Bytes:
    return Bytes(size=size, root=hashes.root, sha256=hashes.sha256, chunk_hashes=hashes.chunk_hashes)
