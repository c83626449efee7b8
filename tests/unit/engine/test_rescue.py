"""The overlay as oracle and as rescuer of a track whose origin is behind."""

from rescue_stage import CHUNKS, CLAIMED, POLICY, Stage, digest_of, rooted

from reconciler.engine.pace import RescuePolicy


def begun(**changes):
    """An origin that is being read, and an overlay peer with the same file."""
    stage = Stage(**changes)
    stage.offer("soulseek", "user", CLAIMED)
    stage.offer("overlay", "peer", rooted())
    stage.search_ends()
    return stage


def test_the_origin_comes_first():
    """Of two variants of equal quality the origin's is fetched; while it keeps up the overlay sends nothing."""
    stage = begun()
    assert stage.opened == [CLAIMED.id]
    stage.bring("soulseek", chunks=4)
    stage.wait(30.0)
    assert not stage.reading_from("overlay")
    assert stage.rescue_story() == []


def test_what_the_origin_sends_is_verified_by_the_overlay_s_list():
    """After one equal chunk the whole list holds: later chunks are verified as they come."""
    stage = begun()
    stage.bring("soulseek", chunks=3)
    chunks = [note.action for note in stage.notes if note.type == "ChunkReceived"]
    assert chunks == ["received", "verified", "verified"]
    stage.bring("soulseek", chunks=CHUNKS - 3)
    assert stage.machine.outcome == "completed"


