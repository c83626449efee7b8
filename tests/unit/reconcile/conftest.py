"""The world that the loop's tests are played in."""

import pytest
from loguru import logger
from reconcile_world import World


@pytest.fixture
def world(tmp_path):
    """A root folder with an empty jobs/active, and a daemon that has not started."""
    made = World(tmp_path / "root")
    yield made
    made.close()


@pytest.fixture
def log_lines():
    """What the daemon says while the test runs: (message, pairs)."""
    lines = []
    sink = logger.add(lambda line: lines.append((line.record["message"], line.record["extra"])), level="DEBUG")
    yield lines
    logger.remove(sink)
