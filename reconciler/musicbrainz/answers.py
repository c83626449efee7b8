"""Answers of MusicBrainz, remembered on the disk.

Owns: the table musicbrainz_answers, and how many answers it holds. Never: asks, or says how old is too old
(musicbrainz.client).

Every method waits for the disk; call from a thread that may wait.
"""

import sqlite3
import zlib
from dataclasses import dataclass

from reconciler.state.database import Database, damaged

# A release takes some 5 kB here, a page of a hundred releases 30 kB: 2,000 answers are 10 to 60 MB, and more than an
# artist's whole work. The oldest go first.
ANSWERS_MAX = 2000

# What a row may unpack to; musicbrainz.client takes no larger answer.
ANSWER_BYTES_MAX = 16 * 1024 * 1024

_PUT = """
INSERT INTO musicbrainz_answers VALUES (?, ?, ?, ?) ON CONFLICT (address) DO UPDATE SET
    status = excluded.status, body = excluded.body, answered_at = excluded.answered_at
"""
_DROP_OLDEST = """
DELETE FROM musicbrainz_answers WHERE address IN
    (SELECT address FROM musicbrainz_answers ORDER BY answered_at DESC, address LIMIT -1 OFFSET ?)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said to one request."""

    status: int
    """200, or 404: there is no such thing."""
    body: bytes
    answered_at: float
    """Seconds since 1970-01-01 UTC."""


class Answers:
    """The answers in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, address: str) -> Answer | None:
        """What was last said to this request; None = it was never made, or long ago."""
        query = "SELECT status, body, answered_at FROM musicbrainz_answers WHERE address = ?"
        row = self._database.read(lambda connection: connection.execute(query, (address,)).fetchone())
        if row is None:
            return None
        try:
            return Answer(status=int(row[0]), body=_unpacked(row[1]), answered_at=float(row[2]))
        except (zlib.error, TypeError, ValueError) as error:
            raise damaged(self._database.path, f"holds an impossible answer of MusicBrainz: {error}") from error

    def put(self, address: str, answer: Answer) -> None:
        """Remember an answer in place of an earlier one."""
        row = (address, answer.status, zlib.compress(answer.body), answer.answered_at)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT, row)
            connection.execute(_DROP_OLDEST, (ANSWERS_MAX,))

        self._database.write(work).result()


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    body = unpacking.decompress(packed, ANSWER_BYTES_MAX)
    if not unpacking.eof:
        raise ValueError("it does not end")
    return body
