"""Discographies and label crates through the loop: the manifests that they write, and what becomes of those."""

import textwrap

import pytest
from reconcile_builders import JOB, chosen, mbid, resolved_release, resolved_releases, track
from reconcile_world import Script, job_id_of

from reconciler.errors import ExitCode
from reconciler.ids import derived_job_id
from reconciler.manifests.model import JobState
from reconciler.manifests.read import read_manifest
from reconciler.reconcile.observed import Failure


def wish(profile="core", *, extra=""):
    """Everything of artist 1."""
    return textwrap.dedent(f"""\
        manifest_version: "1.0"
        job_id: {JOB}
        created_at: 2025-12-10T15:30:00Z
        job_type: discography
        labels: {{shelf: shoegaze}}
        spec:
          artist_id: {mbid(1)}
          profile: {profile}
          target_dir: library
        """) + textwrap.indent(extra, "  ")


def child(number):
    """The id of the job for release `number`."""
    return derived_job_id(JOB, mbid(1000 + number))


class Shelf:
    """Answers look-ups by what is asked: so many releases of the artist for a profile, two tracks of each."""

    def __init__(self, world, **profiles):
        self.world, self.profiles = world, profiles
        self.asked = []
        self.under_way = 0

    def begin(self, look):
        """In place of the script's."""
        self.asked.append(look)
        if look.wish is not None:
            answer = resolved_releases(*self.profiles[look.wish.profile])
        else:
            number = int(look.subject.mbid[-12:])
            tracks = (track(1, mb_recording_id=mbid(number * 10 + 1)), track(2, mb_recording_id=mbid(number * 10 + 2)))
            answer = resolved_release(*tracks, asked=number)
        self.under_way += 1
        self.world.lookups.busy = True
        self.world.resolutions.put(look.job_id, look.generation, answer)
        self.world.time.plan(self.world.time.now + 0.1, lambda: self._end(look.job_id))

    def _end(self, job_id):
        self.under_way -= 1
        self.world.lookups.busy = bool(self.under_way)
        self.world.reconciler.on_change(job_id)


@pytest.fixture
def shelf(world):
    made = Shelf(world, core=(2, 3), extended=(2, 3, 4, 5))
    world.lookups.begin = made.begin
    return made


def restarted(world, shelf):
    world.restart()
    world.lookups.begin = shelf.begin


def state(world, number):
    record = world.store.get(child(number))
    return record.state if record is not None else None


def fetched(world):
    """Every recording that the engine was ever told to fetch."""
    return [each.want.recording for order in world.engine.orders for each in order.tracks]


def test_a_discography_is_done_when_its_releases_are(world, shelf):
    """Each is a manifest of its own, owned and counted; all of it moves when it is done."""
    world.write(
        "mbv.yml", wish(extra="priority: 5\nconstraints: {allow_lossy: false, preferred_codecs: [FLAC, ALAC]}\n")
    )
    assert world.once().exit_code is ExitCode.OK
    assert world.active() == []
    assert world.completed() == sorted([f"{child(2)}.yml", f"{child(3)}.yml", "mbv.yml"])
    parent = world.status("mbv.yml", folder="completed")
    assert "state: completed" in parent
    assert "total: 2\n    completed: 2\n    failed: 0" in parent
    manifest = read_manifest((world.folders.completed / f"{child(2)}.yml").read_bytes()).manifest
    assert (manifest.owner, manifest.labels, manifest.created_at) == (
        JOB,
        {"shelf": "shoegaze"},
        "2025-12-10T15:30:00Z",
    )
    assert (manifest.spec.mb_release_id, manifest.spec.title, manifest.spec.tracks) == (mbid(2), "No 2", None)
    assert manifest.spec.constraints.preferred_codecs == ("FLAC", "ALAC")
    assert not manifest.spec.constraints.allow_lossy
    assert manifest.directives.priority == 5
    assert sorted(fetched(world)) == [mbid(21), mbid(22), mbid(31), mbid(32)]


def test_a_restart_finds_its_children_again(world, shelf):
    """Nothing is looked up, written or fetched twice."""
    world.write("mbv.yml", wish())
    world.run_for(2.5)
    before = len(shelf.asked)
    assert len(world.active()) == 3
    texts = {name: (world.folders.active / name).read_bytes() for name in world.active()}
    orders = fetched(world)
    restarted(world, shelf)
    world.once()
    assert len(world.completed()) == 3
    assert len(shelf.asked) == before
    assert len(set(orders + fetched(world))) == 4
    assert all(b"job_type: mb_release" in text or b"discography" in text for text in texts.values())


