"""Chunk plans drawn as text: `V` is here, `r` is asked for, `.` is missing."""

from reconciler.engine.chunks import ChunkPlan
from reconciler.engine.events import TransferId
from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import CHUNK_BYTES


def plan_of(drawn: str, *, transfer: int = 1) -> ChunkPlan:
    """Make the plan that `drawn` shows; what is asked for, transfer number `transfer` was asked for."""
    plan = ChunkPlan(len(drawn) * CHUNK_BYTES)
    for index, mark in enumerate(drawn):
        if mark in "Vr":
            plan.request(TransferId(transfer), ChunkIndex(index), ChunkIndex(index))
        if mark == "V":
            plan.have(ChunkIndex(index))
    plan.check_invariants()
    return plan


def drawing_of(plan: ChunkPlan) -> str:
    """Draw a plan."""
    return "".join(".rV"[plan.state(ChunkIndex(index))] for index in range(plan.count))
