"""A Metalink 4 document is read within limits, and refused with a line and a column."""

import random

import pytest

from reconciler.manifests.metalink import (
    DEPTH_MAX,
    ELEMENTS_MAX,
    FILES_MAX,
    METALINK_BYTES_MAX,
    PRIORITY_LAST,
    LinkedFile,
    Mirror,
    PieceHashes,
    read_metalink,
)
from reconciler.manifests.model import Problem

DIGEST = "0123456789abcdef" * 4
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n'


def metalink(*lines):
    """A document of these lines; the first one is line 3."""
    return (HEAD + "\n".join(lines) + "\n</metalink>\n").encode()


WHOLE = metalink(
    "  <generator>a program/1.0</generator><published>2010-05-05T12:15:02Z</published>",
    '  <file name="live/01 Opening.flac">',
    "    <identity>Live</identity><version>1</version><language>en</language><description>&lt;b&gt;</description>",
    "    <size>2097153</size>",
    f'    <hash type="sha-256"> {DIGEST.upper()}\n </hash>',
    '    <hash type="md5">83b1a04f18d6782cfe0407edadac377f</hash><hash type="sha512">x</hash>',
    f'    <pieces length="1048576" type="sha-256"><hash>{DIGEST}</hash><hash>{DIGEST}</hash>'
    f"<hash>{'f' * 64}</hash></pieces>",
    '    <pieces length="262144" type="sha-1"><hash>x</hash></pieces>',
    '    <url location="DE" priority="2">https://a.example/01.flac</url>',
    "    <url>ftp://b.example/01.flac?a=1&amp;b=2</url>",
    '    <metaurl mediatype="torrent" priority="3">https://a.example/01.torrent</metaurl>',
    '    <signature mediatype="application/pgp-signature"><![CDATA[-----BEGIN...]]></signature>',
    '    <mirrors xmlns="https://example.org/ext"><url>https://not.ours.example/</url></mirrors>',
    "  </file>",
)


def test_everything_of_use_is_read():
    """Size, hashes, pieces, and mirrors with priority and location; elements of others are passed over."""
    assert read_metalink(WHOLE) == (
        LinkedFile(
            name="live/01 Opening.flac",
            size=2_097_153,
            sha256=DIGEST,
            other_kinds=("md5", "sha-512"),
            pieces=(
                PieceHashes(kind="sha-256", length_bytes=1_048_576, sha256=(DIGEST, DIGEST, "f" * 64)),
                PieceHashes(kind="sha-1", length_bytes=262_144, sha256=()),
            ),
            mirrors=(
                Mirror(url="https://a.example/01.flac", priority=2, location="de"),
                Mirror(url="ftp://b.example/01.flac?a=1&b=2", priority=PRIORITY_LAST, location=""),
            ),
            metaurls=("https://a.example/01.torrent",),
        ),
    )


def test_a_byte_order_mark_is_no_harm():
    """Some editors write one."""
    assert read_metalink(b"\xef\xbb\xbf" + WHOLE) == read_metalink(WHOLE)


# Expands to a gigabyte in a parser that lets it.
LAUGHS = (
    '<?xml version="1.0"?>\n<!DOCTYPE metalink [<!ENTITY a0 "laugh">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    + ']>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="&a9;"/></metalink>'
).encode()


@pytest.mark.parametrize(
    ("data", "line", "column", "says"),
    [
        (LAUGHS, 2, 1, "document type declaration"),
        (b'<!DOCTYPE m SYSTEM "file:///etc/passwd"><m/>', 1, 1, "document type declaration"),
        (b"", 1, 1, "no element found"),
        (b"<metalink", 1, 1, "unclosed token"),
        (HEAD.encode() + b"<a></metalink>", 3, 6, "mismatched tag"),
        (metalink("<file name='&nobody;'/>"), 3, 1, "undefined entity"),
        (metalink("<file name='a&#0;b'/>"), 3, 14, "invalid character number"),
        (metalink("<file>"), 3, 1, "without `name`"),
        (b"<html><body>404</body></html>", 1, 1, "is no Metalink"),
        (b'<metalink xmlns="http://www.metalinker.org/" version="3.0"/>', 1, 1, "version 3"),
        (metalink("\xe4").replace("ä".encode(), b"\xe4"), 3, 1, "is not UTF-8"),
        (b"\xff\xfe<\0m\0", 1, 1, "is not UTF-8"),
        (metalink('<file name="a"><size>twelve</size>'), 3, 28, "size that is no number"),
        (metalink('<file name="a"><size>-1</size>'), 3, 24, "size that is no number"),
        (metalink('<file name="a"><size>1</size><size>2</size>'), 3, 37, "a size twice"),
        (metalink('<file name="a"><hash>aa</hash>'), 3, 24, "<hash> without `type`"),
        (metalink(f'<file name="a"><hash type="sha-256">{DIGEST}0</hash>'), 3, 102, "not 64 hex digits"),
        (metalink('<file name="a"><hash type="sha-256"><b/></hash>'), 3, 37, "an element within <hash>"),
        (metalink('<file name="a"><pieces type="sha-256">'), 3, 16, "<pieces> without `length`"),
        (metalink('<file name="a"><pieces type="sha-256" length="0">'), 3, 16, "length that is no number"),
        (metalink('<file name="a"><url priority="0">http://a/</url>'), 3, 43, "priority that is no number"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(data, line, column, says):
    """Nothing is guessed, expanded or asked for; `&lt;` and its like are all the entities there are."""
    problem = read_metalink(data)
    assert isinstance(problem, Problem)
    assert says in problem.message
    assert (problem.line, problem.column) == (line, column)
    assert problem.hint


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b" " * (METALINK_BYTES_MAX + 1), "larger than 4 MiB"),
        (metalink("<a>" * 500_000), f"more than {DEPTH_MAX} others"),
        (metalink("<a/>" * (ELEMENTS_MAX + 1)), "more than 100,000 elements"),
        (metalink('<file name="a"/>' * (FILES_MAX + 1)), "more than 5,000 files"),
        (metalink('<file name="a"><url>http://a/' + "x" * 9000 + "</url></file>"), "more than 8,192 characters"),
    ],
)
def test_everything_has_a_bound(data, says):
    """Size, depth, counts and the length of a text."""
    problem = read_metalink(data)
    assert isinstance(problem, Problem)
    assert says in problem.message


def test_two_different_hashes_of_one_file_are_refused():
    """One of them is wrong, and nobody can say which."""
    twice = metalink(
        *(f'<file name="a"><hash type="sha-256">{DIGEST}</hash>',), f'<hash type="sha-256">{"0" * 64}</hash>'
    )
    assert "two different" in read_metalink(twice).message


def test_damaged_documents_are_read_or_refused():
    """Flipped, cut and doubled bytes: a value or a problem, never an exception."""
    chance = random.Random(5854)
    refused = 0
    for _ in range(2000):
        data = bytearray(WHOLE)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[at] = chance.choice(b"<>&\"'/; \x00\x80a0")
                case 1:
                    del data[at : at + chance.randint(1, 40)]
                case _:
                    data[at:at] = data[at : at + chance.randint(1, 40)]
        found = read_metalink(bytes(data))
        refused += isinstance(found, Problem)
        assert isinstance(found, tuple) or found.line > 0
    assert 0 < refused < 2000
