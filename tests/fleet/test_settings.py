"""Settings of a fleet: what is excluded would not have been chosen, what is chosen is better."""

import numpy as np
import pytest

from bursar.catalog import device, model
from bursar.fleet import Goal
from bursar.fleet.plan import FleetPlans, Request, plan_fleet
from bursar.fleet.settings import CHUNKS, MOST_JOBS, Tried, families, predicted, settings
from bursar.policies.batching import BATCHING
from bursar.workload.traces import Trace


def trace_of(rate: float, prompt: float, out: float, seed: int = 0, n: int = 400) -> Trace:
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.normal((prompt, out), 0.5, (n, 2))).astype(int) + 1
    return Trace(np.cumsum(rng.exponential(1 / rate, n)), lengths[:, 0], lengths[:, 1])


def plans(trace: Trace, goal: Goal, names: tuple[str, ...] = ("vllm",), objective: str = "cost"):
    asked = Request(model("llama-3.1-8b"), (device("l40s"),), goal)
    return plan_fleet(
        *(asked, trace, BATCHING[names[0]]()), objective=objective, offered=settings(names)
    )


def chunk(found: FleetPlans) -> int:
    return found.tried[0].setting.limits["max_tokens"]


def test_a_goal_between_tokens_asks_for_smaller_chunks_than_one_to_the_first() -> None:
    trace = trace_of(4.0, 8.0, 4.5)
    tight = plans(trace, Goal(20.0, 0.03))
    loose = plans(trace, Goal(2.0, 1.0))
    assert chunk(tight) < chunk(loose)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_settings_only_make_a_plan_better(seed: int) -> None:
    trace, goal = trace_of(12.0, 6.5, 5.0, seed), Goal(1.0, 0.04)
    asked = Request(model("llama-3.1-8b"), (device("l40s"),), goal)
    before = plan_fleet(asked, trace, BATCHING["vllm"]()).best
    after = plans(trace, goal)
    assert after.best.usd_per_hour <= before.usd_per_hour
    assert after.best.attainment >= 0.99
    assert [one.cost for one in after.tried] == sorted(one.cost for one in after.tried)
    assert len(after.tried) + after.excluded == len(CHUNKS) * len(MOST_JOBS)


def test_the_excluded_do_the_same_as_another_or_miss_the_goal() -> None:
    found = plans(trace_of(12.0, 6.5, 5.0), Goal(1.0, 0.04))
    seen = {tuple(one.setting.limits.values()): one for one in found.tried}
    places = [c.deployment for c in found.best.instances]
    assert found.excluded > 0
    for one in settings(("vllm",)):
        tokens, jobs = one.limits.values()
        if (tokens, jobs) in seen:
            continue
        met = found.best.again(places, one.policy)
        others: list[Tried] = [t for (c, _), t in seen.items() if c == tokens]
        base = [found.best.again(places, t.setting.policy) for t in others]
        same = any(np.array_equal(met.e2e_s, b.e2e_s) for b in base)
        assert same or met.attainment(Goal(1.0, 0.04)) < 0.99


def test_latency_and_energy_are_searched_for_what_they_ask() -> None:
    trace, goal = trace_of(8.0, 6.5, 5.0), Goal(2.0, 0.06)
    for objective in ("latency", "energy"):
        found = plans(trace, goal, objective=objective)
        usual = next(t for t in found.tried if t.setting.policy == BATCHING["vllm"]())
        assert found.tried[0].cost <= usual.cost


def test_an_engine_is_offered_what_it_can_run() -> None:
    assert families("vllm") == ("vllm",)
    assert "prefill_first" in families("sglang")
    assert {one.name for one in settings(("static",))} == {"static"}
    assert [one.limits for one in settings(("static",))] == [{"max_jobs": n} for n in MOST_JOBS]


def test_the_steady_state_is_near_the_simulation_where_nothing_queues() -> None:
    best = plans(trace_of(4.0, 6.5, 5.0), Goal(2.0, 0.06)).best
    steady = predicted(best)
    assert steady is not None
    assert steady[1] == pytest.approx(float(np.nanmean(best.simulated.tpot_s)), rel=0.25)
