"""Which files of a Metalink can be had: names, sizes, hashes and mirrors, and a reason for what is left out."""

import pytest

from reconciler.cli.linked_files import choose
from reconciler.manifests.formats import check_http_url, check_relative_path
from reconciler.manifests.metalink import PRIORITY_LAST, LinkedFile, Mirror, PieceHashes
from reconciler.manifests.model import Pieces
from reconciler.overlay.merkle import FILE_BYTES_MAX

DIGEST = "ab" * 32


def mirror(url, priority=PRIORITY_LAST, location=""):
    return Mirror(url=url, priority=priority, location=location)


def file(name="a.flac", **said):
    """A file with nothing wrong but what is said."""
    whole = {"size": 1000, "sha256": DIGEST, "other_kinds": (), "pieces": (), "metaurls": ()}
    return LinkedFile(**{"name": name, "mirrors": (mirror("https://a.example/a"),), **whole, **said})


def names(*linked):
    return [wanted.path for wanted in choose(linked, mirrors_max=20).files]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../../etc/passwd", "holds `..`"),
        ("a/../b", "holds `..`"),
        ("..", "holds `..`"),
        ("..\\evil", "holds a backslash"),
        ("C:\\Windows\\system32", "holds a backslash"),
        ("/etc/passwd", "is an absolute path"),
        ("//server/share", "is an absolute path"),
        ("~/.ssh/authorized_keys", "begins with `~`"),
        ("a//b", "has an empty part"),
        ("./a", "has an empty part"),
        ("", "has an empty part"),
        ("a/", "has an empty part"),
        ("a\0b", "cannot be seen"),
        ("a\nb", "cannot be seen"),
        ("photo\u202egpj.exe", "cannot be seen"),
        ("a\u200bb", "cannot be seen"),
        ("a\u2028b", "cannot be seen"),
        ("x" * 256, "too long"),
        ("/".join(["ordner"] * 700), "too long"),
    ],
)
def test_a_name_that_may_mean_harm_is_left_out(name, why):
    """Never mended into something else; the other files are taken."""
    choice = choose((file(name), file("b.flac")), mirrors_max=20)
    assert [wanted.path for wanted in choice.files] == ["b.flac"]
    assert [line for line in choice.left_out if why in line] == list(choice.left_out)


def test_a_name_that_some_system_does_not_take_is_made_safe():
    """And that is said: nothing but the name changes."""
    assert names(file("Live: 2024/aux.flac"), file("写真　.flac")) == ["Live_ 2024/aux_.flac", "写真 .flac"]
    choice = choose((file("What?.flac"),), mirrors_max=20)
    assert choice.files[0].path == "What_.flac"
    assert any("it is called What?.flac there" in line for line in choice.chosen)


def test_of_two_files_of_one_name_the_first_is_taken():
    """As a disk sees it that is blind to case; nor may a file have the name of a folder."""
    linked = (file("A/b.flac"), file("a/B.flac"), file("a"), file("a/b.flac/c"), file("A/c.flac"))
    choice = choose(linked, mirrors_max=20)
    assert [wanted.path for wanted in choice.files] == ["A/b.flac", "A/c.flac"]
    assert [line.partition(": ")[2] for line in choice.left_out] == [
        "another file before it has this name",
        "one name would be of a file and a folder",
        "one name would be of a file and a folder",
    ]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"size": None}, "its size is not said"),
        ({"size": 0}, "0 bytes is not a size"),
        ({"size": FILE_BYTES_MAX + 1}, "is not a size"),
        ({"sha256": ""}, "it has no SHA-256"),
        ({"sha256": "", "other_kinds": ("md5", "sha-1")}, "it has no SHA-256 (only md5, sha-1)"),
        ({"mirrors": ()}, "no http:// or https:// address"),
        ({"mirrors": (mirror("ftp://a.example/a"),)}, "ftp://a.example/a is neither http:// nor https://"),
    ],
)
def test_a_file_that_cannot_be_had_is_left_out(said, why):
    """Without size, SHA-256 or web server there is nothing to ask for, or to verify."""
    choice = choose((file(**said),), mirrors_max=20)
    assert choice.files == ()
    assert why in choice.left_out[0]


