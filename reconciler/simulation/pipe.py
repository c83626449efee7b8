"""One simulated peer's connection: requests queued in it, answers in their order.

Owns: when the next thing comes out of it, and what. Never: the clock or the other peers (simulation.world).

It keeps to what a lane does (engine.lanes): requests are sent as they come and answered one after another; ending the
one that is being answered ends the connection, and what was sent behind it has had no turn; ending a later one leaves
its bytes coming.
"""

from collections import deque
from dataclasses import dataclass

from reconciler.engine.events import (
    ChunkArrived,
    Event,
    FailureCode,
    PeerConnected,
    PeerQueued,
    Read,
    TransferEnded,
    TransferFailed,
    TransferId,
)
from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import chunk_size
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import digest_of
from reconciler.simulation.dice import Dice

# Chunks of one peer do not take the same time each: a tenth more or less.
JITTER = 0.1


@dataclass(slots=True)
class Uplink:
    """What a peer sends with: one chunk after another, whichever of the connections to it they go over."""

    free_s: float = 0.0
    """When the last chunk that was begun will have been sent."""


@dataclass(slots=True, kw_only=True)
class _Asked:
    """One request in the pipe."""

    read: Read
    sent_s: float
    next: int
    lost: bool
    queued: bool = False
    cancelled: bool = False


class Pipe:
    """The connection to one peer. `step` gives what happens when `due_s` comes."""

    def __init__(self, peer: SimPeer, *, dice: Dice, stall_timeout_s: float, uplink: Uplink) -> None:
        self.peer = peer
        self.due_s: float | None = None
        """When `step` is due; None = nothing is under way."""
        self._dice = dice
        self._stall_timeout_s = stall_timeout_s
        self._uplink = uplink
        self._asked: deque[_Asked] = deque()
        self._connected = False
        self._moved_s = 0.0
        """When something came out last, or it became free for the next answer."""
        self._outcome: FailureCode | None = None
        """How the connection will end at `due_s`; None = with a chunk."""

    def ask(self, read: Read, now: float) -> None:
        """Send a request."""
        lost = bool(self.peer.loses) and self._dice.random() < self.peer.loses
        self._asked.append(_Asked(read=read, sent_s=now, next=read.first, lost=lost))
        if self.due_s is None:
            self._moved_s = max(self._moved_s, now)
            self._foresee()

    def cancel(self, transfer: TransferId, now: float) -> list[Event]:
        """End a request."""
        for asked in self._asked:
            if asked.read.transfer == transfer:
                asked.cancelled = True
        if self._asked and self._asked[0].read.transfer == transfer:
            return self._break(now, "cancelled")
        return []

    def drop(self, now: float) -> None:
        """Forget everything: whoever asked is no more."""
        self._asked.clear()
        self._connected = False
        if self._uplink.free_s == self.due_s:
            self._uplink.free_s = now
        self._moved_s = now
        self.due_s = None

    def step(self, now: float) -> list[Event]:
        """What happens at `due_s`, which has come."""
        if self._outcome is not None:
            return self._break(now, self._outcome)
        asked = self._asked[0]
        if not self._connected:
            self._connected = True
            for waiting in self._asked:
                waiting.sent_s = now
            self._foresee()
            return [PeerConnected(transfer=asked.read.transfer)]
        if self.peer.line_s and not asked.queued:
            asked.queued = True
            self._foresee()
            return [PeerQueued(transfer=asked.read.transfer, place=None)]
        return self._deliver(asked, now)

    def _deliver(self, asked: _Asked, now: float) -> list[Event]:
        chunk = ChunkIndex(asked.next)
        events: list[Event] = [self._arrived(asked, chunk, now)]
        self._moved_s = now
        asked.next += 1
        if asked.next > asked.read.last:
            self._asked.popleft()
            transfer = asked.read.transfer
            events.append(_cancelled(transfer) if asked.cancelled else TransferEnded(transfer=transfer))
        self._foresee()
        return events

    def _arrived(self, asked: _Asked, chunk: ChunkIndex, now: float) -> ChunkArrived:
        read, peer = asked.read, self.peer
        wrong = chunk in peer.lies or (bool(peer.corrupts) and self._dice.random() < peer.corrupts)
        digest = digest_of(read.offer.position, chunk, wrong=wrong)
        return ChunkArrived(
            transfer=read.transfer,
            chunk=chunk,
            digest=digest,
            matches=None if read.expected is None else digest == read.expected[chunk - read.first],
            bytes_received=_length(read, chunk),
            duration_s=now - max(self._moved_s, asked.sent_s),
        )

    # ---- what comes next ---------------------------------------------------------------------------------------------

    def _foresee(self) -> None:
        """Find out what comes next, and when."""
        self._outcome = None
        if not self._asked:
            self.due_s = None
            return
        asked, peer = self._asked[0], self.peer
        at = max(self._moved_s, asked.sent_s)
        if not self._connected:
            self._foreseen(at, at + peer.rtt_s, unreachable=True)  # the request then takes a round trip of its own
            return
        if peer.line_s and not asked.queued:
            self._foreseen(at, at + peer.rtt_s)
            return
        if asked.next == asked.read.first:
            at = max(at, asked.sent_s + peer.rtt_s) + peer.line_s
        length = _length(asked.read, ChunkIndex(asked.next))
        took = length / (peer.rate_at(at) * self._dice.uniform(1 - JITTER, 1 + JITTER))
        ends_s = max(at, self._uplink.free_s) + took
        self._foreseen(at, ends_s)
        breaks = bool(peer.resets) and self._dice.random() < peer.resets
        if self._outcome is None:
            self._uplink.free_s = ends_s
            self._outcome = "cut short" if breaks else None

    def _foreseen(self, begins_s: float, ends_s: float, *, unreachable: bool = False) -> None:
        """Put what comes at `ends_s`, unless the peer leaves or falls silent before."""
        peer, asked = self.peer, self._asked[0]
        self.due_s = ends_s
        for moment in sorted({begins_s, *(turn for turn in peer.turns_s() if begins_s < turn <= ends_s)}):
            if peer.is_gone(moment):
                self.due_s, self._outcome = moment, "unreachable" if unreachable else "cut short"
                return
            if (peer.is_silent(moment) or asked.lost) and not unreachable:
                self.due_s, self._outcome = moment + self._stall_timeout_s, "stalled"
                return

    def _break(self, now: float, code: FailureCode) -> list[Event]:
        """The connection ends: the request in hand with `code`, those behind it without having had their turn."""
        events: list[Event] = []
        for nth, asked in enumerate(self._asked):
            transfer = asked.read.transfer
            if asked.cancelled:
                events.append(_cancelled(transfer))
            elif nth == 0:
                events.append(TransferFailed(transfer=transfer, code=code, message=code))
            else:
                events.append(TransferFailed(transfer=transfer, code="closed", message="had no turn"))
        self.drop(now)
        self._outcome = None
        return events


def _length(read: Read, chunk: ChunkIndex) -> int:
    size = read.offer.variant.size
    return min(chunk_size(size), size - chunk * chunk_size(size))


def _cancelled(transfer: TransferId) -> TransferFailed:
    return TransferFailed(transfer=transfer, code="cancelled", message="cancelled")
