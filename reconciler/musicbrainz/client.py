"""Ask MusicBrainz, or a mirror of it, and remember what it says.

Owns: the requests, their pace, what is tried again, and how old an answer may be. Never: reads an answer
(musicbrainz.parse), or decides what is asked for.

One client for the whole process: its pace is that of all who ask. What was answered once is used until it is too old,
and even then where nobody answers now: a track list of last month is worth more than none.
https://musicbrainz.org/doc/MusicBrainz_API
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import aiohttp
from loguru import logger
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential
from yarl import URL

from reconciler import __version__
from reconciler.clock import Clock
from reconciler.config import MusicBrainzSettings
from reconciler.ids import Mbid
from reconciler.musicbrainz import parse
from reconciler.musicbrainz.answers import ANSWER_BYTES_MAX, Answer
from reconciler.musicbrainz.model import Listed, Named, NoAnswerError, Release, SubjectKind
from reconciler.musicbrainz.pace import HeldOffError, Pace

# A release rarely changes once it is entered; a list of them grows by the week; and what is not there today may be
# entered this evening.
RELEASE_AGE_S_MAX = 7 * 86_400.0
LIST_AGE_S_MAX = 86_400.0
MISS_AGE_S_MAX = 6 * 3600.0

# The service gives at most 100 in a page (25 unless asked).
PAGE_RELEASES = 100

# 50 pages are most of a minute at one a second, and more than any artist has; the largest labels have 100,000.
LISTED_MAX = 5000

# MusicBrainz answers within some seconds, also when it is busy.
TIMEOUT_S = 20.0

# Tries of one request, and the longest wait between two: half a minute in all before the job is told to wait.
TRIES_MAX = 5
BACKOFF_S_MAX = 15.0

# Who wants to be left alone for longer is: the job comes back later by itself.
RETRY_AFTER_S_MAX = 60.0

# What https://musicbrainz.org asks of everybody: https://musicbrainz.org/doc/MusicBrainz_API/Rate_Limiting
PUBLIC_HOST = "musicbrainz.org"
PUBLIC_INTERVAL_S = 1.0

_OK, _NOT_FOUND, _BAD_REQUEST, _TOO_MANY = 200, 404, 400, 429
_SERVER_FAULT = 500

_RELEASE_PARTS = "artist-credits+recordings+release-groups+media+labels+isrcs"
_LIST_PARTS = "artist-credits+release-groups+media"

T = TypeVar("T")


class Memory(Protocol):
    """Where answers are remembered; both wait for the disk."""

    def get(self, address: str) -> Answer | None:
        """What was last said to this request."""
        ...

    def put(self, address: str, answer: Answer) -> None:
        """Remember an answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One request, and how old an answer to it may be."""

    target: str
    """Below the base URL."""
    what: str
    """Names it in messages."""
    age_s_max: float
    fresh: bool
    """Whether an answer that there is no such thing is asked for anew."""


class MusicBrainz:
    """The web service, as this program uses it. Every method raises NoAnswerError."""

    def __init__(
        self, settings: MusicBrainzSettings, *, memory: Memory, clock: Clock, tries_max: int = TRIES_MAX
    ) -> None:
        self._base = settings.url.rstrip("/")
        self._contact = _in_a_comment(settings.contact)
        self._offline = settings.offline
        self._tries_max = tries_max
        self._memory = memory
        self._clock = clock
        self._pace = Pace(interval_s=interval_s(settings), patience_s=RETRY_AFTER_S_MAX, clock=clock)
        self._session: aiohttp.ClientSession | None = None

    @property
    def host(self) -> str:
        """Who is asked, for traces."""
        return urlsplit(self._base).netloc

    async def release(self, mbid: Mbid, *, fresh: bool = False) -> Release:
        """Look up a release with its tracks; one that was merged gives what it was merged into.

        `fresh`: an answer that there is none is not taken from memory.
        """
        return await self._get(
            _Question(target=release_target(mbid), what=f"release {mbid}", age_s_max=RELEASE_AGE_S_MAX, fresh=fresh),
            parse.release_of,
        )

    async def named(self, kind: SubjectKind, mbid: Mbid, *, fresh: bool = False) -> Named:
        """Look up the name of an artist or label, and who that is by now."""
        return await self._get(
            _Question(
                target=f"/{kind}/{mbid}?fmt=json", what=f"{kind} {mbid}", age_s_max=RELEASE_AGE_S_MAX, fresh=fresh
            ),
            parse.named_of,
        )

    async def releases_of(self, kind: SubjectKind, mbid: Mbid, *, official: bool, fresh: bool = False) -> Listed:
        """List the releases of an artist or label with their groups and media, LISTED_MAX at most.

        `official`: no others.
        """
        what = f"the releases of {kind} {mbid}"
        found: dict[Mbid, Release] = {}
        total, offset = 1, 0
        while offset < min(total, LISTED_MAX):
            target = list_target(kind, mbid, offset, official=official)
            question = _Question(target=target, what=what, age_s_max=LIST_AGE_S_MAX, fresh=fresh)
            page = await self._get(question, parse.release_page_of)
            total = page.total
            if not page.releases:
                break
            # By what came, not by what was asked for: a page may be shorter.
            offset += len(page.releases)
            found.update({release.mbid: release for release in page.releases})
        return Listed(total=total, releases=tuple(found.values()))

    async def close(self) -> None:
        """Close the connection; a later request opens another."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # ---- one answer --------------------------------------------------------------------------------------------------

    async def _get(self, question: "_Question", reader: Callable[[bytes], T]) -> T:
        """What `reader` makes of an answer, from memory or from the server."""
        address = f"{self._base}{question.target}"
        known = await asyncio.to_thread(self._memory.get, address)
        if known is not None and (self._offline or self._holds(known, question)):
            return _read(reader, known, question.what, self.host)
        if self._offline:
            raise NoAnswerError(
                "offline",
                f"{question.what} was never looked up, and musicbrainz.offline is set",
                hint="set musicbrainz.offline: false and start again",
            )
        try:
            answer = await self._ask_until_answered(address)
            # Only what can be read is worth keeping: a hotel's login page is an answer, too.
            said = _read(reader, answer, question.what, self.host) if answer.status == _OK else None
        except NoAnswerError as error:
            if known is None or known.status != _OK:
                raise
            logger.bind(what=question.what, why=error.message).warning("MusicBrainz fails; an older answer is used")
            return _read(reader, known, question.what, self.host)
        await asyncio.to_thread(self._memory.put, address, answer)
        return _read(reader, answer, question.what, self.host) if said is None else said

    def _holds(self, known: Answer, question: "_Question") -> bool:
        miss_s_max = 0.0 if question.fresh else MISS_AGE_S_MAX
        limit_s = question.age_s_max if known.status == _OK else miss_s_max
        return 0.0 <= self._clock.wall() - known.answered_at < limit_s

    async def _ask_until_answered(self, address: str) -> Answer:
        """Ask again while that may help within half a minute; each try waits for its turn."""
        tries = AsyncRetrying(
            retry=retry_if_exception(_is_passing),
            stop=stop_after_attempt(self._tries_max),
            wait=_wait_s,
            sleep=asyncio.sleep,
            reraise=True,
        )
        try:
            async for attempt in tries:
                with attempt:
                    return await self._ask(address)
        except HeldOffError as held:
            message = f"{self.host} has asked to be left alone for a while"
            raise NoAnswerError("unreachable", message, hint=_WAITING, retry_after_s=held.seconds) from held
        raise AssertionError("the last try raises or returns")

    async def _ask(self, address: str) -> Answer:
        async with self._pace:
            try:
                async with self._client().get(URL(address, encoded=True), allow_redirects=False) as response:
                    status = response.status
                    if status in (_OK, _NOT_FOUND, _BAD_REQUEST):
                        body = await _read_body(response, self.host)
                        return Answer(status=_answered(status), body=body, answered_at=self._clock.wall())
                    wait_s = _retry_after_s(response.headers.get("Retry-After", ""))
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise NoAnswerError("unreachable", f"{self.host} {_said(error)}", hint=_WAITING) from error
            self._pace.hold_off(wait_s)
        if status == _TOO_MANY or status >= _SERVER_FAULT:
            message = f"{self.host} is busy: it answered {status}"
            raise NoAnswerError("unreachable", message, hint=_WAITING, retry_after_s=wait_s)
        hint = "check musicbrainz.url in reconciler.yml"
        raise NoAnswerError("refused", f"{self.host} answered {status}", hint=hint)

    def _client(self) -> aiohttp.ClientSession:
        """The session; made at the first request, because it belongs to the loop that runs then."""
        if self._session is None:
            if not self._contact:
                logger.warning("musicbrainz.contact is empty; MusicBrainz asks for an address of whoever runs a client")
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": user_agent(self._contact), "Accept": "application/json"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            )
        return self._session


