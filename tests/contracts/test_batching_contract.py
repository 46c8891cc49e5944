"""What every batching policy keeps to, whatever its idea. A new one is tested by being listed."""

from dataclasses import replace

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.policies.batching import (
    BATCHING,
    BatchPolicy,
    BatchState,
    Decision,
    SarathiServe,
    blocks_for,
)
from bursar.price import Price
from bursar.simulate import LinearTimes, Server, simulate
from bursar.workload.traces import Trace

NAMES = sorted(BATCHING)
MOST_JOBS = 12
TIMES = LinearTimes(0.01, per_token=2e-5, per_context=1e-6)


class Held:
    """A policy whose every decision is held to the contract."""

    def __init__(self, policy: BatchPolicy) -> None:
        self.policy, self.asked, self.most_jobs = policy, 0, 0

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        decision = self.policy.decide(state, now, price)
        assert self.policy.decide(state, now, price) == decision, "not pure"
        self._check_blocks(state, decision)
        admitted = [job for job, _ in decision.chunks if job.index not in state.running]
        assert admitted == list(state.waiting)[: len(admitted)], "not first come first served"
        running = len(state.running) + len(admitted) - len(decision.preempt)
        self.asked, self.most_jobs = self.asked + 1, max(self.most_jobs, running)
        return decision

    def _check_blocks(self, state: BatchState, decision: Decision) -> None:
        need = sum(
            blocks_for(job.target, state.block_tokens)
            for job, _ in decision.chunks
            if job.index not in state.running
        )
        if decision.decode:
            need += state.growth_blocks - sum(state.grows(job) for job in decision.preempt)
        freed = sum(state.held_blocks(job) for job in decision.preempt)
        assert need <= state.free_blocks + freed
        ranks = [job.rank for job in decision.preempt]
        kept = [job.rank for job in state.running.values() if job not in decision.preempt]
        assert not ranks or not kept or min(ranks) > max(kept), "preempts before its turn"


def crowd(seed: int) -> Trace:
    """More than a small cache holds at once."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(0.05, 150)
    return Trace(np.cumsum(gaps), rng.integers(1, 400, 150), rng.integers(1, 200, 150))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blocks", [38, 60, 1000])
def test_each_decision_keeps_the_contract(name: str, blocks: int) -> None:
    policy = Held(replace(BATCHING[name](), max_jobs=MOST_JOBS))  # type: ignore[type-var]
    run = simulate(crowd(blocks), Server(TIMES, blocks=blocks), policy)
    assert run.served.all()
    assert policy.asked > 100
    assert policy.most_jobs <= MOST_JOBS
    if blocks == 1000:
        assert policy.most_jobs > (MOST_JOBS - 1) * (name in ("prefill_first", "sarathi"))


@pytest.mark.parametrize("name", NAMES)
def test_a_long_prompt_alone_is_served(name: str) -> None:
    """Limits on admission never shut out a request that fits an empty cache."""
    longest = Trace([0.0, 0.0], [10 * 16, 10 * 16], [1, 1])
    run = simulate(longest, Server(TIMES, blocks=10), BATCHING[name]())
    assert run.served.all()
    assert run.preemptions.sum() == 0


@pytest.mark.parametrize("name", NAMES)
def test_limits_below_one_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="max_jobs = 0; must be 1 or more"):
        replace(BATCHING[name](), max_jobs=0)  # type: ignore[type-var]


class Widest:
    """Notes the most tokens in a step."""

    def __init__(self, policy: BatchPolicy) -> None:
        self.policy, self.tokens = policy, 0

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        decision = self.policy.decide(state, now, price)
        if decision.chunks:
            decoding = len(state.running) - len(state.prefilling)
            self.tokens = max(self.tokens, decoding + sum(c.tokens for c in decision.chunks))
        return decision


def test_the_token_budget_is_used_and_kept() -> None:
    policy = Widest(SarathiServe(max_tokens=100))
    simulate(crowd(1), Server(TIMES, blocks=500), policy)
    assert policy.tokens == 100
