"""What the tests of manifests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A manifest as a person left it some time ago."""
    path = tmp_path / "loveless.yml"
    path.write_bytes(b"title: old\n")
    os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    return path
