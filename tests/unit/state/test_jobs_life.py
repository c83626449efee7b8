"""What the database keeps of a job's life: who is where, in which state, and what each generation asked for."""

import zlib

import pytest

from reconciler.errors import StateDamagedError
from reconciler.manifests.model import JobState, JobType
from reconciler.state.database import Database
from reconciler.state.jobs import ACTED_ON_KEPT, JobStore
from reconciler.state.records import JobRecord

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
    """Its jobs."""
    return JobStore(database)


def record(job_id=JOB, **changes):
    """A job that is known."""
    made = {"path": "jobs/active/a.yml", "job_type": JobType.MB_RELEASE, "spec_digest": "sha256:one"}
    return JobRecord(job_id=job_id, **{**made, **changes})


def observe(store, digest, *, document=b"text", now=1.0):
    """See a spec in the manifest of the job."""
    return store.observe_spec(
        JOB, path="jobs/active/a.yml", job_type=JobType.MB_RELEASE, spec_digest=digest, document=document, now=now
    )


def test_the_fields_of_a_life_come_back_as_they_were(store):
    """Request, counted time, and since when the manifest is gone."""
    full = record(last_handled_reconcile_at="now!", ran_s=1.5, running_since=2.5, gone_at=3.5)
    store.put(full)
    assert store.get(JOB) == full


def test_a_new_spec_begins_a_new_count_and_keeps_the_answered_request(store):
    """Time and attempts are of a generation; a request is of the file."""
    store.put(record(last_handled_reconcile_at="now!", ran_s=1.5, gone_at=3.5))
    seen = observe(store, "sha256:two")
    assert (seen.generation, seen.ran_s, seen.gone_at, seen.last_handled_reconcile_at) == (2, 0.0, None, "now!")


def test_a_manifest_that_is_back_is_not_gone(store):
    """The same spec, seen again."""
    store.put(record(gone_at=3.5, ran_s=1.5))
    assert observe(store, "sha256:one") == record(ran_s=1.5)


def test_places_are_those_of_jobs_that_are_not_gone(store):
    """In the order of their ids."""
    store.put(record(OTHER, path="jobs/completed/b.yml"))
    store.put(record())
    assert store.places() == [(JOB, "jobs/active/a.yml"), (OTHER, "jobs/completed/b.yml")]
    store.put(record(gone_at=1.0))
    assert store.places() == [(OTHER, "jobs/completed/b.yml")]


def test_states_are_of_known_jobs_alone(store):
    """However many are asked for; one that is gone is not known."""
    store.put(record(state=JobState.FAILED))
    store.put(record(OTHER, gone_at=1.0))
    many = [f"01HRQ4GSX9K47J7M5FK7VW{n:04}" for n in range(2500)]
    assert store.states([*many, JOB, OTHER]) == {JOB: JobState.FAILED}
    assert store.states([]) == {}


def test_planned_retries_can_be_made_due(store):
    """And nothing is planned that was not."""
    store.put(record(retry_at=1000.0))
    store.put(record(OTHER))
    store.hasten(5.0)
    assert (store.get(JOB).retry_at, store.get(OTHER).retry_at) == (5.0, None)


def test_what_each_generation_asked_for_is_kept_newest_first(store):
    """The last few of them; the same spec again adds nothing."""
    for n in range(ACTED_ON_KEPT + 3):
        observe(store, f"sha256:{n}", document=f"text {n}".encode())
        observe(store, f"sha256:{n}", document=b"not kept")
    kept = store.acted_on(JOB)
    assert len(kept) == ACTED_ON_KEPT
    assert kept[0] == (f"sha256:{ACTED_ON_KEPT + 2}", f"text {ACTED_ON_KEPT + 2}".encode())
    assert store.acted_on(OTHER) == ()


def test_a_document_that_cannot_be_kept_leaves_no_trace(store):
    """Its status has no exact place: there is nothing to merge into either."""
    observe(store, "sha256:one", document=b"")
    assert store.acted_on(JOB) == ()


@pytest.mark.parametrize("stored", [b"not zlib", zlib.compress(bytes(10_000_000)), zlib.compress(b"whole")[:-1]])
def test_a_document_that_cannot_have_been_written_is_damage(store, database, stored):
    """Also one that would unpack to very much."""
    observe(store, "sha256:one")
    database.write(lambda connection: connection.execute("UPDATE acted_on SET document = ?", (stored,))).result()
    with pytest.raises(StateDamagedError, match="impossible document"):
        store.acted_on(JOB)
