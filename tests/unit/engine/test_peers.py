"""What is measured of a peer, and when it may be asked."""

import pytest

from reconciler.engine.events import TransferId
from reconciler.engine.peers import FAILURES_MAX, Peer
from reconciler.sources.base import Etiquette, PeerKey

MB = 1_000_000


def peer(*, requests=4, sequential=False) -> Peer:
    etiquette = Etiquette(requests_in_flight_max=requests, sequential=sequential)
    return Peer(key=PeerKey("overlay:p"), name="p", source="overlay", etiquette=etiquette)


def test_a_burst_out_of_a_buffer_does_not_make_a_peer_fast():
    """Ten chunks of a second each and one that lay ready: bytes over seconds stay near what it is."""
    one = peer()
    for _ in range(10):
        one.delivered(bytes_received=MB, duration_s=1.0)
    one.delivered(bytes_received=MB, duration_s=0.0001)
    assert 0.9 * MB < one.throughput_bytes_per_s < 1.5 * MB


def test_a_change_of_speed_is_followed_within_seconds():
    """From 10 MB/s to 1 MB/s: four seconds later it counts as what it is now."""
    one = peer()
    for _ in range(100):
        one.delivered(bytes_received=MB, duration_s=0.1)
    for _ in range(8):
        one.delivered(bytes_received=MB // 2, duration_s=0.5)
    assert 0.9 * MB < one.throughput_bytes_per_s < 4 * MB


def test_the_round_trip_of_a_first_chunk_is_not_slowness():
    """0.3 s to begin and 0.1 s for the chunk: 10 MB/s far away, not 2.5 MB/s."""
    one = peer()
    one.dialled(0.3, round_trips=1)
    one.delivered(bytes_received=MB, duration_s=0.4, first=True)
    assert one.throughput_bytes_per_s == pytest.approx(10 * MB)
    one.delivered(bytes_received=MB, duration_s=0.1)
    one.delivered(bytes_received=MB, duration_s=0.4, first=True)
    assert one.throughput_bytes_per_s == pytest.approx(10 * MB, rel=0.01)
    assert one.lead_s == pytest.approx(0.3)


def test_a_first_chunk_is_not_believed_beyond_reason():
    """A connection that took longer than the chunk after it makes a guess of the speed, and a bounded one."""
    one = peer()
    one.dialled(2.0, round_trips=2)
    one.delivered(bytes_received=MB, duration_s=0.8, first=True)
    assert one.throughput_bytes_per_s == pytest.approx(10 * MB)  # eight times what it looks like


def test_time_in_a_line_says_nothing_of_the_speed():
    """A chunk that came after a wait in the peer's line counts as bytes and not as time."""
    one = peer()
    one.delivered(bytes_received=MB, duration_s=600, first=True, timed=False)
    assert (one.throughput_bytes_per_s, one.bytes_accepted) == (0.0, MB)


def test_rates_of_failure_are_of_the_last_requests():
    """Ten failures raise the rate to most of 1, ten successes bring it back; silence is counted apart."""
    one = peer()
    for _ in range(10):
        one.settled(error=True)
    assert 0.85 < one.error_rate < 1.0
    for _ in range(10):
        one.settled()
    assert one.error_rate < 0.15
    one.failed("stalled", now=0.0, retry_after_s=None)
    assert one.timeout_rate == pytest.approx(0.2)


def test_silence_costs_more_than_errors_and_both_more_than_a_good_record():
    """The order of peers of one speed: good, failing, silent; a busy one comes after an idle one."""

    def cost(*, error=0.0, timeout=0.0, owed=0):
        one = peer()
        one.delivered(bytes_received=MB, duration_s=1.0)
        one.error_rate, one.timeout_rate = error, timeout
        return one.cost(owed_bytes=owed)

    assert cost() < cost(owed=MB) <= cost(error=1.0) < cost(timeout=1.0)


def test_a_stranger_is_asked_for_one_thing_and_a_failure_makes_one_a_stranger_again():
    """One request until the first good chunk, then what the etiquette allows, then one again after a failure."""
    one = peer(requests=4)
    assert one.requests_max() == 1
    one.delivered(bytes_received=MB, duration_s=0.1)
    assert one.requests_max() == 4
    one.failed("cut short", now=5.0, retry_after_s=None)
    assert one.requests_max() == 1
    assert one.usable_bytes_per_s() == 0
    assert one.not_before_s == 5.5


def test_a_stream_is_never_two():
    """A peer that sends one stream is asked for one, whatever it has brought."""
    one = peer(requests=2, sequential=True)
    one.delivered(bytes_received=MB, duration_s=0.1)
    assert one.requests_max() == 1


def test_a_peer_that_fails_again_and_again_is_let_go():
    """After the last pause it is gone for this job."""
    one = peer()
    for n in range(FAILURES_MAX):
        assert one.usable
        one.failed("refused", now=float(n), retry_after_s=None)
    assert one.gone == "refused"


def test_a_silent_peer_looks_slower_with_each_moment():
    """What owes and does not come can be no faster than the silence shows; one that owes nothing is not judged."""
    one = peer()
    one.delivered(bytes_received=MB, duration_s=0.1)
    assert one.bytes_per_s_at(60.0, chunk_bytes=MB) == 10 * MB
    one.transfers.add(TransferId(1))
    assert one.bytes_per_s_at(10.0, chunk_bytes=MB) == pytest.approx(MB / 10)
    assert one.is_silent(10.0, chunk_bytes=MB)
    assert not one.is_silent(0.2, chunk_bytes=MB)


def test_a_peer_that_was_overtaken_is_no_faster_than_its_silence():
    """A stranger whose only chunk others brought counts as slow, not as unknown."""
    one = peer()
    one.overtaken(10.0, chunk_bytes=MB)
    assert one.throughput_bytes_per_s == pytest.approx(MB / 10)
