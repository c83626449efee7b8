"""The configuration as values: frozen, with every default in one place.

Owns: the defaults. Never: reads a file, the environment or a text (manifests.configuration).
"""

from dataclasses import dataclass, field
from typing import Literal

from reconciler.addresses import HostPort, PeerAddress

StatusMode = Literal["in_file", "sidecar", "both", "none"]
"""Where the status of a job is written: its manifest, a file of its own in `jobs/status`, both, or nowhere."""

Publishing = Literal["album", "track"]
"""When the files of a release get their names: all together, or each as soon as it is verified."""

HookEvent = Literal["job.completed", "job.failed", "job.cancelled"]
"""What hooks are told of; `job.failed` is the end of a job that is not tried again by itself."""

HOOK_EVENTS: tuple[HookEvent, ...] = ("job.completed", "job.failed", "job.cancelled")

CoverArt = Literal["none", "file", "embed"]
"""Where the front cover of a release goes: nowhere, beside its files, or into them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootSettings:
    """What holds below one library root."""

    path: str
    naming: str | None = None
    """None = that of the library."""
    publish: Publishing | None = None
    """None = that of the library."""
    share: bool = True
    """Whether overlay peers may have the files below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibrarySettings:
    """Where finished files may go."""

    roots: tuple[str, ...] = ()
    """Absolute folders below which a target may lie; empty = `library` below the root folder."""
    root_rules: tuple[RootSettings, ...] = ()
    """Of those roots that have rules of their own."""
    naming: str | None = None
    """Template of a file's path; None = the default of library.naming."""
    publish: Publishing = "album"
    write_tags: bool = False
    """Whether the files of a release get tags of what is known of them."""
    cover_art: CoverArt = "none"
    """Where the front cover of a release goes; `embed` needs tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlaySettings:
    """Being a peer among peers."""

    enabled: bool = True
    listen: HostPort | None = None
    """None = fetch only, serve nobody; port 0 = one that is free."""
    peers: tuple[PeerAddress, ...] = ()
    upload_slots: int = 8
    """Requests served at once."""
    upload_slots_per_peer: int = 2
    upload_kbps: int = 0
    """Kilobits per second over all peers; 0 = no cap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """The networks of our own."""

    overlay: OverlaySettings = field(default_factory=OverlaySettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueSettings:
    """When the overlay helps a transfer whose origin is behind."""

    enabled: bool = True
    max_queue_time_s: float = 1800.0
    min_throughput_kbps: float = 10.0
    """Kilobits per second, over `min_duration_s`."""
    min_duration_s: float = 300.0
    stall_timeout_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """How patient a job is with its peers."""

    stall_timeout_s: float = 15.0
    """A peer that sends nothing for so long is dropped and its chunks are asked of others."""
    searches_timeout_s: float = 10.0
    """How long a search for offers may take."""
    bandwidth_kbps: int = 0
    """Kilobits per second that all jobs together receive; 0 = no cap."""
    rescue_mode: RescueSettings = field(default_factory=RescueSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """Writing the outcome back into manifests."""

    mode: StatusMode = "in_file"
    interval_s: float = 15.0
    """At most one write in this time, terminal ones excepted; more often starves a folder that Syncthing keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """Trying a failed job again: the interval doubles from the first to the longest."""

    interval_s: float = 30.0
    max_interval_s: float = 3600.0
    limit: int = 10
    """Attempts after which the job stays failed until its spec changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """This daemon, as manifests may name it where several share a folder."""

    name: str = ""
    """Empty = the machine's host name."""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """How often the folders of manifests are looked through."""

    rescan_s: float = 30.0
    """Where the kernel tells of changes: this is for the event that was lost."""
    poll_s: float = 5.0
    """Where it does not: on network file systems, nothing else notices an edit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSettings:
    """What is done with the repository that the root folder is in."""

    status_ref: bool = False
    """Whether every job's status is committed to a ref of this machine's own."""
    interval_s: float = 60.0
    """At most one such commit in this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoulseekSettings:
    """Taking part in the Soulseek network."""

    enabled: bool = False
    server: HostPort = field(default=HostPort(host="server.slsknet.org", port=2242))
    username: str = ""
    password_file: str = ""
    """Absolute; empty = the systemd credential `soulseek-password`."""
    listen_port: int = 0
    """Where peers connect to; 0 = they cannot, and only those that we can reach take part."""
    listen_address: str = "0.0.0.0"  # noqa: S104 - peers are anywhere; nothing is opened while the port is 0
    share: tuple[str, ...] = ()
    """Absolute folders whose files are offered."""
    share_published: bool = False
    """Whether published files are offered too, wherever in the library they lie."""
    upload_slots: int = 2
    upload_kbps: int = 0
    """Kilobits per second over all uploads; 0 = no cap."""
    searches_per_220s: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class MusicBrainzSettings:
    """Where releases, artists and labels are looked up."""

    url: str = "https://musicbrainz.org/ws/2"
    """Of the web service (WS/2), without a slash at its end."""
    rate_per_s: float = 1.0
    """Requests per second of this whole process; at musicbrainz.org never more than 1."""
    contact: str = ""
    """An address or URL by which MusicBrainz can reach whoever runs this."""
    offline: bool = False
    """Ask nobody; what was looked up before is used, however old."""
    cover_art_url: str = "https://coverartarchive.org"
    """Of the Cover Art Archive, without a slash at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """A web address that is told of the ends of jobs."""

    url: str
    events: tuple[HookEvent, ...] = HOOK_EVENTS
    secret_file: str = ""
    """Absolute; what requests are signed with. Empty = they are not signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSettings:
    """Who is told when a job has ended."""

    on_completed: tuple[str, ...] = ()
    """Program and arguments, with placeholders; empty = none."""
    timeout_s: float = 600.0
    """After which that program is ended."""
    pass_environment: tuple[str, ...] = ()
    """Variables of ours that it is given besides the harmless ones."""
    webhooks: tuple[WebhookSettings, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmEventSettings:
    """What is kept of what happens in jobs."""

    enabled: bool = True
    retention_days: int = 30
    """Events older than this are deleted, but never of a job that runs."""
    max_events_per_job: int = 10_000
    """From here on a job's chunk events are summed up."""
    log_to_file: bool = True
    """Whether each job has its log in logs/sessions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticsSettings:
    """What can be looked at afterwards."""

    swarm_events: SwarmEventSettings = field(default_factory=SwarmEventSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """The HTTP API of this daemon."""

    enabled: bool = True
    listen: HostPort = field(default=HostPort(host="127.0.0.1", port=5031))
    """Port 0 = one that is free."""
    allowed_hosts: tuple[str, ...] = ()
    """Names besides `localhost` by which it may be called, such as that of a proxy before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be configured."""

    library: LibrarySettings = field(default_factory=LibrarySettings)
    mesh: MeshSettings = field(default_factory=MeshSettings)
    transfers: TransferSettings = field(default_factory=TransferSettings)
    status: StatusSettings = field(default_factory=StatusSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    git: GitSettings = field(default_factory=GitSettings)
    soulseek: SoulseekSettings = field(default_factory=SoulseekSettings)
    musicbrainz: MusicBrainzSettings = field(default_factory=MusicBrainzSettings)
    hooks: HookSettings = field(default_factory=HookSettings)
    diagnostics: DiagnosticsSettings = field(default_factory=DiagnosticsSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
