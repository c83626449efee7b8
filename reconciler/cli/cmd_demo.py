"""`reconciler demo`: the whole of it in half a minute, without a network.

Owns: the order of the show and what it says. Never: a step that the real thing does not have.
"""

import asyncio
import hashlib
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from loguru import logger

from reconciler.cli.context import settings_in
from reconciler.cli.demo_scene import DemoPeer, Scene, make_scene, running_peers
from reconciler.cli.live import watching
from reconciler.cli.render import megabytes
from reconciler.cli.render_trace import format_summary
from reconciler.daemon import Daemon, Places, opened
from reconciler.errors import ExitCode, InvalidInputError, ReconcilerError
from reconciler.reconcile.finalise import RunResult
from reconciler.reconcile.job_view import JobView, views_of
from reconciler.state.database import Database
from reconciler.traces.reading import TraceReader
from reconciler.traces.summary import SwarmSessionSummary

_CALLED = {"fast": "the fast one", "slow": "the slow one", "liar": "the liar"}

NEXT = """\
What to try next:
  reconciler init --root ~/music       make a root folder of your own
  reconciler validate jobs/active      check manifests, in an editor, a git hook or CI
  reconciler run --root ~/music        start the daemon; edit, add and remove manifests while it runs
"""


@click.command(short_help="See it work: three peers on this machine, one lies; no network.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Make everything below DIR (new or empty) and leave it there to look at.",
)
def demo(*, keep: Path | None) -> None:
    """Fetch a small album from three peers on this machine, one of which lies. No network, under 30 seconds.

    Makes three FLAC files, starts three overlay peers as processes of their own on loopback (a fast one, a slow one,
    and one that sends wrong bytes), writes a manifest into a fresh root folder, runs the daemon until the manifest is
    done, then compares what was published with the originals.

    \b
    Examples:
      reconciler demo
      reconciler demo --keep /tmp/demo
    """
    with _folder(keep) as folder:
        _say("Making a small album: three FLAC files with tags, synthesised just now.")
        scene = make_scene(folder)
        with running_peers(scene) as peers:
            _say("Three peers are up, each a process of its own on 127.0.0.1:")
            for peer in peers:
                click.echo(f"    {peer.role:<5} {peer.peer[:12]}…  port {peer.port}")
            _say(f"The wish, {scene.manifest.relative_to(scene.folder)}:")
            click.echo(_indented(scene.manifest.read_text(encoding="utf-8")))
            _say("Running the daemon until it is done.")
            result = _run(scene)
        good = _show(scene, peers, result)
        if keep is not None:
            _say(f"Everything is in {folder}:")
            click.echo(f"    reconciler status --root {scene.root} --state {scene.state}")
        _say(NEXT)
    if not good:
        raise click.exceptions.Exit(ExitCode.FAILURE)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="reconciler-demo-") as folder:
            yield Path(folder)
        return
    if keep.exists() and any(keep.iterdir()):
        raise InvalidInputError(f"{keep} is not empty", hint="name a new folder; the demo never writes over anything")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.absolute()


def _run(scene: Scene) -> RunResult:
    settings = settings_in(scene.root)
    with opened(Places(root=scene.root, state=scene.state), settings) as daemon:
        return asyncio.run(_watched(daemon))


async def _watched(daemon: Daemon) -> RunResult:
    if not sys.stderr.isatty():
        return await daemon.run(once=True)
    logger.disable("reconciler")  # the picture says it all
    try:
        async with watching(daemon):
            return await daemon.run(once=True)
    finally:
        logger.enable("reconciler")


def _show(scene: Scene, peers: tuple[DemoPeer, ...], result: RunResult) -> bool:
    """Show what came out, and judge it: True when everything is as promised."""
    view, summary = _outcome(scene)
    _say("What was published, compared with the originals:")
    same = _compare(scene, view)
    _say(f"The manifest moved to {view.record.path}; only the job_id and this block were added:")
    manifest = (scene.root / view.record.path).read_text(encoding="utf-8")
    click.echo(_indented(manifest[manifest.index("\nstatus:") + 1 :]))
    _say(f"The trace (logs/sessions/{view.record.job_id}.log has every event):")
    click.echo(_indented(_with_roles(format_summary(summary), peers)))
    liar = next(peer for peer in peers if peer.role == "liar")
    named = [each for each in summary.peers if each.name == liar.peer]
    caught = bool(named) and named[0].banned and not named[0].bytes_contributed
    if caught:
        _say(f"The liar {liar.peer[:12]}… was caught at its first wrong chunk and banned; none of its bytes were used.")
    else:
        _say("The liar was not caught: that is a mistake in this program, please report it.")
    return same and caught and result.exit_code is ExitCode.OK


def _outcome(scene: Scene) -> tuple[JobView, SwarmSessionSummary]:
    database = Database.open_read_only(scene.state / "reconciler.db")
    try:
        views = views_of(database, scene.root)
        if not views:
            raise ReconcilerError("the daemon did not take the demo's manifest", hint="please report this")
        return views[0], TraceReader(database).summary(views[0].record.job_id)
    finally:
        database.close()


def _compare(scene: Scene, view: JobView) -> bool:
    found = {artifact.position: artifact for artifact in view.artifacts}
    good = True
    for position, original in scene.originals.items():
        artifact = found.get(position)  # type: ignore[call-overload]
        if artifact is None:
            click.echo(f"    track {position}: missing")
            good = False
            continue
        path = Path(artifact.path)
        same = hashlib.sha256(path.read_bytes()).hexdigest() == original
        verdict = "the same bytes" if same else "DIFFERENT BYTES"
        click.echo(f"    {verdict}  {megabytes(artifact.size):>7}  {path.relative_to(scene.root)}")
        good = good and same
    return good


def _with_roles(text: str, peers: tuple[DemoPeer, ...]) -> str:
    """Put the demo's names behind the peer ids."""
    for peer in peers:
        text = re.sub(re.escape(peer.peer), f"{peer.peer[:12]}… {_CALLED[peer.role]}", text)
    return text


def _say(text: str) -> None:
    click.echo(f"\n{text}")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.rstrip("\n").split("\n"))
