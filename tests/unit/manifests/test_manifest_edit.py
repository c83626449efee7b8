"""Setting and taking out one field of a person's file: exact, or refused with what to write by hand."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifests.document import Document
from reconciler.manifests.edit import EditRefusedError, remove_field, set_field
from reconciler.manifests.read import read_document

SUSPEND = ("spec", "suspend")
STATE = ("spec", "desired_state")
ASKED = ("reconcile_requested_at",)
REASON = {"reason": "on holiday: back soon # really", "until": "2026-12-01T00:00:00Z"}
REASON_TEXT = '{reason: "on holiday: back soon # really", until: "2026-12-01T00:00:00Z"}'


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("spec:\n  a: 1\n", SUSPEND, True, "spec:\n  suspend: true\n  a: 1\n"),
        ("spec:   # mine\n\n  # c\n  a:   1", STATE, "cancelled",
         "spec:   # mine\n  desired_state: cancelled\n\n  # c\n  a:   1"),
        ('"spec":\n a: {b:    1}\nz: 1\n', SUSPEND, REASON,
         f'"spec":\n suspend: {REASON_TEXT}\n a: {{b:    1}}\nz: 1\n'),
        ("spec:\n  suspend: false   # later\n  a: 1\n", SUSPEND, True, "spec:\n  suspend: true   # later\n  a: 1\n"),
        ("spec:\n  a: 1\n  suspend:   'x'", SUSPEND, True, "spec:\n  a: 1\n  suspend: true"),
        ("spec:\n  suspend:   # why\n    reason: x\n    # lost\n    until: y\n\n  # kept\n  a: 1\n", SUSPEND, True,
         "spec:\n  suspend: true   # why\n\n  # kept\n  a: 1\n"),
        ('spec:\n  suspend: {reason: "a } b", until: \'c # d\'} # e\n', SUSPEND, True, "spec:\n  suspend: true # e\n"),
        ("spec:\n  'suspend': a#b\n", SUSPEND, True, "spec:\n  'suspend': true\n"),
        ("spec:\n  suspend:\n    - a\n    - b\n  a: 1\n", SUSPEND, True, "spec:\n  suspend: true\n  a: 1\n"),
        ("spec:\n  suspend:\n  a: 1\n", SUSPEND, True, "spec:\n  suspend: true\n  a: 1\n"),
        ("spec:\n  suspend:\n    yes\n", SUSPEND, True, "spec:\n  suspend: true\n"),
        ('manifest_version: "1.0" # v\nspec:\n  a: 1\n', ASKED, "now",
         'manifest_version: "1.0" # v\nreconcile_requested_at: now\nspec:\n  a: 1\n'),
        ("# c\nmanifest_version: 1\njob_id: x\n# d\nspec: 1", ASKED, "9",
         '# c\nmanifest_version: 1\njob_id: x\nreconcile_requested_at: "9"\n# d\nspec: 1'),
        ("spec: 1\nmanifest_version: 1", ASKED, "now", "spec: 1\nmanifest_version: 1\nreconcile_requested_at: now"),
        ("reconcile_requested_at: old\nspec: 1\n", ASKED, "2026-11-22T10:00:00Z",
         "reconcile_requested_at: 2026-11-22T10:00:00Z\nspec: 1\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", [("", "\n"), ("\ufeff", "\n"), ("", "\r\n"), ("\ufeff", "\r\n")])
def test_only_the_field_is_written(before, path, value, after, form):
    """Comments, spacing, quotes, a byte order mark and CRLF around it stay as they are; twice is once."""
    bom, line_end = form

    def as_file(text):
        return (bom + text.replace("\n", line_end)).encode()

    new = set_field(as_file(before), path, value)
    assert new == as_file(after)
    assert set_field(new, path, value) == new


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("spec:\n  a: 1\n", SUSPEND, "spec:\n  a: 1\n"),
        ("spec:\n  suspend: true  # mine\n  a: 1\n", SUSPEND, "spec:\n  a: 1\n"),
        ("spec:\n  a: 1\n  suspend: true", SUSPEND, "spec:\n  a: 1\n"),
        ("spec:\n  a: 1\n  suspend:\n    reason: x\n# after\nz: 1\n", SUSPEND, "spec:\n  a: 1\n# after\nz: 1\n"),
        ("a: 1\nreconcile_requested_at: x\n\n# c\n", ASKED, "a: 1\n\n# c\n"),
        ("reconcile_requested_at: x\na: 1\n", ASKED, "a: 1\n"),
    ],
)
def test_a_field_is_taken_out_with_its_lines(before, path, after):
    """What it does not have stays; a field that is not there is nothing to do."""
    assert remove_field(before.encode(), path) == after.encode()


@pytest.mark.parametrize(
    ("text", "why", "line"),
    [
        ("spec: {a: 1}\n", "`spec` stands in braces", 1),
        ("z: 1\nspec:\n  {a: 1}\n", "`spec` stands in braces", 2),
        ("spec: {suspend: false}\n", "`spec.suspend` does not begin its line", 1),
        ("{spec: {a: 1}}\n", "the file is not a mapping in block style", 1),
        ("- spec\n", "the file is not a mapping in block style", 1),
        ("spec:\n", "`spec` has no fields", 1),
        ("spec:\n- a: 1\n", "`spec` has no fields", 1),
        ("a: 1\n", "`spec` has no fields", 0),
        ("? spec\n:\n  a: 1\n", "`spec` is written in an unusual way", 1),
        ("spec:\n  suspend: |\n    text\n", "`spec.suspend` is written in an unusual way", 2),
        ("spec:\n  suspend: [a]\n", "`spec.suspend` is written in an unusual way", 2),
        ('spec:\n  suspend: "a\n    b"\n', "`spec.suspend` is written in an unusual way", 2),
        ("spec:\n  suspend: a\n    b\n  c: 1\n", "another value for `spec.suspend` would change the meaning of others",
         2),
        ("spec:\n  suspend: {a: 1,\n    b: 2\n    }\n", "`spec.suspend` is written in an unusual way", 2),
        ("spec:\n  a: 1\r  b: 2\n", "a carriage return alone ends a line", 2),
        ("spec:\n  a: &x 1\n", "anchor `&x`", 2),
        ("<<<<<<< ours\nspec:\n  a: 1\n", "a git conflict marker", 1),
    ],
)  # fmt: skip
def test_what_cannot_be_exact_is_refused(text, why, line):
    """The reason, the line, and what to write by hand; the file is not touched."""
    with pytest.raises(EditRefusedError) as refused:
        set_field(text.encode(), SUSPEND, True)
    assert (refused.value.reason, refused.value.line) == (why, line)
    assert refused.value.hint == "write `suspend: true` below `spec:` by hand"


def test_taking_out_a_text_over_several_lines_is_refused():
    """The rest of it would become part of what stands before."""
    with pytest.raises(EditRefusedError) as refused:
        remove_field(b"spec:\n  a: 1\n  suspend: x\n    y\n", SUSPEND)
    assert refused.value.hint == "take `suspend` below `spec:` out by hand"


def test_a_file_without_a_version_has_no_place_for_a_root_field():
    """The daemon's fields stand below the identity; what has none is not a manifest."""
    with pytest.raises(EditRefusedError, match="manifest_version is missing"):
        set_field(b"spec: 1\n", ASKED, "now")


