"""The write that loses no edit: prepare, exchange, look at what was displaced.

Owns: the protocol. Never: knows what is written; the change is a function.

A check before a rename always leaves a gap in which a person's save is overwritten. An exchange leaves none: what stood
at the name is then under our temporary name, and if it is not what was read, the change is applied to it and published
again. An editor may write on for a moment in a file that was displaced; a read lease tells when that is over.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from reconciler.errors import DiskError, FileBusyError, InvalidInputError
from reconciler.manifests.kernel import (
    NotSupportedHereError,
    claim,
    exchange,
    rename_new,
    set_mtime,
    sync_folder,
    write_like,
)
from reconciler.manifests.snapshot import DEFAULT_PAUSE, FileSnapshot, Patience, Pause, read_file, temporary_for

# Saves that may come between one look and its exchange before we give way: an editor makes one or two.
ATTEMPTS_MAX = 50
# A name is gone for a moment while git (0.1 ms), Syncthing (0.4 ms) and vim (20 ms) save.
ABSENT_STEPS_MAX = 40
# Without a lease nobody says whether a displaced file is still open in an editor; 0.1 s is five of vim's saves.
SETTLE_STEPS = 20
# Syncthing lets the newer mtime win a conflict. A step this small says "changed" and still leaves the win to a person.
MTIME_STEP_NS = 1000


def rewrite(path: Path, change: Callable[[bytes], bytes], *, pause: Pause = DEFAULT_PAUSE) -> bytes:
    """Publish `change` of a file's bytes, whoever else writes it meanwhile; gives the bytes that stand there now.

    `change` is applied again to whatever a person saved in between. The file keeps its mode, owner and attributes, and
    its mtime moves by a microsecond. Raises FileNotFoundError, FileBusyError, InvalidInputError, DiskError, and what
    `change` raises; the file is then as its last writer left it.
    """
    try:
        return _Rewrite(path, change, pause).run()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DiskError(f"{path} cannot be written: {error.strerror}", hint="look at the disk") from error


class _Rewrite:
    """One call."""

    def __init__(self, path: Path, change: Callable[[bytes], bytes], pause: Pause) -> None:
        self._path = path
        self._change = change
        self._patience = Patience(path, pause)
        self._absent_steps_left = ABSENT_STEPS_MAX
        self._theirs = self._look()
        """The newest save of a person that we know."""
        self._standing = self._theirs.data
        """What stands at the name, as far as we know: theirs, or while theirs is displaced, ours."""
        self._displaced: Path | None = None
        """Where a save lies that our exchange took from the name and that nothing published contains yet."""

    def run(self) -> bytes:
        try:
            for _ in range(ATTEMPTS_MAX):
                new = self._change(self._theirs.data)
                if new == self._standing or self._publish(new):
                    self._drop_displaced()
                    return new
            raise FileBusyError(f"{self._path} is saved by somebody else again and again")
        finally:
            self._give_back()

    def _publish(self, new: bytes) -> bool:
        """Put `new` in place of what stands; False where something else stood there, which is then theirs."""
        try:
            temporary, made = self._prepare(new)
        except FileNotFoundError:
            self._wait_for_name()
            return False
        swapped = False
        try:
            seen = self._look()
            if seen.data != self._standing:
                # Saved after, or over, what we know: that is the newest now.
                self._drop_displaced()
                self._theirs, self._standing = seen, seen.data
                return False
            exchange(temporary, self._path)
            swapped = True
        except FileNotFoundError:
            self._wait_for_name()
            return False
        except NotSupportedHereError:
            _hash_check_and_rename(temporary, self._path)
            set_mtime(self._path, made, mtime_ns=self._theirs.fingerprint.mtime_ns + MTIME_STEP_NS)
            return True
        finally:
            if not swapped:
                temporary.unlink(missing_ok=True)
        expected, self._standing = self._standing, new
        # What was displaced before is contained in `new`, which stands now.
        self._drop_displaced()
        self._displaced = temporary
        if self._read_displaced(temporary, expected):
            return False
        sync_folder(self._path.parent)
        set_mtime(self._path, made, mtime_ns=self._theirs.fingerprint.mtime_ns + MTIME_STEP_NS)
        return True

    def _read_displaced(self, temporary: Path, expected: bytes) -> bool:
        """Wait until nobody writes what was displaced; True where it is a save that we had not read."""
        settle_steps_left = SETTLE_STEPS
        while True:
            try:
                displaced = read_file(temporary)
                if displaced.leased or settle_steps_left == 0:
                    break
                settle_steps_left -= 1
            except FileBusyError:
                settle_steps_left = SETTLE_STEPS
            except FileNotFoundError:
                # Only Syncthing takes our temporaries away, and only those a day old: no save of this moment.
                self._displaced = None
                return False
            self._patience.wait()
        if displaced.data == expected:
            return False
        self._theirs = displaced
        return True

    def _look(self) -> FileSnapshot:
        """Read what stands at the name, waiting for a save under way."""
        while True:
            try:
                seen = read_file(self._path)
            except FileBusyError:
                self._patience.wait()
            except FileNotFoundError:
                self._wait_for_name()
            else:
                break
        if not seen.writable:
            hint = "replacing one would part them; make it a file of its own"
            raise InvalidInputError(f"{self._path} has several hard links", hint=hint)
        return seen

    def _wait_for_name(self) -> None:
        if self._absent_steps_left <= 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        self._absent_steps_left -= 1
        self._patience.wait()

    def _prepare(self, new: bytes) -> tuple[Path, os.stat_result]:
        """Write `new` beside the file, as durable and with the same attributes; gives its name and what fstat says."""
        draft = temporary_for(self._path)
        ready = temporary_for(self._path, old=self._standing, new=new)
        try:
            with claim(draft) as file:
                made = write_like(file, new, like=self._path)
                rename_new(draft, ready)
        except FileExistsError as error:
            raise FileBusyError(f"{error.filename} exists: another write is under way") from error
        return ready, made

    def _drop_displaced(self) -> None:
        if self._displaced is not None:
            self._displaced.unlink(missing_ok=True)
            self._displaced = None

    def _give_back(self) -> None:
        """After a failure: put a displaced save back where its writer left it."""
        if self._displaced is None:
            return
        displaced, self._displaced = self._displaced, None
        try:
            exchange(displaced, self._path)
        except FileNotFoundError:
            with suppress(OSError):
                rename_new(displaced, self._path)
            return
        try:
            ours_again = read_file(displaced).data == self._standing
        except (FileBusyError, InvalidInputError):
            ours_again = False
        if ours_again:
            displaced.unlink()
        else:
            # Yet another save stood there: it is newer. The older one stays for recover_displaced.
            exchange(displaced, self._path)


def _hash_check_and_rename(temporary: Path, path: Path) -> None:
    """The fallback where names cannot be exchanged: the look just before is all that protects a save in this moment."""
    temporary.replace(path)
    sync_folder(path.parent)
