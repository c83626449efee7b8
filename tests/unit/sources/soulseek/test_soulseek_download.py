"""What a peer says of one file that was asked for, in whatever order it comes."""

import pytest

from reconciler.sources.soulseek.download import Download, DownloadError
from reconciler.sources.soulseek.line import FAILED_UPLOADS_MAX


class Connection:
    """Stands for a connection that a peer opened; nothing is read from it here."""


def asked_for():
    return Download(username="u", path="a\\b.flac", size=1000, stall_s=60.0)


def test_the_connection_of_the_offer_is_taken_and_no_other():
    """By its ticket, and once."""
    download, connection = asked_for(), Connection()
    assert not download.connected(7, connection)
    assert download.offered(7, 1000)
    assert not download.connected(8, connection)
    assert download.connected(7, connection)
    assert not download.connected(7, Connection())
    assert download.stream is connection


def test_a_peer_whose_connection_did_not_come_about_may_offer_anew():
    """Its last word counts; once bytes can flow, there is nothing more to offer."""
    download = asked_for()
    assert download.offered(7, 1000)
    assert download.offered(8, 1000)
    assert not download.connected(7, Connection())
    assert download.connected(8, Connection())
    assert not download.offered(9, 1000)


def test_another_size_is_another_file(virtual_loop):
    """It is never asked for again."""
    download = asked_for()
    assert not download.offered(7, 999)
    with pytest.raises(DownloadError, match="offers 999 bytes") as refused:
        virtual_loop.run(download.news(1.0))
    assert (refused.value.code, refused.value.is_final) == ("bad answer", True)
    assert not download.offered(8, 1000)


def test_an_upload_that_failed_is_asked_for_again_some_times(virtual_loop):
    """Then the peer is believed."""
    download = asked_for()
    for _ in range(FAILED_UPLOADS_MAX):
        assert download.offered(7, 1000)
        download.upload_failed()
        assert download.say_again
        assert not download.is_offered
        assert virtual_loop.run(download.news(1.0))
    download.upload_failed()
    with pytest.raises(DownloadError, match="again and again"):
        virtual_loop.run(download.news(1.0))
