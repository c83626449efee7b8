"""The tables, told in SQL, and how an older file becomes a newer one.

Owns: every CREATE statement, but for those in state.library_tables, and the version of the schema. Never: opens the
file (state.database) or queries a row.

`PRAGMA user_version` counts the migrations that a file has had, `PRAGMA application_id` is the CRC-32 of its CREATE
statements. SQLite keeps their text, so the comments below can be read in the file too: `sqlite3 reconciler.db .schema`.
"""

import sqlite3
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from reconciler.state import library_tables

if TYPE_CHECKING:
    import sqlite_utils

Migration = Callable[["sqlite_utils.Database"], None]
"""One step from a version to the next, inside one transaction. It must not commit."""


EventRow = tuple[str | int | float | None, ...]
"""A row of SwarmEvents: sixteen values in the order of the table's columns."""

INSERT_EVENT = """
INSERT INTO SwarmEvents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING
"""
"""An event is stored once, however often it is handed over."""


REBUILD_HINT = "stop the daemon, move the file with its -wal and -shm aside, start again: manifests are read anew"


class ForeignSchemaError(Exception):
    """The file's tables are not those that this version of the program may touch."""

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


_JOBS = """
CREATE TABLE jobs (
    job_id           TEXT PRIMARY KEY,          -- ULID or UUID
    path             TEXT NOT NULL,             -- the manifest, relative to the root folder
    job_type         TEXT NOT NULL,             -- mb_release, multi_source
    spec_digest      TEXT NOT NULL,             -- of the spec last seen; a new one is a new generation
    generation       INTEGER NOT NULL CHECK (generation >= 1),
    generation_since REAL NOT NULL,             -- unix seconds; when this generation was first seen
    state            TEXT NOT NULL,             -- the words of status.state
    attempts         INTEGER NOT NULL CHECK (attempts >= 0),   -- of this generation
    retry_at         REAL,                      -- unix seconds; NULL = nothing is planned
    started_at       REAL,
    completed_at     REAL,
    error_message    TEXT NOT NULL,
    conditions       TEXT NOT NULL              -- JSON list of objects with the fields of a Condition
) WITHOUT ROWID
"""

# The primary key is the promise "completed exactly once per job, generation and track". The TrackComplete row of
# SwarmEvents is written in the same transaction.
_ARTIFACTS = """
CREATE TABLE artifacts (
    job_id       TEXT NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
    generation   INTEGER NOT NULL CHECK (generation >= 1),
    position     INTEGER NOT NULL CHECK (position >= 1),
    path         TEXT NOT NULL,                 -- absolute, as published
    size         INTEGER NOT NULL CHECK (size >= 0),
    root         TEXT,                          -- BEP 52 pieces root; NULL = not known
    sha256       TEXT NOT NULL,
    recording    TEXT,                          -- MusicBrainz recording; NULL = not known
    variant_id   TEXT NOT NULL,
    completed_at REAL NOT NULL,
    PRIMARY KEY (job_id, generation, position)
) WITHOUT ROWID
"""

# A job may fail, be asked for again and complete, all in one generation: each outcome is told once.
_FINISHES = """
CREATE TABLE finishes (
    job_id     TEXT NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    state      TEXT NOT NULL,
    PRIMARY KEY (job_id, generation, state)
) WITHOUT ROWID
"""

# The rowid is the order in which events were stored, and the session log is written in that order. So: no VACUUM, which
# may number the rows anew; whoever deletes events keeps the newest of the table, or its number is given again, and
# deletes a job's row of session_log and its log file with its events.
_SWARM_EVENTS = """
CREATE TABLE SwarmEvents (
    event_id                    TEXT PRIMARY KEY,     -- ULID
    timestamp                   INTEGER NOT NULL,     -- unix milliseconds
    type                        TEXT NOT NULL,        -- JobStart, ChunkReceived, ...
    job_id                      TEXT NOT NULL,
    track_id                    TEXT,                 -- the track's position in its job
    variant_id                  TEXT,
    peer_id                     TEXT,                 -- given by the peer: escape it wherever it is shown
    action                      TEXT,
    source                      TEXT,                 -- overlay, http
    bytes_transferred           INTEGER,
    duration_ms                 REAL,                 -- NULL = not known
    throughput_bytes_per_sec    REAL,                 -- NULL = not known
    is_error                    BOOLEAN,
    error_code                  TEXT,
    error_message               TEXT,
    metadata_json               TEXT
)
"""

