"""The simulated disk: whose parts and files a job finds on it."""

import random
from dataclasses import replace

from reconciler.engine.events import OpenPart
from reconciler.engine.twins import Legacy, Place
from reconciler.ids import ChunkIndex, JobId, TrackPosition
from reconciler.simulation.content import JOB, order_of, variant_of
from reconciler.simulation.disk import Disk

SIZE = 1_000_000
ONE = TrackPosition(1)
VARIANT = variant_of(1, SIZE)
MINE = order_of((SIZE,))
THEIRS = replace(MINE, job_id=JobId("01HRQ4GSX9K47J7M5FK7VW8B13"), target_dir="/music/theirs")
PLACE = Place(job_id=THEIRS.job_id, position=ONE, part_id=VARIANT.id, allowed_root="/music", number=1)


def disk_of() -> Disk:
    """A disk with two chunks of the other job's part on it."""
    disk = Disk(dice=random.Random(1))
    disk.keep(THEIRS.job_id, {ONE: {ChunkIndex(n): b"%d" % n for n in range(2)}})
    return disk


def opened(disk, **legacy):
    """Which chunks a part has that is opened with this legacy."""
    command = OpenPart(position=ONE, variant=VARIANT, part_id=VARIANT.id, legacy=Legacy(**legacy))
    return [chunk for chunk, _ in disk.open(MINE, command).kept]


def test_a_whole_part_is_copied_and_one_that_is_not_is_taken():
    """The first is still wanted by whoever has it; the second was left."""
    disk = disk_of()
    assert opened(disk, whole=PLACE) == [0, 1]
    assert disk.parts_of(THEIRS.job_id)[ONE]
    disk = disk_of()
    assert opened(disk, parts=(PLACE,)) == [0, 1]
    assert not disk.parts_of(THEIRS.job_id)


def test_a_published_file_is_copied_by_others_and_found_by_its_own_job():
    """By its path."""
    disk = disk_of()
    published = disk.publish(THEIRS, ONE)
    assert (published.path, published.how) == ("/music/theirs/1", "published")
    assert opened(disk, published=published.path) == [0, 1]
    again = disk.open(THEIRS, OpenPart(position=ONE, variant=VARIANT, part_id=VARIANT.id))
    assert (again.path, again.how) == ("/music/theirs/1", "adopted")


def test_it_refuses_as_often_as_it_was_told_to():
    """And a part that it loses is empty."""
    disk = Disk(dice=random.Random(1), refusals=20)
    troubles = []
    for _ in range(200):
        disk.write(JOB, ONE, ChunkIndex(0), b"0")
        refused = disk.refused(JOB, ONE)
        troubles += [refused.trouble] if refused else []
        assert bool(disk.parts_of(JOB)[ONE]) != (refused is not None and refused.trouble == "lost")
    assert len(troubles) == 20
    assert set(troubles) == {"full", "failing", "lost"}
