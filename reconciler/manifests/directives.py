"""What every spec may say about how its job is run, from typed fields to values.

Owns: the several ways of writing one directive (`suspend: true`, a duration with its unit). Never: obeys one
(reconcile).
"""

from collections.abc import Mapping
from typing import Any

from reconciler.ids import JobId
from reconciler.manifests.formats import FormatError, parse_duration_s
from reconciler.manifests.model import Directives, NodeSelector, RetryDirective, Suspend

Fields = Mapping[str, Any]


def directives_of(spec: Fields) -> Directives:
    """The directives of a spec that the schema has accepted."""
    return Directives(
        suspend=_suspend(spec.get("suspend", False)),
        priority=spec.get("priority", 0),
        depends_on=tuple(JobId(job_id) for job_id in spec.get("depends_on", ())),
        node=_node(spec.get("node")),
        retry=_retry(spec.get("retry", {})),
        desired_state=spec.get("desired_state", "present"),
        timeout_s=duration_s(spec.get("timeout")),
    )


def duration_s(text: object) -> float | None:
    """Seconds of a duration; None for what is left out, or is no duration."""
    try:
        return parse_duration_s(text) if isinstance(text, str) else None
    except FormatError:
        return None


def _suspend(said: object) -> Suspend | None:
    if isinstance(said, Mapping):
        return Suspend(reason=said.get("reason", ""), until=said.get("until", ""))
    return Suspend() if said else None


def _node(said: str | dict[str, str] | None) -> NodeSelector | None:
    if said is None:
        return None
    return NodeSelector(name=said) if isinstance(said, str) else NodeSelector(labels=said)


def _retry(said: Fields) -> RetryDirective | None:
    if not said:
        return None
    return RetryDirective(
        limit=said.get("limit"),
        interval_s=duration_s(said.get("interval")),
        max_interval_s=duration_s(said.get("max_interval")),
    )
