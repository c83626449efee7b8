"""The write that loses no edit: prepare, exchange, look at what was displaced.

Owns: the protocol. Never: knows what is written; the change is a function.

A check before a rename always leaves a gap in which a person's save is overwritten. An exchange leaves none: what stood
at the name is then under our temporary name, and if it is not what was read, the change is applied to it and published
again. An editor may write on for a moment in a file that was displaced; a read lease tells when that is over.

Where names cannot be exchanged, the file is moved aside and ours takes the name while it is free. What is lost then is
no edit, but for some microseconds the name. `docs/explanation/how-manifests-are-written.md` has the whole argument.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reconciler.errors import FileBusyError, InvalidInputError
from reconciler.manifests.kernel import MTIME_STEPS_NS, claim, refusal, step_mtime, sync_folder, write_like
from reconciler.manifests.renaming import NotSupportedHereError, exchange, rename_new
from reconciler.manifests.snapshot import (
    DEFAULT_PAUSE,
    FileSnapshot,
    Patience,
    Pause,
    read_file,
    read_settled,
    temporary_for,
)

# Saves that may come between one look and its exchange before we give way: an editor makes one or two.
ATTEMPTS_MAX = 50
# A name is gone for a moment while git (0.1 ms), Syncthing (0.4 ms) and vim (20 ms) save.
ABSENT_STEPS_MAX = 40


class FallBack(StrEnum):
    """What was done because a file system, or the file's owner, left no better way; in words for a log."""

    MOVED_ASIDE = "names cannot be exchanged: a file is moved aside, and its name is free for a moment"
    SETTLED = "there is no read lease: a file that was replaced is watched for 0.1 s"
    COARSE_TIME = "times are coarse: a write moves the mtime by more than a microsecond"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A file after a write."""

    over: bytes
    """What a person had there; the same as `data` where nothing had to change."""
    data: bytes
    """What stands there now."""
    fall_backs: frozenset[FallBack] = frozenset()


def rewrite(path: Path, change: Callable[[bytes], bytes], *, pause: Pause = DEFAULT_PAUSE) -> Rewritten:
    """Publish `change` of a file's bytes, whoever else writes it meanwhile.

    `change` is applied again to whatever a person saved in between. The file keeps its mode, owner and attributes, and
    its mtime moves by as little as the file system keeps: Syncthing lets the newer mtime win a conflict, and that shall
    be a person's. Raises FileNotFoundError, FileBusyError, InvalidInputError (a link, for one), NotSupportedHereError,
    DiskError, and what `change` raises; the file is then as its last writer left it.
    """
    try:
        return _Rewrite(path, change, pause).run()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refusal(f"{path} cannot be written", error, folder=path.parent) from error


def swap_in(temporary: Path, path: Path, spare: Path) -> Path:
    """Put a file at the name of another; gives where that one is now: at `temporary`, or at `spare`.

    Raises FileNotFoundError where there is none, FileExistsError where somebody took the name while it was free and
    nothing was changed, NotSupportedHereError, OSError.
    """
    try:
        exchange(temporary, path)
    except NotSupportedHereError:
        return _step_aside(temporary, path, spare)
    return temporary


class _Rewrite:
    """One call."""

    def __init__(self, path: Path, change: Callable[[bytes], bytes], pause: Pause) -> None:
        self._path = path
        self._change = change
        self._patience = Patience(path, pause)
        self._absent_steps_left = ABSENT_STEPS_MAX
        self._fall_backs: set[FallBack] = set()
        self._theirs = self._look()
        """The newest save of a person that we know."""
        self._standing = self._theirs.data
        """What stands at the name, as far as we know: theirs, or while theirs is displaced, ours."""
        self._displaced: Path | None = None
        """Where a save lies that our exchange took from the name and that nothing published contains yet."""

    def run(self) -> Rewritten:
        try:
            for _ in range(ATTEMPTS_MAX):
                new = self._change(self._theirs.data)
                if new == self._standing or self._publish(new):
                    self._drop_displaced()
                    return Rewritten(over=self._theirs.data, data=new, fall_backs=frozenset(self._fall_backs))
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
        displaced: Path | None = None
        try:
            seen = self._look()
            if seen.data != self._standing:
                # Saved after, or over, what we know: that is the newest now.
                self._drop_displaced()
                self._theirs, self._standing = seen, seen.data
                return False
            displaced = swap_in(temporary, self._path, self._spare_for(new))
        except FileNotFoundError:
            self._wait_for_name()
            return False
        except FileExistsError:
            return False
        finally:
            if displaced != temporary:
                temporary.unlink(missing_ok=True)
        if displaced != temporary:
            self._fall_backs.add(FallBack.MOVED_ASIDE)
        expected, self._standing = self._standing, new
        # What was displaced before is contained in `new`, which stands now.
        self._drop_displaced()
        self._displaced = displaced
        if self._read_displaced(displaced, expected):
            return False
        sync_folder(self._path.parent)
        self._step_mtime(made)
        # Between finding a name and opening what it led to, a program can be held up by the scheduler; that it is about
        # to write nobody can see. The disk has taken its milliseconds: look once more.
        settled = FallBack.SETTLED in self._fall_backs
        return settled or not self._read_displaced(displaced, expected)

    def _read_displaced(self, displaced: Path, expected: bytes) -> bool:
        """Wait until nobody writes what was displaced; True where it is a save that we had not read."""
        try:
            seen = read_settled(displaced, self._patience)
        except FileNotFoundError:
            # Only Syncthing takes our temporaries away, and only those a day old: no save of this moment.
            self._displaced = None
            return False
        if not seen.leased:
            self._fall_backs.add(FallBack.SETTLED)
        if seen.data == expected:
            return False
        self._theirs = seen
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

    def _spare_for(self, new: bytes) -> Path:
        return temporary_for(self._path, old=self._standing, new=new, aside=True)

    def _step_mtime(self, made: os.stat_result) -> None:
        step_ns = step_mtime(self._path, made, after_ns=self._theirs.fingerprint.mtime_ns)
        if step_ns > MTIME_STEPS_NS[0]:
            self._fall_backs.add(FallBack.COARSE_TIME)

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
            taken = swap_in(displaced, self._path, temporary_for(self._path, aside=True))
        except FileNotFoundError:
            with suppress(OSError):
                rename_new(displaced, self._path)
            return
        except FileExistsError:
            # Another save took the name: it is newer. The older one stays for recover_displaced.
            return
        try:
            ours_again = read_file(taken).data == self._standing
        except (FileBusyError, InvalidInputError):
            ours_again = False
        if ours_again:
            taken.unlink()
        else:
            # Yet another save stood there: it is newer. The older one stays for recover_displaced.
            swap_in(taken, self._path, displaced)


def _step_aside(temporary: Path, path: Path, spare: Path) -> Path:
    """The exchange in two steps: in between, the name is free, and what is saved there then is kept.

    That `rename_new` works on this file system was seen when `temporary` got its name.
    """
    if os.path.lexists(spare):
        raise FileBusyError(f"{spare} exists: another write is under way")
    path.rename(spare)
    try:
        rename_new(temporary, path)
    except FileExistsError:
        # Saved while the name was free: newer than what is aside.
        spare.unlink()
        raise
    except OSError:
        # Where even this fails, recover_displaced finds it by its name.
        with suppress(OSError):
            rename_new(spare, path)
        raise
    return spare
