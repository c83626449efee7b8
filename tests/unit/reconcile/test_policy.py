"""From the configuration to the rules."""

from pathlib import PurePosixPath

import pytest

from reconciler.config import (
    LibrarySettings,
    NodeSettings,
    RetrySettings,
    RootSettings,
    Settings,
    SoulseekSettings,
    StatusSettings,
    WatchSettings,
)
from reconciler.errors import InvalidInputError
from reconciler.library.naming import DEFAULT_TEMPLATE
from reconciler.reconcile.orders import RootRules
from reconciler.reconcile.ownership import Node
from reconciler.reconcile.policy import policy_of

ROOT = PurePosixPath("/srv/music")


def test_the_library_is_below_the_root_where_nothing_is_said():
    """A fresh root needs no configuration."""
    policy = policy_of(Settings(), root=ROOT, hostname="attic")
    assert policy.places.library_roots == (PurePosixPath("/srv/music/library"),)
    assert (policy.places.naming, policy.places.publish) == (DEFAULT_TEMPLATE, "album")
    assert not policy.places.soulseek


def test_what_is_configured_is_taken():
    """Each setting arrives where it is used."""
    settings = Settings(
        library=LibrarySettings(roots=("/mnt/a", "/mnt/b"), naming="{artist}/{title}", publish="track"),
        retry=RetrySettings(interval_s=5.0, max_interval_s=50.0, limit=7),
        status=StatusSettings(interval_s=60.0),
        soulseek=SoulseekSettings(enabled=True),
    )
    policy = policy_of(settings, root=ROOT, hostname="attic")
    assert policy.places.library_roots == (PurePosixPath("/mnt/a"), PurePosixPath("/mnt/b"))
    assert (policy.places.naming, policy.places.publish) == ("{artist}/{title}", "track")
    assert policy.places.soulseek
    assert (policy.retry_interval_s, policy.retry_interval_s_max, policy.retry_limit) == (5.0, 50.0, 7)
    assert policy.status_interval_s == 60.0


def test_a_root_takes_from_the_library_what_it_does_not_say_itself():
    """Naming and publishing, each on its own."""
    rules = (RootSettings(path="/a", naming="{title}"), RootSettings(path="/b", publish="track"))
    library = LibrarySettings(roots=("/a", "/b", "/c"), root_rules=rules, naming="{album}/{title}", publish="album")
    policy = policy_of(Settings(library=library), root=ROOT, hostname="attic")
    assert policy.places.root_rules == {
        PurePosixPath("/a"): RootRules(naming="{title}", publish="album"),
        PurePosixPath("/b"): RootRules(naming="{album}/{title}", publish="track"),
    }
    wrong = LibrarySettings(roots=("/a",), root_rules=(RootSettings(path="/a", naming="song"),))
    with pytest.raises(InvalidInputError, match="same name"):
        policy_of(Settings(library=wrong), root=ROOT, hostname="attic")


def test_a_node_is_called_as_its_machine_where_nothing_is_said():
    """A name that is configured goes before."""
    assert policy_of(Settings(), root=ROOT, hostname="attic").node == Node(name="attic")
    settings = Settings(node=NodeSettings(name="cellar", labels={"disk": "large"}), watch=WatchSettings(poll_s=9.0))
    policy = policy_of(settings, root=ROOT, hostname="attic")
    assert policy.node == Node(name="cellar", labels={"disk": "large"})
    assert (policy.rescan_s, policy.poll_s) == (30.0, 9.0)


def test_a_template_that_names_all_tracks_alike_is_refused_at_the_start():
    """Not when the first album has been fetched."""
    with pytest.raises(InvalidInputError, match="same name"):
        policy_of(Settings(library=LibrarySettings(naming="{album}/song")), root=ROOT, hostname="attic")
