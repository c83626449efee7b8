"""Writing status and identity into a person's file: exact, or refused with a reason."""

import os
import random
from functools import cache

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ids import JobId, TrackPosition
from reconciler.manifests.block import TEXT_CHARS_MAX
from reconciler.manifests.document import Document
from reconciler.manifests.model import Children, Condition, JobState, Status
from reconciler.manifests.read import MANIFEST_BYTES_MAX, read_document
from reconciler.manifests.splice import SpliceRefusedError, insert_identity, splice_status, without_status

RUNNING = Status(
    state=JobState.RUNNING,
    started_at="2025-12-10T15:30:15Z",
    completed_tracks=(TrackPosition(1),),
    in_progress_tracks=(TrackPosition(2),),
    pending_tracks=(TrackPosition(3), TrackPosition(4)),
    bytes_total=512_000_000,
    bytes_done=45_000_000,
)
RUNNING_TEXT = """\
status:
  state: running
  started_at: 2025-12-10T15:30:15Z
  completed_tracks: [1]
  in_progress_tracks: [2]
  pending_tracks: [3, 4]
  bytes_total: 512000000
  bytes_done: 45000000
"""
FAILED = Status(
    state=JobState.FAILED,
    failed_tracks=(TrackPosition(1),),
    error_message='peer "x": no such file # really',
    observed_generation=3,
    observed_spec_digest="sha256:" + "0" * 64,
    retry_attempts=2,
    retry_next_at="2025-12-10T16:00:00Z",
    conditions=(
        Condition(type="Ready", status="False", reason="TracksFailed", message="1 of 4"),
        Condition(type="Stalled", status="Unknown", reason="Retrying", last_transition_time="2025-12-10T15:31:00Z"),
    ),
)
FAILED_TEXT = f"""\
status:
  state: failed
  failed_tracks: [1]
  error_message: "peer \\"x\\": no such file # really"
  observed_generation: 3
  observed_spec_digest: sha256:{"0" * 64}
  retry:
    attempts: 2
    next_at: 2025-12-10T16:00:00Z
  conditions:
    - type: Ready
      status: "False"
      reason: TracksFailed
      message: "1 of 4"
    - type: Stalled
      status: Unknown
      reason: Retrying
      last_transition_time: 2025-12-10T15:31:00Z
"""
PENDING = Status(state=JobState.PENDING)
PENDING_TEXT = "status:\n  state: pending\n"


@pytest.mark.parametrize(("status", "text"), [(RUNNING, RUNNING_TEXT), (FAILED, FAILED_TEXT), (PENDING, PENDING_TEXT)])
def test_a_status_is_written_as_the_reference_shows_it(status: Status, text: str):
    """Block style, lists of tracks in brackets, empty fields left out."""
    assert splice_status(b"spec: 1\n", status).decode() == "spec: 1\n" + text


