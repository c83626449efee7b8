"""Who fetches a content that several want, and who waits: the table alone."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine import twins
from reconciler.engine.twins import PARTS_MAX, Claimed, Legacy, News, Place, Twins, keys_of
from reconciler.ids import JobId, Root, Sha256, TrackPosition
from reconciler.sources.base import Variant

ROOT, OTHER = Root("a" * 64), Root("b" * 64)
SHA256 = Sha256("c" * 64)
KEYS = keys_of(Variant(root=ROOT, size=5))
LEADS = Claimed(leader=None)


def place(number, *, job="A", position=1):
    """An attempt."""
    return Place(job_id=JobId(job), position=TrackPosition(position), part_id="x", allowed_root="/music", number=number)


def claimed(*places, keys=KEYS):
    """A table in which these came one after the other."""
    table = Twins()
    for each in places:
        table.claim(each, keys)
    return table


def test_one_content_is_known_by_its_root_or_its_sha256():
    """Both where both are stated; a claim without either is nobody's twin."""
    both = keys_of(Variant(root=ROOT, sha256=SHA256, size=5))
    assert both > KEYS
    assert both & keys_of(Variant(root=None, sha256=SHA256, size=5))
    assert not both & keys_of(Variant(root=OTHER, size=5))
    assert not keys_of(Variant(root=None, claim="user.song", size=5))


def test_the_first_leads_and_the_others_wait():
    """Other contents have leaders of their own."""
    table = Twins()
    assert table.claim(place(1), KEYS) == LEADS
    assert table.claim(place(2, job="B"), KEYS) == Claimed(leader=place(1))
    assert table.claim(place(3, job="A", position=2), KEYS) == Claimed(leader=place(1))
    assert table.claim(place(4), keys_of(Variant(root=OTHER, size=5))) == LEADS
    assert table.followers() == [(JobId("B"), JobId("A"))]


def test_a_variant_that_states_both_joins_whoever_has_either():
    """The SHA-256 alone is enough."""
    table = Twins()
    table.claim(place(1), keys_of(Variant(root=None, sha256=SHA256, size=5)))
    assert table.claim(place(2), keys_of(Variant(root=ROOT, sha256=SHA256, size=5))).leader == place(1)


def test_all_that_wait_have_the_path_when_it_is_published():
    """The content is nobody's then; the next to want it has the path as well."""
    table = claimed(place(1), place(2), place(3))
    legacy = Legacy(published="/music/a", parts=(place(1),))
    assert table.leave(place(1), published="/music/a") == [
        News(place=place(2), leader=None, legacy=legacy),
        News(place=place(3), leader=None, legacy=legacy),
    ]
    assert table.leave(place(2)) == []
    assert table.claim(place(4), KEYS) == Claimed(leader=None, legacy=Legacy(published="/music/a"))


def test_published_paths_are_remembered_within_bounds(monkeypatch):
    """The last ones; the newest path of a content counts."""
    monkeypatch.setattr(twins, "PUBLISHED_MAX", 2)
    table = Twins()
    for number, name in enumerate("abcab"):
        keys = keys_of(Variant(root=Root(name * 64), size=5))
        table.claim(place(number), keys)
        table.leave(place(number), published=f"/{number}")
    found = [table.claim(place(9), keys_of(Variant(root=Root(name * 64), size=5))).legacy for name in "abc"]
    assert [legacy.published for legacy in found] == ["/3", "/4", ""]


def test_a_whole_part_is_there_to_be_copied_and_stays():
    """It waits for its album; nobody inherits it, and the next to want the content leads."""
    table = claimed(place(1), place(2), place(3))
    legacy = Legacy(whole=place(1))
    assert table.leave(place(1), whole=True) == [
        News(place=place(2), leader=None, legacy=legacy),
        News(place=place(3), leader=None, legacy=legacy),
    ]
    assert table.claim(place(4), KEYS) == LEADS


def test_when_a_leader_leaves_the_one_that_waited_longest_leads():
    """It is told where the parts of all its predecessors lie; the others hear for whom they wait now."""
    table = claimed(place(1), place(2), place(3))
    first = table.leave(place(1))
    assert first == [
        News(place=place(2), leader=None, legacy=Legacy(parts=(place(1),))),
        News(place=place(3), leader=place(2)),
    ]
    assert table.leave(place(2)) == [News(place=place(3), leader=None, legacy=Legacy(parts=(place(2), place(1))))]
    assert table.leave(place(3)) == []
    assert table.claim(place(4), KEYS) == LEADS


def test_who_waits_no_longer_is_nobodys_heir():
    """And may leave twice."""
    table = claimed(place(1), place(2), place(3))
    assert table.leave(place(2)) == []
    assert table.leave(place(2)) == []
    assert [news.place for news in table.leave(place(1))] == [place(3)]


def test_a_job_that_ends_inherits_nothing_from_itself():
    """Two of its tracks wanted the same; the other job has it."""
    table = claimed(place(1, job="A"), place(2, job="A", position=2), place(3, job="B"))
    assert [news.place for news in table.leave_all(JobId("A"))] == [place(3, job="B")]
    assert table.leave_all(JobId("A")) == []


def test_few_parts_are_remembered():
    """The newest has taken over what was before it."""
    places = [place(number) for number in range(1, PARTS_MAX + 4)]
    table = claimed(*places)
    for each in places[:-1]:
        (first, *_) = table.leave(each)
    assert first.legacy.parts == tuple(reversed(places[:-1]))[:PARTS_MAX]


class Checked:
    """A table, and what those who use it believe."""

    def __init__(self):
        self.table = Twins()
        self.leads: set[Place] = set()
        self.waits: dict[Place, Place] = {}

    def claim(self, mine):
        leader = self.table.claim(mine, KEYS).leader
        if leader is None:
            self.leads.add(mine)
        else:
            self.waits[mine] = leader

    def leave(self, mine, *, published=""):
        told = self.table.leave(mine, published=published if mine in self.leads else "")
        self._gone(lambda each: each == mine)
        self._hear(told)

    def end(self, job):
        told = self.table.leave_all(job)
        self._gone(lambda each: each.job_id == job)
        self._hear(told)

    def of(self, job):
        return next((each for each in (*self.leads, *self.waits) if each.job_id == job), None)

    def _gone(self, left):
        self.leads = {each for each in self.leads if not left(each)}
        self.waits = {each: leader for each, leader in self.waits.items() if not left(each)}

    def _hear(self, told):
        for news in told:
            assert news.place in self.waits
            self.waits[news.place] = news.leader
            if news.leader is None:
                del self.waits[news.place]
                self.leads |= set() if news.legacy.published else {news.place}

    def check(self):
        assert len(self.leads) <= 1
        assert all(leader in self.leads for leader in self.waits.values())


@given(st.lists(st.tuples(st.sampled_from(["claim", "leave", "publish", "end"]), st.integers(0, 3)), max_size=60))
def test_whatever_happens_each_content_has_one_leader_and_nobody_is_forgotten(steps):
    """Everybody who waits hears of the end; nobody leads beside another; nothing is left in the table at the end."""
    checked = Checked()
    for number, (step, which) in enumerate(steps):
        job = JobId("ABCD"[which])
        if step == "claim":
            checked.claim(place(number, job=job))
        elif step == "end":
            checked.end(job)
        elif (mine := checked.of(job)) is not None:
            checked.leave(mine, published="/a" if step == "publish" else "")
        checked.check()
    for job in "ABCD":
        checked.end(JobId(job))
    assert checked.table.claim(place(1000), KEYS).leader is None
