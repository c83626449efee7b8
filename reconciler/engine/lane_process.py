"""The process that the lanes live in: hostile bytes and busy hashing stay out of the daemon.

Owns: reading commands from the daemon, driving the lanes, telling their events. Never: decides, or outlives its daemon.

`python -m reconciler.engine.lane_process FD STALL_TIMEOUT_S`: FD is a stream socket that it shares with its parent; it
ends when that does.
"""

import signal
import socket
import sys
import threading
from collections.abc import Callable

from reconciler.clock import SystemClock
from reconciler.engine.events import ChunkArrived
from reconciler.engine.lane_frames import Fields, Unpacker, answer_fields, event_fields, order_of, pack
from reconciler.engine.lane_orders import LaneEvent, Tag
from reconciler.engine.lanes import Lanes
from reconciler.ids import ChunkIndex

# How long a thread keeps the interpreter when another waits for it. The default (5 ms) lets one thread that computes
# hold up three that only want to start their next system call; measured 4.4 times slower against 1.2.
SWITCH_INTERVAL_S = 0.0002

# Frames waiting to be told. Lanes stop reading peers when it is full: a daemon that does not listen must not cost
# memory.
FRAMES_MAX = 10_000

# A chunk that came is told after this time at most, with those that came meanwhile: a daemon that is woken for each of
# a thousand a second takes a tenth of a core from the lanes. The end of a request is told at once, and all before it,
# so that nobody who is owed nothing waits.
GATHER_S = 0.02

_RECEIVE_BYTES = 1 << 16


class _Teller:
    """Sends events and answers in order: chunks a few milliseconds late and several at once, everything else now."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._changed = threading.Condition()
        self._frames: list[bytes] = []
        self._urgent = False
        threading.Thread(target=self._run, name="teller", daemon=True).start()

    def events(self, events: tuple[LaneEvent, ...]) -> None:
        frames = [pack(event_fields(event)) for event in events]
        self._put(frames, urgent=any(not isinstance(event.event, ChunkArrived) for event in events))

    def answer(self, fields: Fields) -> None:
        self._put([pack(fields)], urgent=True)

    def _put(self, frames: list[bytes], *, urgent: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._frames) < FRAMES_MAX)
            self._frames += frames
            self._urgent |= urgent
            if urgent or len(self._frames) == len(frames):
                self._changed.notify_all()

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._frames)
                    self._changed.wait_for(lambda: self._urgent, GATHER_S)
                    frames, self._frames, self._urgent = self._frames, [], False
                    self._changed.notify_all()
                self._link.sendall(b"".join(frames))
        except OSError:
            return  # the daemon is gone; `main` sees it too and ends


def main() -> None:
    """Obey until the daemon closes its end."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the daemon ends this process in order
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    link = socket.socket(fileno=int(sys.argv[1]))
    teller = _Teller(link)
    lanes = Lanes(post=teller.events, clock=SystemClock(), stall_timeout_s=float(sys.argv[2]))
    unpacker = Unpacker()
    while data := link.recv(_RECEIVE_BYTES):
        for fields in unpacker.feed(data):
            _obey(fields, lanes, teller)
    lanes.close()  # also when the daemon was killed: what the lanes have written gets its journal lines


def _obey(fields: Fields, lanes: Lanes, teller: _Teller) -> None:
    match fields["do"]:
        case "hello":
            _answer(fields, teller, frozenset)
        case "attach":
            _answer(fields, teller, lambda: _attach(fields, lanes))
        case "detach":
            # In a thread of its own: it waits for the disk, and orders for other parts must not wait too.
            threading.Thread(
                target=_answer,
                args=(fields, teller, lambda: lanes.detach(fields["part"])),
                name="detach",
                daemon=True,
            ).start()
        case "read":
            lanes.read(order_of(fields))
        case "cancel":
            lanes.cancel(Tag(job_id=fields["job"], transfer=fields["transfer"]))
        case other:
            raise ValueError(f"no such command: {other!r}")


def _attach(fields: Fields, lanes: Lanes) -> frozenset[ChunkIndex]:
    lanes.attach(fields["part"], fields["path"], fields["size"])
    return frozenset()


def _answer(fields: Fields, teller: _Teller, step: Callable[[], frozenset[ChunkIndex]]) -> None:
    """Do what was asked, and say what the disk said to it; `step` gives what was read again."""
    try:
        answer = answer_fields(fields["question"], read_again=step())
    except OSError as refused:
        answer = answer_fields(fields["question"], refused)
    teller.answer(answer)


if __name__ == "__main__":
    main()
