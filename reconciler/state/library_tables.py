"""The tables of what lies in the library, told in SQL.

Owns: these CREATE statements. Never: says when a file gets them (state.migrations), or queries a row.
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

HOLDINGS = (_HOLDINGS, "CREATE INDEX holdings_by_recording ON holdings (recording)")

# Files that were tagged before they got their names, and the bytes that they were made of: so that a file which is
# there is known for what was wanted. A row is written before its file has its name.
_TAGGED_FILES = """
CREATE TABLE tagged_files (
    root            TEXT PRIMARY KEY,           -- BEP 52 root of the tagged file
    size            INTEGER NOT NULL,
    original_root   TEXT NOT NULL,              -- of what was fetched
    original_sha256 TEXT NOT NULL,              -- empty for a large file
    original_size   INTEGER NOT NULL,
    variant_id      TEXT NOT NULL               -- by which the engine knew what was fetched
) WITHOUT ROWID
"""

TAGS = (
    _TAGGED_FILES,
    "CREATE INDEX tagged_files_by_original ON tagged_files (original_root)",
    "CREATE INDEX tagged_files_by_variant ON tagged_files (variant_id)",
)

# What `reconciler library scan` saw of each file; what it may share of them is in holdings.
_LIBRARY_FILES = """
CREATE TABLE library_files (
    path      TEXT PRIMARY KEY,                 -- absolute
    device    INTEGER NOT NULL,                 -- with inode, size and mtime_ns: the file as it was when it was read
    inode     INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    mtime_ns  INTEGER NOT NULL,
    root      TEXT NOT NULL,                    -- BEP 52 pieces root; empty = it was not worth hashing, see problem
    recording TEXT,                             -- MusicBrainz recording; NULL = nothing says it
    release   TEXT,                             -- MusicBrainz release; NULL = nothing says it
    audio     TEXT NOT NULL,                    -- names the audio whatever the tags are; empty = not known
    problem   TEXT NOT NULL                     -- why it is no good; empty = nothing speaks against it
) WITHOUT ROWID
"""

SCANS = (
    _LIBRARY_FILES,
    "CREATE INDEX library_files_by_root ON library_files (root)",
    "CREATE INDEX holdings_by_path ON holdings (path)",
)
