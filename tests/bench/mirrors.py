"""What both sides fetch, and from where: the file with its hashes, nginx, a long line, mirrors with a rate.

Owns: making and serving the file. Never: fetches it (tests/bench/sides.py).
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
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
    server {{ {listen} root {folder}/www; {tls} }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What both sides are to fetch."""

    folder: Path
    """Where the file is, and where each side puts its copy."""
    size: int
    urls: tuple[str, ...]
    list_url: str
    """Where the chunk list of our side is."""
    tls: bool = False
    stall_timeout_s: float = 15.0
    paced_port: int = 0
    """Where mirrors with a rate are to listen."""
    counts: dict[str, int] = field(default_factory=dict)
    """What paced mirrors counted, once they have ended."""

    def facts(self) -> dict:
        """Hashes of the file: root, sha256, pieces."""
        return json.loads((self.folder / "facts.json").read_text())


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now: several runs of this may go on at once."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in taken]


def make_file(folder: Path, size: int) -> None:
    """Random bytes, their chunk list, and SHA-256 of each piece."""
    sys.path.insert(0, str(HERE.parents[1]))
    from reconciler.overlay.filehash import hash_file  # noqa: PLC0415 - the path above comes first

    www = folder / "www"
    www.mkdir(parents=True)
    folder.chmod(0o755)  # nginx's workers are another user
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


@contextlib.contextmanager
def nginx(folder: Path, *, port: int, tls: bool = False) -> Iterator[str]:
    """Serve the file on all four addresses; gives the scheme."""
    secret = ""
    if tls:
        key, certificate = folder / "key.pem", folder / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "30", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=" + ",".join(f"IP:{address}" for address in ADDRESSES),
             "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        secret = f"ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
    listen = "".join(f"listen {address}:{port}{' ssl' if tls else ''}; " for address in ADDRESSES)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, listen=listen, tls=secret))
    with running(["nginx", "-c", str(folder / "nginx.conf")], ADDRESSES[-1], port):
        yield "https" if tls else "http"


@contextlib.contextmanager
def far_away(folder: Path, *, port: int, behind: int, one_way_ms: float) -> Iterator[None]:
    """Put `one_way_ms` between every address at `port` and the same address at `behind`."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("the scenario `delay` needs a C compiler (the Debian package gcc): cc is not here")
    proxy = folder / "delay_proxy"
    subprocess.run([compiler, "-O2", "-pthread", "-o", proxy, HERE / "delay_proxy.c"], check=True)
    with contextlib.ExitStack() as stack:
        for address in ADDRESSES:
            words = [str(proxy), address, str(port), address, str(behind), str(one_way_ms)]
            stack.enter_context(running(words, address, port))
        yield


@contextlib.contextmanager
def paced(job: Job, *, port: int, mirrors: tuple[str, ...], chunk_bytes: int) -> Iterator[None]:
    """Serve the file at a rate of its own from each address; what they counted is in `job.counts` afterwards."""
    words = [sys.executable, str(HERE / "paced_mirrors.py"), str(job.folder / "www" / "file.bin"), str(port)]
    words += [str(chunk_bytes), *mirrors]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield
        counts, _ = process.communicate()
        job.counts.update(json.loads(counts))


@contextlib.contextmanager
def running(words: list[str], address: str, port: int) -> Iterator[None]:
    """Run a server for as long as the block; it is there when the block begins."""
    with subprocess.Popen(words) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection((address, port), timeout=5).close()
                    break
                time.sleep(0.02)
            assert process.poll() is None, f"{words[0]} did not start"
            yield
        finally:
            process.terminate()
