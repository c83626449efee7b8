"""What every test may use.

Owns: the `package` mark, the virtual clock, small disks, where processes keep what they compile, and how hypothesis
runs. Never: fixtures of one package; those stand with its tests.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from run_folder import run_folder
from small_disk import NoMountError, mounted
from virtual_time import VirtualTime

# Debian package -> the program by which it is known to be there, where the two differ.
_PROGRAM_OF_PACKAGE = {"nginx-light": "nginx", "aria2": "aria2c", "syncthing": "syncthing", "e2fsprogs": "mkfs.ext4"}

# Servers lie in /usr/sbin, which is not in every user's PATH.
_SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

# No deadline: a shared machine may stop for longer than any example takes. In CI the same examples each time: a failure
# there must be one that a person can see again.
settings.register_profile("project", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("project")

# The HTTP API listens at one port by default, and tests run many daemons at once. Tests of the API switch it on.
os.environ.setdefault("RECONCILER__API__ENABLED", "false")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose Debian package is not installed, with the package's name."""
    for mark in item.iter_markers("package"):
        package = mark.args[0]
        program = _PROGRAM_OF_PACKAGE.get(package, package)
        if shutil.which(program, path=_SEARCH_PATH) is None:
            pytest.skip(f"needs the Debian package {package}: the program {program} is not here")


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have the processes that tests start keep what they compile, for as long as the run lasts.

    Where PYTHONDONTWRITEBYTECODE is set, as in many containers, each of several hundred would otherwise compile the
    package anew: half of the time that a daemon takes to start. Nothing is written beside the sources.
    """
    with pytest.MonkeyPatch.context() as environment:
        if sys.dont_write_bytecode:
            environment.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            environment.setenv("PYTHONPYCACHEPREFIX", str(run_folder(tmp_path_factory) / "bytecode"))
        yield


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """Give a folder in memory, where there is one: what syncs thousands of times waits for no disk there."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of 8 MiB that can be filled and mounted anew; without the right to mount, skip."""
    folder = tmp_path / "small"
    with ExitStack() as stack:
        try:
            stack.enter_context(mounted(folder))
        except NoMountError as error:
            pytest.skip(f"a small disk cannot be mounted here: {error}")
        yield folder


@pytest.fixture
def virtual_loop() -> Iterator[VirtualTime]:
    """Give `run(coroutine)` in an event loop in which waiting takes no time, and `time()`, its clock."""
    virtual = VirtualTime()
    yield virtual
    virtual.close()
