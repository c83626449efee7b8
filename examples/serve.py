#!/usr/bin/env python3
"""A plain web server for the files beside this script, on loopback: what the multi_source example fetches from.

Owns: serving `files/` with byte ranges. Never: reachable from another machine. Any web server that knows ranges would
do.

Run it with the Python that reconciler is installed for: `.venv/bin/python examples/serve.py [PORT]`
"""

import sys
from pathlib import Path

from aiohttp import web

PORT = 8808


def main() -> None:
    """Serve until interrupted."""
    app = web.Application()
    app.router.add_static("/", Path(__file__).resolve().parent / "files")
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else PORT)


if __name__ == "__main__":
    main()
