"""The client against a web service like the real one, in virtual time."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from musicbrainz_server import ARTIST, LOVELESS, Catalogue, group, mbid, medium, release, serving, track

from reconciler import __version__
from reconciler.config import MusicBrainzSettings
from reconciler.musicbrainz import answers
from reconciler.musicbrainz.answers import Answer, Answers
from reconciler.musicbrainz.client import LIST_AGE_S_MAX, MISS_AGE_S_MAX, RELEASE_AGE_S_MAX, MusicBrainz, interval_s
from reconciler.musicbrainz.model import NoAnswerError
from reconciler.state.database import Database

WALL_S = 1_800_000_000.0
LABEL = mbid(0xAB)


class LoopClock:
    """The clocks of the daemon, by the loop's."""

    def wall(self):
        return WALL_S + self.monotonic()

    def monotonic(self):
        return asyncio.get_running_loop().time()


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "state" / "reconciler.db")
    yield opened
    opened.close()


@pytest.fixture
def catalogue():
    return Catalogue(releases=[LOVELESS])


@asynccontextmanager
async def asking(catalogue, database, **settings):
    """A client of a server with this catalogue."""
    async with serving(catalogue) as url:
        memory = Answers(database)
        client = MusicBrainz(MusicBrainzSettings(**{"url": url, **settings}), memory=memory, clock=LoopClock())
        try:
            yield client
        finally:
            await client.close()


def failure(error):
    return error.value.code, error.value.message


def test_one_request_a_second_and_who_is_asking(virtual_loop, catalogue, database):
    """However many ask at once, the server sees a second or more between any two, and an address."""

    async def main():
        catalogue.releases = [release(number, f"No {number}", medium(1)) for number in range(8)]
        async with asking(catalogue, database, contact="me@example.org (really)") as client:
            await asyncio.gather(*(client.release(mbid(number)) for number in range(8)))

    virtual_loop.run(main())
    assert len(catalogue.asked) == 8
    assert min(catalogue.gaps_s) >= 1.0
    assert {asked.user_agent for asked in catalogue.asked} == {f"reconciler/{__version__} ( me@example.org really )"}


def test_a_mirror_may_be_faster(virtual_loop, catalogue, database):
    """Fifty a second, if it is so configured."""

    async def main():
        catalogue.releases = [release(number, f"No {number}", medium(1)) for number in range(8)]
        async with asking(catalogue, database, rate_per_s=50) as client:
            for number in range(8):
                await client.release(mbid(number))

    virtual_loop.run(main())
    assert sum(catalogue.gaps_s) == pytest.approx(7 / 50)


@pytest.mark.parametrize(
    ("url", "rate", "interval"),
    [
        ("https://musicbrainz.org/ws/2", 50, 1.0),
        ("https://beta.musicbrainz.org/ws/2", 2, 1.0),
        ("https://musicbrainz.org/ws/2", 0.5, 2.0),
        ("http://notmusicbrainz.org/ws/2", 50, 0.02),
    ],
)
def test_musicbrainz_itself_is_never_asked_faster(url, rate, interval):
    """Whatever is configured: it blocks whoever does."""
    assert interval_s(MusicBrainzSettings(url=url, rate_per_s=rate)) == interval


def test_an_answer_is_used_until_it_is_old(virtual_loop, catalogue, database):
    """A release for a week, also by the next process."""

    async def main():
        async with asking(catalogue, database) as client:
            first = await client.release(mbid(0x100))
            assert await client.release(mbid(0x100)) == first
            assert len(catalogue.asked) == 1
            await asyncio.sleep(RELEASE_AGE_S_MAX)
            assert await client.release(mbid(0x100)) == first
            assert len(catalogue.asked) == 2

    virtual_loop.run(main())


def test_labels_and_codes_come_with_the_look_up(virtual_loop, catalogue, database):
    """No second request is made for them."""
    label = {"catalog-number": "CRECD 060", "label": {"id": LABEL, "name": "Creation Records"}}
    only = track(1, "Only Shallow", 0x11, isrcs=("GBAYE9100001",))
    catalogue.releases = [release(1, "Loveless", medium(1, only), **{"label-info": [label]})]

    async def main():
        async with asking(catalogue, database) as client:
            found = await client.release(mbid(1))
            assert (found.labels, found.catalog_numbers) == (("Creation Records",), ("CRECD 060",))
            assert found.media[0].tracks[0].isrcs == ("GBAYE9100001",)

    virtual_loop.run(main())
    assert len(catalogue.asked) == 1


