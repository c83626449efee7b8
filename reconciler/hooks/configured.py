"""The hooks that a configuration asks for.

Owns: that one translation. Never: tells them anything (hooks.courier).
"""

from collections.abc import Mapping
from pathlib import Path

from reconciler.clock import Clock
from reconciler.config import HookSettings
from reconciler.hooks.command import CommandHook
from reconciler.hooks.model import Hook
from reconciler.hooks.webhook import WebhookHook


def hooks_of(settings: HookSettings, *, folder: Path, environ: Mapping[str, str], clock: Clock) -> tuple[Hook, ...]:
    """Make each hook of the settings; programs run in `folder`. The same address twice is one hook.

    Raises BadConfigurationError where the secret of a webhook cannot be read.
    """
    command = [CommandHook(settings, folder=folder, environ=environ)] if settings.on_completed else []
    webhooks = {hook.name: hook for hook in (WebhookHook(each, clock=clock) for each in settings.webhooks)}
    return (*command, *webhooks.values())