_SESSION_LOG = """
CREATE TABLE session_log (
    job_id     TEXT PRIMARY KEY,
    last_rowid INTEGER NOT NULL,                -- of SwarmEvents: the newest event of the job whose line is in the log
    bytes      INTEGER NOT NULL                 -- length of the log up to there; what lies behind was not recorded
) WITHOUT ROWID
"""

_HOLDINGS = """
CREATE TABLE holdings (
    root         TEXT PRIMARY KEY,              -- BEP 52 pieces root: names the exact bytes
    size         INTEGER NOT NULL,
    recording    TEXT,                          -- MusicBrainz recording; NULL = not known
    path         TEXT NOT NULL,                 -- absolute
    codec        TEXT NOT NULL,                 -- upper case; empty = not known
    container    TEXT NOT NULL,                 -- file name extension without the dot, lower case
    lossless     INTEGER NOT NULL,
    bitrate_bps  INTEGER NOT NULL,              -- 0 = not known
    duration_ms  INTEGER NOT NULL,              -- 0 = not known
    sha256       TEXT NOT NULL,
    device       INTEGER NOT NULL,              -- with inode, size and mtime_ns: the file as it was when it was hashed
    inode        INTEGER NOT NULL,
    mtime_ns     INTEGER NOT NULL,
    chunk_hashes BLOB NOT NULL,                 -- 32 bytes a chunk
    added_at     INTEGER NOT NULL               -- unix seconds
)
"""


def _first_album(database: "sqlite_utils.Database") -> None:
    for statement in (
        _JOBS,
        _ARTIFACTS,
        _FINISHES,
        _SWARM_EVENTS,
        "CREATE INDEX SwarmEvents_by_job ON SwarmEvents (job_id, timestamp)",
        "CREATE INDEX SwarmEvents_by_type ON SwarmEvents (type)",
        "CREATE INDEX SwarmEvents_by_peer ON SwarmEvents (peer_id)",
        _SESSION_LOG,
        _HOLDINGS,
        "CREATE INDEX holdings_by_recording ON holdings (recording)",
    ):
        database.execute(statement)


# How a job is run: the last request that was answered, the time that its timeout counts, when its manifest was lost.
_MORE_OF_JOBS = (
    "last_handled_reconcile_at TEXT NOT NULL DEFAULT ''",
    "ran_s REAL NOT NULL DEFAULT 0",  # seconds in the engine in this generation, up to running_since
    "running_since REAL",  # unix seconds; NULL = the engine does not have it
    "gone_at REAL",  # unix seconds; when its manifest was given up as gone, NULL = it is in its file
)

# What each generation asked for, as written: the base of a three-way merge. Only the newest few of a job are kept.
_ACTED_ON = """
CREATE TABLE acted_on (
    job_id      TEXT NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
    generation  INTEGER NOT NULL,
    spec_digest TEXT NOT NULL,
    document    BLOB NOT NULL,                  -- the manifest without its status, zlib
    PRIMARY KEY (job_id, generation)
) WITHOUT ROWID
"""

# A cache: what was seen of each manifest, so that a start reads only what has changed. It may be lost at any time.
_SIGHTINGS = """
CREATE TABLE sightings (
    path       TEXT PRIMARY KEY,                -- the manifest, relative to the root folder
    mark       INTEGER NOT NULL,                -- 64 bits of a digest over device, inode, size, mtime and ctime
    job_id     TEXT NOT NULL,                   -- that it names; empty = none
    waits_for  TEXT NOT NULL,                   -- nothing, time, slot, jobs, file or look
    at         REAL,                            -- unix seconds, with time
    priority   INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    depends_on TEXT NOT NULL                    -- job ids with a space between
) WITHOUT ROWID
"""

_SIGHTING_RULES = """
CREATE TABLE sighting_rules (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    rules TEXT NOT NULL                         -- digest of the version and configuration under which they were judged
)
"""

# Manifests in jobs/completed, whoever put them there; a cache as well.
_COMPLETED_MANIFESTS = """
CREATE TABLE completed_manifests (
    path   TEXT PRIMARY KEY,
    mark   INTEGER NOT NULL,
    job_id TEXT NOT NULL                        -- empty = it names none
) WITHOUT ROWID
"""

