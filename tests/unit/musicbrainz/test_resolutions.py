"""What a job asks for, to the database and back."""

import json
import zlib

import pytest
from musicbrainz_server import WITH_EXTRAS

from reconciler.errors import StateDamagedError
from reconciler.ids import JobId
from reconciler.manifests.model import JobType
from reconciler.musicbrainz.parse import release_of
from reconciler.musicbrainz.resolutions import ResolutionStore
from reconciler.musicbrainz.tracklist import resolved_release
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
RELEASE = release_of(json.dumps(WITH_EXTRAS).encode())


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "state" / "reconciler.db")
    JobStore(opened).observe_spec(JOB, path="a.yml", job_type=JobType.MB_RELEASE, spec_digest="sha256:x", now=1.0)
    yield opened
    opened.close()


def test_a_release_comes_back_as_it_was(database):
    """Tracks, what was left out, and which id was asked for."""
    found = resolved_release(RELEASE, asked=RELEASE.mbid)
    store = ResolutionStore(database)
    assert store.get(JOB, 1) is None
    store.put(JOB, 1, found)
    assert store.get(JOB, 1) == found


@pytest.mark.parametrize(
    "change",
    [
        {"mbid": "x"},
        {"title": None},
        {"year": "1991"},
        {"tracks": [{}]},
        {"tracks": None},
        {"skipped": [{"medium": -1, "position": 0, "title": "", "reason": ""}]},
    ],
)
def test_a_row_that_was_never_written_is_damage(database, change):
    """Nothing is fetched by it."""
    store = ResolutionStore(database)
    store.put(JOB, 1, resolved_release(RELEASE, asked=RELEASE.mbid))
    row = "SELECT document FROM resolutions"
    said = json.loads(zlib.decompress(database.read(lambda connection: connection.execute(row).fetchone()[0])))
    changed = zlib.compress(json.dumps({**said, **change}).encode())
    put = "UPDATE resolutions SET document = ?"
    for document in (changed, changed[:-4], b"x"):
        database.write(lambda connection, d=document: connection.execute(put, (d,))).result()
        with pytest.raises(StateDamagedError, match="impossible resolution"):
            store.get(JOB, 1)


def test_the_answer_goes_with_the_job(database):
    """A job that is dropped from the database leaves nothing."""
    store = ResolutionStore(database)
    store.put(JOB, 1, resolved_release(RELEASE, asked=RELEASE.mbid))
    database.write(lambda connection: connection.execute("DELETE FROM jobs")).result()
    assert store.get(JOB, 1) is None
