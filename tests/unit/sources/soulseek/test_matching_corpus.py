"""Folders as people share them, each file labelled with the track that it is, or with none."""

from pathlib import Path

import pytest
from shared_folders import read_cases

from reconciler.sources.soulseek.matching import match

CASES = read_cases(Path(__file__).with_name("folders.txt"))

# Right, and not taken: too little is known to tell them from what is wrong.
KNOWN_MISSES = {
    "discovery: radio edits": "one track on another album of the artist's: a live take may be as long",
    "queen: this one": "a title that says `single version` where the release does not",
}


def judged(case):
    """Positions and paths that are taken."""
    return frozenset((found.position, found.file.path) for found in match(case.wants, case.files).matched)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_folder_is_judged_as_a_person_would(case):
    """Never a wrong file; the right ones but for the known misses."""
    taken = judged(case)
    assert taken <= case.expected
    assert (taken == case.expected) is (case.name not in KNOWN_MISSES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_refused_folder_has_a_reason(case):
    """Whoever has audio files of which none is taken is told why."""
    matches = match(case.wants, case.files)
    audio = [file for file in case.files if file.extension in ("flac", "mp3", "m4a", "ogg", "ape")]
    if audio and not matches.matched:
        assert all(rejected.reason for rejected in matches.rejected)
        assert matches.rejected


def test_precision_and_recall():
    """Over all labelled files: nothing wrong is taken, and little that is right is left."""
    right = wrong = missed = 0
    for case in CASES:
        taken = judged(case)
        right += len(taken & case.expected)
        wrong += len(taken - case.expected)
        missed += len(case.expected - taken)
    rejects = sum(not case.expected for case in CASES)
    precision, recall = right / (right + wrong), right / (right + missed)
    print(f"{len(CASES)} folders, {rejects} of them wrong: precision {precision:.3f}, recall {recall:.3f}")
    assert len(CASES) >= 60
    assert rejects >= 60
    assert precision == 1
    assert recall >= 0.95


def test_all_folders_at_once_give_what_each_gives_alone():
    """Users do not influence each other, whatever order their files come in."""
    for wants in {case.wants for case in CASES}:
        cases = [case for case in CASES if case.wants == wants]
        together = match(wants, [file for case in reversed(cases) for file in reversed(case.files)])
        alone = {(found.position, found.file) for case in cases for found in match(wants, case.files).matched}
        assert {(found.position, found.file) for found in together.matched} == alone