@pytest.mark.parametrize(
    ("before", "old", "after"),
    [
        ("spec: 1\n", "status: old\n", ""),
        ("spec: 1\n", "status:\n", ""),
        ("spec: 1\n", "status: # c\n  a: 1\n", ""),
        ("spec: 1  # mine\n\n", "status:\n  a: 1\n  # lost\n  b: |\n    x\n\n    y\n", "\n# mine\nz: 'q'   \n"),
        ("spec: 1\n", "status: {a: 1,\n# within\n  b: 2}\n", "# after\n"),
        ("spec: 1\n", '"status": 1\n', "z: 1\n"),
        ("spec: 1\n", "status:\n- a\n- b\n", "\n\n"),
        ("spec: 1\n", "status:\n  - a: 1\n  -\n", "  # after\n\n# after\nz: 1\n"),
        ("spec: 1\n", 'status: "a\n  # text\n  b"\n', "# after\nz: 1\n"),
        ("spec: 1\n", "status: ~\n", "...\n# after\n"),
        ("", "status: 1\n", "spec: 1\n"),
        ("%YAML 1.2\n---\n# c\n", "'status': |+\n  x\n", "\n\nspec:\n- 1\n-   2\n"),
        ("spec: {a:    1}\nt: 'é🎵'\n", "status: >-\n  x\n   y\n", "# c\r\n".replace("\r", "")),
    ],
)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_only_the_block_is_replaced(before: str, old: str, after: str, bom: bytes, line_end: str):
    """Comments, blank lines, quoting, a byte order mark and CRLF around the block stay as they are; twice is once."""

    def as_file(text: str) -> bytes:
        return bom + text.replace("\n", line_end).encode()

    new = splice_status(as_file(before + old + after), RUNNING)
    assert new == as_file(before + RUNNING_TEXT + after)
    assert splice_status(new, RUNNING) == new
    assert without_status(new) == as_file(before + after)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("spec: 1\nstatus: old", "spec: 1\nstatus:\n  state: pending"),
        ("spec: 1", "spec: 1\nstatus:\n  state: pending"),
        ("spec: 1\r\nx: 2", "spec: 1\r\nx: 2\r\nstatus:\r\n  state: pending"),
        ("status: old\nspec: 1", "status:\n  state: pending\nspec: 1"),
        ("spec: 1\nstatus: old\n# c", "spec: 1\nstatus:\n  state: pending\n# c"),
        ("spec: 1\n...", "spec: 1\nstatus:\n  state: pending\n..."),
    ],
)
def test_a_file_without_a_last_line_end_keeps_it_so(old: str, new: str):
    """The block takes over what the last line lacked."""
    assert splice_status(old.encode(), PENDING).decode() == new


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("{spec: 1}\n", "the whole file stands in braces", 1),
        ("- 1\n", "the file is not a mapping", 1),
        ("", "the file is not a mapping", 1),
        (" spec: 1\n status: 2\n", "`spec` does not begin in column 1", 1),
        ("spec: 1\n? status\n: 2\n", "`status` does not begin in column 1", 2),
        ("spec: 1\nx: 2\ry: 3\n", "a carriage return alone ends a line", 2),
        ("spec: 1\n---\nstatus: 2\n", "a second document starts here", 2),
        ("a: 1\na: 2\n", "`a` stands here twice, first in line 1", 2),
        ("a: &x 1\nstatus: *x\n", "anchor `&x`", 1),
        ("a: 1\n<<<<<<< HEAD\n", "a git conflict marker", 2),
        ("a:\n\tb: 1\n", "not YAML: found character that cannot start any token", 2),
        ("a: |+\n  x", "the daemon's fields would change the meaning of others", 0),
    ],
)
def test_what_has_no_exact_place_is_refused_with_the_reason(text: str, reason: str, line: int):
    """Nothing is reformatted: the file is left alone, and the line is named."""
    with pytest.raises(SpliceRefusedError) as refusal:
        splice_status(text.encode(), RUNNING)
    assert (refusal.value.reason, refusal.value.line) == (reason, line)
    assert refusal.value.hint
    assert str(refusal.value).startswith(f"line {line}: " if line else reason)


def test_a_status_that_would_make_the_file_unreadable_is_refused():
    """A manifest at the size limit stays readable: it gets no status."""
    data = b"spec: 1\n#" + b"x" * (MANIFEST_BYTES_MAX - 20) + b"\n"
    with pytest.raises(SpliceRefusedError, match="larger than 256 KiB"):
        splice_status(data, RUNNING)


@given(st.text(max_size=600), st.text(max_size=20))
def test_any_text_in_a_status_reads_back_on_one_line(message: str, reason: str):
    """What a stranger's error says cannot break the block, whoever reads it."""
    status = Status(
        state=JobState.FAILED,
        error_message=message,
        conditions=(Condition(type="Ready", status="True", reason=reason),),
    )
    new = splice_status(b"spec: 1\n", status)
    assert new.count(b"\n") == 7 + (message != "") - (reason == "")
    read = yaml.safe_load(new)["status"]
    shown = read.get("error_message", "")
    assert isinstance(shown, str)
    assert len(shown) <= TEXT_CHARS_MAX
    if message.isprintable() and len(message) <= TEXT_CHARS_MAX:
        assert shown == message
    assert read["conditions"][0]["status"] == "True"


