"""Manifests that are taken in: what is written, what is left, and what is said; and the way out again."""

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_manifests import ALBUM, JOB, MBID, ODD

from reconciler.errors import FileBusyError, InvalidInputError, NotFoundError
from reconciler.ids import JobId, is_job_id
from reconciler.manifests.configuration import read_configuration
from reconciler.manifests.files import read_file
from reconciler.manifests.read import MANIFEST_BYTES_MAX, read_manifest
from reconciler.manifests.splice import without_status
from reconciler.reconcile.exports import export_job, save_export, save_exported
from reconciler.reconcile.here import Here
from reconciler.reconcile.imports import import_manifests
from reconciler.reconcile.incoming import Incoming, incoming_file, incoming_in
from reconciler.reconcile.listing import mark_at
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.policy import policy_of
from reconciler.reconcile.turns import PATIENCE_S, turn_in
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.sightings import CompletedManifest, Sighting, SightingStore

OTHER = "01HRQ4GSX9K47J7M5FK7VW8B13"
NAMED = ALBUM.replace(b"job_type", f"job_id: {JOB}   # mine\njob_type".encode(), 1)
EDITED = NAMED.replace(b"Loomer", b"Sometimes")
STATUS = b"status:\n  state: running\n  completed_tracks: [1]\n"


class Now:
    """A moment that stays."""

    def wall(self):
        return 1_800_000_000.0

    def monotonic(self):
        return 0.0


class Root:
    """A root folder, and what a daemon has stored of it, if one has worked there."""

    def __init__(self, path, database=None):
        for name in ("active", "completed"):
            (path / "jobs" / name).mkdir(parents=True)
        self.folders = Folders(root=path)
        self.active = self.folders.active
        self.jobs = JobStore(database) if database is not None else None
        self.sightings = SightingStore(database) if database is not None else None

    def here(self):
        return Here(self.folders, sightings=self.sightings)

    @property
    def places(self):
        """What a root folder without a configuration allows."""
        settings = read_configuration(b"{}\n", {})
        return policy_of(settings, root=PurePosixPath(self.folders.root), hostname="here").places

    def take(self, *offers):
        """Import data, or whole offers."""
        given = [each if isinstance(each, Incoming) else Incoming(source="it", data=each) for each in offers]
        dice = random.Random(5)
        return self.take_each(given, dice.randbytes)

    def take_each(self, offers, entropy=os.urandom):
        """Import offers as they come."""
        return import_manifests(
            offers,
            folders=self.folders,
            sightings=self.sightings,
            places=self.places,
            clock=Now(),
            entropy=entropy,
        )

    def export(self, job_id=JOB):
        return export_job(JobId(job_id), here=self.here(), jobs=self.jobs)

    def texts(self):
        return {path.name: path.read_bytes() for path in self.active.iterdir()}


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "root")


@pytest.fixture
def served(tmp_path):
    """A root folder in which a daemon has worked."""
    database = Database.open(tmp_path / "state" / "reconciler.db")
    yield Root(tmp_path / "served", database)
    database.close()


def test_a_manifest_comes_in_without_the_status_of_another_daemon(root):
    """Under its own name and id, byte for byte; what its status said is told, not kept."""
    (outcome,) = root.take(Incoming(source="/mnt/loveless.yml", name="loveless.yml", data=NAMED + STATUS))
    assert (outcome.result, outcome.job_id, outcome.path) == ("imported", JOB, "jobs/active/loveless.yml")
    assert str(outcome.was) == "running, 1 track"
    assert root.texts() == {"loveless.yml": NAMED}


def test_the_same_again_changes_nothing_and_says_so(root):
    """Named or not, with another status, finished or not."""
    root.take(NAMED, ALBUM)
    before = root.texts()
    again = root.take(NAMED + STATUS, ALBUM)
    assert [(outcome.result, outcome.notes) for outcome in again] == [("unchanged", ()), ("unchanged", ())]
    assert again[1].job_id is not None
    assert is_job_id(again[1].job_id)
    assert root.texts() == before
    for name in before:
        (root.active / name).rename(root.folders.completed / name)
    finished = root.take(NAMED, ALBUM)
    assert [outcome.path.split("/")[1] for outcome in finished] == ["completed", "completed"]
    assert all("it has ended here" in outcome.notes[0] for outcome in finished)
    assert root.texts() == {}


