"""TLS 1.3 between peers: a server that shows its key, and a client that accepts one key only.

Owns: the two kinds of SSLContext. Never: opens a connection.

The client's check sits in the handshake itself, so a wrong key ends the connection before any byte of a request, in
asyncio as on a blocking socket.
"""

import os
import ssl
from typing import Self

from reconciler.ids import PeerId
from reconciler.overlay.identity import Identity, peer_id_of_certificate


class WrongIdentityError(ssl.SSLError):
    """The server proved a key, but not the one that its peer id names.

    An SSLError, because that is what a handshake is known to end with.
    """

    def __init__(self, expected: PeerId, met: PeerId | None) -> None:
        super().__init__(ssl.SSL_ERROR_SSL, f"expected peer {expected}, met {met or 'no Ed25519 certificate'}")
        self.expected = expected
        self.met = met


class PinnedContext(ssl.SSLContext):
    """A client's context for one peer; no authority is asked, and the certificate's names and dates do not count."""

    def __new__(cls, pin: PeerId) -> Self:
        """Make the context for the peer `pin`."""
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context.pin = pin
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.sslobject_class = _PinnedObject
        context.sslsocket_class = _PinnedSocket
        return context

    pin: PeerId
    """The key that must answer."""


class _PinnedObject(ssl.SSLObject):
    """TLS over memory buffers, as asyncio uses it."""

    def do_handshake(self) -> None:
        """Shake hands, then compare the key."""
        super().do_handshake()
        _check(self)


class _PinnedSocket(ssl.SSLSocket):
    """TLS over a blocking socket."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of ssl
        """Shake hands, then compare the key."""
        super().do_handshake(block)
        _check(self)


def server_context(identity: Identity, *, unix_s: float) -> ssl.SSLContext:
    """Make the context by which a server shows `identity`, with a certificate of about `unix_s`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Each answered request is signed on its own and connections live long: tickets would only cost memory.
    context.num_tickets = 0
    # OpenSSL reads keys from files alone; this one lives in memory and never touches a disk (memfd_create(2)).
    with open(os.memfd_create("certificate", os.MFD_CLOEXEC), "wb") as pem:  # noqa: PTH123 - a descriptor, not a path
        pem.write(identity.to_pem() + identity.certificate_pem(unix_s=unix_s))
        pem.flush()
        context.load_cert_chain(f"/proc/self/fd/{pem.fileno()}")
    return context


def _check(secured: ssl.SSLObject | ssl.SSLSocket) -> None:
    context = secured.context
    assert isinstance(context, PinnedContext)
    try:
        met = peer_id_of_certificate(secured.getpeercert(binary_form=True) or b"")
    except ValueError as error:
        raise WrongIdentityError(context.pin, None) from error
    if met != context.pin:
        raise WrongIdentityError(context.pin, met)
