"""How alike two names are.

Owns: the one measure, and what it must not be fooled by. Never: knows which names are compared, or reads them
(sources.soulseek.wording folds them first).

The measure is the share of letters that two names have in common in their order (indel distance, by rapidfuzz). Letters
alone are fooled by `Part 1` and `Part 2`, by `Black` and `Back`, and by names of which one is within the other; so
numbers must agree, short names must be equal, and a word that differs must differ by its spelling.
"""

from rapidfuzz import fuzz

from reconciler.sources.soulseek.wording import numbers_in, telling_words

SAME = 0.97
"""One letter in some thirty, or nothing."""
ALIKE = 0.85
"""One letter in seven: misspelt, or a small word more. Unrelated titles of songs stay below."""
VAGUE = 0.6
"""One holds the other, or they share most of their words: a hint that needs proof."""

# Up to this length one letter makes another word: `soon`, `moon`.
_SHORT_CHARACTERS = 7
_SAME_WORD_MIN = 0.7
# What holds the other whole, or is its beginning, is no worse than a hint.
_HELD_WITHIN = 0.7


def likeness(one: str, other: str) -> float:
    """Compare two folded names: 1 = the same, 0 = nothing in common, or not worth a second look."""
    if one == other or one.replace(" ", "") == other.replace(" ", ""):
        return 1.0 if one else 0.0
    letters = fuzz.ratio(one, other, score_cutoff=VAGUE * 100) / 100
    words, other_words = set(telling_words(one)), set(telling_words(other))
    if words == other_words:
        # A small word more or less, or another order.
        letters = max(letters, ALIKE)
    within = words <= other_words or other_words <= words
    if within and min(len(one), len(other)) > 1:
        letters = max(letters, _HELD_WITHIN)
    if letters < VAGUE or _numbers_clash(one, other):
        return 0.0
    if words == other_words and numbers_in(one) == numbers_in(other):
        return letters
    ours, theirs = " ".join(sorted(words - other_words)), " ".join(sorted(other_words - words))
    misspelt = bool(ours and theirs) and fuzz.ratio(ours, theirs) / 100 >= _SAME_WORD_MIN
    sure = misspelt and not within and min(len(one), len(other)) > _SHORT_CHARACTERS
    return letters if sure and numbers_in(one) == numbers_in(other) else min(letters, _HELD_WITHIN)


def _numbers_clash(one: str, other: str) -> bool:
    """Tell whether each of the names has a number that the other lacks."""
    numbers, other_numbers = numbers_in(one), numbers_in(other)
    return not (numbers <= other_numbers or other_numbers <= numbers)
