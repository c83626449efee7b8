"""Configuration file and environment to settings, or all their problems at once.

Owns: how the two are joined, and how fields that the schema has accepted become settings. Never: opens the file, reads
the environment (both are arguments), or knows a default (reconciler.config).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.addresses import parse_host_port, parse_peer_address
from reconciler.config import (
    HOOK_EVENTS,
    ApiSettings,
    DiagnosticsSettings,
    GitSettings,
    HookSettings,
    LibrarySettings,
    MeshSettings,
    MusicBrainzSettings,
    NodeSettings,
    OverlaySettings,
    RescueSettings,
    RetrySettings,
    RootSettings,
    Settings,
    SoulseekSettings,
    StatusSettings,
    SwarmEventSettings,
    TransferSettings,
    WatchSettings,
    WebhookSettings,
)
from reconciler.manifests.document import NOWHERE, Mark, Path, Tree, in_order, pointer_of, problem_at
from reconciler.manifests.model import Problem
from reconciler.manifests.read import read_document
from reconciler.manifests.schema import coerce

ENVIRONMENT_PREFIX = "RECONCILER__"
ENVIRONMENT_LISTS = frozenset(
    {("library", "roots"), ("mesh", "overlay", "peers"), ("soulseek", "share"), ("api", "allowed_hosts")}
    | {("hooks", name) for name in ("on_completed", "pass_environment", "webhooks")}
)
"""Settings whose variable holds several values, with commas between."""


def read_configuration(data: bytes, environ: Mapping[str, str]) -> Settings | tuple[Problem, ...]:
    """Read a configuration with the environment laid over it; an empty file has every default.

    `RECONCILER__MESH__OVERLAY__LISTEN=...` is `mesh.overlay.listen`. A problem of a variable stands at line 0 and names
    it.
    """
    document = read_document(data)
    if isinstance(document, tuple):
        return document
    tree, misled = _with_environment(document.tree, environ)
    variables = _variables(environ)
    paths = {path: name for name, path in variables.items()}
    marks = {path: mark for path, mark in document.marks.items() if not _is_overridden(path, paths)}
    for path in paths:
        # What is above a variable's setting may stand in no file either.
        for length in range(1, len(path) + 1):
            marks.setdefault(path[:length], Mark(key=NOWHERE, value=NOWHERE))
    value, problems = coerce(replace(document, tree=tree, marks=marks), "configuration")
    if misled or problems or not isinstance(value, dict):
        pointers = {pointer_of(path): name for path, name in paths.items()}
        return in_order([*misled, *(_naming_its_variable(problem, pointers) for problem in problems)])
    return settings_of(value)


# ---- the environment -------------------------------------------------------------------------------------------------


def _variables(environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Which variables name a setting, and which one; in the order in which they are laid over."""
    names = sorted(name for name in environ if name.startswith(ENVIRONMENT_PREFIX))
    return {name: tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")) for name in names}


def _with_environment(tree: Tree, environ: Mapping[str, str]) -> tuple[Tree, list[Problem]]:
    """The tree with each variable's value in its place, and what is wrong with those that have none."""
    problems = []
    for name, path in _variables(environ).items():
        blocked = _in_the_way(tree, path)
        if blocked is None:
            tree = _laid_over(tree, path, _list_or_text(path, environ[name]))
        else:
            what = f"`{pointer_of(blocked)}`" if blocked else "the configuration"
            message = f"{name}: nothing can be set below {what}"
            problems.append(
                problem_at(NOWHERE, message, "make that a block of fields, or take the variable out", pointer_of(path))
            )
    return tree, problems


def _in_the_way(tree: Tree, path: Path) -> Path | None:
    """Where a text or a list stands above a setting; None = nowhere."""
    for length, step in enumerate(path):
        if tree is None:
            return None
        if not isinstance(tree, dict):
            return path[:length]
        tree = tree.get(str(step))
    return None


def _laid_over(tree: Tree, path: tuple[str, ...], value: Tree) -> Tree:
    if not path:
        return value
    below = tree if isinstance(tree, dict) else {}
    return {**below, path[0]: _laid_over(below.get(path[0]), path[1:], value)}


def _list_or_text(path: tuple[str, ...], text: str) -> Tree:
    if path not in ENVIRONMENT_LISTS:
        return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_overridden(path: Path, variables: Iterable[Path]) -> bool:
    return any(path[: len(variable)] == variable for variable in variables)


def _naming_its_variable(problem: Problem, names: Mapping[str, str]) -> Problem:
    """The problem of what stands in no line, with the variable of that setting, or of one below it."""
    if problem.line:
        return problem
    here = problem.pointer.partition("[")[0]
    of = (name for pointer, name in names.items() if f"{pointer}.".startswith(f"{here}.") or pointer == here)
    name = next(of, None)
    return problem if name is None else replace(problem, message=f"{name}: {problem.message}")


# ---- settings --------------------------------------------------------------------------------------------------------


def settings_of(document: Mapping[str, Any]) -> Settings:
    """Make settings of a configuration that the schema has accepted; what is left out has its default."""
    overlay = dict(document.get("mesh", {}).get("overlay", {}))
    transfers = dict(document.get("transfers", {}))
    rescue = transfers.pop("rescue_mode", {})
    listen = overlay.pop("listen", "")
    musicbrainz = dict(document.get("musicbrainz", {}))
    rate_per_s = musicbrainz.pop("rate_per_second", MusicBrainzSettings().rate_per_s)
    peers = tuple(parse_peer_address(text) for text in overlay.pop("peers", ()))
    return Settings(
        library=_library(document.get("library", {})),
        mesh=MeshSettings(
            overlay=OverlaySettings(listen=parse_host_port(listen) if listen else None, peers=peers, **overlay)
        ),
        transfers=TransferSettings(rescue_mode=RescueSettings(**_in_seconds(rescue)), **_in_seconds(transfers)),
        status=StatusSettings(**_in_seconds(document.get("status", {}))),
        retry=RetrySettings(**_in_seconds(document.get("retry", {}))),
        node=NodeSettings(**document.get("node", {})),
        watch=WatchSettings(**_in_seconds(document.get("watch", {}))),
        git=GitSettings(**_in_seconds(document.get("git", {}))),
        soulseek=_soulseek(document.get("soulseek", {})),
        musicbrainz=MusicBrainzSettings(rate_per_s=rate_per_s, **musicbrainz),
        hooks=_hooks(document.get("hooks", {})),
        diagnostics=DiagnosticsSettings(
            swarm_events=SwarmEventSettings(**document.get("diagnostics", {}).get("swarm_events", {}))
        ),
        api=_api(document.get("api", {})),
    )


def _api(section: Mapping[str, Any]) -> ApiSettings:
    typed = dict(section)
    if "listen" in typed:
        typed["listen"] = parse_host_port(typed["listen"])
    if "allowed_hosts" in typed:
        typed["allowed_hosts"] = tuple(name.lower() for name in typed["allowed_hosts"])
    return ApiSettings(**typed)


def _hooks(section: Mapping[str, Any]) -> HookSettings:
    typed = _in_seconds(section)
    for name in ("on_completed", "pass_environment"):
        typed[name] = tuple(typed.pop(name, ()))
    webhooks = [dict(each) for each in typed.pop("webhooks", ())]
    for each in webhooks:
        each["events"] = tuple(each.pop("events", HOOK_EVENTS))
    return HookSettings(webhooks=tuple(WebhookSettings(**each) for each in webhooks), **typed)


def _library(section: Mapping[str, Any]) -> LibrarySettings:
    entries = section.get("roots", ())
    return LibrarySettings(
        roots=tuple(entry if isinstance(entry, str) else entry["path"] for entry in entries),
        root_rules=tuple(RootSettings(**entry) for entry in entries if not isinstance(entry, str)),
        **{name: value for name, value in section.items() if name != "roots"},
    )


def _soulseek(section: Mapping[str, Any]) -> SoulseekSettings:
    typed = dict(section)
    if "server" in typed:
        typed["server"] = parse_host_port(typed["server"])
    if "share" in typed:
        typed["share"] = tuple(typed["share"])
    return SoulseekSettings(**typed)


def _in_seconds(section: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `interval_seconds` into `interval_s`: files speak in words, code in units."""
    return {name.removesuffix("econds") if name.endswith("_seconds") else name: x for name, x in section.items()}
