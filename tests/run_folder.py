"""The folder that all processes of one run of the tests share.

Owns: where it is. Never: what is kept there, or for how long: pytest removes it some runs later.
"""

import os
from pathlib import Path

import pytest


def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder above those of pytest-xdist's workers; without workers, the one folder that there is."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
