"""`reconciler git-filter`: what git starts to keep `status:` out of commits.

Owns: what the filter does to a file. Never: the protocol (cli.filter_protocol), or setting it up (cli.cmd_init).
"""

import sys

import click

from reconciler.cli.filter_protocol import serve
from reconciler.manifests.read import MANIFEST_BYTES_MAX
from reconciler.manifests.splice import SpliceRefusedError, without_status


@click.command(short_help="Hide status blocks from git; started by git, see init --git-filter.")
def git_filter() -> None:
    """Speak git's long-running filter protocol on standard input and output.

    What git stores of a manifest has no `status:` block; what it writes into the folder is what it stored. So
    `git status` and `git diff` show what you changed, and nothing that the daemon did. Git starts this by itself once
    `reconciler init --git --git-filter` has set it up for a clone.

    \b
    Example:
      git config filter.reconciler-status.process "reconciler git-filter"
    """
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer, changes=CHANGES, content_bytes_max=MANIFEST_BYTES_MAX)
    except BrokenPipeError:
        raise SystemExit(0) from None  # git ended first: nobody is there to tell


def as_it_is(data: bytes) -> bytes:
    """What git stored."""
    return data


def hide_status(data: bytes) -> bytes:
    """The file as a person wrote it; one whose block cannot be told apart exactly stays as it is."""
    try:
        hidden = without_status(data)
    except SpliceRefusedError:
        return data
    # A file without a last line end got one before its block, and the block none behind it.
    if not data.endswith(b"\n") and hidden.endswith(b"\n"):
        return hidden.removesuffix(b"\n").removesuffix(b"\r")
    return hidden


CHANGES = {"clean": hide_status, "smudge": as_it_is}
