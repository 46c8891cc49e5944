"""The planner: the cheapest fleet for a goal, or the most traffic for a budget, then simulated.

What an instance carries is predicted in steady state; arrivals come in bursts, so instances are
planned to be filled to a share of it, their `fill`. A plan is simulated on the trace; types that
miss the goal are then filled less and types that meet it more, by steps that shrink, and the best
plan that met the goal is the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.allocate.fleet import Demand, Fleet, cheapest_fleet, largest_fleet
from bursar.catalog import Device, ModelSpec
from bursar.cost import Deployment
from bursar.errors import Infeasible
from bursar.fleet.candidates import Candidate, candidates, deployments, loads
from bursar.fleet.capacity import Goal, capacity
from bursar.fleet.kinds import Kinds, kinds
from bursar.fleet.mix import MixResult, divided, simulate_mix
from bursar.policies.batching import BatchPolicy
from bursar.workload.traces import Trace

FIRST_FILL, MOST_FILL = 0.7, 2.0
"""How full instances are planned to be, of their predicted capacity: at first, and at most."""
ROUNDS = 12
_STEP = 1.4
"""By this factor, to the power of 1, 1 / 2, 1 / 3, ..., fills move in the rounds."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be planned: `attainment` is the share of requests that must meet the goal."""

    model: ModelSpec
    devices: tuple[Device, ...]
    goal: Goal
    attainment: float = 0.99
    dtypes: tuple[str, ...] = ("bf16", "fp8")


@dataclass(frozen=True, slots=True, eq=False)
class FleetPlan:
    """A fleet, what the allocator promised, and what the simulator found."""

    fleet: Fleet
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

    def again(self, places: Sequence[Deployment], policy: BatchPolicy) -> MixResult:
        """The same requests on the same numbers of other deployments."""
        return simulate_mix(self.trace, self.place, places, self.counts, policy)

    @property
    def requests_per_second_per_usd(self) -> float | None:
        """What one more dollar an hour would buy: requests a second within the goal."""
        price = self.fleet.price
        return None if not price else self.requests_per_second / (price * self.fleet.traffic)


def plan_fleet(
    request: Request, trace: Trace, policy: BatchPolicy, *, usd_per_hour: float | None = None
) -> FleetPlan:
    """The cheapest fleet that carries the trace within the goal.

    With `usd_per_hour`, the fleet within this budget that carries the most of it: the trace is then
    sped up, or slowed down, to what it carries. Raises `Infeasible` when no instance meets the
    goal for some kind of request, or no fleet does in the simulator.
    """
    found = kinds(trace)
    # within a node: the simulator runs one batch at a time, no pipelines
    places = deployments(request.model, request.devices, dtypes=request.dtypes, most_devices=8)
    offers = candidates(places, found.tokens_in, found.tokens_out, request.goal)
    _require_served(request, found, offers)
    search = _Search(request, trace, policy, found, offers, usd_per_hour)
    fill = np.full(len(offers), FIRST_FILL)
    best, nearest = None, 0.0
    for number in range(1, ROUNDS + 1):
        tried = search.at(fill)
        nearest = max(nearest, tried.attainment)
        if tried.attainment >= request.attainment and (best is None or _better(tried, best)):
            best = tried
        search.adjust(fill, tried, _STEP ** (1 / number))
    if best is None:
        raise Infeasible(
            f"in {ROUNDS} plans at most {nearest:.1%} of the requests met the goal and "
            f"{request.attainment:.1%} are asked: relax the goal, or ask for less"
        )
    return best


def _better(one: FleetPlan, other: FleetPlan) -> bool:
    """Whether a plan is cheaper for the traffic that it carries."""
    mine, its = (p.usd_per_hour / p.requests_per_second for p in (one, other))
    return mine < its


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    request: Request
    trace: Trace
    policy: BatchPolicy
    found: Kinds
    offers: Sequence[Candidate]
    usd_per_hour: float | None

    def at(self, fill: NDArray[np.float64]) -> FleetPlan:
        """The fleet whose instances are planned to be `fill` (offers,) full, simulated."""
        rate = self.found.requests_per_second
        demand = Demand(loads(self.offers, rate) / fill, [c.usd_per_hour for c in self.offers])
        if self.usd_per_hour is None:
            fleet = cheapest_fleet(demand, target_gap=1e-3, time_limit_s=10)
        else:
            fleet = largest_fleet(demand, self.usd_per_hour, target_gap=1e-3, time_limit_s=10)
        rented = [int(i) for i in np.flatnonzero(fleet.instances)]
        chosen = [self.offers[i] for i in rented]
        counts = [int(fleet.instances[i]) for i in rented]
        shares = fleet.shares[:, rented]
        place = divided(self.found.of, shares / shares.sum(axis=1, keepdims=True))
        trace = self.trace.sped_up(fleet.traffic) if fleet.traffic != 1 else self.trace
        result = simulate_mix(trace, place, [c.deployment for c in chosen], counts, self.policy)
        return FleetPlan(
            fleet,
            tuple(chosen),
            tuple(counts),
            tuple(float(fill[i]) for i in rented),
            trace,
            place,
            result,
            result.attainment(self.request.goal),
            float(rate.sum()) * fleet.traffic,
        )

    def adjust(self, fill: NDArray[np.float64], tried: FleetPlan, step: float) -> None:
        """Fill the types of a plan that missed the goal less, and the others more, in place."""
        for offer, part in zip(tried.instances, tried.simulated.parts, strict=True):
            if part is not None:
                goal = self.request.goal
                met = part.attainment(ttft_s=goal.ttft_s, tpot_s=goal.tpot_s)
                index = self.offers.index(offer)
                fill[index] *= step if met >= self.request.attainment else 1 / step
                fill[index] = min(fill[index], MOST_FILL)


def _require_served(request: Request, found: Kinds, offers: Sequence[Candidate]) -> None:
    """Raises `Infeasible` for a kind that nothing carries, saying what binds and by how much."""
    served = np.zeros(len(found.tokens_in), dtype=bool)
    for offer in offers:
        served |= offer.capacity.requests_per_second > 0
    if served.all():
        return
    kind = int(np.argmin(served))
    sizes = found.tokens_in[kind : kind + 1], found.tokens_out[kind : kind + 1]
    places = deployments(request.model, request.devices, dtypes=request.dtypes, most_devices=8)
    alone = [capacity(place, *sizes, Goal(), max_batch=1) for place in places]
    fits = [one for one in alone if one.requests_per_second[0] > 0]
    what = f"requests of {sizes[0][0]:.0f} + {sizes[1][0]:.0f} tokens"
    if not fits:
        raise Infeasible(
            f"{request.model.name} with {what} fits none of "
            f"{', '.join(d.name for d in request.devices)} with up to 8 devices: offer larger ones"
        )
    first = min(float(one.ttft_s[0]) for one in fits)
    between = min(float(one.tpot_s[0]) for one in fits)
    raise Infeasible(
        f"{what} can't meet the goal on any device offered: alone on the fastest they take "
        f"{first:.3g} s to the first token and {between:.3g} s between tokens; relax the goal or "
        "offer faster devices"
    )
