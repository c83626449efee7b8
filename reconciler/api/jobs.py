"""Jobs: a list, one of them, and what a person wants of one.

Owns: these routes. Never: takes manifests in or gives them out (api.carrying), or words an edit (reconcile.steering).
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import FastAPI, Path, Query, Request

from reconciler.api.documented import JOB_ID, OF_A_JOB, OF_A_WRITE, SUSPEND_BODY, answer
from reconciler.api.means import ApiMeans
from reconciler.api.problems import RefusedError
from reconciler.api.views import (
    JobPageView,
    JobView,
    LookedAtView,
    SteeredView,
    job_of,
    summary_of,
)
from reconciler.manifests.document import Document
from reconciler.manifests.model import JobState, JobType
from reconciler.manifests.read import read_document
from reconciler.reconcile.job_view import view_of_record
from reconciler.reconcile.steering import Edit, cancelling, moment_of, resuming, retrying, steer, suspending
from reconciler.state.jobs import JobStore

# One page is answered within some 10 ms; who wants more asks for the next.
PAGE_JOBS_MAX = 500
PAGE_JOBS = 100

# What a manifest may say as a reason; longer texts are refused by its schema.
_TEXT_CHARS_MAX = 200
_ID_CHARS_MAX = 64

JobIdInPath = Annotated[str, Path(max_length=_ID_CHARS_MAX, description="The whole id.", examples=[JOB_ID])]

_SUMMARY = {
    "job_id": JOB_ID,
    "job_type": "mb_release",
    "path": "jobs/active/loveless.yml",
    "state": "running",
    "generation": 1,
    "attempts": 1,
    "started_at": "2025-12-10T15:30:15Z",
    "completed_at": None,
    "retry_at": None,
    "error": "",
    "progress": None,
}
_JOB = {
    **_SUMMARY,
    "tracks_total": 11,
    "tracks_completed": [1],
    "children": [],
    "bytes_received": 31457280,
    "files": [
        {"position": 1, "path": "/music/Loveless/01 Only Shallow.flac", "size": 31457280, "sha256": "", "root": None}
    ],
    "conditions": [
        {
            "type": "Reconciling",
            "status": "True",
            "reason": "Fetching",
            "message": "",
            "since": "2025-12-10T15:30:15Z",
        }
    ],
}
_STEERED = {"job_id": JOB_ID, "path": "jobs/active/loveless.yml", "changed": True, "says": "spec.suspend: true"}
_LOOKED_AT = {"job_id": JOB_ID, "path": "jobs/active/loveless.yml"}


class JobRoutes:
    """The routes below `/api/jobs` that concern jobs which are here."""

    def __init__(self, means: ApiMeans) -> None:
        self._means = means

    def add_to(self, app: FastAPI) -> None:
        """Add them."""
        listed = answer("A page.", {"jobs": [_SUMMARY], "next": None})
        app.add_api_route("/api/jobs", self.every, responses=listed, summary="List jobs", tags=["jobs"])
        shown = {**OF_A_JOB, **answer("The job.", _JOB)}
        app.add_api_route("/api/jobs/{job_id}", self.one, responses=shown, summary="Show a job", tags=["jobs"])
        for name, endpoint, summary, extra in (
            ("cancel", self.cancel, "End a job for good; what is published stays", None),
            ("retry", self.retry, "Try a failed or stalled job again now", None),
            ("suspend", self.suspend, "Let a job rest", SUSPEND_BODY),
            ("resume", self.resume, "Let a suspended job go on", None),
        ):
            app.add_api_route(
                f"/api/jobs/{{job_id}}/{name}",
                endpoint,
                methods=["POST"],
                responses={**OF_A_JOB, **OF_A_WRITE, **answer("What the manifest says now.", _STEERED)},
                summary=summary,
                tags=["jobs"],
                openapi_extra=extra,
            )
        app.add_api_route(
            "/api/jobs/{job_id}/reconcile",
            self.reconcile,
            methods=["POST"],
            status_code=HTTPStatus.ACCEPTED,
            responses={**OF_A_JOB, **answer("It is looked at.", _LOOKED_AT, status=HTTPStatus.ACCEPTED)},
            summary="Look at a job's manifest now",
            tags=["jobs"],
        )

    async def every(
        self,
        after: Annotated[str, Query(max_length=_ID_CHARS_MAX, description="`next` of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_JOBS_MAX, description="Jobs on a page.")] = PAGE_JOBS,
        state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
        job_type: Annotated[JobType | None, Query(alias="type", description="Only jobs of this type.")] = None,
        text: Annotated[
            str, Query(max_length=_TEXT_CHARS_MAX, description="Only jobs whose id, path or error holds this.")
        ] = "",
    ) -> JobPageView:
        """Give jobs by id, which is the order in which they were made, a page at a time."""
        store = JobStore(self._means.database)
        found = await self._means.beside(
            lambda: store.page(after=after, limit=limit + 1, state=state, job_type=job_type, text=text)
        )
        shown = found[:limit]
        return JobPageView(
            jobs=[summary_of(record, self._means.progress(record.job_id)) for record in shown],
            next=shown[-1].job_id if len(found) > limit else None,
        )

    async def one(self, job_id: JobIdInPath) -> JobView:
        """Give everything that is known of a job: its files, its conditions, how far it is."""
        means = self._means
        view = await means.beside(lambda: view_of_record(means.database, means.folders.root, means.record(job_id)))
        return job_of(view, means.progress(view.record.job_id))

    async def cancel(self, job_id: JobIdInPath) -> SteeredView:
        """Write `desired_state: cancelled` into the manifest: the job is stopped, and its manifest moves."""
        return await self._steer(job_id, cancelling())

    async def retry(self, job_id: JobIdInPath) -> SteeredView:
        """Write the time into `reconcile_requested_at` of the manifest; attempts are counted from the beginning."""
        return await self._steer(job_id, retrying(now_unix_s=self._means.clock.wall()))

    async def suspend(self, job_id: JobIdInPath, request: Request) -> SteeredView:
        """Write `suspend` into the manifest: nothing of the job is started, what runs is stopped, files stay."""
        given = _texts_in(await request.body(), ("reason", "until"))
        until = moment_of(given["until"], now_unix_s=self._means.clock.wall(), what="until")
        return await self._steer(job_id, suspending(reason=given["reason"], until=until))

    async def resume(self, job_id: JobIdInPath) -> SteeredView:
        """Take `suspend` out of the manifest."""
        return await self._steer(job_id, resuming())

    async def reconcile(self, job_id: JobIdInPath) -> LookedAtView:
        """Have the job's manifest looked at, as if it had just been saved; nothing is written."""
        record = await self._means.beside(lambda: self._means.record(job_id))
        self._means.look_at(record.path)
        return LookedAtView(job_id=record.job_id, path=record.path)

    async def _steer(self, job_id: str, edit: Edit) -> SteeredView:
        def work() -> SteeredView:
            record = self._means.record(job_id)
            changed = steer(self._means.folders.root, record, edit)
            return SteeredView(job_id=record.job_id, path=record.path, changed=changed, says=edit.said)

        steered = await self._means.beside(work)
        self._means.look_at(steered.path)
        return steered


def _texts_in(body: bytes, names: tuple[str, ...]) -> dict[str, str]:
    """The texts of these names in a small JSON or YAML object; what is left out is empty. Raises RefusedError."""
    refused = HTTPStatus.UNPROCESSABLE_ENTITY
    document = read_document(body)
    if not isinstance(document, Document):
        raise RefusedError(refused, "the body cannot be read", problems=document, hint='send {"reason": "..."}')
    tree = {} if document.tree is None else document.tree
    if not isinstance(tree, dict):
        raise RefusedError(refused, "the body is not an object", hint='send {"reason": "..."}')
    for name, value in tree.items():
        if name not in names or not isinstance(value, str):
            known = " and ".join(names)
            raise RefusedError(refused, f"the body may hold the texts {known}, and nothing else")
    return {name: str(tree.get(name, "")) for name in names}