def test_more_is_added_and_less_cancels_only_what_is_not_done(world, shelf):
    """From core to extended and back: what is published stays, what ends ends, nothing is fetched twice."""
    world.write("mbv.yml", wish())
    world.once()
    # Back from the end, with more: two are done, two are new; of those one completes and one hangs.
    (world.folders.completed / "mbv.yml").rename(world.folders.active / "mbv.yml")
    restarted(world, shelf)
    world.engine.on_start = lambda order: world.engine.scripts.append(Script(hangs=order.job_id == child(5)))
    world.write("mbv.yml", wish("extended"))
    world.run_for(40)
    assert [state(world, n) for n in (2, 3, 4)] == [JobState.COMPLETED] * 3
    assert state(world, 5) is JobState.RUNNING
    assert sorted(set(fetched(world))) == [mbid(41), mbid(42), mbid(51), mbid(52)]
    assert world.store.get(JOB).state is JobState.RUNNING
    world.write("mbv.yml", wish("core"))
    world.run_for(60)
    assert [state(world, n) for n in (2, 3, 4)] == [JobState.COMPLETED] * 3
    assert state(world, 5) is JobState.CANCELLED
    assert world.active() == []
    assert f"{child(5)}.yml" in world.completed()
    assert "total: 2\n    completed: 2" in world.status("mbv.yml", folder="completed")


def test_a_release_whose_manifest_cannot_be_changed_holds_up_no_other(world, shelf, log_lines):
    """Somebody wrote it in braces: the log says what to do by hand, the other ends, and by hand it ends as well."""
    world.engine.on_start = lambda _: world.engine.scripts.append(Script(hangs=True))
    world.write("mbv.yml", wish("extended"))
    world.run_for(40)
    first, second = sorted((child(4), child(5)))
    text = (
        f'manifest_version: "1.0"\njob_id: {first}\njob_type: mb_release\n'
        f"spec: {{mb_release_id: {mbid(4)}, target_dir: library}}\n"
    )
    world.write(f"{first}.yml", text)
    world.run_for(10)
    world.write("mbv.yml", wish("core"))
    world.run_for(60)
    assert world.store.get(second).state is JobState.CANCELLED
    told = [pairs for message, pairs in log_lines if message == "cannot go on for now; it is tried again and again"]
    [why] = [pairs["why"] for pairs in told]
    assert why.startswith(f"jobs/active/{first}.yml is to be cancelled: line 4: ")
    assert why.endswith("write `desired_state: cancelled` below `spec:` by hand")
    world.write(f"{first}.yml", text.replace("library}", "library, desired_state: cancelled}"))
    world.run_for(60)
    assert world.store.get(first).state is JobState.CANCELLED
    assert "total: 2" in world.status("mbv.yml")


def test_what_was_cancelled_comes_back_with_what_it_had(world, shelf):
    """Wanted again, it goes on: the track that was published is not fetched again."""
    world.engine.on_stop = lambda job_id: None
    world.write("mbv.yml", wish("extended"))
    # Its first track is there after a second; then the wish shrinks.
    world.run_for(1.7)
    assert state(world, 5) in (JobState.RUNNING, JobState.PENDING)
    held = {n: [each.position for each in world.store.artifacts(child(n), 1)] for n in (2, 3, 4, 5)}
    world.write("mbv.yml", wish("core"))
    world.run_for(100)
    cancelled = [n for n in (4, 5) if state(world, n) is JobState.CANCELLED]
    assert any(held[n] for n in cancelled)
    (world.folders.completed / "mbv.yml").rename(world.folders.active / "mbv.yml")
    world.write("mbv.yml", wish("extended"))
    world.run_for(200)
    assert [state(world, n) for n in (2, 3, 4, 5)] == [JobState.COMPLETED] * 4
    assert world.active() == []
    again = [order for order in world.engine.orders if order.generation > 1]
    for order in again:
        number = next(n for n in (2, 3, 4, 5) if child(n) == order.job_id)
        assert not {each.want.position for each in order.tracks} & set(held[number])


def test_an_edit_of_the_constraints_is_handed_on(world, shelf):
    """To those that are not done; an edit of a child's own holds until then."""
    world.engine.on_start = lambda order: world.engine.scripts.append(Script(hangs=True))
    world.write("mbv.yml", wish())
    world.run_for(5)
    path = world.folders.active / f"{child(2)}.yml"
    world.write(path.name, path.read_text().replace("title: ", "title: My "))
    world.run_for(40)
    assert "title: My " in path.read_text()
    world.write("mbv.yml", wish(extra="constraints: {allow_lossy: false}\n"))
    world.run_for(60)
    for number in (2, 3):
        manifest = read_manifest((world.folders.active / f"{child(number)}.yml").read_bytes()).manifest
        assert not manifest.spec.constraints.allow_lossy
        assert manifest.spec.title == f"No {number}"


