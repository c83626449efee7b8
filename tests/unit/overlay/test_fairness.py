"""Slots, rate and replays: who gets how much."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.ids import PeerId
from reconciler.overlay.fairness import BURST_S, ReplayGuard, Slots, TokenBucket, UploadLimits

NOW = 1_790_000_000


def test_a_peer_has_its_own_slots():
    """Beyond them it is refused while others are served."""
    slots = Slots(UploadLimits(slots=3, slots_per_peer=2))
    assert [slots.take("a") for _ in range(3)] == ["granted", "granted", "no slot for you"]
    assert slots.take("b") == "granted"
    assert slots.take("c") == "full"
    assert slots.take("a") == "no slot for you"
    slots.give_back("a")
    assert slots.take("c") == "granted"
    assert slots.taken == 3


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcd"))))
def test_slots_are_never_overdrawn(steps):
    """Whatever is taken and given back, both limits hold and nothing is lost."""
    limits = UploadLimits(slots=5, slots_per_peer=2)
    slots = Slots(limits)
    held = dict.fromkeys("abcd", 0)
    for take, name in steps:
        if take:
            held[name] += slots.take(name) == "granted"
        elif held[name]:
            slots.give_back(name)
            held[name] -= 1
        assert slots.taken == sum(held.values()) <= limits.slots
        assert max(held.values()) <= limits.slots_per_peer


def test_no_cap_means_no_wait():
    """A rate of 0 never waits."""
    assert TokenBucket(bytes_per_s=0, now_s=5.0).take(10**12, now_s=5.0) == 0.0


def test_a_burst_comes_at_once_and_the_rest_waits():
    """A quarter of a second is free; then each taker waits behind the others' debt."""
    bucket = TokenBucket(bytes_per_s=1000, now_s=0.0)
    assert bucket.take(250, now_s=0.0) == 0.0
    assert bucket.take(100, now_s=0.0) == 0.1
    assert bucket.take(100, now_s=0.0) == 0.2
    assert bucket.take(100, now_s=10.0) == 0.0
    assert bucket.take(150, now_s=10.0) == 0.0
    assert bucket.take(1, now_s=10.0) > 0.0


@given(
    st.integers(min_value=1000, max_value=10**8),
    st.lists(st.tuples(st.integers(min_value=1, max_value=262_144), st.floats(min_value=0, max_value=2)), max_size=50),
)
def test_the_rate_holds_over_any_stretch(rate, steps):
    """Up to any moment at which a block may leave, no more than the rate and one burst has left."""
    bucket = TokenBucket(bytes_per_s=rate, now_s=0.0)
    now, sent = 0.0, 0
    for count, pause in steps:
        now += pause
        leaves_at = now + bucket.take(count, now_s=now)
        sent += count
        assert sent <= rate * (leaves_at + BURST_S) * (1 + 1e-9) + 1


def peer(number: int) -> PeerId:
    return PeerId(f"{number:043d}")


def test_a_request_passes_once():
    """The same nonce again is a replay; of another peer, or another, it is not."""
    guard = ReplayGuard()
    assert guard.admit(peer(1), "n", signed_unix_s=NOW, now_unix_s=NOW)
    assert not guard.admit(peer(1), "n", signed_unix_s=NOW, now_unix_s=NOW + 120)
    assert guard.admit(peer(2), "n", signed_unix_s=NOW, now_unix_s=NOW)
    assert guard.admit(peer(1), "m", signed_unix_s=NOW, now_unix_s=NOW)


def test_what_is_too_old_is_forgotten():
    """A nonce is kept as long as its time would pass the check, not longer."""
    guard = ReplayGuard(per_peer=10, total=10)
    for second in range(100):
        assert guard.admit(peer(1), "n", signed_unix_s=NOW + 130 * second, now_unix_s=NOW + 130 * second)
    assert guard._count == 1


def test_a_full_memory_of_one_peer_refuses_the_past():
    """What was forgotten for want of room cannot be replayed, and new requests pass."""
    guard = ReplayGuard(per_peer=10, total=1000)
    for number in range(30):
        assert guard.admit(peer(1), f"n{number}", signed_unix_s=NOW + number, now_unix_s=NOW + 29)
    assert not any(
        guard.admit(peer(1), f"n{number}", signed_unix_s=NOW + number, now_unix_s=NOW + 29) for number in range(30)
    )
    assert guard.admit(peer(1), "new", signed_unix_s=NOW + 29, now_unix_s=NOW + 29)
    assert guard._count <= 10


def test_more_than_fits_into_one_second_is_refused():
    """One peer cannot sign its way around the memory within a second."""
    guard = ReplayGuard(per_peer=10, total=1000)
    admitted = [guard.admit(peer(1), f"n{number}", signed_unix_s=NOW, now_unix_s=NOW) for number in range(30)]
    assert admitted == [True] * 11 + [False] * 19
    assert not guard.admit(peer(1), "n0", signed_unix_s=NOW, now_unix_s=NOW)


def test_the_memory_over_all_peers_is_bounded():
    """The peer heard of longest ago goes first."""
    guard = ReplayGuard(per_peer=10, total=50)
    for number in range(500):
        assert guard.admit(peer(number), "n", signed_unix_s=NOW, now_unix_s=NOW)
    assert guard._count == len(guard._peers) == 50
    assert not guard.admit(peer(499), "n", signed_unix_s=NOW, now_unix_s=NOW)
