"""Manifests in and out over HTTP: one, many, with mistakes, with an id that is taken; and out again as they came."""

import json

import pytest
from api_world import served

from reconciler.api.bodies import MANIFESTS_MAX, pieces_of
from reconciler.api.problems import RefusedError
from reconciler.ids import JobId
from reconciler.manifests.model import JobType
from reconciler.manifests.read import read_manifest
from reconciler.reconcile.listing import mark_at
from reconciler.state.jobs import JobStore
from reconciler.state.sightings import Sighting, SightingStore

JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"
RELEASE = "c0d0c0a4-4a26-4d74-9c02-67c9321b3b22"
ONE = f"""\
# what I want
manifest_version: "1.0"
job_id: {JOB}
job_type: mb_release
spec:
  mb_release_id: {RELEASE}
  target_dir: library   # kept
  constraints: {{allow_lossy: false, overlay_bandwidth_kbps: 0}}
"""
WRONG = ONE.replace("allow_lossy", "alow_lossy")
AS_JSON = {
    "manifest_version": "1.0",
    "job_type": "mb_release",
    "spec": {"mb_release_id": RELEASE, "target_dir": "library", "title": "010 \u00e9\U0001f3b5", "artist": "Yes"},
}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """An API above an empty root folder."""
    with served(tmp_path_factory.mktemp("api")) as found:
        yield found


@pytest.fixture
def world(api):
    """The same, as it was made."""
    api.reset()
    return api


def test_what_stands_in_our_own_way_is_no_mistake_of_the_manifest(world):
    """Somebody writes the file of that very job this moment: the same request may succeed a little later."""
    path = world.post("/api/jobs", ONE.encode()).json()["path"]
    seen = Sighting(path=path, mark=mark_at(world.root / path), job_id=JobId(JOB), waits_for="nothing")
    SightingStore(world.database).put([seen])
    with (world.root / path).open("r+b"):
        busy = world.post("/api/jobs", ONE.encode())
    assert (busy.status, busy.headers["retry-after"]) == (503, "1")
    assert "is being written" in busy.json()["detail"]
    assert world.post("/api/jobs", ONE.encode()).status == 200


def test_a_manifest_that_is_sent_is_the_file_that_is_acted_on(world):
    """To the last byte; where it is, and that it is looked at; and sent again it changes nothing."""
    made = world.post("/api/jobs", ONE.encode())
    assert (made.status, made.headers["location"]) == (201, f"/api/jobs/{JOB}")
    file = world.root / made.json()["path"]
    assert file.read_text() == ONE
    assert world.looked_at == [made.json()["path"]]
    again = world.post("/api/jobs", ONE.encode())
    assert (again.status, again.json()["result"]) == (200, "unchanged")
    assert list(file.parent.iterdir()) == [file]


def test_json_becomes_a_manifest_that_says_the_same(world):
    """Titles stay what they look like, and the daemon has a place to write a status to."""
    made = world.post("/api/jobs", json.dumps(AS_JSON).encode(), kind="application/json")
    assert made.status == 201, made.body
    manifest = read_manifest((world.root / made.json()["path"]).read_bytes()).manifest
    assert (manifest.spec.title, manifest.spec.artist) == ("010 \u00e9\U0001f3b5", "Yes")
    assert manifest.job_id == made.json()["job_id"]


def test_every_mistake_of_a_manifest_is_told_with_its_line_and_field(world):
    """As a problem document, in the words of `validate`, and nothing is written."""
    answer = world.post("/api/jobs", WRONG.replace(RELEASE, "x").encode())
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    told = [(each["line"], each["column"], each["pointer"]) for each in answer.json()["problems"]]
    assert told == [(6, 18, "spec.mb_release_id"), (8, 17, "spec.constraints.alow_lossy")]
    assert "allow_lossy" in answer.json()["problems"][1]["hint"]
    assert not [*(world.root / "jobs" / "active").iterdir()]


def test_a_batch_goes_on_past_a_bad_one_and_counts_lines_from_its_begin(world):
    """YAML documents, or a JSON list; each has its own outcome."""
    other = ONE.replace(JOB, "01HRQ4GSX9K47J7M5FK7VW8B13")
    body = f"{ONE}---\n{WRONG}--- # the last\n{other}"
    told = world.post("/api/jobs/import", body.encode()).json()
    assert (told["imported"], told["unchanged"], told["refused"]) == (2, 0, 1)
    assert [each["result"] for each in told["outcomes"]] == ["imported", "refused", "imported"]
    assert told["outcomes"][1]["problems"][0]["line"] == ONE.count("\n") + 1 + 8
    listed = json.dumps([{**AS_JSON, "job_type": "album"}, AS_JSON], indent=1)
    told = world.post("/api/jobs/import", listed.encode(), kind="application/json").json()
    assert [each["result"] for each in told["outcomes"]] == ["refused", "imported"]
    line = told["outcomes"][0]["problems"][0]["line"]
    assert "album" in listed.splitlines()[line - 1]


