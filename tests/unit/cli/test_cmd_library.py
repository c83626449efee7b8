"""`reconciler library`: what is printed, and the exit codes."""

import json
import re
import uuid

import pytest
import soundfile
from click.testing import CliRunner
from music_files import RATE_HZ, noise, write_music

from reconciler.cli import cmd_library
from reconciler.cli.main import cli
from reconciler.errors import NotFoundError
from reconciler.state.location import InstanceLock

RECORDING = str(uuid.UUID(int=1))


@pytest.fixture
def where(tmp_path):
    """A root folder with a library of one tagged file and one without tags."""
    write_music(tmp_path / "library" / "good.flac", recording=RECORDING)
    write_music(tmp_path / "library" / "plain.flac", seed=2)
    return ("--root", str(tmp_path), "--state", str(tmp_path / "state"))


def ran(*words):
    """What a command prints, and its exit code."""
    done = CliRunner().invoke(cli, words, standalone_mode=False, catch_exceptions=False)
    return done.stdout, done.return_value or 0


def test_a_scan_says_what_is_offered_and_what_is_not(where):
    """Before any daemon has run; a second time only what still is wrong."""
    text, code = ran("library", "scan", *where)
    assert code == 0
    assert "untagged: " in text
    assert "plain.flac: its tags name no MusicBrainz recording" in text
    assert text.splitlines()[-1].endswith("1 offered, 1 untagged; 0 as they were")
    text, _ = ran("library", "scan", *where)
    assert len(text.splitlines()) == 1
    assert text.startswith("2 files of ")
    assert text.endswith("; 2 as they were\n")


def test_a_scan_as_one_document(where, tmp_path):
    """Counts, and for each reason the files by name."""
    text, code = ran("library", "scan", "--json", *where)
    told = json.loads(text)
    assert code == 0
    assert told["roots"] == [str(tmp_path / "library")]
    assert (told["files"], told["offered"], told["unchanged"]) == (2, 1, 0)
    assert told["untagged"]["count"] == 1
    assert [each["path"] for each in told["untagged"]["files"]] == [str(tmp_path / "library" / "plain.flac")]


def test_damage_is_exit_code_3_each_time(where, tmp_path):
    """Also when it is known already: a script that looks at the code must not take it for mended."""
    (tmp_path / "library" / "bad.flac").write_bytes(b"nothing")
    for _ in range(2):
        text, code = ran("library", "scan", *where)
        assert code == 3
        assert "broken: " in text


def test_a_daemon_may_run_meanwhile(where, tmp_path):
    """Its lock is no obstacle once it has made the database."""
    ran("library", "scan", *where)
    with InstanceLock(tmp_path / "state"):
        assert ran("library", "scan", *where)[1] == 0


def test_untagged_files_do_not_bury_what_is_broken(where, tmp_path, monkeypatch):
    """Only the first few are told of as text; the count is whole."""
    monkeypatch.setattr(cmd_library, "UNTAGGED_TOLD_MAX", 1)
    write_music(tmp_path / "library" / "other.flac", seed=3)
    text, _ = ran("library", "scan", *where)
    assert text.count("untagged: ") == 1
    assert "2 untagged" in text


def test_no_library_at_all_is_exit_code_4(where, tmp_path):
    """A disk that is not mounted is not an empty library."""
    (tmp_path / "library").rename(tmp_path / "elsewhere")
    with pytest.raises(NotFoundError, match="there is no library at"):
        ran("library", "scan", *where)


def test_what_is_as_it_was_is_counted(where):
    """One line, and exit code 0."""
    ran("library", "scan", *where)
    text, code = ran("library", "verify", *where)
    assert code == 0
    assert text.startswith("2 files of ")
    assert text.endswith(": 2 good\n")


def test_what_is_not_is_a_table_and_exit_code_3(where, tmp_path):
    """A row for each file, with its state and what is known of it."""
    ran("library", "scan", *where)
    (tmp_path / "library" / "good.flac").unlink()
    (tmp_path / "library" / "plain.flac").rename(tmp_path / "library" / "moved.flac")
    text, code = ran("library", "verify", *where)
    assert code == 3
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert "good.flac" in rows["missing"]
    assert rows["moved"].rstrip().endswith("the same bytes, at " + str(tmp_path / "library" / "moved.flac"))
    assert text.splitlines()[-1].endswith("0 good, 1 moved, 1 missing")
    told = json.loads(ran("library", "verify", "--json", *where)[0])
    assert (told["files"], told["good"], told["missing"]["count"]) == (2, 0, 1)
    assert told["moved"]["files"][0]["moved_to"] == str(tmp_path / "library" / "moved.flac")


def test_what_was_meant_to_go_can_be_forgotten(where, tmp_path):
    """Until then it is missed; what lies on a disk that is not mounted stays known."""
    ran("library", "scan", *where)
    (tmp_path / "library" / "good.flac").unlink()
    assert ran("library", "verify", *where)[1] == 3
    text, code = ran("library", "scan", "--forget", *where)
    assert (code, text.count("forgotten: ")) == (0, 1)
    assert "0 offered, 1 untagged, 1 forgotten" in text
    assert ran("library", "verify", *where)[0].endswith(": 1 good\n")
    (tmp_path / "library").rename(tmp_path / "elsewhere")
    (tmp_path / "library").mkdir()
    assert json.loads(ran("library", "scan", "--forget", "--json", *where)[0])["forgotten"] == 0
    assert "1 missing" in ran("library", "verify", *where)[0]


def test_what_was_moved_is_no_failure(where, tmp_path):
    """Nothing is lost, and the next scan knows the new place."""
    ran("library", "scan", *where)
    (tmp_path / "library" / "plain.flac").rename(tmp_path / "library" / "moved.flac")
    assert ran("library", "verify", *where)[1] == 0
    ran("library", "scan", *where)
    assert ran("library", "verify", *where)[0].endswith(": 2 good\n")


def test_suspicion_is_a_warning(where, tmp_path):
    """With the figures, when it is asked for; it does not change the exit code."""
    music = noise(seconds=3)
    how = {"compression_level": 0.7, "bitrate_mode": "CONSTANT"}
    soundfile.write(tmp_path / "x.mp3", music, RATE_HZ, format="MP3", subtype="MPEG_LAYER_III", **how)
    soundfile.write(tmp_path / "library" / "fake.flac", soundfile.read(tmp_path / "x.mp3")[0], RATE_HZ)
    ran("library", "scan", *where)
    assert "suspicious" not in ran("library", "verify", *where)[0]
    text, code = ran("library", "verify", "--suspicious", *where)
    assert code == 0
    assert re.search(r"suspicious .*fake\.flac +nothing above 15\.\d kHz of 22\.1 kHz", text)
    assert text.endswith("3 good, 1 suspicious\n")


def test_nothing_known_is_exit_code_4(where, tmp_path):
    """It would look as if all were well."""
    (tmp_path / "library").rename(tmp_path / "elsewhere")
    (tmp_path / "library").mkdir()
    ran("library", "scan", *where)
    with pytest.raises(NotFoundError, match="known yet"):
        ran("library", "verify", *where)
