"""Tags in real files of each format, by Picard's mapping; the audio is what it was."""

import base64
import hashlib
import struct

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC, Picture
from mutagen.id3 import COMM, ID3, TIT2
from mutagen.mp4 import MP4
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from reconciler.library import tags as tags_module
from reconciler.library.audio import check
from reconciler.library.same_audio import audio_digest
from reconciler.library.tag_map import TrackTags
from reconciler.library.tags import NotTaggedError, tagged_copy
from reconciler.musicbrainz.cover import cover_of

RATE_HZ = 48_000

TAGS = TrackTags(
    title="Only Shallow",
    artist="My Bloody Valentine",
    album="Loveless",
    albumartist="My Bloody Valentine",
    track=1,
    tracks=11,
    disc=1,
    discs=1,
    date="1991-11-05",
    original_date="1991-11-04",
    media="CD",
    types=("Album", "Live"),
    status="Official",
    country="GB",
    barcode="5017556600602",
    labels=("Creation Records", "Sire"),
    catalog_numbers=("CRECD 060",),
    isrcs=("GBAYE9100001", "GBAYE0700012"),
    recording_id="e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc",
    track_id="11111111-5852-4cd3-b1f9-29a7a4a234bc",
    release_id="c0d0c0a4-4a26-4d74-9c02-67c9321b3b22",
    release_group_id="22222222-5852-4cd3-b1f9-29a7a4a234bc",
    artist_ids=("33333333-5852-4cd3-b1f9-29a7a4a234bc", "44444444-5852-4cd3-b1f9-29a7a4a234bc"),
    albumartist_ids=("33333333-5852-4cd3-b1f9-29a7a4a234bc",),
)

# What a table of Picard's documentation says, format by format.
VORBIS = {
    "title": ["Only Shallow"],
    "albumartist": ["My Bloody Valentine"],
    "tracknumber": ["1"],
    "tracktotal": ["11"],
    "discnumber": ["1"],
    "date": ["1991-11-05"],
    "originaldate": ["1991-11-04"],
    "media": ["CD"],
    "releasetype": ["album", "live"],
    "releasestatus": ["official"],
    "releasecountry": ["GB"],
    "barcode": ["5017556600602"],
    "label": ["Creation Records", "Sire"],
    "catalognumber": ["CRECD 060"],
    "isrc": ["GBAYE9100001", "GBAYE0700012"],
    "musicbrainz_trackid": [TAGS.recording_id],
    "musicbrainz_releasetrackid": [TAGS.track_id],
    "musicbrainz_albumid": [TAGS.release_id],
    "musicbrainz_releasegroupid": [TAGS.release_group_id],
    "musicbrainz_artistid": list(TAGS.artist_ids),
    "musicbrainz_albumartistid": list(TAGS.albumartist_ids),
}
ID3_TEXTS = {
    "TIT2": ["Only Shallow"],
    "TPE2": ["My Bloody Valentine"],
    "TRCK": ["1/11"],
    "TPOS": ["1/1"],
    "TDRC": ["1991-11-05"],
    "TDOR": ["1991-11-04"],
    "TMED": ["CD"],
    "TXXX:MusicBrainz Album Type": ["album", "live"],
    "TXXX:MusicBrainz Album Status": ["official"],
    "TXXX:MusicBrainz Album Release Country": ["GB"],
    "TXXX:BARCODE": ["5017556600602"],
    "TPUB": ["Creation Records", "Sire"],
    "TXXX:CATALOGNUMBER": ["CRECD 060"],
    "TSRC": ["GBAYE9100001", "GBAYE0700012"],
    "TXXX:MusicBrainz Release Track Id": [TAGS.track_id],
    "TXXX:MusicBrainz Album Id": [TAGS.release_id],
    "TXXX:MusicBrainz Release Group Id": [TAGS.release_group_id],
    "TXXX:MusicBrainz Artist Id": list(TAGS.artist_ids),
    "TXXX:MusicBrainz Album Artist Id": list(TAGS.albumartist_ids),
}
FREEFORM = {
    "MusicBrainz Track Id": [TAGS.recording_id],
    "MusicBrainz Release Track Id": [TAGS.track_id],
    "MusicBrainz Album Id": [TAGS.release_id],
    "MusicBrainz Release Group Id": [TAGS.release_group_id],
    "MusicBrainz Artist Id": list(TAGS.artist_ids),
    "MusicBrainz Album Artist Id": list(TAGS.albumartist_ids),
    "MusicBrainz Album Type": ["album", "live"],
    "MusicBrainz Album Status": ["official"],
    "MusicBrainz Album Release Country": ["GB"],
    "BARCODE": ["5017556600602"],
    "LABEL": ["Creation Records", "Sire"],
    "CATALOGNUMBER": ["CRECD 060"],
    "ISRC": ["GBAYE9100001", "GBAYE0700012"],
    "MEDIA": ["CD"],
}


