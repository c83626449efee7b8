"""Write what is known of a track into a copy of its file, and prove that the audio is what it was.

Owns: the copy and the one place where mutagen writes into a file that is published. Never: touches the file that it was
given, removes a tag that it has no value for, or keeps a copy whose audio differs by a byte.
"""

import base64
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import mutagen
from mutagen.flac import FLAC, Picture
from mutagen.id3 import Frames
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from reconciler.library.same_audio import audio_digest
from reconciler.library.tag_map import TrackTags, id3_of, mp4_of, vorbis_of
from reconciler.musicbrainz.cover import Cover

_UTF_8 = 3  # ID3v2.4 section 4
_FRONT_COVER = 3  # ID3v2.4 section 4.14, and the same number in FLAC (RFC 9639 section 8.8)
_UFID_OWNER = "UFID:"
_TXXX = "TXXX:"

# As in library.audio: what mutagen lets through on broken files besides its own error.
_UNREADABLE = (mutagen.MutagenError, struct.error, ValueError, LookupError, ArithmeticError)


class NotTaggedError(Exception):
    """A copy was not made; the file itself is as good as before. The message says why, for a person."""


def tagged_copy(source: Path, target: Path, tags: TrackTags, cover: Cover | None = None) -> None:
    """Copy `source` to `target` with these tags; what was at `target` is replaced, and a failure leaves nothing there.

    `cover` is put into a file that has no picture.
    Raises NotTaggedError for a container without rules here, a file that cannot be read, or audio that came out
    different; OSError where the disk refuses.
    """
    try:
        _copy(source, target, tags, cover)
    except _UNREADABLE as error:
        target.unlink(missing_ok=True)
        # mutagen wraps what the disk says.
        if isinstance(cause := error.__context__, OSError):
            raise OSError(cause.errno, os.strerror(cause.errno or 0), str(target)) from error
        raise NotTaggedError(f"its tags cannot be read or written ({type(error).__name__}: {error})") from error
    except (NotTaggedError, OSError):
        target.unlink(missing_ok=True)
        raise


def _copy(source: Path, target: Path, tags: TrackTags, cover: Cover | None) -> None:
    container = _container_of(source)
    before = audio_digest(source, container)
    if before is None:
        raise NotTaggedError(f"there are no rules for tags of {container}" if container else "it is no audio")
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    _write(target, tags, cover)
    if audio_digest(target, container) != before:
        raise NotTaggedError("its audio would have changed")


def _container_of(path: Path) -> str:
    """The usual extension of a container that mutagen knows, by the bytes; empty = another one."""
    match mutagen.File(path):
        case FLAC():
            return "flac"
        case MP3():
            return "mp3"
        case OggVorbis() | OggOpus() | OggFLAC():
            return "ogg"
        case MP4():
            return "m4a"
        case None:
            return ""
        case other:
            return type(other).__name__.lower()


def _write(path: Path, tags: TrackTags, cover: Cover | None) -> None:
    file: Any = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if isinstance(file, MP3):
        _fill_id3(file.tags, tags)
    elif isinstance(file, MP4):
        _fill_mp4(file.tags, tags)
    else:
        for name, values in vorbis_of(tags).items():
            file.tags[name] = values
    if cover is not None:
        _embed(file, cover)
    # Of an MP3 this is ID3v2.4, its default.
    save: Any = file.save
    save()


def _embed(file: Any, cover: Cover) -> None:
    """Put a front cover into a file, unless there is a picture in it."""
    tags: Any = file.tags
    match file:
        case MP3() if not tags.getall("APIC"):
            picture = _frame("APIC")
            tags.add(picture(encoding=_UTF_8, mime=cover.mime, type=_FRONT_COVER, desc="", data=cover.data))
        case MP4():
            atom: Any = MP4Cover
            form = atom.FORMAT_JPEG if cover.extension == "jpg" else atom.FORMAT_PNG
            tags.setdefault("covr", [atom(cover.data, form)])
        case FLAC() if not file.pictures:
            add: Any = file.add_picture
            add(_picture(cover))
        case OggVorbis() | OggOpus() | OggFLAC() if "metadata_block_picture" not in tags:
            tags["metadata_block_picture"] = [base64.b64encode(_picture(cover).write()).decode()]
        case _:
            pass


def _picture(cover: Cover) -> Any:
    block: Any = Picture
    picture = block()
    picture.type, picture.mime, picture.data = _FRONT_COVER, cover.mime, cover.data
    return picture


def _fill_id3(frames: Any, tags: TrackTags) -> None:
    for key, values in id3_of(tags).items():
        frames.delall(key)
        if key.startswith(_UFID_OWNER):
            frames.add(_frame("UFID")(owner=key.removeprefix(_UFID_OWNER), data=values[0].encode("ascii")))
        elif key.startswith(_TXXX):
            frames.add(_frame("TXXX")(encoding=_UTF_8, desc=key.removeprefix(_TXXX), text=values))
        else:
            frames.add(_frame(key)(encoding=_UTF_8, text=values))


def _frame(name: str) -> Any:
    """A frame's class; mutagen does not type them."""
    return Frames[name]


def _fill_mp4(atoms: Any, tags: TrackTags) -> None:
    for name, values in mp4_of(tags).items():
        atoms[name] = [value.encode() for value in values] if name.startswith("----") else values
    for name, number, total in (("trkn", tags.track, tags.tracks), ("disk", tags.disc, tags.discs)):
        # Sixteen bits each: a box of more tracks has no number there.
        if 0 < number < 1 << 16 and total < 1 << 16:
            atoms[name] = [(number, total)]
