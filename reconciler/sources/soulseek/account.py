"""What a session with the Soulseek network needs to know.

Owns: the values that configuration and credentials become, as they cross to the process that holds the session.
Never: reads either.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who we are, where the server is, what we give."""

    username: str
    password: str = field(repr=False)
    server_host: str
    server_port: int
    listen_host: str = ""
    listen_port: int = 0
    """0 = peers cannot connect to us; those that can be reached are."""
    shared: tuple[str, ...] = ()
    """Absolute folders whose files are offered."""
    published_roots: tuple[str, ...] = ()
    """Absolute folders, without links, of which only what was published is offered."""
    never_shared: tuple[str, ...] = ()
    """Absolute folders that are not, wherever they lie: parts, quarantine."""
    upload_slots: int = 2
    upload_bytes_per_s: int = 0
    """Over all uploads; 0 = no cap."""

    @property
    def gives(self) -> bool:
        """Whether anything is offered to others."""
        return bool(self.shared or self.published_roots)


SessionState = Literal["offline", "connecting", "online", "banned", "kicked", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """How the session stands; a value for people and for the source."""

    state: SessionState
    reason: str = ""
    """Why it is not online, in words; text of the server is bounded."""
    retry_in_s: float | None = None
    """When the next login is due, counted from when this was told; None = none is planned."""
    listen_port: int = 0
    """Where peers can connect to; 0 = nowhere, because none is configured or it cannot be had."""
