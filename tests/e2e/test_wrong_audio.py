"""Each way in which a file is not the audio that it says it is, from a real peer through a real daemon."""

import io
import re
import uuid

import pytest
import soundfile
from e2e.rig import events_of, peer, run, stock

from reconciler.library.synthesis import make_album
from reconciler.traces.key_events import key_text

SECONDS = 4.0
JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"


def flipped(good):
    """One bit of one byte, in the middle of the audio."""
    return good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1 :]


def cut(good):
    """The first half."""
    return good[: len(good) // 2]


def hollow(good):
    """The second half was never written."""
    return good[: len(good) // 2] + bytes(len(good) - len(good) // 2)


def as_it_is(good):
    """Every byte as it was made."""
    return good


def as_mp3(path):
    """The same music as an MP3."""
    music, rate_hz = soundfile.read(path)
    copy = path.with_suffix(".mp3")
    how = {"compression_level": 0.7, "bitrate_mode": "CONSTANT"}  # 112 kbit/s
    soundfile.write(copy, music, rate_hz, format="MP3", subtype="MPEG_LAYER_III", **how)
    return copy.read_bytes()


def back_from_mp3(path):
    """A FLAC made from that MP3."""
    music, rate_hz = soundfile.read(io.BytesIO(as_mp3(path)))
    soundfile.write(path, music, rate_hz, format="FLAC", subtype="PCM_16")
    return path.read_bytes()


def on_bytes(damage):
    """Damage a file by its bytes."""
    return lambda path: damage(path.read_bytes())


# What is done to the FLAC, by how much the manifest's length is off, and what the daemon says of it; None = it is good.
CASES = {
    "good": (on_bytes(as_it_is), 0, None),
    "flipped": (on_bytes(flipped), 0, r"it can be decoded for about \d+\.\d s of \d+\.\d s only"),
    "truncated": (on_bytes(cut), 0, r"it ends after about \d+\.\d s of \d+\.\d s"),
    "zero-filled": (on_bytes(hollow), 0, r"there are only zero bytes from byte \d+ on"),
    "wrong duration": (on_bytes(as_it_is), 60_000, r"it is 6\.0 s long; 66\.0 s are wanted, give or take 7\.0 s"),
    "made from an MP3": (back_from_mp3, 0, None),
    "renamed": (as_mp3, 0, r"this is MP3 as in \.mp3, not \.flac"),
}


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """One job that asks a peer for one track of each kind; gives its root folder, its state folder and its trace."""
    folder = tmp_path_factory.mktemp("wrong audio")
    tracks = []
    album = make_album(folder / "album", tracks=len(CASES), seconds=SECONDS, seed=3)
    for made, (damage, off_ms, _) in zip(album, CASES.values(), strict=True):
        made.path.write_bytes(damage(made.path))
        stock(folder / "peer", made.path, recording=made.recording, duration_ms=0)
        tracks.append(
            f"    - {{position: {made.position}, title: {made.title}, mb_recording_id: {made.recording},"
            f" duration_ms: {made.duration_ms + off_ms}}}"
        )
    root, state = folder / "root", folder / "state"
    run("init", "--root", root, check=0)
    (root / "jobs" / "active" / "album.yml").write_text(
        f'manifest_version: "1.0"\njob_id: {JOB}\ncreated_at: 2025-12-10T15:30:00Z\njob_type: mb_release\nspec:\n'
        f"  mb_release_id: {uuid.UUID(int=7)}\n  title: Album\n  artist: Artist\n  target_dir: library\n"
        "  retry: {limit: 0}\n  tracks:\n" + "\n".join(tracks) + "\n"
    )
    with peer(folder / "peer") as address:
        (root / "reconciler.yml").write_text(
            f'mesh: {{overlay: {{peers: ["{address}"]}}}}\nlibrary: {{publish: track}}\n'
        )
        run("run", "--once", "--root", root, "--state", state, check=3)
    return root, state, events_of(root, state)


@pytest.mark.parametrize("kind", CASES)
def test_wrong_audio_is_quarantined_with_its_reason(fetched, kind):
    """The good file is published; every other is kept aside beside a note that says what is wrong with it."""
    root, state, events = fetched
    position = list(CASES).index(kind) + 1
    reason = CASES[kind][2]
    published = list((root / "library").rglob(f"{position:02} *"))
    notes = list((state / "quarantine").glob(f"{JOB}.{position}.*.why.txt"))
    if reason is None:
        assert [path.suffix for path in published] == [".flac"]
        assert notes == []
        return
    assert published == []
    (note,) = notes
    assert re.search(reason, note.read_text())
    assert any(re.search(reason, str(each)) for each in events if each.track_id == str(position))
    (kept,) = [path for path in note.parent.glob(f"{JOB}.{position}.*") if path != note]
    assert kept.stat().st_size > 0


def test_a_flac_made_from_an_mp3_is_published_with_a_warning(fetched):
    """The trace names the frequency above which there is nothing; a good one has no such line."""
    _, _, events = fetched
    warnings = {each.track_id: each.metadata for each in events if "suspicion" in each.metadata}
    (position,) = warnings
    assert int(position) == list(CASES).index("made from an MP3") + 1
    assert warnings[position]["cutoff_hz"] == pytest.approx(15_100, abs=300)
    told = [key_text(each, again=False) for each in events if each.track_id == position]
    assert any(re.search(r"Track \d published, with a warning: nothing above 15\.\d kHz", text) for text in told)
