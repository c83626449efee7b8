"""A plain web server for files in memory, with their chunk lists beside them; it counts what it sends.

Owns: answering whole and ranged GETs, one thread a connection, and the counts. Never: asserts.
"""

import re
import socket
import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter

from reconciler.overlay.merkle import chunk_count, chunk_hash, chunk_size, root_of

_GET = re.compile(rb"GET (/\S*) HTTP/1\.1\r\n")
_RANGE = re.compile(rb"\r\nRange: bytes=(\d+)-(\d+)\r\n")
_BLOCK_BYTES = 64 * 1024


def chunk_hashes(data):
    """The hashes of a file's chunks."""
    size = chunk_size(len(data))
    chunks = (memoryview(data)[n * size : (n + 1) * size] for n in range(chunk_count(len(data))))
    return tuple(chunk_hash(chunk, file_size=len(data)) for chunk in chunks)


def root_of_bytes(data):
    """What names a file."""
    return root_of(chunk_hashes(data), file_size=len(data))


class RequestServer(ABC):
    """Takes requests over plain sockets, or TLS ones with `context`; what it answers is the subclass's."""

    def __init__(self, context=None):
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @abstractmethod
    def answer(self, connection, head):
        """Answer the request with this head; an OSError ends the connection."""

    def close(self):
        """Serve nobody any more."""
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain):
        buffered = b""
        try:
            with plain if self._context is None else self._context.wrap_socket(plain, server_side=True) as connection:
                while True:
                    while b"\r\n\r\n" not in buffered:
                        if not (more := connection.recv(65536)):
                            return
                        buffered += more
                    head, _, buffered = buffered.partition(b"\r\n\r\n")
                    self.answer(connection, head + b"\r\n")
        except OSError:
            return


class FileServer(RequestServer):
    """Serves `/name` and `/name.chunks`. While `gate` is clear, no ranged body goes beyond `holds_at` bytes of it."""

    def __init__(self, files, *, holds_at=None):
        self.files = files
        self.sent = Counter()
        """Bytes of bodies by path."""
        self.ranges = []
        """First and last byte of each range that was asked for."""
        self.gate = threading.Event()
        self._holds_at = sys.maxsize if holds_at is None else holds_at
        self._bodies = {f"/{name}": data for name, data in files.items()}
        self._bodies |= {f"/{name}.chunks": b"".join(chunk_hashes(data)) for name, data in files.items()}
        self._lock = threading.Lock()
        super().__init__()

    def url(self, name):
        """Where a file is."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def close(self):
        """Serve nobody any more."""
        self.gate.set()
        super().close()

    def answer(self, connection, head):
        """Send the file, or what was asked of it."""
        path = _GET.match(head)[1].decode()
        data = self._bodies.get(path)
        if data is None:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        asked = _RANGE.search(head)
        first, last = (int(asked[1]), int(asked[2])) if asked else (0, len(data) - 1)
        holds_at = sys.maxsize
        line = b"200 OK"
        if asked:
            self.ranges.append((first, last))
            holds_at = self._holds_at
            line = b"206 Partial Content\r\nContent-Range: bytes %d-%d/%d" % (first, last, len(data))
        connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (line, last - first + 1))
        at = first
        while at <= last:
            if at >= holds_at:
                self.gate.wait()
                holds_at = sys.maxsize
            block = data[at : min(at + _BLOCK_BYTES, last + 1, holds_at)]
            connection.sendall(block)
            at += len(block)
            with self._lock:
                self.sent[path] += len(block)
