"""Ask the Cover Art Archive, or a mirror of it, for the front cover of a release.

Owns: the request, its bounds, and what an answer means. Never: decides whether a cover is wanted, keeps one, or asks
again: an album without its cover is published all the same.

It blocks, and is called in threads; one request at a time leaves this process, whoever asks.
https://musicbrainz.org/doc/Cover_Art_Archive/API
"""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse

from reconciler.clock import Clock
from reconciler.ids import Mbid
from reconciler.musicbrainz.cover import COVER_BYTES_MAX, Cover, cover_of

# Of 1,200 pixels: sharp on any screen, and a tenth of some originals.
_PICTURE = "front-1200"

# A cover holds up the publishing of its album for no longer than this, a redirect and the archive's disks included.
TIMEOUT_S = 20.0
_SILENCE_S = 10.0
_BLOCK_BYTES = 64 * 1024

_NOT_FOUND = 404


class NoCoverError(Exception):
    """There is no cover to be had; the message says why, for a person."""


class CoverArt:
    """The archive. The archive itself redirects to where its pictures lie, which is followed; no proxy is used."""

    def __init__(self, url: str, *, user_agent: str, clock: Clock) -> None:
        """`url` is that of the archive, without a slash at its end."""
        self._url = url.rstrip("/")
        self._user_agent = user_agent
        self._clock = clock
        self._turn = threading.Lock()
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            opener.add_handler(handler)
        self._opener = opener

    def front(self, release: Mbid, group: Mbid | None) -> Cover:
        """The front cover of a release, else that of its release group; raises NoCoverError."""
        with self._turn:
            for target in self._targets(release, group):
                data = self._get(target)
                if data is None:
                    continue
                cover = cover_of(data)
                if cover is None:
                    raise NoCoverError(f"what came is no JPEG or PNG of at most {COVER_BYTES_MAX} bytes")
                return cover
        raise NoCoverError("the archive has none")

    def _targets(self, release: Mbid, group: Mbid | None) -> Iterator[str]:
        yield f"{self._url}/release/{release}/{_PICTURE}"
        if group is not None:
            yield f"{self._url}/release-group/{group}/{_PICTURE}"

    def _get(self, target: str) -> bytes | None:
        """A picture; None where there is none."""
        request = urllib.request.Request(target, headers={"User-Agent": self._user_agent})  # noqa: S310 - http(s) by the schema
        try:
            with self._opener.open(request, timeout=_SILENCE_S) as response:
                return self._read(response)
        except urllib.error.HTTPError as answer:
            with answer:
                if answer.code == _NOT_FOUND:
                    return None
                raise NoCoverError(f"the archive answered {answer.code}") from answer
        except (HTTPException, OSError, ValueError) as error:  # the last for an address that is none, in a redirect
            raise NoCoverError(f"the archive could not be asked: {type(error).__name__}") from error

    def _read(self, response: HTTPResponse) -> bytes:
        until = self._clock.monotonic() + TIMEOUT_S
        data = bytearray()
        while block := response.read1(_BLOCK_BYTES):
            data += block
            if len(data) > COVER_BYTES_MAX:
                break
            if self._clock.monotonic() > until:
                raise NoCoverError(f"the archive took more than {TIMEOUT_S:g} s")
        return bytes(data)
