"""What a ledger shows: accounts, open holds, and the lines of a receipt, in units."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bursar.budget import Line
from bursar.ledger.chain import SPENDS, Entry
from bursar.limits import Scope
from bursar.units import from_grains
from bursar.usage import Grains, Usage, add_grains, usage_of


@dataclass(frozen=True, slots=True)
class Totals:
    """One account with what it and all below it have spent and hold, in units."""

    path: str
    limits: dict[str, float]
    """For all time, by resource."""
    spent: Usage
    held: Usage
    windows: tuple[WindowTotals, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowTotals:
    """One limit of a period and what counts in it now, in the unit of `resource`.

    `resets_at`: epoch second at which the period ends or, when it rolls, the first of what counts
    no longer does; None when nothing counts.
    """

    resource: str
    window: str
    limit: float
    spent: float
    held: float
    resets_at: float | None


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A hold nobody has settled; `expired` when it was charged at its bound since."""

    id: int
    account: str
    what: str
    bound: Usage
    expires_at: float
    expired: bool
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """A journal found whole: its length and its last hash (keep it elsewhere)."""

    entries: int
    head: str


def totals_of(scope: Scope) -> Totals:
    """An account's row, in units."""
    limits = {r: from_grains(r, g) for r, g in scope.limits.items() if r not in scope.windows}
    windows = tuple(_window_of(scope, key) for key in scope.windows)
    return Totals(scope.path, limits, usage_of(scope.spent), usage_of(scope.held), windows)


def _window_of(scope: Scope, key: str) -> WindowTotals:
    tally = scope.windows[key]
    return WindowTotals(
        resource=tally.resource,
        window=tally.window,
        limit=from_grains(tally.resource, scope.limits[key]),
        spent=from_grains(tally.resource, tally.spent),
        held=from_grains(tally.resource, tally.held),
        resets_at=tally.resets_at(scope.now),
    )


def open_hold_of(entry: Entry, state: str) -> OpenHold:
    """The hold that `entry` began."""
    return OpenHold(
        entry.seq,
        entry.account,
        entry.what,
        usage_of(entry.bound or {}),
        entry.expires_at or 0.0,
        state == "expired",
        entry.worker,
    )


def lines_of(entries: Iterable[Entry]) -> list[Line]:
    """One line for each hold that was charged: what it came to, late corrections included."""
    sums: dict[int, tuple[Entry, Grains]] = {}
    for entry in entries:
        if entry.kind in SPENDS and entry.hold is not None:
            total = dict(sums[entry.hold][1]) if entry.hold in sums else {}
            add_grains(total, entry.measured or {})
            sums[entry.hold] = entry, total
    return [
        Line(
            entry.account,
            entry.what,
            usage_of(total),
            usage_of(entry.bound or {}),
            None if entry.predicted is None else usage_of(entry.predicted),
            entry.price,
            entry.estimated,
        )
        for entry, total in sums.values()
    ]