def test_a_stalled_origin_is_completed_by_the_overlay():
    """Nothing came for the stall timeout: the overlay fills what is missing, and fetches nothing that is here."""
    stage = begun()
    stage.bring("soulseek", chunks=CHUNKS * 4 // 10)
    stage.wait(POLICY.stall_timeout_s + 1)
    assert stage.rescue_story() == [("Activated", "activated")]
    facts = stage.facts("activated")
    assert (facts["reason"], facts["share_had"]) == ("stalled", 0.4)
    stage.bring("overlay", chunks=CHUNKS * 6 // 10)
    assert stage.machine.outcome == "completed"
    assert stage.rescue_story() == [("Activated", "activated"), ("Deactivated", "completed")]
    assert stage.fetched == dict.fromkeys(range(CHUNKS), 1)
    assert len(stage.cancelled) == 1, "the stream is ended once, when nothing is missing any more"


def test_the_overlay_is_looked_for_when_it_was_not_there_before():
    """Without a helper the overlay is searched again; an equal variant is then joined by what is here."""
    stage = Stage()
    stage.offer("soulseek", "user", CLAIMED)
    stage.search_ends()
    stage.bring("soulseek", chunks=4)
    stage.wait(POLICY.stall_timeout_s + 1)
    assert stage.searches[1:] == [("overlay",)]
    stage.offer("overlay", "late", rooted())
    assert stage.rescue_story() == [("Activated", "activated"), ("Activated", "joined")]
    assert (stage.facts("joined")["chunks_equal"], stage.facts("joined")["chunks_differing"]) == (4, 0)
    stage.search_ends("overlay")
    stage.bring("overlay", chunks=CHUNKS - 4)
    assert stage.machine.outcome == "completed"
    assert stage.fetched == dict.fromkeys(range(CHUNKS), 1)


def test_a_search_that_finds_nobody_is_repeated_in_its_time():
    """While the origin is behind the overlay is asked once a minute, not at every event."""
    stage = Stage()
    stage.offer("soulseek", "user", CLAIMED)
    stage.search_ends()
    stage.bring("soulseek")
    stage.wait(POLICY.stall_timeout_s + 1)
    stage.search_ends("overlay")
    stage.wait(130.0)
    stage.search_ends("overlay")
    stage.wait(61.0)
    assert stage.searches[1:] == [("overlay",)] * 3


def test_an_origin_that_lets_us_wait_is_behind():
    """Longer in its line than the policy bears: rescue, though no byte is here that could be compared."""
    stage = begun()
    stage.queue(7)
    stage.wait(POLICY.max_queue_time_s - 1)
    assert stage.rescue_story() == []
    stage.wait(2.0)
    assert stage.facts("activated")["reason"] == "queued"
    note = next(note for note in stage.notes if note.type == "RescueModeActivated")
    assert "place 7" in note.error_message
    assert stage.opened == [CLAIMED.id, rooted().id], "nothing is here that could be equal: fetched beside it"
    stage.bring("overlay", chunks=CHUNKS)
    assert stage.machine.outcome == "completed"


def test_a_slow_origin_is_behind_after_its_time():
    """Less than the least throughput over the whole window."""
    stage = begun()
    for _ in range(4):
        stage.bring("soulseek")
        stage.wait(90.0)
    assert stage.rescue_story() == [], "a chunk in 90 s is 2.9 kB/s"
    slow = begun(policy=RescuePolicy(min_throughput_bytes_per_s=5000.0, min_duration_s=300.0, stall_timeout_s=1000.0))
    for _ in range(4):
        slow.bring("soulseek")
        slow.wait(90.0)
    assert slow.facts("activated")["reason"] == "slow"


def test_an_origin_that_is_gone_is_behind():
    """When the last origin peer cannot be reached any more the overlay goes on from where it stopped."""
    stage = begun()
    stage.bring("soulseek", chunks=4)
    for _ in range(6):
        stage.lose("soulseek", "unreachable")
        stage.wait(10.0)
    assert stage.facts("activated")["reason"] == "offline"
    stage.bring("overlay", chunks=CHUNKS - 4)
    assert stage.machine.outcome == "completed"
    assert stage.fetched == dict.fromkeys(range(CHUNKS), 1)


def test_rescue_ends_when_the_origin_brings_bytes_again():
    """The origin recovers: the overlay is asked for nothing more, and the origin is counted on again."""
    stage = begun()
    stage.bring("soulseek", chunks=2)
    stage.wait(POLICY.stall_timeout_s + 1)
    stage.bring("overlay", chunks=1)
    stage.bring("soulseek", chunks=2)
    assert stage.rescue_story() == [("Activated", "activated"), ("Deactivated", "recovered")]
    assert stage.machine.progress().tracks[0].rescued is False
    while stage.reading_from("overlay"):
        stage.bring("overlay")
    stage.wait(10.0)
    assert not stage.reading_from("overlay")
    while stage.machine.outcome is None:
        stage.bring("soulseek")
    assert stage.machine.outcome == "completed"


def test_another_variant_is_fetched_beside_and_said_so():
    """The overlay has the recording in other bytes: nothing of ours fits, so it is fetched whole beside the origin."""
    stage = Stage()
    stage.offer("soulseek", "user", CLAIMED)
    stage.offer("overlay", "peer", rooted("b"))
    stage.search_ends()
    stage.bring("soulseek", chunks=4)
    stage.wait(POLICY.stall_timeout_s + 1)
    assert stage.opened == [CLAIMED.id, rooted("b").id]
    stage.bring("overlay", chunks=CHUNKS, edition="b")
    assert stage.machine.outcome == "completed"
    starts = [note for note in stage.notes if note.type == "TrackStart"]
    assert [note.variant_id for note in starts] == [CLAIMED.id, rooted("b").id]
    assert "no variant on offer has the same bytes" in starts[1].facts["chosen"]
    assert stage.rescue_story() == [("Activated", "activated"), ("Deactivated", "completed")]


def test_the_first_whole_one_wins():
    """An origin that comes back and is whole first is published; the attempt beside it is let go."""
    stage = Stage()
    stage.offer("soulseek", "user", CLAIMED)
    stage.offer("overlay", "peer", rooted("b"))
    stage.search_ends()
    stage.bring("soulseek", chunks=4)
    stage.wait(POLICY.stall_timeout_s + 1)
    stage.bring("overlay", chunks=2, edition="b")
    stage.bring("soulseek", chunks=CHUNKS - 4)
    assert stage.machine.outcome == "completed"
    assert not stage.reading_from("overlay")


def test_a_few_differing_chunks_are_fetched_again():
    """One bad byte in the origin's file: the others count, that one comes from the overlay, its giver is let go."""
    stage = Stage()
    stage.offer("soulseek", "user", CLAIMED)
    stage.search_ends()
    stage.bring("soulseek", chunks=1, edition="b")
    stage.bring("soulseek", chunks=3)
    stage.wait(POLICY.stall_timeout_s + 1)
    stage.offer("overlay", "late", rooted())
    assert stage.facts("joined")["chunks_differing"] == 1
    stage.search_ends("overlay")
    stage.bring("overlay", chunks=CHUNKS - 3)
    assert stage.machine.outcome == "completed"
    assert stage.fetched[0] == 2


def test_other_bytes_of_one_who_promised_none_are_no_lie():
    """An origin whose later chunk is another than the list's is asked for no more, and not called a liar."""
    stage = begun()
    stage.bring("soulseek", chunks=3)
    stage.bring("soulseek", edition="b")
    peer = next(peer for peer in stage.machine.progress().peers if peer.source == "soulseek")
    assert not peer.banned
    assert stage.facts("activated")["reason"] == "offline"
    stage.bring("overlay", chunks=CHUNKS - 3)
    assert stage.machine.outcome == "completed"


def test_where_ranges_may_be_asked_both_fill_the_file_at_once():
    """An origin that bears ranges needs no rescue: once a chunk is equal the overlay's peers take part."""
    stage = Stage(stream=False)
    stage.offer("soulseek", "user", CLAIMED)
    stage.search_ends()
    stage.bring("soulseek", chunks=1)
    stage.offer("overlay", "late", rooted())
    assert stage.reading_from("overlay")
    assert stage.rescue_story() == []


def test_a_job_without_the_overlay_is_not_rescued():
    """`use_overlay: false` or a policy that is off: the origin is waited for."""
    for stage in (Stage(use_overlay=False), Stage(policy=RescuePolicy(enabled=False))):
        stage.offer("soulseek", "user", CLAIMED)
        stage.search_ends()
        stage.bring("soulseek", chunks=2)
        stage.wait(900.0)
        assert stage.rescue_story() == []
        assert len(stage.searches) == 1


def test_prints_of_two_editions_differ():
    """The stage's own editions are different bytes of one size."""
    assert digest_of(0, "a") != digest_of(0, "b")
    assert rooted("a").size == rooted("b").size


def test_a_chunk_that_the_origin_writes_over_with_another_is_fetched_again():
    """A stream that was asked before the overlay's list was there writes what it sends unjudged: where that is wrong, a
    chunk that a helper had brought is not on the disk any more, and the whole is read again to the last chunk.
    """
    stage = begun()
    stage.bring("soulseek", chunks=4)
    stage.wait(POLICY.stall_timeout_s + 1)
    stage.bring("overlay", chunks=CHUNKS - 5)
    stream = stage.reading_from("soulseek")[0]
    brought = dict(stage.fetched)
    assert brought[stream.first] == 1, "a helper has brought what the stream owes next"
    stage.bring("soulseek", edition="z")
    assert stage.machine.outcome is None
    while stage.machine.outcome is None:
        stage.bring("overlay")
    assert stage.machine.outcome == "completed"
    assert stage.fetched[stream.first] == 3, "the helper's, the stream's over it, and the helper's again"
    assert [command.overwritable for command in stage.verified] == [True]
