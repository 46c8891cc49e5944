"""Uniform: every item may spend the same. The baseline that others must beat at equal budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bursar.allocate.base import Limit, Options
from bursar.allocate.dual import tightest
from bursar.errors import Infeasible
from bursar.plan import Plan


@dataclass(frozen=True, slots=True)
class UniformAllocator:
    """Each item takes its best option among those within an equal share of every limit.

    Every item first gets its cheapest option, and the rest of the limit is shared equally, so an
    item whose cheapest option is above the average share doesn't make the plan fail. With several
    resources an item may have no option within all shares; then this raises `Infeasible`.
    """

    def allocate(self, options: Options, limit: Limit) -> Plan:
        """See `Allocator.allocate`."""
        limits = options.limits(limit)
        amounts = np.array(list(limits.values()))
        floor = options.costs.min(axis=2, initial=np.inf)
        share = (amounts - floor.sum(axis=1)) / max(len(options), 1)
        items = np.arange(len(options))
        while True:
            within = (options.costs <= (floor + share[:, None])[:, :, None]).all(axis=0)
            within &= options.values > -np.inf
            if not within.any(axis=1).all():
                raise Infeasible(
                    f"item {int(within.any(axis=1).argmin())} has no option within an equal share "
                    f"of {', '.join(limits)}: use milp, which lets items share unequally"
                )
            choice = np.where(within, options.values, -np.inf).argmax(axis=1)
            over = options.costs[:, items, choice].T.sum(axis=0) > amounts
            if not over.any():
                break
            share = np.where(over, share * (1 - 1e-12), share)  # the shares' sum was rounded up
        price, bound = tightest(options, limits)
        return options.plan(choice, limits, price, bound, "uniform")
