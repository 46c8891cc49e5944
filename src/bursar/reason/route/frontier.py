"""Frontiers of routers: accuracy over mean cost, as the price goes from nothing to prohibitive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bursar.errors import Infeasible
from bursar.reason.route.base import Router, play
from bursar.value.base import Floats
from bursar.value.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class Frontier:
    """One point per price, (prices,) each. A router may stand between two of its points by
    tossing a coin, so everything under the upper hull of the points is within its reach."""

    price: Floats
    cost: Floats
    accuracy: Floats

    def accuracy_at(self, cost: float) -> float:
        """Accuracy within this mean cost. Raises `Infeasible` below the cheapest point."""
        x, y = self._hull()
        if cost < x[0] * (1 - 1e-9):
            raise Infeasible(f"mean cost {cost:g} is below the cheapest way's {x[0]:g}")
        return float(np.interp(cost, x, y))

    def cost_at(self, accuracy: float) -> float | None:
        """Least mean cost that reaches this accuracy; None where none does."""
        x, y = self._hull()
        if accuracy > y[-1] + 1e-12:
            return None
        return float(np.interp(accuracy, y, x)) if accuracy > y[0] else float(x[0])

    def _hull(self) -> tuple[Floats, Floats]:
        """The points on the upper left hull, from cheapest to most accurate."""
        kept: list[tuple[float, float]] = []
        for x, y in sorted(zip(self.cost, self.accuracy, strict=True), key=lambda p: (p[0], -p[1])):
            if kept and y <= kept[-1][1]:
                continue
            while len(kept) > 1 and _turns_up(kept[-2], kept[-1], (x, y)):
                kept.pop()
            kept.append((float(x), float(y)))
        hull = np.array(kept)
        return hull[:, 0], hull[:, 1]


def _turns_up(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or under the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def prices(expected_cost: Floats, count: int = 60) -> Floats:
    """0, and prices from negligible to prohibitive for ways that cost this much."""
    spread = float(np.ptp(expected_cost.mean(axis=0))) or float(expected_cost.mean())
    return np.concatenate([[0.0], np.geomspace(1e-3, 1e3, count - 1) / spread])


def frontier(
    router: Router, record: Outcomes, expected_cost: Floats, at: Sequence[float] | Floats
) -> Frontier:
    """Play a fitted router over `record` at each of the prices `at`."""
    belief = router.estimate(record.prompts)
    played = [play(router, belief, record, float(p), expected_cost) for p in at]
    return Frontier(
        np.asarray(at, dtype=float),
        np.array([p.mean_cost for p in played]),
        np.array([p.accuracy for p in played]),
    )


def price_for_accuracy(
    router: Router, seen: Outcomes, accuracy: float, rng: np.random.Generator
) -> float:
    """The highest price at which `router` reaches `accuracy` on known outcomes, by halves: fitted
    on one, played on the other, and the other way round. 0 where it reaches it at none.
    """
    halves = seen.split(rng)
    at = prices(seen.cost)
    curves = [
        frontier(router.fit(mine), other, other.cost, at) for mine, other in (halves, halves[::-1])
    ]
    reached = at[np.mean([c.accuracy for c in curves], axis=0) >= accuracy]
    return float(reached.max()) if len(reached) else 0.0
