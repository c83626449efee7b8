"""Whether the daemon lives, whether it works, and its figures.

Owns: these routes. Never: counts (api.figures).
"""

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from reconciler import __version__
from reconciler.api.documented import Responses, answer
from reconciler.api.figures import CONTENT_TYPE
from reconciler.api.means import ApiMeans
from reconciler.api.views import HealthView, ReadyView
from reconciler.state.jobs import JobStore

_FIGURES = 'workqueue_depth 3.0\nreconcile_total{result="success"} 1284.0\nreconciler_jobs{state="running"} 2.0\n'


class HealthRoutes:
    """`/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, means: ApiMeans) -> None:
        self._means = means

    def add_to(self, app: FastAPI) -> None:
        """Add them."""
        waiting: Responses = {503: {"description": "Not yet, or not any more.", "model": ReadyView}}
        figures: Responses = {
            200: {"description": "Figures for Prometheus.", "content": {"text/plain": {"example": _FIGURES}}}
        }
        alive = answer("It answers.", {"status": "ok", "version": __version__})
        app.add_api_route("/healthz", self.healthy, responses=alive, summary="Whether it lives", tags=["operation"])
        app.add_api_route("/readyz", self.ready, responses=waiting, response_model=ReadyView,
                          summary="Whether it works", tags=["operation"])  # fmt: skip
        app.add_api_route("/metrics", self.figures, responses=figures, response_class=Response,
                          summary="Figures for Prometheus", tags=["operation"])  # fmt: skip

    async def healthy(self) -> HealthView:
        """Answer, which shows that the loop turns."""
        return HealthView(status="ok", version=__version__)

    async def ready(self) -> Response:
        """Say whether the folders were looked through and jobs can be fetched; 503 while not."""
        waits_for = self._means.waits_for()
        return JSONResponse({"ready": not waits_for, "waits_for": list(waits_for)}, 503 if waits_for else 200)

    async def figures(self) -> Response:
        """Give every figure in the text format of Prometheus; no job, peer or file is named in one."""
        counts = await self._means.beside(JobStore(self._means.database).counts)
        return Response(self._means.figures.text(counts), media_type=CONTENT_TYPE)
