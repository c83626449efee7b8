"""Configuration file and environment to settings, or all their problems at once.

Owns: how the two are joined. Never: opens the file or reads the environment; both are arguments.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.config import Settings, environment_paths, settings_of, with_environment
from reconciler.manifests.document import NOWHERE, Mark, Path, pointer_of
from reconciler.manifests.model import Problem
from reconciler.manifests.read import read_document
from reconciler.manifests.schema import coerce


def read_configuration(data: bytes, environ: Mapping[str, str]) -> Settings | tuple[Problem, ...]:
    """Read a configuration with the environment laid over it; an empty file has every default.

    A problem of a variable stands at line 0 and names it.
    """
    document = read_document(data)
    if isinstance(document, tuple):
        return document
    variables = {path: name for name, path in environment_paths(environ).items()}
    marks = {path: mark for path, mark in document.marks.items() if not _overridden(path, variables)}
    marks.update(dict.fromkeys(variables, Mark(key=NOWHERE, value=NOWHERE)))
    document = replace(document, tree=with_environment(document.tree, environ), marks=marks)
    value, problems = coerce(document, "configuration")
    if problems or not isinstance(value, dict):
        names = {pointer_of(path): name for path, name in variables.items()}
        return tuple(_naming_its_variable(problem, names) for problem in problems)
    return settings_of(value)


def _overridden(path: Path, variables: Iterable[Path]) -> bool:
    return any(path[: len(variable)] == variable for variable in variables)


def _naming_its_variable(problem: Problem, names: Mapping[str, str]) -> Problem:
    name = names.get(problem.pointer.partition("[")[0])
    return replace(problem, message=f"{name}: {problem.message}") if name and problem.line == 0 else problem
