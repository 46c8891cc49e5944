"""Hull greedy: the multiple-choice knapsack by price, then filled to a certified gap.

Each item's options form a concave hull of value over cost. Walking all hulls' steps by falling
slope (value per unit) until the limit is reached solves the relaxation; the slope reached is the
price (`dual`). What the last, unaffordable step leaves over is then filled (`core`), exactly on
small cases and to a proven gap on all.
"""

from __future__ import annotations

from dataclasses import dataclass

from bursar.allocate.base import Limit, Options
from bursar.allocate.core import Core
from bursar.allocate.counting import counted_bound
from bursar.allocate.dual import finite_costs, solve_relaxed
from bursar.plan import Plan
from bursar.price import Price

_COUNT_ABOVE = 1e-9  # a larger gap is worth some tens of relaxations ...
_COUNT_WITHIN = 250_000  # ... of up to this many options, well under a second


@dataclass(frozen=True, slots=True)
class HullAllocator:
    """For one resource and any values; see `Allocator`. A million items of 8 options in seconds."""

    target_gap: float = 1e-9
    """Stop once the plan is proven within this relative distance of the optimum."""
    max_states: int = 5_000_000
    """Work limit of the fill; when it is reached the gap is larger, and still proven."""

    def allocate(self, options: Options, limit: Limit) -> Plan:
        """See `Allocator.allocate`; the price is the slope at which the limit is reached."""
        costs = options.one_resource("hull")
        limits = options.limits(limit)
        amount = limits[options.resources[0]]
        if options.padded:
            costs = finite_costs(costs)
        relaxed = solve_relaxed(options.values, costs, amount)
        core = Core(options.values, costs, amount, relaxed)
        choice, bound = core.solve(self.target_gap, self.max_states)
        price = Price({options.resources[0]: relaxed.price})
        plan = options.plan(choice, limits, price, bound, "hull")
        if plan.gap > max(self.target_gap, _COUNT_ABOVE) and costs.size <= _COUNT_WITHIN:
            counted = counted_bound(options.values, costs, amount, plan.total_value)
            plan = options.plan(choice, limits, price, min(bound, counted), "hull")
        return plan
