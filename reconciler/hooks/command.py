"""Run a program of the operator's when a job is completed.

Owns: the process: its arguments, its environment, its time limit, the end of its output. Never: uses a shell, or
decides when it is run again (hooks.courier).
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from reconciler.config import HookSettings
from reconciler.hooks.model import Answer, Ending
from reconciler.hooks.placeholders import filled, values_of
from reconciler.state.records import Delivery

NAME = "command"

# The end of what it printed: where it says what went wrong. More would fill the database with a progress bar.
OUTPUT_BYTES_MAX = 4096

# Between the request to end and the order to.
GRACE_S = 5.0

# A program that has ended may have left another one behind that still holds its output; that is not waited for.
_OUTPUT_S_MAX = 1.0

# What a program needs to find itself, its configuration and the words of its user. Nothing else of ours is passed on: a
# daemon's environment may hold tokens.
_HARMLESS = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"}
    | {f"XDG_{name}" for name in ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR")}
    | {"XDG_CONFIG_DIRS", "XDG_DATA_DIRS"}
)
_HARMLESS_PREFIX = "LC_"


class CommandHook:
    """The program of `hooks.on_completed`."""

    name = NAME

    def __init__(self, settings: HookSettings, *, folder: Path, environ: Mapping[str, str]) -> None:
        """It runs in `folder`."""
        self._command = settings.on_completed
        self._timeout_s = settings.timeout_s
        self._folder = folder
        self._environment = clean(environ, keep=settings.pass_environment)

    def wants(self, ending: Ending) -> bool:
        """Every completed job that has files of its own; not the parents, whose files are those of their children."""
        return ending.event == "job.completed" and bool(ending.files)

    async def tell(self, delivery: Delivery) -> Answer:
        """Run it once, and say how it ended."""
        told = {f"RECONCILER_{name.upper()}": value for name, value in values_of(delivery).items()}
        tail = _Tail()
        environment = self._environment | told | {"RECONCILER_EVENT": delivery.event}
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", buffering=0) as pipe, os.fdopen(writing, "wb", buffering=0) as output:
            # Before there is a process: whoever is cancelled here leaves none behind.
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: tail, pipe)
            try:
                try:
                    process = await self._started(filled(self._command, delivery), environment, output.fileno())
                except (OSError, ValueError) as error:
                    why = error.strerror if isinstance(error, OSError) else str(error)
                    return Answer(delivered=False, result=f"{self._command[0]} could not be started: {why}")
                output.close()  # what it prints ends when the last of them has closed it
                timed_out = await self._until_its_end(process)
                with suppress(TimeoutError):
                    await asyncio.wait_for(tail.ended.wait(), _OUTPUT_S_MAX)
            finally:
                transport.close()
        status = f"ended after {self._timeout_s:g} s, its time limit" if timed_out else _status(process.returncode)
        return Answer(delivered=process.returncode == 0 and not timed_out, result=f"{status}{tail.text()}")

    async def _started(
        self, words: tuple[str, ...], environment: dict[str, str], output: int
    ) -> asyncio.subprocess.Process:
        """Start the program in a group of its own; cancelled meanwhile, it is ended with all that it has started.

        asyncio would end the program alone.
        """
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self._folder,
                env=environment,
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with suppress(OSError, ValueError):
                await _end(await starting)
            raise

    async def _until_its_end(self, process: asyncio.subprocess.Process) -> bool:
        """Wait for the end of the process; True = it took too long, and was brought about."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await process.wait()
        except TimeoutError:
            await _end(process)
            return True
        except asyncio.CancelledError:
            await _end(process)
            raise
        return False


class _Tail(asyncio.Protocol):
    """Keeps the end of what it is sent."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._kept = bytearray()
        self._cut = False

    def data_received(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > OUTPUT_BYTES_MAX:
            self._cut = True
            del self._kept[:-OUTPUT_BYTES_MAX]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.ended.set()

    def text(self) -> str:
        """What was kept, behind a colon; empty where there is nothing."""
        kept = self._kept.decode(errors="replace").strip()
        return f": {'...' if self._cut else ''}{kept}" if kept else ""


def clean(environ: Mapping[str, str], *, keep: tuple[str, ...]) -> dict[str, str]:
    """Of an environment what is harmless, and what is to be kept."""
    return {
        name: value
        for name, value in environ.items()
        if name in _HARMLESS or name in keep or name.startswith(_HARMLESS_PREFIX)
    }


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process and what it has started: asked first, then made to."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        # One that has become another user's (sudo) is not ours to end.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, kind)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_S)
            return


def _status(code: int | None) -> str:
    if code is not None and code < 0:
        return f"ended by signal {-code}"
    return f"exit status {code}"
