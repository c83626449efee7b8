"""Publishing: a name appears with all its bytes, below the root, and nothing is ever replaced."""

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from library_races import swapping

from reconciler.errors import DiskError, UnsafePathError
from reconciler.library.naming import numbered_names
from reconciler.library.publish import Placed, adopt_existing, place
from reconciler.manifests import renaming

BYTES = b"the right bytes " * 1000


def is_right(fd: int) -> bool:
    """The caller's check: exactly BYTES, read from offset 0."""
    return os.read(fd, len(BYTES) + 1) == BYTES


@pytest.fixture
def root(tmp_path):
    """An allowed root with nothing in it."""
    folder = tmp_path / "library"
    folder.mkdir()
    return folder


@pytest.fixture
def part(tmp_path):
    """A finished part, private to the daemon."""
    folder = tmp_path / "parts"
    folder.mkdir(mode=0o700)
    return new_part(folder)


def new_part(folder: Path, content: bytes = BYTES) -> Path:
    """Write a finished part into `folder`."""
    path = folder / "x.part"
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def put(part: Path, root: Path, name: str = "A/B/01 C.flac") -> Placed:
    """Publish `part` straight below `root`."""
    return place(part, allowed_root=root, target_dir=root, name=name, same_content=is_right)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_part_gets_its_name_and_missing_folders(root, part):
    """The file is where it was ordered, and the part is gone."""
    placed = place(part, allowed_root=root, target_dir=root / "queue", name="A/01 C.flac", same_content=is_right)
    assert placed == Placed(path=str(root / "queue/A/01 C.flac"), how="placed")
    assert tree(root) == {"queue/A/01 C.flac": BYTES}
    assert not part.exists()


def test_a_published_file_has_the_mode_that_the_umask_leaves(root, part):
    """A media server of another user can read what a private part has become."""
    before = os.umask(0o027)
    try:
        placed = put(part, root)
    finally:
        os.umask(before)
    assert Path(placed.path).stat().st_mode & 0o777 == 0o640


def test_the_same_bytes_are_adopted(root, part):
    """A second copy of what is there already is not kept: after a crash, and for two jobs with one wish."""
    put(part, root)
    again = put(new_part(part.parent), root)
    assert again == Placed(path=str(root / "A/B/01 C.flac"), how="adopted")
    assert tree(root) == {"A/B/01 C.flac": BYTES}
    assert not part.exists()


def test_other_bytes_are_never_replaced(root, part):
    """A different file under the name stays, and ours is numbered; numbered ones are found again as well."""
    (root / "C.flac").write_bytes(b"somebody else's")
    (root / "C (2).flac").write_bytes(b"another one")
    assert put(part, root, "C.flac").path == str(root / "C (3).flac")
    assert put(new_part(part.parent), root, "C.flac") == Placed(path=str(root / "C (3).flac"), how="adopted")
    assert tree(root) == {"C.flac": b"somebody else's", "C (2).flac": b"another one", "C (3).flac": BYTES}


@pytest.mark.parametrize(
    ("name", "numbered"),
    [
        ("C.flac", "C (2).flac"),
        ("C", "C (2)"),
        (".hidden", ".hidden (2)"),
        ("Mr. Somebody Else", "Mr. Somebody Else (2)"),
        ("a.b.mp3", "a.b (2).mp3"),
    ],
)
def test_the_number_goes_before_the_extension(root, part, name, numbered):
    """Whatever follows a dot too far from the end belongs to the title."""
    (root / name).write_bytes(b"other")
    assert put(part, root, name) == Placed(path=str(root / numbered), how="renamed")


@pytest.mark.parametrize(("there", "wanted"), [("e\u0301.flac", "\u00e9.flac"), ("LOUD.flac", "loud.flac")])
def test_names_that_meet_on_other_disks_meet_here(root, part, there, wanted):
    """Two spellings that a case-folding or normalising disk takes for one do not become two files."""
    (root / there).write_bytes(b"other")
    assert put(part, root, wanted).how == "renamed"
    (root / there).write_bytes(BYTES)
    assert put(new_part(part.parent), root, wanted) == Placed(path=str(root / there), how="adopted")


def test_a_link_or_a_folder_under_the_name_is_passed_by(root, part, tmp_path):
    """What is not a regular file is never read, followed or replaced."""
    outside = tmp_path / "outside"
    outside.write_bytes(BYTES)
    (root / "C.flac").symlink_to(outside)
    (root / "C (2).flac").mkdir()
    os.mkfifo(root / "C (3).flac")
    assert put(part, root, "C.flac") == Placed(path=str(root / "C (4).flac"), how="renamed")
    assert outside.read_bytes() == BYTES


def test_too_many_files_of_one_name_are_an_error(root, part):
    """After 99 the naming is at fault, and the part is kept."""
    for name in numbered_names("C.flac"):
        (root / name).write_bytes(b"other")
    with pytest.raises(DiskError, match="99 other files"):
        put(part, root, "C.flac")
    assert part.exists()


