"""What the protocol library must leave alone, and what it is told."""

import asyncio
import os

import pytest

from reconciler.sources.soulseek import shares
from reconciler.sources.soulseek.account import Account
from reconciler.sources.soulseek.client import Client


def run(test, **account):
    """Run a test's coroutine with a client that has begun, and a loop that has a handler of its own."""

    def ours(*_):
        """Take what nobody waited for."""

    async def main():
        asyncio.get_running_loop().set_exception_handler(ours)
        given = {"username": "us", "password": "x", "server_host": "127.0.0.1", "server_port": 1, **account}
        client = Client(Account(**given), found=lambda _: None, excluded=lambda _: None)
        try:
            assert await client.begin() == ""
            await test(client, ours)
        finally:
            await client.stop()

    asyncio.run(main())


def test_the_loop_keeps_its_exception_handler():
    """The library puts its own there; what nobody waits for is ours to bound and tell."""

    async def test(_, ours):
        assert asyncio.get_running_loop().get_exception_handler() is ours

    run(test)


def test_nothing_is_on_that_was_not_asked_for(monkeypatch, tmp_path):
    """No UPnP, port, obfuscation, distributed net, reconnecting or download folder, whatever variables say."""
    for name in ("DEBUG", "NETWORK", "CREDENTIALS", "SHARES", "TRANSFERS"):
        monkeypatch.setenv(name, "1")

    async def test(client, _):
        settings = client.settings
        assert not settings.network.upnp.enabled
        assert not settings.network.server.reconnect.auto
        assert client.network.get_listening_ports() == (0, 0)
        assert not settings.debug.search_for_parent
        assert settings.shares.download == os.devnull
        assert not settings.shares.directories

    run(test)


def test_what_is_offered_is_bounded_over_all_folders(monkeypatch, tmp_path):
    """Each of them alone would fit; a later look at one of them changes nothing."""
    monkeypatch.setattr(shares, "FILES_MAX", 4)
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        for number in range(3):
            (folder / f"{number}.flac").write_bytes(b"x")

    async def test(client, _):
        for each in client.shares.shared_directories * 2:
            await client.shares.scan_directory_files(each)
            assert len(each.items) <= 3
        assert [len(each.items) for each in client.shares.shared_directories] == [3, 1]

    run(test, shared=tuple(map(str, folders)))


@pytest.mark.parametrize(("bytes_per_s", "limit"), [(0, 0), (1, 1), (1000, 1), (125_000, 123)])
def test_a_cap_however_low_is_a_cap(bytes_per_s, limit):
    """The library counts in units of 1,024 bytes, and takes none for no cap."""

    async def test(client, _):
        assert client.settings.network.limits.upload_speed_kbps == limit

    run(test, upload_bytes_per_s=bytes_per_s)


def test_folders_are_shared_once(tmp_path):
    """One in another is the other's; of a library that is shared anyway nothing is offered twice."""
    music, new, library = tmp_path / "music", tmp_path / "music" / "new", tmp_path / "library"

    async def test(client, _):
        assert [each.path for each in client.settings.shares.directories] == [str(music), str(library)]
        client.publish([(str(library / "a.flac"), (1, 1)), (str(new / "b.flac"), (1, 1))])
        assert client.shares.published == {library: {"a.flac": (1, 1)}}

    run(test, shared=(str(new), str(music)), published_roots=(str(new), str(library)))
