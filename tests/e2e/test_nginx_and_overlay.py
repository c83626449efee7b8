"""A plain web server and an overlay peer fill one file together."""

import hashlib
import random
import socket
import subprocess
from contextlib import contextmanager

import pytest
from e2e.rig import events_of, peer, run, stock

NGINX = """\
daemon off;
master_process off;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {folder}/www; limit_rate {rate}; }}
}}
"""

MANIFEST = """\
manifest_version: "1.0"
job_type: multi_source
spec:
  target_dir: library
  files:
    - path: talks/interview.bin
      size: {size}
      root: {root}
      sources:
        - {{url: "http://127.0.0.1:{port}/interview.bin"}}
        - {{overlay: {address}}}
"""


@contextmanager
def nginx(folder, *, rate):
    """Run nginx over `folder`/www; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, rate=rate))
    with subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL) as process:
        try:
            _await_port(process, port)
            yield port
        finally:
            process.terminate()


def _await_port(process, port):
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            try:
                process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    raise AssertionError("nginx did not start")


@pytest.mark.package("nginx-light")
def test_nginx_and_an_overlay_peer_fill_one_file(tmp_path):
    """Both give chunks of the one file; it is published byte for byte."""
    (tmp_path / "www").mkdir()
    original = tmp_path / "www" / "interview.bin"
    original.write_bytes(random.Random(7).randbytes(6_000_000))
    held = stock(tmp_path / "peer", original)
    root, state = tmp_path / "root", tmp_path / "state"
    run("init", "--root", root, check=0)
    with nginx(tmp_path, rate="3m") as port, peer(tmp_path / "peer", upload_kbps=24_000) as address:
        text = MANIFEST.format(size=6_000_000, root=held.root, port=port, address=address)
        (root / "jobs" / "active" / "talk.yml").write_text(text)
        run("run", "--once", "--root", root, "--state", state, check=0)
    published = root / "library" / "talks" / "interview.bin"
    assert hashlib.sha256(published.read_bytes()).hexdigest() == held.sha256
    received = [event for event in events_of(root, state) if event.type == "ChunkReceived" and not event.is_error]
    assert {event.source for event in received} == {"http", "overlay"}
    assert {event.action for event in received} == {"verified"}
    assert sum(event.bytes_transferred for event in received) == 6_000_000
