"""How names of music are read, whoever wrote them.

Owns: what counts as the same spelling: case, width, accents, punctuation, guests, remarks about an edition.
Never: knows a track list, nor makes a path.

Everything here is bounded and takes any text: names come from strangers.
"""

# ruff: noqa: RUF001 - letters of other scripts are what this is about

import re
import unicodedata

# A file name has 255 bytes on most disks; a title of a manifest may have more, and is compared by its beginning.
TEXT_CHARACTERS_MAX = 300

APOSTROPHES = "'’‘`´ʼʹ′"
_AND = "&+"
# What NFD does not take apart, as those without these keys write it.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ß": "ss", "ё": "е"}
)
_MARKED_SCRIPTS = ("LATIN", "GREEK")

_ACRONYM = re.compile(r"\b\w(?:\.\w)+\b\.?")
_BRACKETS = {"(": ")", "[": "]", "{": "}", "（": "）", "【": "】", "「": "」", "『": "』"}
_GUESTS = re.compile(r"(?:\A|(?<=[\s(\[{（【]))(?:feat|ft|featuring)(?:\.\s*|\s+)\S", re.IGNORECASE)

_STOP_WORDS = """
    a an and at by de der die das el en et for from i in is it la las le les los no o of on or the to und y you
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that are in so many names, or left out of them so often, that they tell nothing apart."""

_OF_EDITIONS = """
    remaster remastered remasterd remastering deluxe edition expanded anniversary reissue bonus track tracks explicit
    clean album version original stereo mono digital special limited collector collectors super legacy release
    flac mp3 m4a aac ogg opus alac ape wav wavpack cd lp ep vinyl rip web hdtracks hi res hires bit khz kbps kbit vbr
    cbr v0 v2 lossless lossy 24bit 16bit dvd sacd dsd mfsl mofi japan japanese us uk eu press pressing promo
    disc disk cue log scans uncensored full complete box set
"""
EDITION_WORDS = frozenset(_OF_EDITIONS.split())
"""Words of remarks about an edition, a medium or an encoding, which make no other recording."""
# After a dash, where a title could stand as well, one of these makes it sure.
_EDITION_SURE = frozenset({"remaster", "remastered", "reissue", "deluxe", "edition", "explicit", "flac", "mp3"})
NUMBER_OF_EDITION_MIN = 16
"""Numbers below count volumes and titles; bits, rates and years are not smaller."""
_NUMERIC = re.compile(r"\d+(?:st|nd|rd|th|bit|khz|kbps|k)?")

_ROMAN = {
    "ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9", "xi": "11", "xii": "12",
    "xiii": "13", "xiv": "14", "xv": "15",
}  # fmt: skip
_SINGLE_ROMAN = {"i": "1", "v": "5", "x": "10"}
_COUNTED_WORDS = "part pt parts pts no nr number op vol volume act chapter book movement mvt mov scene"
_COUNTED = frozenset(_COUNTED_WORDS.split())
_SAME_WORD = {
    "pt": "part", "pts": "part", "parts": "part", "vol": "volume", "nr": "no", "number": "no", "mvt": "movement",
    "mov": "movement",
}  # fmt: skip
_SAID_NUMBERS = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7"}


def fold(text: str) -> str:
    """Spell `text` as one might compare it: words in lower case, one space between, no accents, no punctuation.

    Signs alone (`( )`, `!!!`, `÷`) are kept: there is nothing else to know such a title by. Nothing visible is "".
    """
    text = unicodedata.normalize("NFKC", text[:TEXT_CHARACTERS_MAX])[:TEXT_CHARACTERS_MAX].casefold()
    text = _ACRONYM.sub(lambda found: found[0].replace(".", ""), text)
    text = without_accents(text)
    # Most names are ASCII, and most of the time goes here.
    words = (text.translate(_ASCII_PARTS) if text.isascii() else "".join(map(_as_word_part, text))).split()
    if not words:
        return "".join(each for each in text if unicodedata.category(each)[0] in "PS")
    return " ".join(_same_words(words))


def without_accents(text: str) -> str:
    """Take the accents off Latin and Greek letters, in lower case; the marks of other scripts make other letters."""
    if text.isascii():
        return text
    kept: list[str] = []
    marked_script = False
    for character in unicodedata.normalize("NFD", text.translate(_PLAIN)):
        if unicodedata.category(character) == "Mn":
            if marked_script:
                continue
        else:
            marked_script = unicodedata.name(character, "").startswith(_MARKED_SCRIPTS)
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


