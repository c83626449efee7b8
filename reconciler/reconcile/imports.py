"""Take manifests in: each is checked, given the identity that it has here, and written into `jobs/active`.

Owns: which id a manifest gets, what its file is called, and what is said of it. Never: starts a job (a daemon finds the
file by itself), writes over a file, or believes a status: what is on disk is verified again, and the rest is fetched.

Taking in the same again changes nothing, a crash in between or not: an id that another job has here is replaced by one
that follows from the two, so that it is the same the next time.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from reconciler.clock import Clock, rfc3339
from reconciler.errors import DiskError, FileBusyError, InvalidInputError
from reconciler.ids import ULID_ENTROPY_BYTES, JobId, derived_job_id, is_job_id, make_ulid
from reconciler.manifests.admission import admitted, in_lines, provenance_of, readable
from reconciler.manifests.document import Document
from reconciler.manifests.edit import EditRefusedError
from reconciler.manifests.files import make_new
from reconciler.manifests.model import Manifest, Problem
from reconciler.manifests.read import read_document, read_manifest
from reconciler.manifests.snapshot import NAME_BYTES_MAX
from reconciler.manifests.splice import SpliceRefusedError, without_status
from reconciler.reconcile.checking import checked
from reconciler.reconcile.here import Here, Holder
from reconciler.reconcile.incoming import Incoming
from reconciler.reconcile.intake import Outcome
from reconciler.reconcile.names import is_manifest_name
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.orders import Places
from reconciler.reconcile.steering import WANT_AGAIN
from reconciler.reconcile.turns import turn_in
from reconciler.state.sightings import SightingStore

# Different manifests that all came with one id; more than a few mean that something else is wrong.
SAME_ID_MAX = 1000
# Files of other jobs that are called as this one's would be.
SAME_NAME_MAX = 99
# Others that put files there at the same time, without asking, and are quicker, one after the other.
RACES_MAX = 20


def import_manifests(
    offers: Iterable[Incoming],
    *,
    folders: Folders,
    sightings: SightingStore | None,
    places: Places,
    clock: Clock,
    entropy: Callable[[int], bytes],
) -> list[Outcome]:
    """Take in each of `offers`, in their order, and say what became of it; one that is refused stops no other.

    Blocking. Whoever else takes manifests into these folders waits, so that what two offer at once comes in once.
    `entropy(n)` gives n random bytes, as os.urandom does. Raises NotFoundError where there is no `jobs/active`,
    FileBusyError where others do not come to an end.
    """
    with turn_in(folders.active):
        taking = _Taking(here=Here(folders, sightings=sightings), places=places, clock=clock, entropy=entropy)
        outcomes = [taking.take(offer) for offer in offers]
        return [taking.with_word_of_needs(outcome) for outcome in outcomes]


@dataclass(slots=True, kw_only=True)
class _Taking:
    """One call."""

    here: Here
    places: Places
    clock: Clock
    entropy: Callable[[int], bytes]
    renamed: dict[JobId, JobId] = field(default_factory=dict)
    """The ids that manifests came with, and those that they were given instead."""
    needs: dict[JobId, tuple[JobId, ...]] = field(default_factory=dict)
    """What each imported job depends on, as its manifest says."""

    def take(self, offer: Incoming) -> Outcome:
        if offer.problem is not None:
            return _refused(offer, offer.problem)
        data = readable(offer.data)
        parsed = checked(data, self.places)
        if parsed.manifest is None:
            return _refused(offer, *parsed.problems)
        try:
            outcome = self._taken(offer, in_lines(data), parsed.manifest)
        except (EditRefusedError, SpliceRefusedError) as error:
            what = f"another id cannot be written into it: {error.reason}"
            hint = "write it in lines, without braces around the whole, or give it an id of its own by hand"
            return _refused(offer, Problem(line=error.line, column=0, pointer="job_id", message=what, hint=hint))
        except (FileBusyError, InvalidInputError, DiskError) as error:
            refused = _refused(offer, Problem(line=0, column=0, pointer="", message=error.message, hint=error.hint))
            return replace(refused, hindrance=error if error.retriable else None)
        return replace(outcome, problems=parsed.problems)

    def with_word_of_needs(self, outcome: Outcome) -> Outcome:
        """The outcome of a job that depends on one which has another id here than the manifest knows."""
        if outcome.job_id is None or outcome.result != "imported":
            return outcome
        said = tuple(
            f"it depends on {need}, which is another job here; the one that came with it is {self.renamed[need]}"
            for need in self.needs.get(outcome.job_id, ())
            if need in self.renamed
        )
        return replace(outcome, notes=(*outcome.notes, *said))

    def _taken(self, offer: Incoming, data: bytes, manifest: Manifest) -> Outcome:
        document = read_document(data)
        was = provenance_of(document) if isinstance(document, Document) else None
        for _ in range(RACES_MAX):
            job_id, holder = self._identity(manifest)
            outcome = Outcome(
                source=offer.source, result="unchanged", job_id=job_id, offered_id=manifest.job_id, was=was
            )
            if holder is not None:
                known_as = holder.manifest.job_id if holder.manifest is not None else None
                notes = _notes_of_unchanged(data, manifest, holder)
                return replace(outcome, job_id=known_as, path=holder.path, notes=notes)
            new, written = self._proven(data, job_id, manifest)
            path = self._written(offer.name, job_id, new)
            if path is not None:
                self.here.add(path, written)
                self._remember(job_id, manifest)
                notes = self._notes(job_id, manifest)
                return replace(outcome, result="imported", path=path, notes=notes)
        raise FileBusyError(f"others put job {job_id} there at the same time", hint="import it again")

    def _identity(self, manifest: Manifest) -> tuple[JobId, Holder | None]:
        """The id that a manifest gets here, and the file that asks for the same under it already."""
        if manifest.job_id is None:
            alike = self.here.asking_for(manifest.spec_digest)
            unix_ms = int(self.clock.wall() * 1000)
            fresh = JobId(make_ulid(unix_ms=unix_ms, entropy=self.entropy(ULID_ENTROPY_BYTES)))
            return fresh, alike[0] if alike else None
        job_id = manifest.job_id
        for _ in range(SAME_ID_MAX):
            holders = self.here.holders(job_id)
            alike = [h for h in holders if h.manifest is not None and h.manifest.spec_digest == manifest.spec_digest]
            if not holders or alike:
                return job_id, alike[0] if alike else None
            job_id = derived_job_id(job_id, f"import {manifest.spec_digest}")
        raise InvalidInputError(
            f"more than {SAME_ID_MAX} different jobs came with id {manifest.job_id}", hint="take the id out of the file"
        )

    def _proven(self, data: bytes, job_id: JobId, manifest: Manifest) -> tuple[bytes, Manifest]:
        """The bytes that are written, with this id, and what they say: what the offered ones ask for."""
        new = admitted(data, job_id=job_id, created_at=rfc3339(self.clock.wall()))
        written = read_manifest(new).manifest
        if written is None or (written.job_id, written.spec_digest) != (job_id, manifest.spec_digest):
            hint = "write it in lines of its own, as the examples have it"
            raise InvalidInputError("its id cannot be written into it without a change of its meaning", hint=hint)
        return new, written

    def _written(self, name: str, job_id: JobId, data: bytes) -> str | None:
        """Where the file is now; None where another that has this job came to be there meanwhile."""
        active = self.here.folders.active
        for each in _names(name, job_id):
            path = self.here.folders.relative(active / each)
            if make_new(active / each, data):
                return path
            standing = self.here.notice(path)
            if standing is not None and standing.job_id == job_id:
                return None
        raise InvalidInputError(f"every name for job {job_id} is taken in {active}", hint="remove what is not needed")

    def _remember(self, job_id: JobId, manifest: Manifest) -> None:
        self.needs[job_id] = manifest.directives.depends_on
        if manifest.job_id is not None and manifest.job_id != job_id:
            self.renamed[manifest.job_id] = job_id

    def _notes(self, job_id: JobId, manifest: Manifest) -> tuple[str, ...]:
        notes: list[str] = []
        if manifest.job_id is not None and manifest.job_id != job_id:
            notes.append(f"{manifest.job_id} is another job here, so it was given the id {job_id}")
        if manifest.directives.suspend is not None:
            notes.append(f"it rests until `reconciler job resume {job_id}`, or until the time that it says")
        return tuple(notes)


def _names(name: str, job_id: JobId) -> Iterator[str]:
    """What the file may be called, the best first: as it was, unless that is the id of another job, or its own id."""
    stem = name.rpartition(".")[0]
    fits = is_manifest_name(name) and len(name.encode()) <= NAME_BYTES_MAX
    if fits and (stem == job_id or not is_job_id(stem)):
        yield name
    yield f"{job_id}.yml"
    yield from (f"{job_id} ({number}).yml" for number in range(2, SAME_NAME_MAX + 1))


def _notes_of_unchanged(data: bytes, manifest: Manifest, holder: Holder) -> tuple[str, ...]:
    notes: list[str] = []
    known_as = holder.manifest.job_id if holder.manifest is not None else None
    if manifest.job_id is not None and known_as != manifest.job_id:
        notes.append(f"{manifest.job_id} is another job here; this one came in before, as {known_as}")
    if holder.path.startswith("jobs/completed/"):
        notes.append(f"it has ended here; {WANT_AGAIN}")
    if manifest.job_id is not None and known_as is not None:
        try:
            same = admitted(data, job_id=known_as, created_at="") == without_status(holder.document)
        except (EditRefusedError, SpliceRefusedError):
            same = data == holder.document
        if not same:
            notes.append("comments, layout or created_at differ from the file here, which stays as it is")
    return tuple(notes)


def _refused(offer: Incoming, *problems: Problem) -> Outcome:
    return Outcome(source=offer.source, result="refused", problems=problems)
