"""A part open for writing: chunks in by offset, and the journal line of each once the disk has it.

Owns: the descriptors of one part and its journal, and the thread that syncs. Never: makes or resumes a part
(engine.partfile).

A chunk is in the page cache when `write_chunk` returns, and on the disk some time later. A thread of the part's own
asks for that (`fdatasync`) after every SYNC_BYTES, which also keeps the disk busy from the first megabyte on, and only
then writes the journal lines of what it covers. When the disk refuses there, nobody can say which of those bytes it
lost (the kernel tells once and forgets them): none of them gets its line, and the part takes nothing more.

A verified chunk is read again as soon as it is written, while it is in the processor's caches, and compared with what
was given: that spares the finished file a pause of its own. One that comes back otherwise is not among those that were
read again, so that the last look at the whole meets it.
"""

import errno
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from reconciler.engine.reread import gives_back
from reconciler.ids import ChunkIndex

# What a power cut may cost, and how much is written at a time: large enough that the sync itself (0.5 ms on an SSD, 20
# ms on a turning disk) is nothing beside the writing.
SYNC_BYTES = 16 * 1024 * 1024

# A slow peer brings no 16 MiB for minutes; what it brought is in the journal after this time all the same. Four syncs a
# second are little for a disk, and a small file is whole before it has seen more than a few.
SYNC_WITHIN_S = 0.25


def name_of(error: OSError) -> str:
    """ENOSPC, EIO and the like; empty for an error without a number."""
    return errno.errorcode.get(error.errno or 0, "")


def _again(error: OSError) -> OSError:
    """The same refusal for another thread: an exception that is raised twice mixes their traces."""
    return OSError(error.errno, error.strerror)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A chunk in the page cache, and perhaps on the disk."""

    chunk: ChunkIndex
    length_bytes: int
    digest: bytes

    @property
    def line(self) -> bytes:
        """Its line in the journal."""
        return b"%d %s\n" % (self.chunk, self.digest.hex().encode())


class PartWriter:
    """A part open for writing, used by several lanes at once; closing waits for those that are writing."""

    def __init__(self, path: str, *, chunk_bytes: int) -> None:
        self._chunk_bytes = chunk_bytes
        self._file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            journal = str(Path(path).with_suffix(".journal"))
            self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            os.close(self._file)
            raise
        self._changed = threading.Condition()
        self._writing = 0
        self._closed = False
        self._unsynced: list[_Written] = []
        self._unsynced_bytes = 0
        self._read_again: set[ChunkIndex] = set()
        """Verified chunks that the file has given back as they were."""
        self._lost: OSError | None = None
        self._syncer = threading.Thread(target=self._keep_synced, name="part sync", daemon=True)
        self._syncer.start()

    def write_chunk(self, chunk: ChunkIndex, view: memoryview, digest: bytes, *, verified: bool) -> bool:
        """Write one chunk; its journal line follows when the disk has it. False, and nothing written, once the part is
        closed. `verified`: its hash is the one that it must have.

        Raises OSError when the disk refuses it, or has refused what came before.
        """
        with self._changed:
            if self._lost is not None:
                raise _again(self._lost)
            if self._closed:
                return False
            self._writing += 1
        try:
            offset, done = chunk * self._chunk_bytes, 0
            while done < len(view):
                done += os.pwrite(self._file, view[done:], offset + done)
            read_again = verified and gives_back(self._file, offset, view)
        except BaseException:  # whatever it is: who closes the part waits for every writer
            self._done_writing()
            raise
        self._done_writing(_Written(chunk=chunk, length_bytes=len(view), digest=digest), read_again=read_again)
        return True

    def close(self) -> frozenset[ChunkIndex]:
        """Refuse further chunks, wait for the ones being written and until the disk has them all; gives the verified
        chunks that were read again and are as they were given.

        Raises OSError when it has not: the chunks without a journal line are then lost.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._syncer.join()
        os.close(self._file)
        os.close(self._journal)
        if self._lost is not None:
            raise _again(self._lost)
        return frozenset(self._read_again)

    def _done_writing(self, written: _Written | None = None, *, read_again: bool = False) -> None:
        with self._changed:
            self._writing -= 1
            if written is not None and read_again:
                self._read_again.add(written.chunk)
            if written is not None:
                self._unsynced.append(written)
                self._unsynced_bytes += written.length_bytes
            first = len(self._unsynced) == 1
            if self._closed or self._lost is not None or first or self._unsynced_bytes >= SYNC_BYTES:
                self._changed.notify()  # the syncer, the only one who waits; not for each chunk, it has a lock to take

    def _keep_synced(self) -> None:
        """Sync and journal until the part is closed and nobody writes any more, or the disk refuses."""
        while self._lost is None:
            with self._changed:
                self._changed.wait_for(lambda: self._unsynced or self._at_rest)
                self._changed.wait_for(lambda: self._unsynced_bytes >= SYNC_BYTES or self._at_rest, SYNC_WITHIN_S)
                if not self._unsynced:
                    return
                written, self._unsynced, self._unsynced_bytes = self._unsynced, [], 0
            try:
                os.fdatasync(self._file)
                os.write(self._journal, b"".join(each.line for each in written))
                os.fdatasync(self._journal)
            except OSError as error:
                with self._changed:
                    self._lost = error
                    self._changed.wait_for(lambda: not self._writing)

    @property
    def _at_rest(self) -> bool:
        return self._closed and not self._writing
