"""The merge of two edits: by lines and by fields, and only where both agree."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.reconcile.conflict import Apart, Equal, Merged, compare

BASE = textwrap.dedent(
    """\
    # my favourite
    manifest_version: "1.0"
    job_id: 01HRQ4GSX9K47J7M5FK7VW8B12
    job_type: mb_release
    spec:
      mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
      title: Loveless   # 1991
      artist: My Bloody Valentine
      target_dir: library

      tracks:
        - {position: 1, title: One, mb_recording_id: 00000000-0000-0000-0000-000000000001}
        - {position: 2, title: Two, mb_recording_id: 00000000-0000-0000-0000-000000000002}
        - {position: 3, title: Three, mb_recording_id: 00000000-0000-0000-0000-000000000003}
      constraints:
        allow_lossy: false
    """
)


def edited(*pairs, of=BASE):
    """A version with these texts replaced."""
    for old, new in pairs:
        assert of.count(old) == 1, old
        of = of.replace(old, new)
    return of.encode()


def merge(ours, theirs, *bases):
    """The verdict, over the base alone where no other is given."""
    return compare(ours, theirs, bases or (BASE.encode(),))


TITLE = ("Loveless ", "Isn't Anything ")
LOSSY = ("allow_lossy: false", "allow_lossy: true")
THIRD = ("title: Three", "title: Drei")
GONE_TRACK = ("    - {position: 3, title: Three, mb_recording_id: 00000000-0000-0000-0000-000000000003}\n", "")
COMMENT = ("# my favourite", "# my second favourite")
NOTE = ("library\n", "library  # the large disk\n")


def test_the_same_bytes_are_equal():
    """A status was all that differed."""
    assert merge(edited(TITLE), edited(TITLE)) == Equal()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([TITLE], [LOSSY]),
        ([TITLE], [GONE_TRACK]),
        ([THIRD], [TITLE, LOSSY]),
        ([COMMENT], [TITLE]),
        ([COMMENT], [NOTE]),
        ([TITLE, THIRD], [THIRD, LOSSY]),
        ([("My Bloody Valentine\n", "My Bloody Valentine\n  priority: 5\n")], [LOSSY]),
    ],
)
def test_disjoint_edits_are_both_kept_to_the_byte(ours, theirs):
    """Comments, order and spacing of both sides stay, and each order of the sides gives the same."""
    both = edited(*dict.fromkeys([*ours, *theirs]))
    assert merge(edited(*ours), edited(*theirs)) == Merged(document=both)
    assert merge(edited(*theirs), edited(*ours)) == Merged(document=both)


def test_an_edit_that_is_there_already_changes_nothing():
    """After a crash between the merge and the removal of the copy."""
    assert merge(edited(TITLE, LOSSY), edited(LOSSY)) == Merged(document=edited(TITLE, LOSSY))


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        ([TITLE], [("Loveless ", "Glider ")], ["spec.title", "'Isn't Anything'", "'Glider'"]),
        ([THIRD], [GONE_TRACK], ["spec.tracks[2].title", "'Drei'", "not there"]),
        ([LOSSY], [("allow_lossy: false", "allow_lossy: null")], ["spec.constraints.allow_lossy", "empty"]),
        (
            [("target_dir: library\n", "target_dir: library\n  suspend: true\n")],
            [("target_dir: library\n", "target_dir: library\n  suspend: {reason: x}\n")],
            ["spec.suspend", "'true'"],
        ),
    ],
)
def test_edits_of_one_field_are_told_with_both_values(ours, theirs, told):
    """A person chooses."""
    verdict = merge(edited(*ours), edited(*theirs))
    assert isinstance(verdict, Apart)
    for text in told:
        assert text in verdict.why


def test_edits_that_meet_in_a_line_are_left_to_a_person():
    """Different fields of one line: the fields do not contradict each other, the lines do."""
    ours = edited(("{position: 2, title: Two", "{position: 2, title: Zwei"))
    theirs = edited(("000000000002}", "000000000022}"))
    verdict = merge(ours, theirs)
    assert isinstance(verdict, Apart)
    assert "lines" in verdict.why


def test_a_shifted_list_is_not_taken_for_an_edited_one():
    """A track put in front moves all others by one: an edit of the old first track must not land on the new one."""
    first = "    - {position: 1, title: One"
    ours = edited(
        (first, f"    - {{position: 9, title: Nine, mb_recording_id: {'0' * 8}-0000-0000-0000-{'9' * 12}}}\n{first}")
    )
    theirs = edited(("title: One,", "title: Eins,"))
    assert isinstance(merge(ours, theirs), Apart)


def test_differences_of_comments_alone_are_merged_or_told():
    """A comment is worth as much as a field."""
    verdict = merge(edited(COMMENT), edited(("# my favourite", "# not mine")))
    assert isinstance(verdict, Apart)


# ---- which base ------------------------------------------------------------------------------------------------------


def test_the_version_that_is_acted_on_now_is_not_the_base():
    """Our edit was acted on before the conflict came: with it as the base, theirs would look like its undoing."""
    ours = edited(TITLE)
    assert merge(ours, edited(LOSSY), ours, BASE.encode()) == Merged(document=edited(TITLE, LOSSY))


def test_who_was_away_for_two_edits_undoes_neither():
    """The base is the version that both are nearest to."""
    second = edited(TITLE)
    third = edited(TITLE, THIRD)
    verdict = merge(third, edited(LOSSY), third, second, BASE.encode())
    assert verdict == Merged(document=edited(TITLE, THIRD, LOSSY))


def test_our_edit_that_lost_is_brought_back():
    """Theirs won by its time and stands in the manifest; ours, which was acted on, is the copy."""
    ours_lost = edited(TITLE)
    assert merge(edited(LOSSY), ours_lost, ours_lost, BASE.encode()) == Merged(document=edited(TITLE, LOSSY))


def test_without_an_older_version_nothing_is_merged():
    """And what differs is told all the same."""
    ours = edited(TITLE)
    for bases in ((), (ours,)):
        verdict = compare(ours, edited(LOSSY), bases)
        assert isinstance(verdict, Apart)
        assert "spec.title" in verdict.why


def test_what_cannot_be_read_is_not_merged():
    """Neither side, and no base."""
    assert isinstance(merge(b"a: [", BASE.encode()), Apart)
    assert isinstance(merge(edited(TITLE), edited(LOSSY), b"a: ["), Apart)


def test_long_lists_of_differences_are_cut():
    """A condition stands in a person's file."""
    keys = [f"key{n}" for n in range(50)]
    ours = "".join(f"{key}: a\n" for key in keys).encode()
    theirs = "".join(f"{key}: b\n" for key in keys).encode()
    base = "".join(f"{key}: c\n" for key in keys).encode()
    verdict = compare(ours, theirs, (base,))
    assert "and 45 more" in verdict.why
    assert len(verdict.why) < 500