@pytest.mark.parametrize(
    "text",
    ["yes", "No", "null", "y", "on", "12", "0x1f", "1e3", "4:02", "2025-12-10", "~", "- a", "a: b", "a #b", ".5", ""],
)
def test_a_text_stays_text_for_every_reader(text: str):
    """A reader that guesses types, as YAML 1.1 does, guesses text."""
    new = splice_status(b"spec: 1\n", Status(state=JobState.FAILED, error_message=text))
    assert yaml.safe_load(new)["status"].get("error_message", "") == text


JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
MANIFEST = '# mine\nmanifest_version: "1.0"   # version\njob_type: x\nspec:\n  - a\n'


def test_a_missing_identity_is_added_below_the_version():
    """Two lines come, every other byte stays."""
    new = insert_identity(MANIFEST.encode(), job_id=JOB, created_at="2025-12-10T15:30:00Z")
    added = f"job_id: {JOB}\ncreated_at: 2025-12-10T15:30:00Z\n"
    assert new.decode() == MANIFEST.replace("job_type", f"{added}job_type")
    crlf = insert_identity(MANIFEST.replace("\n", "\r\n").encode(), job_id=JOB, created_at=None)
    assert crlf.decode() == MANIFEST.replace("job_type", f"job_id: {JOB}\njob_type").replace("\n", "\r\n")


def test_only_what_is_missing_is_added():
    """A field that stands there is not touched, not even an empty one; then the file comes back as it was."""
    both = MANIFEST + "created_at: whenever\njob_id:\n"
    assert insert_identity(both.encode(), job_id=JOB, created_at="2025-12-10T15:30:00Z") == both.encode()
    one = MANIFEST + "created_at: whenever"
    new = insert_identity(one.encode(), job_id=JOB, created_at="2025-12-10T15:30:00Z")
    assert new.decode() == one.replace("job_type", f"job_id: {JOB}\njob_type")


def test_an_all_digit_identity_is_quoted():
    """A ULID may look like a number; it stays text."""
    new = insert_identity(MANIFEST.encode(), job_id=JobId("01234567890123456789012345"), created_at=None)
    assert b'\njob_id: "01234567890123456789012345"\n' in new


def test_an_identity_below_a_version_in_the_last_line():
    """A file that ends right after its version ends right after its identity."""
    new = insert_identity(b"spec: 1\nmanifest_version: 1.0", job_id=JOB, created_at=None)
    assert new == b"spec: 1\nmanifest_version: 1.0\njob_id: " + JOB.encode()


@pytest.mark.parametrize("text", ["spec: 1\n", "{manifest_version: 1}\n", " manifest_version: 1\n"])
def test_an_identity_without_an_exact_place_is_refused(text: str):
    """The reason is given."""
    with pytest.raises(SpliceRefusedError) as refusal:
        insert_identity(text.encode(), job_id=JOB, created_at=None)
    assert refusal.value.reason


# CI has 20,000, some 15 s.
DOCUMENTS = int(os.environ.get("RECONCILER_TEST_SPLICES", "4000"))

