"""`reconciler job explain`: why a job is as it is, and what comes next.

Owns: gathering the explanation. Never: what it looks like (cli.explanation), or asks a daemon.
"""

from pathlib import Path

import click

from reconciler.cli.context import Context, state_options
from reconciler.cli.explanation import Explanation, Hold
from reconciler.cli.finishing import job_ids
from reconciler.cli.outlook import Outlook, looking_out
from reconciler.cli.render_outlook import Verdict, verdict_of
from reconciler.clock import rfc3339
from reconciler.manifests.model import JobState, Renamed
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.decide import GONE_GRACE_S
from reconciler.reconcile.foresee import Foreseen
from reconciler.reconcile.job_view import JobView, last_errors, shared_transfers, view_of
from reconciler.reconcile.observed import Gone, Valid
from reconciler.reconcile.orders import renamed_of
from reconciler.reconcile.ownership import why_not_ours
from reconciler.reconcile.steering import WANT_AGAIN

_LEFT = f"a job in jobs/completed is left alone; {WANT_AGAIN}"


@click.command(short_help="Say why a job is as it is, and what comes next.")
@click.argument("job_id", shell_complete=job_ids)
@state_options
def explain(context: Context, job_id: str) -> None:
    """Say what a daemon would do about a job now and why, what holds it, when it is tried again, what last went wrong.

    It goes by the manifest, the configuration and the state database; a daemon need not run.

    \b
    Example:
      reconciler job explain 01HRQ4
    """
    with context.database() as database, looking_out(context) as outlook:
        view = view_of(database, context.root, job_id)
        errors = tuple(last_errors(database, view.record.job_id))
        shared = [Hold(what=f"track {track}", why=why) for track, why in shared_transfers(database, view.record)]
        file = context.root / view.record.path
        foreseen = _ahead(outlook, file)
        explanation = Explanation(
            view=view,
            verdict=verdict_of(foreseen) if foreseen is not None else _without_file(outlook, view),
            foreseen=foreseen,
            holds=(*_holds(outlook, view, foreseen), *shared),
            errors=errors,
            renamed=_renamed(outlook, view),
            moment=outlook.moment(),
        )
    if context.as_json:
        context.print_json(explanation.as_json())
        return
    for line in explanation.lines():
        click.echo(line)


def _renamed(outlook: Outlook, view: JobView) -> tuple[Renamed, ...]:
    plan = outlook.planned(view.record, view.manifest) if view.manifest is not None else None
    return renamed_of(plan, view.artifacts) if plan is not None else ()


def _ahead(outlook: Outlook, file: Path) -> Foreseen | None:
    if file.parent != outlook.folders.active or not outlook.folders.active.is_dir():
        return None
    foreseen = outlook.ahead(file)
    return None if isinstance(foreseen.observed.file, Gone) else foreseen


def _without_file(outlook: Outlook, view: JobView) -> Verdict:
    """What becomes of a job whose manifest is not in `jobs/active`."""
    record = view.record
    if not outlook.folders.is_active(record.path):
        return Verdict(verb="leave alone", reason=record.state.capitalize(), message=_LEFT)
    found = outlook.gone(record.job_id)
    gone, many = found if found is not None else (None, False)
    if gone is not None and gone.completed_copy:
        return Verdict(verb="leave alone", reason=Reason.COMPLETED, message=f"{gone.completed_copy} has it")
    if gone is not None and gone.git_work:
        return Verdict(verb="hold", reason=Reason.MERGE_IN_PROGRESS, message=gone.git_work)
    if record.gone_at is not None:
        message = f"given up {rfc3339(record.gone_at)}; put {record.path} back to go on, what was fetched is kept"
        return Verdict(verb="leave alone", reason=Reason.MANIFEST_GONE, message=message)
    if many:
        message = f"{record.path} is gone together with most others; while that is so, nothing is stopped"
        return Verdict(verb="hold", reason=Reason.MASS_REMOVAL, message=message)
    message = f"{record.path} is not there; a daemon looks for it for {GONE_GRACE_S:g} s, then stops the job"
    return Verdict(verb="wait", reason=Reason.MANIFEST_GONE, message=message)


def _holds(outlook: Outlook, view: JobView, foreseen: Foreseen | None) -> list[Hold]:
    holds = [
        Hold(what=f"everything, since {rfc3339(h.since)}", why=f"{h.reason}: {h.message}") for h in outlook.holds()
    ]
    if foreseen is None or view.record.state in (JobState.COMPLETED, JobState.CANCELLED):
        return holds
    observed = foreseen.observed
    if observed.git_work:
        holds.append(Hold(what="git", why=observed.git_work))
    if not isinstance(observed.file, Valid):
        return holds
    directives = observed.file.manifest.directives
    if rest := directives.suspend:
        until = f"until {rest.until}" if rest.until else "until spec.suspend is taken out"
        holds.append(Hold(what="suspended", why=f"{rest.reason}; {until}" if rest.reason else until))
    if why := why_not_ours(directives.node, outlook.policy.node):
        holds.append(Hold(what="node", why=why))
    if observed.progress is not None and (held := observed.progress.held) is not None:
        holds.append(Hold(what=held.reason, why=f"{held.message}; it is looked at again by itself"))
    if observed.cycle:
        holds.append(Hold(what="depends on itself", why=" -> ".join(observed.cycle)))
    unmet = [need for need in observed.needs if need.state is not JobState.COMPLETED]
    holds += [Hold(what=f"depends on {need.job_id}", why=need.state or "not known here") for need in unmet]
    holds += [Hold(what="conflict copy", why=said) for said in observed.conflicts]
    return holds
