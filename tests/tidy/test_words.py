"""Words that do not belong in this tree."""

import ast
import re
import subprocess

import pytest
from house import REPOSITORY, modules

# Names that say nothing: what they hold belongs somewhere else.
EMPTY_WORDS = (
    "util",
    "utils",
    "manager",
    "managers",
    "helper",
    "helpers",
    "service",
    "services",
    "handler",
    "handlers",
)

# Put together here, or this file would find itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
REGISTRY_HOSTS = re.compile(
    "|".join(
        re.escape(host)
        for host in (
            "py" + "pi.org",
            "python" + "hosted.org",
            "npm" + "js.org",
            "npm" + "js.com",
            "deb" + ".debian.org",
        )
    )
)
PRIVATE_PATHS = re.compile(r"(?<![\w.])/(" + "|".join(["ho" + "me", "ro" + "ot", "wo" + "rk", "Us" + "ers"]) + r")/\w")

LICENCE = "LICENSE"


def kept_files():
    """Every file that is committed, or would be by `git add -A`, with its text."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    for name in listed.stdout.decode().split("\0"):
        path = REPOSITORY / name
        if name and name != LICENCE and path.is_file():
            yield name, path.read_text("utf-8", errors="replace")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (UNFINISHED, "unfinished work is an issue, not a comment"),
        (REGISTRY_HOSTS, "which index packages come from is the reader's own setting"),
        (PRIVATE_PATHS, "this path is of one machine"),
    ],
    ids=["unfinished", "registry", "path"],
)
def test_no_file_holds(pattern, why):
    """No mark of unfinished work, no host of a package index, no path of one machine."""
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in kept_files()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, f"{why}: {found}"


def test_the_patterns_find_what_they_are_for():
    """Each pattern sees its word, and lets a near one pass."""
    assert UNFINISHED.search("# TO" + "DO: later")
    assert not UNFINISHED.search("a HA" + "CKsaw, a to-do list")
    assert REGISTRY_HOSTS.search("https://files.python" + "hosted.org/x")
    assert PRIVATE_PATHS.search("cd /wo" + "rk/main")
    assert not PRIVATE_PATHS.search("net/wo" + "rk/x and jobs/ro" + "ot/x")


def test_no_name_says_nothing():
    """No module or class is named after a role that could hold anything; a foreign base may hand its word down."""
    named = [name for name in modules() if says_nothing(name.rpartition(".")[2])]
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and says_nothing(node.name):
                named += [f"{module.name}.{node.name}"] * (
                    not any(says_nothing(ast.unparse(base)) for base in node.bases)
                )
    assert not named, f"say what it holds or does: {named}"


def says_nothing(name: str) -> bool:
    """Tell whether the last word of a name is one of the empty ones."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
    return words[-1] in EMPTY_WORDS
