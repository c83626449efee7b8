"""Streams of peers who can prove nothing: from one user to the next where we are, and who answers for it."""

from dataclasses import replace

from rescue_stage import CHUNKS, CLAIMED, TRACK, Stage

from reconciler.engine.events import PeersFound, WholeRefused
from reconciler.sources.base import PeerKey, Rejection


def other(name):
    """Another user's file, alike in everything that can be seen."""
    return replace(CLAIMED, claim=name)


def test_a_user_who_leaves_is_followed_by_the_next_from_where_we_are():
    """Another user's file of the same size and codec goes on; no chunk is fetched twice."""
    stage = Stage()
    stage.offer("soulseek", "first", CLAIMED)
    stage.offer("soulseek", "second", other("second.song"))
    stage.search_ends()
    assert len(stage.reading_from("soulseek")) == 1, "one stream at a time"
    stage.bring("soulseek", chunks=5)
    gone = stage.reading_from("soulseek")[0].offer.peer
    stage.lose("soulseek", "unreachable")
    assert stage.reading_from("soulseek")[0].offer.peer != gone
    assert stage.reading_from("soulseek")[0].first == 5
    stage.bring("soulseek", chunks=CHUNKS - 5)
    assert stage.machine.outcome == "completed"
    assert stage.fetched == dict.fromkeys(range(CHUNKS), 1)
    assert len(stage.opened) == 1


def test_a_file_of_another_size_does_not_go_on_with_it():
    """It is another variant, for when this one comes to nothing."""
    stage = Stage(use_overlay=False)
    stage.offer("soulseek", "first", CLAIMED)
    stage.offer("soulseek", "second", replace(other("second.song"), size=CLAIMED.size - 1))
    stage.search_ends()
    stage.bring("soulseek", chunks=5)
    for _ in range(6):
        stage.lose("soulseek", "unreachable")
        stage.wait(10.0)
    assert len(stage.opened) == 2
    assert stage.reading_from("soulseek")[0].first == 0


def test_wrong_audio_from_several_is_fetched_again_from_one():
    """Who of two sent what is not known: from one alone it either passes, or condemns that one."""
    stage = Stage()
    stage.offer("soulseek", "first", CLAIMED)
    stage.offer("soulseek", "second", other("second.song"))
    stage.search_ends()
    wrong = WholeRefused(position=TRACK, part_id=stage.opened[0], fault="audio", message="the FLAC MD5 is another")
    stage.refuse_whole = [wrong]
    stage.bring("soulseek", chunks=5, edition="b")
    stage.lose("soulseek", "unreachable")
    stage.wait(1.0)
    stage.bring("soulseek", chunks=CHUNKS - 5)
    assert stage.machine.outcome is None
    stage.wait(10.0)
    (read,) = stage.reading_from("soulseek")
    assert read.first == 0
    stage.bring("soulseek", chunks=CHUNKS)
    assert stage.machine.outcome == "completed"
    named = [note for note in stage.notes if note.type == "PeerDisconnected" and note.action == "failed"]
    assert any("is not that of the right file" in note.error_message for note in named), "who sent other bytes is named"
    assert not [note for note in stage.notes if note.action == "banned"], "nobody has promised any"


def test_what_does_not_fit_is_told_as_a_decision():
    """With the folder and the reason; nothing went wrong, and its user may still be asked."""
    stage = Stage()
    live = Rejection(peer=PeerKey("soulseek:first"), source="soulseek", what="x\\Live", reason="a concert")
    stage.feed(PeersFound(found=(live,)))
    stage.offer("soulseek", "first", CLAIMED)
    stage.search_ends()
    (told,) = [note for note in stage.notes if note.action == "rejected"]
    assert (told.type, told.peer, told.is_error, told.error_code) == ("PeerDiscovered", "first", False, "")
    assert (told.error_message, told.facts["reason"]) == ("x\\Live: a concert", "a concert")
    assert [read.offer.peer for read in stage.reading_from("soulseek")] == ["soulseek:first"]


def test_a_named_user_whose_file_is_another_is_not_a_liar_and_not_asked_again():
    """The manifest says which bytes they are, not the user: the file is condemned, and the next user is asked."""
    stage = Stage()
    by_name = {name: replace(CLAIMED, sha256="ab" * 32, claim=f"{name}.song") for name in ("first", "second")}
    for name, variant in by_name.items():
        stage.offer("soulseek", name, variant)
    stage.search_ends()
    stage.refuse_whole = [WholeRefused(position=TRACK, part_id=stage.opened[0], fault="content", message="another")]
    asked = stage.reading_from("soulseek")[0].offer.peer_name
    stage.bring("soulseek", chunks=CHUNKS)
    (read,) = stage.reading_from("soulseek")
    assert (read.first, {read.offer.peer_name, asked}) == (0, {"first", "second"})
    assert [each.condemned for each in stage.discarded] == [by_name[asked]]
    stage.bring("soulseek", chunks=CHUNKS)
    assert stage.machine.outcome == "completed"
    assert not [note for note in stage.notes if note.action == "banned"]