def test_mirrors_are_asked_by_priority_and_those_of_a_country_first():
    """Priority 1 before 2 before none; the order of the Metalink among equals."""
    mirrors = (
        mirror("https://none.example/"),
        mirror("https://us.example/", 1, "us"),
        mirror("https://de.example/", 3, "de"),
        mirror("http://uk.example/", 1, "gb"),
    )
    urls = [source.url for source in choose((file(mirrors=mirrors),), mirrors_max=20).files[0].sources]
    assert urls == ["https://us.example/", "http://uk.example/", "https://de.example/", "https://none.example/"]
    choice = choose((file(mirrors=mirrors),), mirrors_max=2, locations=("DE",))
    assert [source.url for source in choice.files[0].sources] == ["https://de.example/", "https://us.example/"]
    assert choice.left_out == ("a.flac: 2 more mirrors, beyond the first 2",)
    assert choice.chosen == (
        "a.flac: 1000 bytes, from 2 mirrors: de.example (de, priority 3), us.example (us, priority 1)",
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://a.example/x", "neither http:// nor https://"),
        ("magnet:?xt=urn:btih:x", "neither http:// nor https://"),
        ("file:///etc/passwd", "neither http:// nor https://"),
        ("https://me:secret@a.example/x", "names a user"),
        ("https://a.example/x#y", "fragment"),
        ("https://a.example:0/x", "port 0"),
        ("https://a.exa mple/x", "holds a space"),
        ("https://a.example/x\u202ey", "cannot be seen"),
        ("https://", "no host"),
        ("/relative", "does not begin with http"),
        ("https://a.example/" + "x" * 4096, "too long"),
        ("https://Good.example:443/y", "another address of the same server"),
    ],
)
def test_an_address_that_cannot_be_asked_for_is_left_out(url, why):
    """With the reason; the good ones are taken."""
    choice = choose((file(mirrors=(mirror("https://good.example/x"), mirror(url))),), mirrors_max=20)
    assert [source.url for source in choice.files[0].sources] == ["https://good.example/x"]
    assert why in choice.left_out[0]


def test_what_is_chosen_is_what_a_manifest_takes():
    """An address in any script is percent-encoded, its host as IDNA."""
    choice = choose((file("Å/é.flac", mirrors=(mirror("http://bücher.example/é?ü=1"),)),), mirrors_max=20)
    (wanted,) = choice.files
    check_relative_path(wanted.path)
    check_http_url(wanted.sources[0].url)
    assert wanted.sources[0].url == "http://xn--bcher-kva.example:80/%C3%A9?%C3%BC=1"


def hashes(count, length=65_536, kind="sha-256"):
    return PieceHashes(kind=kind, length_bytes=length, sha256=(DIGEST,) * count)


def test_piece_hashes_are_taken_where_they_fit():
    """The first that can be used, of those that a Metalink offers."""
    offered = (hashes(0, kind="sha-1"), hashes(2, 600_000), hashes(10, 100_000))
    choice = choose((file(size=1_000_000, pieces=offered),), mirrors_max=20)
    assert choice.files[0].pieces == Pieces(length_bytes=600_000, sha256=(DIGEST, DIGEST))
    assert choice.left_out == ("a.flac: the sha-1 hashes of its pieces are not used: only SHA-256 is",)


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        (hashes(1, 16_383), "too short"),
        (hashes(1, 2**30 + 1), "too short or too long"),
        (hashes(3), "they are 3, and do not fit its size"),
        (hashes(4097), "more than 4096"),
    ],
)
def test_piece_hashes_that_do_not_fit_are_left_out(pieces, why):
    """The file is taken all the same: its SHA-256 proves it."""
    choice = choose((file(size=1000, pieces=(pieces,)),), mirrors_max=20)
    assert choice.files[0].pieces is None
    assert why in choice.left_out[0]


def test_hashes_that_are_not_used_are_named():
    """So that nobody believes that they were checked."""
    choice = choose((file(other_kinds=("md5",), metaurls=("https://a.example/a.torrent",)),), mirrors_max=20)
    assert choice.left_out == (
        "a.flac: https://a.example/a.torrent is a torrent or the like",
        "a.flac: its md5 is not used, its SHA-256 is",
    )
