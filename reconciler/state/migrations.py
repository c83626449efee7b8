"""How a file of the database becomes one with the tables that this version of the program knows.

Owns: the order of the steps, and the version of the schema. Never: opens the file (state.database), words a table
(state.job_tables and its like) or queries a row.

`PRAGMA user_version` counts the migrations that a file has had, `PRAGMA application_id` is the CRC-32 of its CREATE
statements. SQLite keeps their text, so their comments can be read in the file too: `sqlite3 reconciler.db .schema`.
"""

import sqlite3
import zlib

from reconciler.state.event_tables import EVENTS
from reconciler.state.job_tables import HOOKS, JOBS, MANIFESTS, RELEASES, WISHES
from reconciler.state.library_tables import HOLDINGS, SCANS, TAGS
from reconciler.state.peer_tables import PEERS, SOULSEEK, SOULSEEK_REPORT

Migration = tuple[str, ...]
"""One step from a version to the next: statements that are executed inside one transaction."""

MIGRATIONS: tuple[Migration, ...] = (
    (*JOBS, *EVENTS, *HOLDINGS),
    MANIFESTS,
    PEERS,
    SOULSEEK,
    RELEASES,
    HOOKS,
    SOULSEEK_REPORT,
    TAGS,
    SCANS,
    WISHES,
)
"""In order, only ever appended to: a file with version N has had the first N."""

REBUILD_HINT = "stop the daemon, move the file with its -wal and -shm aside, start again: manifests are read anew"


class ForeignSchemaError(Exception):
    """The file's tables are not those that this version of the program may touch."""

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations the file behind `connection` has had.

    Raises ForeignSchemaError where it has had more than this program knows, or none and yet holds tables, or where the
    tables are not those that the migrations made.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise ForeignSchemaError(
            f"has schema version {version}; this version of the program knows {len(MIGRATIONS)}",
            hint="start the newer version that wrote it, or choose another state folder",
        )
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise ForeignSchemaError("is the database of some other program", hint="choose another state folder")
    # quick_check does not read the statements: a flipped bit in a column's name would show as a query that fails.
    if version and connection.execute("PRAGMA application_id").fetchone()[0] != _schema_crc(connection):
        raise ForeignSchemaError(
            "is damaged, or has tables or indexes that this program did not make",
            hint=f"remove what was added by hand; else {REBUILD_HINT}",
        )
    return version


def _schema_crc(connection: sqlite3.Connection) -> int:
    statements = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").fetchall()
    # The lower 31 bits: the header field is a signed number.
    return zlib.crc32("".join(row[0] for row in statements).encode("utf-8", "surrogateescape")) & 0x7FFF_FFFF


def require_newest(connection: sqlite3.Connection) -> None:
    """Refuse, with ForeignSchemaError, a file that would have to be migrated before it can be read."""
    if (version := version_of(connection)) < len(MIGRATIONS):
        raise ForeignSchemaError(
            f"has schema version {version}, older than {len(MIGRATIONS)}",
            hint="start the daemon once: it brings the file up to date",
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file behind `connection` to the newest version, all steps or none; nothing to do costs one read."""
    if version_of(connection) == len(MIGRATIONS):
        return
    # Imported here because it takes a quarter of a second, and all but the first start have nothing to migrate.
    import sqlite_utils  # noqa: PLC0415

    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated since.
        version = version_of(connection)
        database = sqlite_utils.Database(connection, recursive_triggers=False)
        for step in MIGRATIONS[version:]:
            for statement in step:
                database.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute(f"PRAGMA application_id = {_schema_crc(connection)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
