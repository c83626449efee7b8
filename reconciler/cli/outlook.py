"""Looking ahead: what the loop would see of a manifest, and what it would come to.

Owns: gathering that without a daemon, from files and the state database. Never: asks the engine or a network, or writes
anything that stays.
"""

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import get_args

from reconciler.cli.context import Context
from reconciler.clock import SystemClock
from reconciler.engine.order import HeldReason, HeldUp, JobProgress
from reconciler.ids import JobId
from reconciler.manifests.model import Condition, JobState, Manifest
from reconciler.musicbrainz.resolutions import ResolutionStore
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.dependencies import Dependencies
from reconciler.reconcile.foresee import Foreseen, foresee
from reconciler.reconcile.missing import is_mass_removal
from reconciler.reconcile.observe import Folders, Observer
from reconciler.reconcile.observed import GoneJob, Moment, Observed, Policy, Valid
from reconciler.reconcile.orders import Plan, plan_of
from reconciler.reconcile.policy import policy_of
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.records import JobRecord
from reconciler.state.sightings import Hold, Sighting, SightingStore


class Outlook:
    """Looks ahead for the manifests of one root folder. Made by `looking_out`."""

    def __init__(self, root: Path, policy: Policy, database: Database) -> None:
        self.policy = policy
        self.folders = Folders(root=root)
        self.store = JobStore(database)
        self._sightings = SightingStore(database)
        self._resolutions = ResolutionStore(database)
        self._observer = Observer(
            folders=self.folders,
            store=self.store,
            resolutions=self._resolutions,
            library_roots=[Path(each) for each in policy.places.library_roots],
        )

    def moment(self) -> Moment:
        """Now, with dice that fall on the longest wait."""
        return Moment(now_unix_s=SystemClock().wall(), chance=0.0, policy=self.policy)

    def ahead(self, file: Path) -> Foreseen:
        """What the passes over a manifest would come to; raises FileBusyError, DiskError."""
        moment = self.moment()
        path = self.folders.relative(file) if file.is_relative_to(self.folders.root) else str(file)
        seen = self._observer.observe(
            path, last_job=self._last_jobs.get(path), last_conditions=(), now_unix_s=moment.now_unix_s
        )
        return foresee(self._with_the_rest(seen), moment)

    def planned(self, record: JobRecord, manifest: Manifest) -> Plan | None:
        """What a job asks for and where it goes, as far as that is known here; also of a job that is done."""
        resolved = self._resolutions.get(record.job_id, record.generation)
        plan = plan_of(manifest.spec, self.policy.places, resolved)
        return plan if isinstance(plan, Plan) else None

    def gone(self, job_id: JobId) -> tuple[GoneJob, bool] | None:
        """What is known of a job that is not in its file, and whether so many are missing that none is given up."""
        now = SystemClock().wall()
        gone = self._observer.observe_gone(job_id, gone_for_s=0.0, now_unix_s=now)
        if gone is None:
            return None
        places = [path for _, path in self.store.places() if self.folders.is_active(path)]
        there = {each.name for each in self.folders.active.iterdir()} if self.folders.active.is_dir() else set()
        missing = sum(PurePosixPath(path).name not in there for path in places)
        return gone, is_mass_removal(missing, of=len(places))

    def holds(self) -> tuple[Hold, ...]:
        """What holds everything back, as a daemon has written it down."""
        return self._sightings.holds()

    def _with_the_rest(self, seen: Observed) -> Observed:
        """What only a running daemon knows, as far as the database tells of it."""
        if isinstance(seen.file, Valid):
            manifest = seen.file.manifest
            if manifest.job_id is not None and manifest.directives.depends_on:
                self._dependencies.place(manifest.job_id, manifest.directives.depends_on)
                seen = replace(seen, cycle=self._dependencies.cycle_through(manifest.job_id))
        record = seen.record
        if record is None:
            return seen
        waits = any(condition.reason == Reason.WAITING_FOR_SLOT for condition in record.conditions)
        progress = None
        if record.state is JobState.RUNNING:
            # Recorded as running: the engine has it, or will have it as soon as a daemon runs.
            progress = JobProgress(
                job_id=record.job_id,
                generation=record.generation,
                outcome=None,
                retriable=False,
                error="",
                tracks=(),
                peers=(),
                held=_held_up(record.conditions),
            )
        return replace(seen, slot_free=not waits, progress=progress)

    @cached_property
    def _last_jobs(self) -> dict[str, JobId]:
        return {path: job_id for job_id, path in self.store.places()}

    @cached_property
    def _dependencies(self) -> Dependencies:
        found = Dependencies()

        def take(sighting: Sighting) -> None:
            if sighting.job_id is not None and sighting.depends_on:
                found.place(sighting.job_id, sighting.depends_on)

        self._sightings.each(take)
        return found


def _held_up(conditions: tuple[Condition, ...]) -> HeldUp | None:
    """What the daemon wrote down of its disk when it last looked at the job."""
    for condition in conditions:
        for reason in get_args(HeldReason):
            if condition.reason == reason:
                return HeldUp(reason=reason, message=condition.message, entirely=True)
    return None


@contextlib.contextmanager
def looking_out(context: Context) -> Iterator[Outlook]:
    """Look ahead for a root folder; where no daemon has worked on it yet, nothing is known of any job."""
    policy = policy_of(context.settings(), root=PurePosixPath(context.root), hostname=socket.gethostname())
    with contextlib.ExitStack() as stack:
        if context.database_path.exists():
            database = stack.enter_context(context.database())
        else:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="reconciler-plan-"))
            database = stack.enter_context(contextlib.closing(Database.open(Path(scratch) / "empty.db")))
        yield Outlook(context.root, policy, database)
