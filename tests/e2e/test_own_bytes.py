"""What a person wrote comes out of completion as it went in."""

import pytest
from e2e.rig import peer, run, stock

from reconciler.library.synthesis import make_album
from reconciler.manifests.splice import without_status

HEAD = """\
# my wish list,   with care

manifest_version:   "1.0"   # quoted
{identity}job_type:  mb_release
labels:   {{ shelf:   'shoe  gaze' }}

spec:
    mb_release_id:   5b11f4ce-a62d-471e-81fc-a69a8278c7da
    artist:    Yes            # a band, not a boolean
    title:   "1999"
    target_dir:   library
    tracks:
    -   position: 1     # one is enough
        title:   4:02
        mb_recording_id:   {recording}

    constraints:  {{allow_lossy: false,   preferred_codecs:  [ FLAC ]}}
# the end, without a status
"""
IDENTITY = "job_id:   01HRQ4GSX9K47J7M5FK7VW8B12\ncreated_at: 2025-12-10T15:30:00Z\n"


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
@pytest.mark.parametrize("bom", ["\ufeff", ""])
def test_every_byte_outside_status_is_unchanged(tmp_path, line_end, bom):
    """Comments, odd spacing, CRLF and a byte order mark survive the whole life of a manifest."""
    (track,) = make_album(tmp_path / "album", tracks=1, seconds=3.0, seed=5)
    stock(tmp_path / "peer", track.path, recording=track.recording)
    root, state = tmp_path / "root", tmp_path / "state"
    run("init", "--root", root, check=0)
    text = bom + HEAD.format(recording=track.recording, identity=IDENTITY)
    before = text.replace("\n", line_end).encode()
    (root / "jobs" / "active" / "mine.yml").write_bytes(before)
    with peer(tmp_path / "peer") as address:
        (root / "reconciler.yml").write_text(f'mesh: {{overlay: {{peers: ["{address}"]}}}}\n')
        run("run", "--once", "--root", root, "--state", state, check=0)
    after = (root / "jobs" / "completed" / "mine.yml").read_bytes()
    assert without_status(after) == before
    assert f"state: completed{line_end}".encode() in after
    assert b"\n" not in after.replace(b"\r\n", b"") if line_end == "\r\n" else b"\r" not in after
    assert (root / "library" / "Yes" / "1999").is_dir()


def test_a_missing_job_id_is_the_only_addition(tmp_path):
    """Without an identity the daemon adds its two lines, once, and nothing else."""
    (track,) = make_album(tmp_path / "album", tracks=1, seconds=3.0, seed=5)
    stock(tmp_path / "peer", track.path, recording=track.recording)
    root, state = tmp_path / "root", tmp_path / "state"
    run("init", "--root", root, check=0)
    before = HEAD.format(recording=track.recording, identity="").encode()
    (root / "jobs" / "active" / "mine.yml").write_bytes(before)
    with peer(tmp_path / "peer") as address:
        (root / "reconciler.yml").write_text(f'mesh: {{overlay: {{peers: ["{address}"]}}}}\n')
        run("run", "--once", "--root", root, "--state", state, check=0)
    after = without_status((root / "jobs" / "completed" / "mine.yml").read_bytes())
    lines = after.decode().splitlines(keepends=True)
    added = [line for line in lines if line.startswith(("job_id:", "created_at:"))]
    assert len(added) == 2
    assert "".join(line for line in lines if line not in added).encode() == before
