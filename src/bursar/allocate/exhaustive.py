"""Exhaustive: tries every plan. The oracle that the others are tested against on small cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bursar.allocate.base import Limit, Options
from bursar.allocate.dual import tightest
from bursar.errors import BadInput, Infeasible
from bursar.plan import Plan


@dataclass(frozen=True, slots=True)
class ExhaustiveAllocator:
    """Exact for any values and resources; raises `BadInput` above `max_plans` plans."""

    max_plans: int = 1_000_000

    def allocate(self, options: Options, limit: Limit) -> Plan:
        """See `Allocator.allocate`; the bound is the value."""
        limits = options.limits(limit)
        items, width = options.values.shape
        if width**items > self.max_plans:
            raise BadInput(
                f"{width}^{items} plans are more than {self.max_plans}: use hull or milp"
            )
        shape = (width,) * items
        value, spent = np.zeros(()), np.zeros((len(limits),))
        for item in range(items):
            value = value[..., None] + options.values[item]
            spent = spent[..., None] + options.costs[:, item].reshape(-1, *(1,) * item, width)
        amounts = np.array(list(limits.values())).reshape(-1, *(1,) * items)
        value = np.where((spent <= amounts).all(axis=0), value, -np.inf)
        if value.max() == -np.inf:
            raise Infeasible("no plan is within all limits together: raise one of them")
        choice = np.array(np.unravel_index(int(value.argmax()), shape), dtype=np.int64)
        price, _ = tightest(options, limits)
        return options.plan(choice, limits, price, float(value.max()), "exhaustive")
