"""What the events of a job add up to."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_builders import JOB, NOON_MS, OTHER_JOB, at, event, received, refused, summarise

from reconciler.errors import NotFoundError
from reconciler.traces.model import SUMMED_UP, EventType
from reconciler.traces.summary import KEY_EVENTS_MAX, KeyEvent

START = at(0, EventType.JOB_START, "started")
COMPLETED = at(100, EventType.JOB_COMPLETE, "completed")


def peers(summary):
    """Bytes in megabytes, good and failed chunks of each peer, in order."""
    return [(peer.name, peer.bytes_contributed / 1e6, peer.chunks, peer.chunks_failed) for peer in summary.peers]


def told(summary):
    """The key events as seconds and text."""
    return [(key_event.offset_ms / 1000, key_event.text) for key_event in summary.key_events]


class TestPeers:
    """Who gave what."""

    def test_contributions_are_added_up_by_peer(self):
        """The largest first; peers of one name in two sources are two."""
        summary = summarise(
            [START, received(1), received(2), received(3, "bob", megabytes=5), received(4, source="http"), COMPLETED]
        )
        assert peers(summary) == [("bob", 5.0, 1, 0), ("ann", 2.0, 2, 0), ("ann", 1.0, 1, 0)]
        assert [peer.source for peer in summary.peers] == ["overlay", "overlay", "http"]
        assert (summary.bytes_contributed, summary.chunks_total) == (8_000_000, 4)

    def test_a_liar_contributes_nothing(self):
        """What it sent is refused, its chunks have failed, and the ban is told."""
        banned = at(4, EventType.PEER_DISCONNECTED, "banned", peer_id="eve", source="overlay", error_message="3 lies")
        summary = summarise([START, received(1), refused(2), refused(3, megabytes=0.5), banned, COMPLETED])
        assert peers(summary) == [("ann", 1.0, 1, 0), ("eve", 0.0, 0, 2)]
        assert (summary.bytes_contributed, summary.bytes_refused) == (1_000_000, 1_500_000)
        assert (summary.chunks_total, summary.chunks_failed) == (3, 2)
        assert [peer.banned for peer in summary.peers] == [False, True]
        assert told(summary) == [(4.0, "Peer eve banned (3 lies)")]
        assert [share.source for share in summary.sources] == ["overlay"]
        assert summary.sources[0].bytes_contributed == 1_000_000

    def test_a_chunk_that_came_twice_is_neither_contributed_nor_failed(self):
        """What the end game cost is counted apart."""
        twice = replace(received(2, "bob"), action="duplicate", is_error=True, error_code="duplicate")
        summary = summarise([START, received(1), twice, COMPLETED])
        assert peers(summary) == [("ann", 1.0, 1, 0)]
        assert (summary.bytes_contributed, summary.bytes_duplicate, summary.bytes_refused) == (1_000_000, 1_000_000, 0)
        assert (summary.chunks_total, summary.chunks_failed) == (1, 0)

    @pytest.mark.parametrize(
        "failed",
        [
            refused(2, "ann"),
            replace(received(2), is_error=True),
            at(2, EventType.CHUNK_FAILED, "cut short", peer_id="ann", source="overlay", is_error=True),
            at(2, EventType.CHUNK_TIMED_OUT, "requested", peer_id="ann", source="overlay", is_error=True),
        ],
        ids=lambda failed: f"{failed.type} {failed.action}",
    )
    def test_whatever_went_wrong_is_one_failed_chunk(self, failed):
        """Of the peer that it names; no byte of it counts."""
        summary = summarise([START, received(1), failed, COMPLETED])
        assert peers(summary) == [("ann", 1.0, 1, 1)]

    def test_a_peer_that_was_only_met_is_not_listed(self):
        """Discovered, connected, asked and gone: it gave nothing and failed in nothing."""
        kinds = (
            EventType.PEER_DISCOVERED,
            EventType.PEER_CONNECTED,
            EventType.CHUNK_REQUESTED,
            EventType.PEER_DISCONNECTED,
        )
        met = [at(1, kind, "finished", peer_id="zoe", source="overlay") for kind in kinds]
        assert summarise([START, *met, COMPLETED]).peers == ()

    def test_an_event_that_stands_for_many_counts_as_many(self):
        """Good chunks and failed ones, for their peers."""
        many = replace(received(2, megabytes=30), action=SUMMED_UP, metadata={"count": 30})
        failed = replace(refused(3, "ann", megabytes=2), action=SUMMED_UP, metadata={"count": 7})
        summary = summarise([START, received(1), many, failed])
        assert peers(summary) == [("ann", 31.0, 31, 7)]
        assert (summary.chunks_total, summary.chunks_failed, summary.bytes_refused) == (38, 7, 2_000_000)

    def test_the_events_of_other_jobs_are_theirs(self):
        """They lie in the same table."""
        other = [replace(each, job_id=OTHER_JOB, event_id=f"other {each.event_id}") for each in (START, received(1))]
        summary = summarise([START, received(1), COMPLETED, *other])
        assert peers(summary) == [("ann", 1.0, 1, 0)]

    def test_it_is_told_as_plain_values(self):
        """JSON gives back what went in."""
        plain = summarise([START, received(1), refused(2), at(3, EventType.ERROR, "lied"), COMPLETED]).to_json()
        assert json.loads(json.dumps(plain)) == plain
        assert [peer["name"] for peer in plain["peers"]] == ["ann", "eve"]

    def test_sources_share_the_whole(self):
        """The larger first; refused bytes have no part in it."""
        summary = summarise([START, received(1, megabytes=3), received(2, source="http"), refused(3, source="http")])
        assert [(share.source, share.share) for share in summary.sources] == [("overlay", 0.75), ("http", 0.25)]

    def test_the_same_event_twice_counts_once(self):
        """As when a page is read again."""
        events = [START, received(1), refused(2), COMPLETED]
        assert summarise([*events, *events]) == summarise(events)


class TestThroughput:
    """Bytes over the time in which they were under way."""

    def test_waiting_between_chunks_does_not_count(self):
        """Two chunks of a second each, an hour apart."""
        summary = summarise([START, received(1), received(3600)])
        assert summary.average_throughput_bytes_per_s == summary.peers[0].mean_throughput_bytes_per_s == 1_000_000

    def test_chunks_at_the_same_time_count_their_time_once(self):
        """Two connections of one peer, and a second peer beside them."""
        summary = summarise(
            [START, received(10, seconds=10), received(10.5, seconds=10), received(6, "bob", seconds=2)]
        )
        rates = {peer.name: peer.mean_throughput_bytes_per_s for peer in summary.peers}
        assert rates == {"ann": pytest.approx(2e6 / 10.5), "bob": pytest.approx(1e6 / 2)}
        assert summary.average_throughput_bytes_per_s == pytest.approx(3e6 / 10.5)

    def test_a_slow_chunk_covers_the_fast_ones_before_it(self):
        """Gaps between short times close when a long one turns out to span them."""
        fast = [received(second, "bob", seconds=0.5) for second in (2, 4, 6)]
        summary = summarise([START, *fast, received(10, seconds=9)])
        assert summary.average_throughput_bytes_per_s == pytest.approx(4e6 / 9)

    def test_without_times_nothing_is_claimed(self):
        """No chunk says how long it took."""
        summary = summarise([START, received(1, seconds=0)])
        assert (summary.bytes_contributed, summary.average_throughput_bytes_per_s) == (1_000_000, 0.0)

    @given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), min_size=1, max_size=30))
    def test_the_time_is_that_of_all_moments_covered(self, spans):
        """Counted second by second."""
        chunks = [event(number, timestamp_ms=NOON_MS + (start + length) * 1000, duration_ms=length * 1000.0,
                        bytes_transferred=1000) for number, (start, length) in enumerate(spans)]  # fmt: skip
        covered = {second for start, length in spans for second in range(start, start + length)}
        expected = 1000 * len(spans) / len(covered) if covered else 0.0
        assert summarise(chunks).average_throughput_bytes_per_s == pytest.approx(expected)


class TestRuns:
    """When the job ran, and how it ended."""

    @pytest.mark.parametrize(
        ("last", "status", "ended_ms"),
        [
            (received(100), "unfinished", None),
            (at(100, EventType.JOB_COMPLETE, "completed"), "completed", NOON_MS + 100_000),
            (at(100, EventType.JOB_COMPLETE, "failed"), "failed", NOON_MS + 100_000),
            (at(100, EventType.JOB_COMPLETE, "cancelled"), "cancelled", NOON_MS + 100_000),
            (at(100, EventType.JOB_COMPLETE, "stopped"), "stopped", None),
            (at(100, EventType.JOB_COMPLETE, "exploded"), "unfinished", None),
        ],
    )
    def test_the_last_word_is_the_status(self, last, status, ended_ms):
        """A stopped job goes on later, so it has not ended."""
        summary = summarise([START, received(1), last])
        assert (summary.job_id, summary.status, summary.ended_ms) == (JOB, status, ended_ms)
        assert (summary.started_ms, summary.duration_ms) == (NOON_MS, 100_000)

    def test_time_in_which_it_did_not_run_is_left_out(self):
        """Ten seconds, a crash, an hour of nothing, five seconds, a stop, a day, and five seconds more."""
        summary = summarise(
            [
                START,
                received(10),
                at(3600, EventType.JOB_START, "resumed"),
                at(3605, EventType.JOB_COMPLETE, "stopped"),
                at(90_000, EventType.JOB_START, "started"),
                at(90_002, EventType.SWARM_REBALANCED, "rebalanced"),
                at(90_005, EventType.JOB_COMPLETE, "completed"),
            ]
        )
        assert summary.duration_ms == 20_000
        assert (summary.resumes, summary.retries) == (1, 1)
        assert told(summary) == [(10.0, "Resumed"), (15.0, "Started again"), (17.0, "Swarm rebalanced")]
        assert (summary.status, summary.ended_ms) == ("completed", NOON_MS + 90_005_000)

    def test_what_is_told_after_the_end_makes_no_run_longer(self):
        """A hook that fails an hour later is no part of it; a retry begins where the first run ended."""
        failed = at(5, EventType.JOB_COMPLETE, "failed", error_message="no peer has it")
        late = at(3600, EventType.ERROR, "hook")
        assert summarise([START, failed, late]).duration_ms == 5000
        again = [at(7000, EventType.JOB_START, "started"), at(7002, EventType.JOB_COMPLETE, "completed")]
        assert summarise([START, failed, late, *again, at(9000, EventType.ERROR, "hook")]).duration_ms == 7000

    def test_a_job_that_was_started_again_is_unfinished_again(self):
        """It failed once; now it runs."""
        failed = at(5, EventType.JOB_COMPLETE, "failed", error_message="no peer has it")
        summary = summarise([START, failed, at(60, EventType.JOB_START, "started")])
        assert (summary.status, summary.ended_ms, summary.retries) == ("unfinished", None, 1)
        assert told(summary) == [(5.0, "Job failed (no peer has it)"), (5.0, "Started again")]

    def test_the_order_of_storing_does_not_matter(self):
        """Facts are stored at once, other events with the next flush."""
        events = [
            START,
            received(1),
            received(2, "bob"),
            refused(3),
            at(4, EventType.JOB_COMPLETE, "stopped"),
            at(50, EventType.JOB_START, "resumed"),
            received(60),
            COMPLETED,
        ]
        shuffled = list(events)
        random.Random(7).shuffle(shuffled)
        assert summarise(shuffled) == summarise(events)

    def test_a_job_that_began_and_ended_in_one_millisecond_has_ended(self):
        """Everything was there already; the end was stored first."""
        summary = summarise([replace(COMPLETED, timestamp_ms=NOON_MS), START])
        assert (summary.status, summary.duration_ms) == ("completed", 0)

    def test_nothing_adds_up_to_nothing(self):
        """A job without events has no story."""
        with pytest.raises(NotFoundError, match="no events"):
            summarise([])


class TestKeyEvents:
    """What a person would want to know of."""

    @pytest.mark.parametrize(
        ("made", "text"),
        [
            (at(45, EventType.RESCUE_MODE_ACTIVATED, "on", error_message="Soulseek transfer stalled"),
             "Rescue mode activated (Soulseek transfer stalled)"),
            (at(45, EventType.RESCUE_MODE_DEACTIVATED, "off", metadata={"reason": "it moves"}),
             "Rescue mode deactivated (it moves)"),
            (at(45, EventType.SWARM_REBALANCED, "rebalanced"), "Swarm rebalanced"),
            (at(45, EventType.PEER_DISCONNECTED, "banned", peer_id="eve", error_code="bad hash"),
             "Peer eve banned (bad hash)"),
            (at(45, EventType.TRACK_START, "resumed", track_id="2", metadata={"chunks_kept": 14}),
             "Track 2 resumed, 14 chunks kept"),
            (at(45, EventType.TRACK_COMPLETE, "failed", track_id="3", error_message="no variant is left"),
             "Track 3 failed (no variant is left)"),
            (at(45, EventType.JOB_COMPLETE, "failed", error_message="disk full"), "Job failed (disk full)"),
            (at(45, EventType.ERROR, "lied", peer_id="eve", error_message="a wrong signature"),
             "Error: lied, peer eve (a wrong signature)"),
            (at(45, EventType.ERROR, "events dropped", error_code="events dropped", error_message="5 events"),
             "Error: events dropped (5 events)"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )  # fmt: skip
    def test_a_key_event_is_told_with_its_reason(self, made, text):
        """In one phrase, at its offset from the start."""
        assert summarise([START, made]).key_events == (KeyEvent(offset_ms=45_000, text=text),)

    @pytest.mark.parametrize(
        ("kind", "action"),
        [
            (EventType.JOB_COMPLETE, "completed"),
            (EventType.JOB_COMPLETE, "stopped"),
            (EventType.TRACK_START, "started"),
            (EventType.TRACK_COMPLETE, "published"),
            (EventType.PEER_DISCOVERED, "offered"),
            (EventType.PEER_CONNECTED, "connected"),
            (EventType.PEER_DISCONNECTED, "failed"),
            (EventType.PEER_DISCONNECTED, "finished"),
            (EventType.CHUNK_REQUESTED, "requested"),
            (EventType.CHUNK_RECEIVED, "verified"),
            (EventType.CHUNK_FAILED, "bad hash"),
            (EventType.CHUNK_TIMED_OUT, "requested"),
        ],
    )
    def test_what_is_usual_is_not_told(self, kind, action):
        """A summary is short."""
        assert summarise([START, at(45, kind, action, error_message="why")]).key_events == ()

    def test_a_swarm_in_trouble_is_cut_short(self):
        """The first tell why; the rest is counted."""
        errors = [at(second, EventType.ERROR, "lied") for second in range(1, KEY_EVENTS_MAX + 8)]
        summary = summarise([START, *errors])
        assert len(summary.key_events) == KEY_EVENTS_MAX
        assert summary.key_events_omitted == 7
