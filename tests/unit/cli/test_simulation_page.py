"""The page of a simulated run."""

import random
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.cli.simulation_page import COLUMNS, EVENTS_MAX, page_of
from reconciler.errors import DiskError
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.measures import measure
from reconciler.simulation.runs import Run, run_once
from reconciler.simulation.scene import Scene
from reconciler.simulation.swarms import MANY, Wish
from reconciler.simulation.world import World

EMPTY = {"meta"}


class Tags(HTMLParser):
    """Checks that every tag is closed, and collects what is used."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def parsed(page):
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert not tags.open
    return tags


def run_of(*peers, sizes=(3_000_000,), **scene) -> Run:
    made = Scene(sizes=sizes, peers=peers, **scene)
    result = World(made, dice=random.Random(1)).run()
    return Run(scene=made, result=result, measures=measure(made, result), broken="")


def test_a_page_is_whole_and_loads_nothing():
    """Every tag is closed; no script, no image, no link, and a policy that would forbid them."""
    page = page_of(17, run_once(random.Random(17), Wish(faults=MANY)))
    tags = parsed(page)
    assert {tag for tag, _ in tags.seen}.isdisjoint({"script", "img", "link", "iframe", "a"})
    assert not any(name in ("src", "href") for _, attributes in tags.seen for name in attributes)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert "http" not in page.replace("http-equiv", "")


def test_each_peer_has_a_lane_in_the_colours_of_what_it_sent():
    """A liar's one chunk is drawn as wrong, an honest peer's as verified; both pictures say what they are."""
    tags = parsed(page_of(1, run_of(SimPeer(name="good"), SimPeer(name="liar", lies=frozenset(range(12))))))
    shown = [attributes.get("class") for tag, attributes in tags.seen if tag == "rect"]
    assert shown.count("rest") == 2
    assert shown.count("bad") == 1
    assert "good" in shown
    assert all(attributes["aria-label"] for tag, attributes in tags.seen if tag == "svg")


def test_a_restart_is_a_line_in_both_pictures():
    """Where the daemon was ended and started again."""
    tags = parsed(page_of(1, run_of(SimPeer(name="a"), restarts_s=(1.0, 99.0))))
    assert [attributes.get("class") for tag, attributes in tags.seen if tag == "line"].count("restart") == 2


def test_names_are_text():
    """A peer that is called like a tag makes none."""
    name = '"><script>alert(1)</script>'
    tags = parsed(page_of(1, run_of(SimPeer(name=name))))
    assert "script" not in {tag for tag, _ in tags.seen}
    assert any(name in text for text in tags.texts)


def test_a_long_run_draws_no_more_than_a_short_one():
    """A lane has at most one mark for each column, and a page a bounded number of events."""
    run = run_of(SimPeer(name="flaky", resets=0.3), SimPeer(name="b", rate_bytes_per_s=30_000), sizes=(40_000_000,) * 3)
    many = replace(run, result=replace(run.result, notes=run.result.notes * 40))
    page = page_of(1, many)
    marks = [attributes for tag, attributes in parsed(page).seen if tag == "rect"]
    assert len(marks) <= 2 * (COLUMNS + 1)
    assert page.count("\n") < EVENTS_MAX + 120
    assert "and " in page.rpartition("<pre>")[2]


def test_the_command_writes_the_page(tmp_path):
    """`--html FILE` beside the text; a file that cannot be written is an error in words, not a trace."""
    path = tmp_path / "run.html"
    result = CliRunner().invoke(cli, ["simulate", "--size-mib", "1", "--html", str(path)])
    assert result.exit_code == 0
    assert "Simulated swarm, seed 1" in path.read_text("utf-8")
    nowhere = tmp_path / "nowhere" / "run.html"
    with pytest.raises(DiskError, match="could not write") as refused:
        CliRunner().invoke(cli, ["simulate", "--size-mib", "1", "--html", str(nowhere)], catch_exceptions=False)
    assert refused.value.hint
