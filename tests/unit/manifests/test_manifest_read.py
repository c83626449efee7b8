"""Reading manifests: what is accepted, and in which words the rest is refused."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifests.document import PROBLEMS_MAX, UNFIT_IN_VALUE, Document
from reconciler.manifests.model import (
    Constraints,
    JobType,
    MbReleaseSpec,
    MultiSourceSpec,
    OverlayPeerSource,
    UrlSource,
)
from reconciler.manifests.read import MANIFEST_BYTES_MAX, read_document, read_manifest
from reconciler.manifests.scan import DEPTH_MAX, EVENTS_MAX, scan

RELEASE = "c0d0c0a4-4a26-4d74-9c02-67c9321b3b22"
RECORDING = "e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc"
ROOT = "ab" * 32
PEER = "A" * 43

ALBUM = f"""\
# what I want
manifest_version: "1.0"
job_id: 01HRQ4GSX9K47J7M5FK7VW8B12
job_type: mb_release
created_at: 2025-12-10T15:30:00Z
labels: {{owner: me, year: 1991}}
spec:
  mb_release_id: {RELEASE}
  title: Loveless
  artist: My Bloody Valentine
  target_dir: /music/queue
  tracks:
    - {{position: 1, title: Only Shallow, mb_recording_id: {RECORDING}, duration_ms: 242000}}
    - position: 2
      title: Loomer
      mb_recording_id: {RECORDING}
      artist: Somebody Else
      medium: 1
      medium_position: 2
  constraints:
    preferred_codecs: [flac, ALAC]
    allow_lossy: false
    use_soulseek: false
    overlay_bandwidth_kbps: 3000
    max_lossy_tracks_per_album: 0
"""

FILES = f"""\
manifest_version: 1.0
job_type: multi_source
spec:
  target_dir: queue
  files:
    - path: Loveless/01.flac
      size: 1234
      root: {ROOT}
      sha256: {ROOT}
      chunk_hashes: https://example.org/01.chunks
      mb_recording_id: {RECORDING}
      sources:
        - url: https://example.org/01.flac
        - {{overlay: "{PEER}@[::1]:7443"}}
