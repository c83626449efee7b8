"""What is changed of a manifest on its way in: the identity, the status, and braces around the whole."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_manifests import ALBUM, JOB, MBID

from reconciler.ids import JobId
from reconciler.manifests.admission import admitted, in_lines, provenance_of, readable
from reconciler.manifests.document import Document
from reconciler.manifests.edit import EditRefusedError
from reconciler.manifests.model import JobState
from reconciler.manifests.read import read_document, read_manifest
from reconciler.manifests.splice import SpliceRefusedError

OTHER = JobId("01HRQ4GSX9K47J7M5FK7VW8B13")
NOW = "2026-01-02T03:04:05Z"
NAMED = ALBUM.replace(b"job_type", f"job_id: {JOB}   # mine\njob_type".encode(), 1)
STATUS = b"status:\n  state: completed\n  node: nas\n  completed_tracks: [1, 2]\n"
WISH = {
    "manifest_version": "1.0",
    "job_type": "mb_release",
    "labels": {},
    "spec": {
        "mb_release_id": MBID,
        "title": "\U0001f3b5 \\ud83c \u00e9",
        "target_dir": "library",
        "priority": 0,
        "tracks": [{"position": 1, "title": "Yes", "mb_recording_id": MBID, "duration_ms": 1000}],
        "constraints": {"allow_lossy": False, "min_bitrate_kbps": 0, "preferred_codecs": ["FLAC", "no"]},
    },
}


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_only_the_id_and_the_status_are_touched(bom, line_end):
    """Comments, layout, CRLF and a byte order mark stay; the status goes, wherever it stands."""
    after = b"# the end\nlabels: {a: b}\n"
    before = NAMED.replace(b"labels: {}\n", b"")
    given = bom + (before + STATUS + after).replace(b"\n", line_end)
    wanted = bom + (before.replace(JOB.encode(), OTHER.encode()) + after).replace(b"\n", line_end)
    assert admitted(given, job_id=OTHER, created_at=NOW) == wanted
    assert admitted(wanted, job_id=OTHER, created_at=NOW) == wanted


def test_a_manifest_without_an_id_gets_one_and_the_time():
    """Two lines below the version, and nothing else."""
    new = admitted(ALBUM, job_id=OTHER, created_at=NOW)
    assert new.replace(f"job_id: {OTHER}\ncreated_at: {NOW}\n".encode(), b"") == ALBUM
    assert read_manifest(new).manifest.job_id == OTHER


def test_what_leaves_no_exact_place_is_refused():
    """Braces around a YAML that is no JSON, with and without an id."""
    for text, refusal in (
        ("{manifest_version: '1.0', # c\n job_type: x}\n", SpliceRefusedError),
        ("{job_id: x, # c\n job_type: x}\n", EditRefusedError),
    ):
        assert in_lines(text.encode()) == text.encode()
        with pytest.raises(refusal):
            admitted(text.encode(), job_id=OTHER, created_at=NOW)


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_becomes_yaml_that_means_the_same(indent, ascii_only):
    """However it is laid out and escaped: nothing is lost, no false and no zero, and a field has a line."""
    data = json.dumps(WISH, indent=indent, ensure_ascii=ascii_only).encode()
    before, new = read_document(readable(data)), in_lines(readable(data))
    after = read_document(new)
    assert isinstance(before, Document)
    assert after.tree == before.tree
    assert after.tree["spec"]["title"] == WISH["spec"]["title"]
    assert after.tree["spec"]["constraints"] == {
        "allow_lossy": "false", "min_bitrate_kbps": "0", "preferred_codecs": ["FLAC", "no"],
    }  # fmt: skip
    assert b"  priority: 0\n" in new
    manifest = read_manifest(admitted(new, job_id=OTHER, created_at=NOW)).manifest
    assert manifest is not None
    assert manifest.spec_digest == read_manifest(readable(data)).manifest.spec_digest


def test_a_problem_of_json_stands_where_it_is_said_to():
    """What is done to make JSON readable moves no line."""
    data = json.dumps({**WISH, "spec": {**WISH["spec"], "titel": "x"}}, indent="\t").encode()
    (problem,) = read_manifest(readable(data)).problems
    lines = data.decode().split("\n")
    assert '"titel"' in lines[problem.line - 1]
    assert lines[problem.line - 1].index('"titel"') == problem.column - 1


@pytest.mark.parametrize(
    "data",
    [
        b"{" * 100_000,
        b'{"a": ' * 100_000,
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"a": "\\ud83c"}',
        b'{"a": "\xff"}',
        b'["a"]',
        b"{a: b}",
        b'{"a": {}, "a": {}}',
        b" " * 300_000 + b"{}",
    ],
)
def test_what_only_looks_like_json_stays_as_it_is(data):
    """Nested too deep, too large, cut in half, not UTF-8: the reader says what is wrong, and nothing breaks before."""
    assert in_lines(data) == data
    assert isinstance(read_document(readable(data)), tuple) or read_manifest(readable(data)).manifest is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=4))
def test_any_json_object_is_the_same_in_lines_or_stays(fields):
    """Whatever the texts and keys are called: what is written reads as what was given."""
    data = readable(json.dumps(fields).encode())
    before = read_document(data)
    new = in_lines(data)
    if isinstance(before, tuple):
        assert new == data
    else:
        assert read_document(new).tree == before.tree


def test_a_status_only_says_where_a_job_came_from():
    """State, node and how many tracks, in words; made-up ones say nothing."""
    was = provenance_of(read_document(NAMED + STATUS))
    assert (was.state, was.node, was.tracks_completed) == (JobState.COMPLETED, "nas", 2)
    assert str(was) == "completed on nas, 2 tracks"
    for status in (
        b"",
        b"status: completed\n",
        b"status: {state: great}\n",
        b"status: {state: [running]}\n",
        b"status:\n",
    ):
        assert provenance_of(read_document(NAMED + status)) is None
    odd = provenance_of(read_document(NAMED + b'status: {state: failed, node: "a\\tb", completed_tracks: x}\n'))
    assert str(odd) == "failed on a\\tb"
