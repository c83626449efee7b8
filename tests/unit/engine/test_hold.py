"""How long a track waits for our own disk."""

import pytest

from reconciler.engine.events import DiskRefused, TransferFailed, TransferId
from reconciler.engine.hold import Hold, refusal_of, trouble_of
from reconciler.errors import DiskError, DiskFailingError, DiskFullError, PartLostError, UnsafePathError
from reconciler.ids import TrackPosition

ONE = TrackPosition(1)


def refused(trouble):
    """The disk's answer."""
    return DiskRefused(position=ONE, trouble=trouble, message=f"it is {trouble}")


def test_a_full_disk_is_looked_at_each_half_minute():
    """However often: room may be made at any moment, and looking costs nothing."""
    hold = Hold()
    for now in (0.0, 30.0, 60.0, 9000.0):
        assert hold.refused(refused("full"), now)
        assert (hold.reason, hold.look_at_s) == ("DiskFull", now + 30.0)


def test_a_failing_disk_is_looked_at_less_and_less():
    """From half a minute to ten."""
    hold = Hold()
    pauses = []
    for _ in range(7):
        assert hold.refused(refused("failing"), 100.0)
        pauses.append(hold.look_at_s - 100.0)
    assert pauses == [30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
    assert hold.reason == "DiskFailing"


def test_a_part_that_is_lost_once_is_fetched_again_and_one_lost_twice_is_a_failing_disk():
    """The sync is never asked again, the bytes are."""
    hold = Hold()
    assert not hold.refused(refused("lost"), 0.0)
    assert not hold.active
    assert hold.refused(refused("lost"), 5.0)
    assert (hold.reason, hold.look_at_s, hold.active) == ("DiskFailing", 35.0, True)


def test_it_lasts_until_the_disk_has_taken_the_part():
    """A look in between is not the end of it."""
    hold = Hold()
    hold.refused(refused("full"), 0.0)
    assert (hold.active, hold.message) == (True, "it is full")
    hold.passed()
    assert not hold.active


@pytest.mark.parametrize(
    ("kind", "trouble"),
    [
        (DiskFullError, "full"),
        (DiskFailingError, "failing"),
        (PartLostError, "lost"),
        (DiskError, "refused"),
        (UnsafePathError, "refused"),
    ],
)
def test_what_an_error_means_to_a_track(kind, trouble):
    """Each class of the error tree, the more special first."""
    assert trouble_of(kind) == trouble


@pytest.mark.parametrize(
    ("name", "trouble", "todo"),
    [
        ("ENOSPC", "full", "free some space on that disk"),
        ("EDQUOT", "full", "free some space on that disk"),
        ("EIO", "failing", "look at that disk"),
        ("", "refused", "look at that disk"),
        ("ENONSENSE", "refused", "look at that disk"),
    ],
)
def test_a_lane_that_could_not_write_says_what_the_disk_said(name, trouble, todo):
    """It knows the error's name; the job knows where the file was to go."""
    event = TransferFailed(transfer=TransferId(1), code="disk", message="writing failed", errno_name=name)
    assert refusal_of(event, ONE, folder="/music/album") == DiskRefused(
        position=ONE, trouble=trouble, message=f"/music/album: writing failed; {todo}"
    )
