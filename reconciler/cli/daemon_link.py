"""The running daemon, as a command speaks to it.

Owns: finding it, asking it over HTTP with the token, and taking its refusals for what they are. Never: needs it: where
none runs or answers, a command works on files and database itself.
"""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.api.address import address_of_running
from reconciler.api.token import load_token
from reconciler.errors import InvalidInputError, NotFoundError, ReconcilerError

# On the same machine; a daemon that is busy for longer is not waited for.
_ANSWER_S_MAX = 10.0
_ANSWER_BYTES_MAX = 16 * 1024 * 1024

_GOOD = 300

# What is wrong with the wish itself. Any other refusal is the daemon's own trouble: it is busy, its disk is full, it
# has another token.
_WRONG: dict[int, type[ReconcilerError]] = {404: NotFoundError, 422: InvalidInputError}


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonLink:
    """A daemon that runs on this machine."""

    host: str
    port: int
    token: str = field(repr=False)

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """What it answers; None where it does not, or cannot now. Raises what it says is wrong with the wish."""
        data = b"" if body is None else json.dumps(dict(body)).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_ANSWER_S_MAX)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            found = json.loads(answer.read(_ANSWER_BYTES_MAX))
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        if not isinstance(found, dict):
            return None
        if (kind := _WRONG.get(answer.status)) is not None:
            raise kind(str(found.get("detail", "")), hint=str(found.get("hint", "")))
        return found if answer.status < _GOOD else None


def daemon_of(state: Path) -> DaemonLink | None:
    """The daemon that works on a state folder, if it has an API and its token can be read."""
    found = address_of_running(state)
    if found is None:
        return None
    try:
        token = load_token(state)
    except (OSError, ReconcilerError):
        return None
    return DaemonLink(host=found[0], port=found[1], token=token)
