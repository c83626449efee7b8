"""A web service like MusicBrainz's (WS/2, JSON) over a catalogue made up here.

Owns: answers in the shape of the real ones, what was asked and when, and the faults that a test wants. Never: asks
anybody. `inc` is kept to: who does not ask for recordings gets none.
"""

import asyncio
import copy
import threading
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from aiohttp import web
from web_answers import answering

BROWSE_DEFAULT, BROWSE_MAX = 25, 100
ARTIST = "8ca01f46-53ac-4af2-8516-55a909c0905e"
VARIOUS = "89ad4ac3-39f7-470e-963a-56509c546377"


def mbid(number):
    """A MusicBrainz identifier that is not another one."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def credit(*named):
    """An artist credit: `("My Bloody Valentine", ARTIST)`, the last but one joined to the last by `&`."""
    return [
        {
            "name": name,
            "joinphrase": " & " if place < len(named) - 1 else "",
            "artist": {"id": artist, "name": name, "sort-name": name, "disambiguation": "", "type": None},
        }
        for place, (name, artist) in enumerate(named)
    ]


MBV = credit(("My Bloody Valentine", ARTIST))


def track(position, title, recording, *, length=180_000, video=False, artist=MBV, isrcs=()):
    """A track as the service lists it: the number is text, the position is not."""
    return {
        "id": mbid(0x7AC0000 + recording),
        "position": position,
        "number": str(position),
        "title": title,
        "length": length,
        "artist-credit": artist,
        "recording": {
            "id": mbid(recording),
            "title": title,
            "length": length,
            "video": video,
            "disambiguation": "",
            "first-release-date": "1991-11-04",
            "artist-credit": artist,
            "isrcs": list(isrcs),
        },
    }


def medium(position, *tracks, kind="CD", **extra):
    """A medium; `pregap` and `data-tracks` stand outside of its tracks and of its count."""
    return {
        "position": position,
        "format": kind,
        "format-id": None,
        "title": "",
        "track-count": len(tracks),
        "track-offset": 0,
        "tracks": list(tracks),
        **extra,
    }


def group(number, title, *, primary="Album", secondary=(), first="1991-11-04", artist=MBV):
    """A release group."""
    return {
        "id": mbid(number),
        "title": title,
        "primary-type": primary,
        "primary-type-id": None,
        "secondary-types": list(secondary),
        "secondary-type-ids": [],
        "first-release-date": first,
        "disambiguation": "",
        "artist-credit": artist,
    }


def release(number, title, *media, of=None, status="Official", date="1991-11-04", country="GB", **extra):
    """A release of a release group."""
    return {
        "id": mbid(number),
        "title": title,
        "status": status,
        "status-id": None,
        "date": date,
        "country": country,
        "barcode": None,
        "packaging": None,
        "quality": "normal",
        "disambiguation": "",
        "text-representation": {"language": "eng", "script": "Latn"},
        "cover-art-archive": {"front": True, "count": 1, "artwork": True, "back": False, "darkened": False},
        "artist-credit": MBV,
        "release-group": of or group(number + 0x1000, title),
        "media": list(media),
        "labels": (),
        **extra,
    }


@dataclass(kw_only=True)
class Asked:
    """One request."""

    at_s: float
    """On the clock of the server's loop."""
    target: str
    user_agent: str


