"""A MusicBrainz of its own, an overlay peer that holds what is listed there, and a root folder to fetch it into.

Owns: making these, with real audio files. Never: looks inside a running program.
"""

import json
from contextlib import contextmanager
from pathlib import Path

from e2e.rig import peer, run, stock
from musicbrainz_server import Catalogue, medium, release, serving_beside, track

from reconciler.library.synthesis import make_album
from reconciler.manifests.read import read_manifest

SECONDS = 4.0


class Shelf:
    """A root folder and what can be had."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.root, self.state, self.peer = folder / "root", folder / "state", folder / "peer"
        self.where = ("--root", self.root, "--state", self.state)
        self.catalogue = Catalogue()
        run("init", "--root", self.root, check=0)

    def holds(self, number, title, *, tracks=1, discs=1, held=True, **about):
        """List a release of so many tracks on each disc; a peer has them, if `held`."""
        album = make_album(self.folder / f"album {number}", tracks=tracks * discs, seconds=SECONDS, seed=number)
        media = []
        for disc in range(discs):
            listed = []
            for place, made in enumerate(album[disc * tracks : (disc + 1) * tracks], start=1):
                if held:
                    stock(self.peer, made.path, recording=made.recording)
                entry = track(place, f"Song {place} of {title}", 0, length=made.duration_ms)
                entry["recording"]["id"] = made.recording
                listed.append(entry)
            media.append(medium(disc + 1, *listed))
        made = release(number, title, *media, **about)
        self.catalogue.releases.append(made)
        return made["id"]

    def file(self, name):
        """A file that the peer holds and nothing lists; gives its size and root."""
        [made] = make_album(self.folder / name, tracks=1, seconds=SECONDS, seed=0)
        return made.path.stat().st_size, stock(self.peer, made.path).root

    def events(self, job_id):
        """The trace of a job."""
        return json.loads(run("job", "trace", job_id, "--events", "--json", *self.where, check=0).stdout)

    @contextmanager
    def open(self, *, rate_per_second=1, extra=""):
        """Serve all of it and configure the daemon for it."""
        with serving_beside(self.catalogue) as url, peer(self.peer) as address:
            (self.root / "reconciler.yml").write_text(
                f"mesh: {{overlay: {{peers: ['{address}']}}}}\n"
                f"musicbrainz: {{url: '{url}', rate_per_second: {rate_per_second}, contact: me@example.org}}\n{extra}"
            )
            yield

    def once(self, check=0):
        """Run a daemon until nothing more can be done now."""
        return run("run", "--once", *self.where, check=check)

    def write(self, name, text):
        """Write a manifest."""
        path = self.root / "jobs" / "active" / name
        path.write_text(f'manifest_version: "1.0"\n{text}')
        return path

    def library(self):
        """Every published file, relative to the library."""
        library = self.root / "library"
        return sorted(str(path.relative_to(library)) for path in library.rglob("*.flac"))

    def manifests(self, folder):
        """The manifests in `jobs/<folder>`, by job id."""
        found = [read_manifest(path.read_bytes()).manifest for path in (self.root / "jobs" / folder).glob("*.yml")]
        return {each.job_id: each for each in found}
