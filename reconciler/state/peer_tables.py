"""The tables of peers, told in SQL: what is remembered of each, and our dealings on Soulseek.

Owns: these CREATE statements. Never: says when a file gets them (state.migrations), or queries a row.
"""

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

PEERS = (_PEERS, _PEER_PARDONS)

# Our dealings on Soulseek, so that a restart neither sends more than the server bears nor asks the wrong user again.
SOULSEEK = (
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

SOULSEEK_REPORT = (_SOULSEEK_REPORT,)