def test_an_id_that_is_taken_gives_way_to_a_new_one_once(root):
    """The other job stays as it is; the new id follows from the two, so that the next import finds it again."""
    (root.active / "mine.yml").write_bytes(NAMED)
    (outcome,) = root.take(EDITED)
    assert outcome.result == "imported"
    assert outcome.offered_id == JOB != outcome.job_id
    assert outcome.notes == (f"{JOB} is another job here, so it was given the id {outcome.job_id}",)
    assert root.texts() == {
        "mine.yml": NAMED,
        f"{outcome.job_id}.yml": EDITED.replace(JOB.encode(), outcome.job_id.encode()),
    }
    (again,) = root.take(EDITED)
    assert (again.result, again.job_id, again.path) == ("unchanged", outcome.job_id, outcome.path)
    assert again.notes == (f"{JOB} is another job here; this one came in before, as {outcome.job_id}",)
    # What came in is edited here, and comes in once more: a third job, and again only once.
    edited = root.texts()[f"{outcome.job_id}.yml"].replace(b"Sometimes", b"Blown a Wish")
    (root.active / f"{outcome.job_id}.yml").write_bytes(edited)
    third, fourth = root.take(EDITED, EDITED)
    assert (third.result, fourth.result) == ("imported", "unchanged")
    assert len({JOB, outcome.job_id, third.job_id}) == len(root.texts()) == 3


def test_what_differs_only_in_comments_is_no_other_job(root):
    """It asks for the same; the file here stays, and that is said."""
    root.take(NAMED)
    (outcome,) = root.take(b"# another comment\n" + NAMED)
    assert outcome.result == "unchanged"
    assert outcome.notes == ("comments, layout or created_at differ from the file here, which stays as it is",)


def test_a_batch_goes_on_past_bad_files(root, tmp_path):
    """Mistakes with their places, links, FIFOs and what is too large are refused; the others come in."""
    folder = tmp_path / "from"
    folder.mkdir()
    (folder / "a.yml").write_bytes(NAMED.replace(b"title", b"titel"))
    (folder / "b.yml").symlink_to("/etc/hostname")
    os.mkfifo(folder / "c.yml")
    (folder / "d.yml").write_bytes(b"#" * (MANIFEST_BYTES_MAX + 1))
    (folder / "e.yml").mkdir()
    (folder / "f.yml").write_bytes(NAMED.replace(b"target_dir: library", b"target_dir: /elsewhere"))
    (folder / "g.yml").write_bytes(NAMED)
    (folder / ".hidden.yml").write_bytes(EDITED)
    (folder / "notes.txt").write_bytes(EDITED)
    (folder / "x.sync-conflict-20260101-101010-ABCDEFG.yml").write_bytes(EDITED)
    outcomes = root.take(*incoming_in(folder))
    assert [outcome.result for outcome in outcomes] == ["refused"] * 6 + ["imported"]
    problems = [outcome.problems[0] for outcome in outcomes[:-1]]
    assert (problems[0].line, problems[0].column, problems[0].pointer) == (7, 3, "spec.titel")
    assert problems[1].message.endswith("b.yml is a symbolic link")
    assert (problems[5].line, problems[5].pointer) == (8, "spec.target_dir")
    assert root.texts() == {"g.yml": NAMED}


def test_whatever_is_offered_is_taken_in_or_refused_in_words(root):
    """Every odd manifest there is: what `validate` accepts comes in with its meaning, the rest has a problem."""
    outcomes = root.take(*(Incoming(source=odd.name, data=odd.data) for odd in ODD))
    for odd, outcome in zip(ODD, outcomes, strict=True):
        if odd.said is not None or outcome.result == "refused":
            assert outcome.result == "refused", odd.name
            # What only the places of this machine say.
            assert odd.said is not None or outcome.problems[-1].pointer == "spec.target_dir", odd.name
        else:
            written = read_manifest((root.folders.root / outcome.path).read_bytes()).manifest
            assert written.job_id == outcome.job_id
            assert written.spec_digest == read_manifest(odd.data).manifest.spec_digest, odd.name
    assert len({outcome.job_id for outcome in outcomes if outcome.result == "imported"}) == len(root.texts())


