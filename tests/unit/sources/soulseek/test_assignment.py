"""Which file goes to which track when several could."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.sources.soulseek.assignment import AT_ONCE_MAX, assign

SIZE = 5
SCORES = st.dictionaries(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1)), st.integers(1, 6))


def best_sum(scores, track=0, used=frozenset()):
    """The greatest sum, by trying everything."""
    if track == SIZE:
        return 0
    ways = [
        scores[track, file] + best_sum(scores, track + 1, used | {file})
        for file in range(SIZE)
        if (track, file) in scores and file not in used
    ]
    return max([best_sum(scores, track + 1, used), *ways])


@given(scores=SCORES)
def test_the_sum_is_the_greatest_there_is(scores):
    """No other way to give each track one file and each file one track has more."""
    chosen = assign(scores)
    assert all(pair in scores for pair in chosen.items())
    assert len(set(chosen.values())) == len(chosen)
    assert sum(scores[pair] for pair in chosen.items()) == best_sum(scores)


@given(scores=SCORES, order=st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(scores, order):
    """Ties too are settled by what the pairs are."""
    shuffled = list(scores.items())
    order.shuffle(shuffled)
    assert assign(dict(shuffled)) == assign(scores)


def test_the_best_pair_does_not_take_another_track_its_only_file():
    """Track 0 is best with file 0, which is all that track 1 has."""
    assert assign({(0, 0): 9, (0, 1): 8, (1, 0): 7}) == {0: 1, 1: 0}


def test_what_is_equal_goes_together_in_order():
    """Two tracks and two files of one name: first to first."""
    assert assign({(track, file): 5 for track in range(4) for file in range(4)}) == {0: 0, 1: 1, 2: 2, 3: 3}


def test_very_many_of_one_name_are_still_one_to_one():
    """More tracks than are solved at once, all alike: each has a file of its own."""
    count = AT_ONCE_MAX * 2 + 3
    chosen = assign({(track, file): 5 for track in range(count) for file in range(count)})
    assert sorted(chosen) == sorted(chosen.values()) == list(range(count))


def test_nothing_gives_nothing():
    """Without pairs there is nothing to choose."""
    assert assign({}) == {}
