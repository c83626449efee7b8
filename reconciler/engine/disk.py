"""What one job does to our own disk: open parts, verify wholes, publish, record.

Owns: the order of those steps, so that a crash between any two loses nothing and repeats nothing. Never: decides when
they are due.

    re-read and verify -> tag a copy, where asked for (engine.outgoing) -> fsync -> rename without replacing
    -> fsync the folders -> index -> the fact `completed`, once

An album goes that way as a whole: every file is put aside and synced, then one rename shows them all (library.album).

A crash after the rename and before the fact leaves a file under its name without a record: `open` finds it there with
the right content the next time and records it as adopted. Every method blocks and is called in a thread, one at a time
for each track.
"""

import hashlib
import re
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from reconciler.clock import Clock
from reconciler.engine.chunk_pieces import fitting
from reconciler.engine.covers import FindCover, JobCover
from reconciler.engine.events import (
    DiscardPart,
    DiskRefused,
    Note,
    OpenPart,
    PartOpened,
    Publish,
    PublishAlbum,
    Published,
    VerifyWhole,
    WholeRefused,
    WholeVerified,
)
from reconciler.engine.hold import trouble_of
from reconciler.engine.inherit import take_over
from reconciler.engine.order import JobOrder, TrackOrder
from reconciler.engine.outgoing import Bytes, Outgoing, Recogniser, copy_of, outgoing, wrong_content
from reconciler.engine.partfile import PartName, PartStore
from reconciler.engine.pieces import wrong_pieces
from reconciler.engine.reread import differing
from reconciler.errors import DiskError, FileBusyError, UnsafePathError, disk_refusal
from reconciler.ids import ChunkIndex, JobId, Sha256, TrackPosition
from reconciler.library import audio, suspicion
from reconciler.library.album import Album, AlbumFile
from reconciler.library.index import Holding, LibraryIndex
from reconciler.library.publish import Placed, adopt_existing, place
from reconciler.overlay.filehash import hash_file
from reconciler.sources.base import Variant, Want
from reconciler.state.jobs import Artifact, JobStore
from reconciler.state.peers import PeerStore
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.rows import row_of

_HOW: dict[Literal["placed", "adopted", "renamed"], Literal["published", "adopted", "renamed"]] = {
    "placed": "published",
    "adopted": "adopted",
    "renamed": "renamed",
}


# What a step on the disk may end with; FileBusyError where somebody changes a file while it is hashed.
_REFUSALS = (DiskError, UnsafePathError, FileBusyError, OSError)

# Up to here a published file's SHA-256 is recorded with it, for people and other tools: a quarter of a second at most.
# A larger file is named by its root alone unless the manifest asks for the SHA-256: a gigabyte would cost a second of
# waiting.
WHOLE_SHA256_BYTES_MAX = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelves:
    """Where finished and unfinished files are kept and recorded: shared by all jobs."""

    parts: PartStore
    index: LibraryIndex
    jobs: JobStore
    peers: PeerStore
    """What is remembered of peers across jobs."""
    flush_traces: Callable[[JobId], None]
    """Makes everything reported of a job durable, so that a track's last event comes after its others."""
    clock: Clock
    condemn: Callable[[Variant, str], None] | None = None
    """Told of a variant that is not what it claimed to be, and why, so that its source never offers it again."""
    find_cover: FindCover | None = None
    """None = nobody is asked for covers."""


