"""Whether a daemon can be reached, and reaches whom it needs.

Owns: these examinations. Never: logs in to Soulseek: a second session would end that of a running daemon.
"""

import asyncio
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from reconciler.addresses import HostPort
from reconciler.cli.finding import Finding, fine, problem, warning
from reconciler.cli.session_view import session_of
from reconciler.clock import Clock, rfc3339
from reconciler.config import MusicBrainzSettings, Settings, SoulseekSettings
from reconciler.errors import BadConfigurationError
from reconciler.ids import Mbid
from reconciler.musicbrainz.answers import Answers
from reconciler.musicbrainz.client import MusicBrainz
from reconciler.musicbrainz.model import NoAnswerError
from reconciler.sources.soulseek.password import read_password
from reconciler.state.database import Database
from reconciler.state.location import holder_of
from reconciler.state.soulseek import SoulseekStore

# A server that takes longer to answer is of no use to a person either.
TIMEOUT_S = 5.0

# Various Artists: an artist that every copy of the database has (https://musicbrainz.org/doc/Special_Purpose_Artist).
_ALWAYS_THERE = Mbid("89ad4ac3-39f7-470e-963a-56509c546377")


def examine_ports(settings: Settings, *, daemon: str) -> Iterator[Finding]:
    """The ports that others connect to: free, or answered by the running `daemon`."""
    soulseek, overlay = settings.soulseek, settings.mesh.overlay
    if overlay.enabled and overlay.listen is not None:
        yield _examine_port("overlay", overlay.listen, daemon=daemon)
    if soulseek.enabled and soulseek.listen_port:
        at = HostPort(host=soulseek.listen_address, port=soulseek.listen_port)
        yield _examine_port("soulseek port", at, daemon=daemon)
    elif soulseek.enabled:
        said = "soulseek.listen_port is 0: only users whom we can reach take part"
        yield warning("soulseek port", said, to_do="open a port in the router and set it, for more sources")


def examine_musicbrainz(settings: MusicBrainzSettings, clock: Clock) -> Finding:
    """Whether the service answers, asked once."""
    if settings.offline:
        return fine("musicbrainz", "is not asked: musicbrainz.offline is set")

    async def ask(database: Database) -> None:
        service = MusicBrainz(settings, memory=Answers(database), clock=clock, tries_max=1)
        try:
            await service.named("artist", _ALWAYS_THERE)
        finally:
            await service.close()

    with tempfile.TemporaryDirectory(prefix="reconciler-doctor-") as scratch:
        database = Database.open(Path(scratch) / "answers.db")
        with closing(database):
            try:
                asyncio.run(ask(database))
            except NoAnswerError as error:
                # A mirror may lack any one artist; then it has answered all the same.
                if error.code == "not found":
                    return fine("musicbrainz", f"{settings.url} answers")
                to_do = f"{error.hint}; jobs that list their tracks need no look-up"
                return warning("musicbrainz", error.message, to_do=to_do)
    if not settings.contact:
        to_do = "set musicbrainz.contact to an address of yours: MusicBrainz asks for one"
        return warning("musicbrainz", f"{settings.url} answers, and is not told whom to write to", to_do=to_do)
    return fine("musicbrainz", f"{settings.url} answers")


def examine_soulseek(settings: SoulseekSettings, state: Path, clock: Clock, *, offline: bool) -> Iterator[Finding]:
    """The account's name and password, how the session stands, and whether the server can be reached."""
    if not settings.enabled:
        yield fine("soulseek", "is off (soulseek.enabled)")
        return
    try:
        read_password(settings.password_file, os.environ)
        yield fine("soulseek", f"user {settings.username}, with a password")
    except BadConfigurationError as error:
        yield problem("soulseek", error.message, to_do=error.hint)
    if (state / "reconciler.db").exists():
        with closing(Database.open_read_only(state / "reconciler.db")) as database:
            yield from _examine_session(database, state, clock)
    if not offline:
        yield _examine_server(settings.server)


def _examine_session(database: Database, state: Path, clock: Clock) -> Iterator[Finding]:
    """The login, as the running daemon tells of it; without one, what became of the last ones."""
    view = session_of(database, state, now=clock.wall())
    if view is not None and holder_of(state) is not None:
        if view.state == "online":
            yield fine("soulseek login", view.text)
        elif view.state == "connecting":
            yield warning("soulseek login", view.text, to_do="look again in a minute")
        else:
            to_do = "is the password right, or another client logged in? The daemon tries again when it may"
            yield problem("soulseek login", view.text, to_do=to_do)
        return
    session = SoulseekStore(database).session()
    if session.failures_in_a_row:
        said = f"the last {session.failures_in_a_row} failed; the next is not before {rfc3339(session.not_before)}"
        yield warning("soulseek login", said, to_do="see the log of the daemon for the server's reason")


def _examine_port(subject: str, at: HostPort, *, daemon: str) -> Finding:
    where = f"{at.host}:{at.port}"
    if daemon:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(at.host, at.host)  # noqa: S104 - compared, not opened
        try:
            socket.create_connection((host, at.port), timeout=TIMEOUT_S).close()
        except OSError as error:
            to_do = "restart it: was the port configured after its start?"
            return problem(subject, f"{where} does not answer, though a daemon runs: {error}", to_do=to_do)
        return fine(subject, f"{where} answers; whether others get through your router is for them to see")
    try:
        found = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        to_do = "choose another port, or end what has it (ss -ltnp)"
        return problem(subject, f"{where} cannot be listened on: {error.strerror or error}", to_do=to_do)
    return fine(subject, f"{where} is free for the daemon")


def _examine_server(server: HostPort) -> Finding:
    try:
        socket.create_connection((server.host, server.port), timeout=TIMEOUT_S).close()
    except OSError as error:
        to_do = "is there a network, or a firewall against that port?"
        return warning("soulseek", f"{server.host}:{server.port} cannot be reached: {error}", to_do=to_do)
    return fine("soulseek", f"{server.host}:{server.port} can be reached")
