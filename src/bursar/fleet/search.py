"""The search for how full instances may be: plan, simulate, fill more or less, plan again.

What an instance carries is predicted in steady state; arrivals come in bursts, so instances are
planned to be filled to a share of it, their `fill`. A plan is simulated; types that miss the goal
are then filled less and types that meet it more, by steps that shrink, and the best plan that met
the goal is the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bursar.allocate.demand import DOLLARS, Demand
from bursar.allocate.fleet import Fleet, cheapest_fleet, largest_fleet
from bursar.errors import Infeasible
from bursar.fleet.candidates import Candidate, loads
from bursar.fleet.capacity import Goal
from bursar.fleet.kinds import Kinds
from bursar.fleet.market import Hosted, Spot
from bursar.fleet.mix import divided, simulate_mix
from bursar.fleet.planned import MOST_SEARCHED, FleetPlan
from bursar.fleet.stretch import Rows, lasting
from bursar.policies.batching import BatchPolicy
from bursar.workload.traces import Trace

Fills = Mapping[str, float]
"""By the name of a candidate."""
FIRST_FILL, MOST_FILL = 0.7, 4.0
"""How full instances are planned to be, of their predicted capacity: at first, and at most."""
ROUNDS = 10
LONG = 10.0
"""Traffic is simulated for at least so many times what a request takes."""
MOST_CONFIRMED = 20_000
"""Requests; of a fleet that serves more meanwhile, a part is simulated with its part of them."""
_STEP = 1.4
"""By this factor fills move, and once a plan has missed the goal by its roots: 1 / 2, 1 / 3, ..."""


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What does not change while fills are searched; `limits` None: the cheapest fleet."""

    trace: Trace
    found: Kinds
    goal: Goal
    attainment: float
    policy: BatchPolicy
    limits: Mapping[str, float] | None
    spot: Spot = field(default_factory=Spot)
    hosted: Hosted | None = None
    seed: int = 0

    def best(self, offers: Sequence[Candidate], start: Fills, rows: Rows) -> FleetPlan:
        """The best plan in `ROUNDS`, simulated on `rows` of the trace.

        `start`: fills known of earlier searches. Raises `Infeasible` when none met the goal.
        """
        fill = np.array([start.get(c.name, FIRST_FILL) for c in offers])
        best, nearest, missed = None, 0.0, 0
        for _ in range(ROUNDS):
            tried = self._at(offers, fill, rows, MOST_SEARCHED)
            nearest = max(nearest, tried.attainment)
            if self.holds(tried) and (best is None or self.cost(tried) < self.cost(best)):
                best = tried
            missed += missed > 0 or not self.holds(tried)
            self._adjust(offers, fill, tried, _STEP ** (1 / max(missed, 1)))
        if best is None:
            raise Infeasible(
                f"in {ROUNDS} plans at most {nearest:.1%} of the requests met the goal and "
                f"{self.attainment:.1%} are asked: relax the goal, or ask for less"
            )
        return best

    def cost(self, plan: FleetPlan) -> float:
        """What is to be small: the rent, or, for a budget, minus the traffic."""
        return plan.usd_per_hour if self.limits is None else -plan.requests_per_second

    def confirmed(self, offers: Sequence[Candidate], plan: FleetPlan) -> FleetPlan:
        """The plan on the whole trace; with instances filled less where it missed the goal there.

        Raises `Infeasible` when that does not help.
        """
        every = np.arange(len(self.trace))
        fills = plan.fills
        whole = self.simulated(plan.fleet, plan.instances, plan.fill, every, MOST_CONFIRMED)
        for _ in range(ROUNDS):
            if self.holds(whole):
                return whole
            fills = {name: x / _STEP**0.25 for name, x in fills.items()}
            fill = np.array([fills.get(c.name, FIRST_FILL) for c in offers])
            whole = self._at(offers, fill, every, MOST_CONFIRMED)
        raise Infeasible(
            f"{whole.attainment:.1%} of the requests meet the goal and {self.attainment:.1%} are "
            "asked: relax the goal, or ask for less"
        )

    def all_hosted(self) -> FleetPlan:
        """Everything at the hosted API. Raises `Infeasible` where it takes no prompts so long."""
        return self._at([], np.empty(0), np.arange(1), MOST_SEARCHED)

    def alone(self, offer: Candidate, replicas: int, rows: Rows) -> FleetPlan:
        """So many replicas of one candidate that carry everything, simulated."""
        rent = replicas * offer.usd_per_hour
        kinds = len(self.found.tokens_in)
        fill = float(loads([offer], self.found.requests_per_second).sum()) / replicas
        fleet = Fleet(np.array([replicas]), np.ones((kinds, 1)), rent, 1.0, 0.0, None, {})
        return self.simulated(fleet, [offer], [fill], rows, MOST_SEARCHED)

    def holds(self, plan: FleetPlan) -> bool:
        """Whether the goal was met, and without more power than is allowed."""
        power = (self.limits or {}).get("watts", np.inf)
        return plan.attainment >= self.attainment and (plan.watts or 0.0) <= power

    def _at(
        self, offers: Sequence[Candidate], fill: NDArray[np.float64], rows: Rows, most: int
    ) -> FleetPlan:
        """The fleet whose instances are planned to be `fill` (offers,) full, simulated."""
        rate = self.found.requests_per_second
        limited = [name for name in self.limits or {} if name != DOLLARS]
        uses = {name: [c.uses[name] for c in offers] for name in limited}
        rents = [c.usd_per_hour for c in offers]
        load = loads(offers, rate) / fill if offers else np.empty((len(rate), 0))
        carried = {}
        if self.hosted is not None:  # a last type: no instances, paid by what it carries
            by_use = self.hosted.usd_per_hour(self.found)
            taken = np.isfinite(by_use)
            paid = np.column_stack([np.zeros_like(load), np.where(taken, by_use, 1.0)])
            load = np.column_stack([load, np.where(taken, 0.0, np.inf)])
            rents, uses = [*rents, 0.0], {name: [*use, 0.0] for name, use in uses.items()}
            carried = {DOLLARS: paid}
        demand = Demand(load, rents, uses=uses, carried=carried)
        if self.limits is None:
            fleet = cheapest_fleet(demand, target_gap=1e-3, time_limit_s=10)
        else:
            fleet = largest_fleet(demand, self.limits, target_gap=1e-3, time_limit_s=10)
        rented = np.flatnonzero(fleet.instances)
        chosen = [offers[int(i)] for i in rented]
        return self.simulated(fleet, chosen, fill[rented].tolist(), rows, most)

    def simulated(
        self,
        fleet: Fleet,
        chosen: Sequence[Candidate],
        fill: Sequence[float],
        rows: Rows,
        most: int,
    ) -> FleetPlan:
        """What a fleet of the `chosen` does with `rows` of the trace, at most `most`."""
        rented, rate = np.flatnonzero(fleet.instances), float(self.found.requests_per_second.sum())
        shares = fleet.shares[:, rented]
        away = np.zeros(len(shares)) if self.hosted is None else 1 - shares.sum(axis=1)
        counts = tuple(int(n) for n in fleet.instances[rented])
        rng = np.random.default_rng(self.seed)
        trace, rows = lasting(
            self.trace,
            rows,
            fleet.traffic,
            LONG * _mean_seconds(chosen, shares, self.found),
            rng,
        )
        parts = np.column_stack([shares, np.where(away > 1e-6, away, 0.0)])
        place = divided(self.found.of[rows], parts / parts.sum(axis=1, keepdims=True))
        there = np.array([self._working(c, n) for c, n in zip(chosen, counts, strict=True)], int)
        looked = np.ceil(np.maximum(there, 1) * min(1.0, most / len(trace))).astype(int)
        seen = np.append(looked / np.maximum(there, 1), 0.0)[place]
        if (seen < 1).any():
            kept = rng.random(len(trace)) < seen
            trace, place = trace.take(kept), place[kept]
        places = [c.deployment for c in chosen]
        result = simulate_mix(trace, place, places, looked.tolist(), self.policy)
        return FleetPlan(
            fleet,
            tuple(chosen),
            counts,
            tuple(looked.tolist()),
            tuple(fill),
            trace,
            place,
            result,
            result.attainment(self.goal) if len(trace) and there.all() else float(not chosen),
            rate * fleet.traffic,
            fleet.usd_per_hour - float(np.dot([c.usd_per_hour for c in chosen], counts)),
            min(1.0, float(away.clip(0) @ self.found.requests_per_second) / rate),
            "" if self.hosted is None else self.hosted.price.name,
        )

    def _working(self, one: Candidate, count: int) -> int:
        """How many of so many are there for the share of requests that is to meet the goal."""
        return self.spot.working(count, self.attainment) if one.market == "spot" else count

    def _adjust(
        self, offers: Sequence[Candidate], fill: NDArray[np.float64], tried: FleetPlan, step: float
    ) -> None:
        """Fill the types of a plan that missed the goal less, and the others more, in place."""
        for offer, part in zip(tried.instances, tried.simulated.parts, strict=True):
            if part is not None:
                met = part.attainment(ttft_s=self.goal.ttft_s, tpot_s=self.goal.tpot_s)
                index = offers.index(offer)
                if not self._working(offer, int(tried.counts[tried.instances.index(offer)])):
                    met = 0.0
                fill[index] *= step if met >= self.attainment else 1 / step
                fill[index] = min(fill[index], MOST_FILL)


def _mean_seconds(chosen: Sequence[Candidate], shares: NDArray[np.float64], found: Kinds) -> float:
    """What a request takes on average on full instances, by Little's law; `shares` of kinds."""
    if not chosen:
        return 0.0
    batch, rate = (
        np.stack([getattr(c.capacity, name) for c in chosen], axis=1)
        for name in ("batch", "requests_per_second")
    )
    seconds = np.divide(batch, rate, out=np.zeros_like(rate), where=rate > 0)
    weight = shares * found.requests_per_second[:, None]
    return float(np.sum(seconds * weight) / np.sum(weight))
