"""How long a manifest takes to read: ordinary ones, hostile ones, and the largest that the limits let through.

Owns: the clock and the table that is printed. Never: judges what was read (tests/unit/manifests/test_manifest_odd.py).

    PYTHONPATH=tests .venv/bin/python tests/bench/read_manifests.py --worst-ms 50
"""

import argparse
import sys
import time

from odd_manifests import ALBUM, MBID, ODD

from reconciler.manifests.read import read_manifest

RUNS = 5


def album_of(tracks: int) -> bytes:
    """A release with so many tracks."""
    more = "".join(f"    - {{position: {n}, title: {n}, mb_recording_id: {MBID}}}\n" for n in range(3, tracks + 1))
    return ALBUM + more.encode()


AT_THE_LIMITS = {
    "an album of 12 tracks": album_of(12),
    "an album of 100 tracks": album_of(100),
    "an album of 1,000 tracks": album_of(1000),
    "an album of 2,700 tracks (256 KiB)": album_of(2700),
    "50,000 events of a list": b"a: [" + b"1," * 49_980 + b"]",
    "50,000 events of a mapping": b"{" + b"".join(b"k%d: 1, " % n for n in range(20_000)) + b"}",
}


def spent_ms(data: bytes) -> float:
    """Processor time of one read, the best of five: what the machine does besides is not the reader's."""
    best_s = float("inf")
    for _ in range(RUNS):
        before_s = time.thread_time()
        read_manifest(data)
        best_s = min(best_s, time.thread_time() - before_s)
    return best_s * 1000


def main() -> int:
    """Print the figures; exit status 1 where a hostile manifest took longer than was asked for."""
    parser = argparse.ArgumentParser(description="Time the reading of manifests.")
    parser.add_argument("--worst-ms", type=float, default=0.0, help="for a hostile manifest; 0 = only report")
    given = parser.parse_args()
    for name, data in AT_THE_LIMITS.items():
        print(f"{spent_ms(data):8.2f} ms  {len(data):7,} bytes  {name}")
    times = sorted(((spent_ms(odd.data), odd) for odd in ODD), key=lambda timed: timed[0], reverse=True)
    print(f"\n{len(times)} hostile and odd manifests, median {times[len(times) // 2][0]:.2f} ms; the slowest:")
    for ms, odd in times[:5]:
        print(f"{ms:8.2f} ms  {len(odd.data):7,} bytes  {odd.name}")
    return 1 if given.worst_ms and times[0][0] > given.worst_ms else 0


if __name__ == "__main__":
    sys.exit(main())
