"""`Receipt`: what a spend cost, line by line; it adds up to the budget and the ledger exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bursar.budget import Budget, Line
from bursar.units import RESOURCES, format_amount
from bursar.usage import Grains, Usage, add_grains, grains_of, usage_of


@dataclass(frozen=True)
class Receipt:
    """What was limited, predicted and spent, and the lines that add up to it.

    `price` is the value per unit of each resource that the spending ended with, None when nobody
    set one. `limit` is empty when nothing was limited.
    """

    lines: tuple[Line, ...]
    limit: Mapping[str, float] = field(default_factory=dict)
    price: Mapping[str, float] | None = None

    @classmethod
    def of(cls, budget: Budget) -> Receipt:
        """The receipt of what `budget` and its children settled so far in this process."""
        return cls.from_lines(budget.lines, budget.limits)

    @classmethod
    def from_lines(cls, lines: Iterable[Line], limit: Mapping[str, float] | None = None) -> Receipt:
        """A receipt of `lines`, which a `Budget` or ``Ledger.lines`` gives."""
        lines = tuple(lines)
        prices = [line.price for line in lines if line.price is not None]
        return cls(lines, dict(limit or {}), prices[-1] if prices else None)

    @property
    def spent(self) -> Usage:
        """The sum of the lines, exact; None where a line is unknown."""
        return _sum(line.usage for line in self.lines)

    @property
    def predicted(self) -> Usage | None:
        """The sum of what was predicted; None when a line has no prediction."""
        guesses = [line.predicted for line in self.lines if line.predicted is not None]
        return _sum(guesses) if self.lines and len(guesses) == len(self.lines) else None

    @property
    def estimated(self) -> tuple[str, ...]:
        """The resources of which some line was charged at its bound, not measured."""
        names = {name for line in self.lines for name in line.estimated}
        return tuple(name for name in RESOURCES if name in names)

    @property
    def unspent(self) -> dict[str, float | None]:
        """What is left of each limit: negative after an overrun, None where spend is unknown."""
        spent = self.spent
        left: dict[str, float | None] = {}
        for resource, limit in self.limit.items():
            used = spent.get(resource)
            left[resource] = None if used is None else limit - used
        return left

    def by(self, depth: int) -> dict[str, Usage]:
        """The spend by the first `depth` parts of each line's path, in order of appearance."""
        sums: dict[str, Grains] = {}
        for line in self.lines:
            key = "/".join(line.path.split("/")[:depth])
            add_grains(sums.setdefault(key, {}), grains_of(line.usage))
        return {key: usage_of(grains) for key, grains in sums.items()}

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: keys `limit, spent, predicted, price, estimated, calls`."""
        return {
            "limit": dict(self.limit),
            "spent": self.spent.to_dict(),
            "predicted": None if self.predicted is None else self.predicted.to_dict(),
            "price": None if self.price is None else dict(self.price),
            "estimated": list(self.estimated),
            "calls": len(self.lines),
        }

    def __str__(self) -> str:
        """One line for people: ``spent 18.2k of 20k tokens, 0.1 of 0.2 USD in 40 calls``."""
        spent = self.spent
        shown = [
            f"{format_amount(name, spent.get(name))} of {format_amount(name, limit)}"
            for name, limit in self.limit.items()
        ] or [format_amount(name, amount) for name, amount in spent.known().items() if amount]
        note = f" ({', '.join(self.estimated)} partly estimated)" if self.estimated else ""
        return f"spent {', '.join(shown) or 'nothing'} in {len(self.lines)} calls{note}"


def _sum(parts: Iterable[Usage]) -> Usage:
    total: Grains = {}
    for part in parts:
        add_grains(total, grains_of(part))
    return usage_of(total)
