"""Look up at MusicBrainz what jobs ask for, beside the loop.

Owns: which look-ups are under way, what came of those that failed, and when these are tried again. Never: decides that
one is needed (reconcile.resolve), or speaks HTTP (musicbrainz.client).

What was found is in the database before the job is woken: the next pass sees it there, and so does the next start.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from loguru import logger

from reconciler.clock import Clock
from reconciler.errors import ReconcilerError
from reconciler.ids import ULID_ENTROPY_BYTES, JobId, Mbid, make_ulid
from reconciler.manifests.model import DiscographySpec, LabelCrateSpec
from reconciler.musicbrainz.edition import Choice, is_official_enough, of_artist, of_label
from reconciler.musicbrainz.model import (
    FailureCode,
    Listed,
    Named,
    NoAnswerError,
    Release,
    Resolved,
    ResolvedRelease,
    ResolvedReleases,
    SubjectKind,
)
from reconciler.musicbrainz.tracklist import resolved_release
from reconciler.reconcile.actions import LookUp
from reconciler.reconcile.backoff import backoff_s
from reconciler.reconcile.observed import Failure, LookUpState, Policy
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.reporter import Reporter

# One that needs many requests must not hold up those whose answer is remembered; requests themselves go one by one.
AT_ONCE_MAX = 4

# Failures remembered. A job whose failure was forgotten is looked up once more when somebody looks at it.
FAILURES_MAX = 10_000

# Release groups whose choice is told: an artist's whole work, and of a large label the beginning.
CHOICES_TOLD_MAX = 2000

# Editions named in one event; the table keeps 32 facts.
_LOSERS_TOLD_MAX = 24

# Tracks named in one event.
_SKIPPED_TOLD_MAX = 20

# What may be over when it is tried again. A page that is no answer is often that of a network that wants a log-in.
_PASSING: frozenset[FailureCode] = frozenset({"unreachable", "odd answer"})

Facts = dict[str, str | int | float | bool]


class Catalogue(Protocol):
    """What is asked of MusicBrainz; raises NoAnswerError."""

    @property
    def host(self) -> str:
        """Who is asked."""
        ...

    async def release(self, mbid: Mbid, *, fresh: bool = False) -> Release:
        """Look up a release with its tracks."""
        ...

    async def named(self, kind: SubjectKind, mbid: Mbid, *, fresh: bool = False) -> Named:
        """Look up the name of an artist or label, and who that is by now."""
        ...

    async def releases_of(self, kind: SubjectKind, mbid: Mbid, *, official: bool, fresh: bool = False) -> Listed:
        """List the releases of an artist or label."""
        ...


class Resolutions(Protocol):
    """Where what was found is kept; both wait for the disk."""

    def put(self, job_id: JobId, generation: int, resolved: Resolved) -> None:
        """Remember what a generation asks for."""
        ...

    def holders(self, releases: Iterable[Mbid]) -> Mapping[Mbid, int]:
        """How many are known here to have each release."""
        ...


class LookUps:
    """The look-ups of one daemon. Everything but `serve` returns at once."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        resolutions: Resolutions,
        reporter: Reporter,
        clock: Clock,
        chance: Callable[[], float],
        entropy: Callable[[int], bytes],
        policy: Policy,
        on_end: Callable[[JobId], None],
    ) -> None:
        """`on_end` is told of each job whose look-up has ended, on the loop's thread."""
        self._catalogue = catalogue
        self._resolutions = resolutions
        self._reporter = reporter
        self._clock = clock
        self._chance = chance
        self._entropy = entropy
        self._policy = policy
        self._on_end = on_end
        self._waiting: dict[JobId, LookUp] = {}
        self._under_way: set[LookUp] = set()
        self._failures: OrderedDict[JobId, tuple[LookUpState, int]] = OrderedDict()
        self._more = asyncio.Semaphore(0)

    def begin(self, look: LookUp) -> None:
        """Look something up for a job; what waits for the same job is not looked up any more."""
        if look in self._under_way:
            return
        if look.job_id not in self._waiting:
            self._more.release()
        self._waiting[look.job_id] = look

    def state(self, job_id: JobId) -> LookUpState | None:
        """How far the latest look-up for a job is; None = there is none, or it has succeeded."""
        looks = [look for look in (*self._waiting.values(), *self._under_way) if look.job_id == job_id]
        if looks:
            return LookUpState(generation=max(look.generation for look in looks))
        failed = self._failures.get(job_id)
        return failed[0] if failed is not None else None

    @property
    def busy(self) -> bool:
        """Whether any look-up is under way or waits for its turn."""
        return bool(self._waiting or self._under_way)

    async def serve(self) -> None:
        """Look up until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE_MAX):
                tasks.create_task(self._keep_looking())

    async def _keep_looking(self) -> None:
        while True:
            await self._more.acquire()
            look = self._waiting.pop(next(iter(self._waiting)))
            self._under_way.add(look)
            try:
                await self._look(look)
            finally:
                self._under_way.discard(look)
            self._on_end(look.job_id)

    async def _look(self, look: LookUp) -> None:
        try:
            resolved = await self._resolved(look)
            await asyncio.to_thread(self._resolutions.put, look.job_id, look.generation, resolved)
        except NoAnswerError as error:
            self._failed(look, error, error.code, retry_after_s=error.retry_after_s)
        except ReconcilerError as error:  # the disk
            self._failed(look, error, "unreachable")
        else:
            self._failures.pop(look.job_id, None)

    async def _resolved(self, look: LookUp) -> Resolved:
        if look.wish is not None:
            return await self._chosen(look, look.wish)
        release = await self._catalogue.release(look.subject.mbid, fresh=look.fresh)
        resolved = resolved_release(release, asked=look.subject.mbid)
        self._tell(look, "resolved", _facts_of(resolved))
        if not resolved.tracks:
            hint = "name another release; `reconciler job trace --events` says why each track is left out"
            raise NoAnswerError("nothing to fetch", f"{look.subject} has no track of audio", hint=hint)
        return resolved

    async def _chosen(self, look: LookUp, wish: DiscographySpec | LabelCrateSpec) -> ResolvedReleases:
        """List what there is and choose; each choice is told with its reasons."""
        kind, asked = look.subject.kind, look.subject.mbid
        named = await self._catalogue.named(kind, asked, fresh=look.fresh)
        official = isinstance(wish, LabelCrateSpec) or is_official_enough(wish)
        listed = await self._catalogue.releases_of(kind, named.mbid, official=official, fresh=look.fresh)
        if isinstance(wish, LabelCrateSpec):
            wanted = [release.mbid for release in listed.releases]
            holders = await asyncio.to_thread(self._resolutions.holders, wanted)
            choices = await asyncio.to_thread(of_label, listed.releases, wish, holders)
        else:
            choices = await asyncio.to_thread(of_artist, listed.releases, wish, named.mbid)
        resolved = ResolvedReleases(
            asked=asked,
            mbid=named.mbid,
            name=named.name,
            listed=listed.total,
            groups=len(choices),
            releases=tuple(choice.chosen for choice in choices if choice.chosen is not None),
        )
        for choice in choices[:CHOICES_TOLD_MAX]:
            self._tell(look, "edition chosen" if choice.chosen else "left out", _facts_of_choice(choice))
        self._tell(look, "resolved", _facts_of_releases(resolved, len(listed.releases)))
        if not resolved.releases:
            hint = "widen the profile or the filters; `reconciler job trace --events` says why each is left out"
            raise NoAnswerError("nothing to fetch", f"nothing that {look.subject} has released is wanted", hint=hint)
        return resolved

    def _failed(self, look: LookUp, error: ReconcilerError, code: FailureCode, *, retry_after_s: float = 0.0) -> None:
        _, before = self._failures.pop(look.job_id, (None, 0))
        message = f"{error.message}; {error.hint}" if error.hint else error.message
        retry_at = None
        if code in _PASSING:
            policy = self._policy
            base_s, max_s = policy.retry_interval_s, policy.retry_interval_s_max
            wait_s = backoff_s(before + 1, base_s=base_s, max_s=max(base_s, max_s), chance=self._chance())
            retry_at = self._clock.wall() + max(wait_s, retry_after_s)
        failure = Failure(code=code, message=message, retry_at=retry_at)
        self._failures[look.job_id] = LookUpState(generation=look.generation, failure=failure), before + 1
        if len(self._failures) > FAILURES_MAX:
            self._failures.popitem(last=False)
        self._tell(look, "look-up failed", {"subject": str(look.subject)}, error=message)
        logger.bind(job=look.job_id, what=str(look.subject), why=message).warning("look-up failed")

    def _tell(self, look: LookUp, action: str, facts: Facts, *, error: str = "") -> None:
        now_ms = int(self._clock.wall() * 1000)
        self._reporter.report(
            SwarmEvent(
                event_id=make_ulid(unix_ms=now_ms, entropy=self._entropy(ULID_ENTROPY_BYTES)),
                timestamp_ms=now_ms,
                type=EventType.ERROR if error else EventType.JOB_START,
                job_id=look.job_id,
                action=action,
                source="musicbrainz",
                peer_id=self._catalogue.host,
                is_error=bool(error),
                error_code=action if error else "",
                error_message=error,
                metadata=facts,
            )
        )


def _facts_of(resolved: ResolvedRelease) -> Facts:
    """What a person would want to know of a release that was looked up."""
    facts: Facts = {
        "release": resolved.mbid,
        "title": resolved.title,
        "artist": resolved.artist,
        "tracks": len(resolved.tracks),
        "skipped": len(resolved.skipped),
    }
    if resolved.asked != resolved.mbid:
        facts["merged_from"] = resolved.asked
    for number, each in enumerate(resolved.skipped[:_SKIPPED_TOLD_MAX], start=1):
        facts[f"skipped_{number}"] = f"{each.medium}-{each.position} {each.title}: {each.reason}"
    return facts


def _facts_of_releases(resolved: ResolvedReleases, looked_at: int) -> Facts:
    """What a person would want to know of a list that was looked up."""
    years = [release.year for release in resolved.releases if release.year is not None]
    facts: Facts = {
        "name": resolved.name,
        "listed": resolved.listed,
        "looked_at": looked_at,
        "groups": resolved.groups,
        "chosen": len(resolved.releases),
    }
    if years:
        facts |= {"first_year": min(years), "last_year": max(years)}
    if resolved.asked != resolved.mbid:
        facts["merged_from"] = resolved.asked
    return facts


def _facts_of_choice(choice: Choice) -> Facts:
    """Why one edition was chosen, and why the others were not."""
    facts: Facts = {"group": choice.group, "title": choice.title, "reason": choice.reason}
    if choice.chosen is not None:
        facts["release"] = choice.chosen.release
    for number, loser in enumerate(choice.losers[:_LOSERS_TOLD_MAX], start=1):
        facts[f"loser_{number}"] = f"{loser.release}: {loser.reason}"
    if len(choice.losers) > _LOSERS_TOLD_MAX:
        facts["more_losers"] = len(choice.losers) - _LOSERS_TOLD_MAX
    return facts
