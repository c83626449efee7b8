"""`reconciler simulate`, from its options to what it prints."""

import json

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.errors import InvalidInputError
from reconciler.simulation.promises import BrokenPromiseError
from reconciler.simulation.world import World


def run(*arguments):
    return CliRunner().invoke(cli, ["simulate", *arguments])


def test_one_run_is_told_with_its_figures_and_peers():
    """Outcome, efficiency and waste in lines, then a row for each peer."""
    result = run("--rates", "8,4,2,1", "--files", "1", "--size-mib", "64")
    assert result.exit_code == 0
    assert "4 peers" in result.output
    assert "completed after" in result.output
    assert "efficiency 0.9" in result.output
    assert [line.split()[0] for line in result.output.splitlines()[-4:]] == ["p1", "p2", "p3", "p4"]


def test_json_has_what_the_text_has():
    """One document with one object, or a list where there are more runs."""
    found = json.loads(run("--seed", "3", "--peers", "3", "--faults", "lying", "--json").output)
    assert found["outcome"] == "completed"
    assert found["broken_promise"] == ""
    assert len(found["peers"]) == 3
    assert sum(peer["bytes"] for peer in found["peers"]) == found["bytes"] == sum(found["files"])
    many = json.loads(run("--runs", "2", "--size-mib", "1", "--json").output)
    assert [each["seed"] for each in many] == [1, 2]


def test_events_tell_the_story():
    """Every event of the run, before the figures; in JSON with its facts."""
    lines = run("--size-mib", "1", "--files", "1", "--events").output.splitlines()
    assert lines[0].split()[:3] == ["0.000", "JobStart", "started"]
    assert any("ChunkReceived" in line for line in lines)
    found = json.loads(run("--size-mib", "1", "--files", "1", "--events", "--json").output)
    assert found["events"][0]["type"] == "JobStart"


def test_the_same_seed_prints_the_same():
    """To the last character."""
    arguments = ("--seed", "11", "--faults", "many", "--events")
    assert run(*arguments).output == run(*arguments).output


def test_many_runs_are_summed_up():
    """How they ended, the median and the worst efficiency with its seed, the waste."""
    output = run("--runs", "5", "--seed", "20", "--size-mib", "2").output
    assert "5 runs: 5 completed" in output
    assert "efficiency: median 0." in output
    assert "(seed 2" in output
    assert "broken promises: 0" in output


def test_a_broken_promise_is_told_with_its_seed_and_fails(monkeypatch):
    """Exit code 1, and what to run again."""

    def broken(world, **_):
        raise BrokenPromiseError(f"{len(world.scene.sizes)} files and no sense")

    monkeypatch.setattr(World, "run", broken)
    result = run("--files", "2")
    assert result.exit_code == 1
    assert "BROKEN PROMISE: 2 files and no sense" in result.output
    many = run("--files", "2", "--runs", "3", "--seed", "7")
    assert many.exit_code == 1
    assert "  seed 9: 2 files and no sense" in many.output


def test_a_slow_swarm_is_given_its_time():
    """A gibibyte at the least speed takes more than a day of virtual time, and completes."""
    found = json.loads(run("--rates", "0.01", "--files", "1", "--size-mib", "1024", "--json").output)
    assert found["outcome"] == "completed"
    assert found["seconds"] > 86_400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--faults", "gremlins"), "there is no fault 'gremlins'"),
        (("--faults", "stall,"), "there is no fault ''"),
        (("--rates", "8,fast"), "as in 8,4,2,1"),
        (("--rates", "nan"), "as in 8,4,2,1"),
        (("--rates", "8,0"), "as in 8,4,2,1"),
        (("--peers", "0"), "--peers"),
        (("--peers", "201"), "--peers"),
        (("--size-mib", "65537"), "--size-mib"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(arguments, words):
    """Exit code 2 and what would be right."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--peers", "3", "--rates", "8,4"), "do not go together"),
        (("--files", "1000", "--size-mib", "1024"), "chunks"),
        (("--events", "--runs", "2"), "one run"),
        (("--html", "x.html", "--runs", "2"), "one run"),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments, words):
    """The message says which, and the hint what to do."""
    with pytest.raises(InvalidInputError, match=words) as refused:
        CliRunner().invoke(cli, ["simulate", *arguments], catch_exceptions=False)
    assert refused.value.hint
