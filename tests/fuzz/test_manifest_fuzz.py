"""No damage to a manifest gets past the reader's words; and the harness that shows it notices what it looks for."""

import os

import pytest
from manifest_fuzz import SEED, fuzz
from mutants import SEEDS, mutant

from reconciler.manifests.read import read_manifest

# CI has 200,000, about 35 s of two cores. With a bound on the time of each by tests/fuzz/manifest_fuzz.py.
MUTANTS = int(os.environ.get("RECONCILER_TEST_MUTANTS", "40000"))


def test_every_damaged_manifest_is_read_or_refused_in_words():
    """No exception, no signal; what is accepted can be shown, logged, and given a status exactly or not at all."""
    verdict = fuzz(MUTANTS, processes=max(2, os.cpu_count() or 1))
    print(f"\n{verdict.mutants:,} mutants: {verdict.counts}; slowest read {verdict.worst_s * 1000:.1f} ms")
    assert verdict.breaches == ()
    assert verdict.counts["accepted"] + verdict.counts["refused"] == MUTANTS
    assert verdict.counts["spliced"] + verdict.counts["not spliced"] == verdict.counts["accepted"]
    # A harness whose mutants are all nonsense, or all sound, shows nothing.
    assert MUTANTS * 0.05 < verdict.counts["accepted"] < MUTANTS * 0.5
    assert verdict.counts["not spliced"] > MUTANTS * 0.0001


@pytest.mark.parametrize(
    ("target", "said"), [("die", "SIGSEGV at mutant 2: "), ("fail", "exit status 1 at mutant 2: ")]
)
def test_a_breach_is_noticed_and_the_mutant_named(target: str, said: str):
    """A process that dies of a signal or of an exception says at which mutant, and shows it."""
    verdict = fuzz(10, processes=1, target=target)
    (breach,) = verdict.breaches
    assert breach.startswith(said)
    assert repr(mutant(SEED, 2)) in breach


def test_a_mutant_can_be_made_again():
    """Seed and index are all there is to it."""
    assert [mutant(1, index) for index in range(50)] == [mutant(1, index) for index in range(50)]
    assert len({mutant(1, index) for index in range(50)}) > 40
    assert mutant(1, 1) != mutant(2, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_mutants_are_made_of_is_sound(seed: bytes):
    """Damage is measured against manifests that are right."""
    assert read_manifest(seed).problems == ()
