"""The planner: the cheapest fleet for a goal, or the most traffic for a budget, confirmed.

First each device alone, then all together, starting from what was learned of how full each may be:
so the mix is never dearer than the best single device. Searches look at a stretch of the trace;
what they find is confirmed on all of it. A goal is planned for as it is and, since queues add to
what a request takes alone, with a margin; the better of both counts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bursar.allocate.demand import DOLLARS
from bursar.catalog import Device, ModelSpec
from bursar.cost import Deployment
from bursar.cost.calibration import Calibration, shipped
from bursar.cost.tables import Engine
from bursar.errors import BadInput, Infeasible
from bursar.fleet.apex import OBJECTIVES, best_for, explore
from bursar.fleet.candidates import NODE, Candidate, candidates, fitting, undominated
from bursar.fleet.capacity import Goal, capacity
from bursar.fleet.kinds import Kinds, kinds
from bursar.fleet.market import Spot, hosted_for
from bursar.fleet.planned import FleetPlan
from bursar.fleet.search import MOST_CONFIRMED, Search
from bursar.fleet.settings import BETTER, Setting, Tried, tried_settings
from bursar.fleet.stretch import typical
from bursar.policies.batching import BatchPolicy
from bursar.workload.traces import Trace

HOSTED = "hosted"
"""The name of a hosted API among the devices."""
SEARCHED = 4000
"""Requests that searches look at, in a row, at a typical rate."""
RUNNERS = 3
"""Of the settings that were best on a stretch, how many are looked at on the whole trace."""
MARGINS = (1.0, 0.5)
"""Parts of the goal that instances are planned to keep to."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be planned: `attainment` is the share of requests that must meet the goal."""

    model: ModelSpec
    devices: tuple[Device, ...]
    goal: Goal
    attainment: float = 0.99
    dtypes: tuple[str, ...] = ("bf16", "fp8")
    markets: tuple[str, ...] = ("on-demand",)
    spot: Spot = field(default_factory=Spot)
    engine: Engine = field(default_factory=Engine)
    calibration: Calibration = field(default_factory=shipped, repr=False)

    def places(self, device: Device) -> list[Deployment]:
        """The deployments on a device that are worth considering."""
        return fitting(
            self.model,
            device,
            dtypes=self.dtypes,
            engine=self.engine,
            calibration=self.calibration,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FleetPlans:
    """The plan, and what it was preferred to."""

    best: FleetPlan
    alone: dict[str, FleetPlan]
    """The best of each device alone, by name."""
    binding: dict[str, str]
    """Why there is none, for the other devices."""
    front: tuple[FleetPlan, ...] = ()
    """The fleets of one kind of instance that are best in cost, latency and energy together, each
    on a stretch of the trace; none unless asked for, nor for a budget without objective."""
    policy: BatchPolicy | None = None
    """What the best runs; the others run what was given."""
    tried: tuple[Tried, ...] = ()
    """Settings on the fleet as it was chosen, the best first."""
    excluded: int = 0
    """How many more settings a bound excluded, or another showed to be no different."""


def plan_fleet(
    request: Request,
    trace: Trace,
    policy: BatchPolicy,
    *,
    limits: Mapping[str, float] | None = None,
    objective: str = "cost",
    with_front: bool = False,
    offered: Sequence[Setting] = (),
    on_progress: Callable[[float, str], None] = lambda share, says: None,
) -> FleetPlans:
    """The cheapest fleet that carries the trace within the goal.

    With another `objective`, of "latency" and "energy", the best in that of all fleets of one kind
    of instance (`apex`) that carry the trace within the goal, and within `limits`.
    Else with `limits` (of "usd_per_hour", "watts" and "gpus"), the fleet within them that carries
    the most of it: the trace is then sped up, or slowed down, to what it carries. Raises
    `Infeasible` when no device can.

    Fleets are searched with the `policy`; the best one's is then the best of it and of `offered`.
    """
    if objective != "cost":
        return _one_kind(request, trace, policy, limits, objective, offered, on_progress)
    found = kinds(trace)
    hosted = hosted_for(request.model, found) if "hosted" in request.markets else None
    if hosted is not None and limits and DOLLARS not in limits:
        raise BadInput("a hosted API takes no power and no GPUs: give a budget in dollars too")
    search = Search(trace, found, request.goal, request.attainment, policy, limits, request.spot)
    resources = tuple(limits or (DOLLARS,))
    rows = typical(trace, SEARCHED)
    alone: dict[str, FleetPlan] = {}
    binding: dict[str, str] = {}
    offers: list[Candidate] = []
    fills: dict[str, float] = {}
    own = [(one, m) for one in request.devices for m in request.markets if m != "hosted"]
    for i, (one, market) in enumerate(own):
        name = one.name if market == "on-demand" else f"{market} {one.name}"
        on_progress(i / (len(own) + 1), name)
        for margin in MARGINS:
            try:
                mine = _offers(request, one, market, found, margin, resources)
                tried = search.confirmed(mine, search.best(mine, {}, rows))
            except Infeasible as error:
                binding.setdefault(name, str(error))
                continue
            if name not in alone or search.cost(tried) < search.cost(alone[name]):
                alone[name] = tried
                fills |= tried.fills
                offers = [c for c in offers if c.kind != mine[0].kind] + mine
    binding = {name: why for name, why in binding.items() if name not in alone}
    together = replace(search, hosted=hosted)
    if hosted is not None:
        try:
            alone[HOSTED] = together.all_hosted()
        except Infeasible as error:
            binding[HOSTED] = str(error)
    if not alone:
        raise Infeasible(" ".join(f"{name}: {why}." for name, why in binding.items()))
    best = min(alone.values(), key=search.cost)
    on_progress(len(own) / (len(own) + 1), "all together")
    if offers and len(alone) > 1:
        front = [c for m in request.markets for c in undominated(_of(m, offers), resources)]
        try:
            mixed = together.confirmed(front, together.best(front, fills, rows))
            best = min(best, mixed, key=search.cost)
        except Infeasible:  # then the best single device stands
            pass
    seen = [] if limits or not with_front else explore(_every(request, found, {}), search).front()
    on_progress(len(own) / (len(own) + 1), "its settings")
    better = _with_settings(best, together, objective, offered)
    return FleetPlans(better[0], alone, binding, tuple(seen), *better[1:])


def _one_kind(
    request: Request,
    trace: Trace,
    policy: BatchPolicy,
    limits: Mapping[str, float] | None,
    objective: str,
    offered: Sequence[Setting],
    on_progress: Callable[[float, str], None],
) -> FleetPlans:
    found = kinds(trace)
    search = Search(trace, found, request.goal, request.attainment, policy, limits, request.spot)
    on_progress(0.1, "every plan")
    binding: dict[str, str] = {}
    offers = _every(request, found, binding)
    if not offers:
        why = " ".join(f"{name}: {why}." for name, why in binding.items())
        raise Infeasible(why or "a hosted API has no known latency and energy: offer instances")
    explored = explore(offers, search, limits)
    on_progress(0.8, "the whole trace")
    best = best_for(objective, explored, search)
    better = _with_settings(best, search, objective, offered)
    best = better[0]
    best = replace(best, fleet=replace(best.fleet, gap=explored.gap(best, objective)))
    index = OBJECTIVES.index(objective)
    alone: dict[str, FleetPlan] = {}
    for one in np.argsort(explored.costs[:, index], kind="stable"):
        plan = explored.plans[int(one)]
        alone.setdefault(plan.instances[0].deployment.device.name, plan)
    return FleetPlans(best, alone, binding, tuple(explored.front()), *better[1:])


def _with_settings(
    best: FleetPlan, search: Search, objective: str, offered: Sequence[Setting]
) -> tuple[FleetPlan, BatchPolicy, tuple[Tried, ...], int]:
    """The fleet with the best setting that also holds on the whole trace; smaller, or for more.

    Only of the kinds of instance that it has. Also returns what it then runs, and what was tried.
    """
    if not best.instances or not offered:
        return best, search.policy, (), 0
    tried, excluded = tried_settings(best, offered, search.goal, search.attainment, objective)
    usual = [one.cost for one in tried if one.setting.policy == search.policy]
    enough = BETTER * min(usual, default=np.inf)
    every = np.arange(len(search.trace))
    for one in tried[:RUNNERS]:
        if not one.cost < enough:
            break
        other = replace(search, policy=one.setting.policy)
        plan = other.simulated(best.fleet, best.instances, best.fill, every, MOST_CONFIRMED)
        if other.holds(plan):
            if objective == "cost":
                plan = _refilled(plan, other)
            return plan, other.policy, tuple(tried), excluded
    return best, search.policy, tuple(tried), excluded


def _refilled(plan: FleetPlan, search: Search) -> FleetPlan:
    """As good a plan of the same kinds of instance, or a better one that fills them more."""
    offers = plan.instances
    try:
        found = search.best(offers, plan.fills, typical(search.trace, SEARCHED))
        return min(plan, search.confirmed(offers, found), key=search.cost)
    except Infeasible:
        return plan


def _every(request: Request, found: Kinds, binding: dict[str, str]) -> list[Candidate]:
    """All instances of all devices, dominated or not, that carry everything within the goal."""
    offers: list[Candidate] = []
    for one in request.devices:
        try:
            for market in request.markets:
                if market != "hosted":
                    offers += _offers(request, one, market, found, 1.0, ())
        except Infeasible as error:
            binding.setdefault(one.name, str(error))
    return offers


def _of(market: str, offers: Sequence[Candidate]) -> list[Candidate]:
    return [c for c in offers if c.market == market]


def _offers(
    request: Request,
    device: Device,
    market: str,
    found: Kinds,
    margin: float,
    resources: Sequence[str],
) -> list[Candidate]:
    """Instances of a device for all kinds. Raises `Infeasible` when one kind is carried by none."""
    offers = candidates(
        request.places(device),
        found.tokens_in,
        found.tokens_out,
        request.goal.part(margin),
        requests_per_second=found.requests_per_second,
        may_miss=(1 - request.attainment) / 2,
        resources=resources,
    )
    if market == "spot":
        offers = [request.spot.offer(c) for c in offers]
    if not offers and "watts" in resources and device.idle_watts is None:
        raise Infeasible("its power is not in the catalogue: leave out the limit on it")
    _require_served(request, device, found, offers)
    return offers


def _require_served(
    request: Request, device: Device, found: Kinds, offers: list[Candidate]
) -> None:
    """Raises `Infeasible` for a kind that nothing carries, saying what binds and by how much."""
    served = np.zeros(len(found.tokens_in), dtype=bool)
    for offer in offers:
        served |= offer.capacity.requests_per_second > 0
    if served.all():
        return
    kind = int(np.argmin(served))
    sizes = found.tokens_in[kind : kind + 1], found.tokens_out[kind : kind + 1]
    places = request.places(device)
    alone = [capacity(place, *sizes, Goal(), max_batch=1) for place in places]
    fits = [one for one in alone if one.requests_per_second[0] > 0]
    what = f"requests of {sizes[0][0]:.0f} + {sizes[1][0]:.0f} tokens"
    if not fits:
        most = max((place.devices for place in places), default=NODE)
        raise Infeasible(f"{what} do not fit beside the weights on up to {most} devices")
    first = min(float(one.ttft_s[0]) for one in fits)
    between = min(float(one.tpot_s[0]) for one in fits)
    raise Infeasible(
        f"{what} take {first:.3g} s to the first token and {between:.3g} s between tokens even "
        "alone on the fastest instance; relax the goal or offer faster devices"
    )
