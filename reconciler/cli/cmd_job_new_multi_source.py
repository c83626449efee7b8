"""`reconciler job new multi-source`: a manifest of files from a Metalink, or of one from its addresses and hashes.

Owns: the command. Never: asks a server, or reads XML (manifests.metalink); its options are in cli.multi_source_wish.
"""

import click

from reconciler.cli.context import Context, root_options
from reconciler.cli.multi_source_wish import FileWish, LinkedWish, multi_source_options
from reconciler.cli.new_multi_source import file_manifest, metalink_manifest
from reconciler.cli.new_written import target_option, write_new


@click.command("multi-source", short_help="Files with their sources: a Metalink, or addresses and a hash.")
@root_options
@multi_source_options
@target_option
def multi_source(context: Context, wish: LinkedWish | FileWish, *, target_dir: str) -> None:
    """Write a manifest for files that are known by their bytes, with the servers and peers that have them.

    With --metalink: the files that a Metalink 4 (RFC 5854) lists, each with its mirrors. Otherwise one file: its size,
    its --sha256 or --merkle-root, and where it is. No server is asked; whether one has the file shows when the job
    runs.

    \b
    Examples:
      reconciler job new multi-source --metalink concert.meta4 --location de
      curl -L https://example.org/concert.meta4 | reconciler job new multi-source --metalink -
      reconciler job new multi-source --url https://example.org/talk.flac --url https://example.net/talk.flac
          --size 28311552 --sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    """
    made = metalink_manifest(wish, target_dir) if isinstance(wish, LinkedWish) else file_manifest(wish, target_dir)
    write_new(context, made)
