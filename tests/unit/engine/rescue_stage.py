"""A job of one track, its origin and the overlay, driven by hand.

Owns: answers from disk and overlay as they should be, and peers whose chunks come when a test says so. Never: asserts.
"""

import hashlib
from dataclasses import replace

from reconciler.engine.events import (
    ChunkArrived,
    ChunkListArrived,
    DiscardPart,
    FetchChunkList,
    Note,
    OpenPart,
    PartOpened,
    PeerQueued,
    PeersFound,
    Publish,
    Published,
    Read,
    Search,
    SearchEnded,
    TimePassed,
    TransferEnded,
    TransferFailed,
    VerifyWhole,
    WholeVerified,
)
from reconciler.engine.job import JobMachine
from reconciler.engine.neighbours import Neighbours
from reconciler.engine.order import JobOrder, TrackOrder
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.ids import JobId, Mbid, PeerId, Root, TrackPosition
from reconciler.manifests.model import Constraints
from reconciler.overlay.merkle import root_of
from reconciler.sources.base import Endpoint, Etiquette, Offer, PeerKey, Variant, Want

CHUNK = 256 * 1024
CHUNKS = 40
SIZE = CHUNK * CHUNKS
POLICY = RescuePolicy(
    max_queue_time_s=60.0, min_throughput_bytes_per_s=1000.0, min_duration_s=300.0, stall_timeout_s=100.0
)
TRACK = TrackPosition(1)
RECORDING = Mbid("e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc")


def digest_of(chunk, edition="a"):
    """What a chunk of an edition hashes to."""
    return hashlib.sha256(f"{edition}:{chunk}".encode()).digest()


def rooted(edition="a"):
    """The overlay's variant of an edition."""
    hashes = [digest_of(chunk, edition) for chunk in range(CHUNKS)]
    return Variant(root=Root(root_of(hashes, file_size=SIZE)), size=SIZE, codec="FLAC", container="flac", lossless=True)


CLAIMED = Variant(root=None, claim="user.song", size=SIZE, codec="FLAC", container="flac", lossless=True)


