"""Our own disk in a simulation: hashes of chunks instead of bytes.

Owns: the parts and the files of every job, and which step it refuses. Never: how long a step takes (simulation.world),
or whether it should have been asked for (simulation.promises).
"""

from collections.abc import Mapping

from reconciler.engine.events import (
    DiskRefused,
    DiskTrouble,
    OpenPart,
    PartOpened,
    Published,
    VerifyWhole,
    WholeRefused,
    WholeVerified,
)
from reconciler.engine.order import JobOrder
from reconciler.ids import ChunkIndex, JobId, Sha256, TrackPosition
from reconciler.simulation.content import chunk_list
from reconciler.simulation.dice import Dice

# A disk that refuses does so in every second step, until it has refused as often as it was told to.
DISK_WORKS = 0.5
DISK_TROUBLES: tuple[DiskTrouble, ...] = ("full", "failing", "lost")

Parts = dict[TrackPosition, dict[ChunkIndex, bytes]]
"""What is there of each file of a job."""


class Disk:
    """One disk for all jobs; `refusals` = how many steps it refuses."""

    def __init__(self, *, dice: Dice, refusals: int = 0) -> None:
        self._dice = dice
        self._refusals_left = refusals
        self._jobs: dict[JobId, Parts] = {}
        self._files: dict[str, dict[ChunkIndex, bytes]] = {}
        """What has a name, by path."""

    def parts_of(self, job_id: JobId) -> Parts:
        """What is there of a job."""
        return self._jobs.setdefault(job_id, {})

    def keep(self, job_id: JobId, kept: Mapping[TrackPosition, Mapping[ChunkIndex, bytes]]) -> None:
        """Have parts there before the job begins."""
        self.parts_of(job_id).update({position: dict(chunks) for position, chunks in kept.items()})

    def refused(self, job_id: JobId, position: TrackPosition) -> DiskRefused | None:
        """What it answers to a step instead, by chance; a part that it loses is empty the next time."""
        if not self._refusals_left or self._dice.random() < DISK_WORKS:
            return None
        self._refusals_left -= 1
        trouble = self._dice.choice(DISK_TROUBLES)
        if trouble == "lost":
            self.parts_of(job_id)[position] = {}
        return DiskRefused(position=position, trouble=trouble, message=f"the disk is {trouble}")

    def open(self, order: JobOrder, command: OpenPart) -> PartOpened | Published:
        """Make or resume a part, or find the file published."""
        position = command.position
        if _path_of(order, position) in self._files:
            return _published(order, position, is_new=False)
        self._inherit(order.job_id, command)
        on_disk = sorted(self.parts_of(order.job_id)[position].items())
        return PartOpened(position=position, part_id=command.part_id, kept=tuple(on_disk))

    def _inherit(self, job_id: JobId, command: OpenPart) -> None:
        """Take what a twin has left: a copy of its file or of its whole part, or the part itself."""
        legacy, position = command.legacy, command.position
        own = self.parts_of(job_id).setdefault(position, {})
        if legacy.whole is not None:
            own.update(self.parts_of(legacy.whole.job_id)[legacy.whole.position])
        elif legacy.published:
            own.update(self._files[legacy.published])
        else:
            for place in legacy.parts:
                if (place.job_id, place.position) != (job_id, position):
                    own.update(self.parts_of(place.job_id).pop(place.position, {}))

    def write(self, job_id: JobId, position: TrackPosition, chunk: ChunkIndex, digest: bytes) -> None:
        """Write a chunk."""
        self.parts_of(job_id).setdefault(position, {})[chunk] = digest

    def discard(self, job_id: JobId, position: TrackPosition) -> None:
        """Throw a part away."""
        self.parts_of(job_id)[position] = {}

    def verify(self, job_id: JobId, command: VerifyWhole) -> WholeVerified | WholeRefused:
        """Read a whole part again, but for what was read again as it was written and nobody can have written over."""
        here = self.parts_of(job_id)[command.position]
        right = chunk_list(command.position, command.variant.size)
        read_again = command.digests is not None and not command.overwritable
        if not read_again and [here.get(ChunkIndex(chunk)) for chunk in range(len(right))] != list(right):
            return WholeRefused(
                position=command.position,
                part_id=command.part_id,
                fault="content",
                message="other bytes",
                found=tuple(here.get(ChunkIndex(chunk), b"") for chunk in range(len(right))),
            )
        sha256 = command.variant.sha256 or Sha256("0" * 64)
        return WholeVerified(position=command.position, part_id=command.part_id, sha256=sha256)

    def publish(self, order: JobOrder, position: TrackPosition) -> Published:
        """Give a part its name."""
        self._files[_path_of(order, position)] = dict(self.parts_of(order.job_id)[position])
        return _published(order, position, is_new=True)


def _path_of(order: JobOrder, position: TrackPosition) -> str:
    return f"{order.target_dir}/{position}"


def _published(order: JobOrder, position: TrackPosition, *, is_new: bool) -> Published:
    return Published(
        position=position,
        generation=order.generation,
        path=_path_of(order, position),
        how="published" if is_new else "adopted",
    )
