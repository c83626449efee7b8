"""Progress on a terminal while a daemon runs in this process.

Owns: the picture and its refresh. Never: runs off a terminal, or changes what is shown.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reconciler.cli.render import megabytes, rate, shown
from reconciler.daemon import Daemon
from reconciler.engine.order import JobProgress, PeerProgress, TrackProgress

# Ten pictures a second: smooth to the eye, and nothing beside the transfer itself.
REFRESH_S = 0.1
BAR_WIDTH = 28


@contextlib.asynccontextmanager
async def watching(daemon: Daemon) -> AsyncIterator[None]:
    """Show the progress of every running job on standard error while the block runs."""
    console = Console(stderr=True, highlight=False)
    with Live(console=console, auto_refresh=False, transient=False, redirect_stderr=True) as live:

        def draw() -> None:
            running = daemon.engine.running()
            if running:
                live.update(picture(running), refresh=True)

        async def keep_drawing() -> None:
            while True:
                draw()
                await asyncio.sleep(REFRESH_S)

        async with asyncio.TaskGroup() as tasks:
            drawing = tasks.create_task(keep_drawing())
            try:
                yield
            finally:
                drawing.cancel()


def picture(jobs: tuple[JobProgress, ...]) -> RenderableType:
    """Tracks with bars, then peers with what they gave, for each job."""
    parts: list[RenderableType] = []
    for job in jobs:
        parts.append(Text(f"job {job.job_id}", style="bold"))
        parts.append(_tracks(job.tracks))
        if job.peers:
            parts.append(_peers(job.peers))
    return Group(*parts)


def _tracks(tracks: tuple[TrackProgress, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    for track in tracks:
        bar = ProgressBar(total=max(track.bytes_total, 1), completed=track.bytes_done, width=BAR_WIDTH)
        sizes = f"{megabytes(track.bytes_done)} of {megabytes(track.bytes_total)}" if track.bytes_total else ""
        table.add_row(f"  {track.position:>2}", shown(track.title, 40), bar, _phase(track), sizes)
    return table


def _phase(track: TrackProgress) -> str:
    return track.shares or ("rescued by the overlay" if track.rescued else track.phase)


def _peers(peers: tuple[PeerProgress, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    for peer in peers:
        note = Text(rate(peer.throughput_bytes_per_s))
        if peer.banned:
            note = Text("banned: it lied", style="red")
        elif peer.in_line:
            note = Text("lets us wait" if peer.place is None else f"lets us wait, place {peer.place}", style="yellow")
        table.add_row("    ", f"{peer.source} {shown(peer.name, 24)}", megabytes(peer.bytes_received), note)
    return table
