"""The source tree as the tidy tests see it.

Owns: which modules there are and what each imports, read from the text alone. Never: imports a module of the project.
"""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = "reconciler"


@dataclass(frozen=True, kw_only=True, eq=False)
class Module:
    """One Python file of the package."""

    name: str
    """Dotted: `reconciler.engine.job`; a package has the name of its folder."""
    path: Path
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        """Whether this is an `__init__.py`."""
        return self.path.name == "__init__.py"


@cache
def modules() -> dict[str, Module]:
    """Every module of the package, by name."""
    found = {}
    for path in sorted((REPOSITORY / PACKAGE).rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name=name, path=path, tree=ast.parse(path.read_text("utf-8"), str(path)))
    return found


@cache
def imported_names(module: Module) -> frozenset[str]:
    """Every dotted name that a module imports, anywhere in it; of `from a import b` both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def reachable(start: str) -> set[str]:
    """Every module of the package that importing `start` can lead to, packages on the way included."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in modules():
            continue
        seen.add(name)
        waiting += [name.rpartition(".")[0], *imported_names(modules()[name])]
    return seen


def python_files() -> list[Path]:
    """Every Python file that a person maintains: package and tests."""
    return sorted(path for folder in (PACKAGE, "tests") for path in (REPOSITORY / folder).rglob("*.py"))
