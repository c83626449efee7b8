"""What is remembered of peers across jobs, in the database.

Owns: the tables peers and peer_pardons. Never: judges a peer (engine.reputation).

The daemon keeps all of it in memory and writes what has changed in batches. A command that forgets a peer beside a
running daemon leaves a pardon: the daemon takes it with its next batch, in the same transaction, so that it does not
write the peer back.

Every method waits for the disk; call from a thread that may wait.
"""

import sqlite3
from collections.abc import Iterable

from reconciler.state.database import Database, damaged
from reconciler.state.reputations import Reputation, reputation_of_row, row_of_reputation

_PUT = """
INSERT INTO peers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (peer) DO UPDATE SET
    last_seen = excluded.last_seen, recent_bytes = excluded.recent_bytes, recent_seconds = excluded.recent_seconds,
    recent_good = excluded.recent_good, recent_errors = excluded.recent_errors,
    recent_timeouts = excluded.recent_timeouts, chunks_good = excluded.chunks_good,
    chunks_refused = excluded.chunks_refused, strikes = excluded.strikes, banned_until = excluded.banned_until,
    ban_reason = excluded.ban_reason
"""


class PeerStore:
    """The reputations in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Reputation]:
        """Every peer, the one heard of longest ago first."""
        query = "SELECT * FROM peers ORDER BY last_seen, peer"
        rows = self._database.read(lambda connection: connection.execute(query).fetchall())
        try:
            return [reputation_of_row(row) for row in rows]
        except (ValueError, TypeError) as error:
            raise damaged(self._database.path, f"holds an impossible peer: {error}") from error

    def exchange(self, changed: Iterable[Reputation], gone: Iterable[str] = ()) -> frozenset[str]:
        """Write what has changed, drop what is gone, and take the pardons; those peers are not written back."""
        rows = [row_of_reputation(reputation) for reputation in changed]
        names = [(peer,) for peer in gone]

        def work(connection: sqlite3.Connection) -> frozenset[str]:
            pardoned = frozenset(peer for (peer,) in connection.execute("SELECT peer FROM peer_pardons"))
            connection.execute("DELETE FROM peer_pardons")
            connection.executemany("DELETE FROM peers WHERE peer = ?", names)
            connection.executemany(_PUT, (row for row in rows if row[0] not in pardoned))
            return pardoned

        return self._database.write(work).result()

    def pardons_wait(self) -> bool:
        """Whether a command has forgotten a peer since the last exchange; costs a read."""
        query = "SELECT EXISTS (SELECT 1 FROM peer_pardons)"
        return bool(self._database.read(lambda connection: connection.execute(query).fetchone()[0]))

    def forget(self, peers: Iterable[str]) -> None:
        """Drop peers, here and in the memory of a running daemon."""
        names = [(peer,) for peer in peers]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM peers WHERE peer = ?", names)
            connection.executemany("INSERT INTO peer_pardons VALUES (?) ON CONFLICT DO NOTHING", names)

        self._database.write(work).result()
