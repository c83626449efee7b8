"""What kind of performance a name says it is: live, remix, karaoke and the like.

Owns: the words by which people tell a recording from another one of the same title. Never: decides which of them a want
may be (sources.soulseek.matching).
"""

import re

from reconciler.sources.soulseek.wording import EDITION_WORDS

# Kind -> the words, as `wording.fold` leaves them, that say it.
_LATIN = {
    "live": r"live|unplugged|in concert|concert|concerts|live at|bootleg|bootlegs|soundboard|"
    r"(?:bbc|peel|radio|maida vale|live) sessions?",
    "remix": r"remix|remixed|remixes|rmx|mashup|rework|reworked",
    "instrumental": r"instrumental|instrumentals|inst|backing tracks?|off vocal|minus one|piano version|music box|"
    r"orgel|orchestral version",
    "karaoke": r"karaoke|sing along|singalong",
    "cover": r"covers?|covered by|cover version|tributes?|made famous|in the style of|originally performed|"
    r"as performed by|originally by|renditions?|lullaby|lullabies|8 bit|8bit|chiptune|kidz bop",
    "altered": r"nightcore|slowed|sped up|speed up|reverb|bass boosted|8d audio|daycore",
    "edit": r"edit|radio edit|single edit|edited|radio version|snippet|preview|excerpt|ringtone",
    "extended": r"extended|12 inch|club version|long version|maxi version",
    "demo": r"demos?|rehearsals?|outtakes?|alternate|alternative (?:take|version|mix)|rough mix|early version|take \d+",
    "acoustic": r"acoustic|akustik|acapella|a cappella|acappella",
    "dub": r"dub|dubs|dub version",
    "reprise": r"reprise",
    "medley": r"medley|megamix|dj mix",
    "spoken": r"commentary|interviews?|audiobook|podcast",
    "re-recorded": r"re recorded|rerecorded|re recording|re record",
}
_KINDS = {kind: re.compile(rf"(?<![^ ])(?:{words})(?![^ ])") for kind, words in _LATIN.items()}

# What these are of says which: an album version is the plain one, the fans' version is not.
_BY_WORD_BEFORE = {"mix": "remix", "mixes": "remix", "version": "version", "versions": "version", "ver": "version"}

# Scripts without spaces, and Cyrillic with its endings: found anywhere.
_OTHER_SCRIPTS = {
    "live": ("ライブ", "ライヴ", "현장", "концерт", "演唱会", "現場"),
    "remix": ("リミックス", "ремикс", "리믹스"),
    "instrumental": ("インスト", "オルゴール", "伴奏", "инструментал", "минусовка"),
    "karaoke": ("カラオケ", "караоке", "노래방", "卡拉ok"),
    "cover": ("カバー", "カヴァー", "кавер", "трибьют", "翻唱"),
}

NOT_BY_LENGTH = frozenset({"karaoke", "instrumental", "cover", "altered"})
"""Kinds that may be exactly as long as what they are made from: equal durations prove nothing."""


def kinds_of(folded: str) -> frozenset[str]:
    """The kinds that a folded name speaks of; none for a plain recording."""
    found = {kind for kind, pattern in _KINDS.items() if pattern.search(folded)}
    words = folded.split()
    for before, word in zip(["", *words], words, strict=False):
        if word in _BY_WORD_BEFORE and before not in EDITION_WORDS and not before.isdecimal():
            found.add(_BY_WORD_BEFORE[word])
    if not folded.isascii():
        found |= {kind for kind, words in _OTHER_SCRIPTS.items() if any(word in folded for word in words)}
    return frozenset(found)
