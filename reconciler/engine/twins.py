"""Who fetches which content, and who waits for it, where several tracks of the jobs that run want the same bytes.

Owns: the table of contents, leaders and those that wait. Never: fetches, copies, or tells anybody (engine.neighbours).

The first to try a content leads; whoever comes later waits. When the leader's file is published, or its part is whole
and waits for the rest of an album, all that wait may copy it. When the leader leaves without, the one that has waited
longest leads, and is told where the parts lie that its predecessors left. Who wants a content that was published a
while ago leads it, and has the path as well. The table lives with the process: after a restart the first to come leads
again.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from reconciler.ids import JobId, TrackPosition
from reconciler.sources.base import Variant

# Parts that are remembered of leaders that left: each had taken over its predecessor's, so the last one has most.
PARTS_MAX = 4

# Published contents that are remembered, the last ones: some hundred bytes each.
PUBLISHED_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One attempt of one track: who leads or waits."""

    job_id: JobId
    position: TrackPosition
    part_id: str
    allowed_root: str
    """Below it, or beside it, lies the part (engine.partfile)."""
    number: int
    """Each attempt has another, also at the same track and part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legacy:
    """What a leader has left: a published file, or parts that are not whole."""

    published: str = ""
    """Absolute path; empty = it did not come to that."""
    whole: Place | None = None
    """Whose part is whole and verified, and waits for its name: to be copied, not taken."""
    parts: tuple[Place, ...] = ()
    """The newest first."""


NO_LEGACY = Legacy()


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What has changed for somebody that waited."""

    place: Place
    leader: Place | None
    """Who leads now; None = nobody: go on with the legacy."""
    legacy: Legacy = NO_LEGACY


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What became of a claim."""

    leader: Place | None
    """Who fetches the bytes already; None = whoever has claimed them now."""
    legacy: Legacy = NO_LEGACY
    """With no leader: where the bytes are, if a twin was here before."""


@dataclass(slots=True)
class _Content:
    keys: frozenset[str]
    leader: Place
    waiting: list[Place] = field(default_factory=list)
    parts: tuple[Place, ...] = ()


def keys_of(variant: Variant) -> frozenset[str]:
    """By what a variant's bytes are known to be another's: its root, its SHA-256; nothing where neither is stated."""
    names = (("root", variant.root), ("sha256", variant.sha256))
    return frozenset(f"{kind} {name} {variant.size}" for kind, name in names if name)


class Twins:
    """The contents that are being fetched now."""

    def __init__(self) -> None:
        self._by_key: dict[str, _Content] = {}
        self._by_place: dict[Place, _Content] = {}
        self._published: OrderedDict[str, str] = OrderedDict()

    def claim(self, place: Place, keys: frozenset[str]) -> Claimed:
        """Lead a content, or wait for whoever leads it."""
        known = next((self._by_key[key] for key in sorted(keys) if key in self._by_key), None)
        if known is not None:
            known.waiting.append(place)
            self._by_place[place] = known
            return Claimed(leader=known.leader)
        content = _Content(keys, place)
        self._by_place[place] = content
        self._by_key.update(dict.fromkeys(keys, content))
        published = next((self._published[key] for key in sorted(keys) if key in self._published), "")
        return Claimed(leader=None, legacy=Legacy(published=published))

    def leave(self, place: Place, *, published: str = "", whole: bool = False) -> list[News]:
        """Lead or wait no longer; `published` is where the file is, if it came to that, `whole` tells that the part is
        whole and stays. Leaving twice is as once.
        """
        content = self._by_place.pop(place, None)
        if content is None:
            return []
        if place != content.leader:
            content.waiting.remove(place)
            return []
        if published:
            self._remember(content.keys, published)
        whole_part = place if whole else None
        if not whole:
            content.parts = (place, *content.parts)[:PARTS_MAX]
        if published or whole or not content.waiting:
            for each in content.waiting:
                del self._by_place[each]
            for key in content.keys:
                del self._by_key[key]
            legacy = Legacy(published=published, whole=whole_part, parts=content.parts)
            return [News(place=each, leader=None, legacy=legacy) for each in content.waiting]
        content.leader = heir = content.waiting.pop(0)
        others = [News(place=each, leader=heir) for each in content.waiting]
        return [News(place=heir, leader=None, legacy=Legacy(parts=content.parts)), *others]

    def leave_all(self, job_id: JobId) -> list[News]:
        """A job has ended. What it waits for is left first, so that it inherits nothing from itself."""
        own = [place for place in self._by_place if place.job_id == job_id]
        own.sort(key=lambda place: (self._by_place[place].leader == place, place.number))
        return [news for place in own for news in self.leave(place)]

    def _remember(self, keys: frozenset[str], path: str) -> None:
        for key in keys:
            self._published[key] = path
            self._published.move_to_end(key)
        while len(self._published) > PUBLISHED_MAX:
            self._published.popitem(last=False)

    def followers(self) -> list[tuple[JobId, JobId]]:
        """Each job that waits, with the one it waits for."""
        return [
            (place.job_id, content.leader.job_id)
            for place, content in self._by_place.items()
            if place.job_id != content.leader.job_id
        ]
