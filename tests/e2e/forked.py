"""Commands in processes that begin with everything loaded.

Owns: forking them from one that has imported the program and does nothing else. Never: waits for one to come up:
most of what a command takes otherwise is its imports. That `python -m reconciler` starts at all is shown elsewhere.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from reconciler.cli.main import main


@cache
def _forking():
    """The one server of this process; it ends with it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["reconciler.daemon", "reconciler.cli.cmd_run", "reconciler.cli.cmd_job", __name__])
    return context


def run_forked(words, *, timeout_s):
    """Run `reconciler` with these words to its end, as subprocess.run does."""
    with tempfile.TemporaryDirectory() as folder:
        process = _forking().Process(target=_begin, args=(words, Path(folder), dict(os.environ), Path.cwd()))
        process.start()
        process.join(timeout_s)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, timeout_s, *_said(folder))
        return subprocess.CompletedProcess(words, process.exitcode, *_said(folder))


def _said(folder):
    return [Path(folder, name).read_text() for name in ("stdout", "stderr")]


def _begin(words, folder, environment, cwd):
    """What the forked process does."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        with (folder / name).open("wb") as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["reconciler", *words]
    main()