def test_a_release_that_fails_is_told_and_tried_again(world, shelf):
    """The parent is stalled with its id; `job retry` on the parent asks for all that are not done."""
    world.engine.scripts = [Script(fails=True, retriable=False)]
    world.write("mbv.yml", wish())
    world.run_for(60)
    text = world.status("mbv.yml")
    assert "reason: ChildrenFailed" in text
    assert "failed: 1" in text
    failed = next(n for n in (2, 3) if state(world, n) is JobState.FAILED)
    assert child(failed) in text
    path = world.folders.active / "mbv.yml"
    world.write("mbv.yml", path.read_text().replace("job_type", "reconcile_requested_at: now\njob_type"))
    world.run_for(60)
    assert world.active() == []
    assert world.store.get(JOB).state is JobState.COMPLETED


def test_a_release_that_a_person_cancels_is_not_counted(world, shelf):
    """Nor written again: the others are what is left to do."""
    world.engine.on_start = lambda order: world.engine.scripts.append(Script(hangs=order.job_id == child(3)))
    world.write("mbv.yml", wish())
    world.run_for(40)
    path = world.folders.active / f"{child(3)}.yml"
    world.write(path.name, path.read_text().replace("spec:\n", "spec:\n  desired_state: cancelled\n"))
    world.run_for(60)
    assert world.active() == []
    assert state(world, 3) is JobState.CANCELLED
    assert "total: 1\n    completed: 1" in world.status("mbv.yml", folder="completed")


def test_a_cancelled_discography_cancels_its_releases(world, shelf):
    """Those that are done stay."""
    world.engine.on_start = lambda order: world.engine.scripts.append(Script(hangs=order.job_id == child(3)))
    world.write("mbv.yml", wish())
    world.run_for(40)
    world.write("mbv.yml", wish(extra="desired_state: cancelled\n"))
    world.run_for(60)
    assert world.active() == []
    assert [state(world, n) for n in (2, 3)] == [JobState.COMPLETED, JobState.CANCELLED]
    assert world.store.get(JOB).state is JobState.CANCELLED


def test_a_manifest_that_is_taken_away_is_written_again(world, shelf):
    """Whoever does not want it says so in the parent, or cancels it."""
    world.engine.on_start = lambda order: world.engine.scripts.append(Script(hangs=True))
    world.write("mbv.yml", wish())
    world.run_for(5)
    path = world.folders.active / f"{child(2)}.yml"
    path.unlink()
    world.run_for(200)
    assert job_id_of(path) == child(2)
    assert state(world, 2) is JobState.RUNNING


def test_a_suspended_discography_rests_with_its_releases(world, shelf):
    """Before it begins it asks nobody; later its children rest, too."""
    world.write("mbv.yml", wish(extra="suspend: true\n"))
    world.run_for(40)
    assert (shelf.asked, world.active()) == ([], ["mbv.yml"])
    world.engine.on_start = lambda order: world.engine.scripts.append(Script(hangs=True))
    world.write("mbv.yml", wish())
    world.run_for(40)
    assert len(world.active()) == 3
    world.write("mbv.yml", wish(extra="suspend: {reason: no room}\n"))
    world.run_for(60)
    assert "reason: Suspended" in world.status("mbv.yml")
    assert "no room" in world.status(f"{child(2)}.yml")
    assert all(world.engine.progress(child(n)) is None for n in (2, 3))


def test_many_releases_take_several_passes(world, shelf):
    """Ten files each; others have their turn in between, and so has a cancellation."""
    shelf.profiles["core"] = range(2, 37)
    world.engine.on_start = lambda order: world.engine.scripts.append(Script(hangs=True))
    world.write("mbv.yml", wish())
    world.run_for(40)
    assert len(world.active()) == 36
    world.write("mbv.yml", wish(extra="desired_state: cancelled\n"))
    world.run_for(100)
    assert world.active() == []


def test_nothing_that_is_wanted_is_said(world):
    """A filter that lets nothing in."""
    world.lookups.answers = [Failure(code="nothing to fetch", message="nothing is wanted", retry_at=None)]
    world.write("mbv.yml", wish())
    assert world.once().exit_code is ExitCode.NOT_ALL_COMPLETED
    assert "reason: NothingToFetch" in world.status("mbv.yml")


def test_a_lost_database_adopts_what_is_there(world, shelf):
    """The ids follow from the wish: the same files, and none beside them."""
    world.engine.on_start = lambda order: world.engine.scripts.append(Script(hangs=True))
    world.write("mbv.yml", wish())
    world.run_for(5)
    before = world.active()
    world.close()
    for file in (world.folders.root / "state").iterdir():
        file.unlink()
    world.open()
    world.lookups.begin = shelf.begin
    shelf.world = world
    world.once()
    assert sorted([*world.active(), *world.completed()]) == before
    assert chosen(2).release == mbid(2)
