"""Which bytes are fetched, of everything on offer: the filter with its reasons, and the order of what is left."""

import pytest

from reconciler.engine.order import TrackOrder
from reconciler.engine.variants import Standing, choose
from reconciler.ids import Root, Sha256, TrackPosition
from reconciler.manifests.model import Constraints
from reconciler.sources.base import Availability, Endpoint, Offer, PeerKey, Variant, Want

TRACK = TrackPosition(1)
ORDER = TrackOrder(want=Want(position=TRACK), title="song", stem="song", duration_ms=200_000)


def variant(name, *, size=1000, codec="FLAC", rooted=False, **facts):
    """A variant that peers claim, or whose root is known."""
    told = {"container": codec.lower(), "lossless": codec == "FLAC", **facts}
    if rooted:
        return Variant(root=Root((name * 64)[:64]), size=size, codec=codec, **told)
    return Variant(root=None, claim=name, size=size, codec=codec, **told)


def offer(peer, of, *, source="soulseek", folder="", **said):
    """A peer's offer of a variant."""
    return Offer(
        position=TRACK,
        peer=PeerKey(f"{source}:{peer}"),
        source=source,
        variant=of,
        endpoint=Endpoint(host=peer, port=1, tls=False),
        target="/x",
        folder=folder,
        availability=Availability(**said),
    )


def ranked(*offers, order=ORDER, constraints=None, **standing):
    """The ids of the acceptable variants, best first."""
    return [
        each.id.removeprefix("claim:")
        for each in choice(*offers, order=order, constraints=constraints, **standing).acceptable
    ]


def choice(*offers, order=ORDER, constraints=None, **standing):
    """What is chosen of these offers."""
    told = {"lossy_allowed": True, "refused": (), "origins": ("soulseek",), **standing}
    return choose(order, offers, constraints=constraints or Constraints(), standing=Standing(**told))


def test_the_preferred_codec_comes_before_everything():
    """Quality is asked for by the manifest; nothing that peers say weighs more."""
    mp3, flac = variant("m", codec="MP3"), variant("f", size=900)
    constraints = Constraints(preferred_codecs=("MP3", "FLAC"))
    assert ranked(offer("a", flac), offer("b", flac), offer("c", mp3), constraints=constraints) == ["m", "f"]


def test_the_folder_with_most_of_the_album_comes_first():
    """Three of five tracks from one folder are of one edition; a file that more users hold is not."""
    common, whole = variant("common", size=1001), variant("whole", size=1002)
    offers = [offer("a", common), offer("b", common), offer("c", whole, folder="c/Album")]
    assert ranked(*offers) == ["common", "whole"]
    assert ranked(*offers, coverage={"c/Album": 3}) == ["whole", "common"]


def test_files_alike_in_size_and_codec_count_as_one_for_canonical():
    """Two users' claims of one size support each other against a third that is larger."""
    one, same, other = variant("one"), variant("same"), variant("other", size=5000)
    assert ranked(offer("a", one), offer("b", same), offer("c", other))[-1] == "other"
    unasked = Constraints(prefer_canonical=False)
    assert ranked(offer("a", one), offer("b", same), offer("c", other), constraints=unasked)[0] == "other"


def test_of_equal_ones_the_sooner_comes_first():
    """A free slot, then a short line, then a fast peer."""
    slow, queued, fast = variant("slow"), variant("queued"), variant("fast")
    offers = [
        offer("a", queued, free_slot=False, queue_length=2, speed_bytes_per_s=9_000_000),
        offer("b", slow, speed_bytes_per_s=10_000),
        offer("c", fast, speed_bytes_per_s=2_000_000),
    ]
    assert ranked(*offers) == ["fast", "slow", "queued"]


def test_what_can_be_verified_comes_before_what_cannot_outside_of_origins():
    """Of two variants that are no origin's, the one with a root."""
    claimed, rooted = variant("claimed", size=9000), variant("1", rooted=True)
    offers = [offer("a", claimed, source="http"), offer("b", rooted, source="overlay")]
    assert ranked(*offers)[0] == rooted.id


@pytest.mark.parametrize(
    ("facts", "constraints", "why"),
    [
        ({"codec": "MP3"}, {"allow_lossy": False}, "lossy, and the manifest allows none"),
        ({"codec": "MP3", "bitrate_bps": 128_000}, {"min_bitrate_kbps": 192}, "128 kbit/s"),
        ({"duration_ms": 230_000}, {}, "off by 30000 ms"),
    ],
)
def test_what_is_unfit_is_refused_with_the_reason(facts, constraints, why):
    """The reason names the figure and the limit."""
    found = choice(offer("a", variant("x", **facts)), constraints=Constraints(**constraints))
    assert found.acceptable == ()
    assert why in found.rejected[0].reason


def test_named_bytes_admit_no_others():
    """A manifest that names a SHA-256 gets that, whatever its codec is said to be."""
    want = Want(position=TRACK, sha256=Sha256("a" * 64), size=1000)
    order = TrackOrder(want=want, title="x", stem="x")
    right = Variant(root=None, sha256=Sha256("a" * 64), size=1000)
    wrong = Variant(root=None, sha256=Sha256("b" * 64), size=1000)
    found = choice(offer("a", right, source="http"), offer("b", wrong, source="http"), order=order)
    assert [each.sha256 for each in found.acceptable] == [right.sha256]
    assert "another SHA-256" in found.rejected[0].reason
