"""Manifests that somebody or something has damaged, each from two numbers.

Owns: the sound manifests it starts from, and the ways in which they are damaged. Never: reads one (fuzz_child).

A mutant depends on nothing but its seed and its index, so that one that does harm can be made again.
"""

import random
from collections.abc import Callable

MBID = b"c0d0c0a4-4a26-4d74-9c02-67c9321b3b22"
JOB = b"01HRQ4GSX9K47J7M5FK7VW8B12"
HEX = b"ab" * 32

RELEASE = b"""\
# two songs
manifest_version: "1.0"
job_id: %(job)s
job_type: mb_release
spec:
  mb_release_id: %(mbid)s
  title: 4:02   # a title
  target_dir: /music/queue
  tracks:
    - {position: 1, title: 'Only Shallow', mb_recording_id: %(mbid)s, duration_ms: 242000}
    - position: 2
      title: "Loomer \\u00e9"
      mb_recording_id: %(mbid)s
  constraints: {preferred_codecs: [FLAC, MP3], allow_lossy: false}
status:
  state: running
  completed_tracks: [1]
"""
DISCOGRAPHY = b"""\
manifest_version: 1.0
job_type: discography
created_at: 2025-12-10T15:30:00Z
labels: {owner: me}
spec:
  artist_id: %(mbid)s
  profile: extended
  target_dir: library
  min_year: 1988
  countries: [GB, XW]
  suspend: {reason: the disk is full, until: 2026-01-01T00:00:00Z}
"""
CRATE = b"""\
manifest_version: 1.0
job_type: label_crate
spec:
  label_id: %(mbid)s
  limit: 20
  order: newest
  target_dir: library
  node: {disk: large}
  retry: {limit: 5, interval: 30s}
"""
FILES = b"""\
manifest_version: 1.0
job_type: multi_source
spec:
  target_dir: queue
  priority: 10
  files:
  - path: Loveless/01.flac
    size: 1234
    root: %(hex)s
    sources:
    - url: https://example.org/01.flac
    - {soulseek: {username: a, filename: '@@a\\b.flac'}}
"""

SEEDS = tuple(
    text % {b"mbid": MBID, b"job": JOB, b"hex": HEX}
    for text in (RELEASE, DISCOGRAPHY, CRATE, FILES, RELEASE.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + CRATE)
)

# What means something to YAML, to Unicode, to this program, or to whoever reads numbers and dates too eagerly.
PIECES = (
    *(b"&a ", b"*a", b"!!str ", b"!x ", b"<<: ", b"? ", b"- ", b": ", b"| ", b"|+\n", b">-\n", b"---\n", b"...\n"),
    *(b"#", b"[", b"]", b"{", b"}", b",", b"'", b'"', b"\\", b'"\\ud800"', b'"\\0"', b"%YAML 1.3\n", b"@", b"`", b"~"),
    *(b"\t", b"\r", b"\n", b"\n\n", b"\x00", b"\x1b[2J", b"\x7f", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xae"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\xf0\x9f\xbf\xbf", b"\xc0\x80", "é\u0301🎵".encode()),
    *(b"9" * 30, b"-1", b"0x1f", b"1e999", b".nan", b"2024-02-30", b"010", b"1_000", b"true", b"No", b"../.."),
    *(b"<<<<<<< HEAD\n", b"=======\n", b">>>>>>> other\n", b"[" * 40, b"{a: " * 40, b"- " * 40, b"x" * 5000),
    *(b"status: ", b"spec:\n", b"tracks: all\n", b"job_type: ", b"manifest_version: 2.0\n", b"password: x\n"),
    *(b"~root", b"null", b"a: {b: c}\n"),
)  # fmt: skip

Damage = Callable[[random.Random, bytearray], None]


def mutant(seed: int, index: int) -> bytes:
    """The `index`-th damaged manifest of `seed`; one in two hundred is sound."""
    dice = random.Random(seed << 40 | index)
    data = bytearray(dice.choice(SEEDS))
    if index % 200:
        for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 5, 9))):
            dice.choice(DAMAGES)(dice, data)
    return bytes(data)


