"""Two real Syncthing instances on this machine that share a folder, for end-to-end tests.

Owns: their configuration, starting, stopping and asking them. Never: announces anything, or listens beyond loopback.
"""

import contextlib
import json
import socket
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from e2e.rig import environment, eventually

FOLDER = "jobs"
API_KEY = "of-a-test-on-loopback"

CONFIGURATION = """\
<configuration version="36">
  <folder id="{folder}" path="{path}" type="sendreceive" rescanIntervalS="20" fsWatcherEnabled="true"
          fsWatcherDelayS="1">
    <device id="{own.device}"/><device id="{other.device}"/>
  </folder>
  <device id="{own.device}" name="{own.name}"><address>tcp://127.0.0.1:{own.port}</address></device>
  <device id="{other.device}" name="{other.name}"><address>tcp://127.0.0.1:{other.port}</address></device>
  <gui enabled="true" tls="false"><address>127.0.0.1:{own.gui_port}</address><apikey>{key}</apikey></gui>
  <options>
    <listenAddress>tcp://127.0.0.1:{own.port}</listenAddress>
    <globalAnnounceEnabled>false</globalAnnounceEnabled><localAnnounceEnabled>false</localAnnounceEnabled>
    <relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled><startBrowser>false</startBrowser>
    <reconnectionIntervalS>1</reconnectionIntervalS><autoUpgradeIntervalH>0</autoUpgradeIntervalH>
    <urAccepted>-1</urAccepted><crashReportingEnabled>false</crashReportingEnabled>
  </options>
</configuration>
"""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One of the two."""

    name: str
    home: Path
    shared: Path
    """Its copy of the folder."""
    device: str
    port: int
    gui_port: int

    def ask(self, path):
        """An answer of its REST interface; None while it does not answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.gui_port}{path}", headers={"X-API-Key": API_KEY})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except OSError:
            return None

    @contextlib.contextmanager
    def running(self):
        """Run it for the time of the block."""
        words = ["syncthing", "serve", f"--home={self.home}", "--no-browser", "--no-restart", "--no-upgrade"]
        log = (self.home / "log.txt").open("ab")
        with log, subprocess.Popen(words, stdout=log, stderr=log, env=environment(HOME=str(self.home))) as process:
            try:
                eventually(lambda: self.ask("/rest/system/ping"), f"{self.name} answers")
                yield
            finally:
                process.terminate()

    def is_connected(self):
        """Whether it talks to the other one."""
        found = self.ask("/rest/system/connections") or {"connections": {}}
        return any(each["connected"] for each in found["connections"].values())


def make_pair(folder, one, other):
    """Make keys and configurations for two instances that share the folders `one` and `other`."""
    instances = [
        _instance(folder / f"syncthing-{name}", name, shared) for name, shared in (("one", one), ("other", other))
    ]
    for own, peer in (instances, reversed(instances)):
        text = CONFIGURATION.format(folder=FOLDER, path=own.shared, own=own, other=peer, key=API_KEY)
        (own.home / "config.xml").write_text(text)
        (own.shared / ".stfolder").mkdir(parents=True, exist_ok=True)
    return tuple(instances)


def _instance(home, name, shared):
    home.mkdir(parents=True)
    bare = environment(HOME=str(home))
    subprocess.run(["syncthing", "generate", f"--home={home}"], check=True, capture_output=True, env=bare, timeout=240)
    told = subprocess.run(["syncthing", f"--home={home}", "--device-id"], check=True, capture_output=True, text=True,
                          env=bare, timeout=240)  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        port, gui_port = first.getsockname()[1], second.getsockname()[1]
    return Instance(name=name, home=home, shared=shared, device=told.stdout.strip(), port=port, gui_port=gui_port)
