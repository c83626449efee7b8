"""A file that is read only so far as it is trusted.

Owns: opening for a look, and the budget of a parser that believes the lengths in a header. Never: parses, or writes.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What a parser may read of one file: two covers of the 16 MiB that a FLAC picture block can hold.
BUDGET_BYTES = 32 << 20


class BoundedReader(io.RawIOBase):
    """A regular file for a parser: no read is longer than the file or than what is left of the budget."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._offset = 0
        self._left_bytes = BUDGET_BYTES
        self.size = os.fstat(fd).st_size

    def at(self, offset: int, count: int) -> bytes:
        """Read `count` bytes at `offset`, fewer at the end; for callers that bound themselves."""
        return os.pread(self._fd, count, offset) if offset < self.size else b""

    def fileno(self) -> int:
        """Give the descriptor below, whose own offset nothing here uses."""
        return self._fd

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read in any order."""
        return True

    def tell(self) -> int:
        """Give the offset of the next read."""
        return self._offset

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the offset of the next read; beyond the end is allowed and reads nothing."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("a header points before the start of the file")
        self._offset = start + offset
        return self._offset

    def read(self, count: int | None = -1) -> bytes:
        """Read on from the offset. Raises ValueError where the budget is spent."""
        there = max(0, self.size - self._offset)
        wanted = there if count is None or count < 0 else min(count, there)
        if wanted > self._left_bytes:
            raise ValueError(f"its headers are longer than {BUDGET_BYTES} bytes")
        block = self.at(self._offset, wanted)
        self._offset += len(block)
        self._left_bytes -= len(block)
        return block


@contextmanager
def opened(file: Path | int) -> Iterator[BoundedReader]:
    """Open by path, or a descriptor once more, so that its offset belongs to nobody else."""
    path = f"/proc/self/fd/{file}" if isinstance(file, int) else file
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield BoundedReader(fd)
    finally:
        os.close(fd)
