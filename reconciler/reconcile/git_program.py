"""Running git in the repository that a folder is in.

Owns: how git is started: where, with which environment, for how long. Never: knows what it is asked, or uses an index
or a setting of another repository.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ReconcilerError

# Each call takes milliseconds; a repository on a disk that does not answer must not hold up its caller for ever.
GIT_TIMEOUT_S = 60.0

# A hook or an alias hands these down: they name another repository, or part of one, than the one that the folder is in.
# gitrepository-layout(5) and `git rev-parse --local-env-vars`.
_OF_ANOTHER = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)


class GitRefusedError(ReconcilerError):
    """Git is not here, or said no."""

    fault = "machine"
    retriable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GitProgram:
    """Git, in one folder."""

    folder: Path

    def run(self, *words: str | Path, given: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
        """What git prints, without its last line end; `given` is its standard input. Raises GitRefusedError."""
        inherited = {name: text for name, text in os.environ.items() if name not in _OF_ANOTHER}
        try:
            done = subprocess.run(  # noqa: S603 - words of our own; git is looked up as a person's shell would
                ["git", "-C", self.folder, *words],  # noqa: S607 - see above
                input=given,
                capture_output=True,
                timeout=GIT_TIMEOUT_S,
                check=False,
                # C: what git says is shown to a person who may have to search for it.
                env={**inherited, "LC_ALL": "C", **(environment or {})},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GitRefusedError(f"git could not be run in {self.folder}: {error}", hint="install git") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().partition("\n")[0] or f"exit code {done.returncode}"
            raise GitRefusedError(f"git {words[0]} in {self.folder}: {said}", hint="run it by hand to see more")
        return done.stdout.decode(errors="replace").removesuffix("\n")

    def ask(self, *words: str | Path) -> str | None:
        """The same; None where git is not here or says no."""
        try:
            return self.run(*words)
        except GitRefusedError:
            return None
