"""Mélange: how many accelerators of which type to rent for a mix of request sizes.

Paper: Griggs et al., "Mélange: Cost Efficient Large Language Model Serving by Exploiting GPU
    Heterogeneity", 2024, arXiv:2404.14527; section 5, the cost-aware bin packing.
Symbols: A_ij -> shares; B_j -> instances; L_ij -> load / slices; c_j -> usd_per_hour.
Differs: equal slices of one kind are counted by one integer instead of told apart, which takes the
    symmetry out of the programme; without `slices` a kind is divided in any proportion; scarce
    types; the reverse question (the most traffic for a budget); price and bound are returned.
Checked: tests/papers/test_melange.py: over 50 random mixes never dearer than the best single type,
    strictly cheaper where sizes are mixed and types differ in what they are good at.
Seed: 19
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, sparse

from bursar.allocate.base import Floats
from bursar.errors import BadInput, Infeasible


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Demand:
    """Traffic of several kinds, and the types of instance that could carry it.

    `load` (kinds, types): how many instances of a type all requests of a kind would fill; inf where
    it can't meet their latency goal. `usd_per_hour` (types,). `available` (types,): most instances
    to be had. Raises `BadInput` on shapes that don't fit, NaN, or numbers below zero.
    """

    load: Floats
    usd_per_hour: Floats
    available: Floats

    def __init__(
        self, load: ArrayLike, usd_per_hour: ArrayLike, available: ArrayLike = np.inf
    ) -> None:
        loads, usd = np.array(load, dtype=np.float64), np.array(usd_per_hour, dtype=np.float64)
        if loads.ndim != 2 or usd.shape != loads.shape[1:] or not loads.size:
            raise BadInput(
                f"load of shape {loads.shape} and prices of shape {usd.shape} do not fit: give "
                "(kinds, types) and (types,), at least one of each"
            )
        most = np.broadcast_to(np.asarray(available, dtype=np.float64), usd.shape).copy()
        for name, values in (("load", loads), ("usd_per_hour", usd), ("available", most)):
            if not values.min() >= 0:  # also catches NaN
                raise BadInput(f"{name} holds {values.min()}: all must be zero or more, not NaN")
            object.__setattr__(self, name, values)
        if not np.isfinite(usd).all() or usd.min() == 0:
            raise BadInput("usd_per_hour must be above zero and finite: leave out what is free")
        if (alone := ~np.isfinite(loads).any(axis=1)).any():
            raise Infeasible(
                f"no type can carry requests of kind {int(alone.argmax())} within their goal: "
                "relax the goal or offer another type"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """How many instances of each type, and who carries what."""

    instances: NDArray[np.int64]
    """(types,)"""
    shares: Floats
    """(kinds, types): the share of a kind's requests that goes to a type."""
    usd_per_hour: float
    traffic: float
    """How many times the demand is carried; 1 for the cheapest fleet."""
    gap: float
    """Proven relative distance to the optimum, of dollars or of traffic."""
    price: float | None
    """Dollars an hour for one more unit of traffic (the whole demand once more), if instances
    could be rented in parts: the dual of the relaxation. None when no more can be carried."""


def cheapest_fleet(
    demand: Demand, *, slices: int | None = None, target_gap: float = 1e-4, time_limit_s: float = 60
) -> Fleet:
    """The least dollars an hour that carry all of the demand.

    With `slices`, each kind is split into so many equal parts, each of which goes to one type.
    Past `time_limit_s` the best fleet so far is returned with its proven gap. Raises `Infeasible`
    when the available instances can't carry the demand, saying how much of it they can.
    """
    programme = _Programme.of(demand, slices, usd_per_hour=None)
    relaxed = programme.relaxed()
    if relaxed.x is None:
        most = _Programme.of(demand, None, usd_per_hour=np.inf).relaxed()
        raise Infeasible(
            f"all instances to be had carry {-most.fun:.3g} of the demand: offer more of them, or "
            "ask for less"
        )
    price = float(relaxed.lower.marginals[-1] + relaxed.upper.marginals[-1])
    return programme.solve(float(relaxed.fun), price, target_gap, time_limit_s)


def largest_fleet(
    demand: Demand, usd_per_hour: float, *, target_gap: float = 1e-4, time_limit_s: float = 60
) -> Fleet:
    """The most traffic, as a multiple of the demand in its own mix, for `usd_per_hour`.

    Raises `BadInput` unless the budget is above zero and finite, and `Infeasible` when it rents
    no fleet that carries every kind, saying what the smallest one costs.
    """
    if not 0 < usd_per_hour < np.inf:
        raise BadInput(f"a budget of {usd_per_hour} USD/h: give one above zero and finite")
    programme = _Programme.of(demand, None, usd_per_hour=usd_per_hour)
    relaxed = programme.relaxed()
    gained = -float(relaxed.ineqlin.marginals[-1])  # traffic for one more dollar an hour
    price = 1.0 / gained if gained > 0 else None
    fleet = programme.solve(float(relaxed.fun), price, target_gap, time_limit_s)
    if fleet.traffic <= 0:
        least = cheapest_fleet(
            Demand(demand.load * 1e-3, demand.usd_per_hour, demand.available)
        ).usd_per_hour
        raise Infeasible(
            f"{usd_per_hour:g} USD/h rents no fleet that carries every kind of request: the "
            f"smallest costs {least:g} USD/h"
        )
    return fleet


