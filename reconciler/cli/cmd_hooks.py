"""`reconciler hooks`: what hooks were told and how that went, and a way to try them.

Owns: the table, and the sample. Never: delivers what waits (hooks.courier): that is the daemon's.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click
from rich.table import Table

from reconciler.cli.context import Context, is_asked_itself, root_options, state_options
from reconciler.cli.groups import GuessingGroup
from reconciler.cli.render import shown
from reconciler.clock import SystemClock, rfc3339
from reconciler.errors import BadConfigurationError
from reconciler.hooks.configured import hooks_of
from reconciler.hooks.model import Answer, Ending, Hook, body_of
from reconciler.ids import ULID_ENTROPY_BYTES, JobId, make_ulid
from reconciler.manifests.model import JobType
from reconciler.state.deliveries import DeliveryStore
from reconciler.state.records import Delivery
from reconciler.traces.session_log import escape

_RESULT_WIDTH = 80
_LINES_MAX = 20

SAMPLE = "test"
"""The `type` of what `hooks test` sends."""


@click.group(cls=GuessingGroup, short_help="What hooks were told, and a way to try them.", invoke_without_command=True)
@state_options
def hooks(context: Context) -> None:
    """Show what each hook was told of the ends of jobs, what waits for its next try, and how the last one went.

    The newest is first. Of what is over, the latest thousand are kept.

    \b
    Examples:
      reconciler hooks --root ~/music
      reconciler hooks --json | jq -r '.[] | select(.state == "given up") | .result'
      reconciler hooks test
    """
    if not is_asked_itself():
        return
    with context.database() as database:
        known = DeliveryStore(database).all()
    if context.as_json:
        context.print_json([_as_json(each) for each in known])
    elif not known:
        click.echo("no hook was told anything yet; `reconciler hooks test` tries what is configured")
    else:
        context.console.print(_table(known))


@hooks.command(short_help="Tell every hook a sample, and show what came of it.")
@root_options
def test(context: Context) -> None:
    """Tell every configured hook a sample, and show what came of it: exit status and output, or what a server answered.

    The sample is an album of nobody in an empty folder, which is there as long as the test runs. The program of
    on_completed is run with it, RECONCILER_EVENT being `test`; webhooks get a document of the type `test`. Nothing is
    tried again, and nothing is recorded. The exit code is 1 where one of them failed.

    \b
    Examples:
      reconciler hooks test --root ~/music
    """
    clock = SystemClock()
    found = hooks_of(context.settings().hooks, folder=context.root, environ=os.environ, clock=clock)
    if not found:
        raise BadConfigurationError(
            "no hook is configured", hint="set hooks.on_completed or hooks.webhooks in reconciler.yml"
        )
    with tempfile.TemporaryDirectory(prefix="reconciler-hooks-test-") as folder:
        told = asyncio.run(_tell(found, sample(Path(folder), now=clock.wall())))
    if context.as_json:
        context.print_json([_answer_as_json(hook, answer) for hook, answer in told])
    else:
        for hook, answer in told:
            _show(hook, answer)
    if not all(answer.delivered for _, answer in told):
        raise click.exceptions.Exit(1)


def sample(folder: Path, *, now: float) -> Delivery:
    """What a hook is told to try it."""
    made_up = JobId("00000000000000000000000000")
    ending = Ending(
        event="job.completed",
        job_id=made_up,
        job_type=JobType.MB_RELEASE,
        generation=1,
        node="",
        manifest="",
        artist="Test Artist",
        album="Test Album",
        release_mbid="00000000-0000-0000-0000-000000000000",
        path=str(folder),
        files=(),
        error_message="",
        ended_at=now,
    )
    delivery_id = make_ulid(unix_ms=int(now * 1000), entropy=os.urandom(ULID_ENTROPY_BYTES))
    body = body_of(ending, event=SAMPLE)
    return Delivery(delivery_id=delivery_id, hook="", event=SAMPLE, job_id=made_up, body=body, next_at=now)


async def _tell(found: Iterable[Hook], delivery: Delivery) -> list[tuple[Hook, Answer]]:
    return [(hook, await hook.tell(delivery)) for hook in found]


def _show(hook: Hook, answer: Answer) -> None:
    first, *rest = answer.result.splitlines() or [""]
    click.echo(f"{'ok' if answer.delivered else 'failed':<7} {hook.name}: {escape(first)}")
    for line in rest[-_LINES_MAX:]:
        click.echo(f"        {escape(line)}")


def _table(known: list[Delivery]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("STATE", "TRIES", "NEXT TRY OR END", "EVENT", "JOB", "HOOK", "LAST RESULT"):
        table.add_column(heading, justify="right" if heading == "TRIES" else "left")
    for each in known:
        table.add_row(
            each.state,
            str(each.tries),
            rfc3339(each.next_at),
            each.event,
            each.job_id,
            shown(each.hook, _RESULT_WIDTH),
            shown(each.result, _RESULT_WIDTH),
        )
    return table


def _as_json(known: Delivery) -> dict[str, object]:
    return {
        "delivery_id": known.delivery_id,
        "state": known.state,
        "tries": known.tries,
        "next_at" if known.state == "waiting" else "ended_at": rfc3339(known.next_at),
        "event": known.event,
        "job_id": known.job_id,
        "hook": known.hook,
        "result": known.result,
    }


def _answer_as_json(hook: Hook, answer: Answer) -> dict[str, object]:
    return {"hook": hook.name, "delivered": answer.delivered, "result": answer.result}
