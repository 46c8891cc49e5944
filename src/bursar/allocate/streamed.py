"""A price for items that come one by one: the recent past stands for what is still to come."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from bursar.allocate.base import Floats, Options
from bursar.allocate.dual import finite_costs, solve_relaxed
from bursar.errors import BadInput
from bursar.price import Price


@dataclass(frozen=True, slots=True, eq=False)
class WindowPrice:
    """The price at which the last `size` items would spend what the next ones may.

    Before each arrival the relaxed knapsack over the window is solved for
    remaining * items in the window / items still to come, so a lead or lag in spending is worked
    off over what is left, and a drifting stream is followed at the pace of the window. Wants the
    value curves of past items; `bursar.price.PacedPrice` wants none.
    """

    resource: str
    size: int = 256
    values: Floats | None = None
    """(seen, options) of the window; None before the first item."""
    costs: Floats | None = None

    def after(self, values: ArrayLike, costs: ArrayLike) -> WindowPrice:
        """With one more item seen: its `values` and `costs` (options,), whatever it was given."""
        seen = Options(np.atleast_2d(values), np.atleast_2d(costs), (self.resource,))
        value, cost = seen.values, seen.costs[0]
        if self.values is not None and self.costs is not None:
            if value.shape[1] != self.values.shape[1]:
                raise BadInput(
                    f"an item with {value.shape[1]} options after items with "
                    f"{self.values.shape[1]}: pad with value -inf"
                )
            value = np.concatenate([self.values, value])[-self.size :]
            cost = np.concatenate([self.costs, cost])[-self.size :]
        return replace(self, values=value, costs=cost)

    def price(self, remaining: float, to_come: float) -> Price | None:
        """The price now, with `remaining` of the limit for `to_come` (expected) items.

        None before the first item: nothing is known. Where even the cheapest options of the
        window are beyond its share, the steepest price at which anything would be bought.
        """
        if self.values is None or self.costs is None:
            return None
        share = max(remaining, 0.0) * len(self.values) / max(to_come, 1.0)
        cost = finite_costs(self.costs)
        least = float(np.sum(cost.min(axis=1)))
        return Price({self.resource: solve_relaxed(self.values, cost, max(share, least)).price})


def best_option(
    values: ArrayLike, costs: ArrayLike, price: float, at_most: float = np.inf
) -> int | None:
    """The option (of `values`, `costs` (options,)) with the largest value - price * cost.

    Only options that cost no more than `at_most` (what the ledger has left) count; None when there
    is none. Ties go to the cheapest.
    """
    value, cost = np.asarray(values, dtype=np.float64), np.asarray(costs, dtype=np.float64)
    real = (value > -np.inf) & (cost < np.inf) & (cost <= at_most)
    if not real.any():
        return None
    net = np.full(len(value), -np.inf)
    net[real] = value[real] - price * cost[real]
    return int(np.where(net == net.max(), cost, np.inf).argmin())