class JobDisk:
    """The disk work of one job. `stamp` turns a note into an event with an id and a time."""

    def __init__(self, order: JobOrder, shelves: Shelves, *, stamp: Callable[[Note], SwarmEvent]) -> None:
        self._order = order
        self._shelves = shelves
        self._stamp = stamp
        self._root = Path(order.allowed_root)
        self._tracks = {track.want.position: track for track in order.tracks}
        self._cover = JobCover(order.cover, shelves.find_cover)
        self._album = (
            None
            if order.album is None
            else Album(
                allowed_root=self._root, target_dir=Path(order.target_dir), folder=order.album, job_id=order.job_id
            )
        )

    def under(self, order: JobOrder) -> "JobDisk":
        """The same work under another order of the same job; what is being done goes on under the old one."""
        return JobDisk(order, self._shelves, stamp=self._stamp)

    def want_of(self, position: TrackPosition) -> Want | None:
        """What its order looks for at this position."""
        track = self._tracks.get(position)
        return None if track is None else track.want

    def open(self, command: OpenPart) -> PartOpened | Published | DiskRefused:
        """Adopt the file if it is published already, else make or resume its part."""
        track, variant = self._tracks[command.position], command.variant
        part = self._part(command.position, command.part_id)
        try:
            adopted = self._adopt(track, variant)
            if adopted is not None:
                return adopted
            if self._album is not None:
                self._album.reclaim(self._shelves.parts.path_of(part, self._root), _name(track, variant))
            taken = take_over(command.legacy, self._shelves.parts, part, allowed_root=self._root, variant=variant)
            if taken is not None:
                return PartOpened(position=command.position, part_id=command.part_id, kept=taken)
            self._shelves.parts.inherit(part, allowed_root=self._root, unless_at=self._positions_of(track))
            _, kept = self._shelves.parts.open(
                part,
                allowed_root=self._root,
                variant_id=command.part_id,
                size=variant.size,
            )
        except _REFUSALS as error:
            return refused(command.position, error)
        return PartOpened(position=command.position, part_id=command.part_id, kept=kept)

    def part_path(self, position: TrackPosition, part_id: str) -> str:
        """Where a part of a track lies."""
        return str(self._shelves.parts.path_of(self._part(position, part_id), self._root))

    def verify(
        self, command: VerifyWhole, *, read_again: Container[ChunkIndex] = frozenset()
    ) -> WholeVerified | WholeRefused | DiskRefused:
        """Read the whole part again from the disk, but for the chunks that whoever wrote them has `read_again` since:
        the bytes first, then whether it is the audio that it should be.
        """
        track, variant = self._tracks[command.position], command.variant
        wrong_whole = partial(WholeRefused, position=command.position, part_id=command.part_id)
        try:
            path = self._shelves.parts.path_of(self._part(command.position, command.part_id), self._root)
            sha256, found, fault, wrong = _read_whole(path, command, read_again)
            if fault == "content" and found and fitting(track.want, variant) is not None:
                return _wrong_piece(path, track, wrong_whole(fault=fault, message=wrong, found=found))
            if fault:
                return wrong_whole(fault=fault, message=wrong, found=found)
            refusal = self._wrong_audio(path, track, variant)
        except _REFUSALS as error:
            return refused(command.position, error, doing="could not read the part again: ")
        if refusal:
            return wrong_whole(fault="audio", message=refusal)
        return WholeVerified(position=command.position, part_id=command.part_id, sha256=sha256, found=found)

    def publish(self, command: Publish) -> Published | DiskRefused:
        """Give the part its name, index it, and record the fact."""
        try:
            leaving = self._leaving(command)
            placed = place(
                leaving.out.path,
                allowed_root=self._root,
                target_dir=Path(self._order.target_dir),
                name=leaving.name,
                same_content=leaving.is_it,
            )
            for cover in self._cover_files():
                place(
                    cover.part,
                    allowed_root=self._root,
                    target_dir=Path(self._order.target_dir),
                    name=cover.name,
                    same_content=cover.same_content,
                )
            return self._placed(leaving, placed)
        except _REFUSALS as error:
            self._drop_copies([command])
            return refused(command.position, error)

    def publish_album(self, command: PublishAlbum) -> tuple[Published | DiskRefused, ...]:
        """Give all of an album their names, then record each fact; what comes after a refusal is refused with it."""
        assert self._album is not None, "the order is for single tracks"
        answers: list[Published | DiskRefused] = []
        try:
            leaving = [self._leaving(file) for file in command.files]
            files = [AlbumFile(part=each.out.path, name=each.name, same_content=each.is_it) for each in leaving]
            # The cover comes last: it has no record of its own.
            places = self._album.place_all(files + self._cover_files())
            for each, placed in zip(leaving, places, strict=False):
                answers.append(self._placed(each, placed))
            for _ in places:
                pass
        except _REFUSALS as error:
            self._drop_copies(command.files[len(answers) :])
            answers += [refused(file.position, error) for file in command.files[len(answers) :]]
        return tuple(answers)

    def _leaving(self, command: Publish) -> "_Leaving":
        """Get ready what is published for a part."""
        track = self._tracks[command.position]
        part = self._shelves.parts.path_of(self._part(command.position, command.part_id), self._root)
        out = outgoing(part, command, track.tags, self._cover.embedded(), index=self._shelves.index)
        # After the copy is on record: it must be known as well.
        is_it = Recogniser(command.variant, command.root, self._shelves.index)
        return _Leaving(command=command, name=_name(track, command.variant), is_it=is_it, out=out)

    def _cover_files(self) -> list[AlbumFile]:
        """The picture that goes beside the tracks, if any; one that is there already stays, whatever it shows."""
        found = self._cover.beside()
        if found is None:
            return []
        cover, name = found
        part = self._cover_part()
        part.write_bytes(cover.data)
        return [AlbumFile(part=part, name=name, same_content=lambda _: True)]

    def _cover_part(self) -> Path:
        """Where the picture lies until it has its name."""
        return self._shelves.parts.folder_for(self._root) / f"{self._order.job_id}.cover"

    def _drop_copies(self, commands: Iterable[Publish]) -> None:
        """Make room again: copies are made anew."""
        for command in commands:
            part = self._shelves.parts.path_of(self._part(command.position, command.part_id), self._root)
            with suppress(OSError):
                copy_of(part).unlink(missing_ok=True)

    def _placed(self, leaving: "_Leaving", placed: Placed) -> Published:
        """Record a file that has its name."""
        command, out = leaving.command, leaving.out
        part = self._part(command.position, command.part_id)
        self._shelves.parts.discard_all(part, allowed_root=self._root)
        there = leaving.is_it.found if placed.how == "adopted" else None
        self._record(
            self._tracks[command.position],
            command.variant,
            placed,
            fetched=Bytes(
                size=command.variant.size,
                root=command.root,
                sha256=command.sha256,
                chunk_hashes=command.chunk_hashes,
            ),
            there=there or out.content,
            tags=out.tags if there is None else "",
        )
        return Published(
            position=command.position, generation=self._order.generation, path=placed.path, how=_HOW[placed.how]
        )

    def discard(self, command: DiscardPart) -> DiskRefused | None:
        """Throw a part away, or set it aside with the reason."""
        part = self._part(command.position, command.part_id)
        if command.condemned is not None and self._shelves.condemn is not None:
            self._shelves.condemn(command.condemned, command.reason)
        try:
            if command.quarantine:
                self._shelves.parts.set_aside(part, allowed_root=self._root, reason=command.reason)
            else:
                self._shelves.parts.discard(part, allowed_root=self._root)
        except _REFUSALS as error:
            return refused(command.position, error)
        return None

    def _wrong_audio(self, path: Path, track: TrackOrder, variant: Variant) -> str:
        """Why the file is not the audio it should be; empty = it is, or it is a file that is no audio by its name."""
        extension = _extension(track, variant)
        if track.extension is not None and extension not in audio.AUDIO_CONTAINERS:
            return ""
        tolerance_ms = self._order.constraints.duration_tolerance_ms
        return audio.check(path, container=extension, duration_ms=track.duration_ms, tolerance_ms=tolerance_ms).reason

    def _positions_of(self, track: TrackOrder) -> frozenset[TrackPosition]:
        """Where the very same thing is wanted, `track`'s own place among them: a part there is in use."""
        return frozenset(
            position
            for position, other in self._tracks.items()
            if replace(other.want, position=track.want.position) == track.want
        )

    def _part(self, position: TrackPosition, part_id: str) -> PartName:
        return PartName(job_id=self._order.job_id, position=position, part_id=part_id)

    def _adopt(self, track: TrackOrder, variant: Variant) -> Published | None:
        """Record the file that stands under the track's name, where its content is the variant's."""
        is_it = Recogniser(variant, variant.root, self._shelves.index)
        placed = adopt_existing(
            allowed_root=self._root,
            target_dir=Path(self._order.target_dir),
            name=_name(track, variant),
            same_content=is_it,
        )
        if placed is None or is_it.found is None:
            return None
        part = self._part(track.want.position, variant.id)
        # Before the record: what is recorded is not looked at again, and a journal left over would stay for ever.
        self._shelves.parts.discard_all(part, allowed_root=self._root)
        self._cover_part().unlink(missing_ok=True)
        self._record(track, variant, placed, fetched=is_it.fetched(), there=is_it.found)
        return Published(
            position=track.want.position, generation=self._order.generation, path=placed.path, how="adopted"
        )

    def _record(
        self, track: TrackOrder, variant: Variant, placed: Placed, *, fetched: Bytes, there: Bytes, tags: str = ""
    ) -> None:
        """Index the file that is `there`, and record that the track is completed, once, together with its event."""
        now = self._shelves.clock.wall()
        holding = _holding(track, placed, there, now)
        self._shelves.index.add(holding)
        self._shelves.flush_traces(self._order.job_id)
        artifact = Artifact(
            job_id=self._order.job_id,
            generation=self._order.generation,
            position=track.want.position,
            path=placed.path,
            size=fetched.size,
            root=fetched.root,
            sha256=fetched.sha256 or Sha256(""),
            recording=track.want.recording,
            variant_id=variant.id,
            completed_at=now,
        )
        facts: dict[str, str | int | float | bool] = {
            "path": placed.path,
            "sha256": fetched.sha256 or "",
            "bytes": fetched.size,
        }
        note = Note(
            type=EventType.TRACK_COMPLETE,
            action=_HOW[placed.how],
            position=track.want.position,
            variant_id=variant.id,
            facts=facts
            | ({"tags": tags} if tags else {})
            | ({"cover": self._cover.note} if self._cover.note else {})
            | _warning(holding),
        )
        self._shelves.jobs.record_artifact(artifact, row_of(self._stamp(note)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaving:
    """A finished part, and what is published for it."""

    command: Publish
    name: str
    """Below the target folder."""
    is_it: Recogniser
    out: Outgoing


def refused(
    position: TrackPosition, error: DiskError | UnsafePathError | FileBusyError | OSError, *, doing: str = ""
) -> DiskRefused:
    """What the disk's refusal means to a track, and what to do about it."""
    if isinstance(error, OSError):
        kind, message = disk_refusal(error.errno), f"{doing}{error}"
        return DiskRefused(position=position, trouble=trouble_of(kind), message=message)
    message = f"{error.message}; {error.hint}" if error.hint else error.message
    return DiskRefused(position=position, trouble=trouble_of(type(error)), message=message)


def _read_whole(
    path: Path, command: VerifyWhole, read_again: Container[ChunkIndex]
) -> tuple[Sha256 | None, tuple[bytes, ...], Literal["", "content", "claim"], str]:
    """The file's SHA-256 where it was worth computing, what its chunks hash to where they were never verified, and what
    is wrong with its bytes; nothing = they are right.
    """
    variant = command.variant
    if command.digests is None:
        with path.open("rb") as part:
            hashes = hash_file(part.fileno(), variant.size)
        wrong = wrong_content(hashes, variant)
        return hashes.sha256, hashes.chunk_hashes, "content" if wrong else "", wrong
    chunk = differing(path, variant.size, command.digests, but=read_again)
    if chunk is not None:
        return None, (), "content", f"chunk {chunk} on disk is not what was verified"
    if variant.sha256 is None and variant.size > WHOLE_SHA256_BYTES_MAX:
        return None, (), "", ""
    with path.open("rb") as part:
        sha256 = Sha256(hashlib.file_digest(part, "sha256").hexdigest())
    if variant.sha256 is not None and variant.sha256 != sha256:
        return sha256, (), "claim", f"the file's SHA-256 is {sha256}, expected {variant.sha256}"
    return sha256, (), "", ""


def _wrong_piece(path: Path, track: TrackOrder, refused: WholeRefused) -> WholeRefused:
    """Where the whole is wrong, as its pieces tell."""
    assert track.want.pieces is not None
    assert track.want.size is not None
    wrong = wrong_pieces(path, track.want.size, track.want.pieces)
    if wrong:
        message = f"{refused.message} ({len(wrong)} of {len(track.want.pieces.sha256)} pieces are wrong)"
        return replace(refused, message=message, wrong=wrong)
    message = f"{refused.message}, though each piece is what the manifest says: one of the two is wrong in it"
    return replace(refused, fault="claim", message=message)


def _warning(holding: Holding) -> dict[str, str | int | float | bool]:
    """What is to be told of a published FLAC that looks as if made from a lossy file."""
    shelf = suspicion.suspect(Path(holding.path)) if holding.codec == "FLAC" else None
    return {} if shelf is None else {"suspicion": str(shelf), "cutoff_hz": round(shelf.cutoff_hz)}


def _holding(track: TrackOrder, placed: Placed, there: Bytes, now: float) -> Holding:
    """The index entry of a published file: what the file itself shows of its audio, never what a peer said of it."""
    path = Path(placed.path)
    found = path.stat(follow_symlinks=False)
    try:
        facts = audio.probe(path)
    except audio.NotAudioError:
        facts = None
    return Holding(
        root=there.root,
        size=there.size,
        recording=track.want.recording,
        path=placed.path,
        codec=facts.codec if facts else "",
        container=facts.container if facts else "",
        lossless=facts.lossless if facts else False,
        bitrate_bps=facts.bitrate_bps if facts else 0,
        duration_ms=facts.duration_ms if facts else 0,
        sha256=there.sha256 or Sha256(""),
        device=found.st_dev,
        inode=found.st_ino,
        mtime_ns=found.st_mtime_ns,
        chunk_hashes=b"".join(there.chunk_hashes),
        added_at=now,
    )


def _name(track: TrackOrder, variant: Variant) -> str:
    """The track's path below the target folder."""
    if track.extension is not None:
        return track.stem
    return f"{track.stem}.{_extension(track, variant)}"


def _extension(track: TrackOrder, variant: Variant) -> str:
    """The container by its usual extension; a peer says it, so only plain letters and digits are taken."""
    said = track.stem.rpartition(".")[2] if track.extension is not None else variant.container or variant.codec
    return said.lower() if re.fullmatch(r"[A-Za-z0-9]{1,5}", said) else "bin"
