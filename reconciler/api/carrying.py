"""Manifests in and out.

Owns: these routes, and that one batch is taken in at a time. Never: judges a manifest (reconcile.imports), or takes or
gives a path of the disk: manifests come and go in bodies.
"""

import asyncio
from collections import Counter
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse

from reconciler.api.bodies import Piece, pieces_of
from reconciler.api.documented import JOB_ID, OF_A_JOB, OF_A_WRITE, answer, manifest_body
from reconciler.api.guard import YAML_TYPES
from reconciler.api.jobs import JobIdInPath
from reconciler.api.means import ApiMeans
from reconciler.api.problems import RefusedError
from reconciler.api.views import ImportView, outcome_of
from reconciler.reconcile.exports import Export, export_job, save_exported
from reconciler.reconcile.here import Here
from reconciler.reconcile.imports import import_manifests
from reconciler.reconcile.incoming import Incoming
from reconciler.reconcile.intake import Outcome
from reconciler.state.jobs import JobStore
from reconciler.state.sightings import SightingStore

_EXPORT = f"""\
manifest_version: "1.0"
job_id: {JOB_ID}
job_type: mb_release
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  target_dir: library
status:
  state: completed
"""
_OUTCOME: dict[str, Any] = {
    "source": "manifest 1",
    "result": "imported",
    "job_id": JOB_ID,
    "path": f"jobs/active/{JOB_ID}.yml",
    "offered_id": None,
    "was": None,
    "problems": [],
    "notes": [],
}


class CarryingRoutes:
    """Making, importing and exporting jobs."""

    def __init__(self, means: ApiMeans) -> None:
        self._means = means
        self._one_at_a_time = asyncio.Lock()

    def add_to(self, app: FastAPI) -> None:
        """Add them."""
        app.add_api_route(
            "/api/jobs",
            self.make,
            methods=["POST"],
            status_code=HTTPStatus.CREATED,
            response_class=JSONResponse,
            responses={
                **OF_A_WRITE,
                **answer("The job, which the daemon begins with now.", _OUTCOME, status=HTTPStatus.CREATED),
                **answer("It was here already; nothing was written.", {**_OUTCOME, "result": "unchanged"}),
            },
            summary="Make a job",
            tags=["jobs"],
            openapi_extra=manifest_body(many=False),
        )
        batch = {"imported": 1, "unchanged": 0, "refused": 0, "outcomes": [_OUTCOME]}
        app.add_api_route(
            "/api/jobs/import",
            self.take_in,
            methods=["POST"],
            responses={**OF_A_WRITE, **answer("What became of each.", batch)},
            summary="Take in manifests",
            tags=["jobs"],
            openapi_extra=manifest_body(many=True),
        )
        app.add_api_route(
            "/api/jobs/{job_id}/export",
            self.give_out,
            methods=["POST"],
            response_class=Response,
            responses={**OF_A_JOB, **OF_A_WRITE, **answer("The manifest.", _EXPORT, kind=YAML_TYPES[0])},
            summary="Give out a job's manifest",
            tags=["jobs"],
        )

    async def make(self, request: Request) -> Response:
        """Check a manifest and write it into `jobs/active`, where the daemon acts on it.

        A mistake is answered with every problem. An id that another job has here is replaced by a new one, which the
        notes say.
        """
        pieces = pieces_of(await request.body())
        if len(pieces) > 1:
            hint = "POST /api/jobs/import takes many"
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "the body holds more than one manifest", hint=hint)
        outcome = (await self._taken(pieces))[0]
        if outcome.hindrance is not None:
            raise outcome.hindrance
        if outcome.result == "refused":
            hint = "mend the manifest and send it again"
            problems = outcome.problems
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            raise RefusedError(status, "the manifest has mistakes", hint=hint, problems=problems)
        made = outcome.result == "imported"
        answered = JSONResponse(outcome.as_json(), HTTPStatus.CREATED if made else HTTPStatus.OK)
        if outcome.job_id is not None:
            answered.headers["Location"] = f"/api/jobs/{outcome.job_id}"
        return answered

    async def take_in(self, request: Request) -> ImportView:
        """Check manifests and write each into `jobs/active`; one that has mistakes stops no other.

        A status only says where a manifest came from: files that are in the library already are verified and kept, the
        rest is fetched.
        """
        outcomes = await self._taken(pieces_of(await request.body()))
        counts = Counter(each.result for each in outcomes)
        return ImportView(
            imported=counts["imported"],
            unchanged=counts["unchanged"],
            refused=counts["refused"],
            outcomes=[outcome_of(each) for each in outcomes],
        )

    async def give_out(
        self,
        job_id: JobIdInPath,
        save: Annotated[bool, Query(description="Whether it is also written into jobs/exported.")] = False,  # noqa: FBT002 - a parameter of the request
    ) -> Response:
        """Give the manifest of a job: every byte as it is here, with the job's status as word of its origin."""
        means = self._means

        def work() -> tuple[Export, str]:
            jobs = JobStore(means.database)
            record = means.record(job_id)
            here = Here(means.folders, sightings=SightingStore(means.database))
            export = export_job(record.job_id, here=here, jobs=jobs)
            if not save:
                return export, ""
            return export, means.folders.relative(save_exported(export, means.folders)[0])

        export, path = await means.beside(work)
        headers = {"Content-Disposition": f'attachment; filename="{export.job_id}.yml"'}
        if path:
            headers["Content-Location"] = quote(path)
        return Response(export.data, media_type=YAML_TYPES[0], headers=headers)

    async def _taken(self, pieces: list[Piece]) -> list[Outcome]:
        means = self._means
        offers = [Incoming(source=f"manifest {n}", data=piece.data) for n, piece in enumerate(pieces, start=1)]

        def work() -> list[Outcome]:
            return import_manifests(
                offers,
                folders=means.folders,
                sightings=SightingStore(means.database),
                places=means.places,
                clock=means.clock,
                entropy=means.entropy,
            )

        async with self._one_at_a_time:
            outcomes = await means.beside(work)
        for outcome in outcomes:
            if outcome.result == "imported":
                means.look_at(outcome.path)
        return [_in_body(outcome, piece) for outcome, piece in zip(outcomes, pieces, strict=True)]


def _in_body(outcome: Outcome, piece: Piece) -> Outcome:
    """The outcome with the lines of its problems counted from the begin of the body."""
    problems = tuple(
        replace(each, line=each.line + piece.lines_before) if each.line else each for each in outcome.problems
    )
    return replace(outcome, problems=problems)
