"""`Demand`: traffic of several kinds, and the types of instance that could carry it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bursar.allocate.base import Floats
from bursar.errors import BadInput, Infeasible

DOLLARS = "usd_per_hour"
UNITS = {DOLLARS: "USD/h", "watts": "W", "gpus": "GPUs"}
"""Resource -> how amounts of it are written."""


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Demand:
    """Traffic of several kinds, and the types of instance that could carry it.

    `load` (kinds, types): how many instances of a type all requests of a kind would fill; inf where
    it can't meet their latency goal. `usd_per_hour` (types,): rent of an instance. `available`
    (types,): most instances to be had. `uses`: other resource -> (types,) what an instance uses of
    it. `carried`: resource -> (kinds, types) what carrying all requests of a kind uses beside that.
    Raises `BadInput` on shapes that don't fit, NaN, or numbers below zero.
    """

    load: Floats
    uses: dict[str, Floats]
    carried: dict[str, Floats]
    available: Floats

    def __init__(
        self,
        load: ArrayLike,
        usd_per_hour: ArrayLike,
        available: ArrayLike = np.inf,
        *,
        uses: Mapping[str, ArrayLike] | None = None,
        carried: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        loads, usd = np.array(load, dtype=np.float64), np.array(usd_per_hour, dtype=np.float64)
        if loads.ndim != 2 or usd.shape != loads.shape[1:] or not loads.size:
            raise BadInput(
                f"load of shape {loads.shape} and prices of shape {usd.shape} do not fit: give "
                "(kinds, types) and (types,), at least one of each"
            )
        most = _like(available, usd, "available")
        own = {name: _like(x, usd, name) for name, x in (uses or {}).items()}
        parts = {name: _like(x, loads, f"carried {name}") for name, x in (carried or {}).items()}
        _require_counts(load=loads, usd_per_hour=usd, available=most, **own)
        for part in parts.values():
            _require_counts(carried=part)
        for name, value in {DOLLARS: usd, **own}.items():
            if not np.isfinite(value).all():
                raise BadInput(f"{name} must be finite: leave out what can't be had")
        free = (usd == 0) & ~np.all(parts.get(DOLLARS, np.zeros_like(loads)) > 0, axis=0)
        if free.any():
            raise BadInput("usd_per_hour must be above zero and finite: leave out what is free")
        if (alone := ~np.isfinite(loads).any(axis=1)).any():
            raise Infeasible(
                f"no type can carry requests of kind {int(alone.argmax())} within their goal: "
                "relax the goal or offer another type"
            )
        for name, kept in (
            ("load", loads),
            ("uses", {DOLLARS: usd, **own}),
            ("carried", parts),
            ("available", most),
        ):
            object.__setattr__(self, name, kept)

    @property
    def usd_per_hour(self) -> Floats:
        """(types,) rent of an instance."""
        return self.uses[DOLLARS]

    def used(self, resource: str, instances: ArrayLike, parts: Floats) -> float:
        """How much of a resource so many instances use that carry `parts` of each kind."""
        known = np.where(np.isfinite(self.load), parts, 0.0)
        moved = self.carried.get(resource, np.zeros_like(known))
        return float(self.uses[resource] @ np.asarray(instances) + np.sum(moved * known))


def _like(value: ArrayLike, shape: Floats, name: str) -> Floats:
    try:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), shape.shape).copy()
    except ValueError:
        raise BadInput(
            f"{name} of shape {np.shape(value)} does not fit {shape.shape}: give one per type"
        ) from None


def _require_counts(**columns: Floats) -> None:
    for name, values in columns.items():
        if not values.min() >= 0:  # also catches NaN
            raise BadInput(f"{name} holds {values.min()}: all must be zero or more, not NaN")