def test_the_root_may_be_reached_through_a_link(root, part, tmp_path):
    """A library that is a link to a mounted disk is the operator's own choice."""
    (tmp_path / "music").symlink_to(root)
    placed = put(part, tmp_path / "music")
    assert placed.path == str(tmp_path / "music/A/B/01 C.flac")
    assert tree(root) == {"A/B/01 C.flac": BYTES}


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("", "../x.flac"),
        ("", "A/../../x.flac"),
        ("", "/etc/x.flac"),
        ("", ""),
        ("", "A//x.flac"),
        ("", "./x.flac"),
        ("", "x\0.flac"),
        ("..", "x.flac"),
        ("A/../..", "x.flac"),
        ("../library-two", "x.flac"),
    ],
)
def test_nothing_leaves_the_root(root, part, target, name):
    """Every spelling of a way out is refused before the disk is touched."""
    with pytest.raises(UnsafePathError):
        place(part, allowed_root=root, target_dir=Path(f"{root}/{target}"), name=name, same_content=is_right)
    assert tree(root) == {}
    assert part.exists()


@pytest.mark.parametrize("name", ["link/x.flac", "A/link/x.flac", "file/x.flac", "x" * 300 + ".flac"])
def test_no_link_below_the_root_is_followed(root, part, tmp_path, name):
    """A link or a file in the place of a folder stops it, and so does a name that no disk can hold."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "A").mkdir()
    (root / "link").symlink_to(outside)
    (root / "A/link").symlink_to(outside)
    (root / "file").write_bytes(b"")
    with pytest.raises(UnsafePathError, match="symbolic link"):
        put(part, root, name)
    assert list(outside.iterdir()) == []
    assert part.exists()


def test_a_missing_root_is_not_made(tmp_path, part):
    """A disk that is not mounted is waited for, not papered over."""
    with pytest.raises(DiskError, match="No such file"):
        put(part, tmp_path / "unmounted")
    assert not (tmp_path / "unmounted").exists()


def test_a_missing_part_is_named(root, tmp_path):
    """A part that vanished says so."""
    with pytest.raises(DiskError, match="the finished part is not there"):
        put(tmp_path / "gone.part", root)


def test_a_link_swapped_in_at_any_moment_is_never_followed(memory_folder):
    """Five thousand files against a thread that swaps a folder and a link to the outside: none escapes."""
    root, outside, parts = (memory_folder / name for name in ("root", "outside", "parts"))
    for folder in (root, outside, parts):
        folder.mkdir()
    (root / "d").mkdir()
    (root / "l").symlink_to(outside)
    outcomes = {"placed": 0, "refused": 0}
    with swapping(root, "d", "l"):
        for number in range(5000):
            try:
                put(new_part(parts, b"x"), root, f"d/{number % 80}/{number}.flac")
                outcomes["placed"] += 1
            except UnsafePathError:
                outcomes["refused"] += 1
    assert list(outside.iterdir()) == []
    assert min(outcomes.values()) > 0, f"the race was not run: {outcomes}"
    inside = sum(len(tree(root / name)) for name in ("d", "l") if not (root / name).is_symlink())
    assert inside == outcomes["placed"]


def test_two_that_want_one_name_both_get_one(root, tmp_path):
    """Threads that publish different bytes under one name lose none of them."""
    parts = [tmp_path / f"{number}.part" for number in range(8)]
    for number, path in enumerate(parts):
        path.write_bytes(b"%d" % number)
    start = threading.Barrier(len(parts))

    def publish_one(path: Path) -> None:
        start.wait()
        place(path, allowed_root=root, target_dir=root, name="A/C.flac", same_content=lambda _: False)

    threads = [threading.Thread(target=publish_one, args=(path,)) for path in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tree(root).values()) == [b"%d" % number for number in range(8)]


def test_bytes_are_durable_before_the_name_and_the_name_before_the_end(root, part, monkeypatch):
    """The part is synced while nothing has the name, a made folder as it is made, the last folder with the name in."""
    seen = []
    fsync = os.fsync
    target = root / "A/C.flac"

    def recording(fd):
        seen.append((Path(f"/proc/self/fd/{fd}").readlink().name, target.exists()))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", recording)
    put(part, root, "A/C.flac")
    assert seen == [("library", False), ("x.part", False), ("A", True)]


def test_a_part_that_the_disk_did_not_keep_is_discarded(root, part, monkeypatch):
    """An fsync that failed is not asked again: the bytes are suspect, nothing is published."""

    def failing(fd):
        if Path(f"/proc/self/fd/{fd}").readlink().suffix == ".part":
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(DiskError, match="discarded"):
        put(part, root)
    assert tree(root) == {}
    assert not part.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_refuses_leaves_the_part(root, part, monkeypatch, code):
    """Full, read-only, forbidden, failing: a DiskError that says so, tried again later with the same part."""

    def failing(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "mkdir", failing)
    with pytest.raises(DiskError, match=os.strerror(code)) as refused:
        put(part, root)
    assert refused.value.retriable
    assert part.exists()


def test_without_the_flag_a_hard_link_does_not_replace_either(root, part, monkeypatch):
    """A file system that knows no rename without replacing gets the same outcome."""
    monkeypatch.setattr(renaming, "_libc", object())
    (root / "C.flac").write_bytes(b"other")
    assert put(part, root, "C.flac") == Placed(path=str(root / "C (2).flac"), how="renamed")
    assert not part.exists()
    assert tree(root) == {"C.flac": b"other", "C (2).flac": BYTES}


def test_a_disk_with_neither_way_is_refused(root, part, monkeypatch):
    """No safe way to give the name: the part is kept and the error says what to change."""

    def forbidden(*args, **kwargs):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(renaming, "_libc", object())
    monkeypatch.setattr(os, "link", forbidden)
    with pytest.raises(DiskError, match="neither rename without replacing nor make hard links"):
        put(part, root)
    assert part.exists()
    assert tree(root) == {}


@pytest.fixture
def far_part(tmp_path):
    """A finished part on another file system."""
    memory = Path("/dev/shm")
    if memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("the temporary folder lies in /dev/shm: no second file system to move from")
    with TemporaryDirectory(dir=memory) as folder:
        yield new_part(Path(folder))


def test_a_part_from_another_file_system_arrives(root, far_part):
    """Copied beside the target, then renamed: the same outcomes, nothing left behind."""
    assert put(far_part, root).how == "placed"
    assert tree(root) == {"A/B/01 C.flac": BYTES}
    assert not far_part.exists()
    assert put(new_part(far_part.parent), root).how == "adopted"
    (root / "A/B/01 C.flac").write_bytes(b"other")
    assert put(new_part(far_part.parent), root).how == "renamed"
    assert tree(root) == {"A/B/01 C.flac": b"other", "A/B/01 C (2).flac": BYTES}


def test_a_copy_left_by_a_crash_is_cleared_by_the_next_try(root, far_part):
    """The hidden copy is named after its part: found, removed, made anew."""
    status = far_part.stat()
    torn = root / f".{status.st_dev:x}-{status.st_ino:x}.part"
    torn.write_bytes(b"half a co")
    put(far_part, root, "C.flac")
    assert tree(root) == {"C.flac": BYTES}


def test_a_copy_that_came_out_different_is_not_published(root, far_part):
    """The copy is read again before it gets the name."""
    with pytest.raises(DiskError, match="came out different"):
        place(far_part, allowed_root=root, target_dir=root, name="C.flac", same_content=lambda _: False)
    assert tree(root) == {}
    assert far_part.exists()


def test_a_full_disk_during_the_copy_leaves_nothing(root, far_part, monkeypatch):
    """What was copied so far is removed, and the part is kept."""

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError, match="No space left"):
        put(far_part, root, "C.flac")
    assert tree(root) == {}
    assert far_part.exists()


def found(root: Path, target: Path, name: str) -> Placed | None:
    """Look for BYTES under a name."""
    return adopt_existing(allowed_root=root, target_dir=target, name=name, same_content=is_right)


def test_an_existing_file_is_found_and_a_link_is_not(root, tmp_path):
    """Only a regular file with the wanted bytes, and only below the root, is adopted; nothing is made."""
    (root / "A").mkdir()
    (root / "A/C.flac").write_bytes(BYTES)
    (root / "A/other.flac").write_bytes(b"other")
    (root / "A/link.flac").symlink_to(root / "A/C.flac")
    os.mkfifo(root / "A/fifo.flac")
    assert found(root, root / "A", "C.flac") == Placed(path=str(root / "A/C.flac"), how="adopted")
    for name in ("D.flac", "other.flac", "link.flac", "fifo.flac", "B/C.flac"):
        assert found(root, root / "A", name) is None
    assert not (root / "A/B").exists()
    (root / "B").symlink_to(tmp_path)
    with pytest.raises(UnsafePathError):
        found(root, root / "B", "C.flac")


def test_a_file_that_got_a_number_is_found_again(root, part):
    """A crash between the rename and its record costs nothing where the name was taken, either."""
    (root / "C.flac").write_bytes(b"somebody else's")
    assert put(part, root, "C.flac").how == "renamed"
    assert found(root, root, "C.flac") == Placed(path=str(root / "C (2).flac"), how="adopted")


def test_what_is_adopted_is_durable_with_every_folder_above_it(root, monkeypatch):
    """Whoever made them may have died before they were synced: the file, then each folder from the root down."""
    (root / "A/B").mkdir(parents=True)
    (root / "A/B/C.flac").write_bytes(BYTES)
    seen = []
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append(Path(f"/proc/self/fd/{fd}").readlink().name))
    assert found(root, root, "A/B/C.flac") is not None
    assert seen == ["C.flac", "library", "A", "B"]


def test_no_descriptor_is_left_open(root, part):
    """Success, adoption and refusal all close what they opened."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    put(part, root)
    put(new_part(part.parent), root)
    (root / "l").symlink_to("/")
    with suppress(UnsafePathError):
        put(new_part(part.parent), root, "l/x.flac")
    with suppress(DiskError):
        put(part.parent / "missing", root)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
