"""`reconciler init`: make a root folder that is ready to use.

Owns: the folders and the three files that it starts with. Never: changes a file that is there.
"""

import json

import click

from reconciler.cli.context import CONFIGURATION_NAME, Context, root_options
from reconciler.cli.init_git import add_git
from reconciler.cli.init_syncthing import add_syncthing
from reconciler.cli.new_files import NewFiles
from reconciler.manifests.forms import load_schema

FOLDERS = ("jobs/active", "jobs/completed", "logs/sessions", "library", "schemas")

CONFIGURATION = """\
# Configuration of the reconciler. Everything here is optional; what is commented out shows the default.
# RECONCILER__MESH__OVERLAY__LISTEN=0.0.0.0:7443 in the environment overrides mesh.overlay.listen, and so on.

# library:
#   roots: [/music]                # absolute; a target_dir lies below one of them (default: library/ in this folder);
#                                  # {path: /portable, publish: track, share: false} is one with rules of its own
#   naming: "{albumartist}/{album}/{disc-}{track:02} {title}"

# mesh:
#   overlay:
#     listen: "0.0.0.0:7443"       # serve what you published to other peers (default: do not listen)
#     peers: ["<peer id>@nas.example.org:7443"]
#     upload_kbps: 0               # kilobits per second over all peers; 0 = no cap

# transfers:
#   bandwidth_kbps: 0              # kilobits per second that all jobs together receive; 0 = no cap
# musicbrainz:
#   url: https://musicbrainz.org/ws/2   # or a mirror's
#   contact: me@example.org        # MusicBrainz asks for an address of whoever runs a client

# api:
#   listen: "127.0.0.1:5031"       # HTTP for this machine; what changes something needs the token in the state folder

# status:
#   mode: in_file                  # or sidecar (jobs/status/<job_id>.<node>.yml, with progress), both, none
#   interval_seconds: 15           # at most one status write into a manifest in this time; the end of a job at once
"""

EXAMPLE = """\
# yaml-language-server: $schema=../schemas/job-manifest.schema.json
#
# A wish: copy this file to jobs/active/, change what you like, save. The daemon adds a job_id, fetches the tracks,
# writes a status: block below, and moves the file to jobs/completed/ when every track is on disk and verified.
# Check it first with: reconciler validate jobs/example.yml
manifest_version: "1.0"
job_type: mb_release
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  title: Loveless
  artist: My Bloody Valentine
  target_dir: library
  tracks:
    - position: 1
      title: Only Shallow
      mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc
      duration_ms: 257000
"""


@click.command(short_help="Make a root folder that is ready to use.")
@click.option("--git", is_flag=True, help="Ready it for git, too: ignore and attributes files, a pre-commit hook.")
@click.option("--git-filter", is_flag=True, help="Have git leave status blocks out of commits (with --git; per clone).")
@click.option("--syncthing", is_flag=True, help="Ready it for Syncthing, too: its ignore files.")
@root_options
def init(context: Context, *, git: bool, git_filter: bool, syncthing: bool) -> None:
    """Make the folders that a daemon works in, a commented configuration and an example manifest.

    What is there already is left as it is, and you are told what to add to it by hand; running it again does no harm.

    \b
    Examples:
      reconciler init --root ~/music
      reconciler init --root ~/music --git --syncthing
    """
    new = NewFiles(below=context.root)
    make_root(new)
    if git or git_filter:
        add_git(new, with_filter=git_filter)
    if syncthing:
        add_syncthing(new)
    if context.as_json:
        context.print_json({"root": str(context.root), "made": new.made, "notes": new.notes})
        return
    for each in new.made:
        click.echo(f"made {each}")
    for note in new.notes:
        click.echo(f"to do: {note}")
    click.echo(f"{context.root} is ready. Next:")
    click.echo(f"  put a manifest into {context.root / 'jobs' / 'active'} (jobs/example.yml shows one)")
    click.echo(f"  reconciler run --root {context.root}")


def make_root(new: NewFiles) -> None:
    """Make what is missing of a root folder; raises DiskError."""
    for folder in FOLDERS:
        new.folder(folder)
    schema = json.dumps(load_schema("job-manifest"), indent=2, ensure_ascii=False) + "\n"
    for name, text in (
        (CONFIGURATION_NAME, CONFIGURATION),
        ("jobs/example.yml", EXAMPLE),
        ("schemas/job-manifest.schema.json", schema),
    ):
        new.file(new.below / name, text)
