"""Which fields of a status are written, and how."""

from reconciler.manifests.block import lines_of, status_fields
from reconciler.manifests.model import Children, JobState, Status


def test_a_status_of_children_shows_noughts():
    """What a discography owns is counted in full: `failed: 0` is what one looks for."""
    status = Status(
        state=JobState.RUNNING,
        last_handled_reconcile_at="2025-12-11",
        node="attic: upstairs",
        children=Children(total=12, completed=3, failed=0),
    )
    assert lines_of(status_fields(status)) == [
        "state: running",
        'last_handled_reconcile_at: "2025-12-11"',
        'node: "attic: upstairs"',
        "children:",
        "  total: 12",
        "  completed: 3",
        "  failed: 0",
    ]


def test_a_job_without_children_says_nothing_of_them():
    """Empty fields are left out."""
    assert status_fields(Status(state=JobState.PENDING)) == {"state": "pending"}
