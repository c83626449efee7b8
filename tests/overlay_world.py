"""A small overlay on loopback: identities, a library with real files, servers, and a client that speaks raw bytes.

Owns: what several test packages need of it. Never: asserts.
"""

import asyncio
import hashlib
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.clock import SystemClock
from reconciler.ids import Mbid
from reconciler.library.index import Holding, LibraryIndex
from reconciler.manifests.model import OverlayPeerSource
from reconciler.overlay.fairness import UploadLimits
from reconciler.overlay.filehash import hash_file
from reconciler.overlay.identity import NONCE_BYTES, Identity
from reconciler.overlay.server import OverlayServer
from reconciler.overlay.tls import PinnedContext
from reconciler.sources.overlay import OverlaySource

SERVER = Identity.generate(b"server".ljust(32))
CLIENT = Identity.generate(b"client".ljust(32))
OTHER = Identity.generate(b"other".ljust(32))

RECORDING = Mbid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
NOBODYS_RECORDING = Mbid("b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")

_nonces = itertools.count(1)


def content(size: int, seed: str = "") -> bytes:
    """Bytes without a period, the same for the same arguments."""
    return hashlib.shake_128(f"{seed}:{size}".encode()).digest(size)


def fresh_nonce(count: int = NONCE_BYTES) -> bytes:
    """A nonce that no test has used."""
    return next(_nonces).to_bytes(count, "big")


def hold(index: LibraryIndex, path: Path, data: bytes, *, recording: Mbid | None = RECORDING) -> Holding:
    """Write a file and index it."""
    path.write_bytes(data)
    holding = holding_of(path, recording=recording, added_at=1_790_000_000.0)
    index.add(holding)
    return holding


def holding_of(path: Path, *, recording: Mbid | None, duration_ms: int = 242_000, added_at: float) -> Holding:
    """What an index says of the file at `path`, as a FLAC that is so long."""
    status = path.stat()
    with path.open("rb") as file:
        hashes = hash_file(file.fileno(), status.st_size)
    return Holding(
        root=hashes.root,
        size=status.st_size,
        recording=recording,
        path=str(path),
        codec="FLAC",
        container="flac",
        lossless=True,
        bitrate_bps=912_000,
        duration_ms=duration_ms,
        sha256=hashes.sha256,
        device=status.st_dev,
        inode=status.st_ino,
        mtime_ns=status.st_mtime_ns,
        chunk_hashes=b"".join(hashes.chunk_hashes),
        added_at=added_at,
    )


@asynccontextmanager
async def serving(
    index: LibraryIndex,
    *,
    identity: Identity = SERVER,
    limits: UploadLimits | None = None,
) -> AsyncIterator[int]:
    """Run a server on a free port of 127.0.0.1 and give the port."""
    server = OverlayServer(identity, index, limits or UploadLimits(), SystemClock())
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    """An answer as it came over the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawClient:
    """One TLS connection to a server, bytes in and bytes out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def connect(cls, port: int) -> AsyncIterator["RawClient"]:
        """Connect to a server on loopback that must be SERVER."""
        context = PinnedContext(SERVER.id)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="127.0.0.1")
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def get(self, target: str, *, who: Identity | None = CLIENT, **headers: str) -> RawAnswer:
        """Send one GET and read the answer; `range_="bytes=0-1"` becomes the header `Range`."""
        self.send("GET", target, who=who, **headers)
        return await self.read()

    def send(
        self, method: str, target: str, *, who: Identity | None = CLIENT, body: bytes = b"", **headers: str
    ) -> None:
        """Send one request, signed by `who`."""
        lines = [f"{method} {target} HTTP/1.1", "Host: peer"]
        if who is not None:
            lines.append(f"Authorization: {signature(who, method, target)}")
        lines += [f"{name.rstrip('_').replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def read(self) -> RawAnswer:
        """Read one answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return RawAnswer(status=int(status_line.split()[1]), headers=headers, body=body)


def signature(who: Identity, method: str, target: str) -> str:
    """A good Authorization header for SERVER, never used before."""
    return who.authorization(SERVER.id, method, target, unix_s=int(SystemClock().wall()), nonce=fresh_nonce())


def overlay_source(*peers: OverlayPeerSource, timeout_s: float = 10) -> OverlaySource:
    """The source as CLIENT, with these static peers."""
    return OverlaySource(identity=CLIENT, peers=peers, clock=SystemClock(), entropy=os.urandom, timeout_s=timeout_s)


def at(port: int, *, identity: Identity = SERVER, host: str = "127.0.0.1") -> OverlayPeerSource:
    """Where a peer is, as a manifest says it."""
    return OverlayPeerSource(peer=identity.id, host=host, port=port)


def with_client(index, talk, **options):
    """Run a server and `talk(client)` with it."""

    async def main():
        async with serving(index, **options) as port, RawClient.connect(port) as client:
            return await asyncio.wait_for(talk(client), 60)

    return asyncio.run(main())


async def turns_until(holds):
    """Leave the loop to others until `holds()`."""
    while not holds():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


def open_files_named(name: str) -> int:
    """How many descriptors of this process lead to a file of that name."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += entry.readlink().name == name
        except FileNotFoundError:
            continue
    return count
