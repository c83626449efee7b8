"""The module docstring is the map."""

import ast

import pytest
from house import modules, python_files


@pytest.mark.parametrize("module", [m for m in modules().values() if not m.is_package], ids=lambda module: module.name)
def test_a_module_says_what_it_owns_and_what_it_never_does(module):
    """One line of what it is, then `Owns:` and `Never:`, each with an end."""
    text = ast.get_docstring(module.tree) or ""
    first, _, rest = text.partition("\n")
    assert first.endswith((".", "?", ":")), f"the first line is no sentence: {first!r}"
    owns, never = rest.find("Owns: "), rest.find("Never: ")
    assert 0 <= owns < never, "says `Owns: ...` and then `Never: ...`"


@pytest.mark.parametrize("module", [m for m in modules().values() if m.is_package], ids=lambda module: module.name)
def test_a_package_says_what_it_is(module):
    """A package has a sentence, and no code of its own beside a version."""
    assert ast.get_docstring(module.tree)
    code = [node for node in module.tree.body[1:] if not isinstance(node, ast.Assign)]
    assert not code, "a package's __init__ holds no code: importing it costs nothing and hides nothing"


@pytest.mark.parametrize("path", [p for p in python_files() if p.name.startswith("test_")], ids=lambda path: path.name)
def test_a_test_says_what_it_shows(path):
    """Each test has a sentence of its own."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    silent = [node.name for node in tests if node.name.startswith("test_") and not ast.get_docstring(node)]
    assert not silent
