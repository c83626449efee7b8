"""`job trace` in its forms."""

import io
import json
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from rich.console import Console

from reconciler.cli import render_timeline
from reconciler.cli.main import cli
from reconciler.cli.render_timeline import columns_in, timeline_text
from reconciler.cli.trace_page import COLUMNS, page_of
from reconciler.errors import DiskError, InvalidInputError
from reconciler.ids import JobId
from reconciler.manifests.model import JobState, JobType
from reconciler.state.database import Database
from reconciler.state.jobs import JobRecord, JobStore
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.reading import TraceReader
from reconciler.traces.store import TraceStore
from reconciler.traces.summary import summarise
from reconciler.traces.timeline import timeline_of

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
NOON_MS = 1_765_368_000_000

# A name that would end a line, a tag, an attribute or a picture, move the cursor, and turn letters around.
HOSTILE = "\x1b[2J|\u202e\"'><script>alert(1)</script></svg><img src=x onerror=alert(2)>\n&amp;"

EVENTS = (
    (0, EventType.JOB_START, "started", {}),
    (
        2,
        EventType.CHUNK_RECEIVED,
        "verified",
        {"bytes_transferred": 4_000_000, "duration_ms": 1500.0, "peer_id": "ann"},
    ),
    (3, EventType.CHUNK_FAILED, "bad hash", {"is_error": True, "peer_id": HOSTILE, "error_message": HOSTILE}),
    (3, EventType.PEER_DISCONNECTED, "banned", {"peer_id": HOSTILE, "error_message": HOSTILE}),
    (4, EventType.RESCUE_MODE_ACTIVATED, "activated", {"track_id": "1", "error_message": "stalled: " + HOSTILE}),
    (5, EventType.SWARM_REBALANCED, "handed over", {"metadata": {"reason": HOSTILE}}),
    (6, EventType.RESCUE_MODE_DEACTIVATED, "recovered", {"track_id": "1"}),
    (8, EventType.JOB_COMPLETE, "completed", {}),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A root and a state folder with one job that met a hostile peer."""
    made = tmp_path_factory.mktemp("root")
    database = Database.open(made / "reconciler.db")
    traces = TraceStore(database, made / "logs" / "sessions")
    for number, (second, kind, action, rest) in enumerate(EVENTS):
        source = {"source": "overlay"} if "peer_id" in rest else {}
        traces.report(
            SwarmEvent(
                event_id=f"{number:026}",
                timestamp_ms=NOON_MS + second * 1000,
                type=kind,
                job_id=JOB,
                action=action,
                **source,
                **rest,
            )
        )
    traces.flush()
    record = JobRecord(
        job_id=JOB, path="jobs/completed/a.yml", job_type=JobType.MB_RELEASE, spec_digest="d", state=JobState.COMPLETED
    )
    JobStore(database).put(record)
    database.close()
    return made


@pytest.fixture(scope="module")
def story(folder):
    """What was stored of it."""
    database = Database.open_read_only(folder / "reconciler.db")
    yield TraceReader(database).story(JOB)
    database.close()


def trace(folder, *options):
    """What `job trace` prints."""
    words = ["job", "trace", "01HRQ4", "--root", str(folder), "--state", str(folder), *map(str, options)]
    return CliRunner().invoke(cli, words, catch_exceptions=False).output


def harmless(text):
    """Whether nothing moves a cursor or turns letters around."""
    return all(character.isprintable() for line in text.splitlines() for character in line)


class Tags(HTMLParser):
    """Checks that every tag is closed, and collects what is used."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def parsed(page):
    """The page, every tag of it closed."""
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert not tags.open
    return tags


class TestText:
    """For a terminal and for pipes."""

    def test_the_summary_escapes_what_peers_chose(self, folder):
        """One line for each thing, whatever it is called."""
        told = trace(folder)
        assert harmless(told)
        assert "1. ann (Overlay): 4.0 MB, 1 chunks"[:24] in told
        assert len([line for line in told.splitlines() if "alert(1)" in line]) == 4

    def test_the_events_are_those_of_the_log(self, folder):
        """Line by line."""
        assert trace(folder, "--events") == (folder / "logs" / "sessions" / f"{JOB}.log").read_text()

    def test_the_timeline_has_a_lane_for_each_peer(self, folder):
        """As wide as a pipe is taken to be, without any colour, and what was decided below."""
        told = trace(folder, "--timeline")
        assert harmless(told)
        lines = told.splitlines()
        (ann,) = [line for line in lines if line.startswith("ann ")]
        assert ann.count("█") == pytest.approx(0.19 * columns_in(100), abs=2)
        assert ann.endswith("4.0 MB")
        assert max(map(len, lines[:8])) <= 100
        marks = next(line for line in lines if "R~" in line)
        assert [glyph for glyph in marks if glyph in "!RBE"] == ["!", "R", "B", "E"]
        assert "00:00:04 R Rescue mode activated (stalled: " in told

    @pytest.mark.parametrize("width", [1, 40, 80, 120, 1000])
    def test_the_timeline_is_as_wide_as_the_terminal(self, story, width):
        """Never wider, but for names and words, and never without columns."""
        columns = columns_in(width)
        text = timeline_text(timeline_of(story, columns=columns, lanes_max=5))
        lane = next(line for line in text.plain.splitlines() if line.startswith("ann "))
        assert len(lane) <= max(width, 35 + render_timeline.COLUMNS_MIN)
        assert render_timeline.COLUMNS_MIN <= columns <= render_timeline.COLUMNS_MAX

    def test_a_terminal_has_colours(self, story):
        """And they are not the only difference."""
        console = Console(force_terminal=True, color_system="standard", width=120, record=True, file=io.StringIO())
        console.print(timeline_text(timeline_of(story, columns=80, lanes_max=5)))
        coloured = console.export_text(styles=True)
        assert "\x1b[34m" in coloured
        assert "\x1b[31mx" in coloured

    def test_peers_and_marks_beyond_the_bound_are_counted(self, story, monkeypatch):
        """In one line each."""
        monkeypatch.setattr(render_timeline, "MARKS_SHOWN_MAX", 1)
        told = timeline_text(timeline_of(story, columns=40, lanes_max=1)).plain
        assert "and 1 more peer\n" in told
        assert told.endswith("and 3 more")


class TestJson:
    """For programs."""

    def test_each_form_is_one_document(self, folder, tmp_path):
        """With the names as they are: JSON makes them safe."""
        assert json.loads(trace(folder, "--json"))["status"] == "completed"
        events = json.loads(trace(folder, "--json", "--events"))
        assert [each["type"] for each in events] == [kind.value for _, kind, _, _ in EVENTS]
        timeline = json.loads(trace(folder, "--json", "--timeline"))
        assert [lane["name"] for lane in timeline["lanes"]] == ["ann", events[2]["peer_id"]]
        page = tmp_path / "page.html"
        assert json.loads(trace(folder, "--json", "--html", page)) == {"html": str(page)}


class TestPage:
    """One file that needs nothing else."""

    def test_it_is_whole_and_loads_nothing(self, story):
        """Every tag closed; no script, no address but within the page, and a policy that forbids them."""
        page = page_of(summarise(story), timeline_of(story, columns=COLUMNS, lanes_max=9))
        tags = parsed(page)
        kinds = {tag for tag, _ in tags.seen}
        assert not kinds & {"script", "img", "link", "iframe", "object", "embed", "form", "base"}
        assert not [
            name for _, attrs in tags.seen for name in attrs if name.startswith("on") or name in ("src", "style")
        ]
        assert all(attrs["href"].startswith("#mark-") for tag, attrs in tags.seen if tag == "a")
        assert (
            "meta",
            {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"},
        ) in tags.seen
        assert "url(" not in page
        assert "@import" not in page
        assert harmless(tags.text)

    def test_it_tells_the_session(self, story):
        """Who gave what, when, how fast, and what was decided."""
        page = page_of(summarise(story), timeline_of(story, columns=COLUMNS, lanes_max=9))
        tags = parsed(page)
        classes = [attrs.get("class", "") for _, attrs in tags.seen]
        assert classes.count("lane") == 2
        assert [each for each in classes if each.startswith("mark ")] == [
            "mark trouble", "mark rescue", "mark rebalanced", "mark over",
        ]  # fmt: skip
        assert {"area", "help", "good", "bad"} <= set(classes)
        assert "4.0 MB from 1 peer, " in page
        for words in (
            "Completed; ran for 8s",
            "4.0 MB",
            "Rescue mode activated",
            "Swarm rebalanced",
            "Overlay",
            "100%",
        ):
            assert words in tags.text

    def test_everything_can_be_reached_with_the_keyboard(self, story):
        """Lanes, marks and what scrolls; each mark leads to its words, each picture says what it shows."""
        tags = parsed(page_of(summarise(story), timeline_of(story, columns=COLUMNS, lanes_max=9)))
        for tag, attrs in tags.seen:
            if attrs.get("class") in ("lane", "wide"):
                assert attrs["tabindex"] == "0"
                assert attrs["aria-label"]
            if tag == "svg":
                assert attrs["aria-label"]
        targets = {attrs.get("id") for tag, attrs in tags.seen if tag == "li"}
        assert {attrs["href"][1:] for tag, attrs in tags.seen if tag == "a"} <= targets

    def test_a_job_that_has_just_begun_has_a_page_too(self, folder, tmp_path):
        """Without a chunk, a mark or a peer."""
        database = Database.open(tmp_path / "reconciler.db")
        traces = TraceStore(database, tmp_path / "logs")
        traces.report(SwarmEvent(event_id="1", timestamp_ms=1, type=EventType.JOB_START, job_id=JOB, action="started"))
        traces.flush()
        begun = TraceReader(database).story(JOB)
        database.close()
        told = parsed(page_of(summarise(begun), timeline_of(begun, columns=COLUMNS, lanes_max=9))).text
        assert "No chunk has come yet." in told
        assert "Nothing out of the ordinary." in told

    def test_the_page_is_written_where_it_is_wanted(self, folder, tmp_path):
        """And where it cannot be, that is said."""
        assert "session.html" in trace(folder, "--html", tmp_path / "session.html")
        assert (tmp_path / "session.html").read_text().startswith("<!doctype html>")
        with pytest.raises(DiskError, match="could not write"):
            trace(folder, "--html", tmp_path / "no" / "x.html")


@pytest.mark.parametrize("forms", [("--events", "--timeline"), ("--timeline", "--html", "x.html")])
def test_one_form_at_a_time(folder, forms):
    """They would be printed over each other."""
    with pytest.raises(InvalidInputError, match="three forms"):
        trace(folder, *forms)