def test_a_folder_that_is_none_is_said_at_once(tmp_path):
    """Nothing to go on with: not a table of nothing."""
    with pytest.raises(NotFoundError, match="cannot be listed"):
        list(incoming_in(tmp_path / "nowhere"))
    with pytest.raises(NotFoundError, match="is not there"):
        incoming_file(tmp_path / "nowhere.yml")
    with pytest.raises(NotFoundError, match="jobs/active cannot be listed"):
        Here(Folders(root=tmp_path), sightings=None)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../../up.yml",
        "/etc/x.yml",
        ".hidden.yml",
        "a\nb.yml",
        "x.txt",
        "n" * 250 + ".yml",
        f"{OTHER}.yml",
        "\udcff.yml",
    ],
)
def test_a_name_that_is_no_name_for_it_is_not_used(root, name):
    """Hostile, hidden, too long, or the id of another job: its own id names the file."""
    (outcome,) = root.take(Incoming(source="it", name=name, data=NAMED))
    assert outcome.path == f"jobs/active/{JOB}.yml"
    assert root.texts() == {f"{JOB}.yml": NAMED}


def test_nothing_is_written_over_whatever_has_the_name(root, tmp_path):
    """A file, a folder, a link to nothing: the next name is taken."""
    (root.active / "x.yml").write_bytes(b"# not finished\n")
    (root.active / f"{JOB}.yml").symlink_to(tmp_path / "nothing")
    (root.active / f"{JOB} (2).yml").mkdir()
    (outcome,) = root.take(Incoming(source="it", name="x.yml", data=NAMED))
    assert outcome.path == f"jobs/active/{JOB} (3).yml"
    assert (root.active / "x.yml").read_bytes() == b"# not finished\n"
    assert not (tmp_path / "nothing").exists()


def test_who_takes_in_the_same_meanwhile_is_noticed(root):
    """Between the look and the write somebody else is quicker with the very job: it is here already."""

    def offers():
        (root.active / "x.yml").write_bytes(NAMED)
        yield Incoming(source="it", name="x.yml", data=NAMED)

    (outcome,) = root.take_each(offers())
    assert (outcome.result, outcome.path) == ("unchanged", "jobs/active/x.yml")
    assert len(root.texts()) == 1


def test_two_that_take_in_the_same_wish_at_once_make_one_job(root):
    """Without an id there is nothing else to know it by: the second waits its turn, and finds it here."""
    many = 4
    begin = threading.Barrier(many)

    def take(_):
        begin.wait()
        return root.take_each([Incoming(source="it", data=ALBUM)])[0].result

    with ThreadPoolExecutor(many) as pool:
        results = sorted(pool.map(take, range(many)))
    assert results == ["imported", *["unchanged"] * (many - 1)]
    assert len(root.texts()) == 1


def test_who_does_not_come_to_an_end_is_not_waited_for(root):
    """Another process takes in a hundred thousand: that is said, after a while."""
    waited = []
    busy = pytest.raises(FileBusyError, match="others take manifests into")
    with turn_in(root.active), busy, turn_in(root.active, pause=waited.append):
        pytest.fail("two at a time")
    assert sum(waited) == pytest.approx(PATIENCE_S)
    with turn_in(root.active, pause=waited.append):
        pass


def test_who_depends_on_a_job_that_has_another_id_here_is_told(root):
    """The file is not changed: whether the old id or the new one is meant, only a person knows."""
    (root.active / "mine.yml").write_bytes(NAMED)
    needing = EDITED.replace(JOB.encode(), OTHER.encode()).replace(
        b"spec:\n", f"spec:\n  depends_on: [{JOB}]\n".encode()
    )
    outcome, other = root.take(needing, EDITED)
    assert outcome.notes == (
        f"it depends on {JOB}, which is another job here; the one that came with it is {other.job_id}",
    )
    assert root.texts()[f"{OTHER}.yml"] == needing


def test_a_job_that_rests_goes_on_resting(root):
    """What a person wrote counts, and how to let it go on is said."""
    (outcome,) = root.take(NAMED.replace(b"spec:\n", b"spec:\n  suspend: true\n"))
    assert outcome.notes == (f"it rests until `reconciler job resume {JOB}`, or until the time that it says",)