def test_very_long_differences_end_in_time():
    """Two thousand changed lines on each side are not compared line by line."""
    base = "".join(f"k{n}: 0\n" for n in range(3000)).encode()
    ours = base.replace(b": 0", b": 1")
    theirs = base.replace(b": 0\n", b": 0 \n")
    assert isinstance(compare(ours, theirs, (base,)), Apart)


FIELDS = st.dictionaries(
    st.sampled_from("abcdef"), st.sampled_from(["one", "two", "x # not a comment", "''"]), min_size=1
)


@given(FIELDS, FIELDS, FIELDS)
def test_a_merge_says_what_each_side_changed_and_nothing_else(base, ours, theirs):
    """Whatever three versions there are: a merge, where there is one, is the three-way merge of their fields."""
    documents = [
        "".join(f"{key}: {value}\n" for key, value in sorted(fields.items())).encode()
        for fields in (base, ours, theirs)
    ]
    verdict = compare(documents[1], documents[2], (documents[0],))
    if isinstance(verdict, Merged):
        wanted = {}
        for key in {*base, *ours, *theirs}:
            value = theirs.get(key) if ours.get(key) == base.get(key) else ours.get(key)
            if value is not None:
                wanted[key] = value
        lines = dict(line.split(": ", 1) for line in verdict.document.decode().splitlines())
        assert lines == wanted
