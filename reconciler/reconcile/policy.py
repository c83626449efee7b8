"""From the configuration to the rules by which jobs are judged.

Owns: that one translation. Never: a default of its own; they stand in config and library.naming.
"""

from pathlib import PurePosixPath

from reconciler.config import Settings
from reconciler.library.naming import DEFAULT_TEMPLATE, check_template
from reconciler.reconcile.observed import Policy
from reconciler.reconcile.orders import Places


def policy_of(settings: Settings, *, root: PurePosixPath) -> Policy:
    """Take the rules from `settings` for the root folder `root` (absolute).

    Raises InvalidInputError where the naming template cannot name the tracks of a release.
    """
    naming = settings.library.naming or DEFAULT_TEMPLATE
    check_template(naming)
    roots = tuple(root / folder for folder in settings.library.roots) or (root / "library",)
    return Policy(
        places=Places(root=root, library_roots=roots, naming=naming),
        retry_interval_s=settings.retry.interval_s,
        retry_interval_s_max=settings.retry.max_interval_s,
        retry_limit=settings.retry.limit,
        status_interval_s=settings.status.interval_s,
    )
