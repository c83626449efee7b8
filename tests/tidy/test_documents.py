"""The documents hold: their manifests are valid, their links lead somewhere, the README's commands are what CI runs."""

import re

import pytest
from house import REPOSITORY

from reconciler.manifests.read import read_manifest

DOCUMENTS = sorted(
    [REPOSITORY / "README.md", REPOSITORY / "examples" / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
)
MANIFEST = re.compile(
    r"(?P<mark><!-- not valid -->\n)?```yaml\n(?P<text>(?:#[^\n]*\n)*manifest_version.*?)```", re.DOTALL
)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)")


def documented(pattern):
    """Every match of `pattern` in every document: where it stands, its document, and what was found."""
    found = [(path, match) for path in DOCUMENTS for match in pattern.finditer(path.read_text("utf-8"))]
    assert found
    return [(f"{path.relative_to(REPOSITORY)}:{line_of(match)}", path, match) for path, match in found]


def line_of(found):
    """The line on which a match begins."""
    return found.string.count("\n", 0, found.start()) + 1


def test_every_manifest_in_a_document_is_valid():
    """What a reader copies works, unless the document shows a mistake and says so."""
    read = [(where, found, read_manifest(found["text"].encode())) for where, _, found in documented(MANIFEST)]
    wrong = [(where, *parsed.problems) for where, found, parsed in read if bool(parsed.problems) != bool(found["mark"])]
    assert not wrong


def test_every_link_leads_to_a_file():
    """A relative link names a file or folder that is there."""
    assert not [(where, found[1]) for where, path, found in documented(LINK) if not (path.parent / found[1]).exists()]


def test_the_mistakes_that_the_tutorial_shows_are_those_that_are_found():
    """Line, column and suggestion in the tutorial are what `validate` prints."""
    text = (REPOSITORY / "docs" / "howto" / "first-album.md").read_text("utf-8")
    found = next(each for each in MANIFEST.finditer(text) if each["mark"])
    shown = re.findall(r"^\.\.\./quiet\.yml:(.*)$", text, re.MULTILINE)
    assert [str(problem) for problem in read_manifest(found["text"].encode()).problems] == shown


@pytest.mark.parametrize("name", ["demo command", "test command"])
def test_the_readme_has_one_line_for_each_command_of_ci(name):
    """`.ci/run` runs the line between the marks, so there is exactly one, in a shell block."""
    text = (REPOSITORY / "README.md").read_text("utf-8")
    blocks = re.findall(rf"<!-- {name} -->\n```sh\n(.*)\n```\n<!-- end of {name} -->", text)
    assert len(blocks) == 1
    assert blocks[0].startswith("python3 -m venv .venv && ")
    assert f'"{name}"' in (REPOSITORY / ".ci" / "run").read_text("utf-8")