@dataclass(frozen=True, slots=True, eq=False)
class _Programme:
    """Minimise over parts (kinds x types), instances (types) and the traffic carried.

    A kind's parts add up to `slices` times the traffic; what goes to a type fits its instances;
    with a budget the instances cost no more and the traffic is to be large, else they are to cost
    little and the traffic is 1.
    """

    demand: Demand
    slices: int | None
    objective: Floats
    adds_up: sparse.csr_array
    """Equal to zero: (kinds, variables)."""
    fits: sparse.csr_array
    at_most: Floats
    upper: Floats
    traffic: tuple[float, float]

    @classmethod
    def of(cls, demand: Demand, slices: int | None, *, usd_per_hour: float | None) -> _Programme:
        kinds, types = demand.load.shape
        real = np.isfinite(demand.load)
        each = np.where(real, demand.load, 0.0) / (slices or 1)
        kind, kind_type = np.repeat(np.arange(kinds), types), np.arange(kinds * types)
        type_ = np.tile(np.arange(types), kinds)
        parts = sparse.csr_array((np.ones(kinds * types), (kind, kind_type)))
        filled = sparse.csr_array((each.ravel(), (type_, kind_type)), shape=(types, kinds * types))
        wanted = sparse.csr_array(np.full((kinds, 1), -float(slices or 1)))
        adds_up = sparse.hstack([parts, sparse.csr_array((kinds, types)), wanted], format="csr")
        one_each, nothing = sparse.csr_array(-np.eye(types)), sparse.csr_array((types, 1))
        fits = sparse.hstack([filled, one_each, nothing], format="csr")
        at_most = np.zeros(types)
        rent = np.concatenate([np.zeros(kinds * types), demand.usd_per_hour, [0.0]])
        most = np.where(real, float(slices) if slices else np.inf, 0.0).ravel()
        upper = np.concatenate([most, demand.available])
        if usd_per_hour is None:
            return cls(demand, slices, rent, adds_up, fits, at_most, upper, (1, 1))
        more = np.append(np.zeros(len(rent) - 1), -1.0)
        if np.isfinite(usd_per_hour):
            fits = sparse.vstack([fits, sparse.csr_array(rent[None])], format="csr")
            at_most = np.append(at_most, usd_per_hour)
        return cls(demand, slices, more, adds_up, fits, at_most, upper, (0, np.inf))

    def relaxed(self) -> Any:
        """SciPy's answer with its duals if instances and slices could be had in parts."""
        low = np.append(np.zeros(len(self.upper)), self.traffic[0])
        high = np.append(self.upper, self.traffic[1])
        return optimize.linprog(
            self.objective,
            A_ub=self.fits.toarray(),
            b_ub=self.at_most,
            A_eq=self.adds_up.toarray(),
            b_eq=np.zeros(self.adds_up.shape[0]),
            bounds=list(zip(low.tolist(), high.tolist(), strict=True)),
        )

    def solve(
        self, bound: float, price: float | None, target_gap: float, time_limit_s: float
    ) -> Fleet:
        """The best fleet in whole instances; `bound` is the relaxed optimum."""
        kinds, types = self.demand.load.shape
        low = np.append(np.zeros(len(self.upper)), self.traffic[0])
        whole = np.full(len(low), self.slices is not None)
        whole[-1 - types :] = True
        whole[-1] = False
        found = optimize.milp(
            self.objective,
            integrality=whole,
            bounds=optimize.Bounds(low, np.append(self.upper, self.traffic[1])),
            constraints=[
                optimize.LinearConstraint(self.adds_up, 0, 0),
                optimize.LinearConstraint(self.fits, ub=self.at_most),
            ],
            options={"time_limit": time_limit_s, "mip_rel_gap": target_gap},
        )
        if found.x is None:
            raise Infeasible(
                f"no fleet of whole instances was found in {time_limit_s:g} s: raise the time "
                "limit, or offer more instances"
            )
        counts = np.rint(found.x[-1 - types : -1]).astype(np.int64)
        traffic, parts = float(found.x[-1]), found.x[: kinds * types].reshape(kinds, types)
        shares = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-300)
        value = float(found.fun)
        bound = max(bound, float(found.mip_dual_bound))
        gap = max(0.0, value - bound) / max(abs(value), 1e-12)
        usd = float(self.demand.usd_per_hour @ counts)
        return Fleet(counts, shares, usd, traffic, gap, price)
