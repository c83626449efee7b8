"""Every dependency is declared, used and explained, and may be shipped under our licence."""

import ast
import importlib.metadata
import re
import sys
import tomllib

from house import REPOSITORY, modules

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
EXPLAINED = (REPOSITORY / "docs" / "explanation" / "dependencies.md").read_text("utf-8")
PINNED = (REPOSITORY / ".ci" / "constraints.txt").read_text("utf-8")

# Distribution -> the package that is imported, where the names differ.
IMPORTED_AS = {
    "prometheus-client": "prometheus_client",
    "python-ulid": "ulid",
    "pyyaml": "yaml",
    "sqlite-utils": "sqlite_utils",
}

# SPDX words of licences that a GPL-3.0-or-later program may include. `pip` comes with sqlite-utils.
COMPATIBLE = re.compile(
    r"\b(0BSD|Apache|BSD|CC0|GPL-2\.0-or-later|GPL-3\.0-or-later|ISC|MIT|MPL|PSF|Python Software Foundation|Zlib"
    r"|Public Domain)\b"
)


def name_of(requirement: str) -> str:
    """The distribution's name in a requirement: `pyyaml>=6` -> `pyyaml`."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def runtime() -> list[str]:
    """The names of what running needs."""
    return [name_of(each) for each in PROJECT["project"]["dependencies"]]


def imported() -> set[str]:
    """Every top-level package that the code imports and that is neither ours nor Python's."""
    found = set()
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"reconciler"}


def test_what_is_declared_is_imported_and_the_other_way_round():
    """No dependency is left over, and none is used that only happens to be there."""
    assert {IMPORTED_AS.get(name, name) for name in runtime()} == imported()


def test_every_dependency_is_explained():
    """The table has a row for each, and no row for what is gone."""
    extras = PROJECT["project"]["optional-dependencies"]
    declared = {*runtime(), *(name_of(each) for group in extras.values() for each in group)}
    declared |= {name_of(each) for each in PROJECT["build-system"]["requires"]}
    assert {row.lower() for row in re.findall(r"^\| ([A-Za-z0-9._-]+) \|", EXPLAINED, re.MULTILINE)} - {
        "package"
    } == declared


def test_every_dependency_is_pinned_with_hashes():
    """The tests install nothing whose bytes are not named, and no line says where from."""
    pins = re.findall(r"^([a-z0-9._-]+)==\S+ \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", PINNED, re.MULTILINE)
    lines = [line for line in PINNED.splitlines() if line and not line.startswith("#")]
    assert sum(1 + hashes.count("--hash") for _, hashes in pins) == len(lines), "a line that is no pin"
    wanted = {*runtime(), *(name_of(each) for each in PROJECT["project"]["optional-dependencies"]["dev"])}
    assert wanted <= {name for name, _ in pins}
    assert "://" not in PINNED


def closure() -> list[str]:
    """The names of everything that comes along at run time, as it is installed here."""
    seen: set[str] = set()
    waiting = runtime()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system or an older Python
        seen.add(name)
        waiting += [name_of(each) for each in requires if "extra ==" not in each]
    return sorted(seen)


def licence_of(name: str) -> str:
    """What a distribution states."""
    metadata = importlib.metadata.metadata(name)
    stated = [metadata.get("License-Expression") or "", (metadata.get("License") or "")[:200]]
    return " ".join([*stated, *(each for each in metadata.get_all("Classifier") or [] if each.startswith("License"))])


def test_every_licence_fits_ours():
    """What is shipped together may be shipped together."""
    assert not {name: licence_of(name) for name in closure() if not COMPATIBLE.search(licence_of(name))}
