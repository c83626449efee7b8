"""What is to be written into the files of a release."""

import json
from dataclasses import asdict, replace

from musicbrainz_server import ARTIST, LOVELESS, credit, group, mbid, medium, release, track
from reconcile_builders import PLACES

from reconciler.engine.order import CoverWish
from reconciler.manifests.model import MbReleaseSpec
from reconciler.musicbrainz.parse import release_of
from reconciler.musicbrainz.resolutions import resolution_of
from reconciler.musicbrainz.tracklist import resolved_release
from reconciler.reconcile.orders import plan_of

TAGGED = replace(PLACES, write_tags=True)


def resolved(said):
    """What a job remembers of a release as the service says it, by way of the database's form."""
    found = resolved_release(release_of(json.dumps(said).encode()), asked=said["id"])
    document = json.dumps(asdict(found)).encode()
    assert resolution_of("release", document) == found
    return found


def tags(said, spec=None, places=TAGGED):
    """The tags of each track of a job that names a release alone."""
    wanted = spec or MbReleaseSpec(mb_release_id=said["id"], target_dir="library", tracks=None)
    return [order.tags for order in plan_of(wanted, places, resolved(said)).tracks]


def test_everything_that_musicbrainz_says_is_told():
    """Of two discs: numbers and counts are those of the medium, ids those of track, recording, release and group."""
    guest = credit(("Someone", mbid(0xA1)), ("Else", mbid(0xA2)))
    said = release(
        1,
        "Two",
        medium(1, track(1, "One", 0x11, isrcs=("GBAYE9100001", "GBAYE0700012")), track(2, "Two", 0x12)),
        medium(2, track(1, "Three", 0x13, artist=guest), kind="Digital Media"),
        of=group(0x90, "Two", primary="Album", secondary=("Live",), first="1989-03"),
        date="1991-11-04",
        country="GB",
        barcode="5017556600602",
        **{"label-info": [
            {"catalog-number": "CRELP 060", "label": {"id": mbid(0xB1), "name": "Creation Records"}},
            {"catalog-number": "CRECD 060", "label": {"id": mbid(0xB1), "name": "Creation Records"}},
            {"catalog-number": None, "label": {"id": mbid(0xB2), "name": "Sire"}},
            {"catalog-number": "CRECD 060", "label": None},
        ]},
    )  # fmt: skip
    one, _, three = tags(said)
    assert (three.title, three.track, three.tracks, three.disc, three.discs) == ("Three", 1, 1, 2, 2)
    assert (one.track, one.tracks, one.media, three.media) == (1, 2, "CD", "Digital Media")
    assert (three.recording_id, three.track_id) == (mbid(0x13), mbid(0x7AC0013))
    assert (three.release_id, three.release_group_id) == (mbid(1), mbid(0x90))
    assert (three.artist_ids, three.albumartist_ids) == ((mbid(0xA1), mbid(0xA2)), (ARTIST,))
    assert (one.artist, one.albumartist) == ("My Bloody Valentine", "My Bloody Valentine")
    assert (one.date, one.original_date, one.types) == ("1991-11-04", "1989-03", ("Album", "Live"))
    assert (one.status, one.country, one.barcode) == ("Official", "GB", "5017556600602")
    assert (one.labels, one.catalog_numbers) == (("Creation Records", "Sire"), ("CRELP 060", "CRECD 060"))
    assert (one.isrcs, three.isrcs) == (("GBAYE9100001", "GBAYE0700012"), ())


def test_a_track_list_of_ones_own_is_told_with_what_it_says():
    """Its titles, its numbers, and the two ids that it must have."""
    listed = plan_of(
        MbReleaseSpec(mb_release_id=mbid(1), target_dir="library", tracks=None),
        PLACES,
        resolved(LOVELESS | {"id": mbid(1)}),
    )
    own = MbReleaseSpec(
        mb_release_id=mbid(1),
        target_dir="library",
        title="Mine",
        artist="Me",
        tracks=resolved(LOVELESS | {"id": mbid(1)}).tracks[:1],
    )
    (order,) = plan_of(own, TAGGED).tracks
    assert (order.tags.album, order.tags.artist, order.tags.release_id) == ("Mine", "Me", mbid(1))
    assert order.tags.recording_id == listed.tracks[0].want.recording
    assert (order.tags.date, order.tags.artist_ids, order.tags.track_id) == ("", (), "")


def test_nothing_is_tagged_unless_asked_for():
    """Off by default."""
    assert set(tags(LOVELESS, places=PLACES)) == {None}


def test_a_cover_is_that_of_the_release_and_needs_a_folder_of_its_own():
    """In the deepest folder that all files share; without a folder it would be everybody's cover."""
    spec = MbReleaseSpec(mb_release_id=mbid(1), target_dir="library", tracks=None)
    found = resolved(LOVELESS | {"id": mbid(1)})
    places = replace(PLACES, cover_art="file", naming="{albumartist}/{album}/Disc {disc}/{track:02}")
    wish = plan_of(spec, places, found).cover
    assert wish == CoverWish(
        where="file", folder="My Bloody Valentine/Loveless/Disc 1", release=mbid(1), group=found.facts.group
    )
    assert plan_of(spec, replace(places, naming="{track:02}"), found).cover is None
    assert plan_of(spec, replace(places, naming="{track:02}", cover_art="embed"), found).cover.where == "embed"
    assert plan_of(spec, PLACES, found).cover is None


def test_what_an_older_version_looked_up_is_still_good():
    """It knew less of it."""
    found = asdict(resolved(LOVELESS))
    del found["facts"]
    older = resolution_of("release", json.dumps(found).encode())
    assert older.tracks == resolved(LOVELESS).tracks
    assert older.facts.group is None


def test_what_was_looked_up_without_labels_and_codes_is_still_good():
    """An older version did not ask for them."""
    found = asdict(resolved(LOVELESS))
    del found["facts"]["labels"], found["facts"]["catalog_numbers"]
    for each in found["facts"]["tracks"].values():
        del each["isrcs"]
    assert resolution_of("release", json.dumps(found).encode()) == resolved(LOVELESS)
