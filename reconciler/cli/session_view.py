"""How the Soulseek session stands, for a person and for a script.

Owns: the words and the JSON. Never: asks a daemon; it reads what one has written beside it.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.cli.render import shown
from reconciler.clock import rfc3339
from reconciler.sources.soulseek.search_budget import MARGIN_S, WINDOW_S
from reconciler.state.database import Database
from reconciler.state.location import holder_of
from reconciler.state.soulseek import SoulseekStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """The session as it stands now."""

    state: str
    """As in sources.soulseek.account; `offline` while no daemon runs."""
    reason: str
    retry_in_s: float | None
    """Until the next login; None = none is planned."""
    searches_left: int
    """That may be sent now."""
    searches_max: int
    """In any 220 s."""
    listen_port: int
    """Where peers can connect to; 0 = nowhere."""
    told_at: float
    """Unix seconds."""

    @property
    def text(self) -> str:
        """In a line."""
        parts = [self.state]
        if self.retry_in_s is not None:
            parts.append(f"next login in {self.retry_in_s:.0f} s")
        if self.state == "online":
            parts.append(f"{self.searches_left} of {self.searches_max} searches left")
            parts.append(f"listening on port {self.listen_port}" if self.listen_port else "not listening")
        told = ", ".join(parts)
        return f"{told}: {shown(self.reason, 200)}" if self.reason else told

    def as_json(self) -> dict[str, object]:
        """For a script."""
        return {**asdict(self), "told_at": rfc3339(self.told_at)}


def session_of(database: Database, state: Path, *, now: float) -> SessionView | None:
    """The session of the daemon that works on `state`; None where none takes part in Soulseek."""
    store = SoulseekStore(database)
    told = store.report()
    if told is None:
        return None
    sent = len(store.searches(since=now - WINDOW_S - MARGIN_S))
    runs = holder_of(state) is not None
    return SessionView(
        state=told.state if runs else "offline",
        reason=told.reason if runs else "no daemon is running",
        retry_in_s=max(0.0, told.retry_at - now) if runs and told.retry_at is not None else None,
        searches_left=max(0, told.searches_max - sent),
        searches_max=told.searches_max,
        listen_port=told.listen_port if runs else 0,
        told_at=told.told_at,
    )
