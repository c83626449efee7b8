"""Tell every hook what it is to be told, until it has been told.

Owns: the order, the tries and their record. Never: knows how a hook is told (hooks.command, hooks.webhook), or lets a
hook hold up a job.

A delivery is written in the transaction of the end that it tells of (state.jobs), and is over when its hook says so. So
a crash loses none; one that falls between a hook's success and its record has the hook told again, with the same id.
Each hook is told one thing at a time; what fails waits for its time and holds up nothing behind it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from loguru import logger

from reconciler.clock import Clock
from reconciler.errors import DiskError, FileBusyError
from reconciler.hooks.model import Ending, Hook, body_of
from reconciler.hooks.schedule import wait_s
from reconciler.ids import ULID_ENTROPY_BYTES, make_ulid
from reconciler.state.deliveries import DeliveryStore
from reconciler.state.records import Delivery, DeliveryState
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.reporter import Reporter
from reconciler.traces.session_log import escape

# After a refusal of our own disk.
_DISK_WAIT_S = 10.0

T = TypeVar("T")


class Courier:
    """Carries the ends of jobs to hooks."""

    def __init__(
        self,
        hooks: Sequence[Hook],
        *,
        store: DeliveryStore,
        reporter: Reporter,
        clock: Clock,
        chance: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._hooks = tuple(hooks)
        self._store = store
        self._reporter = reporter
        self._clock = clock
        self._chance = chance
        self._entropy = entropy
        self._awake = {hook.name: asyncio.Event() for hook in hooks}

    def deliveries(self, ending: Ending) -> tuple[Delivery, ...]:
        """What is to be stored together with this end."""
        wanted = [hook for hook in self._hooks if hook.wants(ending)]
        body = body_of(ending) if wanted else ""
        return tuple(
            Delivery(
                delivery_id=self._ulid(),
                hook=hook.name,
                event=ending.event,
                job_id=ending.job_id,
                body=body,
                next_at=ending.ended_at,
            )
            for hook in wanted
        )

    def wake(self) -> None:
        """There is something to tell; on the loop's thread."""
        for event in self._awake.values():
            event.set()

    async def serve(self) -> None:
        """Tell hooks until cancelled."""
        await self._patiently(self._give_up_strangers)
        async with asyncio.TaskGroup() as tasks:
            for hook in self._hooks:
                tasks.create_task(self._keep_telling(hook))

    async def drain(self) -> None:
        """Tell every hook once whatever it is time for; what fails waits for the next start. Not beside `serve`."""
        for hook in self._hooks:
            try:
                while (delivery := await self._next_of(hook)) is not None and self._early_s(delivery) <= 0.0:
                    await self._record(await self._tell(hook, delivery))
            except (DiskError, FileBusyError) as error:
                logger.bind(hook=hook.name, why=error.message).warning("hooks are told at the next start")

    async def _keep_telling(self, hook: Hook) -> None:
        awake = self._awake[hook.name]
        while True:
            awake.clear()
            delivery = await self._patiently(partial(self._next_of, hook))
            waiting_s = None if delivery is None else self._early_s(delivery)
            if delivery is not None and waiting_s is not None and waiting_s <= 0.0:
                told = await self._tell(hook, delivery)
                # Only this is done again where the disk refuses: the hook has been told.
                await self._patiently(partial(self._record, told))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(waiting_s):
                    await awake.wait()

    async def _next_of(self, hook: Hook) -> Delivery | None:
        return await asyncio.to_thread(self._store.next_of, hook.name)

    def _early_s(self, delivery: Delivery) -> float:
        return delivery.next_at - self._clock.wall()

    async def _tell(self, hook: Hook, delivery: Delivery) -> Delivery:
        """Tell a hook; gives what is to be recorded of it."""
        answer = await hook.tell(delivery)
        tries = delivery.tries + 1
        again_s = None
        if not answer.delivered and not answer.is_final:
            again_s = wait_s(tries, asked_s=answer.retry_after_s, chance=self._chance())
        state: DeliveryState = "delivered" if answer.delivered else "given up" if again_s is None else "waiting"
        next_at = self._clock.wall() + (again_s or 0.0)
        return replace(delivery, tries=tries, next_at=next_at, result=answer.result, state=state)

    async def _record(self, told: Delivery) -> None:
        await asyncio.to_thread(self._store.put, told)
        self._say(told)

    def _say(self, told: Delivery) -> None:
        """One line in the log; a failure is told in the job's trace, too."""
        pairs = {"hook": told.hook, "event": told.event, "job": told.job_id, "result": escape(told.result)}
        if told.state == "delivered":
            logger.bind(**pairs).info("hook told")
            return
        again = "is tried again" if told.state == "waiting" else "is given up"
        logger.bind(**pairs, tries=told.tries).warning(f"hook failed and {again}")
        now = self._clock.wall()
        self._reporter.report(
            SwarmEvent(
                event_id=self._ulid(),
                timestamp_ms=int(now * 1000),
                type=EventType.ERROR,
                job_id=told.job_id,
                action="hook failed" if told.state == "waiting" else "hook given up",
                is_error=True,
                error_code="hook failed",
                error_message=f"{told.hook}: {told.result}",
                metadata={"delivery": told.delivery_id, "event": told.event, "tries": told.tries},
            )
        )

    async def _give_up_strangers(self) -> None:
        names = [hook.name for hook in self._hooks]
        count = await asyncio.to_thread(self._store.give_up_others, names, now=self._clock.wall())
        if count:
            logger.bind(count=count).warning("what waited for hooks that are not configured any more is given up")

    async def _patiently(self, deed: Callable[[], Awaitable[T]]) -> T:
        """Do something that our own disk may refuse, until it does not."""
        failing = False
        while True:
            try:
                return await deed()
            except (DiskError, FileBusyError) as error:
                if not failing:
                    logger.bind(why=error.message).error("hooks wait: the state database cannot be used")
                failing = True
                await asyncio.sleep(_DISK_WAIT_S)

    def _ulid(self) -> str:
        now = self._clock.wall()
        return make_ulid(unix_ms=int(now * 1000), entropy=self._entropy(ULID_ENTROPY_BYTES))
