"""How much of a limit was used over time, from sums by hour or day."""

from __future__ import annotations

from calendar import timegm
from collections.abc import Sequence
from time import gmtime

from bursar.gateway.seen.sums import DAY_S, HOUR_S


def window_start(window: str, at: int) -> int:
    """The first second whose spending may count at second `at`."""
    if window in _SECONDS:
        return at - at % _SECONDS[window]
    if window == "week":
        return at - (at - _MONDAY) % (7 * DAY_S)
    if window == "month":
        day = gmtime(at)
        return timegm((day.tm_year, day.tm_mon, 1, 0, 0, 0))
    return at - _rolling(window) if window else 0


_SECONDS = {"second": 1, "minute": 60, "hour": HOUR_S, "day": DAY_S}
_MONDAY = 4 * DAY_S  # 1970-01-01 was a Thursday
_UNITS = {"h": HOUR_S, "min": 60, "s": 1}


def _rolling(window: str) -> int:
    """Seconds of "rolling 24 h"."""
    _, number, unit = window.split()
    return int(number) * _UNITS[unit]


def running(
    amounts: dict[int, float], starts: Sequence[int], step: int, window: str
) -> list[float | None]:
    """What counted at the end of each bucket."""
    length = _rolling(window) if window.startswith("rolling") else _SECONDS.get(window, 31 * DAY_S)
    if window and length < step:
        return [None] * len(starts)
    found: list[float | None] = []
    for start in starts:
        last = start + step - 1
        first = last + 1 - length if window.startswith("rolling") else window_start(window, last)
        found.append(sum(amount for at, amount in amounts.items() if first <= at <= last))
    return found
