"""The four kinds of wishes and the directives they share: what each field becomes, and what is wrong with it."""

import pytest

from reconciler.manifests.model import (
    Constraints,
    Directives,
    DiscographySpec,
    JobType,
    LabelCrateSpec,
    Manifest,
    MbReleaseSpec,
    MultiSourceSpec,
    NodeSelector,
    Pieces,
    RetryDirective,
    SoulseekSource,
    Suspend,
    UrlSource,
)
from reconciler.manifests.read import read_manifest

MBID = "c0d0c0a4-4a26-4d74-9c02-67c9321b3b22"
JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"
OTHER = "01HRQ4GSX9K47J7M5FK7VW8B13"
PEER = "A" * 43
NO_MBID = "is not a MusicBrainz id, copy the 36 characters at the end of its MusicBrainz address"
HEX = "ab" * 32

SPECS = {
    "mb_release": f"  mb_release_id: {MBID}\n  target_dir: library\n",
    "discography": f"  artist_id: {MBID}\n  profile: core\n  target_dir: library\n",
    "label_crate": f"  label_id: {MBID}\n  limit: 20\n  order: newest\n  target_dir: library\n",
    "multi_source": f"  target_dir: library\n  files: [{{path: a.flac, size: 1, root: {HEX}}}]\n",
}


def written(job_type: str, more: str = "", *, head: str = "", spec: str | None = None) -> bytes:
    """A manifest of the least that its kind needs, with `more` fields in its spec and `head` before it."""
    body = SPECS[job_type] if spec is None else spec
    return f"manifest_version: 1.0\njob_type: {job_type}\n{head}spec:\n{body}{more}".encode()


def accepted(data: bytes) -> Manifest:
    """The manifest of a file in which nothing is wrong."""
    parsed = read_manifest(data)
    assert parsed.problems == ()
    assert parsed.manifest is not None
    return parsed.manifest


def said_of(data: bytes) -> list[str]:
    """What is wrong, without the places."""
    return [str(problem).partition(": ")[2] for problem in read_manifest(data).problems]


@pytest.mark.parametrize("tracks", ["", "  tracks: all\n", "  tracks: 'all'\n"])
def test_a_release_without_a_list_means_all_of_it(tracks: str):
    """Left out and `all` are the same wish: every track, to be looked up."""
    spec = accepted(written("mb_release", tracks)).spec
    assert spec == MbReleaseSpec(mb_release_id=MBID, target_dir="library", tracks=None)


def test_a_discography_becomes_values():
    """Every field arrives; what is left out has its default."""
    assert accepted(written("discography")).spec == DiscographySpec(
        artist_id=MBID, profile="core", target_dir="library"
    )
    more = (
        "  artist_name: 1999\n  min_year: 1988\n  max_year: 1995\n  countries: [GB, XW]\n"
        f"  include_types: [Live, DJ-mix, Bootleg]\n  exclude_release_groups: [{MBID}]\n"
        "  constraints: {allow_lossy: false}\n"
    )
    manifest = accepted(written("discography", more))
    assert manifest.job_type is JobType.DISCOGRAPHY
    assert manifest.spec == DiscographySpec(
        artist_id=MBID,
        artist_name="1999",
        profile="core",
        target_dir="library",
        min_year=1988,
        max_year=1995,
        countries=("GB", "XW"),
        include_types=("Live", "DJ-mix", "Bootleg"),
        exclude_release_groups=(MBID,),
        constraints=Constraints(allow_lossy=False),
    )


def test_a_label_crate_becomes_values():
    """Every field arrives."""
    manifest = accepted(written("label_crate", "  label_name: Creation\n"))
    assert manifest.job_type is JobType.LABEL_CRATE
    assert manifest.spec == LabelCrateSpec(
        label_id=MBID, label_name="Creation", limit=20, order="newest", target_dir="library"
    )


