"""What a person reads who has never seen the program, and writes something that it does not know."""

import os
import sys
from io import BytesIO, TextIOWrapper

import click
import pytest
from click.testing import CliRunner

from reconciler.cli.groups import ELSEWHERE
from reconciler.cli.main import cli, main


def said(*words, code=2):
    """What a command prints, both streams."""
    done = CliRunner().invoke(cli, [str(word) for word in words], prog_name="reconciler")
    assert done.exit_code == code, done.output
    return done.output


def left(monkeypatch, *words):
    """Run the program as a whole on streams of UTF-8; gives its exit code and what both say, as bytes."""
    streams = [TextIOWrapper(BytesIO(), "utf-8") for _ in range(2)]
    monkeypatch.setattr(sys, "argv", ["reconciler", *words])
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit) as ended:
        main()
    for stream in streams:
        stream.flush()
    return int(ended.value.code or 0), *(stream.buffer.getvalue() for stream in streams)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["validat"], "reconciler validate"),
        (["job", "lst"], None),
        (["job", "list"], "reconciler status"),
        (["jobs"], "reconciler job"),
        (["ls"], "reconciler status"),
        (["trace", "01HRQ4"], "reconciler job trace"),
        (["job", "cancle"], "reconciler job cancel"),
        (["library", "scna"], "reconciler library scan"),
        (["dance"], None),
    ],
)
def test_a_command_that_there_is_not_is_answered_with_the_one_that_was_meant(words, meant):
    """Misspelt, without its group, or by the name that it has elsewhere; and nothing is made up."""
    text = said(*words)
    assert "No such command" in text
    assert ("Did you mean" in text) is (meant is not None)
    assert meant is None or f"Did you mean `{meant}`?" in text


def test_what_is_said_to_be_meant_is_there():
    """Every guess is a command."""
    for meant in ELSEWHERE.values():
        found = cli
        for word in meant.split():
            found = found.get_command(click.Context(found), word)
            assert found is not None, meant


def test_the_commands_of_a_job_stand_in_the_order_of_its_life_and_none_is_cut():
    """From a new one to its end."""
    text = said("job", "--help", code=0)
    listed = [line.split()[0] for line in text.partition("Commands:\n")[2].splitlines() if line[2:3].strip()]
    assert listed == ["new", "import", "export", "show", "explain", "trace", "suspend", "resume", "cancel", "retry"]
    assert "..." not in text.partition("Commands:\n")[2]


def test_what_no_command_has_words_for_is_still_no_traceback(monkeypatch):
    """A name that no disk takes."""
    code, out, err = left(monkeypatch, "validate", "x" * 300)
    assert (code, out) == (1, b"")
    assert err.startswith(b"reconciler: xxx")
    assert b"File name too long\n  what to do: " in err


def test_a_name_that_is_no_text_can_be_told(tmp_path, monkeypatch):
    """Escaped, for people as for programs: JSON stays JSON."""
    file = tmp_path / os.fsdecode(b"b\xff.yml")
    file.write_bytes(b"a: [b\n")
    code, out, _ = left(monkeypatch, "validate", str(file))
    assert code == 2
    assert b"b\\udcff.yml:2:1: not YAML" in out
    code, out, _ = left(monkeypatch, "validate", "--json", str(file))
    assert code == 2
    assert b'b\\udcff.yml",' in out


def test_what_is_wrong_with_a_file_as_such_has_no_line(tmp_path):
    """It is named, and once; and a folder without manifests is not praised."""
    (tmp_path / "link.yml").symlink_to("/nowhere")
    assert said("validate", tmp_path).startswith(f"{tmp_path}/link.yml is a link to nothing; mount ")
    (tmp_path / "jobs" / "active").mkdir(parents=True)
    large = CliRunner().invoke(cli, ["job", "import", "--manifest", "-", "--root", str(tmp_path)], input="#" * 300_000)
    assert large.stderr.startswith("-: the file is larger than 256 KiB; split it")
    (tmp_path / "empty").mkdir()
    assert "no manifest is there" in said("validate", tmp_path / "empty", code=0)
