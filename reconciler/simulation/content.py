"""The files that simulated peers hold: hashes without bytes.

Owns: what each chunk of each file hashes to, and the job that wants these files. Never: a byte of them.
"""

from functools import lru_cache
from hashlib import sha256

from reconciler.engine.order import JobOrder, TrackOrder
from reconciler.ids import JobId, Mbid, Root, Sha256, TrackPosition
from reconciler.manifests.model import Constraints
from reconciler.overlay.merkle import chunk_count, root_of
from reconciler.sources.base import Variant, Want

RECORDING = Mbid("e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc")
JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")

# Digests are the same in every simulation. 4,096 of 32 bytes serve all files of an ordinary swarm.
_DIGESTS_KEPT = 4096


@lru_cache(_DIGESTS_KEPT)
def digest_of(position: int, chunk: int, *, wrong: bool = False) -> bytes:
    """The hash of a chunk of the file at `position`; a wrong chunk has another."""
    return sha256(b"%d:%d:%d" % (position, chunk, wrong)).digest()


def chunk_list(position: int, size: int, *, wrong: bool = False) -> tuple[bytes, ...]:
    """The chunk hashes of the file of `size` bytes at `position`; a lying list names other bytes."""
    return tuple(digest_of(position, chunk, wrong=wrong) for chunk in range(chunk_count(size)))


def variant_of(position: int, size: int, *, rooted: bool = True) -> Variant:
    """The one right variant of the file at `position`; without a root only its SHA-256 is known."""
    root = Root(root_of(chunk_list(position, size), file_size=size))
    return Variant(
        root=root if rooted else None,
        sha256=Sha256(sha256(root.encode()).hexdigest()),
        size=size,
        codec="FLAC",
        container="flac",
        lossless=True,
    )


def order_of(
    sizes: tuple[int, ...],
    *,
    rooted: bool = True,
    by_recording: bool = False,
    constraints: Constraints | None = None,
    album: bool = False,
) -> JobOrder:
    """A job that wants one file of each size; `by_recording`: any variant of the recording, not these very bytes;
    `album`: all of them published at once.
    """
    tracks = []
    for position, size in enumerate(sizes, start=1):
        want = Want(position=TrackPosition(position), recording=RECORDING)
        if not by_recording:
            variant = variant_of(position, size, rooted=rooted)
            want = Want(position=TrackPosition(position), root=variant.root, sha256=variant.sha256, size=size)
        tracks.append(TrackOrder(want=want, title=f"Track {position}", stem=f"{position:02}"))
    return JobOrder(
        job_id=JOB,
        generation=1,
        target_dir="/music/album",
        allowed_root="/music",
        constraints=constraints or Constraints(),
        tracks=tuple(tracks),
        album="" if album else None,
    )
