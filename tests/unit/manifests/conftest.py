"""What the tests of manifests share."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A manifest as a person left it some time ago."""
    path = tmp_path / "loveless.yml"
    path.write_bytes(b"title: old\n")
    os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    return path


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Give `mounted(*words)`, a folder on a file system of its own, mounted with these words of mount(8)."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(*words: str) -> Path:
        if os.geteuid() != 0:
            pytest.skip("only root may mount a file system")
        done = subprocess.run(["mount", *words, str(folder)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)
