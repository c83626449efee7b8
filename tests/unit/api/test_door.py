"""Who is let in: the matrix of every route and everything that a request may lack, and what every answer says."""

import asyncio
import contextlib
import select
import socket
from dataclasses import replace

import pytest
from api_world import RULES, TOKEN, served, strict

from reconciler.api import server
from reconciler.api.allowance import Rate
from reconciler.api.guard import BODY_BYTES_MAX, BODY_S_MAX, Guard

JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"
READING = {"GET", "HEAD"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An API on loopback: reading is open."""
    with served(tmp_path_factory.mktemp("open")) as found:
        yield found


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """An API that others can reach: nothing is open."""
    rules = replace(RULES, loopback=False, allowed_hosts=frozenset({"music.example.org"}))
    with served(tmp_path_factory.mktemp("outside"), rules=rules) as found:
        yield found


def routes(world):
    """Every route of the application with each of its methods, and a few that are none."""
    known = [
        (method, route.path.replace("{job_id}", JOB)) for route in world.app.routes for method in sorted(route.methods)
    ]
    assert len(known) >= 18, known
    return [*known, ("POST", "/"), ("DELETE", f"/api/jobs/{JOB}"), ("PUT", "/api/jobs"), ("PATCH", "/nowhere")]


def untouched(world):
    """Nothing was written, and nothing was started."""
    return not [*(world.root / "jobs").rglob("*.yml")] and not world.looked_at


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ({}, {401}),
        ({"Authorization": "Bearer " + "x" * 43}, {401}),
        ({"Authorization": f"Basic {TOKEN}"}, {401}),
        ({"Authorization": "Bearer"}, {401}),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, {401}),
    ],
    ids=["no token", "wrong token", "wrong scheme", "empty", "cut"],
)
def test_whatever_changes_something_needs_the_token(world, headers, statuses):
    """No route that is not read from lets in who does not show it, those that are not there included."""
    for method, path in routes(world):
        if method not in READING:
            answer = world.ask(method, path, b"{}", Content_Type="application/json", **headers)
            assert answer.status in statuses, (method, path, answer.status)
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert untouched(world)


def test_everything_needs_it_where_others_can_reach_us(outside):
    """Health and figures, too."""
    for method, path in routes(outside):
        assert outside.ask(method, path).status == 401, (method, path)
        wrong = outside.ask(method, path, Authorization="Bearer wrong")
        assert wrong.status == 401, (method, path)
    assert outside.get("/healthz", Authorization=f"Bearer {TOKEN}").status == 200
    assert outside.get("/healthz", Authorization=f"Bearer {TOKEN}", Host="music.example.org").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example.org"}, 421),
        ({"Host": "localhost.evil.example.org:80"}, 421),
        ({"Host": "192.168.1.7"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "127.0.0.1:80@evil.example.org"}, 421),
        ({"Origin": "http://evil.example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
    ids=lambda value: "-".join(map(str, value.items())) if isinstance(value, dict) else str(value),
)
def test_no_page_of_a_stranger_gets_in_even_with_the_token(world, headers, status):
    """A name that is not ours, and a page that is not, are refused by every route."""
    for method, path in routes(world):
        answer = world.ask(method, path, Authorization=f"Bearer {TOKEN}", **headers)
        assert answer.status == status, (method, path, answer.status)
    assert untouched(world)


def test_a_body_that_is_too_large_or_of_another_kind_is_refused(world):
    """By its stated length before it is read, by what comes where none is stated, by its type, or packed."""
    token = {"Authorization": f"Bearer {TOKEN}"}
    for method, path in routes(world):
        if method in READING:
            continue
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
            given = {"Content_Type": kind} if kind else {}
            assert world.ask(method, path, b"a: b", **given, **token).status == 415, (method, path, kind)
        packed = world.ask(method, path, b"a", Content_Type="application/json", Content_Encoding="gzip", **token)
        assert packed.status == 415
        stated = oversize(world, method, path, chunked=False)
        assert stated == 413, (method, path, stated)
    for path in ("/api/jobs", "/api/jobs/import", f"/api/jobs/{JOB}/suspend"):
        assert oversize(world, "POST", path, chunked=True) in (413, 0)
    assert untouched(world)


def oversize(world, method, path, *, chunked):
    """Send the head of a request with too large a body, the body itself only where its length is not stated.

    Gives the status; 0 where the connection was closed before all was sent, which may overtake the answer.
    """
    connection = world.connection()
    try:
        connection.putrequest(method, path)
        connection.putheader("Authorization", f"Bearer {TOKEN}")
        connection.putheader("Content-Type", "application/yaml")
        connection.putheader(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "1048577")))
        connection.endheaders()
        if chunked:
            piece = b"a" * 65_536
            for _ in range(BODY_BYTES_MAX // len(piece) + 1):
                connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        return connection.getresponse().status
    except ConnectionError:
        return 0
    finally:
        connection.close()


def test_every_answer_says_that_it_is_for_nobody_else(world):
    """Good ones, refused ones and those that are not routed alike; no cookie, and no word that lets other sites in."""
    for answer in (
        world.get("/healthz"),
        world.get("/nowhere"),
        world.get("/api/jobs?limit=0"),
        world.ask("POST", "/api/jobs"),
        world.ask("OPTIONS", "/api/jobs", Origin="http://evil.example.org"),
        world.ask("OPTIONS", "/api/jobs"),
    ):
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert (headers["cache-control"], headers["x-frame-options"]) == ("no-store", "DENY")
        assert not {"set-cookie", "server", "access-control-allow-origin"} & set(headers)
        if answer.status >= 400:
            assert headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status
            assert TOKEN not in answer.body.decode()


def test_who_asks_too_often_waits(tmp_path):
    """Reads, writes and wrong tokens are counted apart, and Retry-After says when to come back."""
    slow = Rate(burst=2, per_s=0.001)
    with served(tmp_path, rules=strict(writes=slow, wrong_tokens=slow)) as world:
        assert [world.ask("POST", "/api/jobs").status for _ in range(3)] == [401, 401, 429]
        assert world.get("/healthz").status == 200
    with served(tmp_path / "again", rules=strict(reads=slow, wrong_tokens=slow)) as world:
        assert [world.get("/healthz").status for _ in range(3)] == [200, 200, 429]
        wrong = [world.ask("POST", "/api/jobs", Authorization="Bearer x").status for _ in range(3)]
        assert wrong == [401, 401, 429]
        late = world.ask("POST", "/api/jobs", Authorization="Bearer y")
        assert int(late.headers["retry-after"]) > 100
        # An old token in some program of this machine does not lock out those that have the right one.
        assert world.post("/api/jobs").status == 422


def test_a_request_that_is_none_is_refused_and_hurts_nobody(world):
    """Bytes that are not HTTP, a head without end, two Hosts: 4xx or a closed connection, and the next is served."""
    for sent in (
        b"\x16\x03\x01 tls?\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n",
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET http://evil/ HTTP/1.1\r\nHost: evil\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", world.port), timeout=60) as raw:
            raw.sendall(sent)
            raw.shutdown(socket.SHUT_WR)
            said = raw.recv(100)
        assert not said or said.startswith(b"HTTP/1.1 4"), (sent[:40], said)
    assert world.get("/healthz").status == 200


def test_a_name_of_this_machine_is_ours(world):
    """By address or as localhost, with any port or none, and from a page that we would have served."""
    for host in ("localhost", "LOCALHOST:1", f"127.0.0.1:{world.port}", "[::1]:5031", "127.1.2.3"):
        assert world.get("/healthz", Host=host).status == 200, host
        assert world.get("/healthz", Host=host, Origin=f"http://{host}", Sec_Fetch_Site="same-origin").status == 200


def test_a_connection_that_does_not_come_to_the_point_is_closed(tmp_path, monkeypatch):
    """It holds one of few places, and is given seconds: for its first request, and for each after that."""
    monkeypatch.setattr(server, "HEAD_S_MAX", 0.1)
    whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answered = (
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/yaml\r\nContent-Length: 9\r\n\r\n"
    )
    with served(tmp_path) as world:
        for first, then in ((b"", b""), (b"", whole[:30]), (whole, whole[:30]), (answered, b"a")):
            with socket.create_connection(("127.0.0.1", world.port), timeout=60) as raw:
                if first:
                    raw.sendall(first)
                    assert raw.makefile("rb").readline().startswith(b"HTTP/1.1 ")
                raw.sendall(then)
                while said := raw.recv(65_536):  # the rest of that answer, then the end
                    assert not said.startswith(b"HTTP/1.1 ")
        assert world.get("/healthz").status == 200


def test_a_kept_connection_waits_for_its_next_request(tmp_path, monkeypatch):
    """What is quiet between two requests is not what does not end one."""
    monkeypatch.setattr(server, "HEAD_S_MAX", 0.1)
    with served(tmp_path) as world, contextlib.closing(world.connection()) as connection:
        for _ in range(3):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()
            kept = connection.sock
            assert not select.select([kept], [], [], 0.3)[0]
            assert connection.sock is kept


def test_a_body_that_drips_is_not_waited_for(virtual_loop):
    """All of it comes within its time, however steadily a little more comes."""
    sent = []

    async def drip():
        await asyncio.sleep(BODY_S_MAX / 3)
        return {"type": "http.request", "body": b"a", "more_body": True}

    async def application(scope, receive, send):
        while True:
            await receive()

    async def keep(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {TOKEN}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "client": ("127.0.0.1", 1), "headers": headers}
    guard = Guard(application, rules=RULES, refused=lambda status: None, monotonic=virtual_loop.time)
    virtual_loop.run(asyncio.wait_for(guard(scope, drip, keep), 10 * BODY_S_MAX))
    assert sent[0]["status"] == 408
    assert virtual_loop.time() == BODY_S_MAX
