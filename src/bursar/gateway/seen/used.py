"""How much of a limit was used over time, from sums by hour or day."""

from __future__ import annotations

from collections.abc import Sequence

from bursar.gateway.seen.sums import HOUR_S
from bursar.windows import bucket, free_at, micros

_UNITS = {"h": HOUR_S, "min": 60, "s": 1}
_SHORT = {"second": 1, "minute": 60, "hour": HOUR_S}


def window_start(window: str, at: int) -> int:
    """The first second whose spending may count at second `at`; 0 where all time counts."""
    if not window:
        return 0
    if length := _rolling(window):
        return at - length
    return int(free_at(window, bucket(window, micros(at)) - 1))


def running(
    amounts: dict[int, float], starts: Sequence[int], step: int, window: str
) -> list[float | None]:
    """What counted at the end of each bucket of `step` seconds; None where that says nothing.

    `amounts` are those of hours or days, by their first second.
    """
    length = _rolling(window)
    if (length or _SHORT.get(window, step)) < step:
        return [None] * len(starts)
    found: list[float | None] = []
    for start in starts:
        last = start + step - 1
        first = window_start(window, last) + (1 if length else 0)
        found.append(sum(amount for at, amount in amounts.items() if first <= at <= last))
    return found


def _rolling(window: str) -> int:
    """Seconds of "rolling 24 h"; 0 for periods of the calendar."""
    if not window.startswith("rolling"):
        return 0
    _, number, unit = window.split()
    return int(number) * _UNITS[unit]
