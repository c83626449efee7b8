"""A descriptor says what its peer signed, or it is not read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import PeerError, PeerLiedError
from reconciler.ids import Mbid, Root, Sha256
from reconciler.overlay.descriptor import (
    AUDIO_BYTES_MAX,
    DESCRIPTOR_BYTES_MAX,
    LIFETIME_S,
    LIFETIME_S_MAX,
    DescribedVariant,
    make_descriptor,
    read_descriptor,
)
from reconciler.overlay.identity import Identity, encode
from reconciler.overlay.messages import ROOTS_PER_RECORDING_MAX
from reconciler.overlay.strictjson import canonical

NOW = 1_790_000_000
PEER = Identity.generate(b"p" * 32)
OTHER = Identity.generate(b"o" * 32)
RECORDING = Mbid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
ANOTHER = Mbid("b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")


def variant(number: int = 1, **changes) -> DescribedVariant:
    values = {
        "root": Root(f"{number:064x}"),
        "size": 31_457_280,
        "codec": "FLAC",
        "container": "flac",
        "lossless": True,
        "bitrate_bps": 912_000,
        "duration_ms": 242_000,
        "sha256": Sha256("a" * 64),
    }
    return DescribedVariant(**(values | changes))


def signed(change, identity=PEER) -> bytes:
    """A descriptor that `change` has altered before it was signed."""
    text = json.loads(make_descriptor(PEER, RECORDING, (variant(),), now_unix_s=NOW))
    del text["sig"]
    change(text)
    return canonical({**text, "sig": encode(identity.sign(canonical(text)))})


def read(data: bytes, *, recording=RECORDING, peer=PEER.id, now=NOW):
    return read_descriptor(data, recording=recording, peer=peer, now_unix_s=now)


def test_what_is_made_is_read():
    """Every field comes back."""
    variants = (
        variant(1),
        variant(2, codec="", container="", lossless=False, bitrate_bps=0, duration_ms=0, sha256=None),
    )
    descriptor = read(make_descriptor(PEER, RECORDING, variants, now_unix_s=NOW + 0.7))
    assert descriptor.variants == variants
    assert (descriptor.recording, descriptor.peer) == (RECORDING, PEER.id)
    assert (descriptor.issued_unix_s, descriptor.expires_unix_s) == (NOW, NOW + LIFETIME_S)


def test_the_wire_has_the_documented_fields():
    """The names that other implementations look for."""
    text = json.loads(make_descriptor(PEER, RECORDING, (variant(),), now_unix_s=NOW))
    assert set(text) == {"v", "recording", "peer", "seq", "issued", "expires", "variants", "sig"}
    assert text["variants"][0] == {
        "root": f"{1:064x}",
        "size": 31_457_280,
        "chunk": 262_144,
        "codec": "flac",
        "container": "flac",
        "lossless": True,
        "bitrate": 912_000,
        "duration_ms": 242_000,
        "sha256": "a" * 64,
        "origin": "library",
        "complete": True,
        "href": f"/overlay/v1/blobs/{1:064x}",
    }


def test_the_largest_descriptor_fits():
    """As many variants as there may be stay within 64 KiB."""
    variants = tuple(variant(number, codec="X" * 16, container="x" * 16) for number in range(ROOTS_PER_RECORDING_MAX))
    data = make_descriptor(PEER, RECORDING, variants, now_unix_s=NOW)
    assert len(data) <= DESCRIPTOR_BYTES_MAX
    assert len(read(data).variants) == ROOTS_PER_RECORDING_MAX
    with pytest.raises(ValueError, match="at most"):
        make_descriptor(PEER, RECORDING, (*variants, variant(99)), now_unix_s=NOW)


def test_a_later_version_may_say_more():
    """Unknown names are ignored, and signed all the same."""
    data = signed(lambda text: (text.update(mood="\u00e4"), text["variants"][0].update(infohash="b" * 64, urls=["x"])))
    assert read(data).variants == (variant(),)


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (signed(lambda text: None, identity=OTHER), {}),
        (signed(lambda text: None), {"recording": ANOTHER}),
        (signed(lambda text: None), {"peer": OTHER.id}),
        (signed(lambda text: text.update(peer=OTHER.id)), {"peer": OTHER.id}),
        (signed(lambda text: text["variants"][0].update(chunk=1_048_576)), {}),
        (signed(lambda text: text["variants"].append(text["variants"][0])), {}),
        (signed(lambda text: None).replace(b'"bitrate":912000', b'"bitrate":912001'), {}),
    ],
    ids=["forged", "another recording", "another peer", "stolen", "impossible chunks", "a root twice", "altered"],
)
def test_contradictions_are_lies(data, arguments):
    """Who signs one thing and says another is not asked again."""
    with pytest.raises(PeerLiedError):
        read(data, **arguments)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.update(v=2),
        lambda text: text.pop("v"),
        lambda text: text.update(recording="x"),
        lambda text: text.update(peer="x"),
        lambda text: text.update(issued=-1),
        lambda text: text.update(variants="x"),
        lambda text: text.update(variants=[1]),
        lambda text: text.update(variants=text["variants"] * 33),
        lambda text: text["variants"][0].update(root="A" * 64),
        lambda text: text["variants"][0].update(sha256="x"),
        lambda text: text["variants"][0].update(size=0),
        lambda text: text["variants"][0].update(size=AUDIO_BYTES_MAX + 1),
        lambda text: text["variants"][0].update(size=True),
        lambda text: text["variants"][0].update(codec="x" * 17),
        lambda text: text["variants"][0].update(container="../../x\n"),
        lambda text: text["variants"][0].update(bitrate=10**9),
        lambda text: text["variants"][0].update(duration_ms=-1),
        lambda text: text["variants"][0].update(lossless="yes"),
        lambda text: text.update(expires=NOW - 1),
        lambda text: text.update(expires=NOW),
        lambda text: text.update(issued=NOW + 121, expires=NOW + 1000),
        lambda text: text.update(expires=text["issued"] + LIFETIME_S_MAX + 1),
        lambda text: text.update(expires=text["issued"]),
    ],
)
def test_what_is_out_of_bounds_is_refused(change):
    """Signed or not, no field may be larger than the program is made for."""
    with pytest.raises(PeerError) as error:
        read(signed(change))
    assert not isinstance(error.value, PeerLiedError)


def test_a_descriptor_ends():
    """Good until the second before it expires."""
    data = make_descriptor(PEER, RECORDING, (variant(),), now_unix_s=NOW)
    assert read(data, now=NOW + LIFETIME_S - 1).variants
    with pytest.raises(PeerError, match="out of date"):
        read(data, now=NOW + LIFETIME_S)


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"x" * (DESCRIPTOR_BYTES_MAX + 1), b'{"v":1,"sig":"\\ud800"}'])
def test_what_is_no_descriptor_is_refused(data):
    """Before anything is believed."""
    with pytest.raises(PeerError):
        read(data)


def test_half_a_character_is_refused():
    """A surrogate in a field that nobody reads has no one spelling to sign."""
    data = signed(lambda text: text.update(mood="x")).replace(b'"mood":"x"', b'"mood":"\\ud800"')
    with pytest.raises(PeerError, match="not Unicode"):
        read(data)


GOOD = make_descriptor(PEER, RECORDING, (variant(),), now_unix_s=NOW)


@given(st.integers(min_value=0, max_value=len(GOOD) - 1), st.integers(min_value=1, max_value=255))
def test_no_changed_byte_passes(at, difference):
    """Flip any byte anywhere: it is refused."""
    changed = bytearray(GOOD)
    changed[at] ^= difference
    with pytest.raises(PeerError):
        read(bytes(changed))
