"""`reconciler init`: make a root folder that is ready to use.

Owns: the folders and the three files that it starts with. Never: changes a file that is there.
"""

import json
from pathlib import Path

import click

from reconciler.cli.context import CONFIGURATION_NAME, Context, root_options
from reconciler.errors import DiskError
from reconciler.manifests.schema import load_schema

FOLDERS = ("jobs/active", "jobs/completed", "logs/sessions", "library", "schemas")

CONFIGURATION = """\
# Configuration of the reconciler. Everything here is optional; what is commented out shows the default.
# RECONCILER__MESH__OVERLAY__LISTEN=0.0.0.0:7443 in the environment overrides mesh.overlay.listen, and so on.

# library:
#   roots: [/music]                # absolute; a target_dir lies below one of them (default: library/ in this folder)
#   naming: "{albumartist}/{album}/{disc-}{track:02} {title}"

# mesh:
#   overlay:
#     listen: "0.0.0.0:7443"       # serve what you published to other peers (default: do not listen)
#     peers: ["<peer id>@nas.example.org:7443"]
#     upload_kbps: 0               # kilobits per second over all peers; 0 = no cap
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
@root_options
def init(context: Context) -> None:
    """Make the folders that a daemon works in, a commented configuration and an example manifest.

    What is there already is left as it is; running it again does no harm.

    \b
    Example:
      reconciler init --root ~/music
    """
    made = make_root(context.root)
    if context.as_json:
        context.print_json({"root": str(context.root), "made": made})
        return
    for each in made:
        click.echo(f"made {each}")
    click.echo(f"{context.root} is ready. Next:")
    click.echo(f"  put a manifest into {context.root / 'jobs' / 'active'} (jobs/example.yml shows one)")
    click.echo(f"  reconciler run --root {context.root}")


def make_root(root: Path) -> list[str]:
    """Make what is missing of a root folder; gives what was made, relative to it."""
    made: list[str] = []
    try:
        for folder in FOLDERS:
            if not (root / folder).is_dir():
                (root / folder).mkdir(parents=True)
                made.append(f"{folder}/")
        schema = json.dumps(load_schema("job-manifest"), indent=2, ensure_ascii=False) + "\n"
        for name, text in (
            (CONFIGURATION_NAME, CONFIGURATION),
            ("jobs/example.yml", EXAMPLE),
            ("schemas/job-manifest.schema.json", schema),
        ):
            if _write_new(root / name, text):
                made.append(name)
    except OSError as error:
        raise DiskError(
            f"{error.filename}: {error.strerror}", hint="choose another --root, or mend its permissions"
        ) from error
    return made


def _write_new(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
