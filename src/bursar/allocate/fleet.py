"""Mélange: how many accelerators of which type to rent for a mix of request sizes.

Paper: Griggs et al., "Mélange: Cost Efficient Large Language Model Serving by Exploiting GPU
    Heterogeneity", 2024, arXiv:2404.14527; section 5, the cost-aware bin packing.
Symbols: A_ij -> shares; B_j -> instances; L_ij -> load / slices; c_j -> usd_per_hour.
Differs: equal slices of one kind are counted by one integer instead of told apart, which takes the
    symmetry out of the programme; without `slices` a kind is divided in any proportion; scarce
    types; costs that go with what is carried (a hosted API has no instances); any resource may be
    the cost; the reverse question (the most traffic for limits); prices and bound are returned.
Checked: tests/papers/test_melange.py: over 50 random mixes never dearer than the best single type,
    strictly cheaper where sizes are mixed and types differ in what they are good at.
Seed: 19
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse

from bursar.allocate.base import Floats
from bursar.allocate.demand import DOLLARS, UNITS, Demand
from bursar.errors import BadInput, Infeasible


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
    """Proven relative distance to the optimum, of the cost or of traffic."""
    price: float | None
    """Cost (dollars an hour) of one more unit of traffic (the whole demand once more), if instances
    could be rented in parts: the dual of the relaxation. None when no more can be carried, or when
    dollars are not what binds."""
    traffic_per: dict[str, float]
    """Resource -> traffic that one more unit of it would carry: the cost's, or each limit's; 0
    where another limit binds."""


def cheapest_fleet(
    demand: Demand,
    *,
    cost: str = DOLLARS,
    slices: int | None = None,
    target_gap: float = 1e-4,
    time_limit_s: float = 60,
) -> Fleet:
    """The least of the resource `cost` that carries all of the demand.

    With `slices`, each kind is split into so many equal parts, each of which goes to one type.
    Past `time_limit_s` the best fleet so far is returned with its proven gap. Raises `Infeasible`
    when the available instances can't carry the demand, saying how much of it they can.
    """
    programme = _Programme.of(demand, slices, cost=cost)
    relaxed = programme.relaxed()
    if relaxed.x is None:
        most = _Programme.of(demand, None, limits={}).relaxed()
        raise Infeasible(
            f"all instances to be had carry {-most.fun:.3g} of the demand: offer more of them, or "
            "ask for less"
        )
    price = float(relaxed.lower.marginals[-1] + relaxed.upper.marginals[-1])
    per = {cost: 1 / price} if price > 0 else {}
    return programme.solve(float(relaxed.fun), price, per, target_gap, time_limit_s)


def largest_fleet(
    demand: Demand,
    limits: float | Mapping[str, float],
    *,
    target_gap: float = 1e-4,
    time_limit_s: float = 60,
) -> Fleet:
    """The most traffic, as a multiple of the demand in its own mix, within `limits`.

    A number is dollars an hour; a mapping names resources of the demand. Raises `BadInput` unless
    each limit is above zero and finite, and `Infeasible` when they allow no fleet that carries
    every kind, saying what the smallest one needs.
    """
    most = limits if isinstance(limits, Mapping) else {DOLLARS: limits}
    for name, limit in most.items():
        if not 0 < limit < np.inf:
            raise BadInput(f"a budget of {limit} {UNITS.get(name, name)}: give one above zero")
    programme = _Programme.of(demand, None, limits=most)
    relaxed = programme.relaxed()
    duals = -np.asarray(relaxed.ineqlin.marginals)[-len(most) :]
    per = {name: max(0.0, float(dual)) for name, dual in zip(most, duals, strict=True)}
    gained = per.get(DOLLARS, 0.0)
    price = 1.0 / gained if gained > 0 else None
    fleet = programme.solve(float(relaxed.fun), price, per, target_gap, time_limit_s)
    if fleet.traffic <= 1e-9:
        raise Infeasible(" and ".join(_too_little(demand, most)))
    return fleet


def _too_little(demand: Demand, limits: Mapping[str, float]) -> Iterator[str]:
    """For each limit that the smallest fleet is over, both amounts."""
    scarce = Demand(
        demand.load * 1e-3,
        demand.uses[DOLLARS],
        demand.available,
        uses={name: use for name, use in demand.uses.items() if name != DOLLARS},
        carried={name: 1e-3 * part for name, part in demand.carried.items()},
    )
    for name, limit in limits.items():
        fleet, unit = cheapest_fleet(scarce, cost=name), UNITS.get(name, name)
        least = scarce.used(name, fleet.instances, fleet.shares)
        if least > limit or len(limits) == 1:
            yield (
                f"{limit:g} {unit} rents no fleet that carries every kind of request: the "
                f"smallest costs {least:g} {unit}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Programme:
    """Minimise over parts (kinds x types), instances (types) and the traffic carried.

    A kind's parts add up to `slices` times the traffic; what goes to a type fits its instances;
    with limits the traffic is to be large within them, else the cost is to be small and the
    traffic is 1.
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
    def of(
        cls,
        demand: Demand,
        slices: int | None,
        *,
        cost: str = DOLLARS,
        limits: Mapping[str, float] | None = None,
    ) -> _Programme:
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

        def use(name: str) -> Floats:
            moved = demand.carried.get(name, np.zeros((kinds, types))) / (slices or 1)
            return np.concatenate([np.where(real, moved, 0.0).ravel(), demand.uses[name], [0.0]])

        most = np.where(real, float(slices) if slices else np.inf, 0.0).ravel()
        upper = np.concatenate([most, demand.available])
        if limits is None:
            return cls(demand, slices, use(cost), adds_up, fits, at_most, upper, (1, 1))
        more = np.append(np.zeros(len(upper)), -1.0)
        if limits:
            rows = sparse.csr_array(np.stack([use(name) for name in limits]))
            fits = sparse.vstack([fits, rows], format="csr")
            at_most = np.append(at_most, [*limits.values()])
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
        self,
        bound: float,
        price: float | None,
        traffic_per: dict[str, float],
        target_gap: float,
        time_limit_s: float,
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
        usd = self.demand.used(DOLLARS, counts, shares * traffic)
        return Fleet(counts, shares, usd, traffic, gap, price, traffic_per)
