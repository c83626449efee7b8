"""How far ahead a connection is asked: enough for a round trip, and little that cannot be taken back."""

import pytest

from reconciler.engine.pipeline import AHEAD_S, CHUNKS_AHEAD_MAX, Pipeline

CHUNK = 1 << 20


def after(chunks, *, bytes_per_s, round_trip_s=0.05):
    pipeline = Pipeline(round_trip_s=round_trip_s)
    for _ in range(chunks):
        pipeline.came(bytes_received=CHUNK, duration_s=CHUNK / bytes_per_s, chunk_bytes=CHUNK)
    return pipeline


def room(pipeline):
    """How many whole chunks may be outstanding when another request is sent."""
    return sum(pipeline.has_room(outstanding_bytes=n * CHUNK, chunk_bytes=CHUNK) for n in range(1, 100))


def test_an_idle_connection_may_always_be_asked():
    """Nothing outstanding: there is nothing to wait for."""
    assert Pipeline(round_trip_s=9.0).has_room(outstanding_bytes=0, chunk_bytes=CHUNK)


def test_before_anything_came_one_chunk_may_be_outstanding():
    """A stranger may bring nothing at all."""
    assert room(Pipeline(round_trip_s=0.05)) == 1


@pytest.mark.parametrize(("chunks", "allowed"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (9, CHUNKS_AHEAD_MAX)])
def test_it_at_most_doubles_with_each_chunk(chunks, allowed):
    """One burst out of a buffer is not yet a speed."""
    assert room(after(chunks, bytes_per_s=1e12)) == allowed


def test_at_rest_it_is_what_comes_within_a_round_trip_and_the_margin():
    """40 MiB/s over 50 ms: twelve chunks, and the one that is coming."""
    assert room(after(20, bytes_per_s=40 * CHUNK)) == int(40 * (AHEAD_S + 0.05)) + 1


def test_a_slow_peer_is_asked_for_its_next_when_the_last_chunk_comes():
    """At a quarter of a megabyte a second nothing more is tied to it than must be."""
    assert room(after(20, bytes_per_s=CHUNK / 4)) == 1


def test_it_follows_a_peer_that_slows_down():
    """Within ten chunks most of what it was is forgotten."""
    pipeline = after(20, bytes_per_s=100 * CHUNK)
    for _ in range(10):
        pipeline.came(bytes_received=CHUNK, duration_s=1.0, chunk_bytes=CHUNK)
    assert room(pipeline) <= 2
