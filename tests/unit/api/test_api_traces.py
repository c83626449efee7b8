"""What happened, over HTTP: the summary, pages of events, and the stream that follows."""

import json
import socket

import pytest
from api_world import START_S_MAX, served

from reconciler.api import stream
from reconciler.api.stream import StreamBounds
from reconciler.ids import JobId
from reconciler.traces.model import EventType, SwarmEvent

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
OTHER = JobId("01HRQ4GSX9K47J7M5FK7VW8B13")
BOUNDS = StreamBounds(readers=2, behind_events=50)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """An API with narrow bounds for streams."""
    with served(tmp_path_factory.mktemp("api"), streams=BOUNDS) as found:
        yield found


@pytest.fixture
def world(api):
    """The same, with two jobs and no events."""
    api.reset()
    for job_id in (JOB, OTHER):
        api.put(job_id, path=f"jobs/active/{job_id}.yml")
    return api


def tell(world, *actions, job_id=JOB, kind=EventType.PEER_CONNECTED, peer="http:a"):
    """Store events with these actions, in order."""
    for number, action in enumerate(actions):
        world.traces.report(
            SwarmEvent(
                event_id=f"{job_id}-{action}-{number}",
                timestamp_ms=1000 + number,
                type=kind,
                job_id=job_id,
                action=action,
                peer_id=peer,
            )
        )
    world.traces.flush()


