"""From a Metalink to published files: `job new`, `validate`, `run`, against web servers on this machine."""

import hashlib
import random

import pytest
from click.testing import CliRunner
from e2e.rig import events_of, run
from file_server import FileServer

from reconciler.cli.main import cli
from reconciler.overlay.merkle import CHUNK_BYTES

SIZE = 700_000


@pytest.fixture
def servers():
    """Two mirrors of two files, and what the files are."""
    chance = random.Random(5854)
    files = {"talk.bin": chance.randbytes(SIZE), "notes.txt": chance.randbytes(1000)}
    mirrors = [FileServer(files), FileServer(files)]
    yield files, mirrors
    for mirror in mirrors:
        mirror.close()


def metalink(files, mirrors, *, piece_bytes=0):
    """What a site would publish beside its downloads; with pieces of this length, 0 = none."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<metalink xmlns="urn:ietf:params:xml:ns:metalink">']
    for name, data in files.items():
        lines += [
            f'<file name="live/{name}"><size>{len(data)}</size>',
            f'<hash type="sha-256">{hashlib.sha256(data).hexdigest()}</hash>',
            *([pieces(data, piece_bytes)] if piece_bytes else []),
            *(f'<url priority="{n}">{mirror.url(name)}</url>' for n, mirror in enumerate(mirrors, 1)),
            "<url>ftp://127.0.0.1/x</url></file>",
        ]
    return "\n".join([*lines, "</metalink>"])


def pieces(data, length):
    """Hashes of pieces, as a Metalink lists them."""
    digests = (hashlib.sha256(data[at : at + length]).hexdigest() for at in range(0, len(data), length))
    hashes = "".join(f"<hash>{digest}</hash>" for digest in digests)
    return f'<pieces length="{length}" type="sha-256">{hashes}</pieces>'


def fetched(tmp_path, text):
    """Make a manifest of a Metalink, check it, and run it; gives root and state."""
    root, state = tmp_path / "root", tmp_path / "state"
    (tmp_path / "concert.meta4").write_text(text)
    for words in (
        ["init"],
        ["job", "new", "multi-source", "--metalink", str(tmp_path / "concert.meta4")],
        ["validate"],
    ):
        assert CliRunner().invoke(cli, [*words, "--root", str(root)]).exception is None
    run("run", "--once", "--root", root, "--state", state, check=0)
    return root, state


def test_a_metalink_becomes_files(tmp_path, servers):
    """The manifest that is written is valid, and completes without an edit."""
    files, mirrors = servers
    root, _ = fetched(tmp_path, metalink(files, mirrors))
    assert {name: (root / "library" / "live" / name).read_bytes() for name in files} == files
    assert [path.name for path in (root / "jobs" / "completed").iterdir()] == ["concert.yml"]


class First(FileServer):
    """Another mirror sends nothing until this one has answered once."""

    def __init__(self, files, other):
        self._other = other
        super().__init__(files)

    def answer(self, connection, head):
        super().answer(connection, head)
        self._other.gate.set()


def from_a_good_and_a_bad_mirror(tmp_path, *, piece_bytes):
    """Fetch twelve chunks of which the bad mirror sends others; gives the events and the chunks of the good one."""
    right = random.Random(1).randbytes(12 * CHUNK_BYTES)
    good = FileServer({"talk.bin": right}, holds_at=0)
    bad = First({"talk.bin": bytes(len(right))}, good)
    try:
        root, state = fetched(tmp_path, metalink({"talk.bin": right}, [good, bad], piece_bytes=piece_bytes))
    finally:
        good.close()
        bad.close()
    assert (root / "library" / "live" / "talk.bin").read_bytes() == right
    events = events_of(root, state)
    assert [event.peer_id for event in events if event.action == "banned"] == [f"127.0.0.1:{bad.port}"]
    brought = [
        event.metadata["chunk"]
        for event in events
        if event.action == "received" and event.peer_id == f"127.0.0.1:{good.port}"
    ]
    return events, sorted(brought)


@pytest.mark.parametrize("piece_bytes", [CHUNK_BYTES, CHUNK_BYTES // 4])
def test_a_wrong_piece_is_known_as_it_comes(tmp_path, piece_bytes):
    """Where whole pieces make a chunk, whoever sends another is named at its first one, and nothing of it is kept."""
    events, brought = from_a_good_and_a_bad_mirror(tmp_path, piece_bytes=piece_bytes)
    assert brought == list(range(12)), "each once: what was right stays"
    assert [event.action for event in events if event.action == "wrong whole"] == []
    assert [event.action for event in events if event.action == "bad hash"] == ["bad hash"], "at its first"
    (started,) = [event for event in events if event.type == "TrackStart"]
    assert started.metadata["verified_by"] == "pieces, then the whole file"


def test_a_mirror_that_sends_another_file_costs_what_it_sent(tmp_path):
    """Pieces of two chunks tell which are wrong when the whole is: they are fetched again, and nothing else is.

    What the good mirror had brought is asked for again only where the other chunk of its piece was the bad one's.
    """
    events, brought = from_a_good_and_a_bad_mirror(tmp_path, piece_bytes=2 * CHUNK_BYTES)
    banned = {event.peer_id for event in events if event.action == "banned"}
    received = {(event.metadata["chunk"], event.peer_id) for event in events if event.action == "received"}
    wrong_pieces = {chunk // 2 for chunk, peer in received if peer in banned}
    again = {chunk for chunk in brought if brought.count(chunk) > 1}
    assert set(brought) == set(range(12))
    assert {chunk // 2 for chunk in again} <= wrong_pieces
    wrong = [event.error_message for event in events if event.action == "wrong whole"]
    assert "of 6 pieces are wrong" in wrong[0]
