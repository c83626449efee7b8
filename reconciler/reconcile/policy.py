"""From the configuration to the rules by which jobs are judged.

Owns: that one translation. Never: a default of its own; they stand in config and library.naming.
"""

from pathlib import PurePosixPath

from reconciler.config import Settings
from reconciler.library.naming import DEFAULT_TEMPLATE, check_template
from reconciler.reconcile.observed import Policy
from reconciler.reconcile.orders import Places, RootRules
from reconciler.reconcile.ownership import Node


def policy_of(settings: Settings, *, root: PurePosixPath, hostname: str) -> Policy:
    """Take the rules from `settings` for the root folder `root` (absolute) on the machine `hostname`.

    Raises InvalidInputError where a naming template cannot name the tracks of a release.
    """
    naming = settings.library.naming or DEFAULT_TEMPLATE
    check_template(naming)
    rules: dict[PurePosixPath, RootRules] = {}
    for own in settings.library.root_rules:
        rules[root / own.path] = RootRules(naming=own.naming or naming, publish=own.publish or settings.library.publish)
        check_template(rules[root / own.path].naming)
    roots = tuple(root / folder for folder in settings.library.roots) or (root / "library",)
    return Policy(
        places=Places(
            root=root,
            library_roots=roots,
            naming=naming,
            publish=settings.library.publish,
            root_rules=rules,
            soulseek=settings.soulseek.enabled,
            write_tags=settings.library.write_tags,
            cover_art=settings.library.cover_art,
        ),
        node=Node(name=settings.node.name or hostname, labels=settings.node.labels),
        retry_interval_s=settings.retry.interval_s,
        retry_interval_s_max=settings.retry.max_interval_s,
        retry_limit=settings.retry.limit,
        status_mode=settings.status.mode,
        status_interval_s=settings.status.interval_s,
        rescan_s=settings.watch.rescan_s,
        poll_s=settings.watch.poll_s,
        musicbrainz=settings.musicbrainz,
    )
