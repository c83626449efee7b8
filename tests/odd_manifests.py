"""Hostile and odd manifests by name, with what is said of each.

Owns: the table, for the test that reads it and the command that times it. Never: reads one.
"""

import json
from dataclasses import dataclass

MBID = "c0d0c0a4-4a26-4d74-9c02-67c9321b3b22"
JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"
HEX = "ab" * 32
SIZE = 256 * 1024

ALBUM = f"""\
manifest_version: 1.0
job_type: mb_release
labels: {{}}
spec:
  mb_release_id: {MBID}
  title: Loveless
  target_dir: library
  constraints: {{allow_lossy: false}}
  tracks:
    - {{position: 1, title: Only Shallow, mb_recording_id: {MBID}, duration_ms: 1000}}
    - {{position: 2, title: Loomer, mb_recording_id: {MBID}}}
""".encode()

UP_TO_TRACKS = ALBUM[: ALBUM.index(b"  tracks")]

FILES = f"""\
manifest_version: 1.0
job_type: multi_source
spec:
  target_dir: library
  files:
  - {{path: a.flac, size: 1, root: {HEX}, sources: [{{url: https://example.org/a}}]}}
""".encode()

OVERLAY = "spec.files[0].sources[0].overlay"

AS_JSON = {
    "manifest_version": "1.0",
    "job_type": "mb_release",
    "spec": {"mb_release_id": MBID, "target_dir": "library"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """One manifest that nobody would write on a good day."""

    name: str
    data: bytes
    said: str | None
    """The first problem without its remedy; None = it is accepted."""


def put(old: str, new: str, encoding: str = "utf-8") -> bytes:
    """The album with one thing in it replaced."""
    assert old.encode() in ALBUM, old
    return ALBUM.replace(old.encode(), new.encode(encoding), 1)


def filed(old: str, new: str) -> bytes:
    """The file with its sources, one thing in it replaced."""
    assert old.encode() in FILES, old
    return FILES.replace(old.encode(), new.encode(), 1)


_ROWS: tuple[tuple[str, bytes, str | None], ...] = (
    # bytes and characters
    ("nothing at all", b"", "1:1: the file is empty"),
    ("only a byte order mark", b"\xef\xbb\xbf", "1:1: the file is empty"),
    ("only spaces and line ends", b"  \n\n \r\n", "1:1: the file is empty"),
    ("only a comment", b"# to do\n", "1:1: the file is empty"),
    ("only a document start", b"---\n", "1:1: the file is empty"),
    ("a file of zeros, as after a power cut", bytes(4096), "1:1: zero bytes from here on"),
    ("a sound head and a tail of zeros", ALBUM[:100] + bytes(200), "5:41: zero bytes from here on"),
    ("UTF-16 with its mark", ALBUM.decode().encode("utf-16"), "1:1: the file is UTF-16"),
    ("UTF-16 without a mark", ALBUM.decode().encode("utf-16-le"), "1:2: zero bytes from here on"),
    ("UTF-32", ALBUM.decode().encode("utf-32"), "1:1: the file is UTF-16"),
    ("Latin-1", put("Loveless", "Café", "latin-1"), "6:13: byte 0xe9 is not UTF-8"),
    ("an overlong slash", b"a: \xc0\xaf\n", "1:4: byte 0xc0 is not UTF-8"),
    ("an encoded surrogate", b"a: \xed\xa0\x80\n", "1:4: byte 0xed is not UTF-8"),
    ("a character past Unicode", b"a: \xf4\x90\x80\x80\n", "1:4: byte 0xf4 is not UTF-8"),
    ("a sequence cut short at the end", ALBUM + b"# \xe2\x82", "12:3: byte 0xe2 is not UTF-8"),
    (
        "the byte order mark of another editor, twice",
        b"\xef\xbb\xbf" * 2 + ALBUM,
        "1:1: character U+FEFF is not allowed",
    ),
    ("a byte order mark within", put("Loveless", "Love\ufeffless"), "6:14: character U+FEFF is not allowed"),
    ("an escape sequence for terminals", put("Loveless", "\x1b[2JLoveless"), "6:10: character U+001B is not allowed"),
    ("a bell in a comment", b"# \x07\n" + ALBUM, "1:3: character U+0007 is not allowed"),
    ("a delete character", put("Loveless", "Love\x7fless"), "6:14: character U+007F is not allowed"),
    ("next line, where YAML 1.1 breaks", put("Loveless", "Love\x85less"), "6:14: character U+0085 is not allowed"),
    ("a line separator", put("Loveless", "Love\u2028less"), "6:14: character U+2028 is not allowed"),
    ("a paragraph separator in a comment", "# \u2029\n".encode() + ALBUM, "1:3: character U+2029 is not allowed"),
    ("a non-character", put("Loveless", "\ufdd0"), "6:10: character U+FDD0 is not allowed"),
    ("a vertical tab", put("Loveless", "a\x0bb"), "6:11: character U+000B is not allowed"),
    ("a form feed between documents", b"\x0c" + ALBUM, "1:1: character U+000C is not allowed"),
    (
        "an escaped zero",
        put("Loveless", '"a\\0b"'),
        "6:10: spec.title: character U+0000 is not allowed, not even escaped",
    ),
    (
        "an escaped surrogate",
        put("Loveless", '"\\ud800"'),
        "6:13: not YAML: found invalid Unicode character escape code",
    ),
    (
        "an escaped pair of surrogates",
        put("Loveless", '"\\ud83c\\udfb5"'),
        "6:13: not YAML: found invalid Unicode character escape code",
    ),
    (
        "an escaped bell",
        put("Loveless", '"\\a"'),
        "6:10: spec.title: character U+0007 is not allowed, not even escaped",
    ),
    (
        "an escaped next line",
        put("Loveless", '"\\N"'),
        "6:10: spec.title: character U+0085 is not allowed, not even escaped",
    ),
    ("an escaped line break in a title", put("Loveless", '"a\\nb"'), "6:10: spec.title: holds a line break"),
    ("an escaped tab in a title", put("Loveless", '"a\\tb"'), "6:10: spec.title: holds character U+0009"),
    ("a title over two lines", put("Loveless", "Love\n    less"), None),
    ("a title in a literal block", put("Loveless", "|\n    Loveless"), "6:10: spec.title: holds a line break"),
    ("a title in a stripped block", put("Loveless", "|-\n    Loveless"), None),
    ("right-to-left letters", put("Loveless", "\u05d0\u05d1 \u202e"), None),
    ("combining marks", put("Loveless", "e" + "\u0301" * 40), None),
    ("an emoji of many parts", put("Loveless", "\U0001f468\u200d\U0001f469\u200d\U0001f467"), None),
    ("private use characters", put("Loveless", "\ue000\U0010fffd"), None),
    ("carriage returns alone", ALBUM.replace(b"\n", b"\r"), None),
    ("carriage returns and line feeds", ALBUM.replace(b"\n", b"\r\n"), None),
    ("no line end at the end", ALBUM.rstrip(), None),
    # nesting and size
    ("one bracket", b"[", "2:1: not YAML: did not find expected node content"),
    ("thirty-two levels", b"[" * 32 + b"]" * 32, "1:1: a list is not a block of fields"),
    (
        "thirty-three levels",
        b"[" * 33 + b"]" * 33,
        f"1:33: {'[0]' * 31}: nested more than 32 levels deep",
    ),
    (
        "brackets that overflow a composer",
        b"[" * 25_000,
        f"1:33: {'[0]' * 31}: nested more than 32 levels deep",
    ),
    (
        "braces that overflow a composer",
        b"{a: " * 25_000,
        f"1:129: a{'.a' * 31}: nested more than 32 levels deep",
    ),
    (
        "dashes that overflow a composer",
        b"- " * 25_000,
        f"1:65: {'[0]' * 31}: nested more than 32 levels deep",
    ),
    ("question marks that overflow a composer", b"? " * 25_000, "1:3: a list or mapping as a key"),
    (
        "mappings, each deeper",
        b"".join(b" " * n + b"a:\n" for n in range(400)),
        f"33:33: a{'.a' * 31}: nested more than 32 levels deep",
    ),
    (
        "brackets to the last byte",
        b"[" * SIZE,
        f"1:33: {'[0]' * 31}: nested more than 32 levels deep",
    ),
    ("a quote that never closes", b'a: "' + b"x" * 200_000, "1:200005: not YAML: found unexpected end of stream"),
    ("a block that never ends", b"a: |\n" + b"  x\n" * 60_000, "1:4: a: a text of more than 4096 bytes"),
    ("one byte too many", b"#" * (SIZE + 1), "0:0: the file is larger than 256 KiB"),
    ("as many bytes as fit, in a comment", b"#" * (SIZE - len(ALBUM) - 1) + b"\n" + ALBUM, None),
    ("a text of 4,097 bytes", put("Loveless", "x" * 4097), "6:10: spec.title: a text of more than 4096 bytes"),
    ("a text of 501 characters", put("Loveless", "x" * 501), "6:10: spec.title: is longer than 500 characters"),
    ("a text of 500 characters", put("Loveless", "é" * 500), None),
    ("a key of 4,097 bytes", b"x" * 4097 + b": 1\n", "1:1: a text of more than 4096 bytes"),
    ("a key of 2,000 bytes", put("labels:", "x" * 2000 + ":"), "3:2001: not YAML: could not find expected ':'"),
    (
        "many unknown fields",
        b"manifest_version: 1.0\njob_type: mb_release\nspec:\n" + b"".join(b"  k%d: 1\n" % n for n in range(2000)),
        "3:1: spec.mb_release_id: is missing",
    ),
    (
        "many wrong tracks",
        ALBUM + b"".join(b"    - {position: x%d, a: b}\n" % n for n in range(600)),
        "12:7: spec.tracks[2].mb_recording_id: is missing",
    ),
    (
        "many wrong files",
        FILES + b"".join(b"  - {path: ../%d, size: -1}\n" % n for n in range(600)),
        "7:5: spec.files[1]: has neither `root` nor `sha256`",
    ),
    (
        "many labels",
        put("labels: {}", "labels: {" + ", ".join(f"l{n}: 1" for n in range(65)) + "}"),
        "3:9: labels: has more than 64 entries",
    ),
    ("many documents", b"---\n" * 10_000, "2:1: a second document starts here"),
    ("many comments", b"# x\n" * 40_000 + ALBUM, None),
    ("many spaces", b" " * 200_000 + b"\n" + ALBUM, None),
    ("many blank lines", b"\n" * 200_000 + ALBUM, None),
    # what YAML can do and a manifest may not
    ("an anchor", put("Loveless", "&t Loveless"), "6:10: spec.title: anchor `&t`"),
    ("an alias", put("Loveless", "*t"), "6:10: spec.title: alias `*t`"),
    ("an alias that contains itself", b"a: &a [*a]\n", "1:4: a: anchor `&a`"),
    (
        "an alias bomb",
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9)) for c in range(97, 106)),
        "1:4: a: anchor `&a`",
    ),
    (
        "a bomb of merge keys",
        b"a: &a {x: 1}\n"
        + b"".join(b"%c: &%c {<<: [%s]}\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9)) for c in range(97, 103)),
        "1:4: a: anchor `&a`",
    ),
    ("a merge key", ALBUM + b"<<: {a: b}\n", "12:1: a merge key `<<`"),
    ("a quoted merge key", ALBUM + b"'<<': {a: b}\n", "12:1: <<: unknown field"),
    (
        "an object of Python",
        b"!!python/object/apply:os.system ['true']\n",
        "1:1: tag `tag:yaml.org,2002:python/object/apply:os...`",
    ),
    ("a tag of one's own", put("Loveless", "!secret Loveless"), "6:10: spec.title: tag `!secret`"),
    ("a tag for text", put("Loveless", "!!str 1"), "6:10: spec.title: tag `tag:yaml.org,2002:str`"),
    ("a tag for bytes", put("Loveless", "!!binary aGk="), "6:10: spec.title: tag `tag:yaml.org,2002:binary`"),
    ("the tag for nothing in particular", put("Loveless", "! Loveless"), "6:10: spec.title: tag `!`"),
    ("a directive for tags", b"%TAG ! tag:example.org,2000:\n---\n" + ALBUM, "1:1: a %TAG directive"),
    ("a version that YAML has not", b"%YAML 3.0\n---\n" + ALBUM, "1:1: not YAML: found incompatible YAML document"),
    ("YAML 1.2, said", b"%YAML 1.2\n---\n" + ALBUM, None),
    ("a second document", ALBUM + b"---\na: 1\n", "12:1: a second document starts here"),
    ("an end of document, and nothing behind it", ALBUM + b"...\n", None),
    ("the same key twice", ALBUM + b"job_type: multi_source\n", "12:1: `job_type` stands here twice, first in line 2"),
    (
        "the same key twice, once in quotes",
        ALBUM + b"'job_type': multi_source\n",
        "12:1: `job_type` stands here twice, first in line 2",
    ),
    (
        "the same key twice in a track",
        put("position: 1,", "position: 1, position: 2,"),
        "10:21: spec.tracks[0]: `position` stands here twice, first in line 10",
    ),
    ("a list as a key", b"? [a, b]\n: 1\n", "1:3: a list or mapping as a key"),
    ("an empty key", ALBUM + b": 1\n", "12:1: not YAML: did not find expected key"),
    ("a key with a line break", ALBUM + b'"a\\nb": 1\n', "12:1: a\\nb: a field name with control characters"),
    ("JSON", json.dumps(AS_JSON).encode(), None),
    (
        "JSON with a comment",
        b"// mine\n" + json.dumps(AS_JSON).encode(),
        "2:20: not YAML: mapping values are not allowed in this context",
    ),
    ("a list as the whole file", b"- manifest_version: 1.0\n", "1:1: a list is not a block of fields"),
    ("a text as the whole file", b"Loveless\n", "1:1: `Loveless` is not a block of fields"),
    ("a number as the whole file", b"42\n", "1:1: `42` is not a block of fields"),
    (
        "an HTML page",
        b"<!DOCTYPE html><html><body>404: Not Found</body></html>\n",
        "1:1: <!DOCTYPE html><html><body>404: unknown field",
    ),
    (
        "a tab before a field",
        ALBUM.replace(b"  title", b"\ttitle"),
        "6:1: not YAML: found a tab character that violates indentation",
    ),
    ("a tab before a comment", put("Loveless", "Loveless\t# mine"), None),
    (
        "a colon in a plain title",
        put("Loveless", "Love: less"),
        "6:14: not YAML: mapping values are not allowed in this context",
    ),
    ("a hash in a plain title", put("Loveless", "Love #1"), None),
    (
        "a title that begins with an at sign",
        put("Loveless", "@home"),
        "6:10: not YAML: found character that cannot start any token",
    ),
    (
        "a title that begins with a percent sign",
        put("Loveless", "%d"),
        "6:10: not YAML: found character that cannot start any token",
    ),
    ("a title that begins with a star", put("Loveless", "*NSYNC"), "6:10: spec.title: alias `*NSYNC`"),
    (
        "a title that begins with an exclamation mark",
        put("Loveless", "!!!"),
        "6:10: spec.title: tag `tag:yaml.org,2002:!`",
    ),
    (
        "a title that is a dash",
        put("Loveless", "-"),
        "6:10: not YAML: block sequence entries are not allowed in this context",
    ),
    (
        "a title that is a question mark",
        put("Loveless", "?"),
        "6:10: not YAML: mapping keys are not allowed in this context",
    ),
    ("a quote left open", put("Loveless", '"Loveless'), "12:1: not YAML: found unexpected end of stream"),
    ("an apostrophe too many", put("Loveless", "'Don't'"), "6:15: not YAML: did not find expected key"),
    (
        "a track indented too little",
        ALBUM.replace(b"    - {position: 2", b"  - {position: 2"),
        "11:3: not YAML: did not find expected key",
    ),
    ("a list where fields belong", put("tracks:", "- tracks:"), "9:3: not YAML: did not find expected key"),
    (
        "a conflict that git left",
        ALBUM.replace(
            b"  title: Loveless\n",
            b"<<<<<<< HEAD\n  title: Loveless\n=======\n  title: Isn't Anything\n>>>>>>> theirs\n",
        ),
        "6:1: a git conflict marker",
    ),
    (
        "a conflict with its base",
        ALBUM + b"<<<<<<< a\nx: 1\n||||||| b\nx: 2\n=======\nx: 3\n>>>>>>> c\n",
        "12:1: a git conflict marker",
    ),
    ("a title of seven marks", put("Loveless", "'<<<<<<< HEAD'"), None),
    # values that look like something else
    ("a title that YAML 1.1 takes for yes", put("Loveless", "Yes"), None),
    ("a title that YAML 1.1 takes for a time", put("Loveless", "4:02"), None),
    ("a title that YAML takes for nothing", put("Loveless", "Null"), None),
    ("nothing as a title", put("Loveless", "null"), "6:10: spec.title: is empty"),
    ("a title that is a number", put("Loveless", "1999"), None),
    ("a title that is an octal number", put("Loveless", "010"), None),
    ("a title that is infinity", put("Loveless", ".inf"), None),
    ("a title that is a date", put("Loveless", "1999-12-31"), None),
    ("a title that is a date that does not exist", put("Loveless", "2024-02-30"), None),
    ("a title that is a mapping", put("Loveless", "{a: b}"), "6:10: spec.title: a block of fields is not text"),
    ("a title that is a list", put("Loveless", "[a]"), "6:10: spec.title: a list is not text"),
    ("an empty title", put("Loveless", '""'), "6:10: spec.title: is empty"),
    (
        "a position of text",
        put("position: 1,", "position: one,"),
        "10:18: spec.tracks[0].position: `one` is not a whole number",
    ),
    (
        "a position with a leading zero",
        put("position: 1,", "position: 01,"),
        "10:18: spec.tracks[0].position: `01` is not a whole number",
    ),
    (
        "a position with a sign",
        put("position: 1,", "position: +1,"),
        "10:18: spec.tracks[0].position: `+1` is not a whole number",
    ),
    ("a position below one", put("position: 1,", "position: -1,"), "10:18: spec.tracks[0].position: -1 is too small"),
    (
        "a position in hexadecimal",
        put("position: 1,", "position: 0x1,"),
        "10:18: spec.tracks[0].position: `0x1` is not a whole number",
    ),
    (
        "a position with a fraction",
        put("position: 1,", "position: 1.0,"),
        "10:18: spec.tracks[0].position: `1.0` is not a whole number",
    ),
    (
        "a position with an exponent",
        put("position: 1,", "position: 1e0,"),
        "10:18: spec.tracks[0].position: `1e0` is not a whole number",
    ),
    (
        "a position of many digits",
        put("position: 1,", f"position: {'9' * 4000},"),
        "10:18: spec.tracks[0].position: `9999999999999999999999999999999999999999...` is not a whole number",
    ),
    (
        "a position in other digits",
        put("position: 1,", "position: \u0661,"),
        "10:18: spec.tracks[0].position: `\u0661` is not a whole number",
    ),
    (
        "the same position twice",
        put("position: 2,", "position: 1,"),
        "11:18: spec.tracks[1].position: the same position as tracks[0]",
    ),
    (
        "a duration past a day",
        put("duration_ms: 1000", "duration_ms: 86400001"),
        "10:110: spec.tracks[0].duration_ms: 86400001 is too large",
    ),
    (
        "a truth in capitals",
        put("allow_lossy: false", "allow_lossy: FALSE"),
        "8:30: spec.constraints.allow_lossy: `FALSE` is not true or false",
    ),
    (
        "a truth of YAML 1.1",
        put("allow_lossy: false", "allow_lossy: off"),
        "8:30: spec.constraints.allow_lossy: `off` is not true or false",
    ),
    (
        "a truth as a number",
        put("allow_lossy: false", "allow_lossy: 0"),
        "8:30: spec.constraints.allow_lossy: `0` is not true or false",
    ),
    ("tracks as a mapping", UP_TO_TRACKS + b"  tracks: {1: a}\n", "9:11: spec.tracks: is neither a list nor `all`"),
    ("tracks of texts", UP_TO_TRACKS + b"  tracks: [a, b]\n", "9:12: spec.tracks[0]: `a` is not a block of fields"),
    ("no tracks", UP_TO_TRACKS + b"  tracks: []\n", "9:11: spec.tracks: No tracks specified"),
    (
        "a spec of text",
        b"manifest_version: 1.0\njob_type: mb_release\nspec: all of it\n",
        "3:7: spec: `all of it` is not a block of fields",
    ),
    ("an empty spec", b"manifest_version: 1.0\njob_type: mb_release\nspec:\n", "3:1: spec.mb_release_id: is missing"),
    ("no spec", b"manifest_version: 1.0\njob_type: mb_release\n", "1:1: spec: is missing"),
    # names, places and addresses
    (
        "a version of the future",
        put("manifest_version: 1.0", "manifest_version: 2.0"),
        "1:19: manifest_version: version 2.0 is not one that this program reads (1.x)",
    ),
    (
        "a version of the past",
        put("manifest_version: 1.0", "manifest_version: 0.1"),
        "1:19: manifest_version: version 0.1 is not one that this program reads (1.x)",
    ),
    (
        "a version of one number",
        put("manifest_version: 1.0", "manifest_version: 1"),
        "1:19: manifest_version: `1` is not a version",
    ),
    (
        "a version of three numbers",
        put("manifest_version: 1.0", "manifest_version: 1.0.0"),
        "1:19: manifest_version: `1.0.0` is not a version",
    ),
    (
        "a version of many digits",
        put("manifest_version: 1.0", f"manifest_version: 1.{'9' * 400}"),
        "1:19: manifest_version: `1.99999999999999999999999999999999999999...` is not a version",
    ),
    (
        "a version that is a list",
        put("manifest_version: 1.0", "manifest_version: [1, 0]"),
        "1:19: manifest_version: a list is not text",
    ),
    ("an identity of another program", put("labels: {}", "job_id: 12345"), "3:9: job_id: `12345` is not a ULID"),
    (
        "an identity in lower case",
        put("labels: {}", f"job_id: {JOB.lower()}"),
        "3:9: job_id: `01hrq4gsx9k47j7m5fk7vw8b12` is not a ULID",
    ),
    (
        "an identity that is a path",
        put("labels: {}", "job_id: ../../etc/passwd"),
        "3:9: job_id: `../../etc/passwd` is not a ULID",
    ),
    (
        "a kind that nobody knows",
        put("job_type: mb_release", "job_type: rm -rf"),
        "2:11: job_type: `rm -rf` is unknown",
    ),
    (
        "a kind in capitals",
        put("job_type: mb_release", "job_type: MB_RELEASE"),
        "2:11: job_type: `MB_RELEASE` is unknown",
    ),
    (
        "an address instead of an id",
        put(f"mb_release_id: {MBID}", f"mb_release_id: https://musicbrainz.org/release/{MBID}"),
        "5:18: spec.mb_release_id: `https://musicbrainz.org/release/c0d0c0a4...` is not a MusicBrainz id",
    ),
    (
        "a target that climbs",
        put("target_dir: library", "target_dir: ../../etc"),
        "7:15: spec.target_dir: `../../etc` holds `..`",
    ),
    (
        "a target that climbs within",
        put("target_dir: library", "target_dir: library/../../etc"),
        "7:15: spec.target_dir: `library/../../etc` holds `..`",
    ),
    ("a target of dots that do not climb", put("target_dir: library", "target_dir: ... and Justice"), None),
    (
        "a target at home",
        put("target_dir: library", "target_dir: ~/music"),
        "7:15: spec.target_dir: `~/music` begins with `~`, which is not replaced here",
    ),
    (
        "a target with a zero",
        put("target_dir: library", 'target_dir: "a\\0b"'),
        "7:15: spec.target_dir: character U+0000 is not allowed, not even escaped",
    ),
    (
        "a target with a line break",
        put("target_dir: library", 'target_dir: "a\\nb"'),
        "7:15: spec.target_dir: holds a line break",
    ),
    (
        "a target too long",
        put("target_dir: library", "target_dir: " + "a/" * 2040 + "b" * 18),
        "7:15: spec.target_dir: a text of more than 4096 bytes",
    ),
    (
        "a target with a name too long",
        put("target_dir: library", "target_dir: " + "a" * 256),
        "7:15: spec.target_dir: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...` is too long for a path",
    ),
    (
        "a file that climbs",
        filed("path: a.flac", "path: ../a.flac"),
        "6:12: spec.files[0].path: `../a.flac` holds `..`",
    ),
    (
        "a file from the root",
        filed("path: a.flac", "path: /etc/passwd"),
        "6:12: spec.files[0].path: `/etc/passwd` is an absolute path",
    ),
    (
        "a file behind a backslash",
        filed("path: a.flac", r"path: ..\a.flac"),
        "6:12: spec.files[0].path: `..\\a.flac` holds a backslash",
    ),
    ("a file that is a folder", filed("path: a.flac", "path: a/"), "6:12: spec.files[0].path: `a/` has an empty part"),
    ("a file that is a dot", filed("path: a.flac", "path: ."), "6:12: spec.files[0].path: `.` has an empty part"),
    ("a file of nothing", filed("size: 1,", "size: 0,"), "6:26: spec.files[0].size: 0 is too small"),
    (
        "a file of more than there is",
        filed("size: 1,", "size: 99999999999999999999,"),
        "6:26: spec.files[0].size: `99999999999999999999` is not a whole number",
    ),
    (
        "a root too short",
        filed(HEX, HEX[:-1]),
        "6:35: spec.files[0].root: `abababababababababababababababababababab...` is not 64 hex digits",
    ),
    (
        "a root in capitals",
        filed(HEX, HEX.upper()),
        "6:35: spec.files[0].root: `ABABABABABABABABABABABABABABABABABABABAB...` is not 64 hex digits",
    ),
    (
        "a server of another kind",
        filed("https://example.org/a", "file:///etc/passwd"),
        "6:117: spec.files[0].sources[0].url: `file:///etc/passwd` is not an http:// or https:// URL",
    ),
    (
        "a server with a password",
        filed("https://example.org/a", "https://me:secret@example.org/"),
        "6:117: spec.files[0].sources[0].url: holds a user or password",
    ),
    (
        "a server without a name",
        filed("https://example.org/a", "https:///a"),
        "6:117: spec.files[0].sources[0].url: `https:///a` is not an http:// or https:// URL",
    ),
    (
        "a server with spaces",
        filed("https://example.org/a", "https://example.org/a b"),
        "6:117: spec.files[0].sources[0].url: `https://example.org/a b` holds characters that no URL has",
    ),
    (
        "a server on no port",
        filed("https://example.org/a", "https://example.org:0/"),
        "6:117: spec.files[0].sources[0].url: `https://example.org:0/` is not an http:// or https:// URL",
    ),
    (
        "a peer without a name",
        filed("url: https://example.org/a", "overlay: example.org:1"),
        f"6:121: {OVERLAY}: `example.org:1` does not begin with a peer id of 43 characters and `@`",
    ),
    (
        "a peer on a port too high",
        filed("url: https://example.org/a", f"overlay: {'A' * 43}@example.org:65536"),
        f"6:121: {OVERLAY}: `{'A' * 40}...` has no port in 0-65535 at its end",
    ),
    (
        "a source of two kinds",
        filed("url: https://example.org/a", "url: https://example.org/a, overlay: x"),
        "6:111: spec.files[0].sources[0]: has 2 fields instead of one",
    ),
    (
        "a source of no kind",
        filed("url: https://example.org/a", ""),
        "6:111: spec.files[0].sources[0]: has 0 fields instead of one",
    ),
    (
        "a source that is text",
        filed("{url: https://example.org/a}", "https://example.org/a"),
        "6:111: spec.files[0].sources[0]: `https://example.org/a` is not a block of fields",
    ),
    (
        "a password",
        put("labels: {}", "labels: {password: x}"),
        "3:10: labels.password: a secret does not belong in this file",
    ),
    ("a field like one that is known", put("  target_dir", "  targetdir"), "4:1: spec.target_dir: is missing"),
    ("fields of another kind", FILES.replace(b"multi_source", b"mb_release"), "3:1: spec.mb_release_id: is missing"),
    (
        "a moment that does not exist",
        put("labels: {}", "created_at: 2025-02-30T00:00:00Z"),
        "3:13: created_at: `2025-02-30T00:00:00Z` is not a moment that exists",
    ),
    (
        "a moment without an offset",
        put("labels: {}", "created_at: 2025-12-10T15:30:00"),
        "3:13: created_at: `2025-12-10T15:30:00` is not an RFC 3339 time",
    ),
    (
        "a moment in words",
        put("labels: {}", "created_at: yesterday"),
        "3:13: created_at: `yesterday` is not an RFC 3339 time",
    ),
    ("a status of nonsense", ALBUM + b"status: [flying, {token: x}]\n", None),
    ("a status that is torn", ALBUM + b"status:\n  state: runn", None),
    ("a status with a tag", ALBUM + b"status: !x 1\n", "12:9: status: tag `!x`"),
    ("half of a file", ALBUM[: len(ALBUM) // 2], "9:10: spec.tracks: No tracks specified"),
    ("a file cut within a track", ALBUM[:-20], "12:1: not YAML: did not find expected ',' or '}'"),
    ("a file written twice", ALBUM + ALBUM, "12:1: `manifest_version` stands here twice, first in line 1"),
)

ODD = tuple(Odd(name=name, data=data, said=said) for name, data, said in _ROWS)
