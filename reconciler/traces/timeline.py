"""A job over time, in as many columns as a picture has.

Owns: which column shows what. Never: adds a job up (traces.summary), or draws (cli). Names in a timeline are as the
peers gave them: escape them wherever they are shown.

The time is the job's own (traces.runs). However long a job was and however many events it has, a timeline is no larger
than its columns times its lanes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

from reconciler.ids import JobId
from reconciler.traces.key_events import key_text
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.runs import is_start
from reconciler.traces.story import DUPLICATE, ChunkRow, Story

Use: TypeAlias = Literal["", "good", "twice", "late", "bad"]
"""What came in a column: nothing, a good chunk, one that another peer had brought, none in time, a wrong one."""

# Where a column has several, the later of these is shown: what must be seen hides what is usual.
_ORDER: tuple[Use, ...] = ("", "twice", "good", "late", "bad")

MarkKind: TypeAlias = Literal["start", "rescue", "rescue over", "rebalanced", "trouble"]

# Two screens of them; a swarm in trouble repeats itself.
MARKS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One peer over time."""

    name: str
    source: str
    bytes_contributed: int
    chunks: int
    chunks_failed: int
    columns: tuple[Use, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment in which something was decided or went wrong."""

    offset_ms: int
    kind: MarkKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A job over time."""

    job_id: JobId
    total_ms: int
    """How long it ran; each column is an equal part of it."""
    lanes: tuple[Lane, ...]
    """The largest contribution first."""
    lanes_omitted: int
    bytes_per_s: tuple[float, ...]
    """Contributed bytes over the time of each column; those of a chunk came evenly over its time."""
    rescues: tuple[tuple[int, int], ...]
    """From when to when the overlay helped, as offsets in milliseconds; they may overlap, one for each track."""
    marks: tuple[Mark, ...]
    """The first MARKS_MAX, in order."""
    marks_omitted: int

    def to_json(self) -> dict[str, object]:
        """The timeline as plain values, under the names of its fields."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def timeline_of(story: Story, *, columns: int, lanes_max: int) -> Timeline:
    """Lay out one job: at least one column, at most `lanes_max` peers, those that gave most."""
    canvas = _Canvas(story, columns)
    for row in story.chunks:
        canvas.draw(row)
    lanes = sorted(canvas.lanes.values(), key=lambda lane: (-lane.bytes_contributed, lane.source, lane.name))
    marks = _marks(story)
    return Timeline(
        job_id=story.job_id,
        total_ms=story.runs.total_ms,
        lanes=tuple(lane.finished() for lane in lanes[:lanes_max]),
        lanes_omitted=max(0, len(lanes) - lanes_max),
        bytes_per_s=tuple(size / (canvas.column_ms / 1000) for size in canvas.bytes_in),
        rescues=_rescues(story),
        marks=tuple(marks[:MARKS_MAX]),
        marks_omitted=max(0, len(marks) - MARKS_MAX),
    )


@dataclass(slots=True, kw_only=True)
class _Lane:
    name: str
    source: str
    ranks: list[int]
    bytes_contributed: int = 0
    chunks: int = 0
    chunks_failed: int = 0

    def finished(self) -> Lane:
        return Lane(
            name=self.name,
            source=self.source,
            bytes_contributed=self.bytes_contributed,
            chunks=self.chunks,
            chunks_failed=self.chunks_failed,
            columns=tuple(_ORDER[rank] for rank in self.ranks),
        )


class _Canvas:
    def __init__(self, story: Story, columns: int) -> None:
        self._runs = story.runs
        self._columns = max(1, columns)
        self.column_ms = max(story.runs.total_ms, 1) / self._columns
        self.lanes: dict[tuple[str, str], _Lane] = {}
        self.bytes_in = [0.0] * self._columns

    def draw(self, row: ChunkRow) -> None:
        at_ms, kind, source, name, size, duration_ms, is_error, code, count = row
        lane = self.lanes.get((source, name))
        if lane is None:
            lane = self.lanes[source, name] = _Lane(name=name, source=source, ranks=[0] * self._columns)
        ended_ms = self._runs.offset_ms(at_ms)
        began_ms = min(self._runs.offset_ms(int(at_ms - duration_ms)), ended_ms)
        first, last = self._column(began_ms), self._column(ended_ms)
        use = _use(kind, code, is_error=bool(is_error))
        rank = _ORDER.index(use)
        for column in range(first, last + 1):
            lane.ranks[column] = max(lane.ranks[column], rank)
        if use == "good":
            lane.bytes_contributed += size
            lane.chunks += count
            self._spread(size, began_ms, ended_ms, first, last)
        elif use != "twice":
            lane.chunks_failed += count

    def _spread(self, size: int, began_ms: int, ended_ms: int, first: int, last: int) -> None:
        if first == last:
            self.bytes_in[first] += size
            return
        per_ms = size / (ended_ms - began_ms)
        for column in range(first, last + 1):
            covered = min(ended_ms, (column + 1) * self.column_ms) - max(began_ms, column * self.column_ms)
            self.bytes_in[column] += per_ms * max(covered, 0.0)

    def _column(self, offset_ms: int) -> int:
        return min(int(offset_ms / self.column_ms), self._columns - 1)


def _use(kind: str, code: str, *, is_error: bool) -> Use:
    if kind == EventType.CHUNK_RECEIVED:
        if code == DUPLICATE:
            return "twice"
        return "bad" if is_error else "good"
    return "late" if kind == EventType.CHUNK_TIMED_OUT else "bad"


_KINDS: dict[EventType, MarkKind] = {
    EventType.RESCUE_MODE_ACTIVATED: "rescue",
    EventType.RESCUE_MODE_DEACTIVATED: "rescue over",
    EventType.SWARM_REBALANCED: "rebalanced",
    EventType.JOB_START: "start",
}


def _marks(story: Story) -> list[Mark]:
    """What a person would want to know of (traces.key_events)."""
    marks: list[Mark] = []
    starts = 0
    for event in story.told:
        starts += is_start(event)
        if text := key_text(event, again=starts > 1):
            kind = _KINDS.get(event.type, "trouble")
            marks.append(Mark(offset_ms=story.runs.offset_ms(event.timestamp_ms), kind=kind, text=text))
    return marks


@dataclass(slots=True, kw_only=True)
class _Rescues:
    """Help that was begun and not yet ended, by track."""

    open: dict[str, int] = field(default_factory=dict)
    done: list[tuple[int, int]] = field(default_factory=list)

    def end(self, tracks: Sequence[str], offset_ms: int) -> None:
        for track in tracks:
            if (began_ms := self.open.pop(track, None)) is not None:
                self.done.append((began_ms, offset_ms))


def _rescues(story: Story) -> tuple[tuple[int, int], ...]:
    """A restart ends every rescue: the new run begins without."""
    rescues = _Rescues()
    for event in story.told:
        offset_ms = story.runs.offset_ms(event.timestamp_ms)
        match event:
            case SwarmEvent(type=EventType.RESCUE_MODE_ACTIVATED, track_id=track):
                rescues.open.setdefault(track, offset_ms)
            case SwarmEvent(type=EventType.RESCUE_MODE_DEACTIVATED, track_id=track):
                rescues.end([track], offset_ms)
            case _ if is_start(event) or event.type is EventType.JOB_COMPLETE:
                rescues.end(list(rescues.open), offset_ms)
            case _:
                pass
    rescues.end(list(rescues.open), story.runs.total_ms)
    return tuple(sorted(rescues.done))
