"""Several jobs in one real engine, over real sockets: they share the line, the peers, and come to their end."""

import asyncio
import time

import pytest
from engine_rig import closing, running, url_want
from file_server import FileServer
from overlay_world import content

from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.ids import JobId
from reconciler.sources.http import HttpSource

PATIENCE = Patience(stall_timeout_s=10.0, rescue=RescuePolicy())
FILES = {f"{number}.bin": content(1_500_000, f"file {number}") for number in range(4)}
RATE = 4_000_000


def job_id(number):
    """The id of a job."""
    return JobId(f"01HRQ4GSX9K47J7M5FK7VW8B{number:02}")


@pytest.mark.parametrize("cap", [0.0, RATE])
def test_four_jobs_of_one_server_all_complete_within_the_cap(tmp_path, cap):
    """Each waits for its turn at the server, which sends every byte once; with a cap it takes its time."""
    server = FileServer(FILES)

    async def main():
        source = HttpSource(timeout_s=5.0)
        async with running(tmp_path, source, patience=PATIENCE, bandwidth_bytes_per_s=cap) as rig:
            began = time.monotonic()
            for number in range(4):
                await rig.engine.start(order_of(rig, server, number))
            ended = await rig.ended(*map(job_id, range(4)))
            return rig, ended, time.monotonic() - began

    with closing(server):
        rig, ended, seconds = asyncio.run(main())
    assert [each.outcome for each in ended] == ["completed"] * 4
    for name, data in FILES.items():
        assert (rig.library / name).read_bytes() == data
        assert server.sent[f"/{name}"] == len(data)
    assert rig.engine.running() == ()
    if cap:
        # What may come before it is paid for: the burst and one request.
        assert seconds >= (4 * 1_500_000 - 0.1 * RATE - 0.25 * RATE) / RATE


def order_of(rig, server, number):
    """An order for one of the files, each with another priority."""
    name = f"{number}.bin"
    return rig.order_of(url_want(server, name), name, job_id=job_id(number), priority=25 * number)
