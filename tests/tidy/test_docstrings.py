"""The module docstring is the map."""

import ast

from house import REPOSITORY, Module, modules, python_files


def test_every_module_says_what_it_owns_and_what_it_never_does():
    """One line of what it is, then `Owns:` and `Never:`, each with an end."""
    found = {module.name: _missing_in(module) for module in modules().values() if not module.is_package}
    assert not {name: missing for name, missing in found.items() if missing}


def _missing_in(module: Module) -> str:
    """What the docstring of a module lacks; empty = nothing."""
    text = ast.get_docstring(module.tree) or ""
    first, _, rest = text.partition("\n")
    if not first.endswith((".", "?", ":")):
        return f"the first line is no sentence: {first!r}"
    return "" if 0 <= rest.find("Owns: ") < rest.find("Never: ") else "say `Owns: ...` and then `Never: ...`"


def test_every_package_says_what_it_is():
    """A package has a sentence, and no code of its own beside a version: importing it costs and hides nothing."""
    packages = [module for module in modules().values() if module.is_package]
    assert [module.name for module in packages if not ast.get_docstring(module.tree)] == []
    code = {module.name: [n for n in module.tree.body[1:] if not isinstance(n, ast.Assign)] for module in packages}
    assert [name for name, nodes in code.items() if nodes] == []


def test_every_test_says_what_it_shows():
    """Each test has a sentence of its own."""
    silent = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.name}"
        for path in python_files()
        if path.name.startswith("test_")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert not silent
