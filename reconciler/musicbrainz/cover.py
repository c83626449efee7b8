"""The picture of an album, as bytes that are one.

Owns: which bytes are taken for a picture, and how large one may be. Never: decodes or fetches it
(musicbrainz.cover_art).
"""

from dataclasses import dataclass

# The archive's pictures of 1,200 pixels have some 300 KB; a FLAC block holds 16 MiB at most.
COVER_BYTES_MAX = 8 << 20

# The first bytes of each format: ISO/IEC 10918-1 (start of image and of the next marker), PNG section 5.2.
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """A front cover."""

    data: bytes
    mime: str
    extension: str
    """`jpg` or `png`."""


def cover_of(data: bytes) -> Cover | None:
    """The picture that `data` is; None where it is no JPEG or PNG, or too large."""
    if len(data) > COVER_BYTES_MAX:
        return None
    if data.startswith(_JPEG):
        return Cover(data=data, mime="image/jpeg", extension="jpg")
    if data.startswith(_PNG):
        return Cover(data=data, mime="image/png", extension="png")
    return None
