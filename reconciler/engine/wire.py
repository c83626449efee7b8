"""One connection to a peer: blocking, bounded, and sure of who is at the other end.

Owns: dialling, the identity check before the first byte, reading a head and an exact body. Never: knows what is asked
for.

A plain socket stays blocking with SO_RCVTIMEO, so that MSG_WAITALL returns whole chunks in one call with the GIL
released (`settimeout` would make it non-blocking and break that); TLS gets its records one by one and uses
`settimeout`.
"""

import socket
import ssl
import struct

from reconciler.engine.events import FailureCode
from reconciler.engine.http_head import HEAD_BYTES_MAX
from reconciler.overlay.tls import PinnedContext, WrongIdentityError
from reconciler.sources.base import Endpoint

DIAL_TIMEOUT_S = 10.0


class WireError(Exception):
    """The connection gave out; `code` says how."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Wire:
    """An open connection. One thread reads and writes it; `abort` may come from any other."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._buffer = bytearray(HEAD_BYTES_MAX)
        self._have = 0
        self.answers = 0
        """Answers read to their end."""

    @classmethod
    def dial(cls, endpoint: Endpoint, *, stall_timeout_s: float) -> "Wire":
        """Connect, and with TLS meet the right key; raises WireError `unreachable` or `wrong identity`."""
        where = f"{endpoint.host}:{endpoint.port}"
        try:
            sock = socket.create_connection(
                (endpoint.host, endpoint.port), timeout=min(DIAL_TIMEOUT_S, stall_timeout_s)
            )
        except (OSError, UnicodeError) as error:
            raise WireError("unreachable", f"{where}: {error}") from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.tls:
                sock = _secure(sock, endpoint)
                sock.settimeout(stall_timeout_s)
            else:
                sock.settimeout(None)
                limit = struct.pack("ll", int(stall_timeout_s), int(stall_timeout_s % 1 * 1e6))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        except OSError as error:
            sock.close()
            raise WireError("unreachable", f"{where}: {error}") from error
        except WireError:
            sock.close()
            raise
        return cls(sock)

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise self._lost(error) from error

    def read_head(self) -> bytes:
        """Read up to the empty line and return what stands before it; at most 16 KiB."""
        while (end := self._buffer.find(b"\r\n\r\n", 0, self._have)) < 0:
            if self._have == HEAD_BYTES_MAX:
                raise WireError("bad answer", f"a head of more than {HEAD_BYTES_MAX} bytes")
            got = self._receive(memoryview(self._buffer)[self._have :], 0)
            if not got and not self._have and self.answers:
                raise WireError("closed", "the peer closed the connection between two answers")
            if not got:
                raise WireError("cut short", "the connection ended before the answer's head did")
            self._have += got
        head = bytes(self._buffer[:end])
        self._drop(end + 4)
        return head

    def read_exactly(self, view: memoryview) -> None:
        """Fill `view`, or raise."""
        done = min(self._have, len(view))
        view[:done] = self._buffer[:done]
        self._drop(done)
        while done < len(view):
            got = self._receive(view[done:], 0 if self._tls else socket.MSG_WAITALL)
            if not got:
                raise WireError("cut short", f"the connection ended {len(view) - done} bytes before the chunk did")
            done += got

    def abort(self) -> None:
        """End the connection from another thread; whoever reads it is woken.

        The base class's shutdown on purpose: SSLSocket.shutdown drops the TLS layer first, and a reader would then take
        ciphertext for the body.
        """
        try:
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        except OSError:
            return  # it had ended already

    def close(self) -> None:
        """Give the descriptor back; only the reading thread calls this."""
        self._sock.close()

    def _drop(self, count: int) -> None:
        rest = self._have - count
        self._buffer[:rest] = self._buffer[count : self._have]
        self._have = rest

    def _receive(self, view: memoryview, flags: int) -> int:
        try:
            return self._sock.recv_into(view, len(view), flags)
        except ssl.SSLEOFError:
            return 0  # many servers close without close_notify; a body that ends early is caught by its length
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> WireError:
        if isinstance(error, TimeoutError | BlockingIOError):
            return WireError("stalled", "no byte came within the stall timeout")
        if not self._have and self.answers:
            return WireError("closed", f"the connection ended: {error}")
        return WireError("cut short", f"the connection broke: {error}")


def _secure(sock: socket.socket, endpoint: Endpoint) -> ssl.SSLSocket:
    """Start TLS: a pinned peer must show its key, any other a certificate that the system trusts for its name."""
    context = ssl.create_default_context() if endpoint.pin is None else PinnedContext(endpoint.pin)
    try:
        return context.wrap_socket(sock, server_hostname=endpoint.host)
    except WrongIdentityError as error:
        raise WireError(
            "wrong identity", f"expected peer {error.expected}, met {error.met or 'no Ed25519 key'}"
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise WireError(
            "wrong identity", f"the certificate is not valid for {endpoint.host}: {error.verify_message}"
        ) from error
