"""Learn what is in the library, and offer what says which recording it is.

Owns: one look at each file. Never: writes to the library, counts or tells for people, or hashes a file that is as it
was: what is known of it then stands.

Each file is recorded as soon as it was looked at, so an interrupted scan goes on where it was. It may run beside a
daemon: both add to the same index, and a file that a job publishes meanwhile is found by its bytes.
"""

import errno
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from reconciler.clock import Clock
from reconciler.errors import FileBusyError
from reconciler.ids import Mbid, Root, Sha256
from reconciler.library import audio
from reconciler.library.audio_name import audio_name
from reconciler.library.identity import tagged_ids
from reconciler.library.index import Holding, LibraryIndex
from reconciler.library.listing import Found, Mark, Unreadable, container_of, files_below, is_same, mark_of
from reconciler.library.register import Register, Seen
from reconciler.library.walk import holds_something, open_without_links

Outcome = Literal["offered", "untagged", "broken", "unreadable"]
"""`offered`: others may have it; `untagged`: nothing says which recording it is; `broken`: it is not good audio."""


class Hashes(Protocol):
    """What names a file's bytes (overlay.filehash)."""

    @property
    def root(self) -> Root:
        """Of the whole file."""

    @property
    def sha256(self) -> Sha256:
        """Of the whole file."""

    @property
    def chunk_hashes(self) -> tuple[bytes, ...]:
        """One for each chunk."""


Hasher = Callable[[int, int], Hashes]
"""Hashes the first so many bytes of a descriptor; raises ValueError for more than it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What came of a look at one file, or at a folder that cannot be read."""

    path: str
    outcome: Outcome
    size: int = 0
    """In bytes."""
    unchanged: bool = False
    """Whether it is as it was at the last scan, and was not read."""
    reason: str = ""
    """Why it is not offered; empty where it is."""
    moved_from: str = ""
    """Where the same bytes were known before, and are no more."""


