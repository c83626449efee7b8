"""The daemon's end of the lane process: a byte path that runs elsewhere.

Owns: starting that process, starting it again when it dies, and handing back what was under way then. Never: moves a
byte.

A process that dies answers every order that it had with `closed` (nobody's fault), so the job machine asks again; parts
are attached anew, and what had been journaled counts.
"""

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from loguru import logger

from reconciler.clock import Clock
from reconciler.engine.events import FailureCode, TransferEnded, TransferFailed
from reconciler.engine.lane_frames import (
    BrokenFrameError,
    Fields,
    Unpacker,
    chunks_of,
    event_of,
    order_fields,
    pack,
)
from reconciler.engine.lane_orders import LaneEvent, PartId, Post, ReadRange, Tag
from reconciler.ids import ChunkIndex

# An answer to attach or detach needs a disk, and at most the sync of what two processes have written since the last one
# (32 MiB, and a chunk for each lane): a memory card needs half a minute for that. A process that says nothing for so
# long is ended.
ANSWER_WITHIN_S = 120.0

# A process that dies more often than this within a minute is not cured by another start.
STARTS_PER_MINUTE_MAX = 10
MINUTE_S = 60.0

_RECEIVE_BYTES = 1 << 18


@dataclass(slots=True, kw_only=True)
class _Question:
    """Something asked, and what came back."""

    answered: threading.Event = field(default_factory=threading.Event)
    error: str = ""
    errno: int = 0
    """What the disk said; 0 where nothing went wrong, or not on the disk."""
    read_again: frozenset[ChunkIndex] = frozenset()

    def refusal(self) -> OSError:
        """The error that it was answered with."""
        return OSError(self.errno, self.error) if self.errno else OSError(self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What runs in the other process, and what it says beside the events of a byte path."""

    module: str
    greeting: Callable[[], Fields | None] = lambda: None
    """Its first frame, made anew at each start; None = it needs none."""
    told: Callable[[Fields], None] | None = None
    """Takes frames that hold `tell`; called from the listening thread, and never waits."""


HTTP_LANES = Program(module="reconciler.engine.lane_process")


class LaneLink:
    """A byte path in a process of its own; see BytePath for what its methods promise."""

    def __init__(self, *, post: Post, clock: Clock, stall_timeout_s: float, program: Program = HTTP_LANES) -> None:
        self._program = program
        self._post = post
        self._clock = clock
        self._stall_timeout_s = stall_timeout_s
        self._lock = threading.Lock()
        """Guards what is remembered; never held while something is sent, so that listening never waits for sending."""
        self._sending = threading.Lock()
        """Guards the link: one frame at a time, and none while another process is being started."""
        self._parts: dict[PartId, tuple[str, int]] = {}
        self._orders: set[Tag] = set()
        self._questions: dict[int, _Question] = {}
        self._attaching_again: dict[int, PartId] = {}
        self._lost_parts: set[PartId] = set()
        """Parts that a new process could not open."""
        self._numbers = itertools.count(1)
        self._starts: list[float] = []
        self._closing = False
        self._gave_up = False
        with self._sending:
            self._start()

    def await_ready(self) -> None:
        """Wait until the process takes orders: it needs a quarter of a second to start."""
        self._ask({"do": "hello"})

    # ---- BytePath ----------------------------------------------------------------------------------------------------

    def attach(self, part: PartId, path: str, size: int) -> None:
        """Open the part file at `path` for writing; raises OSError."""
        with self._lock:
            self._parts[part] = (path, size)
        answer = self._ask({"do": "attach", "part": part, "path": path, "size": size})
        if answer.error:
            with self._lock:
                self._parts.pop(part, None)
            raise answer.refusal()

    def detach(self, part: PartId) -> frozenset[ChunkIndex]:
        """Close a part; see BytePath.

        A process that died has closed it too: its last chunks have no journal line, and are fetched again. What it had
        read again, nobody knows any more.
        """
        with self._lock:
            self._parts.pop(part, None)
            self._lost_parts.discard(part)
        answer = self._ask({"do": "detach", "part": part})
        if answer.errno:
            raise answer.refusal()
        return answer.read_again

    def read(self, order: ReadRange, more: Fields | None = None) -> None:
        """Hand an order over, with what else its program wants to know of it."""
        with self._lock:
            lost = order.part in self._lost_parts
            if not lost:
                self._orders.add(order.tag)
        if lost:
            self._refuse((order.tag,), "disk", "the part could not be opened again after the lane process ended")
        elif not self._send({"do": "read", **order_fields(order), **(more or {})}):
            with self._lock:
                self._orders.discard(order.tag)
            if self.gave_up:
                self._refuse((order.tag,), "disk", "the lane process ends again and again: restart the daemon")
            else:
                self._hand_back((order.tag,))

    def cancel(self, tag: Tag) -> None:
        """End an order."""
        self._send({"do": "cancel", "job": tag.job_id, "transfer": tag.transfer})

    def say(self, fields: Fields) -> bool:
        """Send a frame of the program's own; False where there is no process to take it."""
        return self._send(fields)

    def close(self) -> None:
        """End the process and wait for it."""
        with self._sending:
            self._closing = True
            with contextlib.suppress(OSError):
                self._link.shutdown(socket.SHUT_RDWR)
        self._process.wait()
        self._reader.join()

    @property
    def gave_up(self) -> bool:
        """Whether the process ended so often that no other is started."""
        return self._gave_up

    @property
    def process_id(self) -> int:
        """The process that holds the lanes now."""
        return self._process.pid

    # ---- the process -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [
            sys.executable,
            "-m",
            self._program.module,
            str(theirs.fileno()),
            str(self._stall_timeout_s),
        ]
        with theirs:
            # Our own interpreter and module; the path goes with it, so that a checkout runs like an installation.
            self._process = subprocess.Popen(  # noqa: S603
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        self._link = ours
        if (greeting := self._program.greeting()) is not None:
            with contextlib.suppress(OSError):  # it died at once: the listening thread is about to notice
                ours.sendall(pack(greeting))
        self._starts.append(self._clock.monotonic())
        self._reader = threading.Thread(target=self._listen, args=(ours,), name="lane link", daemon=True)
        self._reader.start()

    def _listen(self, link: socket.socket) -> None:
        """Pass on what the process tells, until it ends."""
        unpacker = Unpacker()
        try:
            while data := link.recv(_RECEIVE_BYTES):
                self._take(list(unpacker.feed(data)))
        except (OSError, BrokenFrameError) as error:
            logger.bind(why=str(error)).error("lane process cannot be understood; it is ended")
        link.close()
        self._ended()

    def _take(self, frames: list[Fields]) -> None:
        told = []
        for fields in frames:
            if "answer" in fields:
                self._answered(fields)
            elif "tell" in fields and self._program.told is not None:
                self._program.told(fields)
            else:
                told.append(event_of(fields))
        with self._lock:
            self._orders -= {each.tag for each in told if isinstance(each.event, TransferEnded | TransferFailed)}
        if told:
            self._post(tuple(told))

    def _answered(self, fields: Fields) -> None:
        number, error = int(fields["answer"]), str(fields["error"])
        read_again = chunks_of(str(fields["read_again"]))
        with self._lock:
            question = self._questions.pop(number, None)
            part = self._attaching_again.pop(number, None)
            if part in self._parts and error:
                self._lost_parts.add(part)
        if question is not None:
            question.error, question.errno, question.read_again = error, int(fields["errno"]), read_again
            question.answered.set()

    def _ended(self) -> None:
        """The process is gone: start another, fail its questions, hand back its orders."""
        self._process.kill()
        self._process.wait()
        with self._sending:
            with self._lock:
                lost, self._orders = tuple(self._orders), set()
                questions, self._questions = self._questions, {}
                self._attaching_again.clear()
            if not self._closing:
                self._start_again()
        for question in questions.values():
            question.error = "the lane process ended"
            question.answered.set()
        self._hand_back(lost)

    def _start_again(self) -> None:
        now = self._clock.monotonic()
        self._starts = [at for at in self._starts if now - at < MINUTE_S]
        logger.bind(code=self._process.returncode).warning("lane process ended; starting another")
        if len(self._starts) >= STARTS_PER_MINUTE_MAX:
            self._closing = self._gave_up = True
            logger.error("lane process ends again and again; nothing can be fetched until the daemon is restarted")
            return
        self._start()
        with self._lock:
            parts = dict(self._parts)
        for part, (path, size) in parts.items():
            with self._lock:
                number = next(self._numbers)
                self._attaching_again[number] = part
            frame = pack({"do": "attach", "part": part, "path": path, "size": size, "question": number})
            with contextlib.suppress(OSError):  # it died again: the next one gets them all
                self._link.sendall(frame)

    def _hand_back(self, tags: tuple[Tag, ...]) -> None:
        self._refuse(tags, "closed", "the lane process ended before this request did")

    def _refuse(self, tags: tuple[Tag, ...], code: FailureCode, message: str) -> None:
        self._post(
            tuple(
                LaneEvent(tag=tag, event=TransferFailed(transfer=tag.transfer, code=code, message=message))
                for tag in tags
            )
        )

    def _ask(self, fields: Fields) -> _Question:
        """Send a command and wait for its answer: what went wrong, or nothing."""
        question = _Question()
        with self._lock:
            number = next(self._numbers)
            self._questions[number] = question
        if not self._send({**fields, "question": number}):
            with self._lock:
                self._questions.pop(number, None)
            return _Question(error="the lane process is not running")
        if not question.answered.wait(ANSWER_WITHIN_S):
            self._process.kill()  # its end is noticed by the listening thread, which starts another
            return _Question(error="the lane process does not answer; it was ended")
        return question

    def _send(self, fields: Fields) -> bool:
        frame = pack(fields)
        with self._sending:
            if self._closing:
                return False
            try:
                self._link.sendall(frame)
            except OSError:
                return False  # it has just died: the listening thread is about to notice
        return True
