"""What peers say to each other beside blobs: targets, the `have` question and its answer, bitfields.

Owns: the wire format of version 1 but for descriptors (overlay.descriptor), and its limits. Never: sends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from reconciler import __version__
from reconciler.errors import PeerError
from reconciler.ids import Mbid, Root, is_mbid, is_root
from reconciler.overlay.merkle import FILE_BYTES_MAX
from reconciler.overlay.strictjson import Fields, canonical, read_object

VERSION = 1
AGENT = f"reconciler/{__version__}"
"""How we name ourselves to peers and servers."""
FEATURES = ("recordings", "have", "blobs", "chunks", "bitfield")

_PREFIX = "/overlay/v1"
HELLO_TARGET = f"{_PREFIX}/hello"
HAVE_TARGET = f"{_PREFIX}/have"
RECORDINGS_PREFIX = f"{_PREFIX}/recordings/"
BLOBS_PREFIX = f"{_PREFIX}/blobs/"
CHUNKS_SUFFIX = "/chunks"
BITFIELD_SUFFIX = "/bitfield"

# One question names at most 200 recordings and 200 roots: 400 texts of at most 69 bytes are 28 KB.
HAVE_IDS_MAX = 200
HAVE_BYTES_MAX = 64 * 1024
# 200 recordings with 32 roots of 67 bytes each, and 200 roots with their sizes: 0.45 MB.
ROOTS_PER_RECORDING_MAX = 32
HAVE_ANSWER_BYTES_MAX = 1024 * 1024

Id = TypeVar("Id", Mbid, Root)


def recording_target(recording: Mbid) -> str:
    """Where a peer's descriptor of a recording is."""
    return RECORDINGS_PREFIX + recording


def blob_target(root: Root) -> str:
    """Where the bytes that `root` names are."""
    return BLOBS_PREFIX + root


def chunks_target(root: Root) -> str:
    """Where their chunk list is."""
    return BLOBS_PREFIX + root + CHUNKS_SUFFIX


def bitfield_target(root: Root) -> str:
    """Where it is said which chunks a peer holds."""
    return BLOBS_PREFIX + root + BITFIELD_SUFFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class HaveQuestion:
    """Which of these do you hold?"""

    recordings: tuple[Mbid, ...] = ()
    roots: tuple[Root, ...] = ()

    def write(self) -> bytes:
        """The body of the request."""
        return canonical({"recordings": list(self.recordings), "roots": list(self.roots)})

    @classmethod
    def read(cls, data: bytes) -> "HaveQuestion":
        """Read a request's body; raises PeerError."""
        what = "the question"
        fields = Fields(read_object(data, bytes_max=HAVE_BYTES_MAX, what=what), what=what)
        recordings = fields.list("recordings", length_max=HAVE_IDS_MAX)
        roots = fields.list("roots", length_max=HAVE_IDS_MAX)
        return cls(
            recordings=tuple(_id(text, is_mbid, Mbid, what) for text in recordings),
            roots=tuple(_id(text, is_root, Root, what) for text in roots),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRoot:
    """What a peer says of a root that it holds."""

    size: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HaveAnswer:
    """These I hold; what is not named is not held."""

    recordings: Mapping[Mbid, tuple[Root, ...]]
    roots: Mapping[Root, HeldRoot]

    def write(self) -> bytes:
        """The body of the answer."""
        roots = {root: {"size": held.size, "complete": held.complete} for root, held in self.roots.items()}
        recordings = {recording: list(roots) for recording, roots in self.recordings.items()}
        return canonical({"recordings": recordings, "roots": roots})

    @classmethod
    def read(cls, data: bytes) -> "HaveAnswer":
        """Read an answer's body; raises PeerError."""
        what = "the answer"
        fields = Fields(read_object(data, bytes_max=HAVE_ANSWER_BYTES_MAX, what=what), what=what)
        recordings = Fields(fields.mapping("recordings", length_max=HAVE_IDS_MAX), what=what)
        return cls(
            recordings={
                _id(name, is_mbid, Mbid, what): tuple(
                    _id(text, is_root, Root, what) for text in recordings.list(name, length_max=ROOTS_PER_RECORDING_MAX)
                )
                for name in fields.mapping("recordings", length_max=HAVE_IDS_MAX)
            },
            roots={
                _id(name, is_root, Root, what): _held(Fields(value, what=what))
                for name, value in fields.mapping("roots", length_max=HAVE_IDS_MAX).items()
            },
        )


def write_bitfield(held: frozenset[int] | None, *, count: int) -> bytes:
    """Write which of `count` chunks are held (None = all): one bit a chunk, the first one highest, spare bits 0."""
    field = bytearray(-(-count // 8))
    for index in range(count) if held is None else held:
        field[index // 8] |= 0x80 >> index % 8
    return bytes(field)


def read_bitfield(field: bytes, *, count: int) -> frozenset[int]:
    """Read a bitfield of `count` chunks; raises PeerError for another length or a spare bit."""
    if len(field) != -(-count // 8):
        raise PeerError(f"a bitfield of {len(field)} bytes for {count} chunks")
    held = frozenset(index for index in range(len(field) * 8) if field[index // 8] & 0x80 >> index % 8)
    if held and max(held) >= count:
        raise PeerError(f"a bitfield names chunk {max(held)} of {count}")
    return held


def _held(fields: Fields) -> HeldRoot:
    return HeldRoot(
        size=fields.integer("size", low=1, high=FILE_BYTES_MAX), complete=fields.flag("complete", default=True)
    )


def _id(text: object, test: Callable[[str], bool], kind: Callable[[str], Id], what: str) -> Id:
    if not isinstance(text, str) or not test(text):
        raise PeerError(f"{what} names something that is neither a recording nor a root")
    return kind(text)
