"""Which recording and release a file's own tags name.

Owns: where each format keeps MusicBrainz identifiers, as Picard writes them. Never: writes a tag, or believes that the
audio is what they say.

https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html. The trap: `MUSICBRAINZ_TRACKID` is the recording.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutagen
from mutagen.id3 import ID3

from reconciler.ids import Mbid, is_mbid
from reconciler.library.audio import UNREADABLE
from reconciler.library.bounded import opened

# Vorbis comments and APEv2 (which compare without case), MP4, ASF.
_RECORDING = ("musicbrainz_trackid", "----:com.apple.iTunes:MusicBrainz Track Id", "MusicBrainz/Track Id")
_RELEASE = ("musicbrainz_albumid", "----:com.apple.iTunes:MusicBrainz Album Id", "MusicBrainz/Album Id")
_ID3_RECORDING = "UFID:http://musicbrainz.org"
_ID3_RELEASE = "TXXX:MusicBrainz Album Id"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedIds:
    """What the tags of a file say; None = nothing, or several different things."""

    recording: Mbid | None = None
    release: Mbid | None = None


def tagged_ids(file: Path | int) -> TaggedIds:
    """Read the identifiers of a file, given by path or descriptor; nothing where its tags cannot be read."""
    with opened(file) as reader:
        try:
            tags = getattr(mutagen.File(reader), "tags", None)
            if tags is None:
                return TaggedIds()
            return TaggedIds(
                recording=_only(_said(tags, _RECORDING, _ID3_RECORDING)),
                release=_only(_said(tags, _RELEASE, _ID3_RELEASE)),
            )
        except UNREADABLE:
            return TaggedIds()


def _said(tags: Any, names: tuple[str, ...], frame: str) -> Iterator[str]:
    if isinstance(tags, ID3):
        for found in tags.getall(frame):  # type: ignore[no-untyped-call]
            yield from [found.data.decode("ascii", "replace")] if hasattr(found, "data") else map(str, found.text)
        return
    for name in names:
        values = tags.get(name, ())
        for value in [values] if isinstance(values, str) else values:
            yield value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _only(texts: Iterator[str]) -> Mbid | None:
    """The identifier that all of `texts` agree on."""
    found = {text.strip().strip("\0").lower() for text in texts}
    one = found.pop() if len(found) == 1 else ""
    return Mbid(one) if is_mbid(one) else None