def song(path, kind, subtype):
    """Two seconds of noise."""
    samples = np.random.default_rng(5).uniform(-0.5, 0.5, (2 * RATE_HZ, 2))
    soundfile.write(path, samples, RATE_HZ, format=kind, subtype=subtype)
    return path


def box(name, *inside):
    """Make an MP4 box."""
    content = b"".join(inside)
    return struct.pack(">I4s", 8 + len(content), name) + content


def m4a(media=b"the first chunk, the second chunk", *, wide=False):
    """Make an MP4 with two chunks of media behind its movie, as most encoders write it."""
    header = box(b"mdhd", struct.pack(">4xIIII4x", 0, 0, RATE_HZ, RATE_HZ * 3))
    kind = box(b"hdlr", bytes(8) + b"soun" + bytes(13))
    stream = box(
        b"esds",
        bytes(4),
        bytes([3, 25, 0, 0, 0]),
        bytes([4, 17, 0x40, 0x15, 0, 0, 0]) + struct.pack(">II", 128_000, 128_000) + bytes([5, 2, 0x12, 0x10]),
        bytes([6, 1, 2]),
    )
    entry = box(b"mp4a", bytes(6), struct.pack(">H8xHHHHI", 1, 2, 16, 0, 0, RATE_HZ << 16), stream)

    def whole(*offsets):
        form = f">4xI{len(offsets)}{'Q' if wide else 'I'}"
        table = box(b"co64" if wide else b"stco", struct.pack(form, len(offsets), *offsets))
        sizes = box(b"stsz", struct.pack(">4xIIII", 0, 2, 17, 16))
        stbl = box(b"stbl", box(b"stsd", struct.pack(">4xI", 1), entry), sizes, table)
        movie = box(b"moov", box(b"mvhd", bytes(100)), box(b"trak", box(b"mdia", header, kind, box(b"minf", stbl))))
        return box(b"ftyp", b"M4A \0\0\0\0") + movie

    start = len(whole(0, 0)) + 8
    return whole(start, start + 17) + box(b"mdat", media)


def tag(path, tags=TAGS):
    """Tag a copy; the file itself stays as it is."""
    before = path.read_bytes()
    copy = path.with_suffix(".tagged")
    tagged_copy(path, copy, tags)
    assert path.read_bytes() == before
    assert copy.read_bytes() != before
    return copy


def decoded(path):
    """The samples of a file, hashed."""
    return hashlib.sha256(soundfile.read(path, dtype="int32")[0].tobytes()).digest()


@pytest.mark.parametrize(
    ("kind", "subtype", "reader"),
    [("FLAC", "PCM_16", FLAC), ("OGG", "VORBIS", OggVorbis), ("OGG", "OPUS", OggOpus)],
)
def test_vorbis_comments(tmp_path, kind, subtype, reader):
    """FLAC, Vorbis and Opus; every sample decodes to what it was."""
    path = song(tmp_path / "x.part", kind, subtype)
    copy = tag(path)
    found = reader(copy)
    assert {name: found[name] for name in VORBIS} == VORBIS
    assert decoded(copy) == decoded(path)


