"""`reconciler simulate`: the engine against swarms in virtual time, without a network.

Owns: which seeds are run and what is printed. Never: how a swarm behaves (simulation), or how it is shown
(cli.render_simulation).
"""

import json
import random
from pathlib import Path

import click

from reconciler.cli.context import terminal
from reconciler.cli.render_simulation import event_line, peer_table, run_as_json, run_lines, runs_lines
from reconciler.cli.simulation_page import page_of
from reconciler.cli.simulation_wish import wish_options
from reconciler.errors import DiskError, ExitCode, InvalidInputError
from reconciler.simulation.runs import Run, run_once
from reconciler.simulation.swarms import Wish

RUNS_MAX = 100_000


@click.command(short_help="Swarms in virtual time: how fast, how much waste, what faults cost. No network.")
@wish_options
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed gives the same run.")
@click.option(
    "--runs", type=click.IntRange(1, RUNS_MAX), default=1, show_default=True, help="Run this seed and those after it."
)
@click.option("--events", is_flag=True, help="Print every event of the run first, one line each.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw the run in FILE, one page."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text for people.")
def simulate(wish: Wish, *, seed: int, runs: int, events: bool, html: Path | None, as_json: bool) -> None:
    """Let the engine fetch from simulated peers in virtual time: hours pass in seconds, and no byte is moved.

    It is the machine that the daemon runs. After each event its promises are checked; one that is broken is told with
    the seed that replays it, and the exit code is 1. Efficiency is against a perfect downloader, which uses every
    byte per second of every peer from the moment it is found. One peer is always honest and has everything; the others
    may be given these faults: slow, stall, loss, reset, leaving, returning, lying, corruption, lying-list, no-list,
    partial, stream (it sends one stream, after a wait in its line); and two are not theirs: restart (of the daemon)
    and disk (ours is full or fails now and then).

    \b
    Examples:
      reconciler simulate --rates 8,4,2,1 --files 1 --size-mib 1024
      reconciler simulate --seed 17 --faults many --html run.html
      reconciler simulate --runs 200 --faults stall,leaving
    """
    if runs > 1 and (events or html):
        wrong = "--events" if events else "--html"
        raise InvalidInputError(f"{wrong} is for one run", hint="leave out --runs, and name the --seed of that run")
    done: list[tuple[int, Run]] = []
    for each in range(seed, seed + runs):
        run = run_once(random.Random(each), wish)  # noqa: S311 - a simulation, no secret
        done.append((each, run if runs == 1 else run.without_story()))
    if as_json:
        _print_json(done, events=events)
    elif runs > 1:
        for line in runs_lines(done):
            click.echo(line)
    else:
        _print_one(seed, done[0][1], events=events)
    if html is not None:
        _draw(html, seed, done[0][1])
    if any(run.broken for _, run in done):
        raise click.exceptions.Exit(ExitCode.FAILURE)


def _draw(path: Path, seed: int, run: Run) -> None:
    try:
        path.write_text(page_of(seed, run), encoding="utf-8")
    except OSError as error:
        raise DiskError(
            f"could not write {path}: {error.strerror}", hint="name a file in a folder that exists"
        ) from error


def _print_json(done: list[tuple[int, Run]], *, events: bool) -> None:
    found = [run_as_json(seed, run, events=events) for seed, run in done]
    click.echo(json.dumps(found[0] if len(found) == 1 else found, indent=2))


def _print_one(seed: int, run: Run, *, events: bool) -> None:
    if events:
        for at_s, note in run.result.notes:
            click.echo(event_line(at_s, note))
    for line in run_lines(seed, run):
        click.echo(line)
    terminal().print(peer_table(run.measures))
