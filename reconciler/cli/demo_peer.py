"""One overlay peer as a process of its own: what the demo downloads from.

Owns: serving the index of one state folder until its parent goes away. Never: fetches, or knows that it plays a part.

`python -m reconciler.cli.demo_peer STATE UPLOAD_KBPS` prints one line of JSON, `{"peer": id, "port": n}`, and serves
until its standard input ends; so it ends with whoever started it, however that ends.
"""

import asyncio
import json
import sys
from pathlib import Path

from reconciler.addresses import HostPort
from reconciler.clock import SystemClock
from reconciler.config import OverlaySettings
from reconciler.library.index import LibraryIndex
from reconciler.overlay.keyfile import load_or_make
from reconciler.overlay.serving import serving
from reconciler.state.database import Database


def main() -> None:
    """Serve until standard input ends."""
    state, upload_kbps = Path(sys.argv[1]), int(sys.argv[2])
    database = Database.open(state / "reconciler.db")
    try:
        asyncio.run(_serve(state, LibraryIndex(database), upload_kbps))
    finally:
        database.close()


async def _serve(state: Path, index: LibraryIndex, upload_kbps: int) -> None:
    identity = load_or_make(state / "identity")
    overlay = OverlaySettings(listen=HostPort(host="127.0.0.1", port=0), upload_kbps=upload_kbps)
    async with serving(identity, index, overlay, clock=SystemClock()) as port:
        sys.stdout.write(json.dumps({"peer": identity.id, "port": port}) + "\n")
        sys.stdout.flush()
        await _standard_input_ended()


async def _standard_input_ended() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        continue


if __name__ == "__main__":
    main()
