"""Plans: the simulator confirms the goal, nothing is rented in vain, both questions agree."""

import numpy as np
import pytest

from bursar.catalog import device, model
from bursar.errors import Infeasible
from bursar.fleet import Goal
from bursar.fleet.mix import simulate_mix
from bursar.fleet.plan import FleetPlan, Request, plan_fleet
from bursar.policies.batching import SarathiServe
from bursar.workload.traces import Trace

NAMES = ("l4", "l40s", "h100-sxm")
GOAL = Goal(2.0, 0.05)


def trace_of(rate: float, n: int = 1500) -> Trace:
    rng = np.random.default_rng(2)
    lengths = np.exp(rng.normal((6.0, 5.0), (0.9, 0.7), (n, 2))).astype(int) + 1
    return Trace(np.cumsum(rng.exponential(1 / rate, n)), lengths[:, 0], lengths[:, 1])


def request(*names: str, goal: Goal = GOAL) -> Request:
    return Request(model("llama-3.1-8b"), tuple(device(n) for n in names or NAMES), goal)


def plan(asked: Request, trace: Trace, **how: float) -> FleetPlan:
    return plan_fleet(asked, trace, SarathiServe(), **how)


def test_the_goal_is_met_and_one_instance_less_of_any_type_misses_it() -> None:
    trace = trace_of(30.0)
    found = plan(request("l4"), trace)
    assert found.attainment >= 0.99
    assert found.simulated.attainment(GOAL) == found.attainment
    places = [c.deployment for c in found.instances]
    for i, count in enumerate(found.counts):
        if count > 1:
            fewer = [n - (k == i) for k, n in enumerate(found.counts)]
            less = simulate_mix(found.trace, found.place, places, fewer, SarathiServe())
            assert less.attainment(GOAL) < found.attainment


def test_more_choice_is_never_dearer_by_more_than_the_search_is_coarse() -> None:
    trace = trace_of(40.0)
    mixed = plan(request(), trace).usd_per_hour
    single = min(plan(request(name), trace).usd_per_hour for name in NAMES)
    assert mixed <= single * 1.05


def test_a_budget_of_what_the_fleet_costs_carries_the_trace() -> None:
    trace = trace_of(30.0)
    cheapest = plan(request(), trace)
    best = plan(request(), trace, usd_per_hour=cheapest.usd_per_hour)
    assert best.usd_per_hour <= cheapest.usd_per_hour + 1e-9
    assert best.attainment >= 0.99
    assert best.requests_per_second >= 0.85 * cheapest.requests_per_second
    double = plan(request(), trace, usd_per_hour=2 * cheapest.usd_per_hour)
    assert double.requests_per_second > 1.5 * best.requests_per_second


def test_a_goal_below_the_physical_bound_says_by_how_much() -> None:
    with pytest.raises(Infeasible, match="alone on the fastest they take"):
        plan(request(goal=Goal(2.0, 1e-4)), trace_of(5.0))
    large = Request(model("llama-3.1-405b"), (device("l4"),), Goal(2.0, 0.1))
    with pytest.raises(Infeasible, match="fits none of l4"):
        plan(large, trace_of(5.0))
