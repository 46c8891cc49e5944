"""`Plan`: what an allocator returns. Pure data: it can be saved, shown and replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput
from bursar.price import Price
from bursar.units import format_amount

_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One option for every item, what it should use and bring, and how good that is, proven.

    The arrays are made read-only. `price` is the dual of the budget: what one more unit would
    have bought. No plan within the limits can be worth more than `bound`.
    """

    choice: NDArray[np.int64]
    """(items,) index of the chosen option."""
    value: NDArray[np.float64]
    """(items,) predicted value of the chosen option."""
    usage: NDArray[np.float64]
    """(items, resources) predicted usage of the chosen option."""
    limit: Mapping[str, float]
    """Resource -> limit, in the order of the columns of `usage`."""
    price: Price
    bound: float
    allocator: str = ""

    def __post_init__(self) -> None:
        items = len(self.choice)
        if self.value.shape != (items,) or self.usage.shape != (items, len(self.limit)):
            raise BadInput(
                f"a plan for {items} items and {len(self.limit)} resources has values of shape "
                f"{self.value.shape} and usage of shape {self.usage.shape}"
            )
        for array in (self.choice, self.value, self.usage):
            array.flags.writeable = False

    @property
    def total_value(self) -> float:
        """Predicted value of the whole plan."""
        return float(np.sum(self.value))

    @property
    def total_usage(self) -> dict[str, float]:
        """Predicted usage of the whole plan; never above `limit`."""
        return dict(zip(self.limit, map(float, np.sum(self.usage, axis=0)), strict=True))

    @property
    def gap(self) -> float:
        """Certified relative distance to the optimum: (bound - value) / |value|, >= 0."""
        total = self.total_value
        return max(0.0, self.bound - total) / max(abs(total), _TINY)

    def usage_of(self, item: int) -> dict[str, float]:
        """Predicted usage of one item."""
        return dict(zip(self.limit, map(float, self.usage[item]), strict=True))

    def show(self) -> str:
        """A few lines for people."""
        used = ", ".join(
            f"{format_amount(name, amount)} of {format_amount(name, self.limit[name])}"
            for name, amount in self.total_usage.items()
        )
        price = ", ".join(f"{p:.4g} per {name}" for name, p in self.price.per_unit.items())
        return (
            f"{len(self.choice)} items planned by {self.allocator or 'an allocator'}: {used}\n"
            f"value {self.total_value:.6g}, at most {self.bound:.6g} possible "
            f"(gap {self.gap:.2g})\nprice {price or 'zero: the limit does not bind'}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; totals are included for readers and ignored by `from_dict`."""
        return {
            "allocator": self.allocator,
            "choice": self.choice.tolist(),
            "value": self.value.tolist(),
            "usage": self.usage.tolist(),
            "limit": dict(self.limit),
            "price": self.price.to_dict(),
            "bound": self.bound,
            "gap": self.gap,
            "total_value": self.total_value,
            "total_usage": self.total_usage,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """From `to_dict`; raises `BadInput` naming a key that is missing."""
        try:
            return cls(
                choice=np.array(data["choice"], dtype=np.int64),
                value=np.array(data["value"], dtype=np.float64),
                usage=np.array(data["usage"], dtype=np.float64).reshape(-1, len(data["limit"])),
                limit=dict(data["limit"]),
                price=Price(data["price"]),
                bound=float(data["bound"]),
                allocator=str(data.get("allocator", "")),
            )
        except KeyError as missing:
            raise BadInput(f"a saved plan has no {missing}: save it with Plan.to_json") from None

    def to_json(self) -> str:
        """One JSON document; floats are written so that reading gives the same bits."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """From `to_json`; raises `BadInput` when `text` is not a saved plan."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise BadInput(f"not a saved plan ({error}): save it with Plan.to_json") from None
        if not isinstance(data, dict):
            raise BadInput("not a saved plan: the JSON document is not an object")
        return cls.from_dict(data)
