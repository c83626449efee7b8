"""Random swarms: what a seed means.

Owns: how many files and peers there are, and what is wrong with which. Never: runs them (simulation.world).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.dice import Dice
from reconciler.simulation.scene import Scene

# Thirty megabytes are a lossless track of four minutes; such a file has 115 chunks.
FILE_BYTES_MAX = 30_000_000
FILES_MAX = 5
OTHER_PEERS_MAX = 6
_CHUNKS = range(120)

# What the sources ask for: plain web servers two requests at once, overlay peers four.
IN_FLIGHT = (2, 4)

# Chance that the files' roots are known: without them whole files decide, which is the rarer and harder case.
ROOTED = 0.8

# Chance that the files are an album, which is published as a whole.
ALBUM = 0.5

Change = Callable[[SimPeer, Dice], SimPeer]


def _lying(peer: SimPeer, dice: Dice) -> SimPeer:
    return replace(peer, lies=frozenset(dice.sample(_CHUNKS, dice.randint(1, len(_CHUNKS)))))


def _partial(peer: SimPeer, dice: Dice) -> SimPeer:
    return replace(peer, holds=frozenset(dice.sample(_CHUNKS, len(_CHUNKS) // 2)))


def _leaving(peer: SimPeer, dice: Dice) -> SimPeer:
    return replace(peer, gone_from_s=dice.uniform(0, 10))


def _returning(peer: SimPeer, dice: Dice) -> SimPeer:
    gone_s = dice.uniform(0, 10)
    return replace(peer, gone_from_s=gone_s, back_at_s=gone_s + dice.choice((2.0, 10.0)))


CHANGES: dict[str, Change] = {
    "slow": lambda peer, dice: replace(peer, slow_from_s=dice.choice((0.0, 2.0))),
    "stall": lambda peer, dice: replace(peer, silent_from_s=dice.uniform(0, 10)),
    "loss": lambda peer, dice: replace(peer, loses=dice.uniform(0.02, 0.3)),
    "reset": lambda peer, dice: replace(peer, resets=dice.uniform(0.01, 0.2)),
    "leaving": _leaving,
    "returning": _returning,
    "lying": _lying,
    "corruption": lambda peer, dice: replace(peer, corrupts=dice.uniform(0.01, 0.2)),
    "lying-list": lambda peer, _: replace(peer, lying_list=True),
    "no-list": lambda peer, _: replace(peer, no_list=True),
    "partial": _partial,
    "stream": lambda peer, dice: replace(peer, source="soulseek", no_list=True, line_s=dice.choice((0.0, 5.0, 60.0))),
}
"""What can be wrong with a peer, by name."""

RESTART = "restart"
"""A fault that is not a peer's: the daemon is ended and started again."""

DISK = "disk"
"""Another one: our own disk is full or fails now and then, or loses a part."""

_REFUSALS_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What may go wrong."""

    kinds: tuple[str, ...]
    """Some of CHANGES, `restart` and `disk`."""
    share: float
    """How many of the peers have one of them, and how many runs a restart or a bad disk, on average."""


ALL_KINDS = (*CHANGES, RESTART, DISK)
NONE = Faults(kinds=(), share=0.0)
SOME = Faults(kinds=ALL_KINDS, share=0.4)
MANY = Faults(kinds=ALL_KINDS, share=0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to see; chance decides the rest."""

    peers: int | None = None
    rates_bytes_per_s: tuple[float, ...] = ()
    """One peer for each; empty = by chance."""
    size_bytes: int | None = None
    """Of each file."""
    files: int | None = None
    faults: Faults = NONE


def swarm(dice: Dice, wish: Wish) -> Scene:
    """Make a scene of up to five files and up to seven peers, or as many as are wished for.

    One of the peers is honest and complete, whatever the faults of the others.
    """
    count = dice.randint(1, FILES_MAX)
    sizes = tuple(wish.size_bytes or dice.randint(1, FILE_BYTES_MAX) for _ in range(wish.files or count))
    others = dice.randint(0, OTHER_PEERS_MAX)
    if wish.peers is not None:
        others = wish.peers - 1
    rates = wish.rates_bytes_per_s or tuple(10 ** dice.uniform(4.5, 7) for _ in range(others + 1))
    honest = dice.randint(1, len(rates))
    return Scene(
        sizes=sizes,
        peers=tuple(
            _peer(f"p{number}", rate, dice, NONE if number == honest else wish.faults)
            for number, rate in enumerate(rates, start=1)
        ),
        rooted=dice.random() < ROOTED,
        in_flight_max=dice.choice(IN_FLIGHT),
        restarts_s=_restarts(dice, wish.faults),
        disk_refusals=_refusals(dice, wish.faults),
        album=dice.random() < ALBUM,
    )


def _peer(name: str, rate_bytes_per_s: float, dice: Dice, faults: Faults) -> SimPeer:
    """Make a peer between next door and another continent, with one of the faults, by chance, or none."""
    peer = SimPeer(name=name, rate_bytes_per_s=rate_bytes_per_s, rtt_s=10 ** dice.uniform(-3, -0.5))
    kinds = [kind for kind in faults.kinds if kind in CHANGES]
    if not kinds or dice.random() >= faults.share:
        return peer
    return CHANGES[dice.choice(kinds)](peer, dice)


def _restarts(dice: Dice, faults: Faults) -> tuple[float, ...]:
    """When the daemon is started again, by chance; two times at most."""
    if RESTART not in faults.kinds or dice.random() >= faults.share:
        return ()
    return tuple(dice.uniform(0, 10) for _ in range(dice.randint(1, 2)))


def _refusals(dice: Dice, faults: Faults) -> int:
    """How often our own disk refuses a step, by chance."""
    if DISK not in faults.kinds or dice.random() >= faults.share:
        return 0
    return dice.randint(1, _REFUSALS_MAX)
