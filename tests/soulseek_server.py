"""A Soulseek server for tests, on real sockets, with its own bytes.

Owns: logins, the relay of searches and of requests to connect, and a log of when each came. Never: speaks the
distributed net, rooms or privileges beyond what clients insist on.

Protocol: https://nicotine-plus.org/doc/SLSKPROTOCOL.html
"""

import asyncio
import contextlib
import hashlib
import struct
import threading
import time
from dataclasses import dataclass, field

LOGIN, SET_PORT, GET_ADDRESS, WATCH, UNWATCH, STATUS = 1, 2, 3, 5, 6, 7
CONNECT_TO_PEER, FILE_SEARCH, STATS, SHARED, ADMIN, ROOMS, CANNOT_CONNECT = 18, 26, 36, 35, 66, 64, 1001
EXCLUDED, USER_SEARCH, WISHLIST_SEARCH, KICKED = 160, 42, 103, 41

# The room list that every client gets: larger than a frame that we keep, so that it must be passed over.
ROOM_NAMES = 20_000


def text(value):
    """A string as the protocol writes it."""
    raw = value.encode()
    return struct.pack("<I", len(raw)) + raw


def word(value):
    """A 32-bit number."""
    return struct.pack("<I", value)


def frame(code, body=b""):
    """A whole message."""
    return struct.pack("<II", len(body) + 4, code) + body


class Fields:
    """Takes fields off a body."""

    def __init__(self, body):
        self.body, self.at = body, 0

    def word(self):
        (value,) = struct.unpack_from("<I", self.body, self.at)
        self.at += 4
        return value

    def text(self):
        length = self.word()
        self.at += length
        return self.body[self.at - length : self.at].decode()


@dataclass(eq=False)
class Session:
    """One client's connection."""

    writer: asyncio.StreamWriter
    name: str = ""
    port: int = 0

    def send(self, code, body=b""):
        if not self.writer.is_closing():
            self.writer.write(frame(code, body))


