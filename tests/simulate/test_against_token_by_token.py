"""Macro-steps give the numbers of the token-by-token loop."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_by_token import check, serve, workload

from bursar import catalog
from bursar.cost import Deployment
from bursar.policies.batching import (
    BatchPolicy,
    BatchState,
    ByPriority,
    BySwap,
    Chunk,
    Decision,
    DrawnPriorities,
    Orca,
    PastFuture,
    PrefillFirst,
    SarathiServe,
    StaticBatching,
    begun,
    victims,
)
from bursar.price import Price
from bursar.simulate import (
    HostMemory,
    LinearTimes,
    RooflineTimes,
    Server,
    StepTimes,
    simulate,
)
from bursar.workload.traces import Blocks, Labels, Trace

H100 = catalog.device("h100")
TIMES: dict[str, StepTimes] = {
    "linear": LinearTimes(0.01, per_token=1e-5, per_context=1e-6),
    "constant": LinearTimes(0.01),
    "dense": RooflineTimes(Deployment(catalog.model("llama-3.1-8b"), H100)),
    "windows": RooflineTimes(Deployment(catalog.model("gpt-oss-20b"), H100)),
    "latent, experts": RooflineTimes(Deployment(catalog.model("deepseek-v2-lite"), H100)),
    "recurrent": RooflineTimes(Deployment(catalog.model("qwen3-next-80b-a3b"), H100, tp=4)),
}


class FillsHoles:
    """Admits whatever fits, from anywhere in the queue, but only at an even number of free blocks.

    That number changes as jobs decode, so this policy wants to be asked before each step.
    """

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        if preempt := victims(state):
            return Decision(preempt=preempt)
        if state.prefilling:
            return Decision(chunks=begun(state))
        if state.running and state.free_blocks % 2:
            return Decision(most_steps=1)
        room = state.free_blocks - state.growth_blocks
        for job in reversed(state.waiting):
            if state.needed_blocks(job) <= room:
                return Decision(chunks=[Chunk(job, job.target - state.cached_tokens(job))])
        return Decision(most_steps=1)


def policies(jobs: int, tokens: int) -> list[BatchPolicy]:
    return [
        FillsHoles(),
        StaticBatching(jobs, max_output_tokens=tokens),
        Orca(jobs, max_output_tokens=tokens),
        PastFuture(jobs, max_tokens=4 * tokens, max_output_tokens=tokens),
        PrefillFirst(jobs, max_tokens=4 * tokens),
        SarathiServe(jobs, max_tokens=tokens),
    ]


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_macro_steps_equal_single_steps(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), label="seed"))
    longest = data.draw(st.sampled_from([20, 300]), label="longest")
    requests = data.draw(st.integers(5, 30), label="requests")
    trace = workload(rng, requests, rate=float(rng.uniform(1, 60)), longest=longest)
    size = data.draw(st.sampled_from([1, 3, 16]), label="block_tokens")
    server = Server(
        TIMES[data.draw(st.sampled_from(sorted(TIMES)), label="times")],
        blocks=int(data.draw(st.floats(1.2, 8.0), label="cache") * longest / size),
        block_tokens=size,
    )
    chosen = policies(data.draw(st.integers(1, 12)), data.draw(st.sampled_from([8, 64, 512])))
    check(trace, server, data.draw(st.sampled_from(chosen), label="policy"))


def shared_prompts(trace: Trace, rng: np.random.Generator, size: int) -> Trace:
    """Hashes that are often the same at the beginning of two prompts, seldom later on."""
    lengths = -(-trace.input_tokens // size)
    rare = np.concatenate([np.arange(n) for n in lengths]) > rng.integers(0, 6)
    hashes = rng.integers(0, 2 + 50 * rare)
    return replace(trace, blocks=Blocks(np.concatenate([[0], np.cumsum(lengths)]), hashes, size))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_they_agree_where_prompts_share_their_beginning(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), label="seed"))
    longest, size = data.draw(st.sampled_from([(40, 1), (40, 2), (300, 8)]), label="sizes")
    trace = workload(rng, data.draw(st.integers(5, 30)), float(rng.uniform(1, 60)), longest)
    if data.draw(st.booleans(), label="hashed"):
        trace = shared_prompts(trace, rng, size * data.draw(st.integers(1, 3)))
    else:
        names = rng.choice(["", "a", "b"], len(trace)).tolist()
        trace = replace(trace, prefix_id=Labels.of(names))
    server = Server(
        TIMES[data.draw(st.sampled_from(["linear", "dense"]), label="times")],
        blocks=int(data.draw(st.floats(1.2, 8.0), label="cache") * longest / size),
        block_tokens=size,
        prefix_cache=True,
    )
    chosen = policies(data.draw(st.integers(1, 12)), data.draw(st.sampled_from([8, 64, 512])))
    check(trace, server, data.draw(st.sampled_from(chosen), label="policy"))


def preempting(policy: BatchPolicy) -> dict[str, BatchPolicy]:
    turns = DrawnPriorities(np.pi / 10, levels=4, stay=0.5)  # no multiple of a step
    return {
        "by swap": BySwap(policy),
        "the long by swap": BySwap(policy, least_tokens=50),
        "by priority": ByPriority(policy),
        "by priority and swap": BySwap(ByPriority(policy)),
        "in turns": ByPriority(policy, turns),
        "in turns by swap": BySwap(ByPriority(policy, turns)),
    }


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_they_agree_where_caches_are_swapped_and_conversations_kept(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), label="seed"))
    longest, size = data.draw(st.sampled_from([(20, 1), (40, 3), (300, 16)]), label="sizes")
    trace = workload(rng, data.draw(st.integers(5, 30)), float(rng.uniform(1, 60)), longest)
    host = HostMemory(
        blocks=1 + int(data.draw(st.floats(0.3, 8.0), label="host") * longest / size),
        block_seconds=rng.uniform(0.5, 1.0) * data.draw(st.sampled_from([1e-4, 1e-2])),
        operation_seconds=rng.uniform(0.5, 1.0) * data.draw(st.sampled_from([0.0, 1e-3])),
        group_blocks=data.draw(st.sampled_from([1, 2, 7]), label="group"),
        overlapped=data.draw(st.booleans(), label="overlapped"),
        keeps_copies=data.draw(st.booleans(), label="copies"),
    )
    server = Server(
        TIMES[data.draw(st.sampled_from(["linear", "constant", "dense"]), label="times")],
        blocks=int(data.draw(st.floats(1.2, 6.0), label="cache") * longest / size),
        block_tokens=size,
        host=host,
    )
    turns = rng.integers(-1, 4, len(trace)) if data.draw(st.booleans(), label="turns") else None
    chosen = policies(data.draw(st.integers(1, 12)), data.draw(st.sampled_from([8, 64])))
    policy = data.draw(st.sampled_from(chosen), label="policy")
    if hasattr(policy, "watermark"):
        policy = replace(policy, watermark=0.0)
    how = data.draw(st.sampled_from(sorted(preempting(policy))), label="how")
    check(trace, server, preempting(policy)[how], turns)


@pytest.mark.parametrize("policy", policies(16, 64), ids=lambda policy: type(policy).__name__)
def test_they_agree_where_a_small_cache_forgets_and_preempts(policy: BatchPolicy) -> None:
    rng = np.random.default_rng(8)
    trace = shared_prompts(workload(rng, 150, rate=60.0, longest=200), rng, 16)
    without_watermark = replace(policy, watermark=0.0) if hasattr(policy, "watermark") else policy
    small, large = (Server(TIMES["dense"], blocks, 8, prefix_cache=True) for blocks in (60, 10**5))
    check(trace, small, without_watermark)
    forgetful, faithful = (simulate(trace, one, policy) for one in (small, large))
    assert 0.02 < forgetful.prefix_hit_rate < faithful.prefix_hit_rate


@pytest.mark.parametrize("policy", policies(16, 64)[-2:], ids=lambda policy: type(policy).__name__)
@pytest.mark.parametrize("times", sorted(TIMES))
@pytest.mark.parametrize("cache", [False, True], ids=["", "prefix_cache"])
def test_they_agree_where_preemptions_are_frequent(
    cache: bool, times: str, policy: BatchPolicy
) -> None:
    trace = workload(np.random.default_rng(4), 60, rate=100.0, longest=200)
    without_watermark = replace(policy, watermark=0.0)  # type: ignore[type-var]
    server = Server(TIMES[times], blocks=60, block_tokens=8, prefix_cache=cache)
    assert check(trace, server, without_watermark) > 20


def test_they_agree_across_windows() -> None:
    times = TIMES["windows"]
    assert times.windows == (128,)
    trace = workload(np.random.default_rng(5), 50, rate=20.0, longest=400)
    assert check(trace, Server(times, blocks=100), PrefillFirst()) > 0


def test_they_agree_where_a_step_becomes_bound_by_something_else() -> None:
    """Sparse latent attention: compute binds within its window, later the index's memory."""
    place = Deployment(catalog.model("deepseek-v3.2"), catalog.device("a100"))
    times = RooflineTimes(place)
    assert 6000 < times.line([0, 8], [0, 8 * 3000]).steps < 6500
    trace = Trace(np.zeros(8), np.full(8, 3000), np.full(8, 8000))
    check(trace, Server(times, blocks=10_000), PrefillFirst(max_tokens=24_000))


def test_the_timelines_are_those_of_single_steps() -> None:
    """Held blocks but for the rounding of their growth within a plan, at most half of one a job."""
    trace, server = workload(np.random.default_rng(6), 80, 30.0, 300), Server(TIMES["dense"], 300)
    slow, fast = serve(trace, server, SarathiServe()), simulate(trace, server, SarathiServe())
    line = fast.timeline
    held, jobs = float(line.blocks @ line.seconds), float(line.running @ line.seconds)
    assert abs(held - slow.block_seconds) < 0.5 * jobs
    assert held == pytest.approx(slow.block_seconds, rel=0.02)


def test_time_between_tokens_is_that_of_every_token() -> None:
    trace, server = workload(np.random.default_rng(6), 60, 30.0, 300), Server(TIMES["dense"], 90)
    slow, fast = serve(trace, server, PrefillFirst()), simulate(trace, server, PrefillFirst())
    gaps = np.concatenate([np.diff(one) for one in slow.token_times])
    assert slow.preemptions.sum() > 0
    for share in (0.1, 0.5, 0.9, 0.99, 1.0):
        expected = np.quantile(gaps, share, method="inverted_cdf")
        assert fast.gaps.quantile(share) == pytest.approx(expected, rel=0.03)