class Stage:
    """The machine, the time, and what it has said so far."""

    def __init__(self, *, policy=POLICY, stream=True, use_overlay=True):
        etiquettes = {"soulseek": Etiquette(requests_in_flight_max=1, sequential=stream, vouches=False)}
        if use_overlay:
            etiquettes["overlay"] = Etiquette(requests_in_flight_max=4)
        order = JobOrder(
            job_id=JobId("01HRQ4GSX9K47J7M5FK7VW8B12"),
            generation=1,
            target_dir="/music",
            allowed_root="/music",
            constraints=Constraints(),
            tracks=(TrackOrder(want=Want(position=TRACK, recording=RECORDING), title="song", stem="song"),),
        )
        self.machine = JobMachine(
            order,
            etiquettes=etiquettes,
            patience=Patience(stall_timeout_s=1000.0, rescue=policy),
            commons=Neighbours(bandwidth_bytes_per_s=0.0).seat(order),
        )
        self.now = 0.0
        self.notes = []
        self.reads = {}
        self.cancelled = []
        self.searches = []
        self.opened = []
        self.fetched = {}
        self.discarded = []
        self.refuse_whole = []
        self.verified = []
        self.editions = {rooted(edition).id: edition for edition in "abc"}
        self._obey()

    def feed(self, event):
        """Let something happen now."""
        self.machine.feed(event, now=self.now)
        self.machine.check_invariants()
        self._obey()

    def wait(self, seconds):
        """Let time pass, as the machine's deadlines ask for it."""
        until = self.now + seconds
        while (due := self.machine.next_deadline()) is not None and due <= until:
            self.now = due
            self.feed(TimePassed())
        self.now = until
        self.feed(TimePassed())

    def offer(self, source, name, variant):
        """A peer says that it has a variant."""
        offer = Offer(
            position=TRACK,
            peer=PeerKey(f"{source}:{name}"),
            source=source,
            variant=variant,
            endpoint=Endpoint(host=name, port=1, tls=True, pin=PeerId("A" * 43)),
            target="/x",
            chunk_list_target="/chunks",
        )
        self.feed(PeersFound(found=(offer,)))

    def search_ends(self, *sources):
        """The search of these sources finds no more."""
        for source in sources or ("soulseek", "overlay"):
            self.feed(SearchEnded(source=source))

    def reading_from(self, source):
        """The requests that a source's peers have now."""
        return [read for read in self.reads.values() if read.offer.source == source]

    def bring(self, source, *, chunks=1, edition="a", duration_s=0.1):
        """The peers of a source send so many of the chunks that they owe."""
        for _ in range(chunks):
            read = self.reading_from(source)[0]
            self._bring_one(read, edition, duration_s)

    def queue(self, place):
        """The origin lets its request wait."""
        self.feed(PeerQueued(transfer=self.reading_from("soulseek")[0].transfer, place=place))

    def lose(self, source, code):
        """Every request of a source fails."""
        for read in self.reading_from(source):
            self.reads.pop(read.transfer, None)
            self.feed(TransferFailed(transfer=read.transfer, code=code, message=code))

    def rescue_story(self):
        """The rescue events: what happened, and why."""
        kinds = ("RescueModeActivated", "RescueModeDeactivated")
        return [(note.type.removeprefix("RescueMode"), note.action) for note in self.notes if note.type in kinds]

    def facts(self, action):
        """The figures of the first rescue event with that action."""
        return next(note.facts for note in self.notes if note.type.startswith("Rescue") and note.action == action)

    def _bring_one(self, read, edition, duration_s):
        chunk = read.first
        self.now += duration_s
        matches = None if read.expected is None else digest_of(chunk, edition) == read.expected[0]
        self.fetched[chunk] = self.fetched.get(chunk, 0) + 1
        if read.first == read.last:
            self.reads.pop(read.transfer, None)
        else:
            rest = None if read.expected is None else read.expected[1:]
            self.reads[read.transfer] = replace(read, first=chunk + 1, expected=rest)
        self.feed(
            ChunkArrived(
                transfer=read.transfer,
                chunk=chunk,
                digest=digest_of(chunk, edition),
                matches=matches,
                bytes_received=CHUNK,
                duration_s=duration_s,
            )
        )
        if read.first == read.last:
            self.feed(TransferEnded(transfer=read.transfer))

    def _obey(self):  # noqa: C901 - one case a command
        for command in self.machine.commands():
            match command:
                case Note():
                    self.notes.append(command)
                case Read():
                    self.reads[command.transfer] = command
                case Search():
                    self.searches.append(command.sources)
                case OpenPart():
                    self.opened.append(command.part_id)
                    self.feed(PartOpened(position=TRACK, part_id=command.part_id, kept=()))
                case FetchChunkList(offer=offer):
                    edition = self.editions[offer.variant.id]
                    raw = b"".join(digest_of(chunk, edition) for chunk in range(CHUNKS))
                    self.feed(ChunkListArrived(position=TRACK, peer=offer.peer, variant_id=offer.variant.id, raw=raw))
                case DiscardPart():
                    self.discarded.append(command)
                case VerifyWhole():
                    self.verified.append(command)
                    right = WholeVerified(position=TRACK, part_id=command.part_id, sha256=None)
                    self.feed(self.refuse_whole.pop(0) if self.refuse_whole else right)
                case Publish():
                    self.feed(
                        Published(
                            position=TRACK,
                            generation=self.machine.order.generation,
                            path="/music/song.flac",
                            how="published",
                        )
                    )
                case cancel:
                    if type(cancel).__name__ == "CancelRead":
                        if (read := self.reads.pop(cancel.transfer, None)) is not None:
                            self.cancelled.append(read)
                        self.feed(TransferFailed(transfer=cancel.transfer, code="cancelled", message="cancelled"))
