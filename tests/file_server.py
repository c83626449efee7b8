"""A plain web server for files in memory, with their chunk lists beside them; it counts what it sends.

Owns: answering whole and ranged GETs, one thread a connection, and the counts. Never: asserts.
"""

import re
import socket
import threading
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


class FileServer:
    """Serves `/name` and `/name.chunks`. While `gate` is clear, no body goes beyond `holds_at` bytes of it."""

    def __init__(self, files, *, holds_at=None):
        self.sent = Counter()
        """Bytes of bodies by path."""
        self.gate = threading.Event()
        self._holds_at = holds_at
        if holds_at is None:
            self.gate.set()
        self._files = {f"/{name}": data for name, data in files.items()}
        self._files |= {f"/{name}.chunks": b"".join(chunk_hashes(data)) for name, data in files.items()}
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, name):
        """Where a file is."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def close(self):
        """Serve nobody any more."""
        self.gate.set()
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        buffered = b""
        try:
            with connection:
                while True:
                    while b"\r\n\r\n" not in buffered:
                        if not (more := connection.recv(65536)):
                            return
                        buffered += more
                    head, _, buffered = buffered.partition(b"\r\n\r\n")
                    self._answer(connection, head + b"\r\n")
        except OSError:
            return

    def _answer(self, connection, head):
        path = _GET.match(head)[1].decode()
        data = self._files.get(path)
        if data is None:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        asked = _RANGE.search(head)
        first, last = (int(asked[1]), int(asked[2])) if asked else (0, len(data) - 1)
        line = (
            b"206 Partial Content\r\nContent-Range: bytes %d-%d/%d" % (first, last, len(data)) if asked else b"200 OK"
        )
        connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (line, last - first + 1))
        for at in range(first, last + 1, _BLOCK_BYTES):
            if asked and self._holds_at is not None and at >= self._holds_at:
                self.gate.wait()
            block = data[at : min(at + _BLOCK_BYTES, last + 1)]
            connection.sendall(block)
            with self._lock:
                self.sent[path] += len(block)