def without_guests(text: str) -> str:
    """`text` without `feat. somebody`: up to the end of its bracket, or of the name."""
    while (found := _GUESTS.search(text)) is not None:
        opening = text[found.start() - 1 : found.start()]
        closing = _BRACKETS.get(opening)
        if closing is not None and (end := text.find(closing, found.end())) >= 0:
            text = text[: found.start() - 1].rstrip() + text[end + 1 :]
        elif closing is not None:
            text = text[: found.start() - 1].rstrip()
        else:
            # Without a bracket of its own it ends where the next one, or the next part of the name, begins.
            rest = re.search(r"\s+(?:[(\[{]|[-–—]\s)", text[found.end() :])
            text = text[: found.start()].rstrip() + (text[found.end() + rest.start() :] if rest else "")
    return text.strip()


def bracketed(text: str) -> tuple[str, tuple[str, ...]]:
    """Part `text` from what it holds in brackets; an unclosed bracket is a character, nested ones go with the outer."""
    outside: list[str] = []
    inside: list[str] = []
    ends = _closed_brackets(text)
    begins = place = 0
    while place < len(text):
        end = ends.get(place)
        if end is None:
            place += 1
            continue
        outside.append(text[begins:place])
        inside.append(text[place + 1 : end])
        place = begins = end + 1
    outside.append(text[begins:])
    return " ".join(" ".join(outside).split()), tuple(inside)


def without_edition(text: str) -> str:
    """`text` without remarks about an edition or a file: `(Remastered 2011)`, `[FLAC]`, ` - Deluxe Edition`."""
    outside, inside = bracketed(text)
    if inside:
        kept = [each for each in inside if not is_edition_talk(each)]
        text = " ".join([outside, *(f"({each})" for each in kept)]).strip() if outside else text
    head, dash, tail = text.rpartition(" - ")
    if dash and head.strip() and is_edition_talk(tail) and _EDITION_SURE & set(fold(tail).split()):
        return head.strip()
    return text


def is_edition_talk(text: str) -> bool:
    """Tell whether `text` speaks of an edition, a medium or an encoding and of nothing else."""
    words = fold(text).split()
    if not words or not all(word in EDITION_WORDS or _NUMERIC.fullmatch(word) for word in words):
        return False
    # `(2)` may be the second of two titles; `(1991)`, `[320]` and `[24-96]` are not.
    return any(not word.isdecimal() or int(word) >= NUMBER_OF_EDITION_MIN for word in words)


def telling_words(folded: str) -> tuple[str, ...]:
    """The words of a folded text that tell it apart from others; all of them where none does."""
    words = tuple(folded.split())
    return tuple(word for word in words if word not in STOP_WORDS) or words


def numbers_in(folded: str) -> frozenset[str]:
    """The numbers that a folded text holds: `part 2`, `no 5`."""
    return frozenset(word.lstrip("0") or "0" for word in folded.split() if word.isdecimal())


def is_latin(folded: str) -> bool | None:
    """Whether the letters of a folded text are Latin, by the majority; None = it has no letters."""
    if folded.isascii():
        return True if any(each.isalpha() for each in folded) else None
    letters = [each for each in folded if each.isalpha()]
    if not letters:
        return None
    latin = sum(each.isascii() or unicodedata.name(each, "").startswith("LATIN") for each in letters)
    return latin * 2 >= len(letters)


def shortened(text: str, characters_max: int = 60) -> str:
    """As much of a stranger's text as a reason has room for; whoever shows it escapes it."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def _closed_brackets(text: str) -> dict[int, int]:
    """Where each bracket that is closed opens, and where it closes."""
    ends: dict[int, int] = {}
    opened: dict[str, list[int]] = {closing: [] for closing in _BRACKETS.values()}
    for place, character in enumerate(text):
        if character in _BRACKETS:
            opened[_BRACKETS[character]].append(place)
        elif opened.get(character):
            ends[opened[character].pop()] = place
    return ends


def _as_word_part(character: str) -> str:
    if character in APOSTROPHES:
        return ""
    if character in _AND:
        return " and "
    kind = unicodedata.category(character)
    if kind[0] in "LNM":
        return character
    return "" if kind in ("Cf", "Cs", "Co", "Cn") else " "


_ASCII_PARTS = {code: _as_word_part(chr(code)) for code in range(128)}


def _same_words(words: list[str]) -> list[str]:
    """Numbers in digits, `pt` and `part` alike."""
    said: list[str] = []
    counting = False
    for word in words:
        number = _SINGLE_ROMAN.get(word) or _SAID_NUMBERS.get(word) if counting else None
        number = number or _ROMAN.get(word)
        said.append(number or _SAME_WORD.get(word) or word)
        counting = word in _COUNTED or (counting and number is not None)
    return said