def test_an_id_that_another_job_has_is_replaced_and_said(world):
    """The file that is here stays; the new one has an id of its own."""
    world.post("/api/jobs", ONE.encode())
    other = ONE.replace(RELEASE, "d0d0c0a4-4a26-4d74-9c02-67c9321b3b22")
    answer = world.post("/api/jobs", other.encode()).json()
    assert answer["offered_id"] == JOB != answer["job_id"]
    assert any("another job here" in note for note in answer["notes"])
    assert (world.root / "jobs" / "active" / f"{JOB}.yml").read_text() == ONE


def test_out_and_in_again_is_the_same_but_for_id_and_status(world, tmp_path):
    """What is exported can be imported elsewhere, and comes out of there as it went in."""
    world.post("/api/jobs", ONE.encode())
    recorded(world, f"jobs/active/{JOB}.yml")
    answer = world.post(f"/api/jobs/{JOB}/export")
    assert answer.headers["content-type"].startswith("application/yaml")
    assert answer.headers["content-disposition"] == f'attachment; filename="{JOB}.yml"'
    assert answer.body.startswith(ONE.encode())
    assert b"state: pending" in answer.body
    assert not (world.root / "jobs" / "exported").exists()
    with served(tmp_path / "elsewhere") as other:
        made = other.post("/api/jobs", answer.body).json()
        assert (made["result"], made["was"]["state"]) == ("imported", "pending")
        recorded(other, made["path"])
        assert other.post(f"/api/jobs/{JOB}/export").body == answer.body


def test_an_export_can_stay_here_too(world):
    """`save` writes it into jobs/exported, and no path of the request is ever used."""
    world.post("/api/jobs", ONE.encode())
    recorded(world, f"jobs/active/{JOB}.yml")
    answer = world.post(f"/api/jobs/{JOB}/export?save=true&path=/etc/passwd")
    saved = world.root / answer.headers["content-location"]
    assert saved == world.root / "jobs" / "exported" / f"{JOB}.yml"
    assert saved.read_bytes() == answer.body
    assert world.post("/api/jobs/01HRQ4GSX9K47J7M5FK7VW8B99/export?save=true").status == 404


def recorded(world, path):
    """Note a job as the daemon would that finds its file."""
    digest = read_manifest((world.root / path).read_bytes()).manifest.spec_digest
    JobStore(world.database).observe_spec(
        JobId(JOB), path=path, job_type=JobType.MB_RELEASE, spec_digest=digest, now=1.0
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"\n# nothing\n", b"---\n---\n", b"\xef\xbb\xbf", b"[]", b"[1", b"[{}}", b"[{},]", b"[" * 500_000,
     b"[{}] x", b"\xff\xfe", b"[\xff]", b"{" * 200_000, b"- " * 100_000, b"&a [*a]", b"!!python/object:os.system {}"],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_a_body_that_is_none_is_refused_in_words(world, body):
    """Empty, cut, nested without end, with tags or aliases: 422 or a refused outcome, and nothing is written."""
    one = world.post("/api/jobs", body)
    assert one.status == 422
    assert one.json()["detail"]
    many = world.post("/api/jobs/import", body)
    assert many.status == 422 or many.json()["imported"] == 0
    assert not [*(world.root / "jobs" / "active").iterdir()]


def test_one_is_one_and_a_batch_has_an_end(world):
    """Two manifests are not one job, and a request does not keep the disk busy for minutes."""
    assert world.post("/api/jobs", f"{ONE}---\n{ONE}".encode()).status == 422
    many = world.post("/api/jobs/import", b"---\na: b\n" * (MANIFESTS_MAX + 1))
    assert many.status == 422
    assert str(MANIFESTS_MAX) in many.json()["detail"]


def test_where_one_manifest_ends_and_the_next_begins():
    """At a line of three hyphens, but not within a line or a text; JSON keeps the very characters of each object."""
    assert [piece.data for piece in pieces_of(b"a: b\n--- \n--x: 1\n---\t# c\n x: '---'")] == [
        b"a: b\n", b"--x: 1\n", b" x: '---'"
    ]  # fmt: skip
    assert [(p.data, p.lines_before) for p in pieces_of(b'\n[\n{"a":1.0} , {"b":\n"]"}]\n')] == [
        (b'{"a":1.0}', 2), (b'{"b":\n"]"}', 2)
    ]  # fmt: skip
    assert [piece.data for piece in pieces_of(b"a: b\r\n---\r\nc: d\r\n")] == [b"a: b\r\n", b"c: d\r\n"]
    with pytest.raises(RefusedError, match="no manifest"):
        pieces_of(b"---\n# only words\n")
