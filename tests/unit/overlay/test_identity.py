"""A peer is its key: what it signs, shows and can be taken for."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import PeerError
from reconciler.ids import PeerId, is_peer_id
from reconciler.overlay.identity import (
    CERTIFICATE_NAME,
    Identity,
    decode,
    encode,
    peer_id_of_certificate,
    verify,
    verify_authorization,
)

NOW = 1_790_000_000
SERVER = Identity.generate(b"s" * 32)
CLIENT = Identity.generate(b"c" * 32)
TARGET = "/overlay/v1/blobs/" + "0" * 64


def header(**changes):
    arguments = {"server": SERVER.id, "method": "GET", "target": TARGET, "unix_s": NOW, "nonce": b"n" * 12} | changes
    server, method, target = (arguments.pop(name) for name in ("server", "method", "target"))
    return CLIENT.authorization(server, method, target, **arguments)


def check(text, *, now=NOW, server=SERVER.id, method="GET", target=TARGET):
    return verify_authorization(text, server=server, method=method, target=target, now_unix_s=now)


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def test_the_id_is_the_public_key():
    """Equal seeds are one peer, and the id has the form that configurations take."""
    assert Identity.generate(b"s" * 32).id == SERVER.id != CLIENT.id
    assert is_peer_id(SERVER.id)
    assert len(decode(SERVER.id)) == 32


def test_a_key_survives_its_file_format():
    """PEM and back is the same peer."""
    assert Identity.from_pem(SERVER.to_pem()).id == SERVER.id


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
    ids=["empty", "broken", "another kind"],
)
def test_other_keys_are_refused(pem):
    """Only an unencrypted Ed25519 key is an identity."""
    with pytest.raises(ValueError, match=r"."):
        Identity.from_pem(pem)


def test_the_certificate_shows_the_id():
    """The certificate is self-signed, named for the overlay, and dated from the time that was given."""
    certificate = x509.load_pem_x509_certificate(SERVER.certificate_pem(unix_s=NOW))
    certificate.verify_directly_issued_by(certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [CERTIFICATE_NAME]
    assert int(certificate.not_valid_before_utc.timestamp()) == NOW - 86_400
    assert int(certificate.not_valid_after_utc.timestamp()) == NOW - 86_400 + 3650 * 86_400
    assert SERVER.certificate_pem(unix_s=NOW) == SERVER.certificate_pem(unix_s=NOW)
    assert peer_id_of_certificate(der(SERVER.certificate_pem(unix_s=NOW))) == SERVER.id


@pytest.mark.parametrize("raw", [b"", b"\x30\x03\x02\x01\x01", bytes(200)])
def test_what_is_no_certificate_names_nobody(raw):
    """Broken bytes raise ValueError, whatever they are."""
    with pytest.raises(ValueError, match=r"."):
        peer_id_of_certificate(raw)


def test_a_certificate_of_another_kind_names_nobody():
    """A peer without an Ed25519 key has no id."""
    key = ec.generate_private_key(ec.SECP256R1())
    shown = x509.load_pem_x509_certificate(SERVER.certificate_pem(unix_s=NOW))
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - needed here alone

    other = (
        x509.CertificateBuilder()
        .subject_name(shown.subject)
        .issuer_name(shown.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(shown.not_valid_before_utc)
        .not_valid_after(shown.not_valid_after_utc)
        .sign(key, SHA256())
    )
    with pytest.raises(ValueError, match="no Ed25519 key"):
        peer_id_of_certificate(other.public_bytes(Encoding.DER))


def test_a_signed_request_names_its_sender():
    """The header says who, when, and with which nonce."""
    signed = check(header())
    assert (signed.peer, signed.unix_s, signed.nonce) == (CLIENT.id, NOW, encode(b"n" * 12))


@pytest.mark.parametrize(
    "changes",
    [
        {"server": CLIENT.id},
        {"method": "POST"},
        {"target": TARGET + "/chunks"},
        {"target": TARGET + "?x=1"},
    ],
    ids=["another server", "another method", "another target", "a query"],
)
def test_a_signature_is_good_for_one_request_to_one_server(changes):
    """What was signed for something else is not valid here."""
    with pytest.raises(PeerError, match="not valid"):
        check(header(**changes))


@pytest.mark.parametrize(("skew", "accepted"), [(120, True), (-120, True), (121, False), (-121, False), (10**9, False)])
def test_clocks_may_differ_by_two_minutes(skew, accepted):
    """Beyond, the request is refused with the difference."""
    if accepted:
        assert check(header(), now=NOW + skew).peer == CLIENT.id
    else:
        with pytest.raises(PeerError, match=r"s (ahead of|behind) our clock"):
            check(header(), now=NOW + skew)


GOOD = header()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Overlay",
        "Bearer abc",
        GOOD + " ",
        GOOD.replace("Overlay ", "overlay "),
        GOOD.replace(",ts=", ", ts="),
        GOOD.replace(f"ts={NOW}", f"ts=+{NOW}"),
        GOOD.replace(f"ts={NOW}", f"ts=\u0661{NOW}"),
        GOOD.replace("nonce=", "nonce=A"),
        GOOD + ",sig=" + "A" * 86,
        GOOD[:-1] + ("B" if GOOD[-1] == "A" else "A"),
        GOOD[:-86] + "A" * 86,
    ],
)
def test_headers_that_are_not_exactly_so_are_refused(text):
    """One spelling, one signature."""
    with pytest.raises(PeerError):
        check(text)


def test_one_key_has_one_id():
    """Loose bits at an id's end do not make a second peer of the same key, with slots and nonces of its own."""
    last = "AEIMQUYcgkosw048".index(SERVER.id[-1])
    twin = PeerId(SERVER.id[:-1] + "BFJNRVZdhlptx159"[last])
    assert is_peer_id(twin)
    assert verify(SERVER.id, b"text", encode(SERVER.sign(b"text")))
    assert not verify(twin, b"text", encode(SERVER.sign(b"text")))


def test_signatures_of_others_do_not_pass():
    """Another key, another text, or no signature at all."""
    assert not verify(CLIENT.id, b"text", encode(SERVER.sign(b"text")))
    assert not verify(SERVER.id, b"other", encode(SERVER.sign(b"text")))
    assert not verify(SERVER.id, b"text", "not base64url!")
    assert not verify(PeerId("short"), b"text", encode(SERVER.sign(b"text")))


@given(st.binary(max_size=100))
def test_binary_values_have_one_spelling(raw):
    """What is written is read back, without padding."""
    assert decode(encode(raw)) == raw
    assert "=" not in encode(raw)


@pytest.mark.parametrize("text", ["A", "AB", "AB==", "A B", "A+/A", "\u00e4\u00e4\u00e4\u00e4"])
def test_other_spellings_are_refused(text):
    """Padding, loose bits and the other alphabet are not read."""
    with pytest.raises(ValueError, match=r"."):
        decode(text)


def test_a_private_key_does_not_show():
    """A log line with an identity in it gives nothing away."""
    assert repr(SERVER) == f"Identity({SERVER.id})"


def test_a_key_made_elsewhere_is_the_same_peer():
    """A key object made elsewhere gives the same id."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    assert Identity(key).id == SERVER.id
