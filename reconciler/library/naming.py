"""Turn titles into file names that are safe on every disk they may meet.

Owns: the naming template, the one rule for a safe path component, and the number of a name that is taken.
Never: knows a token (library.tokens), touches a disk (library.publish), or makes a name from what a peer calls its
file: the fields come from the manifest.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator

from reconciler.errors import InvalidInputError
from reconciler.library.tokens import NameFields, is_token, suggestion, tells_tracks_apart, value_of

__all__ = ["NameFields", "check_template", "is_numbered", "numbered_names", "render", "safe_component"]

DEFAULT_TEMPLATE = "{albumartist}/{album}/{disc-}{track:02} {title}"

# A directory entry holds 255 bytes on ext4, btrfs and xfs, and 255 UTF-16 units, never more than the bytes, on NTFS.
# The rest is for ` (99)` and an extension: 240 + 5 + 10 = 255.
COMPONENT_BYTES_MAX = 240
# A cut name keeps its identity by this much of its SHA-256; 32 bits tell the few names of one folder apart.
_DIGEST_DIGITS = 8

# Eight components of 240 bytes stay below half of PATH_MAX (4096); the other half is for the folder they go to.
TEMPLATE_PARTS_MAX = 8
TEMPLATE_CHARACTERS_MAX = 1000

# ` (2)` to ` (99)`: more different files of one name are a mistake in the naming template.
SAME_NAME_MAX = 99
# Longer than the extension of any container (`.flac`, `.aiff`): what follows the last dot then belongs to the title.
_EXTENSION_CHARACTERS_MAX = 9
_NUMBER_BEFORE_EXTENSION = re.compile(r" \((?:[2-9]|[1-9][0-9])\)(?:\.[^.]{1,9})?")

_FORBIDDEN = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))
# Letters and marks that draw nothing, besides the categories C*, Zl and Zp: combining grapheme joiner, Hangul fillers,
# Khmer inherent vowels, Mongolian selectors, the blank Braille cell.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_LEADING = (".", "-", "~")
_WINDOWS_DEVICE = re.compile(r"\A(?i:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=[ ]*(?:\.|$))")

_FIELD = re.compile(r"\{([^{}]*)\}")


def safe_component(text: str) -> str:
    """Make one path component of `text`: NFC, visible, `COMPONENT_BYTES_MAX` of UTF-8 at most, special to no system.

    Idempotent. What is forbidden becomes `_`, what cannot be seen is dropped, what is too long keeps its beginning and
    eight digits of its hash; nothing left is `_`.
    """
    # Twice: a character that is dropped may have stood between a letter and its accent.
    spaced = " ".join(unicodedata.normalize("NFC", text).split())
    visible = "".join(character for character in spaced if _is_visible(character))
    name = unicodedata.normalize("NFC", " ".join(visible.split())).translate(_FORBIDDEN)
    if name.startswith(_LEADING):
        name = "_" + name[1:]
    if name.endswith("."):
        name = name[:-1] + "_"
    name = _WINDOWS_DEVICE.sub(r"\g<0>_", name)
    return _cut(name) or "_"


def render(template: str, fields: NameFields) -> str:
    """Fill `template`: a relative path, `/` between parts, without an extension.

    Raises InvalidInputError where `check_template` does.
    """
    check_template(template)
    filled = [_FIELD.sub(lambda field: value_of(field[1], fields), part) for part in template.split("/")]
    return "/".join(safe_component(part) for part in filled)


def check_template(template: str) -> None:
    """Raise InvalidInputError, with what to write instead, unless `template` can name the tracks of a release."""
    if len(template) > TEMPLATE_CHARACTERS_MAX:
        raise _refusal(template[:40] + "...", f"is longer than {TEMPLATE_CHARACTERS_MAX} characters", "shorten it")
    parts = template.split("/")
    if len(parts) > TEMPLATE_PARTS_MAX:
        raise _refusal(template, f"has more than {TEMPLATE_PARTS_MAX} folders", "use fewer")
    if any(part.strip() in ("", ".", "..") for part in parts):
        raise _refusal(template, "has an empty part, `.` or `..`", f"write it as {DEFAULT_TEMPLATE}")
    if any(brace in _FIELD.sub("", template) for brace in "{}"):
        raise _refusal(template, "has an unmatched brace", "write tokens as {title}")
    tokens = _FIELD.findall(parts[-1])
    for word in _FIELD.findall(template):
        if not is_token(word):
            raise _refusal(template, f"has the unknown token {{{word}}}", suggestion(word))
    if not any(tells_tracks_apart(word) for word in tokens):
        raise _refusal(template, "gives every track of an album the same name", "add {track:02} or {title} to the last")


def numbered_names(leaf: str) -> Iterator[str]:
    """The names that a file called `leaf` may get, the first that is free: `C.flac`, `C (2).flac`, `C (3).flac`."""
    stem, dot, extension = leaf.rpartition(".")
    if not stem or len(extension) > _EXTENSION_CHARACTERS_MAX:
        stem, dot, extension = leaf, "", ""
    yield leaf
    for number in range(2, SAME_NAME_MAX + 1):
        yield f"{stem} ({number}){dot}{extension}"


def is_numbered(found: str, wanted: str, *, whole: bool) -> bool:
    """Whether the name `found` is `wanted` with a number; `wanted` is `whole`, or without its extension."""
    if whole:
        return found != wanted and found in numbered_names(wanted)
    return found.startswith(wanted) and bool(_NUMBER_BEFORE_EXTENSION.fullmatch(found[len(wanted) :]))


def _is_visible(character: str) -> bool:
    category = unicodedata.category(character)
    return character == " " or (category[0] != "C" and category not in ("Zl", "Zp") and character not in _INVISIBLE)


def _cut(name: str) -> str:
    if len(name.encode()) <= COMPONENT_BYTES_MAX:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_DIGITS]
    head = name.encode()[: COMPONENT_BYTES_MAX - _DIGEST_DIGITS - 1].decode(errors="ignore")
    end = len(head)
    while end and unicodedata.category(name[end])[0] == "M":  # never between a letter and its marks
        end -= 1
    # A letter under hundreds of marks has no better place to be cut.
    return f"{head[:end] or head}_{digest}"


def _refusal(template: str, problem: str, hint: str) -> InvalidInputError:
    return InvalidInputError(f"the naming template {template!r} {problem}", hint=hint)
