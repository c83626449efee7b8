"""The program of on_completed, as a real process."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import pytest
from e2e.rig import eventually
from hook_builders import JOB, delivery, ending

from reconciler.config import HookSettings
from reconciler.hooks import command
from reconciler.hooks.command import OUTPUT_BYTES_MAX, CommandHook, clean


def ran(tmp_path, program, *arguments, of=None, environ=os.environ, **settings):
    """Run a Python program as the hook; gives the answer."""
    return ran_line(tmp_path, sys.executable, "-I", "-c", program, *arguments, of=of, environ=environ, **settings)


def ran_line(tmp_path, *line, of=None, environ=os.environ, **settings):
    """Run a whole command as the hook; gives the answer."""
    hook = CommandHook(HookSettings(on_completed=line, **settings), folder=tmp_path, environ=environ)
    return asyncio.run(hook.tell(of or delivery()))


def test_a_program_gets_its_arguments_one_by_one(tmp_path):
    """No shell reads them."""
    program = "import sys, json, os; print(json.dumps([sys.argv[1:], os.getcwd(), sys.stdin.read()]))"
    of = delivery(album='$(reboot) "; rm -rf / #')
    answer = ran(tmp_path, program, "--album={album}", "{job_id}", of=of)
    assert answer.delivered
    status, _, output = answer.result.partition(": ")
    assert status == "exit status 0"
    assert json.loads(output) == [['--album=$(reboot) "; rm -rf / #', JOB], str(tmp_path), ""]


def test_its_environment_has_no_secret_of_ours(tmp_path):
    """What is harmless, what is asked for, and the facts."""
    program = "import os, json; print(json.dumps(dict(os.environ)))"
    environ = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "RECONCILER__API__TOKEN": "x", "AWS_SECRET": "y", "BEETSDIR": "/b"}
    answer = ran(tmp_path, program, environ=environ, pass_environment=("BEETSDIR",))
    told = json.loads(answer.result.partition(": ")[2])
    assert {"PATH", "LC_ALL", "BEETSDIR", "RECONCILER_PATH", "RECONCILER_EVENT"} <= set(told)
    assert not {"AWS_SECRET", "RECONCILER__API__TOKEN"} & set(told)
    assert told["RECONCILER_EVENT"] == "job.completed"
    assert told["RECONCILER_DELIVERY_ID"] == delivery().delivery_id
    assert clean(environ, keep=()) == {"PATH": "/bin", "LC_ALL": "C.UTF-8"}


@pytest.mark.parametrize(
    ("program", "result"),
    [
        ("import sys; print('no such album'); sys.exit(3)", "exit status 3: no such album"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
    ],
)
def test_a_failure_says_how_it_ended(tmp_path, program, result):
    """With what it printed."""
    answer = ran(tmp_path, program)
    assert not answer.delivered
    assert answer.result == result


def test_a_program_that_is_not_there(tmp_path):
    """Is a failure like any other."""
    hook = CommandHook(HookSettings(on_completed=("no-such-program-here",)), folder=tmp_path, environ={})
    answer = asyncio.run(hook.tell(delivery()))
    assert not answer.delivered
    assert answer.result == "no-such-program-here could not be started: No such file or directory"


def test_only_the_end_of_much_output_is_kept(tmp_path):
    """Ten megabytes leave four KiB, and the last words."""
    answer = ran(tmp_path, "print('x' * 10_000_000); print('the reason')")
    assert answer.result.endswith("xxx\nthe reason")
    assert len(answer.result) < OUTPUT_BYTES_MAX + 50


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    """A child of the program holds its output; both are gone."""
    answer = ran_line(tmp_path, "sh", "-c", "sleep 600 & echo $!; wait", timeout_s=3.0)
    assert not answer.delivered
    status, _, child = answer.result.partition(": ")
    assert status == "ended after 3 s, its time limit"
    assert is_gone(int(child))


def test_one_that_does_not_listen_is_killed(tmp_path, monkeypatch):
    """After its grace."""
    monkeypatch.setattr(command, "GRACE_S", 0.05)
    deaf = "trap '' TERM; echo deaf; while :; do sleep 600; done"
    answer = ran_line(tmp_path, "sh", "-c", deaf, timeout_s=3.0)
    assert answer.result == "ended after 3 s, its time limit: deaf"


def test_a_cancelled_telling_leaves_no_process(tmp_path):
    """The daemon stops while it runs."""
    os.mkfifo(tmp_path / "pid")

    async def main():
        settings = HookSettings(on_completed=("sh", "-c", "sleep 600 & echo $! > pid; wait"))
        task = asyncio.create_task(CommandHook(settings, folder=tmp_path, environ=os.environ).tell(delivery()))
        pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))  # waits for its writer
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return pid

    pid = asyncio.run(main())
    assert eventually(lambda: is_gone(pid), "the end of what the program had started")


def test_whenever_a_telling_is_cancelled_no_process_is_left(tmp_path):
    """After each turn of the loop, from before its start to its waiting."""
    settings = HookSettings(on_completed=("sleep", "600"))
    mark = f"01CANCELLED{os.getpid()}"

    async def main():
        hook = CommandHook(settings, folder=tmp_path, environ=os.environ)
        for turns in range(12):
            task = asyncio.create_task(hook.tell(delivery(mark)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(main())
    assert eventually(lambda: not running_with(mark), "the end of all of them")


def running_with(mark):
    """The processes that have this word in their environment."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in environ.read_bytes():
                found.append(environ.parent.name)
    return found


def test_a_program_left_behind_is_not_waited_for(tmp_path):
    """It holds the output open for ten minutes; the answer comes at once, and it goes on."""
    answer = ran_line(tmp_path, "sh", "-c", "setsid sleep 600 & echo $!")
    assert answer.delivered
    child = int(answer.result.partition(": ")[2])
    assert not is_gone(child)
    os.kill(child, 9)


def test_only_completed_jobs_with_files_are_told(tmp_path):
    """A discography has none: its albums are told."""
    hook = CommandHook(HookSettings(on_completed=("x",)), folder=tmp_path, environ={})
    assert hook.wants(ending())
    assert not hook.wants(ending(files=()))
    assert not hook.wants(ending(event="job.failed"))


def is_gone(pid):
    """Whether a process has ended; one that is only not waited for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