_HOLDS = """
CREATE TABLE holds (
    reason  TEXT PRIMARY KEY,                   -- MassRemoval, MergeInProgress
    since   REAL NOT NULL,                      -- unix seconds
    message TEXT NOT NULL
) WITHOUT ROWID
"""


def _life_of_a_manifest(database: "sqlite_utils.Database") -> None:
    for column in _MORE_OF_JOBS:
        database.execute(f"ALTER TABLE jobs ADD COLUMN {column}")
    for statement in (
        _ACTED_ON,
        _SIGHTINGS,
        _SIGHTING_RULES,
        _COMPLETED_MANIFESTS,
        "CREATE INDEX completed_manifests_by_job ON completed_manifests (job_id)",
        _HOLDS,
    ):
        database.execute(statement)


# Our dealings on Soulseek, so that a restart neither sends more than the server bears nor asks the wrong user again.
_SOULSEEK = (
    """
CREATE TABLE soulseek_searches (
    sent_at REAL NOT NULL                       -- unix seconds; only those of the last minutes are kept
)
""",
    """
CREATE TABLE soulseek_users (
    username          TEXT PRIMARY KEY,
    day               INTEGER NOT NULL,         -- days since 1970, UTC: the one that the two counts are of
    cancels           INTEGER NOT NULL,         -- uploads of theirs that we ended early
    questions         INTEGER NOT NULL,         -- for our place in their line
    failures_in_a_row INTEGER NOT NULL,
    ignored_until     REAL NOT NULL,            -- unix seconds
    seen_at           REAL NOT NULL             -- unix seconds
) WITHOUT ROWID
""",
    """
CREATE TABLE soulseek_wrong_files (
    claim    TEXT PRIMARY KEY,                  -- SHA-256 of user, path and size with NUL between, as in variant ids
    username TEXT NOT NULL,
    path     TEXT NOT NULL,                     -- as the user calls it; never a path of ours
    size     INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    at       REAL NOT NULL                      -- unix seconds
) WITHOUT ROWID
""",
    """
CREATE TABLE soulseek_session (
    one               INTEGER PRIMARY KEY CHECK (one = 1),
    failures_in_a_row INTEGER NOT NULL,
    not_before        REAL NOT NULL             -- unix seconds; no login before
)
""",
)


def _soulseek(database: "sqlite_utils.Database") -> None:
    for statement in _SOULSEEK:
        database.execute(statement)


# What is remembered of peers across jobs; the columns are the fields of state.reputations.Reputation, in their order.
_PEERS = """
CREATE TABLE peers (
    peer            TEXT PRIMARY KEY,           -- <source>:<name>; the name is given by the peer: escape it
    last_seen       REAL NOT NULL,              -- unix seconds; the recent_ sums are as they stood then
    recent_bytes    REAL NOT NULL,              -- of accepted chunks
    recent_seconds  REAL NOT NULL,              -- in which those came
    recent_good     REAL NOT NULL,              -- accepted chunks
    recent_errors   REAL NOT NULL,              -- refused chunks, and requests that failed other than by silence
    recent_timeouts REAL NOT NULL,              -- requests that failed by silence, or were too slow
    chunks_good     INTEGER NOT NULL,           -- ever
    chunks_refused  INTEGER NOT NULL,           -- ever
    strikes         INTEGER NOT NULL,           -- how often it was banned
    banned_until    REAL,                       -- unix seconds, also when it is over; NULL = never banned
    ban_reason      TEXT NOT NULL
) WITHOUT ROWID
"""

# What `reconciler peers forget` has dropped and a running daemon still remembers.
_PEER_PARDONS = """
CREATE TABLE peer_pardons (
    peer TEXT PRIMARY KEY
) WITHOUT ROWID
"""


def _peers_across_jobs(database: "sqlite_utils.Database") -> None:
    for statement in (_PEERS, _PEER_PARDONS):
        database.execute(statement)


# A cache of what MusicBrainz said; it may be lost at any time.
_MUSICBRAINZ_ANSWERS = """
CREATE TABLE musicbrainz_answers (
    address     TEXT PRIMARY KEY,               -- the whole URL
    status      INTEGER NOT NULL,               -- 200, or 404: there is no such thing
    body        BLOB NOT NULL,                  -- JSON, zlib
    answered_at REAL NOT NULL                   -- unix seconds
)
"""

