"""What a decision costs: one job machine with many peers and many chunks, fed by the answers to its own requests.

Owns: the feeding and the clock around it. Never: peers' behaviour; every one answers at its speed and rightly.

    python tests/bench/schedule.py [--peers 200] [--chunks 16384] [--partial 0.5]
"""

import argparse
import heapq
import itertools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from reconciler.engine.events import (
    ChunkArrived,
    ChunkListArrived,
    FetchChunkList,
    OpenPart,
    PartOpened,
    PeersFound,
    Read,
    SearchEnded,
    TimePassed,
    TransferEnded,
    VerifyWhole,
)
from reconciler.engine.job import JobMachine
from reconciler.engine.neighbours import Neighbours
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.overlay.merkle import LARGE_CHUNK_BYTES
from reconciler.simulation.content import chunk_list, order_of, variant_of
from reconciler.sources.base import Endpoint, Etiquette, Offer, PeerKey

POSITION = TrackPosition(1)
TOTAL_BYTES_PER_S = 1e9


def offer(number: int, variant, partial: float, count: int) -> Offer:
    """Every peer has everything, or a share of it that begins elsewhere for each."""
    held = None
    if number % 2 and partial < 1.0:
        begin = number * 97 % count
        held = frozenset((begin + n) % count for n in range(int(count * partial)))
    return Offer(
        position=POSITION,
        peer=PeerKey(f"overlay:{number}"),
        source="overlay",
        variant=variant,
        endpoint=Endpoint(host="127.0.0.1", port=number, tls=False),
        target="/",
        holds=held,
    )


class Peers:
    """Every peer answers what it is asked for, at its speed and rightly."""

    def __init__(self, offers, hashes):
        weights = {key: 1 + 3 * n / max(len(offers) - 1, 1) for n, key in enumerate(offers)}
        self._speed = {key: TOTAL_BYTES_PER_S * weight / sum(weights.values()) for key, weight in weights.items()}
        self._free_at = dict.fromkeys(offers, 0.0)
        self._hashes = hashes
        self._ticket = itertools.count()
        self.due = []
        self.reads = 0

    def later(self, at, event):
        heapq.heappush(self.due, (at, next(self._ticket), event))

    def obey(self, command, now):
        """Answer one command; True when the file is whole."""
        match command:
            case FetchChunkList():
                variant_id, raw = command.offer.variant.id, b"".join(self._hashes)
                peer = command.offer.peer
                self.later(now, ChunkListArrived(position=POSITION, peer=peer, variant_id=variant_id, raw=raw))
            case OpenPart():
                self.later(now, PartOpened(position=POSITION, part_id=command.part_id, kept=()))
            case Read():
                self._read(command, now)
            case _:
                pass
        return isinstance(command, VerifyWhole)

    def _read(self, read, now):
        self.reads += 1
        peer = read.offer.peer
        took = LARGE_CHUNK_BYTES / self._speed[peer]
        for chunk in range(read.first, read.last + 1):
            self._free_at[peer] = max(now, self._free_at[peer]) + took
            arrived = ChunkArrived(
                transfer=read.transfer,
                chunk=ChunkIndex(chunk),
                digest=self._hashes[chunk],
                matches=True,
                bytes_received=LARGE_CHUNK_BYTES,
                duration_s=took,
            )
            self.later(self._free_at[peer], arrived)
        self.later(self._free_at[peer], TransferEnded(transfer=read.transfer))


def measure(count: int, chunks: int, partial: float) -> None:
    """Run one file through the machine; print what its steps took, in processor time of this thread."""
    size = chunks * LARGE_CHUNK_BYTES
    variant = variant_of(1, size)
    offers = {f"overlay:{n}": offer(n, variant, partial, chunks) for n in range(count)}
    etiquettes = {"overlay": Etiquette(requests_in_flight_max=4)}
    order = order_of((size,))
    machine = JobMachine(
        order,
        etiquettes=etiquettes,
        patience=Patience(stall_timeout_s=15.0, rescue=RescuePolicy()),
        commons=Neighbours(bandwidth_bytes_per_s=0.0).seat(order),
    )
    machine.feed(PeersFound(found=tuple(offers.values())), now=0.0)
    machine.feed(SearchEnded(source="overlay"), now=0.0)
    peers = Peers(offers, chunk_list(1, size))
    steps, spent, worst, now = 0, 0.0, 0.0, 0.0
    while not any(peers.obey(command, now) for command in machine.commands()):
        deadline = machine.next_deadline()
        at, event = deadline, TimePassed()
        if peers.due and (deadline is None or peers.due[0][0] <= deadline):
            at, _, event = heapq.heappop(peers.due)
        now = max(now, at)
        began = time.thread_time()
        machine.feed(event, now=now)
        machine.next_deadline()
        took = time.thread_time() - began
        if not isinstance(event, PartOpened | ChunkListArrived):
            steps, spent, worst = steps + 1, spent + took, max(worst, took)
    print(
        f"{count} peers, {chunks} chunks: {steps} events, {spent / steps * 1e6:.1f} us each ({steps / spent:.0f}/s), "
        f"worst {worst * 1e3:.1f} ms; {peers.reads} requests; {now:.2f} virtual s of {size / TOTAL_BYTES_PER_S:.2f}"
    )


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--peers", type=int, default=200)
    options.add_argument("--chunks", type=int, default=16_384)
    options.add_argument("--partial", type=float, default=1.0, help="share of the file that every second peer has")
    given = options.parse_args()
    measure(given.peers, given.chunks, given.partial)


if __name__ == "__main__":
    main()
