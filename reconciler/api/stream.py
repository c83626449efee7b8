"""What happens, as it happens: a stream of server-sent events.

Owns: how a reader follows, and when one is left behind. Never: keeps events for a reader: the table is the buffer, and
a reader is a place in it. So a slow one costs a page of memory, whatever happens meanwhile.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from reconciler.api.means import ApiMeans
from reconciler.ids import JobId
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.tail import TraceTail

# Events read at once: some 100 KB.
PAGE_EVENTS = 200

# Events are stored four times a second; asking more often finds nothing new.
LOOK_S = 0.25

# Proxies give up on a silent connection after 30 to 60 s.
HEARTBEAT_S = 15.0

_RETRY_MS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """What a reader wants to hear."""

    after: int | None
    """Behind which place; None = what comes from now on."""
    job_id: JobId | None
    types: frozenset[EventType]
    """Empty = all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBounds:
    """What a stream costs at most."""

    readers: int = 16
    """At once; each asks the database four times a second."""
    behind_events: int = 20_000
    """Who is further behind than this is told so, and let go: a minute of a busy swarm."""
    untaken_s: float = 30.0
    """Who takes nothing for so long is gone, or might as well be."""


class EventStream(Response):
    """An answer that goes on for as long as somebody reads it, or until the daemon ends."""

    media_type = "text/event-stream"

    def __init__(
        self,
        means: ApiMeans,
        follow: Follow,
        *,
        bounds: StreamBounds,
        closing: asyncio.Event,
        counted: Callable[[int], None],
    ) -> None:
        """`counted` is told +1 when the stream begins, and -1 when it ends."""
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._means = means
        self._follow = follow
        self._bounds = bounds
        self._closing = closing
        self._counted = counted
        self._tail = TraceTail(means.database)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the reader goes, falls behind, or the daemon ends."""
        del scope
        gone = asyncio.Event()
        self._counted(1)
        try:
            async with asyncio.TaskGroup() as tasks:
                listening = [
                    tasks.create_task(_until_gone(receive, gone)),
                    tasks.create_task(self._until_closing(gone)),
                ]
                try:
                    await self._send_while_taken(send, gone)
                finally:
                    for task in listening:
                        task.cancel()
        finally:
            self._counted(-1)

    async def _until_closing(self, gone: asyncio.Event) -> None:
        await self._closing.wait()
        gone.set()

    async def _send_while_taken(self, send: Send, gone: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(None) as patience:
                await self._send_all(_Patient(send, patience, self._bounds.untaken_s), gone)
        except TimeoutError:
            logger.info("a reader of events took none for too long, and is let go")

    async def _send_all(self, send: "_Patient", gone: asyncio.Event) -> None:
        await send.start(self.status_code, self.raw_headers)
        newest = await self._means.beside(self._tail.newest)
        place = newest if self._follow.after is None else min(self._follow.after, newest)
        await send.text(f"retry: {_RETRY_MS}\nid: {place}\n\n")
        quiet_s = 0.0
        while not gone.is_set():
            if newest - place > self._bounds.behind_events:
                # Who comes back by itself goes on from now: from the same place it would only be let go again.
                word = {"reason": "too far behind", "events": newest - place, "after": place}
                await send.text(f"id: {newest}\nevent: dropped\ndata: {json.dumps(word)}\n\n", last=True)
                return
            page = await self._page(place, newest)
            place = page.place
            if page.text:
                await send.text(page.text)
                quiet_s = 0.0
            elif not page.is_full:
                quiet_s += LOOK_S
                await _pause(gone)
            if quiet_s >= HEARTBEAT_S:
                # With the place, so that who comes back need not be read everything that was not for them.
                await send.text(f": still here\nid: {place}\n\n")
                quiet_s = 0.0
            newest = await self._means.beside(self._tail.newest)
        await send.text("event: closing\ndata: {}\n\n", last=True)

    async def _page(self, place: int, newest: int) -> "_Page":
        """The next events behind `place`; `newest` was there before they were asked for."""
        follow = self._follow
        found = await self._means.beside(
            lambda: self._tail.after(place, limit=PAGE_EVENTS, job_id=follow.job_id),
        )
        wanted = [(at, event) for at, event in found if not follow.types or event.type in follow.types]
        is_full = len(found) == PAGE_EVENTS
        last = found[-1][0] if found else place
        return _Page(
            # Past what other jobs had, too: else who follows a quiet job falls behind without missing anything.
            place=last if is_full else max(last, newest),
            text="".join(_frame(at, event) for at, event in wanted),
            is_full=is_full,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Some events, as they are sent."""

    place: int
    """Everything up to here has been looked at."""
    text: str
    """Empty = none that the reader wants."""
    is_full: bool
    """Whether there may be more already."""


class _Patient:
    """Sends, and waits only so long for a reader to take it."""

    def __init__(self, send: Send, patience: asyncio.Timeout, untaken_s: float) -> None:
        self._send = send
        self._patience = patience
        self._untaken_s = untaken_s

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def text(self, text: str, *, last: bool = False) -> None:
        """Raises TimeoutError, where the timeout is waited for, if it is not taken in time."""
        self._patience.reschedule(asyncio.get_running_loop().time() + self._untaken_s)
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": not last})
        self._patience.reschedule(None)


async def _until_gone(receive: Receive, gone: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


async def _pause(gone: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_S):
            await gone.wait()
    except TimeoutError:
        return


def _frame(place: int, event: SwarmEvent) -> str:
    """One event. Its text is JSON in ASCII, so nothing that a peer is called can end a line."""
    return f"id: {place}\nevent: {event.type}\ndata: {json.dumps(event.to_json())}\n\n"