@pytest.mark.parametrize(
    ("written_name", "filename"),
    [
        (r"'@@abc\Loveless\01 Only Shallow.flac'", r"@@abc\Loveless\01 Only Shallow.flac"),
        (r"Music\new\t.flac", r"Music\new\t.flac"),
        ("1999", "1999"),
    ],
)
def test_a_soulseek_source_keeps_the_remote_name_as_it_is(written_name: str, filename: str):
    """The other side compares it byte by byte; backslashes are no escapes here."""
    source = f"{{soulseek: {{username: 007, filename: {written_name}}}}}"
    file = f"{{path: a.flac, size: 1, sha256: {HEX}, sources: [{source}]}}"
    spec = accepted(written("multi_source", spec=f"  target_dir: x\n  files:\n  - {file}\n")).spec
    assert isinstance(spec, MultiSourceSpec)
    assert spec.files[0].sources == (SoulseekSource(username="007", filename=filename),)


@pytest.mark.parametrize("job_type", SPECS)
def test_every_spec_takes_every_directive(job_type: str):
    """Suspend, priority, depends_on, node, retry, desired_state and timeout mean the same everywhere."""
    more = (
        "  suspend: {reason: the disk is full, until: 2026-01-01T00:00:00Z}\n  priority: -7\n"
        f"  depends_on: [{OTHER}]\n  node: attic\n  retry: {{limit: 0, interval: 90, max_interval: 1.5h}}\n"
        "  desired_state: cancelled\n  timeout: 2d\n"
    )
    assert accepted(written(job_type, more, head=f"job_id: {JOB}\n")).directives == Directives(
        suspend=Suspend(reason="the disk is full", until="2026-01-01T00:00:00Z"),
        priority=-7,
        depends_on=(OTHER,),
        node=NodeSelector(name="attic"),
        retry=RetryDirective(limit=0, interval_s=90.0, max_interval_s=5400.0),
        desired_state="cancelled",
        timeout_s=172_800.0,
    )
    assert accepted(written(job_type)).directives == Directives()


@pytest.mark.parametrize(
    ("field", "directives"),
    [
        ("suspend: true", Directives(suspend=Suspend())),
        ("suspend: false", Directives()),
        (
            "suspend: {until: '2026-01-01T00:00:00+01:00'}",
            Directives(suspend=Suspend(until="2026-01-01T00:00:00+01:00")),
        ),
        ("priority: 100", Directives(priority=100)),
        ("node: 7", Directives(node=NodeSelector(name="7"))),
        ("node: {disk: large, room: 2}", Directives(node=NodeSelector(labels={"disk": "large", "room": "2"}))),
        ("retry: {limit: 3}", Directives(retry=RetryDirective(limit=3))),
        ("retry:", Directives()),
        ("desired_state: present", Directives()),
        ("timeout: 90", Directives(timeout_s=90.0)),
        ("timeout: 90s", Directives(timeout_s=90.0)),
        ("timeout: 90m", Directives(timeout_s=5400.0)),
        ("timeout: 0.5h", Directives(timeout_s=1800.0)),
        ("timeout: 365d", Directives(timeout_s=31_536_000.0)),
    ],
)
def test_a_directive_may_be_written_in_several_ways(field: str, directives: Directives):
    """A bare word, a block, a number with or without its unit."""
    assert accepted(written("mb_release", f"  {field}\n")).directives == directives


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (
            "suspend: maybe",
            "suspend: is neither true nor false nor a block of fields, write `true`, or reason and until",
        ),
        ("suspend:", "suspend: is neither true nor false nor a block of fields, write `true`, or reason and until"),
        ("suspend: {}", "suspend: is empty, write `true`, or reason and until"),
        ("suspend: {untill: x}", "suspend.untill: unknown field, did you mean until?"),
        (
            "suspend: {until: friday}",
            "suspend.until: `friday` is not an RFC 3339 time, write 2025-12-10T15:30:00Z",
        ),
        ("priority: 101", "priority: 101 is too large, write 100 or less"),
        ("priority: high", "priority: `high` is not a whole number, write digits only"),
        ("depends_on: []", "depends_on: is empty, give it a value or take the line out"),
        ("depends_on: [x]", "depends_on[0]: `x` is not a ULID, copy the job_id of the other manifest"),
        (f"depends_on: [{OTHER}, {OTHER}]", "depends_on: names something twice, keep one"),
        (f"depends_on: [{OTHER}, {JOB}]", "depends_on[1]: the job depends on itself, take it out"),
        ("node: []", "node: is neither a name nor labels, write the name of a daemon, or labels as `name: value`"),
        ("node: {}", "node: is empty, write the name of a daemon, or labels as `name: value`"),
        ("node: {disk: [a]}", "node.disk: a list is not text, write it on one line"),
        (
            "retry: {interval: 1h, max_interval: 60s}",
            "retry.max_interval: is shorter than interval, exchange the two, or take one out",
        ),
        ("retry: {limit: -1}", "retry.limit: -1 is too small, write 0 or more"),
        ("retry: {interval: soon}", "retry.interval: `soon` is not a duration, write a number with s, m, h or d: 90m"),
        ("retry: 3", "retry: `3` is not a block of fields, write fields as `name: value`"),
        ("desired_state: canceled", "desired_state: `canceled` is unknown, did you mean cancelled?"),
        ("timeout: 0", "timeout: `0` is out of range, write 1s to 365d"),
        ("timeout: 366d", "timeout: `366d` is out of range, write 1s to 365d"),
        ("timeout: 90 M", "timeout: `90 M` is not a duration, write 90m"),
        ("timeout: 1h30m", "timeout: `1h30m` is not a duration, write a number with s, m, h or d: 90m"),
    ],
)
@pytest.mark.parametrize("job_type", SPECS)
def test_a_mistake_in_a_directive_is_named(job_type: str, field: str, said: str):
    """One mistake gives one problem, the same in every kind of spec."""
    assert said_of(written(job_type, f"  {field}\n", head=f"job_id: {JOB}\n")) == [f"spec.{said}"]


