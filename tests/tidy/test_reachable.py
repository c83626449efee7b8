"""No dead module: what the program cannot reach is not part of it."""

import ast

from house import PACKAGE, modules, reachable


def test_every_module_is_reachable_from_the_entry_point():
    """Each module is imported by `python -m reconciler` or by a process that it starts, directly or through others."""
    alive: set[str] = set()
    starting = {f"{PACKAGE}.__main__"}
    while starting - alive:
        for name in starting - alive:
            alive |= reachable(name)
        starting |= {started for name in alive for started in started_by(name)}
    dead = sorted(set(modules()) - alive)
    assert not dead, f"nothing that `python -m {PACKAGE}` runs imports these: {dead}"


def started_by(name):
    """Which modules are named whole in a text of module `name`: the argument of a `python -m`."""
    for node in ast.walk(modules()[name].tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in modules():
            yield node.value