def test_what_a_daemon_has_seen_is_not_read_and_still_known(served):
    """An unchanged file counts by its mark; one that was edited since says itself which job it has."""
    for name, data, folder in (("a.yml", NAMED, "active"), ("b.yml", EDITED, "completed")):
        path = served.folders.root / "jobs" / folder / name
        path.write_bytes(data.replace(JOB.encode(), OTHER.encode()) if folder == "completed" else data)
    seen = Sighting(
        path="jobs/active/a.yml", mark=mark_at(served.active / "a.yml"), job_id=JobId(JOB), waits_for="time"
    )
    done = served.folders.completed / "b.yml"
    other = CompletedManifest(path="jobs/completed/b.yml", mark=mark_at(done), job_id=JobId(OTHER))
    served.sightings.put([seen], completed=[other])
    assert served.here().beginning_with("01hrq4") == [JOB, OTHER]
    assert [holder.path for holder in served.here().holders(JobId(OTHER))] == ["jobs/completed/b.yml"]
    (served.active / "a.yml").write_bytes(NAMED.replace(JOB.encode(), b"01HRQ4GSX9K47J7M5FK7VW8B14"))
    done.unlink()
    assert served.here().beginning_with("") == ["01HRQ4GSX9K47J7M5FK7VW8B14"]


def test_a_wish_without_an_id_is_found_by_what_it_asks_for(served):
    """Where a daemon knows the job that asks for just this, there is no second one."""
    (served.active / "a.yml").write_bytes(NAMED)
    digest, mark = read_manifest(NAMED).manifest.spec_digest, mark_at(served.active / "a.yml")
    served.sightings.put(
        [Sighting(path="jobs/active/a.yml", mark=mark, job_id=JobId(JOB), waits_for="time", spec_digest=digest)]
    )
    (outcome,) = served.take(ALBUM)
    assert (outcome.result, outcome.job_id) == ("unchanged", JOB)
    (served.active / "a.yml").unlink()
    (outcome,) = served.take(ALBUM)
    assert (outcome.result, outcome.job_id == JOB) == ("imported", False)


# ---- the way out -----------------------------------------------------------------------------------------------------


def test_an_export_says_what_the_database_knows_where_the_file_does_not(served):
    """With `status.mode: sidecar` there is no status in the file; the export has one all the same."""
    served.take(Incoming(source="it", name="loveless.yml", data=NAMED))
    manifest = read_manifest(NAMED).manifest
    served.jobs.observe_spec(
        JobId(JOB),
        path="jobs/active/loveless.yml",
        job_type=manifest.job_type,
        spec_digest=manifest.spec_digest,
        now=0.0,
    )
    export = served.export()
    assert export.name == "loveless.yml"
    assert export.data.startswith(NAMED + b"status:\n  state: pending\n")
    # The file's own, where it is of the state that the database has: it says more.
    (served.active / "loveless.yml").write_bytes(NAMED + b"status:\n  state: pending\n  node: nas\n")
    assert served.export().data == NAMED + b"status:\n  state: pending\n  node: nas\n"


def test_a_job_whose_manifest_is_gone_can_still_be_exported(served):
    """What the daemon acted on last is kept in the database."""
    manifest = read_manifest(NAMED).manifest
    served.jobs.observe_spec(
        JobId(JOB), path="jobs/active/a.yml", job_type=manifest.job_type, spec_digest=manifest.spec_digest, now=0.0,
        document=NAMED,
    )  # fmt: skip
    export = served.export()
    assert without_status(export.data) == NAMED
    assert export.name == "a.yml"
    assert "is gone" in export.notes[0]
    with pytest.raises(NotFoundError):
        served.export(OTHER)


