"""`reconciler doctor`: what it finds right and wrong, with real folders, sockets, locks and a real service."""

import json
import socket

import pytest
from click.testing import CliRunner
from musicbrainz_server import Catalogue, serving_beside

from reconciler.cli.examine_disk import examine_root
from reconciler.cli.main import cli
from reconciler.reconcile.observe import Folders
from reconciler.state.database import Database
from reconciler.state.location import InstanceLock
from reconciler.state.soulseek import SoulseekStore, StoredReport, StoredSession


@pytest.fixture
def root(tmp_path):
    for name in ("jobs/active", "jobs/completed", "library"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "state").mkdir(mode=0o700)
    Database.open(tmp_path / "state" / "reconciler.db").close()
    return tmp_path / "root"


def doctor(root, *words, configuration="", state=None):
    """The findings by subject, each as its grade and what is said, and the exit code."""
    if configuration:
        (root / "reconciler.yml").write_text(configuration)
    where = ["--root", str(root), "--state", str(state or root.parent / "state"), "--json"]
    result = CliRunner().invoke(cli, ["doctor", *words, *where])
    findings = json.loads(result.stdout)
    assert all(bool(each["to_do"]) == (each["grade"] != "ok") for each in findings)
    return [(each["subject"], each["grade"], each["said"]) for each in findings], result.exit_code


def of(findings, subject):
    return [(grade, said) for about, grade, said in findings if about == subject]


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_sound_root_has_no_problem_and_is_left_as_it_was(root):
    """Every trial file is gone again; the clock and the limits are those of the machine."""
    before = files_of(root), files_of(root.parent / "state")
    findings, code = doctor(root, "--offline")
    assert code == 0
    grades = {subject: grade for subject, grade, _ in findings}
    assert grades.keys() == {
        "jobs/active", "jobs/completed", "state", "daemon", "inotify", "clock", "configuration", "library", "soulseek",
    }  # fmt: skip
    assert {grades[name] for name in grades.keys() - {"inotify", "clock", "library"}} == {"ok"}
    assert of(findings, "daemon") == [("ok", "none is running here")]
    known = {"lock", "reconciler.db", "reconciler.db-shm", "reconciler.db-wal"}
    assert files_of(root) == before[0]
    assert set(files_of(root.parent / "state")) <= {*before[1], *known}


def test_what_is_missing_is_a_problem_with_what_to_do(root, tmp_path):
    """Folders of manifests, the library; a state folder that is not there yet is none."""
    (root / "jobs" / "active").rmdir()
    findings, code = doctor(root, "--offline", configuration="library: {roots: [/nowhere]}", state=tmp_path / "new")
    assert code == 1
    assert of(findings, "jobs/active") == [("problem", f"{root}/jobs/active is not there")]
    assert of(findings, "library") == [("problem", "/nowhere is not there")]
    assert of(findings, "state") == [("ok", f"{tmp_path}/new is not there yet; the first daemon makes it")]


def test_a_folder_that_takes_no_file_is_a_problem(root):
    """Whatever the kernel's reason is: nobody makes a file in /proc, not even root."""
    (root / "jobs" / "active").rmdir()
    (root / "jobs" / "active").symlink_to("/proc/self/task")
    findings, code = doctor(root, "--offline")
    ((grade, said),) = of(findings, "jobs/active")
    assert grade == "problem"
    assert "cannot be written" in said
    assert code == 1


def test_a_file_server_with_another_time_is_told_of(root):
    """Seen from a clock that is a day ahead, new files are a day old."""
    found = [each for each in examine_root(Folders(root=root), _Clock()) if each.grade == "warning"]
    assert [each.subject for each in found] == ["jobs/active", "jobs/completed"]
    assert "s off" in found[0].said


def test_a_state_folder_at_risk_is_told_of(root):
    """Open to others, inside what Syncthing keeps, or damaged."""
    (root / ".stfolder").mkdir()
    state = root / "state"
    state.mkdir()
    state.chmod(0o755)
    (state / "reconciler.db").write_bytes(b"no database " * 400)
    findings, code = doctor(root, "--offline", state=state)
    assert code == 1
    assert [grade for grade, _ in of(findings, "state")] == ["warning", "warning", "problem"]


