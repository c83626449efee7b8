"""The tables of jobs and their manifests, told in SQL.

Owns: these CREATE statements: what is known of a job, what was seen of its file, what it was found to ask for, who is
told of its end. Never: says when a file gets them (state.migrations), or queries a row.
"""

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

JOBS = (_JOBS, _ARTIFACTS, _FINISHES)

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

MANIFESTS = (
    *(f"ALTER TABLE jobs ADD COLUMN {column}" for column in _MORE_OF_JOBS),
    _ACTED_ON,
    _SIGHTINGS,
    _SIGHTING_RULES,
    _COMPLETED_MANIFESTS,
    "CREATE INDEX completed_manifests_by_job ON completed_manifests (job_id)",
    _HOLDS,
)

# By what each asks for, a wish that comes in again is found. Both tables are caches, of which old rows do not say it.
WISHES = (
    "DELETE FROM sightings",
    "DELETE FROM completed_manifests",
    "ALTER TABLE sightings ADD COLUMN spec_digest TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE completed_manifests ADD COLUMN spec_digest TEXT NOT NULL DEFAULT ''",
)

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

RELEASES = (
    _MUSICBRAINZ_ANSWERS,
    "CREATE INDEX musicbrainz_answers_by_age ON musicbrainz_answers (answered_at)",
    _RESOLUTIONS,
    "CREATE INDEX resolutions_by_mbid ON resolutions (mbid)",
    _CHILDREN,
    "CREATE INDEX children_by_job ON children (job_id)",
)

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

HOOKS = (_HOOK_DELIVERIES, "CREATE INDEX hook_deliveries_by_time ON hook_deliveries (state, hook, next_at)")
