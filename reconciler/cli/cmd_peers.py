"""`reconciler peers`: what is known of every peer, and how to forget it.

Owns: the table, and which peers a name means. Never: asks a daemon; it reads the database beside one, and leaves word
there.
"""

import click
from rich.table import Table

from reconciler.cli.context import Context, is_asked_itself, state_options
from reconciler.cli.groups import GuessingGroup
from reconciler.cli.render import rate, shown
from reconciler.clock import SystemClock, rfc3339
from reconciler.engine.peer_memory import KEEP_S
from reconciler.engine.reputation import (
    error_rate,
    is_banned,
    name_of,
    source_of,
    throughput_bytes_per_s,
    timeout_rate,
)
from reconciler.errors import InvalidInputError, NotFoundError
from reconciler.state.peers import PeerStore
from reconciler.state.reputations import Reputation
from reconciler.traces.session_log import escape

_NAME_WIDTH = 48
_REASON_WIDTH = 60


@click.group(cls=GuessingGroup, short_help="Every known peer: speed, reliability, bans.", invoke_without_command=True)
@state_options
def peers(context: Context) -> None:
    """Show what earlier and running jobs know of each peer: speed, errors, good and refused chunks, bans.

    Rates are of a peer's answers, what was seen a week ago counting half. A peer that lied is asked by no job until its
    ban ends. What running jobs saw is here within ten seconds.

    \b
    Examples:
      reconciler peers --root ~/music
      reconciler peers --json | jq -r '.[] | select(.banned) | .name'
      reconciler peers forget peer.example.org:80
    """
    if not is_asked_itself():
        return
    now = SystemClock().wall()
    with context.database() as database:
        known = PeerStore(database).all()[::-1]
    if context.as_json:
        context.print_json([_as_json(each, now) for each in known])
    elif not known:
        click.echo("no peer is known yet")
    else:
        context.console.print(_table(known, now))


@peers.command(short_help="Forget a peer, and lift its ban.")
@click.argument("name")
@state_options
def forget(context: Context, name: str) -> None:
    """Forget all that is known of a peer: its ban is lifted, and the next job meets it as a stranger.

    NAME is as `reconciler peers` shows it, with or without its source, and may be shortened to what makes it unique. A
    name that begins with a hyphen needs its source before it. A running daemon asks the peer again within ten seconds.

    \b
    Examples:
      reconciler peers forget peer.example.org:80
      reconciler peers forget overlay:-zKx3
    """
    with context.database_to_edit() as database:
        store = PeerStore(database)
        found = _named(store.all(), name)
        store.forget([each.peer for each in found])
    if context.as_json:
        context.print_json([{"source": source_of(each.peer), "name": name_of(each.peer)} for each in found])
        return
    now = SystemClock().wall()
    for each in found:
        lifted = f"; its ban until {_until(each)} is lifted" if is_banned(each, now) else ""
        click.echo(f"{shown(each.peer, 200)} is forgotten{lifted}")
    click.echo(f"a running daemon knows within {KEEP_S:.0f} seconds")


def _named(known: list[Reputation], name: str) -> list[Reputation]:
    """The peers that `name` means: the very one in every source, else the only one that begins so."""
    exact = [each for each in known if name in _names(each)]
    if exact:
        return exact
    found = [each for each in known if any(said.startswith(name) for said in _names(each))]
    if not found:
        raise NotFoundError(f"no known peer's name begins with {name!r}", hint="`reconciler peers` lists them")
    if len(found) > 1:
        some = ", ".join(shown(each.peer, 60) for each in found[:5])
        raise InvalidInputError(f"{len(found)} peers begin with {name!r}: {some}", hint="write more of the name")
    return found


def _names(known: Reputation) -> tuple[str, ...]:
    """What a person may call it: with and without its source, as it is and as it is shown."""
    plain = known.peer, name_of(known.peer)
    return (*plain, *map(escape, plain))


def _table(known: list[Reputation], now: float) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("SOURCE", "PEER", "SPEED", "ERRORS", "TIMEOUTS", "GOOD", "REFUSED", "LAST SEEN", "BANNED"):
        wide = heading in ("SOURCE", "PEER", "LAST SEEN", "BANNED")
        table.add_column(heading, justify="left" if wide else "right")
    for each in known:
        table.add_row(
            source_of(each.peer),
            shown(name_of(each.peer), _NAME_WIDTH),
            rate(throughput_bytes_per_s(each)),
            f"{error_rate(each):.0%}",
            f"{timeout_rate(each):.0%}",
            str(each.chunks_good),
            str(each.chunks_refused),
            rfc3339(each.last_seen),
            f"until {_until(each)}: {shown(each.ban_reason, _REASON_WIDTH)}" if is_banned(each, now) else "",
        )
    return table


def _until(known: Reputation) -> str:
    return "" if known.banned_until is None else rfc3339(known.banned_until)


def _as_json(known: Reputation, now: float) -> dict[str, object]:
    return {
        "source": source_of(known.peer),
        "name": name_of(known.peer),
        "throughput_bytes_per_s": round(throughput_bytes_per_s(known)),
        "error_rate": round(error_rate(known), 4),
        "timeout_rate": round(timeout_rate(known), 4),
        "chunks_good": known.chunks_good,
        "chunks_refused": known.chunks_refused,
        "strikes": known.strikes,
        "banned": is_banned(known, now),
        "banned_until": _until(known) or None,
        "ban_reason": known.ban_reason,
        "last_seen": rfc3339(known.last_seen),
    }
