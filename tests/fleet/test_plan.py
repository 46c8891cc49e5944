"""Plans: the simulator confirms the goal, nothing is rented in vain, both questions agree."""

from dataclasses import replace

import numpy as np
import pytest

from bursar.catalog import device, model
from bursar.cost.calibration import shipped
from bursar.errors import Infeasible
from bursar.fleet import Goal
from bursar.fleet.mix import simulate_mix
from bursar.fleet.plan import Request, plan_fleet
from bursar.fleet.planned import FleetPlan
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


def plan(asked: Request, trace: Trace, **limits: float) -> FleetPlan:
    return plan_fleet(asked, trace, SarathiServe(), limits=limits or None).best


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


def test_a_budget_of_what_the_fleet_costs_carries_the_trace() -> None:
    trace = trace_of(30.0)
    cheapest = plan(request("l40s"), trace)
    best = plan(request("l40s"), trace, usd_per_hour=cheapest.usd_per_hour)
    assert best.usd_per_hour <= cheapest.usd_per_hour + 1e-9
    assert best.attainment >= 0.99
    assert best.requests_per_second >= 0.85 * cheapest.requests_per_second
    double = plan(request("l40s"), trace, usd_per_hour=2 * cheapest.usd_per_hour)
    assert double.requests_per_second > 1.5 * best.requests_per_second


@pytest.mark.parametrize(("resource", "most"), [("watts", 1200.0), ("gpus", 4.0)])
def test_other_budgets_are_kept_and_their_price_is_what_more_of_them_buys(
    resource: str, most: float
) -> None:
    trace = trace_of(30.0, n=400)
    found = plan(request("l40s"), trace, **{resource: most})
    used = {"watts": found.watts, "gpus": found.gpus}[resource]
    assert used is not None
    assert used <= most
    assert found.attainment >= 0.99
    assert set(found.prices) == {resource}
    double = plan(request("l40s"), trace, **{resource: 2 * most})
    gained = (double.requests_per_second - found.requests_per_second) / most
    assert found.prices[resource] == pytest.approx(gained, rel=0.3)


def test_of_two_limits_the_tighter_has_the_price() -> None:
    found = plan(request("l40s"), trace_of(30.0, n=400), usd_per_hour=1000.0, gpus=2.0)
    assert found.gpus == 2
    assert found.prices["usd_per_hour"] == 0
    assert found.prices["gpus"] > 0


def test_a_budget_is_simulated_for_long_against_a_request() -> None:
    """400 requests that 20 instances would have served in two seconds."""
    found = plan(request("l40s"), trace_of(30.0, n=400), usd_per_hour=40.0)
    seconds = float(np.nanmean(found.simulated.e2e_s))
    assert found.trace.arrival_s[-1] > 5 * seconds


def test_a_limit_below_the_smallest_fleet_says_by_how_much() -> None:
    with pytest.raises(Infeasible, match=r"50 W rents no fleet.* smallest costs \d+.* W"):
        plan(request("l40s"), trace_of(5.0), watts=50.0)


def test_a_goal_below_the_physical_bound_says_by_how_much() -> None:
    with pytest.raises(Infeasible, match="alone on the fastest instance"):
        plan(request(goal=Goal(2.0, 1e-4)), trace_of(5.0))
    large = Request(model("llama-3.1-405b"), (device("l4"),), Goal(2.0, 0.1), dtypes=("bf16",))
    with pytest.raises(Infeasible, match=r"l4: .* do not fit .* up to 32 devices"):
        plan(large, trace_of(5.0))


def test_a_device_that_was_measured_to_be_slower_takes_more_instances() -> None:
    own = shipped()
    law = {"any": replace(own.law["any"], step_factor=2.0)}
    slow = replace(request("l4"), calibration=replace(own, law=law))
    trace = trace_of(30.0)
    assert plan(slow, trace).gpus > plan(request("l4"), trace).gpus


def test_what_fits_no_node_runs_as_a_pipeline_over_two() -> None:
    two = Request(model("llama-3.1-405b"), (device("h100-sxm"),), Goal(10.0, 0.3), dtypes=("bf16",))
    found = plan(two, trace_of(2.0, n=150))
    (one,) = found.instances
    assert (one.deployment.tp, one.deployment.pp) == (8, 2)
    assert found.gpus == 16 * found.counts[0]
    assert found.attainment >= 0.99
    assert all(p.pp == 1 for p in replace(two, dtypes=("fp8",)).places(device("h100-sxm")))
    deeper = replace(two, model=model("deepseek-v3"))
    assert {p.devices for p in deeper.places(device("h100-sxm")) if p.pp > 2} == {32}
