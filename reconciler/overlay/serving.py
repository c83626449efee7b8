"""Serving files to overlay peers, as the settings have it.

Owns: a server that runs while a block does. Never: answers a request (overlay.server).

A door of its own: who only serves need not load what fetches.
"""

import contextlib
from collections.abc import AsyncIterator

from reconciler.clock import Clock
from reconciler.config import OverlaySettings
from reconciler.library.index import LibraryIndex
from reconciler.overlay.fairness import UploadLimits
from reconciler.overlay.identity import Identity
from reconciler.overlay.server import OverlayServer


@contextlib.asynccontextmanager
async def serving(
    identity: Identity, index: LibraryIndex, overlay: OverlaySettings, *, clock: Clock
) -> AsyncIterator[int]:
    """Serve `index` to overlay peers while the block runs; gives the port that is listened on."""
    assert overlay.listen is not None
    server = OverlayServer(
        identity=identity,
        index=index,
        limits=UploadLimits(
            slots=overlay.upload_slots,
            slots_per_peer=overlay.upload_slots_per_peer,
            bytes_per_s=overlay.upload_kbps * 1000 // 8,
        ),
        clock=clock,
    )
    port = await server.start(overlay.listen.host, overlay.listen.port)
    try:
        yield port
    finally:
        await server.stop()