HEADS = ["", "# c\n", "\ufeff# c\n", "\ufeff", "---\n", "%YAML 1.1\n---\n", "\n\n", "--- # c\n"]
BLOCKS = [
    "job_id: 01X   # id\n",
    "spec:\n  q: 'a'   \n  l: [a,  b]\n",
    "list:\n- 1\n-   2\n",
    "a: >-\n  folded\n\n  text\n\n",
    "n:\n",
    "\n\n# free comment\n",
    "x: 1\n  # indented comment\n",
    "t: 'é🎵'\n",
    "s: |+\n  keep\n\n",
    "s2: |\n  clip\n",
    "m: {a: 1,\n    b: [2,\n  3]}\n",
    'quoted: "over\n  # two lines"\n',
    "tab:\t1\t# c\n",
    "space: x   \n",
]
TROUBLE = [
    "anchor: &x {a: 1}\n",
    "n: twice\n",
    "lone: 1\r",
    "---\n",
    "...\n",
    "? explicit\n: 1\n",
    "bad: [1\n",
]
STATUSES = [
    "status: old\n",
    "status:\n",
    "status: # c\n  a: 1\n",
    "status:\n  a: 1\n  # in\n  b: |\n    x\n\n    y\n",
    "status: {a: 1,\n  b: 2}\n",
    '"status": 1\n',
    "status:\n- a\n- b\n",
    "status: |+\n  x\n",
    "status:   >-\n  x\n  # text\n",
    "status: 'a\n\n  b'\n",
    "",
]


def _random_document(dice: random.Random) -> tuple[str, str, str]:
    blocks = BLOCKS if dice.random() < 0.8 else BLOCKS + TROUBLE
    chosen = dice.sample(blocks, dice.randint(1, 5))
    cut = dice.randint(0, len(chosen))
    parts = [dice.choice(HEADS) + "".join(chosen[:cut]), dice.choice(STATUSES), "".join(chosen[cut:])]
    if dice.random() < 0.3:
        parts = [part.replace("\n", "\r\n") for part in parts]
    return parts[0], parts[1], parts[2]


def _random_status(dice: random.Random) -> Status:
    return Status(
        state=dice.choice(list(JobState)),
        bytes_done=dice.choice([0, 1, 10**12]),
        pending_tracks=tuple(TrackPosition(n) for n in range(dice.randint(0, 4))),
        error_message=dice.choice(["", "a: b", "#", "'", '"', "\r\n", "é", "x" * 600]),
        conditions=dice.choice([(), FAILED.conditions]),
        node=dice.choice(["", "nas", "yes", "1e3", "my: node"]),
        last_handled_reconcile_at=dice.choice(["", "2025-12-10T15:30:00Z", "now please # really"]),
        children=dice.choice([None, Children(total=12, completed=3, failed=0)]),
    )


@cache
def _as_written(status: Status, line_end: str) -> str:
    return splice_status(b"x: 1\n", status).decode().removeprefix("x: 1\n").replace("\n", line_end)


def _spliced_or_none(whole: str, status: Status) -> bytes | None:
    try:
        return splice_status(whole.encode(), status)
    except SpliceRefusedError as refusal:
        return None if refusal.reason and refusal.hint else b"refused without a reason"


def test_random_documents_are_spliced_exactly_or_refused_with_a_reason():
    """What stands before the block and after it comes out byte by byte; a second splice of the same changes nothing."""
    dice = random.Random(20251210)
    spliced = refused = 0
    for _ in range(DOCUMENTS):
        before, old, after = _random_document(dice)
        whole = before + old + after
        if dice.random() < 0.3:
            whole = whole.rstrip("\r\n")
        status = _random_status(dice)
        new = _spliced_or_none(whole, status)
        if new is None:
            refused += 1
            continue
        spliced += 1
        text, seen = new.decode(), repr(whole)
        block = _as_written(status, "\r\n" if whole.removeprefix("\ufeff").partition("\n")[0].endswith("\r") else "\n")
        assert text.count(block.rstrip()) == 1, seen
        outside = text.replace(block, "").replace(block.rstrip(), "")
        assert outside.rstrip("\r\n") == (before + after).rstrip("\r\n"), seen
        assert splice_status(new, status) == new, seen
        documents = read_document(whole.encode()), read_document(new)
        for document in documents:
            assert isinstance(document, Document), seen
            assert isinstance(document.tree, dict), seen
            document.tree.pop("status", None)
        assert documents[0].tree == documents[1].tree, seen
    assert spliced > DOCUMENTS // 2
    assert refused > DOCUMENTS // 20