def test_a_tagged_flac_is_still_proven(tmp_path):
    """Its MD5, its length and its pictures are those of before; so is what it said besides."""
    path = song(tmp_path / "x.part", "FLAC", "PCM_16")
    file = FLAC(path)
    file["comment"], file["title"] = "keep me", "Wrong"
    picture = Picture()
    picture.data = b"\x89PNG" * 1000
    file.add_picture(picture)
    file.save()
    copy = tag(path)
    verdict = check(copy, container="flac", duration_ms=2000, tolerance_ms=10)
    assert verdict.ok
    assert verdict.proven
    found = FLAC(copy)
    assert found["comment"] == ["keep me"]
    assert found["title"] == ["Only Shallow"]
    assert found.pictures[0].data == picture.data


def test_id3(tmp_path):
    """MP3: version 2.4 in UTF-8, the recording as UFID; other frames stay."""
    path = song(tmp_path / "x.part", "MP3", "MPEG_LAYER_III")
    old = ID3()
    old.add(TIT2(encoding=1, text=["Wrong"]))
    old.add(COMM(encoding=3, lang="eng", desc="", text=["keep me"]))
    old.save(path, v2_version=3)
    copy = tag(path)
    found = ID3(copy, translate=False)
    assert found.version == (2, 4, 0)
    assert {name: [str(text) for text in found[name].text] for name in ID3_TEXTS} == ID3_TEXTS
    assert found["UFID:http://musicbrainz.org"].data == TAGS.recording_id.encode()
    assert found.getall("COMM")[0].text == ["keep me"]
    assert decoded(copy) == decoded(path)


@pytest.mark.parametrize("wide", [False, True])
def test_mp4(tmp_path, wide):
    """Atoms and freeforms; what the movie says of its media points to the same bytes, which have moved."""
    path = tmp_path / "x.part"
    path.write_bytes(m4a(wide=wide))
    copy = tag(path)
    found = MP4(copy)
    assert (found["\xa9nam"], found["aART"]) == (["Only Shallow"], ["My Bloody Valentine"])
    assert (found["trkn"], found["disk"]) == ([(1, 11)], [(1, 1)])
    for name, values in FREEFORM.items():
        assert [bytes(value).decode() for value in found[f"----:com.apple.iTunes:{name}"]] == values
    data = copy.read_bytes()
    table = data.index(b"co64" if wide else b"stco") + 12
    first, second = struct.unpack_from(">QQ" if wide else ">II", data, table)
    assert data[first : first + 33] == b"the first chunk, the second chunk"
    assert second == first + 17


def pictures(path, kind):
    """The pictures in a file: kind and bytes."""
    if kind == "MP3":
        return [(picture.type, picture.mime, picture.data) for picture in ID3(path).getall("APIC")]
    if kind == "FLAC":
        return [(picture.type, picture.mime, picture.data) for picture in FLAC(path).pictures]
    if kind == "MP4":
        return [(3, "image/png", bytes(picture)) for picture in MP4(path)["covr"]]
    blocks = [Picture(base64.b64decode(text)) for text in mutagen.File(path)["metadata_block_picture"]]
    return [(picture.type, picture.mime, picture.data) for picture in blocks]


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("MP4", "")],
)
def test_a_cover_goes_into_a_file_without_one(tmp_path, kind, subtype):
    """As the front cover; another one later leaves it alone, and the audio is what it was."""
    path, once, twice = tmp_path / "x.part", tmp_path / "once", tmp_path / "twice"
    if kind == "MP4":
        path.write_bytes(m4a())
    else:
        song(path, kind, subtype)
    first, other = (cover_of(b"\x89PNG\r\n\x1a\n" + bytes([n]) * 200_000) for n in (1, 2))
    tagged_copy(path, once, TAGS, first)
    tagged_copy(once, twice, TAGS, other)
    assert pictures(once, kind) == pictures(twice, kind) == [(3, "image/png", first.data)]


