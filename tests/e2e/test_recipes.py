"""The recipes of docs/howto do what they say: their words are run, against servers that answer as the real ones do.

beets is run itself where it is installed (`beet` in PATH, or RECONCILER_TEST_BEET): `pip install beets`.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from reconciler.config import HookSettings
from reconciler.hooks.command import CommandHook
from reconciler.hooks.model import Ending, body_of
from reconciler.hooks.placeholders import check_command
from reconciler.ids import JobId
from reconciler.library.synthesis import make_album
from reconciler.library.tag_map import TrackTags
from reconciler.library.tags import tagged_copy
from reconciler.manifests.configuration import read_configuration
from reconciler.manifests.model import JobType
from reconciler.state.records import Delivery

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
RELEASE = "c0d0c0a4-4a26-4d74-9c02-67c9321b3b22"


def blocks(page, language):
    """What a page has in fences of a language."""
    return re.findall(rf"```{language}\n(.*?)```", (HOWTO / page).read_text(), re.DOTALL)


def settings(page, number=0):
    """A configuration of a page, read as the daemon reads it."""
    found = read_configuration(blocks(page, "yaml")[number].encode(), {})
    assert not isinstance(found, tuple), found
    check_command(found.hooks.on_completed)
    return found


@pytest.mark.parametrize("page", ["beets.md", "lidarr.md", "navidrome.md", "hooks.md"])
def test_every_configuration_of_a_recipe_is_accepted(page):
    """Each block that is ours, by the schema and by the rules for placeholders."""
    ours = [n for n, block in enumerate(blocks(page, "yaml")) if "config.yaml" not in block]
    assert ours
    for number in ours:
        settings(page, number)


class Answering(BaseHTTPRequestHandler):
    """Keeps what it is asked, and says what it is to say."""

    def do_POST(self):
        self._take(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self):
        self._take(b"")

    def _take(self, body):
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        status, said = self.server.says
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


@contextmanager
def server(status, said):
    """A server on loopback that says one thing."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as made:
        made.asked, made.says = [], (status, said)
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()


def run_script(tmp_path, script, curl, port, path):
    """Run a script of a page with its key file beside it, and its server at `port`."""
    key = tmp_path / "key.curl"
    key.write_text(curl)
    text = re.sub(r"/etc/reconciler/\w+\.curl", str(key), script)
    text, places = re.subn(r"http://127\.0\.0\.1:\d+", f"http://127.0.0.1:{port}", text)
    assert places == 1
    return subprocess.run(
        ["sh", "-c", text],
        env={"PATH": os.environ["PATH"], "RECONCILER_PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def fenced(page, word):
    """The block of plain text that holds a word."""
    (found,) = [block for block in blocks(page, "text") if word in block]
    return found


@pytest.mark.package("curl")
@pytest.mark.package("jq")
@pytest.mark.parametrize(
    ("number", "path", "asked"),
    [
        (
            0,
            '/srv/incoming/A "quoted" \\ artist/An album',
            {"name": "DownloadedAlbumsScan", "path": '/incoming/A "quoted" \\ artist/An album', "importMode": "Copy"},
        ),
        (1, "/music/Artist/Album (1991)", {"name": "RescanFolders", "folders": ["/music/Artist"], "filter": "matched"}),
    ],
)
def test_lidarr_is_told_the_folder_as_it_sees_it(tmp_path, number, path, asked):
    """With its key, as JSON; an error of its is one of the script."""
    script, curl = blocks("lidarr.md", "sh")[number], fenced("lidarr.md", "X-Api-Key")
    with server(201, b'{"id": 7, "status": "queued"}') as lidarr:
        done = run_script(tmp_path, script, curl, lidarr.server_port, path)
    assert done.returncode == 0, done.stderr
    ((method, target, headers, body),) = lidarr.asked
    assert (method, target) == ("POST", "/api/v1/command")
    assert headers["X-Api-Key"] == "0123456789abcdef0123456789abcdef"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == asked
    with server(401, b'{"error": "Unauthorized"}') as lidarr:
        done = run_script(tmp_path, script, curl, lidarr.server_port, path)
    assert done.returncode != 0
    assert "Unauthorized" in done.stdout


@pytest.mark.package("curl")
@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b'{"subsonic-response":{"status":"ok","scanStatus":{"scanning":true}}}', 0),
        (b'{"subsonic-response":{"status":"failed","error":{"code":40,"message":"Wrong username or password"}}}', 1),
    ],
)
def test_navidrome_is_asked_for_a_scan_and_its_answer_read(tmp_path, said, code):
    """It answers 200 to everything; the script sees the difference. The token is what the page says it is."""
    script, curl = blocks("navidrome.md", "sh")[0], fenced("navidrome.md", "data-urlencode")
    with server(200, said) as navidrome:
        done = run_script(tmp_path, script, curl, navidrome.server_port, "/music/x")
    assert (done.returncode, done.stdout.strip()) == (code, said.decode())
    ((method, target, _, _),) = navidrome.asked
    query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    assert (method, urlsplit(target).path) == ("GET", "/rest/startScan.view")
    assert query["t"] == hashlib.md5(b"sesamec19b2d").hexdigest()
    assert (query["u"], query["s"], query["f"], query["c"]) == ("admin", "c19b2d", "json", "reconciler")


