"""The memory of dealings with Soulseek users and their server, in use and on disk.

Owns: that what is counted in memory (sources.soulseek.standing, search_budget) is kept as well (state.soulseek).
Never: decides what follows from it.
"""

import threading

from reconciler.clock import Clock
from reconciler.sources.soulseek.account import SessionStatus
from reconciler.sources.soulseek.offering import claim_of
from reconciler.sources.soulseek.pauses import Pauses
from reconciler.sources.soulseek.search_budget import WINDOW_S, SearchBudget
from reconciler.sources.soulseek.standing import Happened, Standings, UserStanding
from reconciler.state.soulseek import SoulseekStore, StoredReport, StoredSession, StoredUser


class Ledger:
    """Used from the loop's thread and from the one that listens to the process."""

    def __init__(self, store: SoulseekStore, clock: Clock, *, searches_max: int) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        users = {each.username: _standing_of(each) for each in store.users()}
        self._standings = Standings(users, {each.claim: each.reason for each in store.wrong_files()})
        self._searches_max = searches_max
        self._searches = SearchBudget(searches_max, store.searches(since=clock.wall() - 2 * WINDOW_S))

    # ---- searches ----------------------------------------------------------------------------------------------------

    def search_wait_s(self) -> float:
        """How long until one more search may be sent."""
        return self._searches.wait_s(self._clock.wall())

    def search_sent(self) -> None:
        """Count a search that is about to be sent."""
        now = self._clock.wall()
        self._searches.sent(now)
        self._store.add_search(now, forget_before=now - 2 * WINDOW_S)

    # ---- users -------------------------------------------------------------------------------------------------------

    def may_ask(self, username: str, path: str, size: int) -> tuple[str, int]:
        """Why a file may not be asked for (empty = it may), and how often its user may still be asked for our place."""
        now = self._clock.wall()
        with self._lock:
            why_not = self._standings.why_not(username, claim_of(username, path, size), now)
            return why_not, self._standings.of(username).questions_left(now)

    def failures_of(self, username: str) -> int:
        """Failures in a row of a user: those with one come after those with none."""
        with self._lock:
            return self._standings.of(username).failures_in_a_row

    def happened(self, username: str, path: str, size: int, happened: Happened) -> None:
        """Count what happened between a user and us; a final refusal holds for that file for good."""
        now = self._clock.wall()
        with self._lock:
            standing = self._standings.count(username, happened, now)
        self._store.put_user(_stored(username, standing), seen_at=now)
        if happened.what == "refused":
            self.condemn(username, path, size, f"refused: {happened.reason}")

    def condemn(self, username: str, path: str, size: int, reason: str) -> None:
        """Never ask for this file of this user again."""
        claim = claim_of(username, path, size)
        with self._lock:
            self._standings.condemn(claim, reason)
        self._store.add_wrong_file(claim, (username, path, size), reason, at=self._clock.wall())

    # ---- the session -------------------------------------------------------------------------------------------------

    def pauses(self) -> Pauses:
        """What is known of earlier sessions. Wrong credentials are tried again: somebody may have changed them."""
        stored = self._store.session()
        return Pauses(failures_in_a_row=stored.failures_in_a_row, not_before_s=stored.not_before)

    def keep_pauses(self, pauses: Pauses) -> None:
        """Keep it for the next start."""
        kept = StoredSession(failures_in_a_row=pauses.failures_in_a_row, not_before=pauses.not_before_s)
        self._store.put_session(kept)

    def tell(self, status: SessionStatus) -> None:
        """Let whoever looks beside the daemon know how the session stands."""
        now = self._clock.wall()
        told = StoredReport(
            state=status.state,
            reason=status.reason,
            retry_at=None if status.retry_in_s is None else now + status.retry_in_s,
            listen_port=status.listen_port,
            searches_max=self._searches_max,
            told_at=now,
        )
        self._store.put_report(told)


def _standing_of(stored: StoredUser) -> UserStanding:
    return UserStanding(
        day=stored.day,
        cancels=stored.cancels,
        questions=stored.questions,
        failures_in_a_row=stored.failures_in_a_row,
        ignored_until=stored.ignored_until,
    )


def _stored(username: str, standing: UserStanding) -> StoredUser:
    return StoredUser(
        username=username,
        day=standing.day,
        cancels=standing.cancels,
        questions=standing.questions,
        failures_in_a_row=standing.failures_in_a_row,
        ignored_until=standing.ignored_until,
    )
