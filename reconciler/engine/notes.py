"""How the job machine words what it tells the trace.

Owns: the notes about peers, chunks, transfers and the beginning of a track. Never: decides whether one is made.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from reconciler.engine.chunks import ChunkPlan
from reconciler.engine.doubt import Again
from reconciler.engine.events import ChunkArrived, FailureCode, Note
from reconciler.engine.order import TrackOrder
from reconciler.engine.peers import TIMED_OUT, Peer
from reconciler.engine.schedule import Overdue
from reconciler.engine.transfers import Transfer
from reconciler.ids import TrackPosition
from reconciler.sources.base import Offer, PeerTrouble, Rejection, Variant
from reconciler.traces.model import EventType


def offered_note(peer: Peer, offer: Offer) -> Note:
    """A peer was met by its first offer: what that is, and why it is taken for what is wanted, where names say so."""
    facts = {"what": offer.target, "match": offer.matched} if offer.matched else {}
    return replace(peer_note(peer, EventType.PEER_DISCOVERED, "offered"), facts=dict(facts))


def peer_note(peer: Peer, kind: EventType, action: str, *, code: str = "", message: str = "") -> Note:
    """Something happened to a peer as a whole; with `code` it is a failure."""
    return Note(
        type=kind,
        action=action,
        peer=peer.name,
        source=peer.source,
        is_error=bool(code),
        error_code=code,
        error_message=message,
    )


def trouble_note(trouble: PeerTrouble) -> Note:
    """A peer that was asked while searching gave no usable answer."""
    lied = trouble.code == "lied"
    return Note(
        type=EventType.ERROR if lied else EventType.PEER_DISCONNECTED,
        action="lied" if lied else "failed",
        peer=trouble.peer.partition(":")[2],
        source=trouble.source,
        is_error=True,
        error_code=trouble.code,
        error_message=trouble.message,
    )


def rejection_note(rejection: Rejection) -> Note:
    """What a peer has was looked at and not taken: nothing went wrong, and the reason stands where lines show one."""
    return Note(
        type=EventType.PEER_DISCOVERED,
        action="rejected",
        peer=rejection.peer.partition(":")[2],
        source=rejection.source,
        error_message=f"{rejection.what}: {rejection.reason}",
        facts={"what": rejection.what, "reason": rejection.reason},
    )


def chunk_note(peer: Peer, transfer: Transfer, event: ChunkArrived, action: str) -> Note:
    """A chunk came: right, wrong, or after another peer had brought it (`duplicate`)."""
    wrong = event.matches is False
    code, message = "", ""
    if wrong:
        code, message = "bad hash", f"chunk {event.chunk} does not match its hash"
    elif action == "duplicate":
        code, message = "duplicate", f"chunk {event.chunk} had come from another peer"
    return Note(
        type=EventType.CHUNK_FAILED if wrong else EventType.CHUNK_RECEIVED,
        action=action,
        position=transfer.position,
        variant_id=transfer.offer.variant.id,
        peer=peer.name,
        source=peer.source,
        bytes_transferred=event.bytes_received,
        duration_s=event.duration_s,
        is_error=bool(code),
        error_code=code,
        error_message=message,
        facts={"chunk": event.chunk},
    )


def request_note(peer: Peer, transfer: Transfer) -> Note:
    """A request was sent."""
    return _transfer_note(
        peer,
        transfer,
        EventType.CHUNK_REQUESTED,
        "requested",
        {"first": transfer.first, "last": transfer.last, "bytes": transfer.bytes_owed},
    )


def queued_note(peer: Peer, transfer: Transfer) -> Note:
    """A request stands in the peer's own line, or has moved in it."""
    place: dict[str, int] = {} if transfer.place is None else {"place": transfer.place}
    return _transfer_note(peer, transfer, EventType.PEER_CONNECTED, "queued", place)


def handover_note(giver: Peer, taker: Peer, late: Overdue, chunks: int, *, now: float) -> Note:
    """Work of one peer was given to another: its share of the chunks was more than its share of the speed."""
    position = late.transfer.position
    silent_s = now - giver.moved_s
    if math.isinf(late.last_s):
        why = f"{giver.name} lets the request wait in its line"
    elif giver.is_silent(now, chunk_bytes=late.transfer.plan.chunk_bytes):
        why = f"{giver.name} has been silent for {silent_s:.1f} s"
    else:
        why = f"{giver.name} would need {late.last_s:.1f} s more"
    return Note(
        type=EventType.SWARM_REBALANCED,
        action="handed over",
        position=position,
        variant_id=late.transfer.offer.variant.id,
        peer=taker.name,
        source=taker.source,
        facts={
            "from": giver.name,
            "to": taker.name,
            "chunks": chunks,
            "from_bytes_per_s": round(giver.throughput_bytes_per_s),
            "to_bytes_per_s": round(taker.throughput_bytes_per_s),
            "reason": why,
        },
    )


def failure_note(peer: Peer, transfer: Transfer, code: FailureCode, message: str) -> Note:
    """A request ended before all of it came."""
    kind = EventType.CHUNK_TIMED_OUT if code in TIMED_OUT else EventType.CHUNK_FAILED
    facts = {"first": transfer.first, "last": transfer.last, "chunks_owed": len(transfer.owed)}
    return _transfer_note(peer, transfer, kind, code, facts, code=code, message=message)


def _transfer_note(
    peer: Peer,
    transfer: Transfer,
    kind: EventType,
    action: str,
    facts: Mapping[str, int],
    *,
    code: str = "",
    message: str = "",
) -> Note:
    return Note(
        type=kind,
        action=action,
        position=transfer.position,
        variant_id=transfer.offer.variant.id,
        peer=peer.name,
        source=peer.source,
        is_error=bool(code),
        error_code=code,
        error_message=message,
        facts=dict(facts),
    )


def start_note(
    order: TrackOrder, variant: Variant, plan: ChunkPlan, *, chosen: str, matched: str, verified_by: str
) -> Note:
    """A variant is fetched from now on: `chosen` says why this one, `matched` why its name is taken for the track's."""
    return Note(
        type=EventType.TRACK_START,
        action="resumed" if plan.chunks_had else "started",
        position=order.want.position,
        variant_id=variant.id,
        facts={
            "title": order.title,
            "bytes": variant.size,
            "codec": variant.codec,
            "chosen": chosen,
            **({"match": matched} if matched else {}),
            "verified_by": verified_by,
            "chunks_kept": plan.chunks_had,
            "bytes_kept": plan.bytes_had,
            "chunks_total": plan.count,
        },
    )


def doubt_note(position: TrackPosition, variant: Variant, again: Again, *, count: int, message: str) -> Note:
    """A whole of `count` chunks is wrong, and what of it is fetched again."""
    whom = "others than before" if again.only is None else f"{again.only.partition(':')[2]} alone"
    return Note(
        type=EventType.ERROR,
        action="wrong whole",
        position=position,
        variant_id=variant.id,
        is_error=True,
        error_code="wrong whole",
        error_message=f"{message}; {len(again.chunks)} of {count} chunks are fetched again, from {whom}",
        facts={"chunks_again": len(again.chunks), "chunks_total": count},
    )
