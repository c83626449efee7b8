"""Sightings, holds and finished manifests in the database."""

import pytest

from reconciler.errors import StateDamagedError
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.sightings import CompletedManifest, Hold, Sighting, SightingStore

JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"
OTHER = "01HRQ4GSX9K47J7M5FK7VW8B13"


@pytest.fixture
def database(tmp_path):
    """An empty one."""
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


@pytest.fixture
def store(database):
    """Under rules that are called one."""
    made = SightingStore(database)
    made.begin("one")
    return made


def seen(path="a", **changes):
    """A sighting of a file that waits for nothing."""
    return Sighting(**{"path": path, "mark": -(2**63), "job_id": JOB, "waits_for": "nothing", **changes})


def every(store):
    """All sightings."""
    found = []
    store.each(found.append)
    return found


def test_a_sighting_comes_back_as_it_was(store):
    """Each field, and the smallest and largest mark."""
    many = [
        seen(
            "a",
            waits_for="time",
            at=1.5,
            priority=-100,
            created_at="2026",
            depends_on=(JOB, OTHER),
            spec_digest="sha256:1",
        ),
        seen("b", mark=2**63 - 1, job_id=None, waits_for="slot"),
    ]
    store.put(many)
    assert every(store) == many


def test_a_later_sighting_replaces_the_earlier(store):
    """One for each path; a mark may change alone."""
    store.put([seen("a"), seen("b")])
    store.put([seen("a", waits_for="look")], marks={"b": 7})
    assert every(store) == [seen("a", waits_for="look"), seen("b", mark=7)]


def test_what_is_gone_is_forgotten(store):
    """In both folders."""
    store.put([seen("a"), seen("b")], completed=[CompletedManifest(path="c", mark=1, job_id=JOB)])
    store.put([], gone={"a", "c"})
    assert every(store) == [seen("b")]
    found = []
    store.each_completed(found.append)
    assert found == []


def test_other_rules_forget_what_was_judged_and_not_what_is_done(store):
    """A finished manifest is judged by nobody."""
    done = CompletedManifest(path="c", mark=1, job_id=None, spec_digest="sha256:2")
    store.put([seen()], completed=[done])
    store.begin("one")
    assert every(store) == [seen()]
    store.begin("two")
    assert every(store) == []
    found = []
    store.each_completed(found.append)
    assert found == [done]


def test_finished_manifests_are_found_by_their_job(store, database):
    """There may be several."""
    store.put([], completed=[CompletedManifest(path=path, mark=1, job_id=JOB) for path in ("z", "y")])
    assert JobStore(database).completed_paths(JOB) == ("y", "z")
    assert JobStore(database).completed_paths(OTHER) == ()


def test_a_hold_has_the_time_of_its_first_saying(store):
    """Its message may change."""
    store.hold(Hold(reason="MassRemoval", since=1.0, message="one"))
    store.hold(Hold(reason="MassRemoval", since=2.0, message="two"))
    assert store.holds() == (Hold(reason="MassRemoval", since=1.0, message="two"),)
    store.release("MassRemoval")
    store.release("MassRemoval")
    assert store.holds() == ()


def test_a_sighting_that_cannot_have_been_written_is_damage(store, database):
    """It is never acted on."""
    store.put([seen()])
    database.write(lambda connection: connection.execute("UPDATE sightings SET waits_for = 'godot'")).result()
    with pytest.raises(StateDamagedError, match="impossible sighting"):
        every(store)


def test_a_finished_manifest_that_cannot_have_been_noted_is_damage(store, database):
    """Nor is that."""
    store.put([], completed=[CompletedManifest(path="c", mark=1, job_id=None)])
    database.write(lambda connection: connection.execute("UPDATE completed_manifests SET mark = 'odd'")).result()
    with pytest.raises(StateDamagedError, match="impossible sighting"):
        store.each_completed(print)


def test_a_hold_that_cannot_have_been_said_is_damage(store, database):
    """Nor that."""
    store.hold(Hold(reason="MassRemoval", since=1.0, message="one"))
    database.write(lambda connection: connection.execute("UPDATE holds SET since = 'ever'")).result()
    with pytest.raises(StateDamagedError, match="impossible hold"):
        store.holds()
