"""Web servers with a rate, that may die or fall silent, and that count what they send.

Owns: ranges of one file over HTTP/1.1, each mirror at its own rate over all its connections. Never: encrypts, compares.

    paced_mirrors.py FILE PORT CHUNK_BYTES MIRROR...        MIRROR = address:bytes_per_s[:dies|stalls@bytes]

Prints `ready`, and at the end of its input one line of JSON: bytes sent, and how many of them belonged to a chunk that
had been sent in full before, by whichever mirror.
"""

import contextlib
import json
import os
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field

# A slice is sent, then waited for: at 60 MB/s a millisecond, at 1 MB/s 64.
SLICE_BYTES = 64 * 1024

# What may wait in the kernel of what was counted as sent: little, so that the count is what the other side got.
SEND_BUFFER_BYTES = 128 * 1024

_RANGE = re.compile(rb"\r\nRange: bytes=(\d+)-(\d*)", re.IGNORECASE)


class Tally:
    """What all mirrors together have sent of one file."""

    def __init__(self, chunk_bytes: int) -> None:
        self._chunk_bytes = chunk_bytes
        self._lock = threading.Lock()
        self._whole: set[int] = set()
        self.sent_bytes = 0
        self.again_bytes = 0

    def sent(self, first: int, at: int, count: int, size: int) -> None:
        """Count bytes `at`.. of an answer that began at `first`."""
        with self._lock:
            self.sent_bytes += count
            for chunk in range(at // self._chunk_bytes, (at + count - 1) // self._chunk_bytes + 1):
                begins, ends = chunk * self._chunk_bytes, min((chunk + 1) * self._chunk_bytes, size)
                if chunk in self._whole:
                    self.again_bytes += min(at + count, ends) - max(at, begins)
                elif first <= begins and at + count >= ends:
                    self._whole.add(chunk)


@dataclass(kw_only=True)
class Mirror:
    """One server."""

    address: str
    bytes_per_s: float
    fault: str = ""
    at_bytes: int = 0
    tally: Tally
    sent_bytes: int = 0
    due_s: float = 0.0
    failed: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    open: set = field(default_factory=set)

    def pace(self, count: int) -> None:
        """Wait until `count` more bytes may leave; all connections share the rate."""
        with self.lock:
            now = time.perf_counter()
            self.due_s = max(self.due_s, now - 0.01) + count / self.bytes_per_s
            wait_s = self.due_s - now
        if wait_s > 0:
            time.sleep(wait_s)

    def count(self, count: int) -> None:
        """Note that `count` bytes left; fail when it is time to."""
        with self.lock:
            self.sent_bytes += count
            if not self.fault or self.sent_bytes < self.at_bytes or self.failed.is_set():
                return
            self.failed.set()
        if self.fault == "dies":
            for each in list(self.open):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def mirror_of(text: str, tally: Tally) -> Mirror:
    """Read one word of the command line."""
    address, rate, *fault = text.split(":")
    kind, _, at = fault[0].partition("@") if fault else ("", "", "0")
    return Mirror(address=address, bytes_per_s=float(rate), fault=kind, at_bytes=int(at), tally=tally)


def serve(mirror: Mirror, listener: socket.socket, file: int, size: int) -> None:
    """Accept until it dies."""
    mirror.open.add(listener)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            listener.close()
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        mirror.open.add(connection)
        threading.Thread(target=talk, args=(mirror, connection, file, size), daemon=True).start()


def talk(mirror: Mirror, connection: socket.socket, file: int, size: int) -> None:
    """Answer the requests of one connection in order."""
    waiting = b""
    with connection, contextlib.suppress(OSError):
        while True:
            while b"\r\n\r\n" not in waiting:
                data = connection.recv(65536)
                if not data:
                    return
                waiting += data
            head, _, waiting = waiting.partition(b"\r\n\r\n")
            if not answer(mirror, connection, head, file, size):
                return
    mirror.open.discard(connection)


def answer(mirror: Mirror, connection: socket.socket, head: bytes, file: int, size: int) -> bool:
    """Send what was asked for; False when the mirror fails meanwhile."""
    if mirror.failed.is_set():
        connection.recv(1)  # silent, and open, until the other side has enough of it
        return False
    asked = _RANGE.search(head)
    first, last = (int(asked[1]), int(asked[2] or size - 1)) if asked else (0, size - 1)
    status = b"206 Partial Content\r\nContent-Range: bytes %d-%d/%d" % (first, last, size) if asked else b"200 OK"
    connection.sendall(
        b"HTTP/1.1 " + status + b"\r\nAccept-Ranges: bytes\r\nContent-Length: %d\r\n\r\n" % (last - first + 1)
    )
    at = first
    while at <= last and not head.startswith(b"HEAD"):
        count = min(SLICE_BYTES, last + 1 - at)
        mirror.pace(count)
        if mirror.failed.is_set():
            if mirror.fault == "stalls":
                connection.recv(1)
            return False
        while count:
            sent = os.sendfile(connection.fileno(), file, at, count)
            mirror.tally.sent(first, at, sent, size)
            mirror.count(sent)
            at, count = at + sent, count - sent
    return True


def main() -> None:
    """Serve until the input ends."""
    path, port, chunk_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    file = os.open(path, os.O_RDONLY)
    size = os.fstat(file).st_size
    tally = Tally(chunk_bytes)
    for word in sys.argv[4:]:
        mirror = mirror_of(word, tally)
        listener = socket.create_server((mirror.address, port))
        threading.Thread(target=serve, args=(mirror, listener, file, size), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
    print(json.dumps({"sent_bytes": tally.sent_bytes, "again_bytes": tally.again_bytes}), flush=True)


if __name__ == "__main__":
    main()
