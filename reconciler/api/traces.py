"""What happened in a job, and what happens in all of them.

Owns: these routes. Never: reads or adds up events (traces.reading), or sends a stream (api.stream).
"""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Response
from fastapi.responses import JSONResponse

from reconciler.api.documented import JOB_ID, OF_A_JOB, answer
from reconciler.api.jobs import JobIdInPath
from reconciler.api.means import ApiMeans
from reconciler.api.problems import RefusedError
from reconciler.api.stream import EventStream, Follow, StreamBounds
from reconciler.errors import NotFoundError
from reconciler.ids import JobId, is_job_id
from reconciler.traces.model import EventType
from reconciler.traces.reading import PAGE_EVENTS_MAX, TraceReader

_PLACE_DIGITS_MAX = 18
_TYPES_MAX = len(EventType)

_EVENT: dict[str, Any] = {
    "event_id": "01HRQ4GSXF7N5W6D2J8B3K9M0P",
    "timestamp": 1765380615250,
    "type": "ChunkReceived",
    "job_id": JOB_ID,
    "track_id": "1",
    "variant_id": None,
    "peer_id": "mirror.example.org:443",
    "action": "verified",
    "source": "http",
    "bytes_transferred": 1048576,
    "duration_ms": 210.5,
    "throughput_bytes_per_sec": 4981358.7,
    "is_error": False,
    "error_code": None,
    "error_message": None,
    "metadata": {},
}
_SUMMARY = {
    "job_id": JOB_ID,
    "status": "completed",
    "duration_ms": 504000,
    "bytes_contributed": 380000000,
    "chunks_total": 95,
    "chunks_failed": 2,
    "peers": [{"name": "mirror.example.org:443", "source": "http", "bytes_contributed": 380000000, "chunks": 93}],
    "key_events": [{"offset_ms": 45000, "text": "Rescue mode activated"}],
}
_FRAME = 'id: 4711\nevent: JobStart\ndata: {"type": "JobStart", "action": "started"}\n\n'


class TraceRoutes:
    """Traces of jobs, and the stream of events."""

    def __init__(self, means: ApiMeans, *, bounds: StreamBounds, closing: asyncio.Event) -> None:
        self._means = means
        self._bounds = bounds
        self._closing = closing
        self._readers = 0

    def add_to(self, app: FastAPI) -> None:
        """Add them."""
        app.add_api_route(
            "/api/jobs/{job_id}/trace",
            self.summary,
            response_class=JSONResponse,
            responses={**OF_A_JOB, **answer("Who gave what, how fast, and what went wrong.", _SUMMARY)},
            summary="Sum up what happened in a job",
            tags=["traces"],
        )
        page = {"events": [_EVENT], "cursor": "4711", "more": False}
        app.add_api_route(
            "/api/jobs/{job_id}/events",
            self.page,
            response_class=JSONResponse,
            responses={**OF_A_JOB, **answer("A page.", page)},
            summary="List what happened in a job",
            tags=["traces"],
        )
        app.add_api_route(
            "/api/events",
            self.follow,
            response_class=Response,
            responses={**OF_A_JOB, **answer("A stream.", _FRAME, kind="text/event-stream")},
            summary="Follow what happens",
            tags=["traces"],
        )

    async def summary(self, job_id: JobIdInPath) -> Response:
        """Give the story of a job in numbers; it grows while the job runs. 404 also where nothing happened yet."""
        means = self._means
        found = await means.beside(
            lambda: TraceReader(means.database).summary(means.record(job_id).job_id).to_json(),
        )
        return JSONResponse(found)

    async def page(
        self,
        job_id: JobIdInPath,
        after: Annotated[str, Query(max_length=32, description="`cursor` of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_EVENTS_MAX, description="Events on a page.")] = 200,
    ) -> Response:
        """Give events of a job in the order in which they were stored, a page at a time.

        `schemas/swarm-event.schema.json` describes an event. `cursor` stays good: ask again with it for what came
        since.
        """
        means = self._means

        def work() -> dict[str, object]:
            record = means.record(job_id)
            return TraceReader(means.database).page(record.job_id, after=after, limit=limit).to_json()

        return JSONResponse(await means.beside(work))

    async def follow(
        self,
        job_id: Annotated[str, Query(max_length=64, description="Only of this job.")] = "",
        types: Annotated[
            list[EventType] | None, Query(alias="type", max_length=_TYPES_MAX, description="Only of these types.")
        ] = None,
        last_event_id: Annotated[
            str, Header(max_length=_PLACE_DIGITS_MAX, description="The id heard last: what came since comes first.")
        ] = "",
    ) -> Response:
        """Send events as they come (server-sent events), for as long as the connection stays.

        Who falls more than 20,000 events behind is told so (`event: dropped`) and let go. A line that begins with a
        colon shows every 15 seconds that the connection lives. At the daemon's end comes `event: closing`.
        """
        if last_event_id and not (last_event_id.isascii() and last_event_id.isdecimal()):
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "Last-Event-ID is none that this stream has given")
        if job_id and not is_job_id(job_id):
            raise NotFoundError("there is no such job here", hint="GET /api/jobs lists them")
        if self._readers >= self._bounds.readers:
            message = f"{self._bounds.readers} others follow the events already"
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message, again_s=5)
        follow = Follow(
            after=int(last_event_id) if last_event_id else None,
            job_id=JobId(job_id) if job_id else None,
            types=frozenset(types or ()),
        )
        return EventStream(self._means, follow, bounds=self._bounds, closing=self._closing, counted=self._count)

    def _count(self, change: int) -> None:
        self._readers += change
