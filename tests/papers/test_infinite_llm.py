"""Infinite-LLM (arXiv:2401.02669): attention in parts is exact; lent memory admits longer contexts.

A 13-billion model on four A100s of 40 GB, where weights leave room for 15 thousand tokens each.
"""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.policies.batching import BatchState, Decision, Orca
from bursar.policies.lending import InfiniteLlm
from bursar.policies.routing import LeastTokens
from bursar.price import Price
from bursar.simulate import (
    Lending,
    Link,
    Server,
    Simulation,
    attend,
    link_of,
    merge,
    remote_attention,
    server_of,
    simulate,
)
from bursar.workload.traces import Trace

PLACE = Deployment(catalog.model("llama-2-13b"), catalog.device("a100-sxm-40gb"))
SERVER = server_of(PLACE)
ROOM = SERVER.blocks * SERVER.block_tokens
LENDING = Lending(InfiniteLlm(), link_of(PLACE, 25e9), remote_attention(PLACE))
REPLICAS = 4
SEEDS = [0, 1, 2]


@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(1, 8), st.sampled_from([1.0, 30.0]))
@settings(max_examples=50, deadline=None)
def test_attention_in_parts_is_attention(seed: int, tokens: int, parts: int, spread: float) -> None:
    """Against a softmax over the whole, also where scores are far apart and the order is mixed."""
    rng = np.random.default_rng(seed)
    queries = spread * rng.normal(size=(3, 16)).astype(np.float32)
    keys, values = rng.normal(size=(2, tokens, 16)).astype(np.float32)
    scores = (queries @ keys.T / 4.0).astype(np.float64)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    whole = weights @ values / weights.sum(axis=1, keepdims=True)
    cuts = np.unique(np.concatenate([[0, tokens], rng.integers(0, tokens + 1, parts - 1)]))
    spans = [attend(queries, keys[a:b], values[a:b]) for a, b in pairwise(cuts)]
    order = rng.permutation(len(spans))
    merged = merge([spans[place] for place in order])
    np.testing.assert_allclose(merged.mean, whole, atol=1e-5)


def skewed(seed: int, rate: float, longest: float, share: float = 0.02) -> Trace:
    """Prompts of 500 tokens, and some of up to `longest` times the memory of an instance."""
    rng, count = np.random.default_rng(seed), 400
    most, long = int(longest * ROOM), rng.random(count) < share
    usual, answers = (np.ceil(rng.lognormal(np.log(mean) - 0.3, 0.7, count)) for mean in (500, 200))
    arrivals = np.cumsum(rng.exponential(1 / rate, count))
    return Trace(
        arrivals, np.where(long, rng.integers(int(0.8 * most), most, count), usual), answers
    )


@cache
def serve(seed: int, rate: float, longest: float, *, lending: bool) -> Simulation:
    return simulate(
        skewed(seed, rate, longest),
        SERVER,
        Orca(max_output_tokens=512),
        replicas=REPLICAS,
        router=LeastTokens(),
        controls=[LENDING] if lending else [],
    )


def tokens_per_second(run: Simulation) -> float:
    assert run.usage.tokens is not None
    assert run.usage.seconds is not None
    return run.usage.tokens / run.usage.seconds


@pytest.mark.parametrize("seed", SEEDS)
def test_longer_contexts_are_served_and_more_tokens_in_the_same_time(seed: int) -> None:
    alone, shared = (serve(seed, 3.0, 1.8, lending=lending) for lending in (False, True))
    assert not alone.served.all()
    assert alone.trace.input_tokens[alone.served].max() <= ROOM
    assert shared.served.all()
    assert shared.trace.input_tokens.max() > 1.5 * ROOM
    assert tokens_per_second(shared) > 1.2 * tokens_per_second(alone)


def test_a_context_of_three_instances_is_served() -> None:
    trace = Trace([0.0, 1.0], [3 * ROOM, 100], [20, 20])
    runs = [
        simulate(
            *(trace, SERVER, Orca(max_output_tokens=512)), replicas=REPLICAS, controls=controls
        )
        for controls in ([], [LENDING])
    ]
    assert [run.served.tolist() for run in runs] == [[False, True], [True, True]]


@pytest.mark.parametrize("seed", SEEDS)
def test_where_all_fits_nothing_is_gained(seed: int) -> None:
    """The control: the longest take 0.8 of an instance."""
    alone, shared = (serve(seed, 3.0, 0.8, lending=lending) for lending in (False, True))
    assert alone.served.all()
    assert tokens_per_second(shared) == pytest.approx(tokens_per_second(alone), rel=0.02)


def test_transfers_and_remote_attention_are_charged() -> None:
    """A long context with memory of its own, with lent memory, and over a slow link."""
    trace = Trace([0.0], [int(1.5 * ROOM)], [400])
    large = replace(SERVER, blocks=4 * SERVER.blocks)
    slow = replace(LENDING, link=Link(1e8, LENDING.link.cache_bytes))
    own = simulate(trace, large, Orca())
    lent, slowly = (
        simulate(trace, SERVER, Orca(), replicas=4, controls=[control])
        for control in (LENDING, slow)
    )
    ends = [float(run.finished_s[0]) for run in (own, lent, slowly)]
    steps = 400 * LENDING.remote.step_seconds
    sent = float(LENDING.link.cache_bytes(int(0.5 * ROOM)))
    assert ends[1] > ends[0] + steps + sent / 25e9
    assert ends[2] > ends[1] + sent / 1e8 - sent / 25e9


class Watched:
    """Sees that no block is held twice."""

    def __init__(self, server: Server) -> None:
        self.policy, self.server, self.most = Orca(max_output_tokens=512), server, 0

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        held = sum(state.held_blocks(job) for job in state.running.values())
        assert held + state.free_blocks <= state.blocks
        assert state.free_blocks >= 0
        self.most = max(self.most, state.blocks)
        return self.policy.decide(state, now, price)


@pytest.mark.parametrize("seed", SEEDS)
def test_memory_is_lent_once_and_every_request_served_once(seed: int) -> None:
    policy = Watched(SERVER)
    run = simulate(
        skewed(seed, 3.0, 1.8),
        *(SERVER, policy),
        replicas=REPLICAS,
        router=LeastTokens(),
        controls=[LENDING],
    )
    trace, line = run.trace, run.timeline
    assert run.served.all()
    assert policy.most > SERVER.blocks
    assert line.blocks.max() <= REPLICAS * SERVER.blocks
    assert run.usage.tokens == trace.input_tokens.sum() + trace.output_tokens.sum()
    assert run.gaps.tokens == trace.output_tokens.sum() - len(trace)
    inside = float(np.sum((line.running + line.waiting) * line.seconds))
    entered = trace.arrival_s + SERVER.times.seconds_per_request
    assert inside == pytest.approx(float(np.sum(run.finished_s - entered)), rel=1e-9)


def test_bad_settings_name_the_value() -> None:
    with pytest.raises(BadInput, match="margin = 1"):
        InfiniteLlm(margin=1)
    with pytest.raises(BadInput, match="reach = 2"):
        replace(LENDING, reach=2)
    with pytest.raises(BadInput, match="interval_seconds = 0"):
        replace(LENDING, interval_seconds=0)
