"""Our engine against aria2c on the same mirrors, with checksums on both sides, in interleaved pairs.

Owns: the mirrors (nginx), one run of each side, medians and ratios. Never: judges; docs/explanation/performance.md
does.

    python tests/bench/swarm.py [--size-mib 1024] [--pairs 7] [--folder /dev/shm] [--tls] [--rates 8,4,2,1]

Ours is timed from the engine's start to the published name, aria2c by its whole run. Needs nginx and aria2c.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PIECE = 1 << 20
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")

NGINX = """\
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {servers}
}}
"""
SERVER = "server {{ listen {address}:{port}{tls}; root {www}; {extra} }}\n    "


@dataclass(frozen=True, kw_only=True)
class Job:
    """What both sides are to fetch."""

    folder: Path
    size: int
    port: int
    tls: bool

    @property
    def urls(self) -> list[str]:
        scheme = "https" if self.tls else "http"
        return [f"{scheme}://{address}:{self.port}/file.bin" for address in ADDRESSES]


def make_file(folder: Path, size: int) -> None:
    """Random bytes, their chunk list, and a Metalink with SHA-256 pieces."""
    sys.path.insert(0, str(HERE.parents[1]))
    from reconciler.overlay.filehash import hash_file  # noqa: PLC0415 - the path above comes first

    www = folder / "www"
    www.mkdir(parents=True)
    pieces, whole = [], hashlib.sha256()
    with (www / "file.bin").open("wb") as file:
        for _ in range(size // PIECE):
            block = os.urandom(PIECE)
            pieces.append(hashlib.sha256(block).hexdigest())
            whole.update(block)
            file.write(block)
    with (www / "file.bin").open("rb") as file:
        hashes = hash_file(file.fileno(), size)
    (www / "file.bin.chunks").write_bytes(b"".join(hashes.chunk_hashes))
    (folder / "facts.json").write_text(json.dumps({"root": hashes.root, "sha256": whole.hexdigest(), "pieces": pieces}))


def write_metalink(job: Job, *, pieces: bool) -> Path:
    """The same job for aria2c."""
    facts = json.loads((job.folder / "facts.json").read_text())
    hashes = "".join(f"<hash>{piece}</hash>" for piece in facts["pieces"])
    body = f'<pieces length="{PIECE}" type="sha-256">{hashes}</pieces>' if pieces else ""
    urls = "".join(f'<url priority="1">{url}</url>' for url in job.urls)
    path = job.folder / "job.meta4"
    path.write_text(
        '<?xml version="1.0"?><metalink xmlns="urn:ietf:params:xml:ns:metalink">'
        f'<file name="file.bin"><size>{job.size}</size>{body}{urls}</file></metalink>'
    )
    return path


@contextlib.contextmanager
def mirrors(folder: Path, *, port: int, tls: bool, rates: list[float]):
    """Four nginx mirrors on loopback; `rates` in MB/s caps each (0 = none)."""
    extra = ""
    if tls:
        key, certificate = folder / "key.pem", folder / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "30", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=" + ",".join(f"IP:{address}" for address in ADDRESSES),
             "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        extra = f"ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
    servers = "".join(
        SERVER.format(
            address=address, port=port, tls=" ssl" if tls else "", www=folder / "www",
            extra=extra + (f" limit_rate {int(rate * 1e6)};" if rate else ""),
        )
        for address, rate in zip(ADDRESSES, rates, strict=True)
    )  # fmt: skip
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, servers=servers))
    with subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")]) as process:
        time.sleep(0.5)
        try:
            yield
        finally:
            process.terminate()


def run_aria2(job: Job, *, checksum: str, sync: bool) -> float:
    """One whole run of aria2c; `checksum` is `pieces`, `whole` or `none`."""
    out = job.folder / "aria2"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    words = ["aria2c", "-q", "--no-conf", "-d", str(out), "-s4", "-x4", "-k1M", "--file-allocation=falloc", "-j1"]
    if job.tls:
        words.append("--check-certificate=false")
    if checksum == "whole":
        facts = json.loads((job.folder / "facts.json").read_text())
        words += [f"--checksum=sha-256={facts['sha256']}", "-o", "file.bin", *job.urls]
    else:
        words += ["-M", str(write_metalink(job, pieces=checksum == "pieces"))]
    began = time.perf_counter()
    subprocess.run(words, check=True)
    if sync:
        subprocess.run(["sync", str(out / "file.bin")], check=True)
    return time.perf_counter() - began


def run_ours(job: Job) -> dict[str, float]:
    """One run of the engine in a process of its own; it says its own time."""
    out = job.folder / "ours"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    words = [
        sys.executable,
        str(HERE / "engine_run.py"),
        str(out),
        str(job.folder / "facts.json"),
        str(job.size),
        *job.urls,
    ]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    if job.tls:
        environment["SSL_CERT_FILE"] = str(job.folder / "cert.pem")
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Make the file, start the mirrors, run the pairs, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--port", type=int, default=19001)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--checksum", choices=("pieces", "whole", "none"), default="pieces")
    parser.add_argument("--rates", type=lambda text: [float(each) for each in text.split(",")], default=[0, 0, 0, 0])
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="swarm-bench-", dir=asked.folder))
    folder.chmod(0o755)  # nginx's workers are another user
    try:
        size = asked.size_mib << 20
        make_file(folder, size)
        job = Job(folder=folder, size=size, port=asked.port, tls=asked.tls)
        ours, theirs, ratios = [], [], []
        with mirrors(folder, port=asked.port, tls=asked.tls, rates=asked.rates):
            for pair in range(asked.pairs):
                mine = run_ours(job)
                other = run_aria2(job, checksum=asked.checksum, sync=not str(asked.folder).startswith("/dev/shm"))
                ours.append(mine["seconds"])
                theirs.append(other)
                ratios.append(mine["seconds"] / other)
                print(f"pair {pair + 1}: aria2c {other:.3f} s, ratio {ratios[-1]:.2f}, ours {mine}")
        print(
            f"median: ours {statistics.median(ours):.3f} s, aria2c {statistics.median(theirs):.3f} s, "
            f"ratio of medians {statistics.median(ours) / statistics.median(theirs):.2f}, "
            f"median ratio {statistics.median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]"
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