def _span(dice: random.Random, data: bytearray, longest: int) -> tuple[int, int]:
    start = dice.randrange(len(data) + 1)
    return start, min(len(data), start + dice.randint(1, longest))


def _flip(dice: random.Random, data: bytearray) -> None:
    if data:
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _overwrite(dice: random.Random, data: bytearray) -> None:
    if data:
        data[dice.randrange(len(data))] = dice.randrange(256)


def _insert(dice: random.Random, data: bytearray) -> None:
    at = dice.randrange(len(data) + 1)
    data[at:at] = dice.choice(PIECES)


def _replace(dice: random.Random, data: bytearray) -> None:
    start, end = _span(dice, data, 12)
    data[start:end] = dice.choice(PIECES)


def _remove(dice: random.Random, data: bytearray) -> None:
    start, end = _span(dice, data, 30)
    del data[start:end]


def _repeat(dice: random.Random, data: bytearray) -> None:
    start, end = _span(dice, data, 40)
    data[end:end] = bytes(data[start:end]) * dice.choice((1, 1, 2, 10))


def _tear(dice: random.Random, data: bytearray) -> None:
    """A file that was cut short, or whose tail never reached the disk."""
    at = dice.randrange(len(data) + 1)
    kept = len(data) - at if dice.random() < 0.3 else 0
    data[at:] = bytes(kept)


def _move_a_line(dice: random.Random, data: bytearray) -> None:
    lines = bytes(data).splitlines(keepends=True)
    if lines:
        line = lines.pop(dice.randrange(len(lines)))
        lines.insert(dice.randrange(len(lines) + 1), line)
        data[:] = b"".join(lines)


def _indent(dice: random.Random, data: bytearray) -> None:
    lines = bytes(data).splitlines(keepends=True)
    if lines:
        at = dice.randrange(len(lines))
        lines[at] = b" " * dice.choice((1, 2, 3)) + lines[at] if dice.random() < 0.5 else lines[at].lstrip()
        data[:] = b"".join(lines)


def _cross(dice: random.Random, data: bytearray) -> None:
    """The head of one manifest and the tail of another."""
    other = dice.choice(SEEDS)
    data[dice.randrange(len(data) + 1) :] = other[dice.randrange(len(other)) :]


def _change_a_value(dice: random.Random, data: bytearray) -> None:
    """The end of a line behind its colon: most often still YAML, seldom still what the field takes."""
    lines = bytes(data).splitlines(keepends=True)
    with_value = [index for index, line in enumerate(lines) if b": " in line]
    if with_value:
        at = dice.choice(with_value)
        name, colon, _ = lines[at].partition(b": ")
        lines[at] = name + colon + dice.choice(PIECES) + b"\n"
        data[:] = b"".join(lines)


def _write_oddly(dice: random.Random, data: bytearray) -> None:
    """What leaves a manifest sound: comments, blank lines, spaces at the end, quotes, another line end."""
    lines = bytes(data).splitlines(keepends=True)
    if lines:
        at = dice.randrange(len(lines))
        name, colon, value = lines[at].rstrip().partition(b": ")
        odd = (
            b"# \xc3\xa9\n" + lines[at],
            b"\n \n" + lines[at],
            lines[at].rstrip() + b"   # why\n",
            lines[at].rstrip() + b"\r\n",
            name + colon + b"'" + value + b"'\n",
            name + colon + b"  " + value + b"\n",
        )
        lines[at] = dice.choice(odd)
        data[:] = b"".join(lines)


DAMAGES: tuple[Damage, ...] = (
    _flip,
    _overwrite,
    _insert,
    _insert,
    _replace,
    _remove,
    _repeat,
    _tear,
    _move_a_line,
    _indent,
    _cross,
    _change_a_value,
    _change_a_value,
    _write_oddly,
    _write_oddly,
)
