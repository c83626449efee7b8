"""Git's filter protocol, byte for byte, and against git itself."""

import io
import subprocess

import pytest
from e2e.rig import command

from reconciler.cli.cmd_git_filter import CHANGES, hide_status
from reconciler.cli.filter_protocol import PACKET_BYTES_MAX, serve
from reconciler.errors import InvalidInputError

GREETING = (b"git-filter-client\n", b"version=2\n", None)
OFFER = (b"capability=clean\n", b"capability=smudge\n", b"capability=delay\n", None)
HELLO = b"0016git-filter-server\n000eversion=2\n00000015capability=clean\n0016capability=smudge\n0000"


def packets(*items):
    """Packets as git sends them; None ends a list."""
    return b"".join(b"0000" if item is None else b"%04x%s" % (len(item) + 4, item) for item in items)


def answered(*items, bytes_max=100_000):
    """What the filter answers after the greeting."""
    sink = io.BytesIO()
    source = io.BytesIO(packets(*GREETING, *OFFER, *items))
    serve(source, sink, changes=CHANGES, content_bytes_max=bytes_max)
    assert sink.getvalue().startswith(HELLO)
    return sink.getvalue().removeprefix(HELLO)


def test_each_file_is_answered_in_turn():
    """`clean` hides the block, `smudge` gives back what was stored; one process answers for all."""
    clean = (b"command=clean\n", b"pathname=jobs/\xff.yml\n", None, b"spec: 1\nstat", b"us: 2\n", None)
    smudge = (b"command=smudge\n", b"pathname=a\n", b"ref=x\n", None, b"status: 2\n", None)
    success = packets(b"status=success\n", None)
    expected = success + packets(b"spec: 1\n", None, None) + success + packets(b"status: 2\n", None, None)
    assert answered(*clean, *smudge) == expected


def test_an_empty_and_a_large_file():
    """No content is no packet; much content is several."""
    content = b"# " + b"x" * (PACKET_BYTES_MAX + 10)
    request = (b"command=clean\n", None)
    empty = answered(*request, None)
    large = answered(*request, content[:PACKET_BYTES_MAX], content[PACKET_BYTES_MAX:], None)
    success = (b"status=success\n", None)
    assert empty == packets(*success, None, None)
    assert large == packets(*success, content[:PACKET_BYTES_MAX], content[PACKET_BYTES_MAX:], None, None)


def test_what_is_too_large_or_unknown_is_left_to_git():
    """The content is read to its end and an error is answered; the next file is answered as usual."""
    large = (b"command=clean\n", None, b"x" * 60, b"y" * 60, None)
    unknown = (b"command=dance\n", None, b"x", None)
    good = (b"command=clean\n", None, b"x", None)
    error = packets(b"status=error\n", None)
    answer = answered(*large, *unknown, *good, bytes_max=100)
    assert answer == error + error + packets(b"status=success\n", None, b"x", None, None)


@pytest.mark.parametrize(
    "given",
    [b"\n", b"zzzz", b"0002", b"fff5" + b"x" * 65_521, b"0008ab", packets(b"hello\n", None), packets(b"a\n")],
)
def test_what_is_not_git_is_refused(given):
    """Somebody ran it by hand: that is said; nothing is read beyond."""
    with pytest.raises(InvalidInputError) as refused:
        serve(io.BytesIO(given), io.BytesIO(), changes=CHANGES, content_bytes_max=10)
    assert refused.value.hint == "let git start this"


def test_a_list_without_an_end_is_refused():
    """A stream of lines does not fill the memory."""
    source = io.BytesIO(packets(*[b"version=2\n"] * 1000))
    with pytest.raises(InvalidInputError, match="more than 100 lines"):
        serve(source, io.BytesIO(), changes=CHANGES, content_bytes_max=10)


@pytest.mark.parametrize(
    ("data", "stored"),
    [
        (b"spec: 1\nstatus:\n  a: 1\n", b"spec: 1\n"),
        (b"spec: 1\nstatus:\n  a: 1", b"spec: 1"),
        (b"spec: 1\r\nstatus:\r\n  a: 1", b"spec: 1"),
        (b"status: 1\nspec: 1", b"spec: 1"),
        (b"spec: 1", b"spec: 1"),
        (b"{spec: 1, status: 2}\n", b"{spec: 1, status: 2}\n"),
        (b"<<<<<<< ours\nstatus: 1\n", b"<<<<<<< ours\nstatus: 1\n"),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"", b""),
    ],
)
def test_what_is_stored_of_a_file(data, stored):
    """The file as a person wrote it; what cannot be told apart stays whole. Twice is once."""
    assert hide_status(data) == stored
    assert hide_status(stored) == stored


@pytest.fixture
def clone(tmp_path):
    """A repository whose manifests go through the filter."""

    def git(*words):
        done = subprocess.run(["git", "-C", tmp_path, *words], capture_output=True, text=True, timeout=240, check=True)
        return done.stdout

    git("init", "--quiet", "--initial-branch=main")
    git("config", "user.name", "A Person")
    git("config", "user.email", "person@example.org")
    git("config", "filter.reconciler-status.process", " ".join(command("git-filter")))
    git("config", "filter.reconciler-status.required", "true")
    (tmp_path / ".gitattributes").write_text("*.yml -text filter=reconciler-status\n")
    return tmp_path, git


def test_git_sees_only_what_a_person_changed(clone):
    """A status that comes and changes is no change to git; a spec that changes is, and alone."""
    folder, git = clone
    for number in range(30):
        (folder / f"{number}.yml").write_bytes(b"spec: %d\r\n" % number)
    git("add", ".")
    git("commit", "--quiet", "--message=wishes")
    for number in range(30):
        (folder / f"{number}.yml").write_bytes(b"spec: %d\r\nstatus:\r\n  state: running\r\n" % number)
    assert git("diff") == ""
    git("add", "--update")
    assert git("status", "--short") == ""
    (folder / "7.yml").write_bytes(b"spec: seven\r\nstatus:\r\n  state: pending\r\n")
    assert git("status", "--short") == " M 7.yml\n"
    assert "status" not in git("diff")
    git("commit", "--quiet", "--all", "--message=seven")
    assert git("show", "HEAD:7.yml") == "spec: seven\n"  # read as text: the line end is \r\n
    git("checkout", "--quiet", "HEAD~1")
    assert (folder / "7.yml").read_bytes() == b"spec: 7\r\n"
    assert (folder / "8.yml").read_bytes() == b"spec: 8\r\nstatus:\r\n  state: running\r\n"
