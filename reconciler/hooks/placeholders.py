"""The placeholders of `hooks.on_completed`, filled in.

Owns: which there are, and that a filled one changes nothing else: an argument stays one argument, and no value is taken
for an option. Never: runs anything (hooks.command).
"""

import difflib
import json
from collections.abc import Sequence
from string import Formatter

from reconciler.errors import InvalidInputError
from reconciler.state.records import Delivery

PLACEHOLDERS = ("path", "job_id", "job_type", "artist", "album", "release_mbid", "delivery_id")

# What people chose freely: it may begin with a hyphen. The others begin with a letter, a digit or a slash, if at all.
_FREE = frozenset({"artist", "album"})


def check_command(command: Sequence[str]) -> None:
    """Raise InvalidInputError, with what to write instead, unless every argument can be filled in safely."""
    ended = False
    for number, argument in enumerate(command):
        parts = _parts(argument)
        names = [name for _, name in parts if name]
        for name in names:
            if name not in PLACEHOLDERS:
                raise _refusal(argument, f"has the unknown placeholder {{{name}}}", _suggestion(name))
        if number == 0 and names:
            raise _refusal(argument, "is the program, and has a placeholder", "name the program itself")
        text, first = parts[0] if parts else ("", "")
        if not ended and not text and first in _FREE:
            hint = f'write "--{first}={argument}", or put "--" before it where the program knows that'
            raise _refusal(argument, f"begins with {{{first}}}, which may begin with a hyphen", hint)
        ended = ended or argument == "--"


def filled(command: Sequence[str], delivery: Delivery) -> tuple[str, ...]:
    """The arguments for one delivery; each stays one, whatever is put into it."""
    values = values_of(delivery)
    return tuple("".join(text + (values[name] if name else "") for text, name in _parts(each)) for each in command)


def values_of(delivery: Delivery) -> dict[str, str]:
    """What each placeholder stands for."""
    facts = json.loads(delivery.body)["data"]
    told = {name: facts[name] or "" for name in PLACEHOLDERS if name != "delivery_id"}
    return {**told, "delivery_id": delivery.delivery_id}


def _parts(argument: str) -> list[tuple[str, str]]:
    """Texts, each with the name of the placeholder behind it; empty = none."""
    try:
        parsed = list(Formatter().parse(argument))
    except ValueError:
        raise _refusal(argument, "has an unmatched brace", "write {path}, and {{ for a brace") from None
    for _, name, form, conversion in parsed:
        if name is not None and (not name.isidentifier() or form or conversion):
            raise _refusal(argument, "has braces around what is no placeholder", "write {path}, and {{ for a brace")
    return [(text, name or "") for text, name, _, _ in parsed]


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, PLACEHOLDERS, n=1, cutoff=0.5)
    return (
        f"did you mean {{{close[0]}}}?" if close else "there are " + ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
    )


def _refusal(argument: str, problem: str, hint: str) -> InvalidInputError:
    return InvalidInputError(f"hooks.on_completed: the argument {argument!r} {problem}", hint=hint)