def interval_s(settings: MusicBrainzSettings) -> float:
    """Seconds between two requests: as configured, and at MusicBrainz itself never less than it asks for."""
    host = urlsplit(settings.url).hostname or ""
    wanted = 1.0 / settings.rate_per_s
    public = host == PUBLIC_HOST or host.endswith(f".{PUBLIC_HOST}")
    return max(wanted, PUBLIC_INTERVAL_S) if public else wanted


def user_agent(contact: str) -> str:
    """`reconciler/0.1.0 ( me@example.org )`"""
    return f"reconciler/{__version__} ( {contact} )" if contact else f"reconciler/{__version__}"


def _in_a_comment(contact: str) -> str:
    """Without what would end the comment of a User-Agent, or the header."""
    return "".join(c for c in contact if c.isascii() and c.isprintable() and c not in "()").strip()


def release_target(mbid: Mbid) -> str:
    """The look-up of one release, below the base URL."""
    return f"/release/{mbid}?fmt=json&inc={_RELEASE_PARTS}"


def list_target(kind: SubjectKind, mbid: Mbid, offset: int, *, official: bool) -> str:
    """One page of the releases of an artist or label, below the base URL."""
    status = "&status=official" if official else ""
    return f"/release?{kind}={mbid}&fmt=json&inc={_LIST_PARTS}&limit={PAGE_RELEASES}&offset={offset}{status}"