"""


def problems(text: str | bytes) -> list[str]:
    """What is wrong with a manifest, as it is printed."""
    parsed = read_manifest(text if isinstance(text, bytes) else text.encode())
    return [str(problem) for problem in parsed.problems]


def test_an_album_becomes_values():
    """Every field of an mb_release arrives with its type and its default."""
    parsed = read_manifest(ALBUM.encode())
    assert parsed.problems == ()
    manifest = parsed.manifest
    assert manifest is not None
    assert (manifest.version, manifest.job_id, manifest.job_type) == (
        "1.0",
        "01HRQ4GSX9K47J7M5FK7VW8B12",
        JobType.MB_RELEASE,
    )
    assert manifest.created_at == "2025-12-10T15:30:00Z"
    assert manifest.labels == {"owner": "me", "year": "1991"}
    spec = manifest.spec
    assert isinstance(spec, MbReleaseSpec)
    assert [(t.position, t.title, t.duration_ms, t.artist, t.medium, t.medium_position) for t in spec.tracks] == [
        (1, "Only Shallow", 242000, "", None, None),
        (2, "Loomer", None, "Somebody Else", 1, 2),
    ]
    assert spec.constraints == Constraints(
        preferred_codecs=("FLAC", "ALAC"),
        allow_lossy=False,
        use_soulseek=False,
        overlay_bandwidth_kbps=3000,
        max_lossy_tracks_per_album=0,
    )


def test_files_with_sources_become_values():
    """Every field of a multi_source file arrives, an IPv6 peer included."""
    parsed = read_manifest(FILES.encode())
    assert parsed.problems == ()
    assert parsed.manifest is not None
    spec = parsed.manifest.spec
    assert isinstance(spec, MultiSourceSpec)
    (file,) = spec.files
    assert (file.path, file.size, file.root, file.sha256) == ("Loveless/01.flac", 1234, ROOT, ROOT)
    assert (file.chunk_hashes, file.mb_recording_id) == ("https://example.org/01.chunks", RECORDING)
    assert file.sources == (
        UrlSource(url="https://example.org/01.flac"),
        OverlayPeerSource(peer=PEER, host="::1", port=7443),
    )
    assert spec.constraints == Constraints()


@pytest.mark.parametrize(
    "written",
    [
        "Yes",
        "No",
        "on",
        "true",
        "4:02",
        "1:30",
        "010",
        "0x1F",
        "1_000",
        "1.10",
        "1999",
        "2024-01-01",
        "2024-13-45",
        "1e3",
        "Null",
        "NULL",
        ".inf",
        "=",
        "i!",
        "'null'",
        "'~'",
    ],
)
def test_a_title_is_what_was_written(written: str):
    """No scalar turns into a number, a boolean, a date or nothing where text is wanted."""
    parsed = read_manifest(ALBUM.replace("title: Loveless", f"title: {written}").encode())
    assert parsed.problems == ()
    assert parsed.manifest is not None
    assert isinstance(parsed.manifest.spec, MbReleaseSpec)
    assert parsed.manifest.spec.title == written.strip("'\"")


@pytest.mark.parametrize(
    ("old", "new", "said", "hint"),
    [
        (
            "    allow_lossy: false",
            "    alow_lossy: false",
            "22:5: spec.constraints.alow_lossy: unknown field",
            "did you mean allow_lossy?",
        ),
        ("  target_dir: /music/queue\n", "", "7:1: spec.target_dir: is missing", "add `target_dir:`"),
        ("position: 1,", "position: 01,", "13:18: spec.tracks[0].position: `01` is not a whole number", "write 1"),
        (
            "position: 2",
            "position: 1",
            "14:17: spec.tracks[1].position: the same position as tracks[0]",
            "give each its own position",
        ),
        ("position: 2", "position: 0", "14:17: spec.tracks[1].position: 0 is too small", "write 1 or more"),
        ("242000", "1e5", "13:110: spec.tracks[0].duration_ms: `1e5` is not a whole number", "write digits only"),
        (
            "242000",
            "9" * 400,
            f"13:110: spec.tracks[0].duration_ms: `{'9' * 40}...` is not a whole number",
            "write digits only",
        ),
        (
            "allow_lossy: false",
            "allow_lossy: No",
            "22:18: spec.constraints.allow_lossy: `No` is not true or false",
            "write false",
        ),
        (
            "allow_lossy: false",
            "allow_lossy: maybe",
            "22:18: spec.constraints.allow_lossy: `maybe` is not true or false",
            "write true or false",
        ),
        (
            "job_type: mb_release",
            "job_type: mb-releas",
            "4:11: job_type: `mb-releas` is unknown",
            "did you mean mb_release?",
        ),
        (
            "01HRQ4GSX9K47J7M5FK7VW8B12",
            "01hrq4gsx9k47j7m5fk7vw8b12",
            "3:9: job_id: `01hrq4gsx9k47j7m5fk7vw8b12` is not a ULID",
            "write 01HRQ4GSX9K47J7M5FK7VW8B12",
        ),
        (
            "01HRQ4GSX9K47J7M5FK7VW8B12",
            "loveless",
            "3:9: job_id: `loveless` is not a ULID",
            "take the line out: the daemon adds one",
        ),
        (
            "job_id: 01HRQ4GSX9K47J7M5FK7VW8B12",
            "job_id:",
            "3:8: job_id: is empty",
            "give it a value or take the line out",
        ),
        (
            "2025-12-10T15:30:00Z",
            "yesterday",
            "5:13: created_at: `yesterday` is not an RFC 3339 time",
            "write 2025-12-10T15:30:00Z",
        ),
        (
            "2025-12-10T15:30:00Z",
            "2025-02-30T15:30:00Z",
            "5:13: created_at: `2025-02-30T15:30:00Z` is not a moment that exists",
            "write 2025-12-10T15:30:00Z",
        ),
        (
            RELEASE,
            RELEASE.upper(),
            f"8:18: spec.mb_release_id: `{RELEASE.upper()}` is not a MusicBrainz id",
            f"write {RELEASE}",
        ),
        (
            "/music/queue",
            "/music/../etc",
            "11:15: spec.target_dir: `/music/../etc` holds `..`",
            "write the path without it",
        ),
        (
            "/music/queue",
            "~/music",
            "11:15: spec.target_dir: `~/music` begins with `~`, which is not replaced here",
            "write the whole path",
        ),
        (
            "/music/queue",
            '"/music\\n"',
            "11:15: spec.target_dir: holds a line break",
            "write it on one line without it",
        ),
        (
            "/music/queue",
            "/" + "é" * 128,
            f"11:15: spec.target_dir: `/{'é' * 39}...` is too long for a path",
            "at most 255 bytes a name",
        ),
        ("title: Loomer", 'title: ""', "15:14: spec.tracks[1].title: is empty", "give it a value or take the line out"),
        (
            "title: Loomer",
            'title: "a\\tb"',
            "15:14: spec.tracks[1].title: holds character U+0009",
            "write it on one line without it",
        ),
        (
            "labels: {",
            "labels: {db_password: x, ",
            "6:10: labels.db_password: a secret does not belong in this file",
            "keep it in a file of its own that only you can read",
        ),
        ("labels: {", "labels: {a: {b: c}, ", "6:13: labels.a: a block of fields is not text", "write it on one line"),
        ("[flac, ALAC]", "[flac, flac]", "21:23: spec.constraints.preferred_codecs: names something twice", "keep one"),
        (
            "[flac, ALAC]",
            "flac",
            "21:23: spec.constraints.preferred_codecs: `flac` is not a list",
            "begin each entry with `- `",
        ),
        (
            "[flac, ALAC]",
            "[../x]",
            "21:24: spec.constraints.preferred_codecs[0]: `../x` is not a codec name",
            "write FLAC, MP3, OPUS",
        ),
        ('"1.0"', "1", "2:19: manifest_version: `1` is not a version", 'write manifest_version: "1.0"'),
        (
            '"1.0"',
            "2.1",
            "2:19: manifest_version: version 2.1 is not one that this program reads (1.x)",
            "install reconciler 2.0 or newer",
        ),
        (
            '"1.0"',
            "0.9",
            "2:19: manifest_version: version 0.9 is not one that this program reads (1.x)",
            'write manifest_version: "1.0"',
        ),
    ],
)
def test_a_mistake_in_an_album_is_named_with_its_place_and_its_remedy(old: str, new: str, said: str, hint: str):
    """One mistake gives one problem, word for word."""
    assert old in ALBUM
    parsed = read_manifest(ALBUM.replace(old, new, 1).encode())
    assert [str(problem) for problem in parsed.problems] == [f"{said}, {hint}"]
    assert parsed.manifest is None


@pytest.mark.parametrize(
    ("old", "new", "said", "hint"),
    [
        (
            f"      root: {ROOT}\n      sha256: {ROOT}\n",
            "",
            "6:7: spec.files[0]: has neither `root` nor `sha256`",
            "give `root` or `sha256`",
        ),
        (
            f"sha256: {ROOT}",
            f"sha256: {ROOT.upper()}",
            f"9:15: spec.files[0].sha256: `{ROOT.upper()[:40]}...` is not 64 hex digits",
            "write it in lower case",
        ),
        (
            "Loveless/01.flac",
            "/etc/passwd",
            "6:13: spec.files[0].path: `/etc/passwd` is an absolute path",
            "write it relative to target_dir",
        ),
        ("Loveless/01.flac", "a/../b", "6:13: spec.files[0].path: `a/../b` holds `..`", "write the path without it"),
        (
            "Loveless/01.flac",
            "a//b",
            "6:13: spec.files[0].path: `a//b` has an empty part",
            "write folder/name with one `/` between",
        ),
        ("Loveless/01.flac", "a\\b", "6:13: spec.files[0].path: `a\\b` holds a backslash", "put `/` between folders"),
        ("size: 1234", "size: 0", "7:13: spec.files[0].size: 0 is too small", "write 1 or more"),
        ("size: 1234", "size: 1,234", "7:13: spec.files[0].size: `1,234` is not a whole number", "write 1234"),
        (
            "https://example.org/01.flac",
            "ftp://example.org",
            "13:16: spec.files[0].sources[0].url: `ftp://example.org` is not an http:// or https:// URL",
            "write https://host/path",
        ),
        (
            "https://example.org/01.flac",
            "https://example..org/",
            "13:16: spec.files[0].sources[0].url: `https://example..org/` names a host that cannot be",
            "between dots stand 1 to 63 characters",
        ),
        (
            "https://example.org/01.flac",
            "https://me:pw@example.org/",
            "13:16: spec.files[0].sources[0].url: holds a user or password",
            "take the part before @ out",
        ),
        (
            "https://example.org/01.flac",
            "https://example.org/#x",
            "13:16: spec.files[0].sources[0].url: `https://example.org/#x` has a fragment",
            "take # and what follows out",
        ),
        (
            "https://example.org/01.flac",
            "https://[::1/",
            "13:16: spec.files[0].sources[0].url: `https://[::1/` is not a URL (Invalid IPv6 URL)",
            "write https://host/path",
        ),
        (
            "- url: https://example.org/01.flac",
            "- {}",
            "13:11: spec.files[0].sources[0]: has 0 fields instead of one",
            "give one of url, overlay, soulseek",
        ),
        (
            f"{PEER}@[::1]:7443",
            f"{PEER}@host",
            f"14:21: spec.files[0].sources[1].overlay: `{PEER[:40]}...` has no port in 0-65535 at its end",
            "write <peer id>@host:port",
        ),
        (
            f"{PEER}@[::1]:7443",
            "host:1",
            "14:21: spec.files[0].sources[1].overlay: `host:1` does not begin with a peer id of 43 characters and `@`",
            "write <peer id>@host:port",
        ),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place_and_its_remedy(old: str, new: str, said: str, hint: str):
    """One mistake gives one problem, word for word; a password in a URL is not repeated."""
    assert old in FILES
    assert problems(FILES.replace(old, new, 1)) == [f"{said}, {hint}"]


def test_a_misspelt_field_is_both_unknown_and_missing():
    """The suggestion stands where the misspelling is."""
    assert problems(ALBUM.replace("target_dir", "target-dir")) == [
        "7:1: spec.target_dir: is missing, add `target_dir:`",
        "11:3: spec.target-dir: unknown field, did you mean target_dir?",
    ]


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        ("[]", "No tracks specified"),
        ("", "No tracks specified"),
        ("each", "is neither a list nor `all`"),
        ("{position: 1}", "is neither a list nor `all`"),
    ],
)
def test_a_track_list_that_is_none_says_what_to_write(tracks: str, message: str):
    """An empty list is a mistake: whoever wants every track writes `all`, or nothing."""
    spec = f"{{mb_release_id: {RELEASE}, target_dir: x, tracks: {tracks}}}"
    text = f"manifest_version: 1.0\njob_type: mb_release\nspec: {spec}\n"
    (problem,) = read_manifest(text.encode()).problems
    assert (problem.pointer, problem.message) == ("spec.tracks", message)
    assert problem.hint == "list the tracks with position, title and mb_recording_id, or write `tracks: all`"


def test_a_later_minor_version_is_read_with_warnings():
    """Fields that 1.0 does not know are warned about, and the manifest is acted on."""
    text = ALBUM.replace('"1.0"', '"1.4"').replace("labels:", "shiny: new\nlabels:")
    parsed = read_manifest(text.encode())
    assert parsed.manifest is not None
    assert [(p.pointer, p.severity) for p in parsed.problems] == [("shiny", "warning")]


def test_all_problems_come_at_once_in_the_order_of_the_file():
    """Nobody mends one line only to hear of the next."""
    text = (
        ALBUM.replace("position: 2", "position: 1")
        .replace("false", "nope")
        .replace("labels", "lables")
        .replace(RELEASE, "x")
    )
    parsed = read_manifest(text.encode())
    places = [(problem.line, problem.column) for problem in parsed.problems]
    assert places == sorted(places)
    assert [problem.pointer for problem in parsed.problems] == [
        "lables",
        "spec.mb_release_id",
        "spec.tracks[1].position",
        "spec.constraints.allow_lossy",
        "spec.constraints.use_soulseek",
    ]


def test_a_flood_of_problems_is_cut_and_says_so():
    """Thousands of mistakes give a list that a person can read, which still ends in an error."""
    text = "manifest_version: 1.0\njob_type: mb_release\nspec:\n  tracks:\n" + "  - {a: 1, b: 2}\n" * 3000
    parsed = read_manifest(text.encode())
    assert len(parsed.problems) == PROBLEMS_MAX + 1
    assert "more problems from here on" in parsed.problems[-1].message
    assert parsed.problems[-1].severity == "error"


@pytest.mark.parametrize(
    "status", ["nonsense", "{state: flying, token: x}", "\n  state: 7\n  pending_tracks: -1", '"a\\nb"', ""]
)
def test_the_status_is_never_input(status: str):
    """Whatever stands there, the manifest and its digest are the same."""
    with_status = read_manifest(f"{ALBUM}status: {status}\n".encode())
    assert with_status == read_manifest(ALBUM.encode())


def test_the_digest_names_what_is_wanted():
    """Layout, comments, identity and status do not change it; a value does."""
    plain = read_manifest(ALBUM.encode()).manifest
    assert plain is not None
    identity = "job_id: 01HRQ4GSX9K47J7M5FK7VW8B12\n"
    for same in (
        ALBUM.replace("# what I want", "# else").replace("[flac, ALAC]", "\n    - flac\n    - 'ALAC'"),
        ALBUM.replace(identity, ""),
        ALBUM.replace(identity, identity.replace("8B12", "8B13")),
        ALBUM.replace("created_at: 2025-12-10T15:30:00Z\n", ""),
        ALBUM.replace("\n", "\r\n"),
    ):
        manifest = read_manifest(same.encode()).manifest
        assert manifest is not None
        assert manifest.spec_digest == plain.spec_digest
    other = read_manifest(ALBUM.replace("Loomer", "Loomed").encode()).manifest
    assert other is not None
    assert other.spec_digest != plain.spec_digest


@pytest.mark.parametrize(
    ("data", "said", "hint"),
    [
        (b"", "1:1: the file is empty", "write manifest_version, job_type and spec"),
        (b"\n# nothing yet\n", "1:1: the file is empty", "write manifest_version, job_type and spec"),
        (b"a: 1\nb: \xff", "2:4: byte 0xff is not UTF-8", "save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "1:1: the file is UTF-16", "save it as UTF-8"),
        (
            b"a: 1\nb: \x00\x00\n",
            "2:4: zero bytes from here on",
            "save it again as UTF-8; a file that a power cut has torn is brought back by git or Syncthing",
        ),
        (b"a: \x1b[2J\n", "1:4: character U+001B is not allowed", "take it out"),
        ("a: b\u0085c\n".encode(), "1:5: character U+0085 is not allowed", "take it out"),
        ("a: b\u2028c\n".encode(), "1:5: character U+2028 is not allowed", "take it out"),
        ("a: \U0001ffff\n".encode(), "1:4: character U+1FFFF is not allowed", "take it out"),
        (b'a: "\\0"\n', "1:4: a: character U+0000 is not allowed, not even escaped", "take it out"),
        (b'a: "\\x1b"\n', "1:4: a: character U+001B is not allowed, not even escaped", "take it out"),
        (b"a: &x 1\n", "1:4: a: anchor `&x`", "take it out"),
        (b"a: *x\n", "1:4: a: alias `*x`", "write the value out"),
        (b"a:\n  <<: {b: 1}\n", "2:3: a: a merge key `<<`", "write the fields out"),
        (
            b"a: !!python/none 1\n",
            "1:4: a: tag `tag:yaml.org,2002:python/none`",
            "take it out: the field says what its value is",
        ),
        (b"%TAG ! tag:x,2000:\n---\na: 1\n", "1:1: a %TAG directive", "take it out"),
        (b"a: 1\n---\nb: 1\n", "2:1: a second document starts here", "keep one document in a file"),
        (b"a: 1\nb: 1\n'a': 2\n", "3:1: `a` stands here twice, first in line 1", "keep one"),
        (b"a:\n  - {b: 1,\n     b: 2}\n", "3:6: a[0]: `b` stands here twice, first in line 2", "keep one"),
        (b"? [a]\n: 1\n", "1:3: a list or mapping as a key", "a key is plain text"),
        (b"a: 1\n\tb: 2\n", "2:1: not YAML: found a tab character that violates indentation", "indent with spaces"),
        (
            b"title: a: b\n",
            "1:9: not YAML: mapping values are not allowed in this context",
            "put a value that holds `: ` in quotes",
        ),
        (
            b"artist: @home\n",
            "1:9: not YAML: found character that cannot start any token",
            "put the value in quotes; indent with spaces, not tabs",
        ),
        (b"a: 1\nb: 'x\n\n", "4:1: not YAML: found unexpected end of stream", "close the quote (line 2)"),
        (b"a: " + b"x" * 4097, "1:4: a: a text of more than 4096 bytes", "shorten it"),
        (b"# " + b"x" * MANIFEST_BYTES_MAX, "0:0: the file is larger than 256 KiB", "split it into several files"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_place(data: bytes, said: str, hint: str):
    """Each refusal has a line, a column and what to do."""
    assert problems(data) == [f"{said}, {hint}"]


def test_conflict_markers_are_named_instead_of_the_yaml_errors_they_cause():
    """Both ends of an unresolved merge are shown."""
    text = "a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> other\n"
    assert problems(text) == [f"{line}:1: a git conflict marker, resolve the merge, then save" for line in (2, 6)]
    assert problems(text.replace("\n", "\r\n")) == problems(text)


def test_a_byte_order_mark_and_crlf_are_read():
    """Windows editors write both; columns and lines count as the person sees them."""
    assert read_manifest(b"\xef\xbb\xbf" + ALBUM.replace("\n", "\r\n").encode()).problems == ()
    assert problems(b"\xef\xbb\xbfa: 1\r\na: 2\r\n") == ["2:1: `a` stands here twice, first in line 1, keep one"]


@pytest.mark.parametrize(
    "unit", ["[", "{a: ", "- ", "? ", "a:\n", "[{", '"', "'\n", "&a ", "!!x ", "| ", "#", "\t", "---\n"]
)
@pytest.mark.parametrize("count", [1, 10, 31, 32, 33, 1000, 300_000])
def test_repeated_openings_never_hurt(unit: str, count: int):
    """Nesting, quotes and tags without end are answered in words, within the limits."""
    parsed = read_manifest((unit * count)[:MANIFEST_BYTES_MAX].encode())
    assert parsed.manifest is None
    assert parsed.problems


def test_brackets_that_overflow_the_composer_leave_the_process_alive():
    """25,000 levels kill a process that loads them; here it lives and says why not, even in a small thread."""
    program = (
        "import threading; threading.stack_size(256 * 1024)\n"
        "from reconciler.manifests.read import read_manifest\n"
        "def run(): print(read_manifest(b'[' * 25000).problems[0].message)\n"
        "thread = threading.Thread(target=run); thread.start(); thread.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"nested more than {DEPTH_MAX} levels deep\n"), done.stderr


def test_the_deepest_and_the_longest_that_are_allowed():
    """The limits are exact: at them a document is read, one past them not."""
    assert isinstance(read_document(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX), Document)
    assert not isinstance(read_document(b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1)), Document)
    entries = EVENTS_MAX - 6  # stream, document and sequence, each with its start and its end
    assert isinstance(read_document(b"[" + b"1," * entries + b"]"), Document)
    assert problems(b"[" + b"1," * (entries + 1) + b"]")[0].endswith(
        "more than 50,000 YAML events, split it into several files"
    )


def test_a_thousand_tracks_are_read():
    """A box set fits."""
    tracks = "".join(f"    - {{position: {n}, title: {n}, mb_recording_id: {RECORDING}}}\n" for n in range(3, 1001))
    parsed = read_manifest(ALBUM.replace("  constraints:", f"{tracks}  constraints:").encode())
    assert parsed.problems == ()


def test_the_pure_parser_agrees_with_libyaml():
    """Where PyYAML has no libyaml the same documents are read, with the same marks and under the same limits."""
    for text in (
        ALBUM,
        FILES,
        "a: [1,\n  2]\nb: |\n  x\n\n# c\n",
        "[" * 40,
        "a: &x 1\nb: *x\na: 2\n",
        "{a: 1}",
        "",
        "a: 1\n...\n",
        "a:\n  -\n  -\n# c\n",
    ):
        assert scan(text, loader=yaml.BaseLoader) == scan(text)


def test_paths_differ_as_a_case_blind_disk_sees_them():
    """Two files that would overwrite each other on some disk are refused."""
    entry = FILES[FILES.index("    - path") :]
    for other in ("Loveless/01.flac", "loveless/01.FLAC"):
        twin = entry.replace("Loveless/01.flac", other)
        (problem,) = read_manifest((FILES + twin).encode()).problems
        assert (problem.pointer, problem.message) == ("spec.files[1].path", "the same path as files[0]")


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    if isinstance(value, list | tuple | set):
        return [text for part in value for text in _texts(part)]
    return []


@given(
    st.text(max_size=40), st.sampled_from(["title: Loomer", "owner: me", "/music/queue", "artist: My Bloody Valentine"])
)
def test_whatever_is_accepted_can_be_stored_and_shown(text: str, where: str):
    """Any text, quoted, in any place for text: it is refused in words or arrives unchanged and harmless."""
    key = where.partition(": ")[0] + ": " if ": " in where else ""
    parsed = read_manifest(ALBUM.replace(where, key + json.dumps(text)).encode())
    assert (parsed.manifest is None) == bool(parsed.problems)
    for problem in parsed.problems:
        assert str(problem).isprintable()
    if parsed.manifest is not None:
        spec = parsed.manifest.spec
        assert isinstance(spec, MbReleaseSpec)
        texts = [
            spec.title,
            spec.artist,
            spec.target_dir,
            *(t.title for t in spec.tracks),
            *_texts(parsed.manifest.labels),
        ]
        assert text in texts
        assert not any(UNFIT_IN_VALUE.search(text) for text in texts)
        "".join(texts).encode()


def test_every_prefix_of_a_manifest_is_answered():
    """A torn file is a problem or a smaller manifest, never an exception."""
    for end in itertools.chain(range(0, len(ALBUM), 7)):
        parsed = read_manifest(ALBUM[:end].encode())
        assert parsed.manifest is not None or parsed.problems
