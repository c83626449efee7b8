"""Two hundred hostile and odd manifests: each is read, or refused in the words that are expected."""

import pytest
from odd_manifests import ODD, Odd

from reconciler.manifests.read import read_manifest


@pytest.mark.parametrize("odd", ODD, ids=[odd.name for odd in ODD])
def test_an_odd_manifest_is_read_or_refused_in_words(odd: Odd):
    """The first problem stands where it is expected and says what is expected; each has a remedy and can be shown."""
    parsed = read_manifest(odd.data)
    assert (parsed.manifest is None) == bool(parsed.problems)
    for problem in parsed.problems:
        assert problem.hint
        assert str(problem).isprintable()
        assert len(str(problem)) < 1000
    if odd.said is None:
        assert parsed.problems == ()
        return
    first = str(parsed.problems[0])
    assert first == f"{odd.said}, {parsed.problems[0].hint}"


def test_there_are_enough_of_them():
    """At least 120, each of its own."""
    assert len({odd.name for odd in ODD}) == len(ODD) >= 120
    assert len({odd.data for odd in ODD}) == len(ODD)
    assert sum(odd.said is None for odd in ODD) >= 20
