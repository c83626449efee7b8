"""Folders as people share them, out of folders.txt.

Owns: the form of that file. Never: matches anything.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.ids import TrackPosition
from reconciler.sources.base import Want, Words
from reconciler.sources.soulseek.shared_file import SharedFile

# What a second of audio takes by extension: a usual FLAC, an MP3 of 320 kbit/s.
BYTES_PER_S = {"flac": 110_000, "ape": 105_000}
LOSSY_BYTES_PER_S = 40_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """One folder, compared with one list of tracks."""

    name: str
    wants: tuple[Want, ...]
    files: tuple[SharedFile, ...]
    expected: frozenset[tuple[int, str]]
    """Position and path."""


def shared(path, duration_s=None, *, username="someone", **changes):
    """A file as a search finds it, of a size that fits its extension."""
    extension = path.rpartition(".")[2].lower()
    bytes_per_s = BYTES_PER_S.get(extension, LOSSY_BYTES_PER_S)
    made = SharedFile(
        username=username,
        path=path,
        size=bytes_per_s * (duration_s or 240),
        extension=extension,
        duration_s=duration_s,
        bitrate_kbps=320 if extension == "mp3" and duration_s else None,
        sample_rate_hz=44_100,
        bit_depth=None,
        free_slot=True,
        queue_length=0,
        speed_bytes_per_s=1_000_000,
    )
    return replace(made, **changes)


def release(artist, album, *tracks):
    """Wants for a release on one medium, of `(title, seconds)` each."""
    return tuple(
        Want(
            position=TrackPosition(number),
            words=Words(
                title=title,
                artist=artist,
                album=album,
                albumartist=artist,
                track_number=number,
                duration_ms=seconds * 1000 if seconds else None,
            ),
        )
        for number, (title, seconds) in enumerate(tracks, start=1)
    )


def read_cases(path: Path) -> list[Case]:
    """Every folder in the file, in its order."""
    releases: dict[str, tuple[Want, ...]] = {}
    cases: list[Case] = []
    for block in path.read_text("utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        kind, _, name = lines[0].partition(" ")
        if kind == "release":
            releases[name] = _wants(lines[1:])
        else:
            which, _, what = name.partition(": ")
            cases.append(_case(f"{which}: {what}", f"user {len(cases)}", releases[which], lines[1:]))
    return cases


def _wants(lines):
    artist = lines[0].removeprefix("artist ")
    album = lines[1].removeprefix("album ")
    tracks = []
    for line in lines[2:]:
        place, _, rest = line.partition(" ")
        title, length, *by = rest.split(" | ")
        medium, _, number = place.rpartition(".")
        tracks.append((int(medium or 1), int(number), title, seconds_of(length), by[0] if by else artist))
    return tuple(
        Want(
            position=TrackPosition(position),
            words=Words(
                title=title,
                artist=by,
                album=album,
                albumartist=artist,
                track_number=number,
                medium=medium,
                media=tracks[-1][0],
                duration_ms=seconds * 1000 + 400 if seconds else None,
            ),
        )
        for position, (medium, number, title, seconds, by) in enumerate(tracks, start=1)
    )


def _case(name, username, wants, lines):
    if lines[0].startswith("only "):
        missing = {int(each) for each in lines[0].removeprefix("only ").split()}
        wants, lines = tuple(want for want in wants if want.position in missing), lines[1:]
    folder = lines[0].removeprefix("@ ")
    files, expected = [], set()
    for line in lines[1:]:
        place, _, rest = line.partition(" ")
        file_name, length, *size = rest.split(" | ")
        changes = {"size": int(size[0])} if size else {}
        file = shared(f"{folder}\\{file_name}", seconds_of(length), username=username, **changes)
        files.append(file)
        if place != "-":
            expected.add((int(place), file.path))
    return Case(name=name, wants=wants, files=tuple(files), expected=frozenset(expected))


def seconds_of(length):
    """`4:17` -> 257; `?` -> None."""
    minutes, _, seconds = length.partition(":")
    return None if length == "?" else int(minutes) * 60 + int(seconds)
