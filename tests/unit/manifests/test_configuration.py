"""Configuration: file and environment become settings, or problems."""

import pytest

from reconciler.addresses import HostPort, PeerAddress
from reconciler.config import RootSettings, Settings, SoulseekSettings, SwarmEventSettings
from reconciler.manifests.configuration import ENVIRONMENT_LISTS, read_configuration
from reconciler.manifests.forms import load_schema

PEER = "abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLM_01"

WHOLE = f"""\
library:
  roots: [/music, /more, {{path: /portable, naming: "{{artist}} - {{title}}", publish: album, share: false}}]
  naming: "{{title}}"
  publish: track
mesh:
  overlay:
    enabled: false
    listen: "0.0.0.0:7443"
    peers: ["{PEER}@[2001:db8::1]:7443"]
    upload_slots: 3
    upload_slots_per_peer: 1
    upload_kbps: 8000
transfers: {{stall_timeout_seconds: 2.5, searches_timeout_seconds: 1, bandwidth_kbps: 20000}}
status: {{interval_seconds: 0}}
retry: {{interval_seconds: 1, max_interval_seconds: 60, limit: 0}}
node: {{name: attic, labels: {{disk: large}}}}
watch: {{rescan_seconds: 60, poll_seconds: 2.5}}
git: {{status_ref: true, interval_seconds: 90}}
soulseek:
  enabled: true
  server: "slsk.example.org:2243"
  username: digger
  password_file: /etc/reconciler/password
  listen_port: 2234
  listen_address: 127.0.0.1
  share: [/music]
  upload_slots: 4
  upload_kbps: 4000
  searches_per_220s: 20
musicbrainz: {{url: "http://mirror:5000/ws/2", rate_per_second: 20, contact: me@example.org, offline: true}}
diagnostics: {{swarm_events: {{enabled: false, retention_days: 7, max_events_per_job: 500, log_to_file: false}}}}
"""


