"""The search for how full instances may be: plan, simulate, fill more or less, plan again.

What an instance carries is predicted in steady state; arrivals come in bursts, so instances are
planned to be filled to a share of it, their `fill`. A plan is simulated; types that miss the goal
are then filled less and types that meet it more, by steps that shrink, and the best plan that met
the goal is the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.allocate.fleet import Demand, Fleet, cheapest_fleet, largest_fleet
from bursar.cost import Deployment
from bursar.errors import Infeasible
from bursar.fleet.candidates import Candidate, loads
from bursar.fleet.capacity import Goal
from bursar.fleet.kinds import Kinds
from bursar.fleet.mix import MixResult, divided, simulate_mix
from bursar.policies.batching import BatchPolicy
from bursar.workload.traces import Trace

Fills = Mapping[str, float]
"""By the name of a candidate."""
Rows = NDArray[np.int64]
FIRST_FILL, MOST_FILL = 0.7, 2.0
"""How full instances are planned to be, of their predicted capacity: at first, and at most."""
ROUNDS = 10
_STEP = 1.4
"""By this factor, to the power of 1, 1 / 2, 1 / 3, ..., fills move in the rounds."""


@dataclass(frozen=True, slots=True, eq=False)
class FleetPlan:
    """A fleet, what the allocator promised, and what the simulator found."""

    fleet: Fleet
    """Its gap and price hold among the candidates of the search, filled as in `fill`."""
    instances: tuple[Candidate, ...]
    """Those rented, in the order of `counts`."""
    counts: tuple[int, ...]
    fill: tuple[float, ...]
    """Per instance, the share of its predicted capacity that is used."""
    trace: Trace
    """What was simulated: for a budget, the trace at the speed that the fleet carries."""
    place: NDArray[np.int64]
    """(requests,) which of `instances` serves each."""
    simulated: MixResult
    attainment: float
    requests_per_second: float

    @property
    def usd_per_hour(self) -> float:
        """Rent of all of it."""
        return self.fleet.usd_per_hour

    @property
    def fills(self) -> dict[str, float]:
        """`fill` by the names of the candidates."""
        return {c.name: x for c, x in zip(self.instances, self.fill, strict=True)}

    @property
    def requests_per_second_per_usd(self) -> float | None:
        """What one more dollar an hour would buy: requests a second within the goal."""
        price = self.fleet.price
        return None if not price else self.requests_per_second / (price * self.fleet.traffic)

    def again(self, places: Sequence[Deployment], policy: BatchPolicy) -> MixResult:
        """The same requests on the same numbers of other deployments."""
        return simulate_mix(self.trace, self.place, places, self.counts, policy)


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What does not change while fills are searched; `usd_per_hour` None: the cheapest fleet."""

    trace: Trace
    found: Kinds
    goal: Goal
    attainment: float
    policy: BatchPolicy
    usd_per_hour: float | None

    def best(self, offers: Sequence[Candidate], start: Fills, rows: Rows) -> FleetPlan:
        """The best plan in `ROUNDS`, simulated on `rows` of the trace.

        `start`: fills known of earlier searches. Raises `Infeasible` when none met the goal.
        """
        fill = np.array([start.get(c.name, FIRST_FILL) for c in offers])
        best, nearest = None, 0.0
        for number in range(1, ROUNDS + 1):
            tried = self._at(offers, fill, rows)
            nearest = max(nearest, tried.attainment)
            if tried.attainment >= self.attainment and (
                best is None or self.cost(tried) < self.cost(best)
            ):
                best = tried
            self._adjust(offers, fill, tried, _STEP ** (1 / number))
        if best is None:
            raise Infeasible(
                f"in {ROUNDS} plans at most {nearest:.1%} of the requests met the goal and "
                f"{self.attainment:.1%} are asked: relax the goal, or ask for less"
            )
        return best

    def cost(self, plan: FleetPlan) -> float:
        """What is to be small: the rent, or, for a budget, minus the traffic."""
        return plan.usd_per_hour if self.usd_per_hour is None else -plan.requests_per_second

    def confirmed(self, offers: Sequence[Candidate], plan: FleetPlan) -> FleetPlan:
        """The plan on the whole trace; with instances filled less where it missed the goal there.

        Raises `Infeasible` when that does not help.
        """
        every = np.arange(len(self.trace))
        fills = plan.fills
        whole = self._simulated(plan.fleet, plan.instances, plan.fill, every)
        for _ in range(ROUNDS):
            if whole.attainment >= self.attainment:
                return whole
            fills = {name: x / _STEP**0.25 for name, x in fills.items()}
            fill = np.array([fills.get(c.name, FIRST_FILL) for c in offers])
            whole = self._at(offers, fill, every)
        raise Infeasible(
            f"{whole.attainment:.1%} of the requests meet the goal and {self.attainment:.1%} are "
            "asked: relax the goal, or ask for less"
        )

    def _at(self, offers: Sequence[Candidate], fill: NDArray[np.float64], rows: Rows) -> FleetPlan:
        """The fleet whose instances are planned to be `fill` (offers,) full, simulated."""
        rate = self.found.requests_per_second
        demand = Demand(loads(offers, rate) / fill, [c.usd_per_hour for c in offers])
        if self.usd_per_hour is None:
            fleet = cheapest_fleet(demand, target_gap=1e-3, time_limit_s=10)
        else:
            fleet = largest_fleet(demand, self.usd_per_hour, target_gap=1e-3, time_limit_s=10)
        rented = np.flatnonzero(fleet.instances)
        chosen = [offers[int(i)] for i in rented]
        return self._simulated(fleet, chosen, fill[rented].tolist(), rows)

    def _simulated(
        self, fleet: Fleet, chosen: Sequence[Candidate], fill: Sequence[float], rows: Rows
    ) -> FleetPlan:
        rented = np.flatnonzero(fleet.instances)
        shares = fleet.shares[:, rented]
        counts = tuple(int(n) for n in fleet.instances[rented])
        place = divided(self.found.of[rows], shares / shares.sum(axis=1, keepdims=True))
        trace = self.trace.take(rows)
        if fleet.traffic != 1:
            trace = trace.sped_up(fleet.traffic)
        places = [c.deployment for c in chosen]
        result = simulate_mix(trace, place, places, counts, self.policy)
        return FleetPlan(
            fleet,
            tuple(chosen),
            counts,
            tuple(fill),
            trace,
            place,
            result,
            result.attainment(self.goal),
            float(self.found.requests_per_second.sum()) * fleet.traffic,
        )

    def _adjust(
        self, offers: Sequence[Candidate], fill: NDArray[np.float64], tried: FleetPlan, step: float
    ) -> None:
        """Fill the types of a plan that missed the goal less, and the others more, in place."""
        for offer, part in zip(tried.instances, tried.simulated.parts, strict=True):
            if part is not None:
                met = part.attainment(ttft_s=self.goal.ttft_s, tpot_s=self.goal.tpot_s)
                index = offers.index(offer)
                fill[index] *= step if met >= self.attainment else 1 / step
                fill[index] = min(fill[index], MOST_FILL)
