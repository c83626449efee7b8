"""A webhook against a real server, in virtual time."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from pathlib import Path

import jsonschema
import pytest
from aiohttp import web
from hook_builders import NOW, delivery, ending, file

from reconciler import __version__
from reconciler.config import HOOK_EVENTS, HookSettings, WebhookSettings
from reconciler.errors import BadConfigurationError
from reconciler.hooks.configured import hooks_of
from reconciler.hooks.model import FILES_MAX, Answer, body_of
from reconciler.hooks.signature import headers_of
from reconciler.hooks.webhook import TIMEOUT_S, WebhookHook

REPOSITORY = Path(__file__).parents[3]


class Clock:
    def wall(self):
        return NOW

    def monotonic(self):
        return 0.0


@asynccontextmanager
async def serving(answer):
    """Serve one function; gives the URL."""
    server = web.ServerRunner(web.Server(answer))
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/hook?x=1"
    finally:
        await server.cleanup()


def again(result, after_s):
    """A failure that asks for patience."""
    return Answer(delivered=False, result=result, retry_after_s=after_s)


def told(virtual_loop, answer, **settings):
    """Tell a server once; gives what came of it."""

    async def main():
        async with serving(answer) as url:
            return await WebhookHook(WebhookSettings(url=url, **settings), clock=Clock()).tell(delivery())

    return virtual_loop.run(main())


def test_the_document_arrives_signed(virtual_loop, tmp_path):
    """With the headers of Standard Webhooks, under the key of the file."""
    secret = tmp_path / "secret"
    secret.write_text("whsec_" + base64.b64encode(b"k" * 24).decode() + "\n")
    secret.chmod(0o600)
    seen = []

    async def answer(request):
        seen.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        return web.Response(status=204)

    assert told(virtual_loop, answer, secret_file=str(secret)).delivered
    ((method, path, headers, body),) = seen
    assert (method, path) == ("POST", "/hook?x=1")
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == f"reconciler/{__version__}"
    wanted = headers_of(delivery().delivery_id, body, now=NOW, key=b"k" * 24)
    assert {name: headers[name] for name in wanted} == wanted
    assert json.loads(body)["data"]["album"] == "Loveless"


def test_the_document_is_that_of_its_schema():
    """As is the example of the reference."""
    schema = json.loads((REPOSITORY / "schemas" / "webhook.schema.json").read_text())
    check = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    many = tuple(file(number) for number in range(1, FILES_MAX + 2))
    for each in (ending(), ending(files=(), release_mbid="", artist=""), ending(files=many, event="job.failed")):
        check.validate(json.loads(body_of(each)))
    page = (REPOSITORY / "docs" / "reference" / "webhooks.md").read_text()
    example = json.loads(page.partition("```json\n")[2].partition("```")[0])
    check.validate(example)
    properties = schema["properties"]["data"]["properties"]
    assert set(example["data"]) == set(properties) == set(json.loads(body_of(ending()))["data"])
    assert set(example["data"]["files"][0]) == set(properties["files"]["items"]["properties"])


DATE = "Fri, 15 Jan 2027 08:01:00 GMT"


@pytest.mark.parametrize(
    ("response", "meaning"),
    [
        ({"status": 200, "text": "fine"}, Answer(delivered=True, result="answered 200")),
        ({"status": 500, "text": "oh\x1b"}, Answer(delivered=False, result="answered 500: oh\x1b")),
        ({"status": 503, "headers": {"Retry-After": "90"}}, again("answered 503", 90.0)),
        ({"status": 429, "headers": {"Retry-After": DATE}}, again("answered 429", 60.0)),
        ({"status": 429, "headers": {"Retry-After": "soon"}}, again("answered 429", 0.0)),
        ({"status": 410}, Answer(delivered=False, result="answered 410", is_final=True)),
    ],
)
def test_what_an_answer_means(virtual_loop, response, meaning):
    """Any 2xx is told, 410 is never told again, the rest is tried again when asked for."""

    async def answer(request):
        return web.Response(**response)

    assert told(virtual_loop, answer) == meaning


def test_no_redirect_is_followed(virtual_loop):
    """Who answers with one is asked once."""
    asked = []

    async def answer(request):
        asked.append(request.path)
        return web.Response(status=308, headers={"Location": "/elsewhere"})

    said = told(virtual_loop, answer)
    assert (said.delivered, asked) == (False, ["/hook"])
    assert said.result == "answered 308: configure where it leads, no redirect is followed"


def test_of_a_long_answer_the_beginning_is_enough(virtual_loop):
    """A megabyte of error page is not read."""

    async def answer(request):
        return web.Response(status=500, text="x" * 1_000_000)

    assert len(told(virtual_loop, answer).result) < 600


def test_silence_ends(virtual_loop):
    """After its time."""

    async def answer(request):
        await asyncio.sleep(3600)

    assert told(virtual_loop, answer).result == f"no answer within {TIMEOUT_S:g} s"
    assert virtual_loop.time() >= TIMEOUT_S


def test_nobody_there(virtual_loop):
    """The reason, without the address."""
    hook = WebhookHook(WebhookSettings(url="http://127.0.0.1:1/secret-token"), clock=Clock())
    said = virtual_loop.run(hook.tell(delivery()))
    assert not said.delivered
    assert said.result == "it cannot be reached: Connection refused"


def test_a_name_tells_no_secret():
    """It is the host, and tells two addresses of one host apart."""
    one, two = (
        WebhookHook(WebhookSettings(url=f"https://example.org/{path}"), clock=Clock()) for path in ("s3cret", "other")
    )
    assert one.name.startswith("webhook:example.org:")
    assert one.name != two.name
    assert "s3cret" not in one.name


def test_a_secret_that_others_can_read_is_refused(tmp_path):
    """Before anything starts."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    with pytest.raises(BadConfigurationError, match="can be read by others"):
        WebhookHook(WebhookSettings(url="https://example.org/", secret_file=str(secret)), clock=Clock())


def test_it_is_told_what_it_asks_for():
    """And nothing else."""
    hook = WebhookHook(WebhookSettings(url="https://example.org/", events=("job.failed",)), clock=Clock())
    assert hook.wants(ending(event="job.failed"))
    assert not hook.wants(ending())


def test_an_address_that_stands_there_twice_is_told_of_what_either_asks_for(tmp_path):
    """As one hook, since it has one name; with two secrets it is refused, for nothing says which is meant."""
    both = tuple(WebhookSettings(url="https://example.org/", events=(event,)) for event in HOOK_EVENTS[:2])
    (hook,) = hooks_of(HookSettings(webhooks=both), folder=tmp_path, environ={}, clock=Clock())
    assert [hook.wants(ending(event=event)) for event in HOOK_EVENTS] == [True, True, False]
    secret = WebhookSettings(url="https://example.org/", secret_file=str(tmp_path / "secret"))
    with pytest.raises(BadConfigurationError, match="one address twice"):
        hooks_of(HookSettings(webhooks=(*both, secret)), folder=tmp_path, environ={}, clock=Clock())
