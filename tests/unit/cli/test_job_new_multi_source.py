"""`job new multi-source`: manifests from a Metalink, and from addresses that a person gives."""

import json

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.errors import InvalidInputError
from reconciler.manifests.compose import SCHEMA_LINE
from reconciler.manifests.model import Pieces, UrlSource
from reconciler.manifests.read import MANIFEST_BYTES_MAX, read_manifest

DIGEST = "0123456789abcdef" * 4
RECORDING = "e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "jobs" / "active").mkdir(parents=True)
    return tmp_path


def new(root, *words, standard_input=None, as_json=True):
    """Run `job new multi-source`; gives what it says, or raises what it ended with."""
    where = ["--root", str(root), *(["--json"] if as_json else [])]
    result = CliRunner().invoke(cli, ["job", "new", "multi-source", *words, *where], input=standard_input)
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout) if as_json else result.stdout


def manifest_of(root, said):
    data = (root / said["path"]).read_bytes()
    assert data.startswith(SCHEMA_LINE.encode())
    parsed = read_manifest(data)
    assert parsed.problems == ()
    return parsed.manifest


def metalink(*files):
    return f'<metalink xmlns="urn:ietf:params:xml:ns:metalink">{"".join(files)}</metalink>'


def linked(name, *, mirrors=1):
    urls = "".join(f"<url>https://m{n}.example/{name}</url>" for n in range(mirrors))
    return f'<file name="{name}"><size>12</size><hash type="sha-256">{DIGEST}</hash>{urls}</file>'


def test_a_metalink_becomes_a_manifest(root):
    """It is called as the Metalink is, and says what was chosen and left out."""
    (root / "concert.meta4").write_text(metalink(linked("live/01.flac", mirrors=3), linked("../x"), linked("02.flac")))
    said = new(root, "--metalink", str(root / "concert.meta4"), "--mirrors", "2", "--target-dir", "library/live")
    assert (said["path"], said["job_type"], said["tracks"]) == ("jobs/active/concert.yml", "multi_source", 2)
    assert said["skipped"] == ["../x: its name holds `..`", "live/01.flac: 1 more mirrors, beyond the first 2"]
    spec = manifest_of(root, said).spec
    assert spec.target_dir == "library/live"
    assert [(file.path, file.size, file.sha256) for file in spec.files] == [
        ("live/01.flac", 12, DIGEST),
        ("02.flac", 12, DIGEST),
    ]
    assert spec.files[0].sources == (
        UrlSource(url="https://m0.example/live/01.flac"),
        UrlSource(url="https://m1.example/live/01.flac"),
    )


def test_a_person_reads_what_was_chosen(root):
    """Few lines, however long the Metalink is; what a stranger wrote is escaped."""
    document = metalink(*(linked(f"{n:02}.flac") for n in range(30)), linked("a&#x202e;b"))
    text = new(root, "--metalink", "-", standard_input=document, as_json=False)
    assert "30 of 31 files, into library" in text
    assert "  00.flac: 12 bytes, from 1 mirror: m0.example" in text
    assert "  and 11 more" in text
    assert "left out: a\\u202eb: its name holds characters that cannot be seen" in text
    assert len(text.splitlines()) < 30


def test_what_standard_input_lists_is_called_as_its_first_file(root):
    """There is no better name; the same twice is refused."""
    said = new(root, "--metalink", "-", standard_input=metalink(linked("live/01.flac")))
    assert said["path"] == "jobs/active/live.yml"
    with pytest.raises(InvalidInputError, match="is there already"):
        new(root, "--metalink", "-", standard_input=metalink(linked("live/01.flac")))


def test_many_mirrors_give_way_to_many_files(root):
    """A manifest has a bound: fewer mirrors of each file are better than no manifest."""
    long = "x" * 200
    many = metalink(*(linked(f"{long}{n}", mirrors=20) for n in range(60)))
    said = new(root, "--metalink", "-", standard_input=many)
    assert said["tracks"] == 60
    assert (root / said["path"]).stat().st_size <= MANIFEST_BYTES_MAX
    assert {len(file.sources) for file in manifest_of(root, said).spec.files} == {8}
    assert f"{long}0: 12 more mirrors, beyond the first 8" in said["skipped"]
    too_many = metalink(*(linked(f"{long}{n}") for n in range(500)))
    with pytest.raises(InvalidInputError, match="500 files with their mirrors are more than one manifest holds"):
        new(root, "--metalink", "-", standard_input=too_many)


