"""Peers: what is known of each across jobs.

Owns: this route. Never: judges a peer (engine.reputation).
"""

from fastapi import FastAPI

from reconciler.api.documented import answer
from reconciler.api.means import ApiMeans
from reconciler.api.views import PeersView, peer_of
from reconciler.state.peers import PeerStore

_EXAMPLE = {
    "source": "http",
    "name": "mirror.example.org:443",
    "last_seen": "2025-12-10T15:30:15Z",
    "throughput_bytes_per_s": 3800000.0,
    "error_rate": 0.0,
    "timeout_rate": 0.01,
    "chunks_good": 45,
    "chunks_refused": 0,
    "banned": False,
    "banned_until": None,
    "ban_reason": "",
}


class PeerRoutes:
    """`/api/peers`."""

    def __init__(self, means: ApiMeans) -> None:
        self._means = means

    def add_to(self, app: FastAPI) -> None:
        """Add it."""
        known = answer("Every known peer.", {"peers": [_EXAMPLE]})
        app.add_api_route("/api/peers", self.every, responses=known, summary="List peers", tags=["peers"])

    async def every(self) -> PeersView:
        """Give what earlier and running jobs know of each peer; what running jobs saw is here within ten seconds."""
        known = await self._means.beside(PeerStore(self._means.database).all)
        now = self._means.clock.wall()
        return PeersView(peers=[peer_of(each, now_unix_s=now) for each in reversed(known)])
