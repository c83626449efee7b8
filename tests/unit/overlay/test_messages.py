"""Questions, answers and bitfields survive the wire, and bad ones do not pass it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import PeerError
from reconciler.ids import Mbid, Root
from reconciler.overlay.messages import (
    HAVE_ANSWER_BYTES_MAX,
    HAVE_BYTES_MAX,
    HAVE_IDS_MAX,
    ROOTS_PER_RECORDING_MAX,
    HaveAnswer,
    HaveQuestion,
    HeldRoot,
    read_bitfield,
    write_bitfield,
)

MBID = Mbid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")


def root(number: int) -> Root:
    return Root(f"{number:064x}")


def mbid(number: int) -> Mbid:
    return Mbid(f"{number:08x}-9c0b-4ef8-bb6d-6bb9bd380a11")


def test_the_largest_question_and_answer_fit():
    """All that may be asked and answered at once stays within the bounds of a body."""
    many = range(HAVE_IDS_MAX)
    question = HaveQuestion(recordings=tuple(map(mbid, many)), roots=tuple(map(root, many)))
    assert len(question.write()) <= HAVE_BYTES_MAX
    assert HaveQuestion.read(question.write()) == question
    roots = tuple(map(root, range(ROOTS_PER_RECORDING_MAX)))
    answer = HaveAnswer(
        recordings={mbid(number): roots for number in many},
        roots={root(number): HeldRoot(size=1 << 36, complete=False) for number in many},
    )
    assert len(answer.write()) <= HAVE_ANSWER_BYTES_MAX
    assert HaveAnswer.read(answer.write()) == answer


@pytest.mark.parametrize(
    "body",
    [
        {"recordings": "x"},
        {"recordings": ["x"]},
        {"recordings": [MBID.upper()]},
        {"recordings": [MBID] * 201},
        {"roots": [1]},
        {"roots": [root(1)[:-1]]},
        {"roots": [[]]},
        {"roots": {root(1): 1}},
    ],
)
def test_bad_questions_are_refused(body):
    """Every id is checked, every list is bounded."""
    with pytest.raises(PeerError):
        HaveQuestion.read(json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        {"recordings": [MBID]},
        {"recordings": {"../x": [root(1)]}},
        {"recordings": {MBID: ["x"]}},
        {"recordings": {MBID: [root(1)] * 33}},
        {"roots": {root(1): 5}},
        {"roots": {root(1): {}}},
        {"roots": {root(1): {"size": 0}}},
        {"roots": {root(1): {"size": (1 << 36) + 1}}},
        {"roots": {root(1): {"size": 1, "complete": 1}}},
        {"roots": {"x": {"size": 1}}},
    ],
)
def test_bad_answers_are_refused(body):
    """A stranger's answer is held against every bound."""
    with pytest.raises(PeerError):
        HaveAnswer.read(json.dumps(body).encode())


@given(
    st.integers(min_value=1, max_value=70).flatmap(
        lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1)))
    )
)
def test_bitfields_survive_the_wire(case):
    """Which chunks are held is read back as written."""
    count, held = case
    field = write_bitfield(frozenset(held), count=count)
    assert len(field) == (count + 7) // 8
    assert read_bitfield(field, count=count) == held


@pytest.mark.parametrize(("count", "field"), [(1, b"\x80"), (8, b"\xff"), (9, b"\xff\x80"), (12, b"\xff\xf0")])
def test_a_whole_file_has_every_bit_and_no_spare_one(count, field):
    """The first chunk is the highest bit, as in BEP 3."""
    assert write_bitfield(None, count=count) == field


@pytest.mark.parametrize(("count", "field"), [(9, b"\xff"), (8, b"\xff\x00"), (1, b""), (9, b"\xff\x40"), (1, b"\x01")])
def test_bitfields_of_another_length_or_with_spare_bits_are_refused(count, field):
    """They are of another file, or of another program."""
    with pytest.raises(PeerError):
        read_bitfield(field, count=count)