@pytest.mark.parametrize(
    ("job_type", "old", "new", "said"),
    [
        ("discography", f"artist_id: {MBID}", "artist_id: mbv", f"artist_id: `mbv` {NO_MBID}"),
        ("discography", "profile: core", "profile: Core", "profile: `Core` is unknown, did you mean core?"),
        ("discography", "  profile: core\n", "", "profile: is missing, add `profile:`"),
        (
            "discography",
            "profile: core",
            "profile: all\n  min_year: 1995\n  max_year: 1988",
            "max_year: is earlier than min_year, exchange the two",
        ),
        (
            "discography",
            "profile: core",
            "profile: all\n  min_year: 88",
            "min_year: 88 is too small, write 1000 or more",
        ),
        (
            "discography",
            "profile: core",
            "profile: all\n  countries: [UK]",
            "countries[0]: `UK` is not the code of the United Kingdom, write GB",
        ),
        (
            "discography",
            "profile: core",
            "profile: all\n  countries: [jp]",
            "countries[0]: `jp` is not a country code, write JP",
        ),
        (
            "discography",
            "profile: core",
            "profile: all\n  countries: [Japan]",
            "countries[0]: `Japan` is not a country code, write GB, JP, XW",
        ),
        (
            "discography",
            "profile: core",
            "profile: all\n  include_types: [live]",
            "include_types[0]: `live` is unknown, did you mean Live?",
        ),
        (
            "discography",
            "profile: core",
            "profile: all\n  include_types: [dj mix]",
            "include_types[0]: `dj mix` is unknown, did you mean DJ-mix?",
        ),
        (
            "discography",
            "profile: core",
            "profile: all\n  exclude_release_groups: [x]",
            f"exclude_release_groups[0]: `x` {NO_MBID}",
        ),
        (
            "discography",
            "profile: core",
            "profile: all\n  artist: MBV",
            "artist: unknown field, did you mean artist_id?",
        ),
        ("label_crate", "limit: 20", "limit: 0", "limit: 0 is too small, write 1 or more"),
        ("label_crate", "limit: 20", "limit: 1001", "limit: 1001 is too large, write 1000 or less"),
        ("label_crate", "  limit: 20\n", "", "limit: is missing, add `limit:`"),
        ("label_crate", "order: newest", "order: new", "order: `new` is unknown, did you mean newest?"),
        (
            "label_crate",
            "order: newest",
            "order: random",
            "order: `random` is unknown, known here: popularity, newest, oldest",
        ),
        (
            "mb_release",
            "target_dir: library",
            "target_dir: library\n  file: x",
            "file: unknown field, did you mean title?",
        ),
    ],
)
def test_a_mistake_in_a_spec_is_named(job_type: str, old: str, new: str, said: str):
    """One mistake gives one problem, word for word."""
    assert old in SPECS[job_type]
    assert said_of(written(job_type, spec=SPECS[job_type].replace(old, new))) == [f"spec.{said}"]


