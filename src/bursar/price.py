"""`Price`: the value of one more unit of each limited resource; `PacedPrice` moves one online.

Value is counted in the caller's unit (right answers, requests in time). A price of 2e-5 per token
says: the next token is worth spending while 50,000 of them buy at least one right answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from bursar.errors import BadInput, Unbounded
from bursar.units import LIMITABLE
from bursar.usage import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """Value per unit of each limited resource, every one finite and >= 0.

    A resource that is not named is free: its limit does not bind. Raises `BadInput` on a name that
    is not a limitable resource, and on a negative or non-finite price.
    """

    per_unit: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for resource, price in self.per_unit.items():
            if resource not in LIMITABLE:
                raise BadInput(f"{resource!r} has no price: use one of {', '.join(LIMITABLE)}")
            if not 0 <= price < math.inf:
                raise BadInput(f"the price of {resource} is {price}: it must be finite and >= 0")
        object.__setattr__(self, "per_unit", MappingProxyType(dict(self.per_unit)))

    def __hash__(self) -> int:
        return hash(frozenset(self.per_unit.items()))

    def __reduce__(self) -> tuple[type, tuple[dict[str, float]]]:
        return type(self), (dict(self.per_unit),)

    def of(self, resource: str) -> float:
        """The price of one unit of `resource`; 0 when its limit does not bind."""
        return self.per_unit.get(resource, 0.0)

    def cost_of(self, usage: Usage) -> float:
        """What `usage` costs, in units of value.

        Raises `Unbounded` when a resource with a price above zero is unknown in `usage`: an
        unknown cost can be compared with no value, and must not look cheap.
        """
        total = 0.0
        for resource, price in self.per_unit.items():
            if price == 0:
                continue
            amount = usage.get(resource)
            if amount is None:
                raise Unbounded("price", resource, "predict it, or price another resource")
            total += price * amount
        return total

    def buys(self, value: float, usage: Usage) -> bool:
        """Whether spending `usage` to gain `value` is worth it: value > cost."""
        return value > self.cost_of(usage)

    def to_dict(self) -> dict[str, float]:
        """The JSON form."""
        return dict(self.per_unit)


@dataclass(frozen=True, slots=True)
class PacedPrice:
    """A price that the ledger moves: spending ahead of plan raises it, lagging lowers it.

    The rule is dual mirror descent with the entropy mirror map, which needs no forecast: each
    arrival multiplies the price by exp(rate * (its share of the limit - its share of the
    horizon)), so after any number of them

        price = start * exp(rate * (spent / limit - progress))

    (Balseiro, Lu, Mirrokni, "The Best of Many Worlds: Dual Mirror Descent for Online Allocation
    Problems", arXiv:2011.10124).

    `start` is a first guess (an earlier plan's price); `rate` (eta times the number of arrivals;
    about the square root of that number) says how hard a lead is answered: at 20, being 5 % of
    the limit ahead of plan multiplies the price by e. A guess that is wrong by a factor f costs a
    lasting lead or lag of ln(f)/rate of the limit. Where the value curves of past items are known,
    `bursar.allocate.streamed.WindowPrice` learns the price itself.
    """

    resource: str
    limit: float
    start: float
    rate: float = 20.0
    spent: float = 0.0
    progress: float = 0.0
    """Share of the horizon passed (of the expected arrivals, or of the time), 0 to 1."""

    def __post_init__(self) -> None:
        for name in ("limit", "start", "rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise BadInput(f"{name} is {getattr(self, name)}: it must be finite and > 0")
        if not 0 <= self.spent < math.inf:
            raise BadInput(f"spent is {self.spent}: it must be finite and >= 0")
        if not 0 <= self.progress <= 1:
            raise BadInput(f"progress is {self.progress}: it must be between 0 and 1")

    @property
    def per_unit(self) -> float:
        """The price now, in value per unit of the resource."""
        return self.start * math.exp(self.rate * (self.spent / self.limit - self.progress))

    @property
    def price(self) -> Price:
        """The same as a `Price`."""
        return Price({self.resource: self.per_unit})

    @property
    def remaining(self) -> float:
        """What is left of the limit; a spend above it is not to be started at any price."""
        return max(0.0, self.limit - self.spent)

    def after(self, spent: float, progress: float) -> PacedPrice:
        """The price once the ledger shows `spent` in total, at `progress` of the horizon."""
        return replace(self, spent=spent, progress=progress)
