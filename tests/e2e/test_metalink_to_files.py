"""From a Metalink to published files: `job new`, `validate`, `run`, against web servers on this machine."""

import hashlib
import random

import pytest
from click.testing import CliRunner
from e2e.rig import run
from file_server import FileServer

from reconciler.cli.main import cli

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


def metalink(files, mirrors):
    """What a site would publish beside its downloads."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<metalink xmlns="urn:ietf:params:xml:ns:metalink">']
    for name, data in files.items():
        lines += [
            f'<file name="live/{name}"><size>{len(data)}</size>',
            f'<hash type="sha-256">{hashlib.sha256(data).hexdigest()}</hash>',
            *(f'<url priority="{n}">{mirror.url(name)}</url>' for n, mirror in enumerate(mirrors, 1)),
            "<url>ftp://127.0.0.1/x</url></file>",
        ]
    return "\n".join([*lines, "</metalink>"])


def test_a_metalink_becomes_files(tmp_path, servers):
    """The manifest that is written is valid, and completes without an edit."""
    files, mirrors = servers
    root, state = tmp_path / "root", tmp_path / "state"
    (tmp_path / "concert.meta4").write_text(metalink(files, mirrors))
    for words in (
        ["init"],
        ["job", "new", "multi-source", "--metalink", str(tmp_path / "concert.meta4")],
        ["validate"],
    ):
        assert CliRunner().invoke(cli, [*words, "--root", str(root)]).exception is None
    run("run", "--once", "--root", root, "--state", state, check=0)
    assert {name: (root / "library" / "live" / name).read_bytes() for name in files} == files
    assert [path.name for path in (root / "jobs" / "completed").iterdir()] == ["concert.yml"]
