"""A whole manifest as text, for a file that this program makes.

Owns: how the fields of a manifest are written down. Never: touches a file that is there: a person's is edited
(manifests.edit), never written anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields

from reconciler.manifests.block import Field, lines_of
from reconciler.manifests.model import Constraints, Directives, NodeSelector, RetryDirective

_DEFAULTS = Constraints()

SCHEMA_LINE = "# yaml-language-server: $schema=../../schemas/job-manifest.schema.json"
"""By which an editor knows the fields; counted from `jobs/active`."""


def manifest_text(
    head: Mapping[str, Field], spec: Mapping[str, Field], *, above: Sequence[str] = (), below: Sequence[str] = ()
) -> str:
    """Write a manifest of these fields; empty texts and blocks are left out.

    `above` are comment lines for its begin, `below` lines that follow the spec, indented as its fields are.
    """
    comments = [f"# {line}" if line else "#" for line in above]
    document: dict[str, Field] = {"manifest_version": "1.0", **_said(head), "spec": _said(spec)}
    lines = [SCHEMA_LINE, *comments, *lines_of(document), *(f"  {line}".rstrip() for line in below)]
    return "\n".join(lines) + "\n"


def constraint_fields(constraints: Constraints) -> dict[str, Field]:
    """What differs from the defaults."""
    said: dict[str, Field] = {}
    for field in fields(constraints):
        value = getattr(constraints, field.name)
        if value != getattr(_DEFAULTS, field.name):
            said[field.name] = list(value) if isinstance(value, tuple) else value
    return said


def inherited_fields(directives: Directives) -> dict[str, Field]:
    """The directives that a job hands on to those it owns: how they are run, not when it is done itself."""
    said: dict[str, Field] = {}
    if directives.suspend is not None:
        named = {"reason": directives.suspend.reason, "until": directives.suspend.until}
        said["suspend"] = _said(named) or True
    if directives.priority:
        said["priority"] = directives.priority
    if directives.node is not None:
        said["node"] = _node(directives.node)
    if directives.retry is not None:
        said["retry"] = _retry(directives.retry)
    if directives.timeout_s is not None:
        said["timeout"] = _duration(directives.timeout_s)
    return said


def _node(node: NodeSelector) -> Field:
    return node.name or dict(node.labels)


def _retry(retry: RetryDirective) -> Field:
    said: dict[str, Field] = {} if retry.limit is None else {"limit": retry.limit}
    if retry.interval_s is not None:
        said["interval"] = _duration(retry.interval_s)
    if retry.max_interval_s is not None:
        said["max_interval"] = _duration(retry.max_interval_s)
    return said


def _duration(seconds: float) -> str:
    return f"{int(seconds) if seconds == int(seconds) else seconds}s"


def _said(given: Mapping[str, Field]) -> dict[str, Field]:
    return {name: value for name, value in given.items() if value not in ("", {}, [])}
