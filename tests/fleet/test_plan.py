"""Plans: the simulator confirms the goal, nothing is rented in vain, both questions agree."""

import numpy as np
import pytest

from bursar.catalog import device, model
from bursar.errors import Infeasible
from bursar.fleet import Goal
from bursar.fleet.mix import simulate_mix
from bursar.fleet.plan import Request, plan_fleet, typical
from bursar.fleet.search import FleetPlan
from bursar.policies.batching import SarathiServe
from bursar.workload.traces import Trace

NAMES = ("l4", "l40s", "h100-sxm")
GOAL = Goal(2.0, 0.05)


def trace_of(rate: float, n: int = 700) -> Trace:
    rng = np.random.default_rng(2)
    lengths = np.exp(rng.normal((6.0, 5.0), (0.9, 0.7), (n, 2))).astype(int) + 1
    return Trace(np.cumsum(rng.exponential(1 / rate, n)), lengths[:, 0], lengths[:, 1])


def request(*names: str, goal: Goal = GOAL) -> Request:
    return Request(model("llama-3.1-8b"), tuple(device(n) for n in names or NAMES), goal)


def plan(asked: Request, trace: Trace, **how: float) -> FleetPlan:
    return plan_fleet(asked, trace, SarathiServe(), **how).best


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


def test_more_choice_is_never_dearer() -> None:
    trace = trace_of(40.0)
    plans = plan_fleet(request(), trace, SarathiServe())
    assert set(plans.alone) == set(NAMES)
    assert all(p.attainment >= 0.99 for p in plans.alone.values())
    assert plans.best.usd_per_hour <= min(p.usd_per_hour for p in plans.alone.values())
    assert plan(request("l4"), trace).usd_per_hour == plans.alone["l4"].usd_per_hour


def test_the_plan_is_confirmed_on_the_whole_trace() -> None:
    trace = trace_of(30.0, n=4500)
    found = plan(request("l40s"), trace)
    assert len(found.trace) == 4500
    assert found.attainment >= 0.99


def test_a_typical_stretch_is_neither_the_rush_nor_the_quiet() -> None:
    arrival = np.concatenate([np.arange(100.0), 100 + np.arange(50) * 0.1, 105 + np.arange(60) * 9])
    trace = Trace(arrival, np.ones_like(arrival), np.ones_like(arrival))
    rows = typical(trace, 20)
    assert len(rows) == 20
    assert np.diff(trace.arrival_s[rows]).mean() == pytest.approx(1.0, rel=0.3)
    assert len(typical(trace, 10**6)) == len(arrival)


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
    with pytest.raises(Infeasible, match="alone on the fastest instance"):
        plan(request(goal=Goal(2.0, 1e-4)), trace_of(5.0))
    large = Request(model("llama-3.1-405b"), (device("l4"),), Goal(2.0, 0.1))
    with pytest.raises(Infeasible, match=r"l4: .* do not fit"):
        plan(large, trace_of(5.0))