# What each generation of a job was found to ask for at MusicBrainz: it does not change under a job that runs. Only the
# newest two of a job are kept.
_RESOLUTIONS = """
CREATE TABLE resolutions (
    job_id     TEXT NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    kind       TEXT NOT NULL,                   -- release: its tracks; releases: those of an artist or label
    mbid       TEXT NOT NULL,                   -- of the release, artist or label, as MusicBrainz has it now
    document   BLOB NOT NULL,                   -- JSON with the fields of that kind (musicbrainz.model), zlib
    PRIMARY KEY (job_id, generation)
) WITHOUT ROWID
"""


# The manifests that a discography or label crate has written.
_CHILDREN = """
CREATE TABLE children (
    owner   TEXT NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
    job_id  TEXT NOT NULL,                      -- follows from the owner and the release group
    release TEXT NOT NULL,                      -- MusicBrainz release that was last written
    written TEXT NOT NULL,                      -- digest of the manifest as it was last written
    wanted  INTEGER NOT NULL,                   -- 0 = it was cancelled because its owner does not want it any more
    PRIMARY KEY (owner, job_id)
) WITHOUT ROWID
"""


def _musicbrainz(database: "sqlite_utils.Database") -> None:
    for statement in (
        _MUSICBRAINZ_ANSWERS,
        "CREATE INDEX musicbrainz_answers_by_age ON musicbrainz_answers (answered_at)",
        _RESOLUTIONS,
        "CREATE INDEX resolutions_by_mbid ON resolutions (mbid)",
        _CHILDREN,
        "CREATE INDEX children_by_job ON children (job_id)",
    ):
        database.execute(statement)


# What hooks are still to be told of the ends of jobs, and how the last of it went. A row is written in the
# transaction of the end that it tells of.
_HOOK_DELIVERIES = """
CREATE TABLE hook_deliveries (
    delivery_id TEXT PRIMARY KEY,               -- ULID; told to the hook, the same each time
    hook        TEXT NOT NULL,                  -- `command`, or `webhook:<host>:<hash of the URL>`
    event       TEXT NOT NULL,                  -- the word that the configuration has for it
    job_id      TEXT NOT NULL,
    body        TEXT NOT NULL,                  -- JSON, as it is posted (docs/reference/webhooks.md)
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'given up')),
    tries       INTEGER NOT NULL CHECK (tries >= 0),
    next_at     REAL NOT NULL,                  -- unix seconds of the next try; of one that is over, of its end
    result      TEXT NOT NULL                   -- of the last try; may hold what a program printed: escape it
)
"""


def _hooks(database: "sqlite_utils.Database") -> None:
    for statement in (
        _HOOK_DELIVERIES,
        "CREATE INDEX hook_deliveries_by_time ON hook_deliveries (state, hook, next_at)",
    ):
        database.execute(statement)


# How the Soulseek session stands, for whoever looks beside the daemon.
_SOULSEEK_REPORT = """
CREATE TABLE soulseek_report (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    state        TEXT NOT NULL,                 -- offline, connecting, online, banned, kicked or refused
    reason       TEXT NOT NULL,                 -- why it is not online; may hold the server's words: escape them
    retry_at     REAL,                          -- unix seconds of the next login; NULL = none is planned
    listen_port  INTEGER NOT NULL,              -- where peers can connect to; 0 = nowhere
    searches_max INTEGER NOT NULL,              -- that may be sent in any 220 s
    told_at      REAL NOT NULL                  -- unix seconds
)
"""


def _soulseek_report(database: "sqlite_utils.Database") -> None:
    database.execute(_SOULSEEK_REPORT)


def _tags(database: "sqlite_utils.Database") -> None:
    for statement in library_tables.TAGS:
        database.execute(statement)


def _library(database: "sqlite_utils.Database") -> None:
    for statement in library_tables.SCANS:
        database.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (
    _first_album,
    _life_of_a_manifest,
    _peers_across_jobs,
    _soulseek,
    _musicbrainz,
    _hooks,
    _soulseek_report,
    _tags,
    _library,
)
"""In order, only ever appended to: a file with version N has had the first N."""


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
            step(database)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute(f"PRAGMA application_id = {_schema_crc(connection)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
