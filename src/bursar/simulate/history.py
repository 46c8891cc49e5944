"""`History`: how long the last answers of a replica were."""

from bisect import bisect_left, insort
from collections import deque

from bursar.policies.batching import HISTORY


class History:
    """Lengths (tokens) of the last `HISTORY` answers."""

    __slots__ = ("_recent", "rising")

    def __init__(self) -> None:
        self._recent: deque[int] = deque()
        self.rising: list[int] = []
        """The same lengths in rising order."""

    def add(self, length: int) -> None:
        """An answer is finished."""
        self._recent.append(length)
        insort(self.rising, length)
        if len(self._recent) > HISTORY:
            del self.rising[bisect_left(self.rising, self._recent.popleft())]
