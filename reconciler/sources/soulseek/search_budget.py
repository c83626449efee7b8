"""How many searches the server is sent, and which of them are not worth sending again.

Owns: the sliding window and the memory of answers. Never: waits, or reads a clock.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable

from reconciler.sources.soulseek.shared_file import SharedFile

# The server bans for searching too fast. 34 in 220 s are known to be borne (the limit that the downloader sldl ships
# with); 30 leave room for a person who searches with the same account.
WINDOW_S = 220.0

# Added to the window: what waited longer on its way than what came after it arrives closer to it.
MARGIN_S = 2.0

# A query is not sent again within this time: what is shared does not change by the minute, and quick repeats are one of
# the reasons that the server's ban notice lists.
REPEAT_S = 600.0

# Answers remembered. Each is at most RESULTS_MAX files of some 500 bytes.
ANSWERS_MAX = 40


class SearchBudget:
    """A sliding window over the searches sent. Times are by the wall clock, so that they outlive the process."""

    def __init__(self, searches_max: int, sent_at: Iterable[float] = ()) -> None:
        self._searches_max = searches_max
        self._sent: deque[float] = deque(sorted(sent_at)[-searches_max:], searches_max)

    def wait_s(self, now: float) -> float:
        """How long until one more may be sent; 0.0 = now.

        A time in the future (the clock was set back) counts as now, so nobody waits longer than one window.
        """
        self._sent = deque((min(at, now) for at in self._sent), self._searches_max)
        while self._sent and self._sent[0] <= now - WINDOW_S - MARGIN_S:
            self._sent.popleft()
        return 0.0 if len(self._sent) < self._searches_max else self._sent[0] + WINDOW_S + MARGIN_S - now

    def sent(self, now: float) -> None:
        """Count one that is being sent."""
        self._sent.append(now)


class AnswerMemory:
    """What the last queries found."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[float, tuple[SharedFile, ...]]] = OrderedDict()

    def recall(self, query: str, now: float) -> tuple[SharedFile, ...] | None:
        """What `query` found when it was last sent; None where that was never, or too long ago."""
        at, files = self._answers.get(_key(query), (0.0, ()))
        return files if _key(query) in self._answers and now - at < REPEAT_S else None

    def keep(self, query: str, files: tuple[SharedFile, ...], now: float) -> None:
        """Remember what `query`, sent at `now`, found."""
        self._answers.pop(_key(query), None)
        self._answers[_key(query)] = (now, files)
        if len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)


def _key(query: str) -> str:
    return " ".join(query.lower().split())
