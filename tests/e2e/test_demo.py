"""The demo, run as a person runs it."""

import re

import pytest
from e2e.rig import events_of, run


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """One demo, kept: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    return folder, run("demo", "--keep", folder, check=0).stdout


def test_the_demo_keeps_its_promises(kept):
    """Exit 0; same bytes; the liar is named, banned, and gave nothing; the manifest moved."""
    folder, printed = kept
    assert printed.count("the same bytes") == 3
    assert "What to try next" in printed
    (liar,) = re.findall(r"The liar (\S{12})… was caught", printed)
    root, state = folder / "root", folder / "state"
    assert list((root / "jobs" / "active").glob("*.yml")) == []
    assert [path.name for path in (root / "jobs" / "completed").glob("*.yml")] == ["demo.yml"]
    events = events_of(root, state)
    assert {event.peer_id for event in events if event.error_code == "bad hash"} == {
        event.peer_id for event in events if event.action == "banned"
    }
    (named,) = {event.peer_id for event in events if event.action == "banned"}
    assert named.startswith(liar)
    accepted = [event for event in events if event.type == "ChunkReceived" and not event.is_error]
    assert named not in {event.peer_id for event in accepted}
    assert len({event.peer_id for event in accepted}) == 2
    assert sum(event.type == "TrackComplete" for event in events) == 3


def test_the_kept_demo_can_be_looked_at(kept):
    """`status`, `job show` and `job trace` work on what was kept."""
    folder, _ = kept
    where = ("--root", folder / "root", "--state", folder / "state")
    table = run("status", *where, check=0).stdout
    assert "completed" in table
    assert "3/3" in table
    (job_id,) = re.findall(r"[0-9A-Z]{26}", table)
    shown = run("job", "show", job_id[:8], *where, check=0).stdout
    assert shown.count(".flac") == 3
    assert "Peer Contributions:" in run("job", "trace", job_id, *where, check=0).stdout
    log = folder / "root" / "logs" / "sessions" / f"{job_id}.log"
    assert run("job", "trace", job_id, "--events", *where, check=0).stdout == log.read_text()


def test_the_demo_never_writes_over_anything(tmp_path):
    """A folder that is not empty is refused, with what to do."""
    (tmp_path / "mine").write_text("keep me")
    done = run("demo", "--keep", tmp_path, check=2)
    assert "is not empty" in done.stderr
    assert "what to do" in done.stderr