QUESTION = (
    "no overlay peer can be asked for a file by its `sha256` alone, "
    "give `root` or `mb_recording_id`, or a source with a `url`"
)
OVERLAY = f'{{overlay: "{PEER}@host:1"}}'


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (f"sha256: {HEX}, sources: [{OVERLAY}]", [f"spec.files[0]: {QUESTION}"]),
        (f"sha256: {HEX}", [f"spec.files[0]: {QUESTION}"]),
        (f"sha256: {HEX}, sources: []", [f"spec.files[0]: {QUESTION}"]),
        (f"sha256: {HEX}, mb_recording_id: {MBID}, sources: [{OVERLAY}]", []),
        (f"sha256: {HEX}, root: {HEX}, sources: [{OVERLAY}]", []),
        (f"sha256: {HEX}, sources: [{OVERLAY}, {{url: 'https://example.org/'}}]", []),
        (f"sha256: {HEX}, sources: [{{soulseek: {{username: a, filename: b}}}}]", []),
        ("sources: []", ["spec.files[0]: has neither `root` nor `sha256`, give `root` or `sha256`"]),
        (
            f"root: {HEX}, sources: [{{soulseek: {{username: a}}}}]",
            ["spec.files[0].sources[0].soulseek.filename: is missing, add `filename:`"],
        ),
        (
            f"root: {HEX}, sources: [{{soulseek: a}}]",
            ["spec.files[0].sources[0].soulseek: `a` is not a block of fields, write fields as `name: value`"],
        ),
        (
            f"root: {HEX}, sources: [{{url: 'https://e.org/', soulseek: {{username: a, filename: b}}}}]",
            ["spec.files[0].sources[0]: has 2 fields instead of one, give one of url, overlay, soulseek"],
        ),
    ],
)
def test_a_file_needs_somebody_who_can_be_asked_for_it(fields: str, said: list[str]):
    """Overlay peers know roots and recordings; a SHA-256 alone is a question for nobody but a server with its URL."""
    spec = f"  target_dir: x\n  files:\n  - {{path: a.flac, size: 1, {fields}}}\n"
    assert said_of(written("multi_source", spec=spec)) == said


@pytest.mark.parametrize(
    ("job_type", "hint"),
    [
        ("discographie", "did you mean discography?"),
        ("Discography", "did you mean discography?"),
        ("everything", "known here: mb_release, discography, label_crate, multi_source"),
    ],
)
def test_a_misspelt_job_type_hides_no_other_problem(job_type: str, hint: str):
    """The rest is held against what was meant: by the name, or where that helps not, by the fields."""
    text = f"manifest_version: 1.0\njob_type: {job_type}\nspec: {{artist_id: x, profil: core, target_dir: ../x}}\n"
    said = said_of(text.encode())
    assert said[0] == f"job_type: `{job_type}` is unknown, {hint}"
    assert [each.partition(":")[0] for each in said[1:]] == [
        "spec.profile",
        "spec.artist_id",
        "spec.profil",
        "spec.target_dir",
    ]


def test_a_missing_job_type_hides_no_other_problem():
    """The fields tell which kind was meant, as long as only one kind has such fields."""
    said = said_of(b"manifest_version: 1.0\nspec: {files: [], target_dir: x}\n")
    assert said == [
        "job_type: is missing, add `job_type:`",
        "spec.files: No files specified, list the files with path, size and root or sha256",
    ]
    undecided = said_of(b"manifest_version: 1.0\nspec: {files: [], artist_id: x}\n")
    assert undecided == ["job_type: is missing, add `job_type:`"]


def test_a_child_names_its_owner():
    """A manifest that a discography wrote says so; nothing owns itself."""
    assert accepted(written("mb_release", head=f"owner: {JOB}\n")).owner == JOB
    assert accepted(written("mb_release")).owner is None
    assert said_of(written("mb_release", head=f"job_id: {JOB}\nowner: {JOB}\n")) == [
        "owner: the job owns itself, take the line out"
    ]