def test_what_is_not_known_stays(tmp_path):
    """A manifest of one's own knows no date; that of the file is better than none."""
    path = song(tmp_path / "x.part", "FLAC", "PCM_16")
    file = FLAC(path)
    file["date"] = "1999"
    file.save()
    bare = TrackTags(title="T", artist="A", album="B", albumartist="A", track=1, disc=1, discs=1)
    found = FLAC(tag(path, bare))
    assert found["date"] == ["1999"]
    assert found["title"] == ["T"]
    assert "musicbrainz_albumid" not in found


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"no audio at all" * 100, "it is no audio"),
        (m4a().replace(b"moov", b"moof"), "cannot be read or written"),
        (m4a().replace(b"mdat", b"free"), "cannot be read or written"),
        (b"fLaC" + bytes([0x80, 0, 0, 34]) + bytes(10), "cannot be read or written"),
    ],
)
def test_what_cannot_be_tagged_is_said(tmp_path, data, why):
    """And nothing is left behind."""
    path, copy = tmp_path / "x.part", tmp_path / "x.tagged"
    path.write_bytes(data)
    with pytest.raises(NotTaggedError, match=why):
        tagged_copy(path, copy, TAGS)
    assert not copy.exists()
    assert path.read_bytes() == data


def test_a_container_without_rules_is_named(tmp_path):
    """A WAV is published as it is."""
    path = song(tmp_path / "x.part", "WAV", "PCM_16")
    with pytest.raises(NotTaggedError, match="no rules for tags of wave"):
        tagged_copy(path, tmp_path / "y", TAGS)


def test_a_copy_whose_audio_differs_is_thrown_away(tmp_path, monkeypatch):
    """Should the library that writes tags ever damage a frame."""
    path, copy = song(tmp_path / "x.part", "FLAC", "PCM_16"), tmp_path / "y"
    write = tags_module._write

    def damaging(target, tags, cover):
        write(target, tags, cover)
        data = bytearray(target.read_bytes())
        data[-1000] ^= 1
        target.write_bytes(data)

    monkeypatch.setattr(tags_module, "_write", damaging)
    with pytest.raises(NotTaggedError, match="its audio would have changed"):
        tagged_copy(path, copy, TAGS)
    assert not copy.exists()


@pytest.mark.parametrize(
    ("kind", "subtype", "container"),
    [("FLAC", "PCM_16", "flac"), ("MP3", "MPEG_LAYER_III", "mp3"), ("OGG", "VORBIS", "ogg"), ("OGG", "OPUS", "ogg")],
)
def test_a_flipped_byte_of_audio_is_seen(tmp_path, kind, subtype, container):
    """In the last quarter there is audio, and in Ogg now and then the head of a page, which may change."""
    path = song(tmp_path / "x", kind, subtype)
    good, data = audio_digest(path, container), path.read_bytes()
    seen = 0
    for number in range(50):
        at = len(data) * 3 // 4 + number * (len(data) // 250)
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            seen += audio_digest(path, container) != good
        except ValueError:
            seen += 1
    assert seen >= (48 if container == "ogg" else 50)


def test_a_moved_chunk_of_an_mp4_is_seen(tmp_path):
    """The bytes are all there, and a table points elsewhere."""
    path = tmp_path / "x.m4a"
    path.write_bytes(m4a())
    good, data = audio_digest(path, "m4a"), bytearray(m4a())
    table = data.index(b"stco") + 12
    (first,) = struct.unpack_from(">I", data, table)
    struct.pack_into(">I", data, table, first + 1)
    path.write_bytes(data)
    assert audio_digest(path, "m4a") != good
