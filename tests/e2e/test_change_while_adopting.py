"""An edit while a published file is being adopted, on a real disk: the job goes on under the new order."""

import asyncio
import threading
from dataclasses import replace

from engine_rig import JOB, closing, running, url_want
from file_server import FileServer

from reconciler.engine.disk import JobDisk
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.sources.http import HttpSource
from reconciler.state.jobs import JobStore

DATA = bytes(range(256)) * 1000


def test_a_file_that_was_adopted_under_the_order_before_is_adopted_again(tmp_path, monkeypatch):
    """The answer of the disk counts for an order that is past when it comes; the track does not wait for ever."""
    reached, go_on = threading.Event(), threading.Event()
    opens = JobDisk.open

    def slowly(disk, command):
        answer = opens(disk, command)
        if disk._order.generation == 2:
            reached.set()
            go_on.wait(60)
        return answer

    monkeypatch.setattr(JobDisk, "open", slowly)
    server = FileServer({"a.bin": DATA})

    async def main():
        patience = Patience(stall_timeout_s=60.0, rescue=RescuePolicy())
        async with running(tmp_path, HttpSource(timeout_s=60.0), patience=patience) as rig:
            wanted = rig.order_of(url_want(server, "a.bin"), "a.bin")
            await rig.fetch(wanted)
            await rig.engine.start(replace(wanted, generation=2))
            await asyncio.to_thread(reached.wait, 60)
            await rig.engine.start(replace(wanted, generation=3))
            go_on.set()
            (ended,) = await rig.ended(JOB)
            return ended, JobStore(rig.database).artifacts(JOB, 3)

    with closing(server):
        ended, artifacts = asyncio.run(main())
    assert (ended.outcome, ended.generation) == ("completed", 3)
    assert [artifact.generation for artifact in artifacts] == [3]
