"""A held file that is being sent: read in threads, closed once, whatever is cancelled when.

Owns: the descriptor. Never: chooses what is read, or touches a loop.
"""

import os
import threading

from reconciler.errors import FileBusyError
from reconciler.ids import Root
from reconciler.library.index import Holding, LibraryIndex


class Blob:
    """An open file. One thread reads at a time; `close` may come from any other and never waits.

    A descriptor that is closed while a thread still reads it may be somebody else's file by the time of the read: so
    whoever is last closes it.
    """

    def __init__(self, descriptor: int, holding: Holding) -> None:
        self.holding = holding
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._reading = False
        self._closed = False

    @classmethod
    def open(cls, index: LibraryIndex, root: Root) -> "Blob":
        """Open what `root` names; raises what LibraryIndex.open raises."""
        return cls(*index.open(root))

    def read(self, offset: int, count: int) -> bytes:
        """Read exactly `count` bytes; raises FileBusyError where the file has become shorter or is closed, OSError."""
        with self._lock:
            if self._closed:
                raise FileBusyError(f"{self.holding.path} was closed before it was read")
            self._reading = True
        try:
            return self._read(offset, count)
        finally:
            self._end_reading()

    def close(self) -> None:
        """Give the descriptor back, now or when the read in progress ends. Twice is as once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._reading:
                os.close(self._descriptor)

    def _end_reading(self) -> None:
        with self._lock:
            self._reading = False
            if self._closed:
                os.close(self._descriptor)

    def _read(self, offset: int, count: int) -> bytes:
        data = os.pread(self._descriptor, count, offset)
        while len(data) < count:
            more = os.pread(self._descriptor, count - len(data), offset + len(data))
            if not more:
                raise FileBusyError(f"{self.holding.path} ended at byte {offset + len(data)} while it was being sent")
            data += more
        return data
