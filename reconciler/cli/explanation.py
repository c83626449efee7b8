"""Why one job is as it is: everything that files and database say of it, on one screen.

Owns: what belongs to the explanation and in which order. Never: gathers it (cli.outlook, reconcile.job_view) or prints.
"""

from dataclasses import asdict, dataclass

from reconciler.cli.render import shown
from reconciler.cli.render_outlook import Verdict, problems_of, steps_of
from reconciler.clock import rfc3339
from reconciler.manifests.model import JobState, Manifest, Renamed
from reconciler.reconcile.foresee import Foreseen
from reconciler.reconcile.job_view import JobView, TrackError
from reconciler.reconcile.observed import Moment, Valid
from reconciler.reconcile.verdict import attempts_max

_WIDTH = 12
_TEXT_MAX = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Something that keeps the job from going on."""

    what: str
    """`suspended`, `depends on 01HRQ4...`, `node`, `git`, `everything`."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All there is to say of a job."""

    view: JobView
    verdict: Verdict
    """What would be done about it now, and why."""
    foreseen: Foreseen | None
    """None where its manifest is not there, or where it has ended."""
    holds: tuple[Hold, ...]
    errors: tuple[TrackError, ...]
    renamed: tuple[Renamed, ...]
    """Files that are not under the name that they were to have."""
    moment: Moment

    @property
    def manifest(self) -> Manifest | None:
        """The manifest as it is now; None where it cannot be read."""
        file = self.foreseen.observed.file if self.foreseen is not None else None
        return file.manifest if isinstance(file, Valid) else self.view.manifest

    @property
    def spec_text(self) -> str:
        """The digest of the spec as it is now, and whether it is the one that was acted on."""
        acted_on = self.view.record.spec_digest
        if self.manifest is None:
            return f"{acted_on}, acted on; the file cannot be read as a manifest now"
        now = self.manifest.spec_digest
        return f"{now}, acted on" if now == acted_on else f"{now}, not acted on yet; before: {acted_on}"

    @property
    def retry_text(self) -> str:
        """How often it was tried, and when it is tried again."""
        record = self.view.record
        if not record.attempts:
            return ""
        retry = self.manifest.directives.retry if self.manifest is not None else None
        text = f"{record.attempts} of {attempts_max(self.moment, retry)} attempts failed"
        if record.retry_at is not None:
            text += f"; next at {rfc3339(record.retry_at)}, {waiting(record.retry_at - self.moment.now_unix_s)}"
        elif record.state is JobState.FAILED:
            text += f"; no further one by itself, `reconciler job retry {record.job_id}` asks for one"
        return text

    def as_json(self) -> dict[str, object]:
        """The explanation as plain values."""
        return {
            **self.view.as_json(),
            "does": self.verdict.verb,
            "reason": self.verdict.reason,
            "message": self.verdict.message,
            "steps": steps_of(self.foreseen) if self.foreseen is not None else [],
            "problems": problems_of(self.foreseen) if self.foreseen is not None else [],
            "spec_digest": self.manifest.spec_digest if self.manifest is not None else None,
            "spec_digest_acted_on": self.view.record.spec_digest,
            "holds": [asdict(hold) for hold in self.holds],
            "renamed": [asdict(each) for each in self.renamed],
            "last_errors": [asdict(error) for error in self.errors],
        }

    def lines(self) -> list[str]:
        """The explanation as text."""
        record = self.view.record
        pairs = [
            ("Job", f"{record.job_id} ({record.job_type}), generation {record.generation}, {record.state}"),
            ("Manifest", shown(record.path, 200)),
            ("Spec", self.spec_text),
            ("Now", self.verdict.text),
        ]
        steps = steps_of(self.foreseen) if self.foreseen is not None else []
        pairs += [("", f"- {step}") for step in steps]
        pairs += [("Tries", self.retry_text)] if self.retry_text else []
        pairs += [("Tracks", f"{self.view.tracks_text} published")]
        lines = [f"{name + ':' if name else '':<{_WIDTH}}{text}" for name, text in pairs]
        problems = problems_of(self.foreseen) if self.foreseen is not None else []
        return [
            *lines,
            *_section("To mend", [shown(problem, _TEXT_MAX) for problem in problems]),
            *_section("Holds", [f"{hold.what}: {shown(hold.why, _TEXT_MAX)}" for hold in self.holds]),
            *_section("Renamed", self._renamed()),
            *_section("Conditions", self._conditions()),
            *_section("Last errors", self._errors()),
        ]

    def _conditions(self) -> list[str]:
        return [
            f"{each.type}={each.status} {each.reason} since {each.last_transition_time}"
            + (f": {shown(each.message, _TEXT_MAX)}" if each.message else "")
            for each in self.view.record.conditions
        ]

    def _renamed(self) -> list[str]:
        return [
            f"track {each.position} is {shown(each.path, _TEXT_MAX)}: another file has its name"
            for each in self.renamed
        ]

    def _errors(self) -> list[str]:
        return [
            f"track {shown(error.track, 8)}, {rfc3339(error.at_unix_s)}: {shown(error.what, 200)}"
            + (f" (peer {shown(error.peer, 48)})" if error.peer else "")
            for error in self.errors
        ]


def waiting(seconds: float) -> str:
    """`in 12m 3s`; `now` for what is due."""
    whole = int(seconds)
    if whole <= 0:
        return "now"
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
    return "in " + " ".join(parts[:2])


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in lines)] if lines else []
