"""A stream that stalls is completed by overlay peers, over real sockets, with the bytes where they belong."""

import asyncio
import os

import pytest
from engine_rig import EngineRig, StreamServer, StreamSource, closing, recording_want
from overlay_world import CLIENT, RECORDING, SERVER, content, hold, serving

from reconciler.clock import SystemClock
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.library.index import LibraryIndex
from reconciler.manifests.model import OverlayPeerSource
from reconciler.overlay.merkle import CHUNK_BYTES, chunk_count
from reconciler.sources.overlay import OverlaySource
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


def rescued(tmp_path, index, held, *, origin=SONG):
    """Fetch the song from a stream that stops at 40 % and an overlay peer that has `held`; rig, server, progress."""
    hold(index, tmp_path / "peer" / "song.flac", held)
    server = StreamServer(origin, stops_at=STOPS_AT)

    async def main():
        async with serving(index) as port:
            peer = OverlayPeerSource(peer=SERVER.id, host="127.0.0.1", port=port)
            overlay = OverlaySource(
                identity=CLIENT, peers=(peer,), clock=SystemClock(), entropy=os.urandom, timeout_s=5.0
            )
            rig = EngineRig(tmp_path, overlay, StreamSource(server), patience=PATIENCE)
            async with asyncio.TaskGroup() as tasks:
                engine = tasks.create_task(rig.engine.serve())
                progress = await rig.fetch(rig.order_of(recording_want(RECORDING), "song.bin"))
                engine.cancel()
            await overlay.close()
            return rig, progress

    with closing(server):
        rig, progress = asyncio.run(main())
    events = rig.events()
    rig.database.close()
    return rig, server, progress, events


def test_a_stream_that_stalls_is_completed_from_an_equal_prefix(tmp_path, index):
    """At 40 % nothing more comes: overlay peers fill the rest, no verified chunk is fetched again, and the trace says
    why.
    """
    rig, server, progress, events = rescued(tmp_path, index, SONG)
    assert progress.outcome == "completed"
    assert (rig.library / "song.bin").read_bytes() == SONG
    assert server.asked[0][0] == 0
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
    rig, _, progress, events = rescued(tmp_path, index, other)
    assert progress.outcome == "completed"
    assert (rig.library / "song.bin").read_bytes() == other
    starts = [event for event in events if event.type == "TrackStart"]
    assert next(event.variant_id for event in starts) == "claim:user.song"
    assert "no variant on offer has the same bytes" in str(starts[-1].metadata["chosen"])
    assert not list((tmp_path / "parts").iterdir()), "the part of the variant that lost is gone"