class Reader:
    """Somebody who follows the events; reads line by line from a socket."""

    def __init__(self, world, query="", *, last=None):
        self.socket = socket.create_connection(("127.0.0.1", world.port), timeout=START_S_MAX)
        head = f"GET /api/events{query} HTTP/1.1\r\nHost: localhost\r\n"
        head += "" if last is None else f"Last-Event-ID: {last}\r\n"
        self.socket.sendall(f"{head}\r\n".encode())
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers = {}
        while (line := self._file.readline().strip()) and b":" in line:
            name, _, value = line.decode().partition(": ")
            self.headers[name.lower()] = value
        self._text = ""
        if self.status == 200:
            self.hello = self.frame()

    def frame(self):
        """The next event with its fields; nothing at the end of the stream."""
        while "\n\n" not in self._text:
            size = int(self._file.readline() or b"0", 16)  # of a piece, as chunked transfer has them
            if not size:
                return {}
            self._text += self._file.read(size).decode()
            self._file.readline()
        found, _, self._text = self._text.partition("\n\n")
        return dict(line.partition(": ")[::2] for line in found.splitlines())

    def data(self):
        """What the next event says."""
        return json.loads(self.frame()["data"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self.socket.close()


def test_a_trace_adds_up_and_is_not_there_before_anything_happened(world):
    """The summary that `job trace --json` prints; 404 says that there is none yet."""
    assert world.get(f"/api/jobs/{JOB}/trace").status == 404
    tell(world, "started", kind=EventType.JOB_START)
    told = world.get(f"/api/jobs/{JOB}/trace").json()
    assert (told["job_id"], told["status"], told["chunks_total"]) == (JOB, "unfinished", 0)
    assert world.get("/api/jobs/01HRQ4GSX9K47J7M5FK7VW8B99/trace").status == 404


def test_events_come_in_pages_and_each_comes_once(world):
    """In the order in which they were stored; the cursor of the last page goes on when more has come."""
    tell(world, *map(str, range(25)))
    tell(world, "not mine", job_id=OTHER)
    seen, cursor, more = [], "", True
    while more:
        page = world.get(f"/api/jobs/{JOB}/events?limit=10&after={cursor}").json()
        seen += [event["action"] for event in page["events"]]
        cursor, more = page["cursor"], page["more"]
    assert seen == [str(number) for number in range(25)]
    tell(world, "later")
    page = world.get(f"/api/jobs/{JOB}/events?after={cursor}").json()
    assert [event["action"] for event in page["events"]] == ["later"]
    for cursor in ("x", "-1", "9" * 30, "%00"):
        assert world.get(f"/api/jobs/{JOB}/events?after={cursor}").status == 422, cursor


def test_who_follows_hears_what_comes_and_who_comes_back_hears_what_was_missed(world):
    """From now on; or from behind the id heard last, to the same event."""
    tell(world, "before")
    with Reader(world) as reader:
        assert reader.headers["content-type"].startswith("text/event-stream")
        assert reader.headers["cache-control"] == "no-store"
        tell(world, "one", "two", peer="evil\n\ndata: {}\u2028\x1b")
        first = reader.frame()
        assert (first["event"], json.loads(first["data"])["action"]) == ("PeerConnected", "one")
        assert json.loads(first["data"])["peer_id"] == "evil\n\ndata: {}\u2028\x1b"
        assert reader.data()["action"] == "two"
    tell(world, "while away")
    with Reader(world, last=first["id"]) as reader:
        assert [reader.data()["action"] for _ in range(2)] == ["two", "while away"]


def test_who_follows_one_job_or_some_types_hears_no_others(world):
    """By job and by type; the place moves on past what was not for them."""
    with Reader(world, f"?job_id={JOB}&type=PeerConnected&type=Error") as reader:
        tell(world, "other job", job_id=OTHER)
        tell(world, "other type", kind=EventType.JOB_START)
        tell(world, "mine")
        assert reader.data()["action"] == "mine"


def test_who_follows_a_quiet_job_falls_behind_nothing(world, monkeypatch):
    """However much happens in other jobs: its place moves on past that, and it is not let go."""
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(stream, "LOOK_S", 0.01)
    with Reader(world, f"?job_id={JOB}") as reader:
        for _ in range(3):
            tell(world, *map(str, range(BOUNDS.behind_events - 10)), job_id=OTHER)
            newest = world.get(f"/api/jobs/{OTHER}/events?limit=1000").json()["cursor"]
            heartbeats = (reader.frame() for _ in range(1000))
            assert newest in (heard["id"] for heard in heartbeats if "event" not in heard)
        tell(world, "mine")
        heard = next(frame for frame in (reader.frame() for _ in range(1000)) if "event" in frame)
    assert (heard["event"], json.loads(heard["data"])["action"]) == ("PeerConnected", "mine")


def test_events_that_a_reader_does_not_want_do_not_slow_it_down(world):
    """A page of them is followed by the next at once: one that is far behind is there within moments."""
    tell(world, "first")
    start = world.get(f"/api/jobs/{JOB}/events").json()["cursor"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "PAGE_EVENTS", 2)
        patch.setattr(stream, "LOOK_S", 60.0)
        tell(world, *map(str, range(BOUNDS.behind_events - 5)), kind=EventType.JOB_START)
        tell(world, "wanted")
        with Reader(world, "?type=PeerConnected", last=start) as reader:
            assert reader.data()["action"] == "wanted"


def test_who_is_too_far_behind_is_told_and_let_go(world):
    """The word says how far, and carries the place from which it goes on by itself."""
    tell(world, "first")
    start = json.loads(world.get(f"/api/jobs/{JOB}/events").body)["cursor"]
    tell(world, *map(str, range(BOUNDS.behind_events + 1)))
    with Reader(world, last=start) as reader:
        dropped = reader.frame()
        assert dropped["event"] == "dropped"
        assert json.loads(dropped["data"])["events"] == BOUNDS.behind_events + 1
        assert reader.frame() == {}
    with Reader(world, last=dropped["id"]) as reader:
        tell(world, "after that")
        assert reader.data()["action"] == "after that"


def test_readers_are_counted_and_one_that_goes_makes_room(world):
    """So many at once and no more; a connection that is closed is noticed."""
    with Reader(world), Reader(world):
        refused = world.get("/api/events")
        assert refused.status == 503
        assert refused.headers["retry-after"] == "5"
    make_room(world)


def make_room(world):
    """Ask until there is room for one more."""
    for _ in range(5000):
        with Reader(world) as reader:
            if reader.status == 200:
                return
    raise AssertionError("nobody made room")


@pytest.mark.parametrize("query", ["?job_id=x", "?type=Nothing", "?job_id=" + "a" * 65])
def test_a_stream_that_cannot_be_is_refused(world, query):
    """An id or a type that there is not."""
    assert world.get(f"/api/events{query}").status in (404, 422)
    for last in ("x", "-1", "1" * 19, "1 2"):
        assert world.get("/api/events", Last_Event_ID=last).status == 422


def test_who_takes_nothing_is_let_go(tmp_path):
    """A reader that does not read holds no place, and the connection ends without the end of a stream."""
    with served(tmp_path, streams=StreamBounds(readers=1, untaken_s=0.2)) as world:
        world.put(JOB, path="jobs/active/a.yml")
        tell(world, *(f"{number} {'x' * 900}" for number in range(9000)))
        with Reader(world, last=0) as stuck:
            stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            make_room(world)
            assert not stuck._file.read().endswith(b"0\r\n\r\n")


def test_streams_end_with_the_daemon(tmp_path):
    """They are told so, and do not hold up the end."""
    with served(tmp_path) as world:
        reader = Reader(world)
    assert reader.frame()["event"] == "closing"
    with reader:
        assert reader.frame() == {}
