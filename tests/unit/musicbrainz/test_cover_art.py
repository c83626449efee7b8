"""Covers from an archive that answers as the real one does, over real sockets."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from musicbrainz_server import mbid

from reconciler.clock import SystemClock
from reconciler.musicbrainz import cover_art
from reconciler.musicbrainz.cover import COVER_BYTES_MAX, cover_of
from reconciler.musicbrainz.cover_art import CoverArt, NoCoverError

JPEG = b"\xff\xd8\xff\xe0" + bytes(5000)
RELEASE, GROUP = mbid(1), mbid(2)


class Archive(BaseHTTPRequestHandler):
    """Gives what there is for a path: bytes, a status, or where else to look."""

    def do_GET(self):
        with self.server.counting:
            self.server.at_once += 1
            self.server.most = max(self.server.most, self.server.at_once)
        self.server.asked.append((self.path, self.headers["User-Agent"]))
        said = self.server.holds.get(self.path, 404)
        if said == "silence":
            self.server.over.wait(10)
            said = 500
        status = said if isinstance(said, int) else 307 if isinstance(said, str) else 200
        body = said if isinstance(said, bytes) else b""
        self.send_response(status)
        if isinstance(said, str):
            self.send_header("Location", said)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with self.server.counting:
            self.server.at_once -= 1
        with suppress(OSError):  # whoever asked may have heard enough
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def archive():
    """An archive that holds nothing yet."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Archive) as server:
        server.asked, server.holds, server.at_once, server.most = [], {}, 0, 0
        server.counting, server.over = threading.Lock(), threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def asking(archive):
    return CoverArt(f"http://127.0.0.1:{archive.server_port}", user_agent="reconciler/0 ( me )", clock=SystemClock())


def test_a_redirect_leads_to_the_picture(archive):
    """The archive itself holds none, and whoever asks says who they are."""
    archive.holds = {f"/release/{RELEASE}/front-1200": "/items/1.jpg", "/items/1.jpg": JPEG}
    cover = asking(archive).front(RELEASE, GROUP)
    assert (cover.data, cover.mime, cover.extension) == (JPEG, "image/jpeg", "jpg")
    assert [path for path, _ in archive.asked] == [f"/release/{RELEASE}/front-1200", "/items/1.jpg"]
    assert {agent for _, agent in archive.asked} == {"reconciler/0 ( me )"}


def test_an_edition_without_one_has_that_of_its_album(archive):
    """Where the album is known."""
    archive.holds = {f"/release-group/{GROUP}/front-1200": JPEG}
    assert asking(archive).front(RELEASE, GROUP).data == JPEG
    with pytest.raises(NoCoverError, match="has none"):
        asking(archive).front(RELEASE, None)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"<html>a hotel's login page", "no JPEG or PNG"),
        (JPEG + bytes(COVER_BYTES_MAX), "no JPEG or PNG of at most"),
        (b"", "no JPEG or PNG"),
        (503, "answered 503"),
        (f"/release/{RELEASE}/front-1200", "answered 307"),
        ("file:///etc/passwd", "answered 307"),
        ("http://[::1", "could not be asked: ValueError"),
        ("http://" + "x" * 70 + ".example/", "could not be asked: Unicode"),
    ],
)
def test_what_is_no_cover_is_said(archive, said, why):
    """Too large, no picture, an error, a circle, another protocol: nothing raises anything else."""
    archive.holds = {f"/release/{RELEASE}/front-1200": said}
    with pytest.raises(NoCoverError, match=why):
        asking(archive).front(RELEASE, None)


def test_silence_ends(archive, monkeypatch):
    """An album waits for its cover, and not for ever."""
    monkeypatch.setattr(cover_art, "_SILENCE_S", 0.2)
    archive.holds = {f"/release/{RELEASE}/front-1200": "silence"}
    with pytest.raises(NoCoverError, match="could not be asked: TimeoutError"):
        asking(archive).front(RELEASE, None)


def test_one_request_at_a_time(archive):
    """However many albums are published at once."""
    archive.holds = {f"/release/{RELEASE}/front-1200": JPEG}
    client = asking(archive)
    with ThreadPoolExecutor(8) as threads:
        assert len([*threads.map(lambda _: client.front(RELEASE, None), range(24))]) == 24
    assert archive.most == 1


def test_what_is_a_picture():
    """By its first bytes, whatever it is called."""
    assert cover_of(b"\x89PNG\r\n\x1a\n....").extension == "png"
    assert cover_of(b"GIF89a") is None
