"""The whole error tree: whose fault, whether it will be tried again, and the exit code.

Owns: the classes, and which of them an error number of the disk stands for. Never: formats for a terminal, logs, or
catches.

Each class says in its docstring what went wrong in one sentence; an instance adds where, and what to do next.
"""

import errno
from enum import IntEnum
from typing import ClassVar, Literal

Fault = Literal["user", "peer", "machine", "program"]


class ExitCode(IntEnum):
    """What the process tells its caller (sysexits(3) where a code exists there)."""

    OK = 0
    FAILURE = 1
    INVALID_INPUT = 2
    NOT_ALL_COMPLETED = 3
    NOT_FOUND = 4
    OTHER_INSTANCE = 75
    BAD_CONFIGURATION = 78


class ReconcilerError(Exception):
    """Something that this program can name went wrong."""

    fault: ClassVar[Fault] = "program"
    retriable: ClassVar[bool] = False
    exit_code: ClassVar[ExitCode] = ExitCode.FAILURE

    def __init__(self, message: str, *, hint: str = "") -> None:
        """`message` says what happened and where; `hint` says what to do next."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInputError(ReconcilerError):
    """What was given cannot be used as it is."""

    fault = "user"
    exit_code = ExitCode.INVALID_INPUT


class BadConfigurationError(ReconcilerError):
    """The configuration has problems; nothing was started."""

    fault = "user"
    exit_code = ExitCode.BAD_CONFIGURATION


class NotFoundError(ReconcilerError):
    """There is no such job, file or peer."""

    fault = "user"
    exit_code = ExitCode.NOT_FOUND


class OtherInstanceError(ReconcilerError):
    """Another daemon works on the same state folder."""

    fault = "user"
    exit_code = ExitCode.OTHER_INSTANCE


class FileBusyError(ReconcilerError):
    """A file is being changed by somebody else just now; it is looked at again shortly."""

    fault = "machine"
    retriable = True


class UnsafePathError(ReconcilerError):
    """A path would leave the folder it must stay in, or passes through a symbolic link."""

    fault = "user"


class DiskError(ReconcilerError):
    """The disk refused: full, failing, read-only or out of quota; the job waits and is tried again."""

    fault = "machine"
    retriable = True


class DiskFullError(DiskError):
    """The disk is full, or the quota is used up; the job is held until there is room, and loses nothing."""


class DiskFailingError(DiskError):
    """The disk cannot be read or written (I/O error, read-only, gone); the job is held until it can."""


class PartLostError(DiskFailingError):
    """The disk did not keep what was written to a part; it was discarded, and is fetched again."""


class StateDamagedError(ReconcilerError):
    """The state database cannot be read."""

    fault = "machine"


class MusicBrainzError(ReconcilerError):
    """MusicBrainz, or the mirror of it that is configured, did not say what was asked; the job says what follows."""

    fault = "peer"
    retriable = True


class PeerError(ReconcilerError):
    """A peer could not give what was asked; others are asked, and this one again later."""

    fault = "peer"
    retriable = True


class PeerLiedError(PeerError):
    """A peer sent something that its own signature, root or length contradicts; it is not asked again."""

    retriable = False


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

# What a disk, a network mount or a FUSE program answers that is broken, gone or has gone read-only: nobody mends it
# by asking for another file.
_FAILING = frozenset(
    {
        errno.EIO,
        errno.EROFS,
        errno.ENODEV,
        errno.ENXIO,
        errno.ESTALE,
        errno.ENOTCONN,
        errno.EREMOTEIO,
        errno.EUCLEAN,
    }
)


def disk_refusal(code: int | None) -> type[DiskError]:
    """The class of error that the error number `code` stands for where a disk gave it."""
    if code in _FULL:
        return DiskFullError
    return DiskFailingError if code in _FAILING else DiskError
