"""Which files of a Metalink can be fetched, under which names, and from which of their mirrors.

Owns: that choice, and a reason for everything that is left out. Never: reads XML (manifests.metalink), or words a
manifest (cli.new_multi_source).

Whoever made the Metalink may mean harm: a name that leads elsewhere or hides characters is left out, never mended; one
that is merely unusual on some system is made safe, and that is said.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.errors import InvalidInputError
from reconciler.ids import Sha256
from reconciler.library.naming import safe_component
from reconciler.manifests.formats import FormatError, check_http_url, check_relative_path
from reconciler.manifests.metalink import PRIORITY_LAST, LinkedFile, Mirror, PieceHashes
from reconciler.manifests.model import Pieces, UrlSource, WantedFile
from reconciler.manifests.scan import SCALAR_BYTES_MAX
from reconciler.overlay.merkle import FILE_BYTES_MAX
from reconciler.sources.base import Endpoint
from reconciler.sources.urls import read_url

_HOSTS_TOLD_MAX = 3

# As the manifest's schema bounds them.
PIECE_BYTES_MIN, PIECE_BYTES_MAX = 16 * 1024, 1024 * 1024 * 1024
PIECES_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen for the person."""

    files: tuple[WantedFile, ...]
    chosen: tuple[str, ...]
    """One line for each file."""
    left_out: tuple[str, ...]
    """What, and why: files, then mirrors, then hashes."""


class _UnfitError(Exception):
    """A file cannot be wanted; its message says why."""


def choose(
    linked: Sequence[LinkedFile], *, mirrors_max: int, locations: Sequence[str] = (), with_pieces: bool = True
) -> Choice:
    """Choose what can be fetched; of each file `mirrors_max` mirrors, those in `locations` before the others, and the
    hashes of its pieces where there is room for them.
    """
    preferred = tuple(each.lower() for each in locations)
    choosing = _Choosing(mirrors_max=mirrors_max, locations=preferred, with_pieces=with_pieces)
    for file in linked:
        try:
            choosing.take(file)
        except _UnfitError as unfit:
            choosing.unfit.append(f"{file.name}: {unfit}")
    left_out = (*choosing.unfit, *choosing.unused_mirrors, *choosing.unused_hashes)
    return Choice(files=tuple(choosing.files), chosen=tuple(choosing.chosen), left_out=left_out)


class _Choosing:
    """One walk over the files."""

    def __init__(self, *, mirrors_max: int, locations: tuple[str, ...], with_pieces: bool) -> None:
        self.files: list[WantedFile] = []
        self.chosen: list[str] = []
        self.unfit: list[str] = []
        self.unused_mirrors: list[str] = []
        self.unused_hashes: list[str] = []
        self._mirrors_max = mirrors_max
        self._locations = locations
        self._with_pieces = with_pieces
        self._names: set[str] = set()
        """Of files, as a case-blind disk sees them."""
        self._folders: set[str] = set()

    def take(self, file: LinkedFile) -> None:
        path = _path_of(file.name)
        if file.size is None:
            raise _UnfitError("its size is not said")
        if not 1 <= file.size <= FILE_BYTES_MAX:
            raise _UnfitError(f"{file.size} bytes is not a size that can be fetched (1 to {FILE_BYTES_MAX})")
        if not file.sha256:
            others = f" (only {', '.join(file.other_kinds)})" if file.other_kinds else ""
            raise _UnfitError(f"it has no SHA-256{others}")
        self._check_free(path)
        mirrors, unused = self._mirrors_of(file)
        if not mirrors:
            raise _UnfitError(f"it has no http:// or https:// address{_first_of(unused)}")
        self._keep(path)
        pieces, unused_pieces = self._pieces_of(file, file.size)
        self.files.append(
            WantedFile(
                path=path,
                size=file.size,
                sha256=Sha256(file.sha256),
                pieces=pieces,
                sources=tuple(UrlSource(url=url) for url, _, _ in mirrors),
            )
        )
        self.chosen.append(f"{path}: {file.size} bytes, {_told(mirrors)}")
        if path != file.name:
            self.chosen.append(f"  it is called {file.name} there, which is no safe name on every system")
        self.unused_mirrors += [f"{path}: {line}" for line in unused]
        unused_kinds = [f"its {kind} is not used, its SHA-256 is" for kind in file.other_kinds]
        self.unused_hashes += [f"{path}: {line}" for line in (*unused_kinds, *unused_pieces)]

    def _check_free(self, path: str) -> None:
        """A file may have no other's name, nor that of a folder, nor lie in a file."""
        key = _blind(path)
        if key in self._names:
            raise _UnfitError("another file before it has this name")
        if key in self._folders or any(above in self._names for above in _above(key)):
            raise _UnfitError("one name would be of a file and a folder")

    def _keep(self, path: str) -> None:
        key = _blind(path)
        self._names.add(key)
        self._folders.update(_above(key))

    def _pieces_of(self, file: LinkedFile, size: int) -> tuple[Pieces | None, list[str]]:
        """The hashes of its pieces, and what is said of those that are not used."""
        found: Pieces | None = None
        unused: list[str] = []
        for each in file.pieces:
            why = _why_not(each, size) or ("" if self._with_pieces else "the manifest has no room for them")
            if why:
                unused.append(f"the {each.kind} hashes of its pieces are not used: {why}")
            elif found is None:
                hashes = tuple(Sha256(digest) for digest in each.sha256)
                found = Pieces(length_bytes=each.length_bytes, sha256=hashes)
        return found, unused

    def _mirrors_of(self, file: LinkedFile) -> tuple[list[tuple[str, Mirror, Endpoint]], list[str]]:
        """The mirrors to ask, the first choice first, and what is said of the others."""
        mirrors: list[tuple[str, Mirror, Endpoint]] = []
        unused: list[str] = []
        seen: set[Endpoint] = set()
        beyond = 0
        for mirror in sorted(file.mirrors, key=lambda each: (each.location not in self._locations, each.priority)):
            try:
                url, endpoint = _address(mirror.url)
            except _UnfitError as unfit:
                unused.append(f"{mirror.url} {unfit}")
                continue
            if endpoint in seen:
                unused.append(f"{mirror.url} is another address of the same server")
            elif len(mirrors) >= self._mirrors_max:
                beyond += 1
            else:
                seen.add(endpoint)
                mirrors.append((url, mirror, endpoint))
        if beyond:
            unused.append(f"{beyond} more mirrors, beyond the first {self._mirrors_max}")
        unused += [f"{address} is a torrent or the like" for address in file.metaurls]
        return mirrors, unused


