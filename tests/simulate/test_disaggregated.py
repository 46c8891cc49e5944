"""Prompts on some instances, answers on others: the same tokens, and what the way between costs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_by_token import serve, workload

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.policies.batching import (
    BATCHING,
    BatchPolicy,
    Orca,
    PastFuture,
    PrefillFirst,
    SarathiServe,
)
from bursar.simulate import (
    LinearTimes,
    Link,
    Pool,
    RooflineTimes,
    Server,
    Simulation,
    link_of,
    server_of,
    simulate_split,
)
from bursar.workload.traces import Trace

PLACE = Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100"))
TIMES = {"linear": LinearTimes(0.01, 1e-5, 1e-6), "dense": RooflineTimes(PLACE)}
AT_ONCE = Link(1e30, np.asarray)


def slow_link(tokens_per_second: float) -> Link:
    return Link(tokens_per_second, np.asarray)


def by_token(
    trace: Trace, prefill: Pool, decode: Pool, tokens_per_second: float
) -> tuple[np.ndarray, ...]:
    """First and last tokens (s), stalls (s) and preemptions: one instance of each kind."""
    count = len(trace)
    firsts = serve(replace(trace, output_tokens=np.ones(count)), prefill.server, prefill.policy)
    arrived, free = firsts.first_token.copy(), 0.0
    for i in np.argsort(firsts.first_token, kind="stable"):
        if trace.output_tokens[i] > 1:
            free = max(free, firsts.first_token[i]) + trace.input_tokens[i] / tokens_per_second
            arrived[i] = free
    moved = np.flatnonzero(trace.output_tokens > 1)
    order = moved[np.argsort(arrived[moved], kind="stable")]
    priority = None if trace.priority is None else trace.priority[order]
    second = Trace(
        arrived[order], trace.input_tokens[order], trace.output_tokens[order], priority=priority
    )
    rest = serve(second, decode.server, decode.policy, firsts.first_token[order])
    finished, stalled = firsts.first_token.copy(), np.zeros(count)
    finished[order], stalled[order] = rest.finished, rest.stalled
    preempted = firsts.preemptions.copy()
    preempted[order] += rest.preemptions
    return firsts.first_token, finished, stalled, preempted


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_it_equals_two_token_by_token_engines(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), label="seed"))
    trace = workload(rng, data.draw(st.integers(3, 25)), float(rng.uniform(1, 60)), longest=100)
    # No priorities: the twin's tie between requests is their order, and here that changes.
    trace = replace(trace, priority=None)
    times = TIMES[data.draw(st.sampled_from(sorted(TIMES)), label="times")]
    # Room for the longest together, so that none is rejected.
    longest = int(np.max(trace.input_tokens + trace.output_tokens))
    server = Server(times, int(data.draw(st.floats(1.1, 5.0)) * longest / 8) + 1, 8)
    policies: list[BatchPolicy] = [
        SarathiServe(8, 32, 0.0),
        PrefillFirst(8, 200, 0.0),
        Orca(8, 64),
    ]
    prefill, decode = (Pool(server, data.draw(st.sampled_from(policies))) for _ in range(2))
    speed = data.draw(st.sampled_from([50.0, 3000.0, 1e9]), label="link")
    first, finished, stalled, preempted = by_token(trace, prefill, decode, speed)
    run = simulate_split(trace, prefill, decode, slow_link(speed))
    np.testing.assert_allclose(run.first_token_s, first, rtol=1e-6)
    np.testing.assert_allclose(run.finished_s, finished, rtol=1e-6)
    np.testing.assert_allclose(run.stalled_s, stalled, rtol=1e-6)
    np.testing.assert_array_equal(run.preemptions, preempted)


def mixed(requests: int, rate: float) -> Trace:
    rng = np.random.default_rng(3)
    return Trace(
        np.cumsum(rng.exponential(1 / rate, requests)),
        np.ceil(rng.lognormal(6.0, 1.0, requests)),
        np.ceil(rng.lognormal(4.0, 1.0, requests)),
    )


def split(trace: Trace, link: Link, blocks: int = 3000, name: str = "sarathi") -> Simulation:
    server = Server(TIMES["dense"], blocks)
    return simulate_split(
        trace, Pool(server, PrefillFirst(), 2), Pool(server, BATCHING[name](), 3), link
    )


@pytest.mark.parametrize("name", sorted(BATCHING))
def test_every_request_is_served_once_by_any_decoding_policy(name: str) -> None:
    trace = mixed(600, 60.0)
    run = split(trace, slow_link(1e5), 1500, name)
    assert run.served.all()
    assert (run.first_token_s <= run.finished_s).all()
    assert run.gaps.tokens == trace.output_tokens.sum() - len(trace)
    alone = trace.output_tokens == 1
    assert (run.replica[alone] < 2).all()
    assert (run.replica[~alone] >= 2).all()
    assert run.usage.tokens == trace.input_tokens.sum() + trace.output_tokens.sum()


def test_one_request_takes_its_prefill_its_way_and_its_decodes() -> None:
    server = Server(LinearTimes(0.01), 100)
    pool = Pool(server, SarathiServe())
    run = simulate_split(Trace([1.0], [200], [5]), pool, pool, slow_link(1000.0))
    assert run.first_token_s[0] == pytest.approx(1.01)
    assert run.finished_s[0] == pytest.approx(1.01 + 0.2 + 4 * 0.01)
    assert run.stalled_s[0] == pytest.approx(0.21)


def test_a_link_sends_one_cache_at_a_time() -> None:
    server = Server(LinearTimes(0.01), 1000)
    pool = Pool(server, PrefillFirst())
    run = simulate_split(Trace([0.0] * 4, [100] * 4, [2] * 4), pool, pool, slow_link(100.0))
    np.testing.assert_allclose(run.finished_s, 0.01 + np.arange(1, 5) + 0.01)


def test_what_does_not_fit_where_it_is_decoded_is_rejected_at_the_start() -> None:
    small, large = Server(TIMES["linear"], 10), Server(TIMES["linear"], 100)
    trace = Trace([0.0, 0.1, 0.2], [100, 100, 400], [61, 62, 1])
    run = simulate_split(trace, Pool(large, Orca()), Pool(small, SarathiServe()), AT_ONCE)
    assert run.served.tolist() == [True, False, False]
    assert np.isnan(run.first_token_s[1:]).all()


def test_a_slower_link_delays_second_tokens_only() -> None:
    trace = mixed(300, 20.0)
    fast, slow = split(trace, AT_ONCE), split(trace, slow_link(2e4))
    np.testing.assert_array_equal(fast.first_token_s, slow.first_token_s)
    later = trace.output_tokens > 1
    assert np.mean((slow.stalled_s - fast.stalled_s)[later]) > float(
        np.mean(trace.input_tokens[later]) / 2e4 * 0.9
    )


def test_rent_and_energy_are_those_of_both_pools() -> None:
    server, trace = server_of(PLACE), mixed(100, 5.0)
    run = simulate_split(
        trace,
        Pool(server, PrefillFirst(), 2),
        Pool(replace(server, usd_per_second=0.5), PastFuture()),
        link_of(PLACE, 50e9),
    )
    usage = run.usage
    assert usage.seconds is not None
    assert server.usd_per_second is not None
    assert usage.usd == pytest.approx(usage.seconds * (2 * server.usd_per_second + 0.5))
    assert len(run.busy_seconds) == 3
    assert run.timeline.watts is not None
    assert float(run.timeline.watts @ run.timeline.seconds) == pytest.approx(usage.joules)


def test_the_cache_of_a_deployment_takes_its_bytes() -> None:
    link = link_of(PLACE, 1e9)
    assert link.cache_bytes([1, 1000]).tolist() == [
        2 * 32 * 8 * 128 * 2,
        1000 * 2 * 32 * 8 * 128 * 2,
    ]
    with pytest.raises(BadInput, match=r"bytes_per_second = 0\.0"):
        link_of(PLACE, 0.0)