def edited_or_refused(edit):
    """The new bytes, or None for a refusal, which has a reason."""
    try:
        return edit()
    except EditRefusedError as refused:
        if not refused.reason:
            raise
        return None


KEYS = st.sampled_from(["suspend", "a", "b c", "desired_state", "tracks"])
SCALARS = st.sampled_from(
    ["x", "'it''s'", '"q # q"', "a#b", "{k: v}", "{k: 'v, w'}", "[1, 2]", "", "|\n      t\n      # t", "x\n      y"]
)
COMMENTS = st.sampled_from(["", " # c", "\n    # c", "\n"])


@given(
    entries=st.lists(st.tuples(KEYS, SCALARS, COMMENTS), min_size=1, max_size=4, unique_by=lambda entry: entry[0]),
    tail=st.sampled_from(["", "\n", "\n# end\n", "\nz: 1\n"]),
    value=st.sampled_from([True, "cancelled", {"reason": 'say "no", twice'}]),
)
def test_an_edit_is_exact_or_refused(entries, tail, value):
    """Of documents of every odd form: only the field differs, and taking a new one out gives the bytes from before."""
    text = "spec:\n" + "\n".join(f"    {key}: {scalar}{comment}" for key, scalar, comment in entries) + tail
    data = text.encode()
    before = read_document(data)
    if not isinstance(before, Document):
        return
    new = edited_or_refused(lambda: set_field(data, SUSPEND, value))
    if new is None:
        return
    after = read_document(new)
    assert isinstance(after, Document)
    rest = {key: each for key, each in before.tree["spec"].items() if key != "suspend"}
    assert after.tree == {**before.tree, "spec": {**rest, "suspend": "true" if value is True else value}}
    if "suspend" not in before.tree["spec"]:
        assert remove_field(new, SUSPEND) == data


def test_an_edit_of_random_bytes_never_ends_in_a_traceback():
    """Whatever a file holds: new bytes or a refusal."""
    dice = random.Random(11)
    alphabet = "spec:\n  suspend true\"'{}[]|>#&*-?,\r\t"
    for _ in range(3000):
        data = "".join(dice.choices(alphabet, k=dice.randrange(40))).encode()
        edited_or_refused(lambda data=data: set_field(data, SUSPEND, True))
        edited_or_refused(lambda data=data: remove_field(data, SUSPEND))
