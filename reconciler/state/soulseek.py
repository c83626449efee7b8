"""What of our dealings on Soulseek must survive a restart: searches sent, users, wrong files, the last session.

Owns: the tables soulseek_searches, soulseek_users, soulseek_wrong_files and soulseek_session; and soulseek_report, by
which whoever looks beside the daemon knows how the session stands. Never: decides what follows from a row.

Writes do not wait for the disk: a count that a crash loses costs a search or a question, not a file. Reads do wait.
"""

import sqlite3
from dataclasses import dataclass

from reconciler.state.database import Database, damaged

# A user of whom nothing was heard for so long is forgotten.
USER_KEPT_S = 30 * 86_400.0

# Files that were wrong or refused, the newest: some 300 bytes each.
WRONG_FILES_MAX = 20_000
USERS_MAX = 10_000

_PUT_USER = """
INSERT INTO soulseek_users VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (username) DO UPDATE SET
    day = excluded.day, cancels = excluded.cancels, questions = excluded.questions,
    failures_in_a_row = excluded.failures_in_a_row, ignored_until = excluded.ignored_until, seen_at = excluded.seen_at
"""

_DROP_OLD_WRONG = """
DELETE FROM soulseek_wrong_files WHERE claim IN
    (SELECT claim FROM soulseek_wrong_files ORDER BY at DESC LIMIT -1 OFFSET ?)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUser:
    """A user's row."""

    username: str
    day: int
    cancels: int
    questions: int
    failures_in_a_row: int
    ignored_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongFile:
    """A file of a user that is not asked for again."""

    claim: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """When the server may be connected to again."""

    failures_in_a_row: int = 0
    not_before: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """How the session stands, as the daemon last told."""

    state: str
    reason: str
    retry_at: float | None
    """When the next login is due; None = none is planned."""
    listen_port: int
    searches_max: int
    told_at: float


class SoulseekStore:
    """The dealings in the state database. Times are seconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def searches(self, *, since: float) -> tuple[float, ...]:
        """When searches were sent."""
        query = "SELECT sent_at FROM soulseek_searches WHERE sent_at >= ? ORDER BY sent_at"
        return tuple(float(row[0]) for row in self._rows(query, since))

    def add_search(self, sent_at: float, *, forget_before: float) -> None:
        """Remember a search, and forget old ones."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM soulseek_searches WHERE sent_at < ?", (forget_before,))
            connection.execute("INSERT INTO soulseek_searches (sent_at) VALUES (?)", (sent_at,))

        self._database.write(work)

    def users(self) -> tuple[StoredUser, ...]:
        """The users heard of last, the newest last."""
        query = """
        SELECT username, day, cancels, questions, failures_in_a_row, ignored_until FROM
            (SELECT * FROM soulseek_users ORDER BY seen_at DESC LIMIT ?) ORDER BY seen_at
        """
        try:
            return tuple(
                StoredUser(
                    username=str(name),
                    day=int(day),
                    cancels=int(cancels),
                    questions=int(questions),
                    failures_in_a_row=int(failures),
                    ignored_until=float(until),
                )
                for name, day, cancels, questions, failures, until in self._rows(query, USERS_MAX)
            )
        except (TypeError, ValueError) as error:
            raise damaged(self._database.path, f"holds an impossible Soulseek user: {error}") from error

    def put_user(self, user: StoredUser, *, seen_at: float) -> None:
        """Remember a user."""
        row = (
            user.username,
            user.day,
            user.cancels,
            user.questions,
            user.failures_in_a_row,
            user.ignored_until,
            seen_at,
        )

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT_USER, row)
            connection.execute("DELETE FROM soulseek_users WHERE seen_at < ?", (seen_at - USER_KEPT_S,))

        self._database.write(work)

    def wrong_files(self) -> tuple[WrongFile, ...]:
        """Files that are not asked for again, the newest last."""
        query = """
        SELECT claim, reason FROM (SELECT * FROM soulseek_wrong_files ORDER BY at DESC LIMIT ?) ORDER BY at
        """
        rows = self._rows(query, WRONG_FILES_MAX)
        return tuple(WrongFile(claim=str(claim), reason=str(reason)) for claim, reason in rows)

    def add_wrong_file(self, claim: str, file: tuple[str, str, int], reason: str, *, at: float) -> None:
        """Remember a file (user, path, size); the first reason stays."""

        def work(connection: sqlite3.Connection) -> None:
            row = (claim, *file, reason, at)
            connection.execute("INSERT INTO soulseek_wrong_files VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)
            connection.execute(_DROP_OLD_WRONG, (WRONG_FILES_MAX,))

        self._database.write(work)

    def session(self) -> StoredSession:
        """The last session's end."""
        rows = self._rows("SELECT failures_in_a_row, not_before FROM soulseek_session")
        return (
            StoredSession(failures_in_a_row=int(rows[0][0]), not_before=float(rows[0][1])) if rows else StoredSession()
        )

    def put_session(self, session: StoredSession) -> None:
        """Remember a session's end."""
        row = (session.failures_in_a_row, session.not_before)
        query = "INSERT OR REPLACE INTO soulseek_session VALUES (1, ?, ?)"
        self._database.write(lambda connection: connection.execute(query, row))

    def report(self) -> StoredReport | None:
        """How the session stands; None where no daemon that takes part has told."""
        query = "SELECT state, reason, retry_at, listen_port, searches_max, told_at FROM soulseek_report"
        row = self._database.read(lambda connection: connection.execute(query).fetchone())
        if row is None:
            return None
        state, reason, retry_at, listen_port, searches_max, told_at = row
        try:
            return StoredReport(
                state=str(state),
                reason=str(reason),
                retry_at=None if retry_at is None else float(retry_at),
                listen_port=int(listen_port),
                searches_max=int(searches_max),
                told_at=float(told_at),
            )
        except (TypeError, ValueError) as error:
            raise damaged(self._database.path, f"holds an impossible Soulseek session: {error}") from error

    def put_report(self, report: StoredReport | None) -> None:
        """Tell how the session stands; None = nobody takes part any more."""
        if report is None:
            self._database.write(lambda connection: connection.execute("DELETE FROM soulseek_report"))
            return
        row = (
            report.state,
            report.reason,
            report.retry_at,
            report.listen_port,
            report.searches_max,
            report.told_at,
        )
        query = "INSERT OR REPLACE INTO soulseek_report VALUES (1, ?, ?, ?, ?, ?, ?)"
        self._database.write(lambda connection: connection.execute(query, row))

    def _rows(self, query: str, *values: float) -> list[tuple[str | float, ...]]:
        return self._database.read(lambda connection: connection.execute(query, values).fetchall())