@dataclass
class Catalogue:
    """What there is, and what goes wrong."""

    releases: list = field(default_factory=list)
    merged: dict = field(default_factory=dict)
    """An id that was given up -> the one it was merged into."""
    names: dict = field(default_factory=dict)
    """Of artists and labels, by id."""
    troubles: list = field(default_factory=list)
    """Answers that are given before any other: (status, headers) or bytes."""
    page_max: int = BROWSE_MAX
    asked: list = field(default_factory=list)

    @property
    def gaps_s(self):
        """Seconds from each request to the next."""
        return [after.at_s - before.at_s for before, after in zip(self.asked, self.asked[1:], strict=False)]

    async def answer(self, request):
        """Answer one request, and remember it."""
        agent = request.headers.get("User-Agent", "")
        now = asyncio.get_running_loop().time()
        self.asked.append(Asked(at_s=now, target=request.raw_path, user_agent=agent))
        if self.troubles:
            trouble = self.troubles.pop(0)
            if isinstance(trouble, bytes):
                return web.Response(body=trouble, content_type="text/html")
            status, headers = trouble
            return web.json_response({"error": "Your requests are exceeding..."}, status=status, headers=headers)
        parts = request.path.removeprefix("/ws/2/").split("/")
        if parts == ["release"]:
            return web.json_response(self._browse(request.query))
        kind, wanted = parts
        wanted = self.merged.get(wanted, wanted)
        if kind == "release":
            found = next((each for each in self.releases if each["id"] == wanted), None)
            said = self._with(found, request.query["inc"]) if found else None
        else:
            name = self.names.get(wanted)
            said = {"id": wanted, "name": name, "sort-name": name, "disambiguation": ""} if name else None
        if said is None:
            return web.json_response({"error": "Not Found", "help": "For usage, please see..."}, status=404)
        return web.json_response(said)

    def _browse(self, query):
        kind = "artist" if "artist" in query else "label"
        wanted = self.merged.get(query[kind], query[kind])
        found = [each for each in self.releases if wanted in self._linked(each, kind)]
        if "status" in query:
            found = [each for each in found if (each["status"] or "").lower() in query["status"].split("|")]
        offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", BROWSE_DEFAULT)), self.page_max)
        page = [self._with(each, query["inc"]) for each in found[offset : offset + limit]]
        return {"release-count": len(found), "release-offset": offset, "releases": page}

    def _linked(self, found, kind):
        return [part["artist"]["id"] for part in found["artist-credit"]] if kind == "artist" else found["labels"]

    def _with(self, found, inc):
        """A release with the parts that were asked for."""
        asked = set(inc.replace(" ", "+").split("+"))
        said = {name: value for name, value in found.items() if name not in ("media", "labels")}
        if "labels" not in asked:
            said.pop("label-info", None)
        if "release-groups" not in asked:
            del said["release-group"]
        if "artist-credits" not in asked:
            del said["artist-credit"]
        if asked & {"media", "recordings"}:
            listed = ("tracks", "pregap", "data-tracks")
            said["media"] = [
                {name: value for name, value in each.items() if "recordings" in asked or name not in listed}
                for each in found["media"]
            ]
        if "isrcs" not in asked:
            said = copy.deepcopy(said)
            for each in said.get("media", ()):
                for listed in each.get("tracks", ()):
                    del listed["recording"]["isrcs"]
        return said


@asynccontextmanager
async def serving(catalogue):
    """Serve a catalogue in the running loop; gives the base URL."""
    async with answering(catalogue.answer) as port:
        yield f"http://127.0.0.1:{port}/ws/2"


@contextmanager
def serving_beside(catalogue):
    """Serve a catalogue from a thread, for daemons in other processes; gives the base URL."""
    loop, started, urls = asyncio.new_event_loop(), threading.Event(), []

    async def main():
        stop = asyncio.Event()
        async with serving(catalogue) as url:
            urls.append((url, stop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert started.wait(60)
    url, stop = urls[0]
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


# ---- the catalogue of the tests -------------------------------------------------------------------------------------

LOVELESS = release(
    0x100,
    "Loveless",
    medium(1, track(1, "Only Shallow", 0x11, length=257_000), track(2, "Loomer", 0x12, length=None)),
    date="2012-05-07",
    barcode="886919692921",
)
TWO_DISCS = release(
    0x101,
    "m b v / Loveless",
    medium(1, track(1, "Only Shallow", 0x11), track(2, "Loomer", 0x12)),
    medium(2, track(1, "she found now", 0x21), track(2, "only tomorrow", 0x22)),
)
WITH_EXTRAS = release(
    0x102,
    "Hidden Things",
    medium(
        1,
        track(1, "First", 0x31),
        track(2, "A film", 0x32, video=True),
        track(3, "[data track]", 0x33),
        track(4, "Guest", 0x34, artist=credit(("My Bloody Valentine", ARTIST), ("Kevin", mbid(0xA1)))),
        **{"pregap": track(0, "Before", 0x30), "data-tracks": [track(5, "readme.txt", 0x35)]},
    ),
    medium(2, track(1, "Concert", 0x36), kind="DVD-Video"),
    medium(3, track(1, "Last", 0x37), kind="Digital Media"),
)
