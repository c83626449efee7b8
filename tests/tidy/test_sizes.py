"""Size budgets: what outgrows them has two nouns in it."""

import ast
from collections import Counter

from house import REPOSITORY, modules, python_files

MODULE_LINES_MAX = 500
TEST_LINES_MAX = 800  # a table of cases is long and flat
FUNCTION_LINES_MAX = 70
ARGUMENTS_MAX = 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions():
    """Every function of the package, with where it stands."""
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, Function):
                yield f"{module.path.relative_to(REPOSITORY)}:{node.lineno} {node.name}", node


def test_files_are_short():
    """At most 500 lines a module and 800 a test file; 80 to 250 is the aim."""
    long = []
    for path in python_files():
        name = path.relative_to(REPOSITORY)
        lines = len(path.read_text("utf-8").splitlines())
        if lines > (TEST_LINES_MAX if "tests" in name.parts else MODULE_LINES_MAX):
            long.append(f"{name}: {lines} lines")
    assert not long, f"find the second noun and give it a file: {long}"


def test_functions_are_short():
    """At most 70 lines a function; 20 is the aim."""
    long = [f"{where}: {node.end_lineno - node.lineno + 1} lines" for where, node in functions()
            if node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX]  # fmt: skip
    assert not long, f"more than {FUNCTION_LINES_MAX} lines: {long}"


def test_functions_take_few_arguments():
    """At most eight arguments, `self` aside: more are a value that has no name yet."""
    many = []
    for where, node in functions():
        given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        count = len([name for name in given if name not in ("self", "cls")])
        if count > ARGUMENTS_MAX:
            many.append(f"{where}: {count}")
    assert not many, f"more than {ARGUMENTS_MAX} arguments: {many}"


def test_files_of_tests_have_names_of_their_own():
    """Test folders are no packages, so that two files of one name are one module to pytest, and one is not run."""
    names = Counter(path.name for path in python_files() if "tests" in path.relative_to(REPOSITORY).parts)
    shared = sorted(name for name, count in names.items() if count > 1 and name != "conftest.py")
    assert not shared, f"give one of each its own name: {shared}"
