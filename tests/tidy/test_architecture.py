"""The dependency rule, checked by import-linter, and that its list of pure modules is the whole list."""

import configparser
import subprocess
import sys
from pathlib import Path

import pytest
from house import REPOSITORY, imported_names, modules, reachable

CONTRACTS = REPOSITORY / ".importlinter"


@pytest.fixture(scope="module")
def pure_contract() -> dict[str, list[str]]:
    """The contract about pure modules: its lists by name."""
    parser = configparser.ConfigParser()
    parser.read_string(CONTRACTS.read_text("utf-8"))
    section = parser["importlinter:contract:pure"]
    return {key: value.split() for key, value in section.items() if key.endswith("_modules")}


def test_every_contract_is_kept():
    """`lint-imports` finds nothing: downward only, pure is pure, and each library has its one door."""
    lint = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [lint, "--no-cache", "--config", CONTRACTS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_pure_module_is_held_to_it(pure_contract):
    """A module that touches nothing stands in the contract, so that it stays so; none that is not there does."""
    impure = set(pure_contract["forbidden_modules"])
    touching = {
        name
        for name, module in modules().items()
        if name != "reconciler.clock" and any(used.partition(".")[0] in impure for used in imported_names(module))
    }
    pure = {name for name, module in modules().items() if not module.is_package and not reachable(name) & touching}
    held = set(pure_contract["source_modules"])
    pure.discard("reconciler.clock")
    assert held == pure, f"add to .importlinter: {sorted(pure - held)}; not pure or gone: {sorted(held - pure)}"
