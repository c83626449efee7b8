"""What `/metrics` says: figures for Prometheus.

Owns: the names of the figures, and prometheus-client. Never: a name or an id of a job, peer or file as a label: those
are without bound, and nobody's business.

Base units, `_total` for what only grows; `workqueue_*` as controllers of Kubernetes call it.
https://prometheus.io/docs/practices/naming/
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reconciler import __version__
from reconciler.engine.order import JobProgress
from reconciler.manifests.model import JobState
from reconciler.reconcile.queue import WorkQueue
from reconciler.reconcile.tally import Durations, LoopTally
from reconciler.traces.tally import EventTally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# From a look into memory to a batch of manifests that waits for a hard disk.
_REQUEST_BOUNDS_S = (0.002, 0.008, 0.03, 0.12, 0.5, 2.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Whose figures they are; all but `counts` are read on the loop's thread."""

    queue: WorkQueue
    loop: LoopTally
    events: EventTally
    running: Callable[[], tuple[JobProgress, ...]]


class Figures:
    """The figures of one daemon."""

    def __init__(self, watched: Watched) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series of each, that nobody asks for
        self._registry = CollectorRegistry()
        self._collecting = _Collecting(watched)
        self._registry.register(self._collecting)
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "http_requests", "Requests that were answered.", ("method", "route", "status"), registry=self._registry
        )
        self._took = Histogram(
            "http_request_duration_seconds",
            "How long answers took, streams aside.",
            ("route",),
            registry=self._registry,
            buckets=_REQUEST_BOUNDS_S,
        )
        self._refused = Counter(
            "http_requests_refused", "Requests that were not let in, by status.", ("status",), registry=self._registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one answer; `seconds` is None for a stream."""
        self._requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self._took.labels(route).observe(seconds)

    def refused(self, status: int) -> None:
        """Count one request that was not let in."""
        self._refused.labels(str(status)).inc()

    def text(self, counts: Mapping[JobState, int]) -> bytes:
        """Everything, with `counts` jobs in each state; on the loop's thread."""
        self._collecting.counts = counts
        return generate_latest(self._registry)


class _Collecting(Collector):
    """Reads the figures that others keep, when they are asked for."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self.counts: Mapping[JobState, int] = {}

    def collect(self) -> Iterable[Metric]:
        yield _info()
        yield from self._jobs()
        yield from self._loop()
        yield from self._transfers()

    def _jobs(self) -> Iterable[Metric]:
        jobs = GaugeMetricFamily("reconciler_jobs", "Jobs in each state.", labels=("state",))
        for state in JobState:
            jobs.add_metric((state.value,), self.counts.get(state, 0))
        yield jobs

    def _loop(self) -> Iterable[Metric]:
        queue, loop = self._watched.queue, self._watched.loop
        yield GaugeMetricFamily("workqueue_depth", "Files that wait for a pass, now or later.", value=len(queue))
        yield CounterMetricFamily("workqueue_adds", "Files that were to be looked at.", value=queue.adds)
        yield CounterMetricFamily("workqueue_retries", "Passes that were put off and tried again.", value=queue.retries)
        yield _histogram("workqueue_queue_duration_seconds", "From when a pass was due to its begin.", queue.waited)
        yield _histogram("workqueue_work_duration_seconds", "How long passes took.", loop.worked)
        passes = CounterMetricFamily("reconcile", "Passes, by how they ended.", labels=("result",))
        for result, count in loop.results.items():
            passes.add_metric((result,), count)
        yield passes

    def _transfers(self) -> Iterable[Metric]:
        events, running = self._watched.events, self._watched.running()
        received = CounterMetricFamily("reconciler_received_bytes", "Bytes that were accepted.", labels=("source",))
        for source, size in events.received_bytes.items():
            received.add_metric((source,), size)
        yield received
        refused = CounterMetricFamily("reconciler_refused_bytes", "Bytes received in vain.", labels=("source",))
        for source, size in events.refused_bytes.items():
            refused.add_metric((source,), size)
        yield refused
        told = CounterMetricFamily("reconciler_events", "What happened in jobs, by type.", labels=("type",))
        for kind, count in events.events.items():
            told.add_metric((kind.value,), count)
        yield told
        yield GaugeMetricFamily("reconciler_jobs_fetching", "Jobs that are being fetched.", value=len(running))
        speed = sum(peer.throughput_bytes_per_s for job in running for peer in job.peers)
        yield GaugeMetricFamily("reconciler_throughput_bytes_per_second", "What all peers send now.", value=speed)


def _info() -> Metric:
    info = GaugeMetricFamily("reconciler_build_info", "Which version runs.", labels=("version",))
    info.add_metric((__version__,), 1)
    return info


def _histogram(name: str, text: str, durations: Durations) -> Metric:
    return HistogramMetricFamily(name, text, buckets=durations.at_most(), sum_value=durations.sum_s)
