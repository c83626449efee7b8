"""Manifests that somebody offers: one file, or those of a folder, read and not judged yet.

Owns: which files those are, and how many at most. Never: follows a link, says whether one is a manifest
(reconcile.checking), or writes.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from reconciler.errors import InvalidInputError, NotFoundError, ReconcilerError
from reconciler.manifests.files import read_file
from reconciler.manifests.model import Problem
from reconciler.reconcile.names import is_manifest_name

# As many as one root folder is known to bear (docs/explanation/performance.md).
MANIFESTS_MAX = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A manifest as it is offered."""

    source: str
    """What it is called to whoever offers it: a path, or a place in a request."""
    name: str = ""
    """The name of its file, from anybody; empty = it has none."""
    data: bytes = b""
    problem: Problem | None = None
    """Why there is no data."""


def incoming_file(path: Path) -> Incoming:
    """Read one file, through no link; what is wrong with it as a file is its problem. Raises NotFoundError."""
    try:
        return Incoming(source=str(path), name=path.name, data=read_file(path).data)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is not there", hint="name a manifest, or a folder with --directory") from error
    except ReconcilerError as error:
        problem = Problem(line=0, column=0, pointer="", message=error.message, hint=error.hint)
        return Incoming(source=str(path), name=path.name, problem=problem)


def incoming_in(folder: Path) -> Iterator[Incoming]:
    """Read the manifests that lie directly in a folder, by name, each when it is asked for.

    Raises NotFoundError where there is no such folder, InvalidInputError for more than MANIFESTS_MAX.
    """
    try:
        with os.scandir(folder) as entries:
            named = (entry.name for entry in entries if is_manifest_name(entry.name))
            names = sorted(islice(named, MANIFESTS_MAX + 1))
    except OSError as error:
        hint = "name a folder that holds manifests"
        raise NotFoundError(f"{folder} cannot be listed: {error.strerror}", hint=hint) from error
    if len(names) > MANIFESTS_MAX:
        hint = "put them into several folders, and import one after the other"
        raise InvalidInputError(f"{folder} holds more than {MANIFESTS_MAX:,} manifests", hint=hint)
    for name in names:
        try:
            yield incoming_file(folder / name)
        except NotFoundError as error:
            problem = Problem(line=0, column=0, pointer="", message=error.message, hint="it went meanwhile")
            yield Incoming(source=str(folder / name), name=name, problem=problem)