def test_a_configuration_with_mistakes_is_a_problem_with_its_line(root):
    """What depends on it is not guessed."""
    findings, code = doctor(root, "--offline", configuration="libary: {}\n")
    assert code == 1
    ((grade, said),) = of(findings, "configuration")
    assert grade == "problem"
    assert "reconciler.yml:1:1" in said
    assert of(findings, "library") == []


def test_ports_are_free_taken_or_answered(root):
    """Without a daemon they must be free; beside one they must answer."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configuration = f'mesh: {{overlay: {{listen: "127.0.0.1:{port}"}}}}\n'
        findings, code = doctor(root, "--offline", configuration=configuration)
        assert [grade for grade, _ in of(findings, "overlay")] == ["problem"]
        assert code == 1
        with InstanceLock(root.parent / "state"):
            findings, _ = doctor(root, "--offline")
            assert "works on" in of(findings, "daemon")[0][1]
            assert [grade for grade, _ in of(findings, "overlay")] == ["ok"]
    assert [grade for grade, _ in of(doctor(root, "--offline")[0], "overlay")] == ["ok"]
    with InstanceLock(root.parent / "state"):
        assert [grade for grade, _ in of(doctor(root, "--offline")[0], "overlay")] == ["problem"]


def test_soulseek_is_examined_without_a_login(root, tmp_path):
    """Password, what became of the last logins, and whether the server can be reached."""
    secret = tmp_path / "secret"
    secret.write_text("x\n")
    secret.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = f"enabled: true, username: me, password_file: {secret}, server: '127.0.0.1:{port}'"
        quiet = "musicbrainz: {offline: true}\n"
        findings, code = doctor(root, configuration=f"soulseek: {{{settings}}}\n{quiet}")
        assert [grade for grade, _ in of(findings, "soulseek")] == ["ok", "ok"]
        assert [grade for grade, _ in of(findings, "soulseek port")] == ["warning"]
        assert code == 0
    secret.chmod(0o644)
    database = Database.open(tmp_path / "state" / "reconciler.db")
    SoulseekStore(database).put_session(StoredSession(failures_in_a_row=3, not_before=1_800_000_000.0))
    database.close()
    findings, code = doctor(root)
    assert [grade for grade, _ in of(findings, "soulseek")] == ["problem", "warning"]
    said = "the last 3 failed; the next is not before 2027-01-15T08:00:00Z"
    assert of(findings, "soulseek login") == [("warning", said)]
    assert code == 1


@pytest.mark.parametrize(("state", "grade"), [("online", "ok"), ("connecting", "warning"), ("refused", "problem")])
def test_a_login_is_as_the_running_daemon_tells(root, state, grade):
    """A second session would end the first, so nobody logs in to find out."""
    database = Database.open(root.parent / "state" / "reconciler.db")
    report = StoredReport(state=state, reason="INVALIDPASS", retry_at=None, listen_port=0, searches_max=30, told_at=0.0)
    SoulseekStore(database).put_report(report)
    database.close()
    with InstanceLock(root.parent / "state"):
        findings, _ = doctor(root, "--offline", configuration="soulseek: {enabled: true, username: me}\n")
    ((found, said),) = of(findings, "soulseek login")
    assert found == grade
    assert said.startswith(state)
    assert said.endswith("INVALIDPASS")


def test_musicbrainz_is_asked_once(root):
    """It answers, or it does not; and it wants to know whom to write to."""
    catalogue = Catalogue(troubles=[(503, {})])
    with serving_beside(catalogue) as url:
        nameless = f"musicbrainz: {{url: '{url}', rate_per_second: 100}}\n"
        assert "is busy" in of(doctor(root, configuration=nameless)[0], "musicbrainz")[0][1]
        named = f"musicbrainz: {{url: '{url}', rate_per_second: 100, contact: me@example.org}}\n"
        assert of(doctor(root, configuration=named)[0], "musicbrainz") == [("ok", f"{url} answers")]
        assert len(catalogue.asked) == 2
    findings, code = doctor(root)
    assert [grade for grade, _ in of(findings, "musicbrainz")] == ["warning"]
    assert code == 0


class _Clock:
    """A clock that is a long way ahead of every file."""

    def wall(self):
        return 4_000_000_000.0

    def monotonic(self):
        return 0.0
