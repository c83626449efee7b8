"""How long a track waits for our own disk.

Owns: what the disk's refusals mean to a track, the pauses, and how often a disk may lose a part. Never: looks at a disk
(engine.disk).
"""

import errno

from reconciler.engine.events import DiskRefused, DiskTrouble, TransferFailed
from reconciler.engine.order import HeldReason
from reconciler.errors import DiskFailingError, DiskFullError, PartLostError, ReconcilerError, disk_refusal
from reconciler.ids import TrackPosition

# Room is made by a person, or by another program at any moment; looking costs one system call.
FULL_PAUSE_S = 30.0

# A disk that fails needs a hand, and each look costs it work: the pause doubles from half a minute to ten.
FAILING_PAUSE_S = 30.0
FAILING_PAUSE_S_MAX = 600.0

# How often a part that the disk did not keep is fetched again at once: a sector that went bad is replaced when it is
# written anew, a disk that goes bad is not.
LOST_AT_ONCE_MAX = 1


# The more special first: a lost part is a failing disk, too.
_TROUBLES: tuple[tuple[type[ReconcilerError], DiskTrouble], ...] = (
    (PartLostError, "lost"),
    (DiskFullError, "full"),
    (DiskFailingError, "failing"),
)


def trouble_of(kind: type[ReconcilerError]) -> DiskTrouble:
    """What an error of this class is to a track."""
    return next((trouble for known, trouble in _TROUBLES if issubclass(kind, known)), "refused")


def refusal_of(event: TransferFailed, position: TrackPosition, *, folder: str) -> DiskRefused:
    """A lane could not write what came; `folder` is where it is to go."""
    trouble = trouble_of(disk_refusal(getattr(errno, event.errno_name, None)))
    todo = "; free some space on that disk" if trouble == "full" else "; look at that disk"
    return DiskRefused(position=position, trouble=trouble, message=f"{folder}: {event.message}{todo}")


class Hold:
    """What stands in the way of one track, and when it is looked at again."""

    def __init__(self) -> None:
        self.active = False
        """From the first refusal until the disk has taken the part again; looks in between are not the end of it."""
        self.reason: HeldReason = "DiskFull"
        self.message = ""
        self.pause_s = 0.0
        self.look_at_s = 0.0
        self._failures = 0
        self._lost = 0

    def refused(self, event: DiskRefused, now: float) -> bool:
        """Take note of trouble; False where it is worth another try at once."""
        if event.trouble == "lost":
            self._lost += 1
            if self._lost <= LOST_AT_ONCE_MAX:
                return False
        self.active = True
        self.message = event.message
        if event.trouble == "full":
            self.reason, self.pause_s = "DiskFull", FULL_PAUSE_S
        else:
            self.reason = "DiskFailing"
            self.pause_s = min(FAILING_PAUSE_S * 2**self._failures, FAILING_PAUSE_S_MAX)
            self._failures += 1
        self.look_at_s = now + self.pause_s
        return True

    def passed(self) -> None:
        """The disk does its work again."""
        self.active = False
