"""Laws of two lanes on one device: alone each is the ordinary replica; all are served."""

from dataclasses import replace

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import MEASURED, Deployment
from bursar.cost.shared_device import shared_device
from bursar.errors import BadInput
from bursar.policies.batching import SarathiServe
from bursar.policies.partitioning import PARTITIONING, LaneDecision, LanePolicy, LaneState
from bursar.price import Price
from bursar.simulate import server_of, simulate
from bursar.simulate.partitioned import simulate_partitioned
from bursar.workload.traces import Trace

PLACE = Deployment(catalog.model("llama-3.1-8b"), catalog.device("a100"), efficiency=MEASURED)
SERVER = server_of(PLACE)


def policy(name: str) -> LanePolicy:
    return PARTITIONING[name](shared_device(PLACE))


class Held:
    """A policy whose every decision is held to the contract."""

    def __init__(self, policy: LanePolicy) -> None:
        self.policy, self.asked = policy, 0

    def decide(self, state: LaneState, now: float, price: Price) -> LaneDecision:
        decision = self.policy.decide(state, now, price)
        assert self.policy.decide(state, now, price) == decision, "not pure"
        assert 0 < decision.prefill_units < 1
        assert not decision.chunks or state.prefill_is_free
        admitted = [job for job, _ in decision.chunks if job not in state.prefilling]
        assert sum(map(state.needed_blocks, admitted)) <= max(state.spare_blocks, 0)
        self.asked += 1
        return decision


def crowd(seed: int, requests: int = 60) -> Trace:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(0.1, requests))
    return Trace(times, rng.integers(1, 3000, requests), rng.integers(1, 200, requests))


@pytest.mark.parametrize("name", sorted(PARTITIONING))
def test_one_request_at_a_time_is_served_as_by_a_replica(name: str) -> None:
    """With nothing beside it each step takes its roofline."""
    apart = Trace(np.arange(8) * 100.0, [5, 100, 1000, 2000, 2048, 3000, 9, 4000], [40] * 8)
    run = simulate_partitioned(apart, PLACE, SERVER, policy(name))
    other = simulate(apart, SERVER, SarathiServe(max_tokens=2048))
    assert run.ttft_s == pytest.approx(other.ttft_s, rel=1e-6)
    assert run.finished_s == pytest.approx(other.finished_s, rel=1e-6)


@pytest.mark.parametrize("name", sorted(PARTITIONING))
@pytest.mark.parametrize("blocks", [230, 400])
def test_all_are_served_when_memory_is_short(name: str, blocks: int) -> None:
    trace, held = crowd(blocks), Held(policy(name))
    run = simulate_partitioned(trace, PLACE, replace(SERVER, blocks=blocks), held)
    assert held.asked > 100
    assert np.isfinite(run.finished_s).all()
    assert (run.ttft_s > 0).all()
    assert run.preemptions > 0
    assert run.gaps.tokens == trace.output_tokens.sum() - len(trace)


def test_what_can_never_fit_is_rejected() -> None:
    trace = Trace([0.0, 0.0], [5000, 10], [10, 10])
    run = simulate_partitioned(trace, PLACE, replace(SERVER, blocks=100), policy("nexus"))
    assert np.isnan(run.finished_s).tolist() == [True, False]


def test_the_same_trace_gives_the_same_run() -> None:
    one, other = (simulate_partitioned(crowd(1), PLACE, SERVER, policy("nexus")) for _ in range(2))
    assert (one.finished_s == other.finished_s).all()


def test_pipelines_are_refused() -> None:
    place = replace(PLACE, pp=2)
    with pytest.raises(BadInput, match="pp = 2"):
        simulate_partitioned(crowd(1), place, SERVER, policy("nexus"))