def beet():
    """The program, if it is here."""
    found = os.environ.get("RECONCILER_TEST_BEET") or shutil.which("beet")
    return found or pytest.skip("needs beets: `pip install beets`, or name its program in RECONCILER_TEST_BEET")


def test_beets_catalogues_an_album_where_it_lies(tmp_path):
    """By the ids in its tags, twice as once, and without touching a byte."""
    program, album = beet(), tmp_path / "music" / "The Loopbacks" / "Nine"
    album.mkdir(parents=True)
    (track,) = make_album(tmp_path / "made", tracks=1, seconds=2.0, seed=5)
    tags = TrackTags(
        title=track.title,
        artist=track.artist,
        album=track.album,
        albumartist=track.artist,
        track=1,
        disc=1,
        discs=1,
        recording_id=track.recording,
        release_id=RELEASE,
    )
    tagged_copy(track.path, album / "01.flac", tags)
    before = (album / "01.flac").read_bytes()
    (config,) = [block for block in blocks("beets.md", "yaml") if "config.yaml" in block]
    home = tmp_path / "beets"
    home.mkdir()
    config = config.replace("/music", str(tmp_path / "music")).replace("~/.config/beets", str(home))
    (home / "config.yaml").write_text(config + "plugins: []\n")  # nobody is asked over the network
    hooks = settings("beets.md").hooks
    assert (hooks.on_completed[0], hooks.pass_environment) == ("beet", ("BEETSDIR",))
    line = HookSettings(on_completed=(program, *hooks.on_completed[1:]), pass_environment=hooks.pass_environment)
    hook = CommandHook(line, folder=tmp_path, environ={"PATH": os.environ["PATH"], "BEETSDIR": str(home)})
    for _ in range(2):
        answer = asyncio.run(hook.tell(told_of(album)))
        assert answer.delivered, answer.result
    listed = subprocess.run(
        [program, "ls", "-f", "$mb_albumid $mb_trackid $path"],
        env={"PATH": os.environ["PATH"], "BEETSDIR": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.splitlines()[-1:] == [f"{RELEASE} {track.recording} {album / '01.flac'}"]
    assert sum(RELEASE in row for row in listed.stdout.splitlines()) == 1
    assert (album / "01.flac").read_bytes() == before


def told_of(album):
    """What a hook is told of an album."""
    ending = Ending(
        event="job.completed",
        job_id=JobId("01HRQ4GSX9K47J7M5FK7VW8B12"),
        job_type=JobType.MB_RELEASE,
        generation=1,
        node="nas",
        manifest="jobs/active/a.yml",
        artist="The Loopbacks",
        album="Nine",
        release_mbid=RELEASE,
        path=str(album),
        files=(),
        error_message="",
        ended_at=1.0,
    )
    return Delivery(
        delivery_id="01HRQ4GSX9K47J7M5FK7VW8D01",
        hook="command",
        event=ending.event,
        job_id=ending.job_id,
        body=body_of(ending),
        next_at=1.0,
    )
