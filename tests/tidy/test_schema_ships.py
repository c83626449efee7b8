"""What is installed works without the repository: the schemas travel inside the wheel."""

import importlib.util
import subprocess
import sys
import zipfile

import pytest
from house import REPOSITORY

SCHEMAS = ("job-manifest", "configuration", "swarm-event")

# Run with -I: neither the current folder nor the environment may lend it the repository.
VALIDATE = """
import sys
sys.path.insert(0, sys.argv[1])
import reconciler
assert reconciler.__file__.startswith(sys.argv[1]), reconciler.__file__
from reconciler.manifests.read import read_manifest
good = b'''manifest_version: "1.0"
job_type: mb_release
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  target_dir: library
  tracks:
    - {position: 1, title: 4:02, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}
'''
assert read_manifest(good).manifest.spec.tracks[0].title == "4:02"
print(*read_manifest(good.replace(b"target_dir", b"target_dri")).problems, sep="; ")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that `pip install .` makes of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    # With the build backend at hand nothing is fetched; else pip fetches it into a place of its own.
    here = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    pip("wheel", "--no-deps", *here, "--wheel-dir", folder, REPOSITORY)
    (path,) = folder.glob("reconciler-*.whl")
    return path


def pip(*arguments):
    """Run pip; its output is shown where it fails."""
    run = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_wheel_holds_the_schemas_of_the_repository(wheel):
    """Each schema is in the wheel byte by byte, the licence too, and nothing of the tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for schema in SCHEMAS:
            original = REPOSITORY / "schemas" / f"{schema}.schema.json"
            assert archive.read(f"reconciler/schemas/{schema}.schema.json") == original.read_bytes()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"reconciler"}
    assert not any("test" in name for name in names)


def test_an_installed_wheel_validates_a_manifest(wheel, tmp_path):
    """Away from the repository a manifest is read, and a typing error in another is explained."""
    site = tmp_path / "site"
    pip("install", "--no-deps", "--no-index", "--target", site, wheel)
    run = subprocess.run(
        [sys.executable, "-I", "-c", VALIDATE, str(site)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "did you mean target_dir" in run.stdout