def _path_of(name: str) -> str:
    """The name as a safe path; raises _UnfitError where it looks as if it meant harm."""
    try:
        check_relative_path(name)
    except FormatError as error:
        raise _UnfitError(f"its name {error.message}") from error
    if any(_is_hidden(character) for character in name):
        raise _UnfitError("its name holds characters that cannot be seen")
    path = "/".join(safe_component(part) for part in name.split("/"))
    if len(path.encode()) > SCALAR_BYTES_MAX:
        raise _UnfitError("its name is too long for a path")
    return path


def _is_hidden(character: str) -> bool:
    """Control characters, those that turn the direction of writing, line separators, and what is no character."""
    category = unicodedata.category(character)
    return category[0] == "C" or category in ("Zl", "Zp")


def _address(url: str) -> tuple[str, Endpoint]:
    """A URL as a manifest holds it; raises _UnfitError that follows it in a sentence."""
    try:
        location = read_url(url)
        endpoint = location.endpoint
        if not url.isascii():
            host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
            url = f"{'https' if endpoint.tls else 'http'}://{host}:{endpoint.port}{location.target}"
        check_http_url(url)
    except InvalidInputError as error:
        scheme = url.partition(":")[0]
        if scheme.isalnum() and scheme.lower() not in ("http", "https"):
            raise _UnfitError("is neither http:// nor https://") from error
        raise _UnfitError("cannot be asked for: " + error.message.rpartition("' ")[2]) from error
    except FormatError as error:
        raise _UnfitError(error.message) from error
    if len(url) > SCALAR_BYTES_MAX:
        raise _UnfitError("is too long for a manifest")
    return url, endpoint


def _told(mirrors: Sequence[tuple[str, Mirror, Endpoint]]) -> str:
    """`from 5 mirrors: a.example (de, priority 1), b.example (priority 2), ...`."""
    told: list[str] = []
    for _, mirror, endpoint in mirrors[:_HOSTS_TOLD_MAX]:
        said = [mirror.location] if mirror.location else []
        if mirror.priority != PRIORITY_LAST:
            said.append(f"priority {mirror.priority}")
        told.append(f"{endpoint.host} ({', '.join(said)})" if said else endpoint.host)
    more = ", ..." if len(mirrors) > _HOSTS_TOLD_MAX else ""
    return f"from {len(mirrors)} mirror{'' if len(mirrors) == 1 else 's'}: {', '.join(told)}{more}"


def _why_not(pieces: PieceHashes, size: int) -> str:
    """Why the hashes of pieces cannot be used; empty = they can."""
    if pieces.kind != "sha-256":
        return "only SHA-256 is"
    if not PIECE_BYTES_MIN <= pieces.length_bytes <= PIECE_BYTES_MAX:
        return f"a piece of {pieces.length_bytes} bytes is too short or too long"
    if len(pieces.sha256) > PIECES_MAX:
        return f"there are more than {PIECES_MAX}"
    if len(pieces.sha256) != -(-size // pieces.length_bytes):
        return f"they are {len(pieces.sha256)}, and do not fit its size"
    return ""


def _first_of(unused: Sequence[str]) -> str:
    return f": {unused[0]}" if unused else ""


def _above(key: str) -> list[str]:
    """The folders that a path lies in."""
    parts = key.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _blind(path: str) -> str:
    """A path as a disk sees it that does not tell letters by their case."""
    return unicodedata.normalize("NFC", path).casefold()
