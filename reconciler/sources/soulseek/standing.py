"""What is owed to each Soulseek user, and what is remembered of it.

Owns: the budgets of one user for one day, when a user is left alone, and which files are never asked for again.
Never: keeps it on disk (state.soulseek) or reads a clock.

A download that we end early shows as a failed upload at the other side, takes one of its slots, and counts against us
where the operator set a limit of failures a day. Questions for our place in line cost less, and are bounded as well.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Literal

# Uploads of one user that we may end early in a day, and questions for our place in line; the second is the figure that
# slskdN, which probes public peers, allows itself.
CANCELS_PER_DAY = 5
QUESTIONS_PER_DAY = 10
DAY_S = 86_400.0

# A user is left alone from the second failure in a row on, longer each time: an hour, doubling, a day at most.
IGNORED_AFTER = 2
FIRST_IGNORED_S = 3600.0
LONGEST_IGNORED_S = DAY_S

# Users remembered in memory; those seen longest ago are forgotten first, as they are on disk after a month.
USERS_MAX = 10_000

# Files, as many as on disk; those that were condemned longest ago are forgotten first.
WRONG_FILES_MAX = 20_000

What = Literal["asked", "cancelled", "failed", "refused", "served"]
"""Asked for our place; ended early by us; ended by a failure; refused for good; sent to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that counts between a user and us."""

    what: What
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserStanding:
    """What is remembered of one user. Times are by the wall clock."""

    day: int = 0
    """The day that the counts are of, by UTC."""
    cancels: int = 0
    questions: int = 0
    failures_in_a_row: int = 0
    ignored_until: float = 0.0

    def after(self, happened: Happened, now: float) -> "UserStanding":
        """Count what happened."""
        today = self._of_today(now)
        match happened.what:
            case "asked":
                return replace(today, questions=today.questions + 1)
            case "cancelled":
                return replace(today, cancels=today.cancels + 1)
            case "served":
                return replace(today, failures_in_a_row=0, ignored_until=0.0)
            case "failed" | "refused":
                failures = today.failures_in_a_row + (happened.what == "failed")
                beyond = failures - IGNORED_AFTER
                ignored_s = min(FIRST_IGNORED_S * 2.0 ** min(beyond, 10), LONGEST_IGNORED_S) if beyond >= 0 else 0.0
                until = now + ignored_s if happened.what == "failed" and ignored_s else today.ignored_until
                return replace(today, failures_in_a_row=failures, ignored_until=until)

    def questions_left(self, now: float) -> int:
        """How often it may still be asked for our place today."""
        return max(0, QUESTIONS_PER_DAY - self._of_today(now).questions)

    def why_not(self, now: float) -> str:
        """Why nothing is asked of this user now; empty = it may be."""
        # Further ahead than anybody is ignored for, it was written by a clock that was wrong.
        if now < self.ignored_until <= now + LONGEST_IGNORED_S:
            return f"left alone after {self.failures_in_a_row} failures in a row"
        if self._of_today(now).cancels >= CANCELS_PER_DAY:
            return f"{CANCELS_PER_DAY} of its uploads were ended early today"
        return ""

    def _of_today(self, now: float) -> "UserStanding":
        day = int(now // DAY_S)
        return self if day == self.day else replace(self, day=day, cancels=0, questions=0)


class Standings:
    """All users that are remembered, and the files that are never asked for again."""

    def __init__(self, users: dict[str, UserStanding], wrong_files: dict[str, str]) -> None:
        """`wrong_files` maps a claim (sources.soulseek.offering) to the reason; both begin with the oldest."""
        self._users = OrderedDict(users)
        self._wrong_files = OrderedDict(wrong_files)

    def of(self, username: str) -> UserStanding:
        """What is remembered of a user."""
        return self._users.get(username, UserStanding())

    def count(self, username: str, happened: Happened, now: float) -> UserStanding:
        """Count what happened, and give what is to be kept of the user."""
        standing = self._users.pop(username, UserStanding()).after(happened, now)
        self._users[username] = standing
        if len(self._users) > USERS_MAX:
            self._users.popitem(last=False)
        return standing

    def condemn(self, claim: str, reason: str) -> None:
        """Never ask for this file of this user again."""
        self._wrong_files[claim] = reason
        if len(self._wrong_files) > WRONG_FILES_MAX:
            self._wrong_files.popitem(last=False)

    def why_not(self, username: str, claim: str, now: float) -> str:
        """Why a file is not asked for; empty = it may be."""
        wrong = self._wrong_files.get(claim)
        return f"this file was wrong before: {wrong}" if wrong else self.of(username).why_not(now)
