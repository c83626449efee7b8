"""What became of manifests that were to be taken in.

Owns: the value, and its plain form for programs. Never: decides it (reconcile.imports).
"""

from dataclasses import dataclass
from typing import Literal

from reconciler.errors import ReconcilerError
from reconciler.ids import JobId
from reconciler.manifests.admission import Provenance
from reconciler.manifests.model import Problem

Result = Literal["imported", "unchanged", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one manifest."""

    source: str
    """As it was offered."""
    result: Result
    """`unchanged`: it was here already; nothing was written."""
    job_id: JobId | None = None
    """That it has here; None where it was refused, or is here and waits for the daemon to give it one."""
    path: str = ""
    """Where it is, relative to the root folder; empty where it was refused."""
    offered_id: JobId | None = None
    """That it came with; None = none, or it was refused."""
    was: Provenance | None = None
    """What its status said where it came from."""
    problems: tuple[Problem, ...] = ()
    """Why it was refused; warnings also where it was not."""
    hindrance: ReconcilerError | None = None
    """What keeps us from taking in a manifest that may well be right; None = nothing does, or it is refused itself."""
    notes: tuple[str, ...] = ()
    """What a person should know, in sentences."""

    def as_json(self) -> dict[str, object]:
        """The outcome as plain values."""
        return {
            "source": self.source,
            "result": self.result,
            "job_id": self.job_id,
            "path": self.path or None,
            "offered_id": self.offered_id,
            "was": _provenance_as_json(self.was),
            "problems": [problem_as_json(problem) for problem in self.problems],
            "notes": list(self.notes),
        }


def problem_as_json(problem: Problem) -> dict[str, str | int]:
    """A problem as plain values."""
    return {
        "line": problem.line,
        "column": problem.column,
        "pointer": problem.pointer,
        "message": problem.message,
        "hint": problem.hint,
        "severity": problem.severity,
    }


def _provenance_as_json(was: Provenance | None) -> dict[str, object] | None:
    if was is None:
        return None
    return {"state": was.state.value, "node": was.node, "tracks_completed": was.tracks_completed}
