"""What a person is told of, in which words."""

import pytest
from trace_builders import event

from reconciler.traces.key_events import key_text
from reconciler.traces.model import EventType


@pytest.mark.parametrize(
    ("kind", "action", "facts", "told"),
    [
        (EventType.TRACK_START, "started", {}, ""),
        (EventType.TRACK_START, "resumed", {"chunks_kept": 7}, "Track 3 resumed, 7 chunks kept"),
        (EventType.TRACK_COMPLETE, "published", {}, ""),
        (EventType.TRACK_COMPLETE, "failed", {}, "Track 3 failed (why)"),
        (
            EventType.TRACK_COMPLETE,
            "renamed",
            {"path": "/music/C (2).flac"},
            "Track 3 renamed, its name was taken: /music/C (2).flac",
        ),
        (EventType.ERROR, "held", {}, "Track 3 held up by our own disk (why)"),
        (EventType.ERROR, "lost", {}, "Track 3 lost by our own disk, and fetched again (why)"),
    ],
)
def test_what_happens_to_a_track_is_told_where_it_is_news(kind, action, facts, told):
    """The ordinary is not, what went wrong has its reason."""
    happened = event(
        type=kind, action=action, track_id="3", metadata=facts, error_message="why" if "(why)" in told else ""
    )
    assert key_text(happened, again=False) == told
