"""The arithmetic of limits, pure: budgets in memory and accounts in a ledger check with the same.

A limit has a key: a resource, ``"usd"``, or a resource in a window, ``"usd per day"``. Amounts are
whole grains (`units.GRAINS`), so no sum drifts and no fifth of five spends is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from bursar.errors import BadInput, BudgetExceeded, BursarError, Unbounded
from bursar.units import LIMITABLE, RESOURCES, from_grains, parse_amount, to_grains
from bursar.usage import Grains, add_grains
from bursar.windows import Tally, window_named

Limits = str | Mapping[str, float] | None
"""Text such as ``"200k tokens, 2 USD per day"``, or key -> amount, or None: no limit of its own."""


@lru_cache(maxsize=1024)
def key_parts(key: str) -> tuple[str, str | None]:
    """``"usd per day"`` -> ``("usd", "day")``; the window is None for all time."""
    resource, per, window = key.partition(" per ")
    return resource, window if per else None


def limit_grains(limits: Limits) -> Grains:
    """Limits in whole grains; raises `BadInput` on bad text, an unknown resource or amount."""
    amounts = _parse(limits) if isinstance(limits, str) else _checked(limits or {})
    return {key: to_grains(key_parts(key)[0], x, limit=True) for key, x in amounts.items()}


def _parse(text: str) -> dict[str, float]:
    """Comma-joined limits: ``"5 USD per day, 1000 USD"`` -> ``{"usd per day": 5.0, ...}``."""
    amounts: dict[str, float] = {}
    for part in text.split(","):
        asked, per, window = part.partition(" per ")
        resource, amount = parse_amount(asked)
        key = f"{resource} per {window_named(window)}" if per else resource
        if key in amounts:
            raise BadInput(f"{key} is limited twice in {text!r}: name it once")
        amounts[key] = amount
    return amounts


def _checked(limits: Mapping[str, float]) -> dict[str, float]:
    amounts: dict[str, float] = {}
    for key, amount in limits.items():
        resource, window = key_parts(key)
        if resource not in LIMITABLE:
            raise BadInput(f"{resource!r} can't be limited; limit one of {', '.join(LIMITABLE)}")
        amounts[f"{resource} per {window_named(window)}" if window else resource] = amount
    return amounts


def amount_in(grains: Mapping[str, int], resource: str) -> int | None:
    """The grains of one limitable resource; None where a part of it is unknown."""
    if resource == "tokens":
        if grains.get("tokens_in?") or grains.get("tokens_out?"):
            return None
        return grains.get("tokens_in", 0) + grains.get("tokens_out", 0)
    return None if grains.get(resource + "?") else grains.get(resource, 0)


Charge = tuple[Grains, tuple[str, ...]]
"""What is charged, and the resources of which it is an estimate (the bound), not a measurement."""


def charge(measured: Grains | None, bound: Grains, limited: set[str]) -> Charge:
    """What to charge: `measured`, and the bound where a limited resource was not measured.

    None: nothing was measured, so the bound in every resource. More than the bound is charged as
    measured: an upstream that used more than it said has still used it.
    """
    if measured is None:
        return dict(bound), tuple(name for name in RESOURCES if not bound.get(name + "?"))
    names = {"tokens_in", "tokens_out"} | limited if "tokens" in limited else limited
    charged, estimated = dict(measured), []
    for name in RESOURCES:
        if name in names and charged.get(name + "?") and not bound.get(name + "?"):
            del charged[name + "?"]
            add_grains(charged, {name: bound.get(name, 0)})
            estimated.append(name)
    return charged, tuple(estimated)


@dataclass(slots=True)
class Scope:
    """One scope's limits, what was spent in it and below, and what is held, in grains.

    `windows` has a tally for each limit of a period; they are as of `now` (microseconds), to which
    `advance` moves them.
    """

    path: str
    limits: Grains = field(default_factory=dict)
    spent: Grains = field(default_factory=dict)
    held: Grains = field(default_factory=dict)
    windows: dict[str, Tally] = field(default_factory=dict)
    now: int = 0

    @property
    def limited(self) -> set[str]:
        """The resources that have a limit here."""
        return {key_parts(key)[0] for key in self.limits}

    def set_limits(self, limits: Grains, since: int) -> None:
        """From entry `since` on these limits; windows that were there before go on counting."""
        self.limits, before = limits, self.windows
        self.windows = {}
        for key in limits:
            resource, window = key_parts(key)
            if window is not None:
                self.windows[key] = before.get(key) or Tally(resource, window, since)

    def advance(self, now: int) -> None:
        """Forget what no longer counts at time `now`, in microseconds."""
        if self.now != now:
            self.now = now
            for tally in self.windows.values():
                tally.advance(now)

    def hold(self, bound: Grains, began: tuple[int, int] | None = None, sign: int = 1) -> None:
        """Set `bound` aside, or (-1) free it.

        `began`, the entry that began the hold and its time, says in which window it counts.
        """
        add_grains(self.held, bound, sign)
        if began and self.windows:
            for tally in self.windows.values():
                # known: what is limited has a bound
                tally.move(began, 0, sign * (amount_in(bound, tally.resource) or 0))

    def spend(self, charged: Grains, began: tuple[int, int] | None = None) -> None:
        """Charge what a hold came to; amounts may be negative, as corrections are."""
        add_grains(self.spent, charged)
        if began and self.windows:
            for tally in self.windows.values():
                tally.move(began, amount_in(charged, tally.resource) or 0, 0)

    def copy(self) -> Scope:
        """The same, not to be changed with it."""
        windows = {key: tally.copy() for key, tally in self.windows.items()}
        return Scope(self.path, self.limits, dict(self.spent), dict(self.held), windows, self.now)

    def committed(self, key: str) -> int:
        """What is spent or held; raises `Unbounded` when a part of it is not known."""
        if key in self.windows:
            return self.windows[key].spent + self.windows[key].held
        spent, held = amount_in(self.spent, key), amount_in(self.held, key)
        if spent is None or held is None:
            raise Unbounded(self.path, key, "some of it was spent unmeasured; use a new scope")
        return spent + held

    def left(self, key: str) -> int:
        """What is neither spent nor held of a limit; negative after an overrun."""
        return self.limits[key] - self.committed(key)

    def fitting(self, asked: Mapping[str, int]) -> int | None:
        """How many times `asked` fits; None: nothing asked is limited.

        None ever fits after an overrun. Raises `Unbounded` where a limited amount is unknown.
        """
        return min((n for _, n in self._fitting(asked) if n is not None), default=None)

    def refusal(self, asked: Mapping[str, int]) -> BudgetExceeded | None:
        """Why `asked` does not fit: of the limits that say so, the one that does so longest."""
        binding = [key for key, times in self._fitting(asked) if times == 0]
        if not binding:
            return None
        key = max(binding, key=lambda key: _forever(self._fits_at(key, asked)))
        resource, window = key_parts(key)
        limit, committed, amount = (
            from_grains(resource, grains)
            for grains in (self.limits[key], self.committed(key), amount_in(asked, resource) or 0)
        )
        fits_at, now = self._fits_at(key, asked), self.now / 10**6
        return BudgetExceeded(self.path, resource, limit, committed, amount, window, fits_at, now)

    def _fitting(self, asked: Mapping[str, int]) -> Iterator[tuple[str, int | None]]:
        for key in self.limits:
            resource, _ = key_parts(key)
            amount = amount_in(asked, resource)
            if amount is None:
                raise Unbounded(self.path, resource, "give an upper bound, or drop the limit")
            room = self.left(key)
            yield key, 0 if room < 0 else room // amount if amount else None

    def _fits_at(self, key: str, asked: Mapping[str, int]) -> float | None:
        resource, window = key_parts(key)
        if window is None:
            return None
        room = self.limits[key] - (amount_in(asked, resource) or 0)
        return self.windows[key].room_at(room, self.now)


def _forever(time: float | None) -> float:
    return float("inf") if time is None else time


def refusal(scopes: Iterable[Scope], asked: Mapping[str, int]) -> BursarError | None:
    """Why `asked` may not be spent: what the first of `scopes`, outermost first, has against it."""
    for scope in scopes:
        try:
            if refused := scope.refusal(asked):
                return refused
        except Unbounded as unbounded:
            return unbounded
    return None
