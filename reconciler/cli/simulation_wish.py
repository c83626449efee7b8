"""The options that say what a simulated swarm is like.

Owns: reading and bounding them. Never: runs anything (cli.cmd_simulate).
"""

import functools
from collections.abc import Callable

import click

from reconciler.errors import InvalidInputError
from reconciler.overlay.merkle import FILE_BYTES_MAX, chunk_count
from reconciler.simulation.swarms import ALL_KINDS, MANY, NONE, SOME, Faults, Wish

MEBI = 1 << 20
MEGA = 1e6

# As many peers as a job of the engine takes, and chunks enough for a 1 TB of large files: a minute or two.
PEERS_MAX = 200
FILES_MAX = 1000
CHUNKS_MAX = 250_000

# From ten kilobytes a second, since the engine gives up what is below eight (engine.transfers), to a hundred gigabytes.
RATE_MIN_BYTES_PER_S = 1e4
RATE_MAX_BYTES_PER_S = 1e11

# Which part of the peers has a fault where kinds of fault are named.
NAMED_SHARE = 0.5
PRESETS = {"none": NONE, "some": SOME, "many": MANY}


def _faults(ctx: click.Context, param: click.Parameter, value: str) -> Faults:  # noqa: ARG001 - click's signature
    """Read `none`, `some`, `many`, or kinds of fault with commas between them."""
    if value in PRESETS:
        return PRESETS[value]
    kinds = tuple(value.split(","))
    unknown = [kind for kind in kinds if kind not in ALL_KINDS]
    if unknown:
        raise click.BadParameter(f"there is no fault {unknown[0]!r}; there are {', '.join((*PRESETS, *ALL_KINDS))}")
    return Faults(kinds=kinds, share=NAMED_SHARE)


def _rates(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...]:  # noqa: ARG001 - as above
    """Read speeds in MB/s with commas between them, as bytes per second."""
    if value is None:
        return ()
    try:
        rates = tuple(float(rate) * MEGA for rate in value.split(","))
    except ValueError:
        rates = ()
    possible = all(RATE_MIN_BYTES_PER_S <= rate <= RATE_MAX_BYTES_PER_S for rate in rates)
    if not rates or len(rates) > PEERS_MAX or not possible:
        raise click.BadParameter(f"{value!r} is not 1 to {PEERS_MAX} speeds from 0.01 to 100000 MB/s, as in 8,4,2,1")
    return rates


_OPTIONS = (
    click.option(
        "--peers", type=click.IntRange(1, PEERS_MAX), help="How many peers. Without: one to seven, by chance."
    ),
    click.option("--rates", callback=_rates, metavar="MB/S,...", help="Their speeds. Without: by chance."),
    click.option("--files", type=click.IntRange(1, FILES_MAX), help="How many files. Without: one to five, by chance."),
    click.option(
        "--size-mib",
        type=click.IntRange(1, FILE_BYTES_MAX // MEBI),
        help="Size of each file in MiB. Without: up to 28, by chance.",
    ),
    click.option(
        "--faults",
        callback=_faults,
        default="none",
        show_default=True,
        metavar="KINDS",
        help="none, some, many (two or four peers in five have one), or kinds with commas between them.",
    ),
)


def wish_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options, and hand the command a Wish as its first argument."""

    @functools.wraps(command)
    def run(
        *,
        peers: int | None,
        rates: tuple[float, ...],
        files: int | None,
        size_mib: int | None,
        faults: Faults,
        **rest: object,
    ) -> None:
        if rates and peers not in (None, len(rates)):
            raise InvalidInputError(
                f"--peers {peers} and {len(rates)} speeds do not go together", hint="--rates alone says how many peers"
            )
        if files and size_mib and files * chunk_count(size_mib * MEBI) > CHUNKS_MAX:
            raise InvalidInputError(
                f"{files} files of {size_mib} MiB have more than {CHUNKS_MAX} chunks",
                hint="take fewer or smaller files",
            )
        size_bytes = size_mib * MEBI if size_mib else None
        command(Wish(peers=peers, rates_bytes_per_s=rates, files=files, size_bytes=size_bytes, faults=faults), **rest)

    for option in reversed(_OPTIONS):
        option(run)
    return run
