#!/usr/bin/env python3
"""Write constraints.txt: the version and the hashes of everything that the tests install.

Owns: asking pip what it would install, for each Python and processor below. Never: installs, or keeps where a file
came from.

Run it after a dependency changed, with `python3.11`, `python3.12` and `python3.13` on the PATH: `.ci/pin.py`
"""

# ruff: noqa: S603, T201

import json
import subprocess
import tomllib
from collections import defaultdict
from pathlib import Path

PYTHONS = ("3.11", "3.12", "3.13")
# What pip accepts on each processor, newest first; None = the one that this runs on.
PLATFORMS = {
    None: (),
    "aarch64": (
        "manylinux_2_34",
        "manylinux_2_28",
        "manylinux_2_27",
        "manylinux_2_24",
        "manylinux_2_17",
        "manylinux2014",
    ),
}
HERE = Path(__file__).resolve().parent
HEADER = """\
# Versions and SHA-256 of everything that the tests install, for CPython {pythons} on Linux (x86_64 and aarch64, glibc).
# Written by .ci/pin.py. Installed with: pip install --require-hashes -r .ci/constraints.txt
"""


def wanted() -> list[str]:
    """Every requirement of the package, of its tests and of its build."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))
    stated = project["project"]
    return [*stated["dependencies"], *stated["optional-dependencies"]["dev"], *project["build-system"]["requires"]]


def picked(python: str, machine: str | None, versions: dict[str, str]) -> list[tuple[str, str, str]]:
    """Ask pip what it would install: name, version, hash of each file."""
    platforms = [f"--platform={libc}_{machine}" for libc in PLATFORMS[machine]]
    given = [f"{name}=={version}" for name, version in versions.items()]
    pip = [f"python{python}", "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-input"]
    target = ["--target=unused", f"--python-version={python}"] if machine else []
    run = subprocess.run(
        [*pip, "--only-binary=:all:", "--report=-", *target, *platforms, *wanted(), *given],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [
        (
            entry["metadata"]["name"].lower().replace("_", "-"),
            entry["metadata"]["version"],
            entry["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for entry in json.loads(run.stdout)["install"]
    ]


def main() -> None:
    """Ask for each Python and processor, hold the first answer's versions, write the file."""
    versions: dict[str, str] = {}
    hashes: dict[str, set[str]] = defaultdict(set)
    for python in PYTHONS:
        for machine in PLATFORMS:
            for name, version, digest in picked(python, machine, versions):
                versions.setdefault(name, version)
                hashes[name].add(digest)
            print(f"Python {python}, {machine or 'this processor'}: {len(versions)} packages")
    lines = [
        " \\\n    ".join([f"{name}=={versions[name]}", *(f"--hash=sha256:{digest}" for digest in sorted(hashes[name]))])
        for name in sorted(versions)
    ]
    text = HEADER.format(pythons=", ".join(PYTHONS)) + "\n".join(lines) + "\n"
    (HERE / "constraints.txt").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
