"""The tables of what happened, told in SQL, and the one statement that adds to them.

Owns: these CREATE statements, and the INSERT that a fact and its event share. Never: says when a file gets them
(state.migrations), or makes a row (traces.rows).
"""

EventRow = tuple[str | int | float | None, ...]
"""A row of SwarmEvents: sixteen values in the order of the table's columns."""

INSERT_EVENT = """
INSERT INTO SwarmEvents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING
"""
"""An event is stored once, however often it is handed over."""

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

EVENTS = (
    _SWARM_EVENTS,
    "CREATE INDEX SwarmEvents_by_job ON SwarmEvents (job_id, timestamp)",
    "CREATE INDEX SwarmEvents_by_type ON SwarmEvents (type)",
    "CREATE INDEX SwarmEvents_by_peer ON SwarmEvents (peer_id)",
    _SESSION_LOG,
)
