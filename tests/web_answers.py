"""A web server in the running loop whose every answer a test makes.

Owns: starting it at a free port, and ending it. Never: says anything by itself.
"""

import asyncio
from contextlib import asynccontextmanager

from aiohttp import web

# What is still being answered when the test is over has so long.
END_S = 0.1


@asynccontextmanager
async def answering(answer, *, context=None):
    """Answer as `await answer(request)` says, over TLS with `context`; gives the port."""
    server = web.Server(answer)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await server.shutdown(END_S)
