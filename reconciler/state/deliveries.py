"""What hooks are still to be told, in the database.

Owns: the table hook_deliveries. Never: delivers (hooks.courier), or decides when a delivery is tried again.

Every method waits for the disk; call from a thread that may wait.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from reconciler.state.database import Database, damaged
from reconciler.state.records import Delivery, Row, delivery_of_row

# A hook that nobody answers keeps its deliveries for hours; so many jobs end in that time only where very many were
# added at once. Past it the oldest is given up: the end of a job is never held up by a hook. A row is a few KiB.
WAITING_MAX = 10_000

# Those that are over are kept for a person to look at.
ENDED_KEPT = 1000

_ADD = "INSERT INTO hook_deliveries VALUES (?, ?, ?, ?, ?, 'waiting', 0, ?, '')"

_GIVE_UP_OLDEST = """
UPDATE hook_deliveries SET state = 'given up', next_at = ?, result = 'too many deliveries wait'
WHERE delivery_id IN (SELECT delivery_id FROM hook_deliveries WHERE state = 'waiting'
    ORDER BY delivery_id DESC LIMIT -1 OFFSET ?)
"""

_DROP_OLDEST = """
DELETE FROM hook_deliveries WHERE delivery_id IN (SELECT delivery_id FROM hook_deliveries WHERE state <> 'waiting'
    ORDER BY delivery_id DESC LIMIT -1 OFFSET ?)
"""

_NEXT = """
SELECT * FROM hook_deliveries WHERE state = 'waiting' AND hook = ? ORDER BY next_at, delivery_id LIMIT 1
"""


def add_deliveries(connection: sqlite3.Connection, deliveries: Sequence[Delivery]) -> None:
    """Add deliveries within a transaction, and keep the table within its bounds."""
    if not deliveries:
        return
    rows = [(each.delivery_id, each.hook, each.event, each.job_id, each.body, each.next_at) for each in deliveries]
    connection.executemany(_ADD, rows)
    connection.execute(_GIVE_UP_OLDEST, (max(each.next_at for each in deliveries), WAITING_MAX))
    connection.execute(_DROP_OLDEST, (ENDED_KEPT,))


class DeliveryStore:
    """The deliveries in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def next_of(self, hook: str) -> Delivery | None:
        """What a hook is to be told next, whether or not it is time; None = nothing waits."""
        row = self._database.read(lambda connection: connection.execute(_NEXT, (hook,)).fetchone())
        return None if row is None else self._delivery(row)

    def put(self, delivery: Delivery) -> None:
        """Note how a try went."""
        values = (delivery.state, delivery.tries, delivery.next_at, delivery.result, delivery.delivery_id)
        query = "UPDATE hook_deliveries SET state = ?, tries = ?, next_at = ?, result = ? WHERE delivery_id = ?"
        self._database.write(lambda connection: connection.execute(query, values)).result()

    def give_up_others(self, hooks: Iterable[str], *, now: float) -> int:
        """Give up what waits for hooks that are not among `hooks` any more; gives how many."""
        known = sorted(set(hooks))
        places = ", ".join("?" * len(known))
        # The only text put into the statement is question marks.
        query = f"""UPDATE hook_deliveries SET state = 'given up', next_at = ?, result = 'it is not configured any more'
            WHERE state = 'waiting' AND hook NOT IN ({places})"""  # noqa: S608
        return self._database.write(lambda connection: connection.execute(query, (now, *known)).rowcount).result()

    def all(self) -> list[Delivery]:
        """Every delivery that is known, the newest first."""
        query = "SELECT * FROM hook_deliveries ORDER BY delivery_id DESC"
        rows = self._database.read(lambda connection: connection.execute(query).fetchall())
        return [self._delivery(row) for row in rows]

    def _delivery(self, row: Row) -> Delivery:
        try:
            return delivery_of_row(row)
        except (ValueError, TypeError) as error:
            raise damaged(self._database.path, f"holds an impossible delivery {row[0]!r}: {error}") from error
