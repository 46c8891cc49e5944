"""APEX: simulates every plan of one kind of instance that no bound excludes.

Paper: Yi-Chien Lin, Woosuk Kwon, Ronald Pineda, Fanny Nina Paravecino, "APEX: An Extensible and
    Dynamism-Aware Simulator for Automated Parallel Execution in LLM Serving", 2024,
    arXiv:2411.17651; sections 3 and 4 (enumerate execution plans, simulate, choose by objective).
Symbols: an execution plan -> a `Candidate` (device, tp, dp, data type) and its number of replicas;
    latency -> mean seconds to the last token; energy -> joules per request.
Differs: plans are pruned by lower bounds on all three objectives before they are simulated, which
    the paper does by symmetry of layers only (here the cost model knows layers are alike); devices
    are searched too, and cost is an objective.
Checked: tests/papers/test_apex.py: 70 billion parameters on up to 8 GPUs in less than 5 CPU
    minutes; never slower than two usual heuristics on traffic of another seed, and faster than each
    somewhere; the plan of least energy is not the fastest and uses less energy.
Seed: 37
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.cost.request import decode_steps
from bursar.cost.step import step_arrays
from bursar.errors import Infeasible
from bursar.fleet.candidates import Candidate, loads
from bursar.fleet.capacity import Goal, capacity
from bursar.fleet.kinds import Kinds
from bursar.fleet.planned import FleetPlan
from bursar.fleet.search import MOST_CONFIRMED, Search
from bursar.fleet.stretch import typical

OBJECTIVES = ("cost", "latency", "energy")
LOOKED = 1000
"""Requests in a row on which plans are compared."""
REPLICAS = (0.5, 0.7, 1.0, 1.4, 2.0)
"""How many replicas are tried, as multiples of what predicted capacities ask for; and with a limit
on dollars or devices as many as it allows."""


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A number of replicas of a candidate: the bounds on what it costs, takes and draws."""

    candidate: Candidate
    replicas: int
    bound: NDArray[np.float64]
    """(3,) as `OBJECTIVES`: dollars an hour, mean seconds to the last token, joules a request.
    What meets the goal has no less."""


@dataclass(frozen=True, slots=True, eq=False)
class Explored:
    """What was simulated and met the goal, and how many plans a bound excluded before."""

    plans: tuple[FleetPlan, ...]
    costs: NDArray[np.float64]
    """(plans, 3) as `OBJECTIVES`, as simulated."""
    points: tuple[Point, ...]
    excluded: int

    def front(self) -> list[FleetPlan]:
        """The plans than which no other is as good in all three and better in one."""
        return [p for p, own in zip(self.plans, self.costs, strict=True) if not self._beaten(own)]

    def gap(self, plan: FleetPlan, objective: str) -> float:
        """How far at most, as a share, the plan is from the best of all points' bounds."""
        index = OBJECTIVES.index(objective)
        value = measured(plan)[index]
        return float(max(0.0, 1 - min(p.bound[index] for p in self.points) / value))

    def _beaten(self, own: NDArray[np.float64]) -> bool:
        better = np.all(self.costs <= own, axis=1) & np.any(self.costs < own, axis=1)
        return bool(better.any())


def explore(
    offers: Sequence[Candidate], search: Search, limits: Mapping[str, float] | None = None
) -> Explored:
    """Simulate `REPLICAS` of each offer within `limits` that no bound excludes, cheapest first."""
    if not offers:
        return Explored((), np.empty((0, len(OBJECTIVES))), (), 0)
    rows = typical(search.trace, LOOKED)
    points = sorted(_points(offers, search.found, limits or {}), key=lambda p: p.bound[0])
    plans: list[FleetPlan] = []
    costs = np.empty((0, len(OBJECTIVES)))
    excluded = 0
    for point in points:
        if np.any(np.all(costs <= point.bound, axis=1)):
            excluded += 1
            continue
        plan = search.alone(point.candidate, point.replicas, rows)
        if search.holds(plan):
            plans.append(plan)
            costs = np.vstack([costs, measured(plan)])
    return Explored(tuple(plans), costs, tuple(points), excluded)


def best_for(objective: str, explored: Explored, search: Search) -> FleetPlan:
    """The plan with the least of the objective that also holds on the whole trace.

    Raises `Infeasible` when none does.
    """
    index = OBJECTIVES.index(objective)
    every = np.arange(len(search.trace))
    order = np.lexsort((explored.costs[:, 0], explored.costs[:, index]))
    for one in order:
        plan = explored.plans[int(one)]
        whole = search.simulated(plan.fleet, plan.instances, plan.fill, every, MOST_CONFIRMED)
        if search.holds(whole):
            return whole
    raise Infeasible(
        f"none of {len(explored.points)} plans serves {search.attainment:.1%} of the requests "
        "within the goal and the budget: relax the goal, or offer more or faster devices"
    )


def measured(plan: FleetPlan) -> NDArray[np.float64]:
    """(3,) as `OBJECTIVES`, as simulated; joules are infinite where power is not known."""
    joules = plan.joules_per_request
    return np.array([
        plan.usd_per_hour,
        float(np.nanmean(plan.simulated.e2e_s)),
        np.inf if joules is None else joules,
    ])  # fmt: skip


def _points(
    offers: Sequence[Candidate], found: Kinds, limits: Mapping[str, float]
) -> Iterator[Point]:
    """Each offer that carries everything, in several numbers, within the limits."""
    filled = loads(offers, found.requests_per_second).sum(axis=0)
    for offer, need in zip(offers, filled, strict=True):
        if not np.isfinite(need):
            continue
        seconds, at_rest, joules = _least(offer, found)
        allowed = [int(most / offer.uses[name]) for name, most in limits.items() if name != "watts"]
        tried = {max(1, round(need * times)) for times in REPLICAS}
        tried |= {max(1, min(allowed))} if allowed else set()
        for count in sorted(tried):
            uses = {name: count * use for name, use in offer.uses.items()}
            uses["watts"] = count * at_rest
            if all(uses[name] <= limit for name, limit in limits.items()):
                each = count * at_rest / found.requests_per_second.sum() + joules
                yield Point(offer, count, np.array([count * offer.usd_per_hour, seconds, each]))


def _least(offer: Candidate, found: Kinds) -> tuple[float, float, float]:
    """Mean seconds of a request alone, watts of an idle instance, joules of work, best batched."""
    place = offer.deployment
    prompt, out, rate = found.tokens_in, found.tokens_out, found.requests_per_second
    first = step_arrays(place, prompt[:, None], 0.0).seconds
    later = decode_steps(place, prompt, out, 1.0, prompt + out / 2).seconds * (out - 1)
    seconds = float(np.average(first + later, weights=rate))
    idle = place.devices * (place.device.idle_watts or 0.0)
    free = capacity(place, prompt, out, Goal())
    work = (free.watts - idle) / free.requests_per_second
    return seconds, idle, float(np.average(np.nan_to_num(work), weights=rate))
