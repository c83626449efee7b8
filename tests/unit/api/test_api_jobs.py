"""Jobs over HTTP: pages and filters, one job, and what is written into its manifest."""

from dataclasses import replace

import pytest
from api_world import served

from reconciler.engine.order import JobProgress, PeerProgress, TrackProgress
from reconciler.ids import JobId
from reconciler.manifests.model import JobState
from reconciler.manifests.read import read_manifest
from reconciler.state.peers import PeerStore
from reconciler.state.reputations import Reputation

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
MANIFEST = f"""\
# mine
manifest_version: "1.0"
job_id: {JOB}
job_type: mb_release
spec:
    mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
    target_dir: library
    tracks:
    - {{position: 1, title: A, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}}
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """An API above an empty root folder."""
    with served(tmp_path_factory.mktemp("api")) as found:
        yield found


@pytest.fixture
def world(api):
    """The same, as it was made, with one job that a daemon has seen."""
    api.reset()
    (api.root / "jobs" / "active" / "wish.yml").write_text(MANIFEST)
    api.put(JOB, path="jobs/active/wish.yml")
    return api


def test_jobs_come_in_pages_and_each_comes_once(world):
    """By id, as many as asked for, until there is no next one; whatever is added meanwhile."""
    ids = [JobId(f"01HRQ4GSX9K47J7M5FK7VW8C{n:02}") for n in range(25)]
    for job_id in ids:
        world.put(job_id, path=f"jobs/active/{job_id}.yml")
    seen, after = [], ""
    while after is not None:
        page = world.get(f"/api/jobs?limit=10&after={after}").json()
        seen += [job["job_id"] for job in page["jobs"]]
        after = page["next"]
    assert seen == [JOB, *ids]


def test_jobs_are_found_by_state_type_and_text(world):
    """Each filter holds for itself and with the others; a text is looked for as it is, in either case."""
    failed = JobId("01HRQ4GSX9K47J7M5FK7VW8B13")
    world.put(failed, path="jobs/active/100%_Björk.yml", state=JobState.FAILED, error_message="no PEER offers it")

    def found(query):
        return [job["job_id"] for job in world.get(f"/api/jobs?{query}").json()["jobs"]]

    assert found("state=failed") == [failed]
    assert found("state=pending&type=mb_release") == [JOB]
    assert found("type=discography") == []
    assert found("text=peer") == found("text=100%25_") == found("text=BJ") == [failed]
    assert found("text=wish&state=failed") == found("text=_____") == []


def test_a_job_says_how_far_it_is_and_strangers_names_are_harmless(world):
    """What the engine has is told, with what a peer is called escaped, half characters included."""
    track = TrackProgress(position=1, title="A", phase="fetching", bytes_done=5, bytes_total=10)
    peer = PeerProgress(name="a\x1b[2J\ud800\n", source="soulseek", bytes_received=5, throughput_bytes_per_s=2.5,
                        chunks_refused=0, banned=False)  # fmt: skip
    world.progress[JOB] = JobProgress(job_id=JOB, generation=1, outcome=None, retriable=False, error="",
                                      tracks=(track,), peers=(peer,))  # fmt: skip
    for answer in (world.get(f"/api/jobs/{JOB}"), world.get("/api/jobs")):
        told = answer.json()
        progress = (told["jobs"][0] if "jobs" in told else told)["progress"]
        assert (progress["bytes_done"], progress["bytes_total"], progress["throughput_bytes_per_s"]) == (5, 10, 2.5)
        assert progress["peers"][0]["name"] == "a\\x1b[2J\\ud800\\x0a"
    world.progress[JOB] = replace(world.progress[JOB], outcome="completed")
    assert world.get(f"/api/jobs/{JOB}").json()["progress"] is None


def test_one_job_is_what_the_command_shows(world):
    """Its tracks, files and conditions; one that is not there is not found, whatever its name."""
    told = world.get(f"/api/jobs/{JOB}").json()
    assert (told["job_id"], told["path"], told["tracks_total"]) == (JOB, "jobs/active/wish.yml", 1)
    for name in ("01HRQ4GSX9K47J7M5FK7VW8B99", JOB[:6], "..%2F..", "%00", "x" * 64):
        answer = world.get(f"/api/jobs/{name}")
        assert answer.status == 404, name
        assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_wanted_of_a_job_is_written_into_its_manifest(world):
    """Rest, go on, try again, end: a line each, the rest as it was, and the file is looked at."""
    manifest = world.root / "jobs" / "active" / "wish.yml"

    def directives():
        return read_manifest(manifest.read_bytes()).manifest.directives

    body = b'{"reason": "the disk is full", "until": "3d"}'
    answer = world.post(f"/api/jobs/{JOB}/suspend", body, kind="application/json")
    assert answer.json()["changed"]
    assert directives().suspend.reason == "the disk is full"
    assert directives().suspend.until
    assert world.post(f"/api/jobs/{JOB}/resume").json() == {
        "job_id": JOB, "path": "jobs/active/wish.yml", "changed": True, "says": "no spec.suspend"
    }  # fmt: skip
    assert manifest.read_text() == MANIFEST
    assert not world.post(f"/api/jobs/{JOB}/resume").json()["changed"]
    assert world.post(f"/api/jobs/{JOB}/suspend").json()["says"] == "spec.suspend: true"
    assert world.post(f"/api/jobs/{JOB}/retry").status == 200
    assert "reconcile_requested_at: " in manifest.read_text()
    assert world.post(f"/api/jobs/{JOB}/cancel").status == 200
    assert directives().desired_state == "cancelled"
    before = len(world.looked_at)
    assert world.post(f"/api/jobs/{JOB}/reconcile").status == 202
    assert world.looked_at == ["jobs/active/wish.yml"] * (before + 1)


@pytest.mark.parametrize(
    "body",
    [b'{"reason": 3, "why": 1}', b"[1]", b'"text"', b"{", b'{"until": "yesterday"}',
     b'{"until": "2001-01-01T00:00:00Z"}',
     b"a: &x [*x]", b"{reason: [a]}", b'{"reason": "a\\u0000b"}', b"[" * 100_000, b"\xff"],
)  # fmt: skip
def test_a_body_that_says_something_else_changes_nothing(world, body):
    """Unknown fields, other types, broken or hostile text: refused in words."""
    answer = world.post(f"/api/jobs/{JOB}/suspend", body, kind="application/json")
    assert answer.status == 422, answer.body
    assert answer.json()["detail"]
    assert (world.root / "jobs" / "active" / "wish.yml").read_text() == MANIFEST


def test_a_job_that_has_ended_and_a_file_with_mistakes_are_not_edited(world):
    """What the command refuses, the API refuses, in the same words."""
    world.put(JOB, path="jobs/completed/wish.yml", state=JobState.COMPLETED)
    refused = world.post(f"/api/jobs/{JOB}/cancel")
    assert refused.status == 422
    assert "has ended" in refused.json()["detail"]
    world.put(JOB, path="jobs/active/gone.yml")
    assert world.post(f"/api/jobs/{JOB}/cancel").status == 404


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("limit=0", "query.limit"), ("limit=x", "query.limit"), ("state=lost", "query.state"),
     ("limit=501", "query.limit"),
     ("text=" + "a" * 201, "query.text"), ("type=album", "query.type")],
)  # fmt: skip
def test_a_parameter_with_a_mistake_is_named(world, query, pointer):
    """The problem document says which one."""
    answer = world.get(f"/api/jobs?{query}")
    assert answer.status == 422
    assert [problem["pointer"] for problem in answer.json()["problems"]] == [pointer]


def test_peers_are_told_with_their_bans(world):
    """The one heard of last first; what it is called is escaped."""
    store = PeerStore(world.database)
    store.exchange([Reputation(peer="http:a:80", last_seen=1.0), Reputation(peer="overlay:b\x1b", last_seen=2.0)])
    told = world.get("/api/peers").json()["peers"]
    assert [(peer["source"], peer["name"], peer["banned"]) for peer in told] == [
        ("overlay", "b\\x1b", False), ("http", "a:80", False)
    ]  # fmt: skip


def test_health_readiness_and_figures(world):
    """It lives, says what it waits for, and counts by route and state with no name in any figure."""
    assert world.get("/healthz").json()["status"] == "ok"
    assert world.get("/readyz").status == 200
    world.waits_for.append("something")
    assert (world.get("/readyz").status, world.get("/readyz").json()["waits_for"]) == (503, ["something"])
    assert world.get(f"/api/jobs/{JOB}").status == 200
    answer = world.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    text = answer.body.decode()
    for line in (
        'reconciler_jobs{state="pending"} 1.0',
        "workqueue_depth 0.0",
        'reconcile_total{result="success"} 0.0',
    ):
        assert line in text.splitlines(), line
    for route, status in (("/api/jobs/{job_id}", 200), ("/readyz", 503)):
        assert f'http_requests_total{{method="GET",route="{route}",status="{status}"}} ' in text
    figures = {line.partition("{")[0].partition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert not [name for name in figures if name.endswith(("_ms", "_kb", "_percent", "_created"))]
    assert JOB not in text
    assert "wish" not in text


def test_a_record_that_cannot_be_is_our_fault_and_says_nothing_of_the_inside(world):
    """A damaged database is answered with 500, and a document without a trace of code."""
    world.database.write(lambda connection: connection.execute("UPDATE jobs SET conditions = '{'")).result()
    answer = world.get(f"/api/jobs/{JOB}")
    assert answer.status == 500
    assert answer.json()["title"] == "Internal Server Error"
    assert "Traceback" not in answer.body.decode()
    assert ".py" not in answer.body.decode()
