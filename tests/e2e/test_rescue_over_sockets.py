"""A stream that stalls is completed by overlay peers, over real sockets, with the bytes where they belong."""

import asyncio

import pytest
from engine_rig import JOB, StreamSource, closing, recording_want, running
from file_server import FileServer
from overlay_world import RECORDING, at, content, hold, overlay_source, serving

from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.library.index import LibraryIndex
from reconciler.overlay.merkle import CHUNK_BYTES, chunk_count
from reconciler.state.database import Database

SIZE = 20 * CHUNK_BYTES + 12_345
SONG = content(SIZE)
STOPS_AT = SIZE * 2 // 5
PATIENCE = Patience(stall_timeout_s=30.0, rescue=RescuePolicy(stall_timeout_s=0.5))


@pytest.fixture
def index(tmp_path):
    """The overlay peer's library."""
    database = Database.open(tmp_path / "peer" / "state.db")
    yield LibraryIndex(database)
    database.close()


def rescued(tmp_path, index, held, *, origin=SONG, goes_on_at=None, **constraints):
    """Fetch the song from a stream that stops at 40 % and an overlay peer that has `held`; the stream goes on once
    `goes_on_at` bytes are here. Gives the library, the server, the progress and the events.
    """
    hold(index, tmp_path / "peer" / "song.flac", held)
    server = FileServer({"song": origin}, holds_at=STOPS_AT)

    async def main():
        async with serving(index) as port:
            overlay = overlay_source(at(port), timeout_s=5.0)
            async with running(tmp_path, overlay, StreamSource(server), patience=PATIENCE) as rig:
                order = rig.order_of(recording_want(RECORDING), "song.bin", **constraints)
                if goes_on_at is not None:
                    await rig.engine.start(order)
                    await rig.until(lambda: rig.engine.progress(JOB).tracks[0].bytes_done >= goes_on_at)
                    server.gate.set()
                [progress] = await rig.ended(JOB) if goes_on_at else [await rig.fetch(order)]
                return rig.library, progress, rig.events()

    with closing(server):
        library, progress, events = asyncio.run(main())
    return library, server, progress, events


def test_a_stream_that_stalls_is_completed_from_an_equal_prefix(tmp_path, index):
    """At 40 % nothing more comes: overlay peers fill the rest, no verified chunk is fetched again, and the trace says
    why.
    """
    library, server, progress, events = rescued(tmp_path, index, SONG)
    assert progress.outcome == "completed"
    assert (library / "song.bin").read_bytes() == SONG
    assert server.ranges[0][0] == 0
    received = [event for event in events if event.type == "ChunkReceived"]
    assert len(received) == chunk_count(SIZE), "every chunk came once"
    by_source = {name: sum(event.source == name for event in received) for name in ("stream", "overlay")}
    assert by_source == {"stream": 8, "overlay": 13}
    story = [(event.type, event.action) for event in events if event.type.startswith("Rescue")]
    assert story == [("RescueModeActivated", "activated"), ("RescueModeDeactivated", "completed")]
    activated = next(event for event in events if event.action == "activated")
    assert activated.metadata["reason"] == "stalled"
    assert activated.metadata["bytes_had"] == 8 * CHUNK_BYTES
    assert activated.metadata["silent_s"] >= 0.5
    order = [event.action for event in events if event.type.startswith("Rescue") or event.action == "joined"]
    assert order == ["joined", "activated", "completed"], "verified by the overlay's list before it was behind"


def test_another_edition_of_the_recording_is_fetched_beside(tmp_path, index):
    """The overlay holds other bytes of the recording: they are fetched whole, and the trace says that it switched."""
    other = content(SIZE, "another edition")
    library, _, progress, events = rescued(tmp_path, index, other)
    assert progress.outcome == "completed"
    assert (library / "song.bin").read_bytes() == other
    starts = [event for event in events if event.type == "TrackStart"]
    assert next(event.variant_id for event in starts) == "claim:user.song"
    assert "no variant on offer has the same bytes" in str(starts[-1].metadata["chosen"])
    assert not list((tmp_path / "parts").iterdir()), "the part of the variant that lost is gone"


def test_what_the_stream_writes_over_a_helper_s_chunk_is_not_published(tmp_path, index):
    """The stream was asked before anybody knew what its chunks must be, and one of them has a wrong byte: it comes
    after a helper has brought the right one, and the file is right all the same.
    """
    wrong = bytearray(SONG)
    wrong[9 * CHUNK_BYTES + 7] ^= 1
    library, _, progress, events = rescued(
        tmp_path, index, SONG, origin=bytes(wrong), goes_on_at=11 * CHUNK_BYTES, overlay_bandwidth_kbps=8_000
    )
    assert progress.outcome == "completed"
    assert (library / "song.bin").read_bytes() == SONG
    assert [event.source for event in events if event.action == "bad hash"] == ["stream"]
    assert [event.error_message for event in events if event.action == "held"] == [], "the disk is not to blame"