@dataclass(kw_only=True)
class SoulseekServer:
    """The server, in a thread with its own loop. Times are time.monotonic()."""

    passwords: dict = field(default_factory=dict)
    excluded: tuple = ("forbidden words",)
    connections: list = field(default_factory=list)
    """When each connection came."""
    logins: list = field(default_factory=list)
    """(when, name)"""
    searches: list = field(default_factory=list)
    """(when, name, query)"""
    hang_up_at_once: bool = False
    refuse_with: str = ""

    def __post_init__(self):
        self.online = {}
        self.watchers = {}
        self.shared_files = {}
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(60)

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._client, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def close(self):
        """End everything."""
        self.call(self._server.close)
        self.disconnect_all()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)

    def call(self, work):
        """Do something on the server's loop, and wait until it is done."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (work(), done.set()))
        assert done.wait(60)

    def disconnect_all(self, *, reset=False, notice=""):
        """Hang up on everybody, with a FIN or a RST, after a notice."""

        def work():
            for session in list(self.online.values()):
                if notice:
                    session.send(ADMIN, text(notice))
                if reset:
                    session.writer.transport.abort()
                else:
                    # Only our end: a close with something unread becomes a reset, which takes the notice with it.
                    session.writer.write_eof()

        self.call(work)

    def kick(self, name):
        """Tell a client that its name logged in elsewhere, and hang up."""
        self.call(lambda: (self.online[name].send(KICKED), self.online[name].writer.write_eof()))

    def most_searches_in(self, window_s):
        """The largest number of searches that came within any such time."""
        times = sorted(at for at, _, _ in self.searches)
        return max((sum(at <= other <= at + window_s for other in times) for at in times), default=0)

    async def _client(self, reader, writer):
        session = Session(writer)
        self.connections.append(time.monotonic())
        if self.hang_up_at_once:
            writer.close()
            return
        try:
            while True:
                (length,) = struct.unpack("<I", await reader.readexactly(4))
                body = await reader.readexactly(length)
                self._take(session, struct.unpack_from("<I", body)[0], Fields(body[4:]))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            if self.online.get(session.name) is session:
                del self.online[session.name]
                self._tell_status(session.name)

    def _take(self, session, code, fields):
        taking = {
            LOGIN: self._login,
            SET_PORT: lambda s, f: setattr(s, "port", f.word()),
            GET_ADDRESS: self._address,
            WATCH: self._watch,
            STATUS: lambda s, f: self._send_status(s, f.text()),
            STATS: lambda s, f: self._send_stats(s, f.text()),
            FILE_SEARCH: self._search,
            WISHLIST_SEARCH: self._search,
            USER_SEARCH: lambda s, f: self._search_one(s, f.text(), f),
            CONNECT_TO_PEER: self._connect_to_peer,
            CANNOT_CONNECT: self._cannot_connect,
            SHARED: lambda s, f: self.shared_files.__setitem__(s.name, f.word() and f.word()),
        }.get(code)
        if taking is not None:
            taking(session, fields)

    def _login(self, session, fields):
        name, password = fields.text(), fields.text()
        self.logins.append((time.monotonic(), name))
        refusal = self.refuse_with or ("INVALIDPASS" if self.passwords.get(name, password) != password else "")
        if refusal:
            session.send(LOGIN, b"\0" + text(refusal))
            return
        if old := self.online.get(name):
            old.send(KICKED)
            old.writer.write_eof()
        session.name = name
        self.online[name] = session
        digest = hashlib.md5(password.encode()).hexdigest()
        session.send(LOGIN, b"\1" + text("hello") + bytes([1, 0, 0, 127]) + text(digest) + b"\0")
        names = b"".join(text(f"a room called {n:09d}") for n in range(ROOM_NAMES if name.startswith("us") else 0))
        rooms = word(ROOM_NAMES if names else 0)
        session.send(ROOMS, rooms + names + word(0) + word(0) * 6)
        session.send(EXCLUDED, word(len(self.excluded)) + b"".join(map(text, self.excluded)))
        self._tell_status(name)

    def _ip(self, session):
        host = session.writer.get_extra_info("peername")[0]
        return bytes(reversed([int(part) for part in host.split(".")]))

    def _address(self, session, fields):
        name = fields.text()
        other = self.online.get(name)
        where = self._ip(other) + word(other.port) if other else bytes(4) + word(0)
        session.send(GET_ADDRESS, text(name) + where + word(0) + b"\0\0")

    def _watch(self, session, fields):
        name = fields.text()
        self.watchers.setdefault(name, set()).add(session.name)
        known = name in self.online
        session.send(WATCH, text(name) + (b"\1" + word(2) + bytes(20) + text("") if known else b"\0"))

    def _send_status(self, session, name):
        session.send(STATUS, text(name) + word(2 if name in self.online else 0) + b"\0")

    def _send_stats(self, session, name):
        session.send(STATS, text(name) + bytes(20))

    def _tell_status(self, name):
        for watcher in self.watchers.get(name, ()):
            if watcher in self.online:
                self._send_status(self.online[watcher], name)

    def _search(self, session, fields):
        ticket, query = fields.word(), fields.text()
        self.searches.append((time.monotonic(), session.name, query))
        for other in self.online.values():
            other.send(FILE_SEARCH, text(session.name) + word(ticket) + text(query))

    def _search_one(self, session, name, fields):
        ticket, query = fields.word(), fields.text()
        if other := self.online.get(name):
            other.send(FILE_SEARCH, text(session.name) + word(ticket) + text(query))

    def _connect_to_peer(self, session, fields):
        ticket, name, kind = fields.word(), fields.text(), fields.text()
        other = self.online.get(name)
        if other is None:
            session.send(CANNOT_CONNECT, word(ticket) + text(name))
            return
        where = self._ip(session) + word(session.port) + word(ticket)
        other.send(CONNECT_TO_PEER, text(session.name) + text(kind) + where + b"\0" + word(0) + word(0))

    def _cannot_connect(self, session, fields):
        ticket, name = fields.word(), fields.text()
        if other := self.online.get(name):
            with contextlib.suppress(KeyError):
                other.send(CANNOT_CONNECT, word(ticket) + text(session.name))