def test_a_miss_is_remembered_for_hours(virtual_loop, catalogue, database):
    """Unless somebody asks for a fresh answer: it may have been entered since."""

    async def main():
        async with asking(catalogue, database) as client:
            for fresh in (False, False, True):
                with pytest.raises(NoAnswerError) as missing:
                    await client.release(mbid(5), fresh=fresh)
                assert failure(missing)[0] == "not found"
                assert f"knows no release {mbid(5)}" in failure(missing)[1]
            assert len(catalogue.asked) == 2
            catalogue.releases.append(release(5, "New", medium(1)))
            await asyncio.sleep(MISS_AGE_S_MAX)
            assert (await client.release(mbid(5))).title == "New"

    virtual_loop.run(main())


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(virtual_loop, catalogue, database):
    """Everybody waits, not only who was refused."""
    catalogue.troubles = [(503, {"Retry-After": "7"}), (429, {"Retry-After": "3"})]
    catalogue.releases.append(release(1, "Other", medium(1)))

    async def main():
        async with asking(catalogue, database) as client:
            await asyncio.gather(client.release(mbid(0x100)), client.release(mbid(1)))

    virtual_loop.run(main())
    assert len(catalogue.asked) == 4
    assert catalogue.gaps_s[0] >= 7.0
    assert catalogue.gaps_s[1] >= 3.0


def test_who_wants_to_be_left_alone_for_long_is(virtual_loop, catalogue, database):
    """The job comes back later by itself; nobody waits here meanwhile."""
    catalogue.troubles = [(503, {"Retry-After": "900"})]

    async def main():
        async with asking(catalogue, database) as client:
            with pytest.raises(NoAnswerError) as busy:
                await client.release(mbid(0x100))
            assert failure(busy)[0] == "unreachable"
            assert busy.value.retry_after_s == 900

    virtual_loop.run(main())
    assert len(catalogue.asked) == 1
    assert virtual_loop.time() < 1


def test_nobody_else_waits_for_a_server_that_wants_to_be_left_alone_for_long(virtual_loop, catalogue, database):
    """Who asks next, or stands in line, is told at once; an old answer is used; and the server is left alone."""

    async def main():
        async with asking(catalogue, database) as client:
            known = await client.release(mbid(0x100))
            await asyncio.sleep(RELEASE_AGE_S_MAX)
            catalogue.troubles = [(503, {"Retry-After": "900"})]
            began = virtual_loop.time()
            first, second = await asyncio.gather(
                client.release(mbid(5)), client.release(mbid(6)), return_exceptions=True
            )
            assert (first.code, first.retry_after_s) == ("unreachable", 900)
            assert second.code == "unreachable"
            assert "has asked to be left alone" in second.message
            assert second.retry_after_s == pytest.approx(900, abs=2)
            assert await client.release(mbid(0x100)) == known
            assert virtual_loop.time() - began < 5
            assert len(catalogue.asked) == 2
            await asyncio.sleep(900)
            assert await client.release(mbid(0x100)) == known
            assert len(catalogue.asked) == 3

    virtual_loop.run(main())


def test_a_server_that_stays_busy_is_given_up(virtual_loop, catalogue, database):
    """After five tries."""
    catalogue.troubles = [(503, {})] * 9

    async def main():
        async with asking(catalogue, database) as client:
            with pytest.raises(NoAnswerError) as busy:
                await client.release(mbid(0x100))
            assert failure(busy)[0] == "unreachable"
            assert "answered 503" in failure(busy)[1]

    virtual_loop.run(main())
    assert len(catalogue.asked) == 5


def test_an_old_answer_is_better_than_none(virtual_loop, catalogue, database):
    """Where the server fails, or sends the page of a network that wants a log-in; such a page is not remembered."""

    async def main():
        async with asking(catalogue, database) as client:
            first = await client.release(mbid(0x100))
            await asyncio.sleep(RELEASE_AGE_S_MAX)
            catalogue.troubles = [(503, {})] * 5
            assert await client.release(mbid(0x100)) == first
            catalogue.troubles = [b"<html>"]
            assert await client.release(mbid(0x100)) == first
            catalogue.troubles = [b"<html>"]
            with pytest.raises(NoAnswerError) as odd:
                await client.release(mbid(7))
            assert failure(odd)[0] == "odd answer"
            catalogue.releases.append(release(7, "There", medium(1)))
            assert (await client.release(mbid(7))).title == "There"

    virtual_loop.run(main())


