"""Files as a Soulseek search finds them.

Owns: a builder with defaults. Never: anything of the network.
"""

from reconciler.sources.soulseek.shared_file import SharedFile


def shared_file(username, path, *, size=1000, **more):
    """One file of a user."""
    values = {
        "extension": path.rpartition(".")[2],
        "duration_s": None,
        "bitrate_kbps": None,
        "sample_rate_hz": None,
        "bit_depth": None,
        "free_slot": True,
        "queue_length": 0,
        "speed_bytes_per_s": 0,
    }
    return SharedFile(username=username, path=path, size=size, **(values | more))
