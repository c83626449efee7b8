"""One thread at a time, and who has a fact to tell goes before those that only tidy up.

Owns: whose turn it is. Never: knows what is done in one.

A plain lock is not enough: a thread that lets go of it and takes it again at once, batch after batch, has it again
before whoever waited is awake.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Turns of threads; nobody may take one within another."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._urgent = 0
        """How many wait that go first."""

    @contextmanager
    def first(self) -> Iterator[None]:
        """A turn as soon as the present one has ended."""
        with self._changed:
            self._urgent += 1
            try:
                self._changed.wait_for(lambda: not self._taken)
            finally:
                self._urgent -= 1
                self._changed.notify_all()
            self._taken = True
        try:
            yield
        finally:
            self._end()

    @contextmanager
    def behind(self) -> Iterator[None]:
        """A turn when nobody waits for one that goes first."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken and not self._urgent)
            self._taken = True
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        with self._changed:
            self._taken = False
            self._changed.notify_all()