def _read(reader: Callable[[bytes], T], answer: Answer, what: str, host: str) -> T:
    if answer.status != _OK:
        hint = "copy the id from its page at MusicBrainz again; the id of another kind of thing is not found either"
        raise NoAnswerError("not found", f"{host} knows no {what}", hint=hint)
    try:
        return reader(answer.body)
    except NoAnswerError as error:
        message = f"what {host} says of {what} is odd: {error.message}"
        raise NoAnswerError(error.code, message, hint=error.hint) from error


def _answered(status: int) -> int:
    """The service answers 400 to an id of the wrong kind; for a job that is the same as no such thing."""
    return _NOT_FOUND if status == _BAD_REQUEST else status


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, NoAnswerError) and error.code == "unreachable" and error.retry_after_s <= RETRY_AFTER_S_MAX


_BACKOFF = wait_random_exponential(multiplier=1, max=BACKOFF_S_MAX)


def _wait_s(state: RetryCallState) -> float:
    """As long as the server asks for, and longer each time, by chance so that not all come back together."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked_s = error.retry_after_s if isinstance(error, NoAnswerError) else 0.0
    return max(asked_s, _BACKOFF(state))


def _retry_after_s(text: str) -> float:
    """Seconds of a Retry-After; a date, which the service never sends, counts as a minute (RFC 9110 section 10.2.3)."""
    if not text:
        return 0.0
    return min(float(text), 86_400.0) if re.fullmatch(r"[0-9]{1,9}", text) else RETRY_AFTER_S_MAX


async def _read_body(response: aiohttp.ClientResponse, host: str) -> bytes:
    body = bytearray()
    while block := await response.content.read(ANSWER_BYTES_MAX + 1 - len(body)):
        body += block
        if len(body) > ANSWER_BYTES_MAX:
            response.close()
            raise NoAnswerError("odd answer", f"{host} sent more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def _said(error: Exception) -> str:
    """What a failure means in our words: the library's may hold text from the other side."""
    match error:
        case TimeoutError():
            return f"did not answer within {TIMEOUT_S:g} s"
        case aiohttp.ClientConnectorCertificateError():
            return "shows a certificate that is not valid for its name"
        case aiohttp.ClientConnectorError(os_error=cause):
            return f"cannot be reached: {cause.strerror or type(cause).__name__}"
        case aiohttp.ClientConnectionError() | OSError():
            return "closed the connection"
        case _:
            return f"does not speak HTTP as it should: {type(error).__name__}"


_WAITING = "it is asked again by itself"
