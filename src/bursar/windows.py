"""Windows: the periods of limits such as "5 USD per day", in whole microseconds and grains, pure.

Calendar windows (UTC) have one bucket per period: all of it is free again when the period ends.
Rolling ones have 61 buckets of a sixtieth of their length, so that every interval of that length
lies within those that are counted: conservative by at most one bucket, never over in any interval.
"""

from __future__ import annotations

from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from time import gmtime

from bursar.errors import BadInput
from bursar.units import parse_amount

CALENDAR = ("second", "minute", "hour", "day", "week", "month")
BUCKETS = 60
"""Of a rolling window; one more is counted, for the interval that begins inside a bucket."""

_UNITS = {"h": 3600, "min": 60, "s": 1}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_WORDS = {word: word for word in CALENDAR} | {"s": "second", "min": "minute", "h": "hour"}
_WEEK, _MONDAY = 7 * 86400, 4 * 86400  # 1970-01-01 was a Thursday: its week began before it
_MICRO = 10**6
_REMEDY = f'write "per" and one of {", ".join(CALENDAR)}, or "per rolling 24 h"'


def window_named(text: str) -> str:
    """The one name of a window: ``"day"``, or ``"rolling 24 h"`` for ``"rolling 86400 s"``.

    Raises `BadInput` on an unknown period, or a rolling one that is not whole seconds.
    """
    words = text.lower().split()
    if len(words) == 1 and words[0] in _WORDS:
        return _WORDS[words[0]]
    if words[:1] != ["rolling"]:
        raise BadInput(f"there is no window {text.strip()!r}: {_REMEDY}")
    resource, seconds = parse_amount(" ".join(words[1:]))
    if resource != "seconds" or seconds < 1 or seconds != int(seconds):
        raise BadInput(f"a window is whole seconds long, not {text.strip()!r}: {_REMEDY}")
    unit = next(unit for unit, size in _UNITS.items() if seconds % size == 0)
    return f"rolling {int(seconds) // _UNITS[unit]} {unit}"


def micros(seconds: float) -> int:
    """Epoch seconds in whole microseconds."""
    return round(seconds * _MICRO)


@lru_cache(maxsize=1024)
def bucket(window: str, at: int) -> int:
    """The bucket of `window` that time `at` (microseconds) falls in; buckets count upward."""
    if window in _SECONDS:
        return at // (_SECONDS[window] * _MICRO)
    if window == "week":
        return (at - _MONDAY * _MICRO) // (_WEEK * _MICRO)
    if window == "month":
        day = gmtime(at // _MICRO)
        return day.tm_year * 12 + day.tm_mon - 1
    return at * BUCKETS // _length(window)


@lru_cache(maxsize=1024)
def oldest(window: str, at: int) -> int:
    """The first bucket that still counts at time `at`."""
    return bucket(window, at) - (BUCKETS if _rolls(window) else 0)


def free_at(window: str, number: int) -> float:
    """Epoch seconds from which a bucket no longer counts."""
    if window in _SECONDS:
        return float((number + 1) * _SECONDS[window])
    if window == "week":
        return float((number + 1) * _WEEK + _MONDAY)
    if window == "month":
        year, month = divmod(number + 1, 12)
        return float(timegm((year, month + 1, 1, 0, 0, 0)))
    # The first whole microsecond whose oldest counted bucket is the next one.
    return -(-(number + 1 + BUCKETS) * _length(window) // BUCKETS) / _MICRO


def _rolls(window: str) -> bool:
    return window not in CALENDAR


@lru_cache(maxsize=1024)
def _length(window: str) -> int:
    _, number, unit = window.split()
    return int(number) * _UNITS[unit] * _MICRO


@dataclass(slots=True)
class Tally:
    """What counts in one window of one limit: bucket -> [spent, held], in grains.

    Holds begun by entries up to `since`, which set the window, do not count in it. `spent` and
    `held` are the sums of what counts since `advance`; `first` is the oldest bucket that does.
    """

    resource: str
    window: str
    since: int
    buckets: dict[int, list[int]] = field(default_factory=dict)
    spent: int = 0
    held: int = 0
    first: int = 0

    @classmethod
    def read(cls, resource: str, window: str, stored: tuple[int, Mapping[str, list[int]]]) -> Tally:
        """From the JSON form."""
        tally = cls(resource, window, stored[0])
        for number, (spent, held) in stored[1].items():
            tally.add(int(number), spent, held)
        return tally

    def stored(self) -> tuple[int, dict[int, list[int]]]:
        """The JSON form."""
        return self.since, self.buckets

    def copy(self) -> Tally:
        """The same, not to be changed with it."""
        buckets = {number: list(pair) for number, pair in self.buckets.items()}
        return replace(self, buckets=buckets)

    def advance(self, now: int) -> None:
        """Forget the buckets that no longer count at time `now`, in microseconds."""
        self.first = oldest(self.window, now)
        for number in [n for n in self.buckets if n < self.first]:
            spent, held = self.buckets.pop(number)
            self.spent -= spent
            self.held -= held

    def move(self, began: tuple[int, int], spent: int, held: int) -> None:
        """Put grains into the bucket of a hold, or take them out, if it counts.

        `began` is the entry that began the hold, and its time.
        """
        if began[0] > self.since:
            number = bucket(self.window, began[1])
            if number >= self.first:
                self.add(number, spent, held)

    def add(self, number: int, spent: int, held: int) -> None:
        """Put grains into a bucket, or take them out."""
        pair = self.buckets.setdefault(number, [0, 0])
        pair[0] += spent
        pair[1] += held
        self.spent += spent
        self.held += held
        if pair == [0, 0]:
            del self.buckets[number]

    def room_at(self, room: int, at: int) -> float | None:
        """When at most `room` grains count, if nothing is added; None when never (room < 0)."""
        if room < 0:
            return None
        left, free = self.spent + self.held, at / _MICRO
        for number in sorted(self.buckets):
            if left <= room:
                break
            left -= sum(self.buckets[number])
            free = free_at(self.window, number)
        return free

    def resets_at(self, at: int) -> float | None:
        """When something that counts now ends to count: the period's end; None if nothing does."""
        if not _rolls(self.window):
            return free_at(self.window, bucket(self.window, at))
        return free_at(self.window, min(self.buckets)) if self.buckets else None