def test_only_an_older_export_of_the_same_job_is_replaced(root, tmp_path):
    """A file of anybody else's stays, and so does what a link leads to."""
    root.take(Incoming(source="it", name="x.yml", data=NAMED))
    export = root.export()
    path, changed = save_exported(export, root.folders)
    assert (path, changed) == (root.folders.exported / "x.yml", True)
    assert save_exported(export, root.folders) == (path, False)
    path.write_bytes(EDITED)
    assert save_exported(export, root.folders) == (path, True)
    assert path.read_bytes() == NAMED
    path.write_bytes(NAMED.replace(JOB.encode(), OTHER.encode()))
    assert save_exported(export, root.folders) == (root.folders.exported / f"{JOB}.yml", True)
    (tmp_path / "mine.txt").write_bytes(b"mine")
    (tmp_path / "link.yml").symlink_to(path)
    for taken in (tmp_path / "mine.txt", tmp_path / "link.yml"):
        with pytest.raises(InvalidInputError):
            save_export(export, taken)
    assert (tmp_path / "mine.txt").read_bytes() == b"mine"


CONSTRAINTS = st.fixed_dictionaries(
    {},
    optional={
        "allow_lossy": st.sampled_from(["false", "true"]),
        "prefer_canonical": st.just("false"),
        "use_overlay": st.just("false"),
        "overlay_bandwidth_kbps": st.sampled_from(["0", "3000"]),
        "max_lossy_tracks_per_album": st.sampled_from(["0", "2"]),
        "min_bitrate_kbps": st.just("0"),
        "duration_tolerance_ms": st.just("0"),
    },
)
COMMENT = st.sampled_from(["", "   # mine", "\n  # a line of its own", "\n\n"])
TITLE = st.sampled_from(["Yes", "4:02", '"1999"', "'it''s'", "010", "\U0001f3b5", "|-\n        two"])


@st.composite
def manifests(draw):
    """A manifest as people write them: comments, blank lines, quotes, line ends, false and nought."""
    lines = [draw(COMMENT).strip(" \n") or "# first", 'manifest_version:   "1.0"' + draw(COMMENT)]
    lines += [f"job_id: {JOB}" + draw(COMMENT), "job_type: mb_release"]
    lines += draw(st.sampled_from([[], ["labels: {}"], ["created_at: 2025-12-10T15:30:00Z   # once"]]))
    lines += ["spec:" + draw(COMMENT), f"  mb_release_id: {MBID}", "  target_dir:   library"]
    lines += draw(st.sampled_from([[], ["  priority: 0"], ["  retry: {limit: 0}"]]))
    lines += ["  tracks:"]
    for position in range(1, draw(st.integers(1, 3)) + 1):
        lines += [f"  -   position: {position}", f"      title: {draw(TITLE)}", f"      mb_recording_id: {MBID}"]
    given = draw(CONSTRAINTS)
    lines += (
        ["  constraints:" + draw(st.sampled_from(["", "   # c"])), *(f"    {n}:  {v}" for n, v in given.items())]
        if given
        else []
    )
    status = draw(
        st.sampled_from([[], ["status:", "  state: failed", "  failed_tracks: [1]"], ["status: {state: completed}"]])
    )
    tail = draw(st.sampled_from([[], ["# the end"], ["reconcile_requested_at: x"]]))
    text = draw(st.sampled_from(["\n", "\r\n"])).join("\n".join([*lines, *status, *tail]).split("\n"))
    last = draw(st.sampled_from(["", "\r\n" if "\r\n" in text else "\n"]))
    return draw(st.sampled_from(["", "\ufeff"])).encode() + (text + last).encode()


@settings(max_examples=40, deadline=None)
@given(manifests())
def test_out_in_and_out_again_is_equal_but_for_id_and_status(tmp_path_factory, data):
    """Every byte outside the status; and where the id is taken there, every byte but the id as well."""
    first, second, third = (Root(tmp_path_factory.mktemp("root")) for _ in range(3))
    assert read_manifest(data).manifest is not None
    (first.active / "x.yml").write_bytes(data)
    out = first.export()
    assert out.data == data
    (outcome,) = second.take(Incoming(source="it", name=out.name, data=out.data))
    again = second.export(outcome.job_id)
    assert again.data == read_file(second.active / "x.yml").data == without_status(data)
    (third.active / "other.yml").write_bytes(NAMED)
    (outcome,) = third.take(Incoming(source="it", name=again.name, data=again.data))
    assert third.export(outcome.job_id).data == again.data.replace(JOB.encode(), outcome.job_id.encode())
