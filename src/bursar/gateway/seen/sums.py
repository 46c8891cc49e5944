"""Sums of finished requests: what one hour, or one day, of a team or key came to, exactly.

Whole numbers only, so that the sums are the same in whatever order many workers add to them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bursar.gateway.record import Record
from bursar.units import GRAINS, RESOURCES
from bursar.usage import Grains, grains_of

HOUR_S, DAY_S = 3600, 86400

BOUNDS_S = tuple(round(10 ** (i / 4), 4 - i // 4) for i in range(-8, 9))
"""Upper bounds of the latency histogram, four to a decade from 10 ms to 100 s; then all above."""

_WIDE = ("flops", "bytes_moved")
_T = 10**12
"""A busy hour's FLOPs pass 64 bits, so wide resources are kept as (multiples of 10^12, rest)."""

ADDED: tuple[str, ...] = (
    *("ended", "calls", "estimated", "duration_ns", "queued_ns", "saved", "no_saved"),
    *RESOURCES,
    *(f"{name}_t" for name in _WIDE),
    *(f"no_{name}" for name in RESOURCES),
    *(f"bucket_{i}" for i in range(len(BOUNDS_S) + 1)),
)
"""Columns that add up. Amounts are in grains; ``no_usd`` counts requests whose usd is unknown."""
HIGHEST = ("slowest_ns", "dearest")
"""Columns of which the highest is kept: the slowest request, the dearest (grains of usd)."""
COLUMNS = (*ADDED, *HIGHEST)

_AT = {name: i for i, name in enumerate(COLUMNS)}
_BUCKET, _SLOWEST, _DEAREST = _AT["bucket_0"], _AT["slowest_ns"], _AT["dearest"]
_GRAIN_AT = {**{r: _AT[r] for r in RESOURCES}, **{f"{r}?": _AT[f"no_{r}"] for r in RESOURCES}}


class Cell(NamedTuple):
    """What a sum is of. `team` and `key` are paths of accounts; a team's own sums have no key."""

    level: str
    """"team" or "key"."""
    team: str
    start: int
    key: str
    model: str
    """The model that answered. Empty where none did: then a client may have written anything."""
    strategy: str
    outcome: str
    """"2xx", "4xx", "5xx"."""


Sums = dict[Cell, list[int]]


def team_of(account: str) -> str:
    """The account of the team that an account belongs to; empty for a key that was refused."""
    return "/".join(account.split("/", 2)[:2])


def hourly(records: Iterable[Record]) -> Sums:
    """The sums of each key in each hour."""
    sums: Sums = {}
    for record in records:
        model, _, _ = record.served_by.rpartition("@")
        cell = Cell(
            "key",
            team_of(record.account),
            int(record.began_at) // HOUR_S * HOUR_S,
            "/".join(record.account.split("/", 3)[:3]),
            model,
            record.strategy if model else "",
            f"{record.status // 100}xx",
        )
        if (row := sums.get(cell)) is None:
            row = sums[cell] = [0] * len(COLUMNS)
        _add(row, record)
    return sums


def of_teams(sums: Sums) -> Sums:
    """The same, the keys of each team together."""
    return _folded((cell._replace(level="team", key=""), row) for cell, row in sums.items())


def of_days(sums: Sums) -> Sums:
    """The same, the hours of each day (UTC) together."""
    return _folded(
        (cell._replace(start=cell.start // DAY_S * DAY_S), row) for cell, row in sums.items()
    )


def grains_in(row: Sequence[int]) -> Grains:
    """What a row of `COLUMNS` says was spent, as the ledger writes it."""
    grains = {name: int(row[at]) for name, at in _GRAIN_AT.items() if row[at]}
    for name in _WIDE:
        if high := int(row[_AT[f"{name}_t"]]):
            grains[name] = grains.get(name, 0) + high * _T
    return grains


def quantile(buckets: Sequence[int], share: float) -> float | None:
    """Seconds below which `share` of the requests stayed; None without any.

    Interpolated on the logarithm inside a bucket, so at most a quarter of a decade off; what is
    above the last bound is given as the last bound.
    """
    left = share * sum(buckets)
    if not left:
        return None
    for i, count in enumerate(buckets):
        if left <= count and i < len(BOUNDS_S):
            return float(BOUNDS_S[i] * 10 ** ((left / count - 1) / 4))
        left -= count
    return BOUNDS_S[-1]


def _add(row: list[int], record: Record) -> None:
    row[0] += 1
    row[1] += record.calls
    row[2] += record.estimated
    duration = round(record.seconds * 1e9)
    row[3] += duration
    row[4] += round(record.queued_s * 1e9)
    if record.saved_usd is None:
        row[6] += 1
    else:
        row[5] += round(record.saved_usd * GRAINS["usd"])
    grains = grains_of(record.spent)
    for name in _WIDE:
        if amount := grains.get(name, 0):
            high, grains[name] = divmod(amount, _T)
            row[_AT[f"{name}_t"]] += high
    for name, amount in grains.items():
        row[_GRAIN_AT[name]] += amount
    row[_BUCKET + bisect_left(BOUNDS_S, record.seconds)] += 1
    row[_SLOWEST] = max(row[_SLOWEST], duration)
    row[_DEAREST] = max(row[_DEAREST], grains.get("usd", 0))


def _folded(rows: Iterable[tuple[Cell, list[int]]]) -> Sums:
    sums: Sums = {}
    for cell, row in rows:
        total = sums.get(cell)
        if total is None:
            sums[cell] = list(row)
            continue
        total[:_SLOWEST] = [a + b for a, b in zip(total[:_SLOWEST], row, strict=False)]
        total[_SLOWEST:] = map(max, total[_SLOWEST:], row[_SLOWEST:])
    return sums
