"""The process that the lanes live in: hostile bytes and busy hashing stay out of the daemon.

Owns: reading commands from the daemon, driving the lanes, telling their events. Never: decides, or outlives its daemon.

`python -m reconciler.engine.lane_process FD STALL_TIMEOUT_S`: FD is a stream socket that it shares with its parent; it
ends when that does.
"""

import queue
import signal
import socket
import sys
import threading

from reconciler.clock import SystemClock
from reconciler.engine.lane_frames import Fields, Unpacker, event_fields, order_of, pack
from reconciler.engine.lane_orders import LaneEvent, Tag
from reconciler.engine.lanes import Lanes

# How long a thread keeps the interpreter when another waits for it. The default (5 ms) lets one thread that computes
# hold up three that only want to start their next system call; measured 4.4 times slower against 1.2.
SWITCH_INTERVAL_S = 0.0002

# Events waiting to be told. Lanes stop reading peers when it is full: a daemon that does not listen must not cost
# memory.
EVENTS_MAX = 10_000

_RECEIVE_BYTES = 1 << 16


class _Teller:
    """Sends events and answers in order, as many at once as are waiting."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._waiting: queue.Queue[bytes] = queue.Queue(EVENTS_MAX)
        threading.Thread(target=self._run, name="teller", daemon=True).start()

    def events(self, events: tuple[LaneEvent, ...]) -> None:
        for event in events:
            self._waiting.put(pack(event_fields(event)))

    def answer(self, fields: Fields) -> None:
        self._waiting.put(pack(fields))

    def _run(self) -> None:
        try:
            while True:
                frames = [self._waiting.get()]
                while not self._waiting.empty() and len(frames) < EVENTS_MAX:
                    frames.append(self._waiting.get_nowait())
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


def _obey(fields: Fields, lanes: Lanes, teller: _Teller) -> None:
    match fields["do"]:
        case "attach":
            error = ""
            try:
                lanes.attach(fields["part"], fields["path"], fields["size"])
            except OSError as refused:
                error = str(refused)
            teller.answer({"answer": fields["question"], "error": error})
        case "detach":
            # In a thread of its own: it waits for a chunk that is being written, and orders for other parts must not
            # wait too.
            threading.Thread(target=_detach, args=(fields, lanes, teller), name="detach", daemon=True).start()
        case "read":
            lanes.read(order_of(fields))
        case "cancel":
            lanes.cancel(Tag(job_id=fields["job"], transfer=fields["transfer"]))
        case other:
            raise ValueError(f"no such command: {other!r}")


def _detach(fields: Fields, lanes: Lanes, teller: _Teller) -> None:
    lanes.detach(fields["part"])
    teller.answer({"answer": fields["question"], "error": ""})


if __name__ == "__main__":
    main()