def test_a_redirect_or_a_refusal_is_said(virtual_loop, catalogue, database):
    """The address is wrong: waiting does not help."""
    catalogue.troubles = [(301, {"Location": "http://elsewhere/"}), (403, {})]

    async def main():
        async with asking(catalogue, database) as client:
            for status in (301, 403):
                with pytest.raises(NoAnswerError) as refused:
                    await client.release(mbid(0x100))
                assert failure(refused)[0] == "refused"
                assert f"answered {status}" in failure(refused)[1]
                assert "musicbrainz.url" in refused.value.hint

    virtual_loop.run(main())
    assert len(catalogue.asked) == 2


def test_nobody_is_asked_offline(virtual_loop, catalogue, database):
    """What was looked up before is used, however old; the rest is named."""

    async def main():
        async with asking(catalogue, database) as client:
            first = await client.release(mbid(0x100))
            url = client._base
        await asyncio.sleep(10 * RELEASE_AGE_S_MAX)
        settings = MusicBrainzSettings(url=url, offline=True)
        offline = MusicBrainz(settings, memory=Answers(database), clock=LoopClock())
        assert await offline.release(mbid(0x100)) == first
        with pytest.raises(NoAnswerError) as missing:
            await offline.release(mbid(6))
        assert failure(missing) == (
            "offline",
            f"release {mbid(6)} was never looked up, and musicbrainz.offline is set",
        )

    virtual_loop.run(main())
    assert len(catalogue.asked) == 1


def test_a_merged_id_is_answered_by_what_it_was_merged_into(virtual_loop, catalogue, database):
    """As the service does."""
    catalogue.merged = {mbid(0x99): mbid(0x100), mbid(0x98): ARTIST}
    catalogue.names = {ARTIST: "My Bloody Valentine"}

    async def main():
        async with asking(catalogue, database) as client:
            assert (await client.release(mbid(0x99))).mbid == mbid(0x100)
            named = await client.named("artist", mbid(0x98))
            assert (named.mbid, named.name) == (ARTIST, "My Bloody Valentine")

    virtual_loop.run(main())


@pytest.mark.parametrize(("page_max", "requests"), [(100, 3), (37, 7)])
def test_a_list_is_read_to_its_end_by_what_comes(virtual_loop, catalogue, database, page_max, requests):
    """230 releases of a label: three pages of a hundred, or as many as a server gives at a time; none twice."""
    catalogue.releases = [
        release(n, f"No {n}", medium(1), of=group(n + 1000, f"No {n}"), labels=(LABEL,)) for n in range(230)
    ]
    catalogue.releases += [release(999, "Of another", medium(1))]
    catalogue.page_max = page_max

    async def main():
        async with asking(catalogue, database) as client:
            listed = await client.releases_of("label", LABEL, official=False)
            assert (listed.total, len(listed.releases)) == (230, 230)
            assert [found.title for found in listed.releases] == [f"No {n}" for n in range(230)]
            assert listed.releases[0].group.mbid == mbid(1000)
            assert await client.releases_of("label", LABEL, official=False) == listed
            await asyncio.sleep(LIST_AGE_S_MAX)
            catalogue.releases = []
            assert (await client.releases_of("label", LABEL, official=False)).releases == ()

    virtual_loop.run(main())
    assert len(catalogue.asked) == requests + 1
    assert min(catalogue.gaps_s) >= 1.0


def test_the_oldest_answers_go_first(database, monkeypatch):
    """The memory has a bound."""
    monkeypatch.setattr(answers, "ANSWERS_MAX", 3)
    memory = Answers(database)
    for number in range(5):
        memory.put(f"http://x/{number}", Answer(status=200, body=b"{}", answered_at=float(number)))
    assert memory.get("http://x/1") is None
    assert memory.get("http://x/2").body == b"{}"
    memory.put("http://x/2", Answer(status=404, body=b"", answered_at=1e6))
    assert memory.get("http://x/2").status == 404
