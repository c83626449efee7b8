"""How often other users are told what we offer.

Owns: the count of lists and folders that were sent. Never: sends one, or reads a clock.

Our whole list is put together and packed anew for each who asks, on the loop that downloads run on: a second or two
where a hundred thousand files are offered. A client asks for it when a person opens a window.
"""

from collections import OrderedDict, deque

# One user gets the whole list once in this time, and all together so many in a minute.
LIST_AGAIN_S = 600.0
LISTS_A_MINUTE = 6

# The files of one folder are sent so often in a minute, over all: a person who looks around opens one a second.
FOLDERS_A_MINUTE = 60
MINUTE_S = 60.0

# Users remembered: more than get a list in LIST_AGAIN_S.
USERS_MAX = 100


class BrowseBudget:
    """What was sent lately. Times are monotonic."""

    def __init__(self) -> None:
        self._lists: deque[float] = deque(maxlen=LISTS_A_MINUTE)
        self._folders: deque[float] = deque(maxlen=FOLDERS_A_MINUTE)
        self._users: OrderedDict[str, float] = OrderedDict()

    def may_send_list(self, username: str, now: float) -> bool:
        """Whether the whole list is sent to a user now; it counts as sent then."""
        if now - self._users.get(username, float("-inf")) < LIST_AGAIN_S or not _counted(self._lists, now):
            return False
        self._users.pop(username, None)
        self._users[username] = now
        if len(self._users) > USERS_MAX:
            self._users.popitem(last=False)
        return True

    def may_send_folder(self, now: float) -> bool:
        """Whether the files of a folder are sent now; it counts as sent then."""
        return _counted(self._folders, now)


def _counted(sent: deque[float], now: float) -> bool:
    if len(sent) == sent.maxlen and now - sent[0] < MINUTE_S:
        return False
    sent.append(now)
    return True
