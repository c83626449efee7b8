"""The hooks that a configuration asks for.

Owns: that one translation. Never: tells them anything (hooks.courier).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from reconciler.clock import Clock
from reconciler.config import HookSettings, WebhookSettings
from reconciler.errors import BadConfigurationError
from reconciler.hooks.command import CommandHook
from reconciler.hooks.model import Hook
from reconciler.hooks.webhook import WebhookHook


def hooks_of(settings: HookSettings, *, folder: Path, environ: Mapping[str, str], clock: Clock) -> tuple[Hook, ...]:
    """Make each hook of the settings; programs run in `folder`. An address that stands there twice is one hook, which
    is told of what either asks for.

    Raises BadConfigurationError where the secret of a webhook cannot be read, or one address has two.
    """
    command = [CommandHook(settings, folder=folder, environ=environ)] if settings.on_completed else []
    by_url: dict[str, WebhookSettings] = {}
    for each in settings.webhooks:
        before = by_url.setdefault(each.url, each)
        if before.secret_file != each.secret_file:
            raise BadConfigurationError(
                "hooks.webhooks has one address twice, with different secrets", hint="give both the same secret_file"
            )
        by_url[each.url] = replace(before, events=tuple(dict.fromkeys((*before.events, *each.events))))
    return (*command, *(WebhookHook(each, clock=clock) for each in by_url.values()))
