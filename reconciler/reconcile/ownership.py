"""Which node a job is for.

Owns: the rule. Never: asks another node: machines that share a folder only by syncing it agree on nothing but its text.

A manifest that names no node is everybody's; whoever shares a folder between several daemons names one in each. What is
not ours is left alone to the last byte, its status too: two writers of one synced file make conflicts.
"""

from dataclasses import dataclass, field

from reconciler.manifests.model import NodeSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """This daemon, as manifests may name it."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)


def why_not_ours(selector: NodeSelector | None, node: Node) -> str:
    """Why a job is not for `node`; empty = it is."""
    if selector is None:
        return ""
    if selector.name and selector.name != node.name:
        return f"the job is for node {selector.name}; this one is {node.name}"
    differing = [name for name, wanted in sorted(selector.labels.items()) if node.labels.get(name) != wanted]
    if differing:
        wanted_labels = ", ".join(f"{name}={selector.labels[name]}" for name in differing)
        return f"the job is for nodes labelled {wanted_labels}; {node.name} is not"
    return ""