def test_every_key_becomes_a_setting():
    """Numbers, addresses and lists arrive typed, seconds in fields that say so."""
    settings = read_configuration(WHOLE.encode(), {})
    assert isinstance(settings, Settings)
    assert (settings.library.roots, settings.library.naming) == (("/music", "/more", "/portable"), "{title}")
    assert settings.library.root_rules == (
        RootSettings(path="/portable", naming="{artist} - {title}", publish="album", share=False),
    )
    assert settings.library.publish == "track"
    overlay = settings.mesh.overlay
    assert (overlay.enabled, overlay.listen) == (False, HostPort(host="0.0.0.0", port=7443))
    assert overlay.peers == (PeerAddress(peer=PEER, host="2001:db8::1", port=7443),)
    assert (overlay.upload_slots, overlay.upload_slots_per_peer, overlay.upload_kbps) == (3, 1, 8000)
    assert (settings.transfers.stall_timeout_s, settings.transfers.searches_timeout_s) == (2.5, 1.0)
    assert settings.transfers.bandwidth_kbps == 20_000
    assert settings.status.interval_s == 0
    assert (settings.retry.interval_s, settings.retry.max_interval_s, settings.retry.limit) == (1.0, 60.0, 0)
    assert (settings.node.name, settings.node.labels) == ("attic", {"disk": "large"})
    assert (settings.watch.rescan_s, settings.watch.poll_s) == (60.0, 2.5)
    assert (settings.git.status_ref, settings.git.interval_s) == (True, 90.0)
    assert settings.soulseek == SoulseekSettings(
        enabled=True,
        server=HostPort(host="slsk.example.org", port=2243),
        username="digger",
        password_file="/etc/reconciler/password",
        listen_port=2234,
        listen_address="127.0.0.1",
        share=("/music",),
        upload_slots=4,
        upload_kbps=4000,
        searches_per_220s=20,
    )
    musicbrainz = settings.musicbrainz
    assert (musicbrainz.url, musicbrainz.rate_per_s) == ("http://mirror:5000/ws/2", 20.0)
    assert (musicbrainz.contact, musicbrainz.offline) == ("me@example.org", True)
    assert settings.diagnostics.swarm_events == SwarmEventSettings(
        enabled=False, retention_days=7, max_events_per_job=500, log_to_file=False
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "mesh:\n  # overlay: later\n", "mesh: {overlay: {peers: []}}\n"])
def test_what_is_left_out_has_its_default(text: str):
    """An empty file, and empty blocks in one, change nothing."""
    settings = read_configuration(text.encode(), {"HOME": "/root", "RECONCILER_DEBUG": "1"})
    assert settings == Settings()
    assert isinstance(settings, Settings)
    assert (settings.transfers.stall_timeout_s, settings.transfers.searches_timeout_s) == (15.0, 10.0)
    assert (settings.status.interval_s, settings.retry.interval_s) == (15.0, 30.0)
    assert settings.library.publish == "album"
    assert (settings.mesh.overlay.upload_slots, settings.mesh.overlay.listen) == (8, None)
    assert (settings.soulseek.enabled, settings.soulseek.listen_port, settings.soulseek.share) == (False, 0, ())
    assert settings.soulseek.server == HostPort(host="server.slsknet.org", port=2242)
    events = settings.diagnostics.swarm_events
    assert (events.enabled, events.log_to_file) == (True, True)
    assert (events.retention_days, events.max_events_per_job) == (30, 10_000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mesh: {overlay: {lisen: x}}\n", "1:18: mesh.overlay.lisen: unknown field, did you mean listen?"),
        (
            "mesh: {overlay: {listen: 7443}}\n",
            '1:26: mesh.overlay.listen: `7443` has no port in 0-65535 at its end, write "0.0.0.0:7443", or "" for none',
        ),
        (
            "library:\n  roots: [music]\n",
            "2:11: library.roots[0]: `music` is not an absolute path, begin it with /",
        ),
        (
            "library:\n  roots: [{path: /music, shared: false}]\n",
            "2:26: library.roots[0].shared: unknown field, did you mean share?",
        ),
        ("library:\n  roots: [{share: false}]\n", "2:11: library.roots[0].path: is missing, add `path:`"),
        ("retry: {limit: ten}\n", "1:16: retry.limit: `ten` is not a whole number, write digits only"),
        (
            "transfers: {stall_timeout_seconds: 15s}\n",
            "1:36: transfers.stall_timeout_seconds: `15s` is not a number, write digits only",
        ),
        (
            "soulseek: {server: slsk.example.org}\n",
            "1:20: soulseek.server: `slsk.example.org` has no port in 0-65535 at its end, write host:port",
        ),
        (
            "soulseek: {server: 'slsk.example.org:0'}\n",
            "1:20: soulseek.server: `slsk.example.org:0` has port 0, which nobody listens on, write host:port",
        ),
        (
            "soulseek: {listen_address: lan}\n",
            "1:28: soulseek.listen_address: `lan` is not an IPv4 address, write 0.0.0.0 for all of this machine's",
        ),
        (
            "soulseek: {password_file: secret}\n",
            "1:27: soulseek.password_file: `secret` is not an absolute path, begin it with /",
        ),
        ("mesh: [a]\n", "1:7: mesh: a list is not a block of fields, write fields as `name: value`"),
        ("a: 1\na: 2\n", "2:1: `a` stands here twice, first in line 1, keep one"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, expected: str):
    """In the words that manifests are judged in."""
    problems = read_configuration(text.encode(), {})
    assert isinstance(problems, tuple)
    assert [str(problem) for problem in problems] == [expected]


def test_a_password_is_not_taken_from_the_configuration():
    """It is named for what it is, and not shown."""
    problems = read_configuration(b"soulseek: {password: hunter2}\n", {})
    assert isinstance(problems, tuple)
    (problem,) = map(str, problems)
    assert "a secret does not belong in this file" in problem
    assert "hunter2" not in problem


def test_the_environment_lies_over_the_file():
    """A variable sets one key and leaves its neighbours; a list is separated by commas."""
    environ = {
        "RECONCILER__MESH__OVERLAY__LISTEN": "[::]:0",
        "RECONCILER__LIBRARY__ROOTS": "/a, /b,",
        "reconciler__retry__limit": "7",
        "RECONCILER__RETRY__LIMIT": "3",
    }
    settings = read_configuration(WHOLE.encode(), environ)
    assert isinstance(settings, Settings)
    assert settings.mesh.overlay.listen == HostPort(host="::", port=0)
    assert (settings.mesh.overlay.upload_slots, settings.library.naming) == (3, "{title}")
    assert settings.library.roots == ("/a", "/b")
    assert settings.retry.limit == 3


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "RECONCILER__RETRY__LIMIT",
            "many",
            "0:0: retry.limit: RECONCILER__RETRY__LIMIT: `many` is not a whole number, write digits only",
        ),
        (
            "RECONCILER__LIBRARY__ROOTS",
            "/a,b",
            "0:0: library.roots[1]: RECONCILER__LIBRARY__ROOTS: `b` is not an absolute path, begin it with /",
        ),
        (
            "RECONCILER__RETRY__LIMITS",
            "1",
            "0:0: retry.limits: RECONCILER__RETRY__LIMITS: unknown field, did you mean limit?",
        ),
        (
            "RECONCILER__LIBRARY__NAMING",
            "a\nb",
            "0:0: library.naming: RECONCILER__LIBRARY__NAMING: holds a line break, write it on one line without it",
        ),
    ],
)
def test_a_mistake_in_a_variable_names_the_variable(name: str, value: str, expected: str):
    """It stands in no line of the file."""
    problems = read_configuration(WHOLE.encode(), {name: value})
    assert isinstance(problems, tuple)
    assert [str(problem) for problem in problems] == [expected]