def test_piece_hashes_go_into_the_manifest_while_there_is_room(root):
    """Each on a line of its own; without them the whole is still proven by its SHA-256."""
    hashes = f"<hash>{DIGEST}</hash>"
    one = f'<file name="a"><size>1000000</size><hash type="sha-256">{DIGEST}</hash><url>http://a.example/a</url>'
    few = f'<pieces length="500000" type="sha-256">{hashes * 2}</pieces></file>'
    said = new(root, "--metalink", "-", standard_input=metalink(one + few))
    (file,) = manifest_of(root, said).spec.files
    assert file.pieces == Pieces(length_bytes=500_000, sha256=(DIGEST, DIGEST))
    assert f'        - "{DIGEST}"\n' in (root / said["path"]).read_text()
    large = one.replace("1000000", str(4000 * 65_536)).replace('name="a"', 'name="b"')
    many = f'<pieces length="65536" type="sha-256">{hashes * 4000}</pieces></file>'
    said = new(root, "--metalink", "-", standard_input=metalink(large + many))
    assert manifest_of(root, said).spec.files[0].pieces is None
    assert said["skipped"] == ["b: the sha-256 hashes of its pieces are not used: the manifest has no room for them"]


def test_a_bad_metalink_is_refused_with_its_place(root):
    """And nothing is written."""
    (root / "bad.meta4").write_text("<metalink\n>")
    with pytest.raises(InvalidInputError, match=r"bad\.meta4:1:1: is no Metalink"):
        new(root, "--metalink", str(root / "bad.meta4"))
    with pytest.raises(InvalidInputError, match=r"can be fetched: \.\./x: its name holds"):
        new(root, "--metalink", "-", standard_input=metalink(linked("../x")))
    with pytest.raises(InvalidInputError, match="it lists no file"):
        new(root, "--metalink", "-", standard_input=metalink())
    assert list((root / "jobs" / "active").iterdir()) == []


def test_a_file_is_described_by_options(root):
    """Mirrors, an overlay peer, hashes, recording; its name is the first address's unless it is said."""
    peer = f"{'A' * 43}@peer.example:7443"
    said = new(
        root,
        *("--url", "https://a.example/live/The%20Opening.flac?x=1", "--url", "http://b.example/o"),
        *("--overlay", peer, "--size", "12", "--sha256", DIGEST.upper(), "--merkle-root", "ab" * 32),
        *("--chunk-hashes", "https://a.example/o.chunks"),
        *("--recording", f"https://musicbrainz.org/recording/{RECORDING}"),
    )
    assert said["path"] == "jobs/active/The Opening.flac.yml"
    (file,) = manifest_of(root, said).spec.files
    assert (file.path, file.size, file.sha256, file.root) == ("The Opening.flac", 12, DIGEST, "ab" * 32)
    assert (file.chunk_hashes, file.mb_recording_id) == ("https://a.example/o.chunks", RECORDING)
    assert [source.url for source in file.sources[:2]] == [
        "https://a.example/live/The%20Opening.flac?x=1",
        "http://b.example/o",
    ]
    assert (file.sources[2].host, file.sources[2].port) == ("peer.example", 7443)


def test_a_file_without_a_server_is_looked_for_in_the_overlay(root):
    """Where its root is known."""
    said = new(root, "--size", "12", "--merkle-root", DIGEST, "--path", "live/01.flac")
    (file,) = manifest_of(root, said).spec.files
    assert (file.path, file.sources) == ("live/01.flac", ())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "nothing says which file"),
        (["--url", "https://a.example/x"], "nothing says which file"),
        (["--url", "https://a.example/x", "--size", "12", "--location", "de"], "--location chooses among the mirrors"),
        (["--url", "https://a.example/x", "--size", "12"], "neither `root` nor `sha256`"),
        (["--url", "https://a.example/x", "--size", "12", "--sha256", "ab"], "is not 64 hex digits"),
        (["--url", "ftp://a.example/x", "--size", "12", "--sha256", DIGEST], "is not an http:// or https:// URL"),
        (
            ["--url", "https://a.example/", "--size", "12", "--sha256", DIGEST],
            "no address says what the file is called",
        ),
        (["--url", "https://[a/", "--size", "12", "--sha256", DIGEST], "no address says what the file is called"),
        (["--path", "a", "--size", "12", "--sha256", DIGEST], "no overlay peer can be asked"),
        (["--path", "../a", "--size", "12", "--merkle-root", DIGEST], "holds `..`"),
        (["--recording", "x", "--size", "12", "--merkle-root", DIGEST], "holds no MusicBrainz id"),
        (["--metalink", "-", "--size", "12"], "says everything about its files"),
        (["--metalink", "-", "--url", "https://a.example/x"], "says everything about its files"),
    ],
)
def test_options_that_make_no_manifest_are_refused(root, words, says):
    """In words that say what to give; nothing is written."""
    with pytest.raises(InvalidInputError) as refused:
        new(root, *words)
    assert says in refused.value.message
    assert refused.value.hint
    assert list((root / "jobs" / "active").iterdir()) == []
