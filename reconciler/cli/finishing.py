"""What a shell may finish of a word that is being typed: the ids of jobs.

Owns: these proposals. Never: speaks: whatever is wrong, a person who presses Tab gets no proposal and no message.
"""

import os
from contextlib import closing
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from reconciler.errors import ReconcilerError
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.location import state_folder


def job_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """The jobs whose id begins with what is typed, each with its file, as the database of the root folder has them."""
    root = Path(ctx.params.get("root") or Path()).absolute()
    state = Path(ctx.params.get("state") or state_folder(root, os.environ))
    path = state / "reconciler.db"
    if not path.exists():
        return []
    try:
        with closing(Database.open_read_only(path)) as database:
            found = JobStore(database).find(incomplete)
    except (ReconcilerError, OSError):
        return []
    return [CompletionItem(record.job_id, help=record.path) for record in found]