def test_asking_for_another_try_is_no_other_wish():
    """The text is anything short; the digest, and so the generation, stays."""
    plain = accepted(written("mb_release"))
    asked = accepted(written("mb_release", head="reconcile_requested_at: 2025-12-11\n"))
    assert (plain.reconcile_requested_at, asked.reconcile_requested_at) == ("", "2025-12-11")
    assert asked.spec_digest == plain.spec_digest
    assert accepted(written("mb_release", "  priority: 1\n")).spec_digest != plain.spec_digest
    assert said_of(written("mb_release", head=f"reconcile_requested_at: {'x' * 65}\n")) == [
        "reconcile_requested_at: is longer than 64 characters, shorten it"
    ]


@pytest.mark.parametrize(
    ("version", "severity"), [("1.0", "error"), ("1.1", "warning"), ("1.27", "warning"), ("1.999999", "warning")]
)
@pytest.mark.parametrize("job_type", SPECS)
def test_a_later_minor_version_may_know_more_fields(job_type: str, version: str, severity: str):
    """Unknown fields, wherever they stand, are warned about and left alone; the rest is read as ever."""
    data = written(job_type, "  shiny: 1\n  constraints: {sparkle: x}\n", head="glitter: y\n")
    parsed = read_manifest(data.replace(b"1.0", version.encode(), 1))
    assert [(p.pointer, p.severity) for p in parsed.problems] == [
        ("glitter", severity),
        ("spec.shiny", severity),
        ("spec.constraints.sparkle", severity),
    ]
    assert (parsed.manifest is None) == (severity == "error")


def test_a_later_minor_version_may_not_change_what_is_known():
    """A field that is known and wrong is wrong in every version."""
    data = written("mb_release", "  priority: 101\n").replace(b"1.0", b"1.5", 1)
    assert said_of(data) == ["spec.priority: 101 is too large, write 100 or less"]
    assert read_manifest(data).manifest is None


def test_a_kind_of_source_that_only_a_later_version_knows_is_passed_over():
    """The file is looked for where this version can."""
    file = f"{{path: a.flac, size: 1, root: {HEX}, sources: [{{torrent: x}}, {{url: 'https://example.org/'}}]}}"
    data = written("multi_source", spec=f"  target_dir: x\n  files: [{file}]\n").replace(b"1.0", b"1.5", 1)
    parsed = read_manifest(data)
    assert [(p.pointer, p.severity) for p in parsed.problems] == [("spec.files[0].sources[0].torrent", "warning")]
    assert parsed.manifest is not None
    assert isinstance(parsed.manifest.spec, MultiSourceSpec)
    assert parsed.manifest.spec.files[0].sources == (UrlSource(url="https://example.org/"),)


def pieces_spec(pieces: str, *, size: int = 100_000) -> str:
    """One file with hashes of its pieces."""
    return f"  target_dir: library\n  files: [{{path: a.bin, size: {size}, root: {HEX}, pieces: {{{pieces}}}}}]\n"


def test_piece_hashes_of_a_file_are_read():
    """One for each piece, the last of which may be shorter."""
    spec = accepted(written("multi_source", spec=pieces_spec(f"length: 65536, sha256: [{HEX}, {HEX}]"))).spec
    assert isinstance(spec, MultiSourceSpec)
    assert spec.files[0].pieces == Pieces(length_bytes=65_536, sha256=(HEX, HEX))


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        (f"length: 65536, sha256: [{HEX}]", "has 1 hashes, and 100000 bytes in pieces of 65536 are 2, copy them whole"),
        (f"length: 65536, sha256: [{HEX}, {HEX}, {HEX}]", "has 3 hashes"),
        (f"length: 16383, sha256: [{HEX}]", "16383 is too small"),
        (f"length: many, sha256: [{HEX}]", "is not a whole number"),
        ("length: 65536, sha256: []", "sha256: "),
        ("length: 65536, sha256: [ab, ab]", "is not 64 hex digits"),
        ("length: 65536", "sha256"),
        (f"length: 65536, sha1: [], sha256: [{HEX}, {HEX}]", "unknown field"),
    ],
)
def test_piece_hashes_that_do_not_fit_are_refused(pieces: str, says: str):
    """Nobody is to find out when the file is here."""
    said = said_of(written("multi_source", spec=pieces_spec(pieces)))
    assert says in said[0], said
