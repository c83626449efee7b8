"""What is put into an argument stays in it."""

import pytest
from hook_builders import JOB, RELEASE, delivery
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import InvalidInputError
from reconciler.hooks.placeholders import PLACEHOLDERS, check_command, filled


def test_each_placeholder_is_filled_within_its_argument():
    """Braces are doubled; the program is untouched."""
    command = ("beet", "import", "--set=x={{{artist}}}", "{path}", "{job_id} {release_mbid}", "{job_type}")
    check_command(command)
    assert filled(command, delivery()) == (
        "beet",
        "import",
        "--set=x={My Bloody Valentine}",
        "/music/Loveless",
        f"{JOB} {RELEASE}",
        "mb_release",
    )


@given(st.text(max_size=40))
def test_a_title_is_never_split_nor_read(title):
    """Whatever an album is called: spaces, quotes, braces and newlines are its name."""
    command = ("tell", "--album={album}", "--", "{album}")
    assert filled(command, delivery(album=title)) == ("tell", f"--album={title}", "--", title)


def test_what_is_not_known_is_empty():
    """A job of named files has no release."""
    assert filled(("tell", "x{release_mbid}"), delivery(release_mbid="")) == ("tell", "x")


@pytest.mark.parametrize(
    ("command", "problem", "hint"),
    [
        (("x", "{paht}"), "unknown placeholder {paht}", "did you mean {path}?"),
        (("x", "{zzz}"), "unknown placeholder {zzz}", "there are {path}, "),
        (("x", "{path"), "unmatched brace", "{{ for a brace"),
        (("x", "{path!r}"), "no placeholder", "write {path}"),
        (("x", "{0}"), "no placeholder", "write {path}"),
        (("x", "{path.parent}"), "no placeholder", "write {path}"),
        (("{path}", "x"), "is the program", "name the program itself"),
        (("x", "{album}"), "may begin with a hyphen", '"--album={album}"'),
        (("x", "{artist} - {album}", "--"), "may begin with a hyphen", '"--"'),
    ],
)
def test_what_cannot_be_filled_in_safely_is_refused(command, problem, hint):
    """Before anything starts, with what to write."""
    with pytest.raises(InvalidInputError) as refused:
        check_command(command)
    assert problem in refused.value.message
    assert hint in refused.value.hint


def test_every_placeholder_has_a_value():
    """None is promised and missing."""
    command = tuple(f"x{{{name}}}" for name in PLACEHOLDERS)
    assert all(len(argument) > 1 for argument in filled(command, delivery()))