MEND_IT = ", make that a block of fields, or take the variable out"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (
            "library: {}\n",
            "RECONCILER__LIBARY__NAMING",
            ["0:0: libary: RECONCILER__LIBARY__NAMING: unknown field, did you mean library?"],
        ),
        (
            "api: {listen: '127.0.0.1:5031'}\n",
            "RECONCILER__API__LISTEN__PORT",
            [f"0:0: api.listen.port: RECONCILER__API__LISTEN__PORT: nothing can be set below `api.listen`{MEND_IT}"],
        ),
        (
            "status: sidecar\n",
            "RECONCILER__STATUS__MODE",
            [
                f"0:0: status.mode: RECONCILER__STATUS__MODE: nothing can be set below `status`{MEND_IT}",
                "1:9: status: `sidecar` is not a block of fields, write fields as `name: value`",
            ],
        ),
        (
            "- status\n",
            "RECONCILER__STATUS__MODE",
            [
                f"0:0: status.mode: RECONCILER__STATUS__MODE: nothing can be set below the configuration{MEND_IT}",
                "1:1: a list is not a block of fields, write fields as `name: value`",
            ],
        ),
    ],
)
def test_a_variable_hides_no_mistake_and_is_not_mistaken_for_a_line(text: str, name: str, expected: list[str]):
    """A setting above it that is misspelt, or that is no block in the file."""
    problems = read_configuration(text.encode(), {name: "none"})
    assert isinstance(problems, tuple)
    assert [str(problem) for problem in problems] == expected


def test_every_list_of_the_schema_is_one_in_the_environment():
    """A list that is not known as one would arrive as one text."""

    def lists(schema: dict, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        found = {path} if schema.get("type") == "array" else set()
        return found.union(*(lists(below, (*path, name)) for name, below in schema.get("properties", {}).items()))

    assert lists(load_schema("configuration")) == ENVIRONMENT_LISTS
