"""Who a peer is: an Ed25519 key, the certificate it shows, and the requests it signs.

Owns: the key, the self-signed certificate, signatures, and the `Authorization` header. Never: keeps the key
(overlay.keyfile), opens a connection (overlay.tls), remembers nonces (overlay.fairness).

The peer id is the public key itself, so there is nothing to look up and no authority to ask. TLS proves the server's
key; Python's TLS servers cannot accept certificates that they do not know beforehand, so a client proves its key by
signing each request instead. The server's key is part of what is signed: a request cannot be passed on to another peer.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from reconciler.errors import PeerError
from reconciler.ids import PeerId

SEED_BYTES = 32
NONCE_BYTES = 12

CERTIFICATE_NAME = "overlay.peer"
# Certificates are made anew at each start, and clients compare the key, not the dates: long enough that no process
# outlives its own, a day early for clocks that are behind.
CERTIFICATE_EARLY = timedelta(days=1)
CERTIFICATE_LIFETIME = timedelta(days=3650)

# How far the clocks of two peers may differ.
CLOCK_SKEW_S = 120

_CONTEXT = b"overlay1\n"
_AUTHORIZATION = re.compile(
    r"Overlay id=([A-Za-z0-9_-]{43}),ts=([0-9]{1,12}),nonce=([A-Za-z0-9_-]{16}),sig=([A-Za-z0-9_-]{86})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What a valid `Authorization` header says."""

    peer: PeerId
    nonce: str
    """As written in the header; good once within the clock skew."""
    unix_s: int
    """When it was signed, by the signer's clock."""


class Identity:
    """A key pair of our own."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = _raw(key.public_key())
        self.id = _peer_id(self._public)

    def __repr__(self) -> str:
        return f"Identity({self.id})"

    @classmethod
    def generate(cls, seed: bytes) -> "Identity":
        """Make the key that `SEED_BYTES` secret random bytes stand for."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(cls, pem: bytes) -> "Identity":
        """Read an unencrypted PKCS #8 key; raises ValueError where it is not an Ed25519 key."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"not an unencrypted Ed25519 key: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("the key is not an Ed25519 key")  # noqa: TRY004 - the text is wrong, not a type of ours
        return cls(key)

    def to_pem(self) -> bytes:
        """Write the private key as unencrypted PKCS #8."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def certificate_pem(self, *, unix_s: float) -> bytes:
        """Make the self-signed certificate that shows this key, valid from about `unix_s` on."""
        start = datetime.fromtimestamp(int(unix_s), tz=UTC) - CERTIFICATE_EARLY
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.id)])
        digest = sha256(self._public + str(start).encode("ascii")).digest()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            # RFC 5280 4.1.2.2: positive, at most 20 octets. Nobody else issues under this key, so a digest is unique.
            .serial_number(int.from_bytes(digest[:16], "big") + 1)
            .not_valid_before(start)
            .not_valid_after(start + CERTIFICATE_LIFETIME)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(CERTIFICATE_NAME)]), critical=False)
            .sign(self._key, algorithm=None)
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def sign(self, message: bytes) -> bytes:
        """Sign `message`: 64 bytes, always the same for the same message."""
        return self._key.sign(message)

    def authorization(self, server: PeerId, method: str, target: str, *, unix_s: int, nonce: bytes) -> str:
        """Write the `Authorization` header of one request to `server`; `nonce` is `NONCE_BYTES` random bytes."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        text = encode(nonce)
        signature = self.sign(_request_text(server, method, target, unix_s=unix_s, nonce=text))
        return f"Overlay id={self.id},ts={unix_s},nonce={text},sig={encode(signature)}"


def verify_authorization(header: str, *, server: PeerId, method: str, target: str, now_unix_s: float) -> SignedRequest:
    """Check a request's `Authorization` header against our own id and clock.

    Whether the nonce is new is for the caller (fairness.ReplayGuard). Raises PeerError that says what is wrong.
    """
    parts = _AUTHORIZATION.fullmatch(header)
    if parts is None:
        raise PeerError("the Authorization header is not `Overlay id=...,ts=...,nonce=...,sig=...`")
    request = SignedRequest(peer=PeerId(parts[1]), nonce=parts[3], unix_s=int(parts[2]))
    ahead_s = request.unix_s - now_unix_s
    if abs(ahead_s) > CLOCK_SKEW_S:
        raise PeerError(
            f"the request was signed {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} our clock",
            hint=f"set the clock: at most {CLOCK_SKEW_S} s are accepted",
        )
    text = _request_text(server, method, target, unix_s=request.unix_s, nonce=request.nonce)
    if not verify(request.peer, text, parts[4]):
        raise PeerError("the signature of the request is not valid for this peer, method and target")
    return request


def verify(peer: PeerId, message: bytes, signature: str) -> bool:
    """Tell whether `peer` signed `message`; both texts are base64url, and anything else is no signature."""
    try:
        Ed25519PublicKey.from_public_bytes(_public_bytes(peer)).verify(decode(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def peer_id_of_certificate(der: bytes) -> PeerId:
    """Read the peer id that a certificate shows; raises ValueError where there is none.

    Nothing else in the certificate is judged: TLS has proven that the other side holds this key.
    """
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except UnsupportedAlgorithm as error:
        raise ValueError(f"the certificate's key is of an unknown kind: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("the certificate shows no Ed25519 key")  # noqa: TRY004 - peer-given bytes, not a type of ours
    return _peer_id(_raw(key))


def encode(raw: bytes) -> str:
    """Write bytes as base64url without padding (RFC 4648 section 5): every binary value on the overlay's wire."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Read base64url without padding; raises ValueError, also for the second spellings that loose bits allow."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from error
    if encode(raw) != text:
        raise ValueError("not base64url in its one canonical spelling")
    return raw


def _request_text(server: PeerId, method: str, target: str, *, unix_s: int, nonce: str) -> bytes:
    return _CONTEXT + _public_bytes(server) + f"\n{unix_s}\n{nonce}\n{method} {target}".encode()


def _public_bytes(peer: PeerId) -> bytes:
    """The key that a peer id is; one spelling only, or one key could be many peers with many slots and many nonces."""
    return decode(peer)


def _peer_id(public: bytes) -> PeerId:
    return PeerId(encode(public))


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