class Scan:
    """A look at everything below the roots. `whole` = decode what can be decoded, not only its headers."""

    def __init__(
        self, *, index: LibraryIndex, register: Register, hash_file: Hasher, clock: Clock, whole: bool = True
    ) -> None:
        self._index = index
        self._register = register
        self._hash_file = hash_file
        self._clock = clock
        self._whole = whole

    def run(self, roots: Sequence[Path], *, never: Collection[Path]) -> Iterator[Looked]:
        """Look at each file below `roots` and give what came of it; `never` are folders that are not entered."""
        for found in files_below(roots, never=never):
            if isinstance(found, Unreadable):
                yield Looked(path=found.path, outcome="unreadable", reason=found.reason)
            else:
                yield self._look(found)

    def forget_gone(self, roots: Sequence[Path]) -> Iterator[str]:
        """Forget what was known below `roots` and is not there any more; gives each path.

        What lies below a root that is not there, or empty, stays known: its disk may only not be mounted.
        """
        resolved = [root.resolve() for root in roots]
        for known in self._register.every():
            above = [root for root in resolved if Path(known.path).is_relative_to(root)]
            # Asked after the file: a disk may go away at any time.
            if above and not os.path.lexists(known.path) and all(map(holds_something, above)):
                self._index.forget_at(known.path, but=None)
                self._register.forget(known.path)
                yield known.path

    def _look(self, found: Found) -> Looked:
        known = self._register.at(found.path)
        if known is not None and is_same(known.mark, found.mark) and self._stands(known):
            return _looked(known, unchanged=True)
        try:
            fd = open_without_links(found.path)
        except OSError as error:
            return _unreadable(found, error)
        try:
            return self._read(found.path, fd)
        except (OSError, FileBusyError) as error:
            return _unreadable(found, error)
        finally:
            os.close(fd)

    def _stands(self, known: Seen) -> bool:
        """Whether a file that has not changed is still offered, if it can be."""
        return known.root is None or known.recording is None or self._serves(known.root, known.path)

    def _serves(self, root: Root, path: str) -> bool:
        """Whether the index has a file of these bytes that others can have no less than the one at `path`."""
        held = self._index.held(root)
        return (
            held is not None
            and held.recording is not None
            and self._index.is_shared(held.path) >= self._index.is_shared(path)
            and _is_there(held)
        )

    def _read(self, path: str, fd: int) -> Looked:
        mark = mark_of(os.fstat(fd))
        verdict = self._judge(path, fd)
        if not verdict.ok or not mark[2]:
            seen = Seen(path=path, mark=mark, root=None, problem=verdict.reason or "it is empty")
            self._index.forget_at(path, but=None)
            self._register.put(seen)
            return _looked(seen)
        ids, name = tagged_ids(fd), audio_name(fd, container_of(path))
        named, recording = self._named(path, fd, mark)
        if mark_of(os.fstat(fd)) != mark:
            raise FileBusyError("it changed while it was read", hint="scan again when it has come to rest")
        seen = Seen(
            path=path,
            mark=mark,
            root=named.root,
            recording=ids.recording or recording,
            release=ids.release,
            audio=name,
        )
        self._offer(seen, named, verdict.facts)
        self._register.put(seen)
        return _looked(seen, moved_from=self._moved_from(seen))

    def _judge(self, path: str, fd: int) -> audio.AudioVerdict:
        if self._whole:
            return audio.check(fd, container=container_of(path), duration_ms=None, tolerance_ms=0)
        try:
            return audio.AudioVerdict(code=None, facts=audio.probe(fd))
        except audio.NotAudioError as broken:
            return audio.AudioVerdict(code="not audio", reason=broken.message)

    def _named(self, path: str, fd: int, mark: Mark) -> tuple["_Named", Mbid | None]:
        """What names the bytes, and the recording that a job published them as."""
        for holding in self._index.by_path(path):
            if is_same(holding.mark, mark):
                known = _Named(root=holding.root, sha256=holding.sha256, chunk_hashes=holding.chunk_hashes)
                return known, holding.recording
        try:
            hashes = self._hash_file(fd, mark[2])
        except ValueError as error:  # of a size that no tree of hashes has
            raise OSError(errno.EFBIG, "it is too large to be offered") from error
        named = _Named(root=hashes.root, sha256=hashes.sha256, chunk_hashes=b"".join(hashes.chunk_hashes))
        same = self._index.held(named.root)
        return named, None if same is None else same.recording

    def _offer(self, seen: Seen, named: "_Named", facts: audio.AudioFacts | None) -> None:
        self._index.forget_at(seen.path, but=seen.root)
        if seen.recording is None or facts is None or self._serves(named.root, seen.path):
            return
        device, inode, size, mtime_ns = seen.mark
        self._index.add(
            Holding(
                root=named.root,
                size=size,
                recording=seen.recording,
                path=seen.path,
                codec=facts.codec,
                container=facts.container,
                lossless=facts.lossless,
                bitrate_bps=facts.bitrate_bps,
                duration_ms=facts.duration_ms,
                sha256=named.sha256,
                device=device,
                inode=inode,
                mtime_ns=mtime_ns,
                chunk_hashes=named.chunk_hashes,
                added_at=self._clock.wall(),
            )
        )

    def _moved_from(self, seen: Seen) -> str:
        """Forget where the same bytes were known and are no more; gives one such place."""
        moved = ""
        for other in self._register.with_root(seen.root) if seen.root else ():
            if other.path != seen.path and not os.path.lexists(other.path):
                self._register.forget(other.path)
                moved = other.path
        return moved


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What names a file's bytes."""

    root: Root
    sha256: Sha256
    chunk_hashes: bytes


def _is_there(held: Holding) -> bool:
    try:
        return is_same(mark_of(os.lstat(held.path)), held.mark)
    except OSError:
        return False


def _looked(seen: Seen, *, unchanged: bool = False, moved_from: str = "") -> Looked:
    outcome: Outcome = "broken" if seen.problem else "offered" if seen.recording is not None else "untagged"
    reason = seen.problem or ("its tags name no MusicBrainz recording" if outcome == "untagged" else "")
    return Looked(
        path=seen.path, outcome=outcome, size=seen.size, unchanged=unchanged, reason=reason, moved_from=moved_from
    )


def _unreadable(found: Found, error: OSError | FileBusyError) -> Looked:
    reason = error.message if isinstance(error, FileBusyError) else error.strerror or "it cannot be read"
    return Looked(path=found.path, outcome="unreadable", size=found.size, reason=reason)
