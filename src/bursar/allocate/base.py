"""What an allocator is: options for every item and a limit in, a `Plan` out.

The problem is the multiple-choice knapsack: take exactly one option per item, so that the sum of
the costs stays within every limit and the sum of the values is as large as possible. "Spend
nothing on this item" is simply an option of cost zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bursar.errors import BadInput, Infeasible
from bursar.plan import Plan
from bursar.price import Price
from bursar.units import LIMITABLE

Floats = NDArray[np.float64]
Choice = NDArray[np.int64]
Limit = float | Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Options:
    """What can be bought for each item.

    `values` (items, options); `costs` (items, options) for one resource, or (resources, items,
    options). Items with fewer options are padded with value -inf; a cost of inf means the same.
    Raises `BadInput` on NaN, a value of +inf, a negative cost, or an item without any option.
    """

    values: Floats
    costs: Floats
    """(resources, items, options)"""
    resources: tuple[str, ...]
    padded: bool
    """Whether some options are padding."""

    def __init__(
        self, values: ArrayLike, costs: ArrayLike, resources: tuple[str, ...] = ("tokens",)
    ) -> None:
        value = np.ascontiguousarray(values, dtype=np.float64)
        cost = np.ascontiguousarray(costs, dtype=np.float64)
        cost = cost[None] if cost.ndim == 2 else cost
        if value.ndim != 2 or cost.shape != (len(resources), *value.shape):
            raise BadInput(
                f"values of shape {value.shape} and costs of shape {cost.shape} do not fit: with "
                f"{len(resources)} resources give (items, options) and (resources, items, options)"
            )
        if unknown := [r for r in resources if r not in LIMITABLE]:
            raise BadInput(f"{unknown} can't be limited: use {', '.join(LIMITABLE)}")
        if cost.size and not cost.min() >= 0:  # also catches NaN, which min() hands on
            raise BadInput(f"a cost is {cost.min()}: costs must be zero or more, not NaN")
        if value.size and not value.max() < np.inf:
            raise BadInput(f"a value is {value.max()}: values must be finite (-inf pads), not NaN")
        padded = bool(value.size) and (value.min() == -np.inf or bool(cost.max() == np.inf))
        if padded:
            void = (value == -np.inf) | (cost == np.inf).any(axis=0)
            value, cost = np.where(void, -np.inf, value), np.where(void, np.inf, cost)
            if (empty := void.all(axis=1)).any():
                raise BadInput(f"item {int(empty.argmax())} has no option: give at least one")
        elif len(value) and not value.shape[1]:
            raise BadInput("item 0 has no option: give at least one")
        for name, content in (("values", value), ("costs", cost)):
            object.__setattr__(self, name, content)
        object.__setattr__(self, "resources", tuple(resources))
        object.__setattr__(self, "padded", padded)

    def __len__(self) -> int:
        return len(self.values)

    def limits(self, limit: Limit) -> dict[str, float]:
        """`limit` as resource -> amount, in the order of `resources`.

        A bare number limits the only resource. Raises `BadInput` when a resource has no limit, a
        limited resource has no costs here (its spend could not be bounded), or an amount is not
        finite and >= 0; `Infeasible` when the cheapest options together pass a limit.
        """
        if not isinstance(limit, Mapping):
            if len(self.resources) != 1:
                raise BadInput(f"{limit} is one number: name a limit for each of {self.resources}")
            limit = {self.resources[0]: float(limit)}
        if set(limit) != set(self.resources):
            raise BadInput(
                f"limits on {sorted(limit)} but costs in {sorted(self.resources)}: name the same"
            )
        for index, name in enumerate(self.resources):
            if not 0 <= limit[name] < math.inf:
                raise BadInput(f"the limit of {name} is {limit[name]}: it must be finite and >= 0")
            least = float(np.sum(self.costs[index].min(axis=1, initial=np.inf)))
            if least > limit[name]:
                raise Infeasible(
                    f"the cheapest options need {least:g} {name} and the limit is "
                    f"{limit[name]:g}: {least - limit[name]:g} too little; raise the limit, or "
                    "give every item an option that spends nothing"
                )
        return {name: float(limit[name]) for name in self.resources}

    def one_resource(self, allocator: str) -> Floats:
        """Costs (items, options) of the only resource; raises `BadInput` when there are several."""
        if len(self.resources) != 1:
            raise BadInput(
                f"{allocator} divides one resource, not {', '.join(self.resources)}: use milp"
            )
        costs: Floats = self.costs[0]
        return costs

    def plan(
        self, choice: Choice, limits: Mapping[str, float], price: Price, bound: float, by: str
    ) -> Plan:
        """The plan that takes `choice`; its `bound` is never below its value."""
        items = np.arange(len(self))
        value = self.values[items, choice]
        usage = np.ascontiguousarray(self.costs[:, items, choice].T)
        bound = max(bound, float(np.sum(value)))
        return Plan(choice.astype(np.int64), value, usage, dict(limits), price, bound, by)


@runtime_checkable
class Allocator(Protocol):
    """Divides a limit over the items."""

    def allocate(self, options: Options, limit: Limit) -> Plan:
        """One option per item within every limit. Deterministic.

        Raises `BadInput` for options or limits it can't use, and `Infeasible`, saying by how
        much, when even the cheapest options pass a limit.
        """
        ...
