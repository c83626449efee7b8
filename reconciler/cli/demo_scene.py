"""What the demo plays with: a small album, three peers that offer it, and a root folder that wants it.

Owns: making these in one folder, and the peers' processes. Never: runs the daemon (cli.cmd_demo).
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.cli.cmd_init import make_root
from reconciler.cli.new_files import NewFiles
from reconciler.errors import ReconcilerError
from reconciler.ids import Mbid, PeerId, Sha256
from reconciler.library import audio
from reconciler.library.index import Holding, LibraryIndex
from reconciler.library.synthesis import SynthesisedTrack, make_album
from reconciler.overlay.filehash import FileHashes, hash_file
from reconciler.overlay.merkle import chunk_size
from reconciler.state.database import Database

TRACKS = 3
TRACK_SECONDS = 18.0
SEED = 1991

# 1 MB/s and 0.4 MB/s: together some four seconds for the album, long enough to watch, and both give a visible share.
FAST_KBPS = 8_000
SLOW_KBPS = 3_200
LIAR_KBPS = 8_000

MANIFEST = """\
# yaml-language-server: $schema=../../schemas/job-manifest.schema.json
# The demo's wish. Everything you write here stays as it is, comments and odd   spacing included;
# the daemon adds a job_id and the status block below.
manifest_version: "1.0"
job_type: mb_release
labels: {{shelf: demo}}
spec:
  mb_release_id: 5b11f4ce-a62d-471e-81fc-a69a8278c7da
  title:  {album}       # two spaces, kept
  artist: {artist}
  target_dir: library
  tracks:
{tracks}
  constraints:
    preferred_codecs: [FLAC]
    allow_lossy: false
"""

TRACK = "    - {{position: {position}, title: {title}, mb_recording_id: {recording}, duration_ms: {duration_ms}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPeer:
    """One peer of the demo, running."""

    role: str
    """`fast`, `slow`, `liar`."""
    peer: PeerId
    port: int
    process: "subprocess.Popen[str]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The demo's folders and what should come out of them."""

    folder: Path
    album: tuple[SynthesisedTrack, ...]
    originals: dict[int, Sha256]
    """SHA-256 of each original, by position."""

    @property
    def root(self) -> Path:
        """The root folder of the daemon."""
        return self.folder / "root"

    @property
    def state(self) -> Path:
        """The state folder of the daemon."""
        return self.folder / "state"

    @property
    def manifest(self) -> Path:
        """The wish."""
        return self.root / "jobs" / "active" / "demo.yml"


def make_scene(folder: Path) -> Scene:
    """Make album, peers' shelves and root folder below `folder`."""
    album = make_album(folder / "originals", tracks=TRACKS, seconds=TRACK_SECONDS, seed=SEED)
    hashes = {track.position: _hashes(track.path) for track in album}
    for role, lies in (("fast", False), ("slow", False), ("liar", True)):
        _stock_peer(folder / role, album, hashes, lies=lies)
    scene = Scene(folder=folder, album=album, originals={n: each.sha256 for n, each in hashes.items()})
    make_root(NewFiles(below=scene.root))
    lines = [
        TRACK.format(position=t.position, title=t.title, recording=t.recording, duration_ms=t.duration_ms)
        for t in album
    ]
    text = MANIFEST.format(album=album[0].album, artist=album[0].artist, tracks="\n".join(lines))
    scene.manifest.write_text(text, encoding="utf-8")
    return scene


@contextlib.contextmanager
def running_peers(scene: Scene) -> Iterator[tuple[DemoPeer, ...]]:
    """Start the three peers, write their addresses into the configuration, end them with the block."""
    with contextlib.ExitStack() as stack:
        peers = tuple(
            stack.enter_context(_running_peer(scene.folder / role, role, kbps))
            for role, kbps in (("fast", FAST_KBPS), ("slow", SLOW_KBPS), ("liar", LIAR_KBPS))
        )
        addresses = "".join(f'      - "{peer.peer}@127.0.0.1:{peer.port}"   # {peer.role}\n' for peer in peers)
        configuration = f"mesh:\n  overlay:\n    peers:\n{addresses}"
        (scene.root / "reconciler.yml").write_text(configuration, encoding="utf-8")
        yield peers


@contextlib.contextmanager
def _running_peer(folder: Path, role: str, upload_kbps: int) -> Iterator[DemoPeer]:
    command = [sys.executable, "-m", "reconciler.cli.demo_peer", str(folder / "state"), str(upload_kbps)]
    log = (folder / "log.txt").open("w", encoding="utf-8")
    pipe = subprocess.PIPE
    with log, subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True) as process:  # noqa: S603 - our own interpreter
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise ReconcilerError(
                    f"the demo's {role} peer did not start",
                    hint=(folder / "log.txt").read_text(encoding="utf-8")[-500:],
                )
            told = json.loads(line)
            yield DemoPeer(role=role, peer=PeerId(told["peer"]), port=told["port"], process=process)
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.terminate()


def _stock_peer(
    folder: Path, album: tuple[SynthesisedTrack, ...], hashes: dict[int, FileHashes], *, lies: bool
) -> None:
    """Put the album on a peer's shelf; a liar's index says the same of files that are not the same."""
    shelf = folder / "shelf"
    shelf.mkdir(parents=True)
    database = Database.open(folder / "state" / "reconciler.db")
    try:
        index = LibraryIndex(database)
        for track in album:
            data = track.path.read_bytes()
            path = shelf / track.path.name
            path.write_bytes(_falsified(data) if lies else data)
            index.add(_holding(track, path, hashes[track.position]))
    finally:
        database.close()


def _falsified(data: bytes) -> bytes:
    """The same length, with one bit turned in every chunk but the last."""
    wrong = bytearray(data)
    step = chunk_size(len(data))
    for at in range(step // 2, len(data) - step, step):
        wrong[at] ^= 1
    return bytes(wrong)


def _holding(track: SynthesisedTrack, path: Path, hashes: FileHashes) -> Holding:
    facts = audio.probe(track.path)
    found = path.stat()
    return Holding(
        root=hashes.root,
        size=found.st_size,
        recording=Mbid(track.recording),
        path=str(path),
        codec=facts.codec,
        container=facts.container,
        lossless=facts.lossless,
        bitrate_bps=facts.bitrate_bps,
        duration_ms=facts.duration_ms,
        sha256=hashes.sha256,
        device=found.st_dev,
        inode=found.st_ino,
        mtime_ns=found.st_mtime_ns,
        chunk_hashes=b"".join(hashes.chunk_hashes),
        added_at=found.st_mtime,
    )


def _hashes(path: Path) -> FileHashes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return hash_file(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)
