"""Orca (OSDI 2022) and PagedAttention (arXiv:2309.06180): what each gained on the one before it."""

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.policies.batching import Orca, PrefillFirst, StaticBatching
from bursar.simulate import Server, server_of, simulate
from bursar.workload.traces import Trace

LONGEST = 2048


def chats(requests: int, rate: float | None, *, spread: float = 1.0) -> Trace:
    """Lengths of the means that the vLLM paper gives for ShareGPT (161 in, 338 out)."""
    rng = np.random.default_rng(3)
    prompt, answer = (
        np.clip(np.ceil(rng.lognormal(np.log(mean) - spread**2 / 2, spread, requests)), 1, LONGEST)
        for mean in (161, 338)
    )
    gaps = np.zeros(requests) if rate is None else rng.exponential(1 / rate, requests)
    return Trace(np.cumsum(gaps), prompt, answer)


@pytest.fixture(scope="module")
def scarce() -> Server:
    """13 billion parameters on 40 GB: 15,200 tokens of cache (the vLLM paper had 15,700)."""
    return server_of(Deployment(catalog.model("llama-2-13b"), catalog.device("a100-sxm-40gb")))


def test_joining_at_each_iteration_halves_latency(scarce: Server) -> None:
    trace = chats(400, rate=1.0)
    static = simulate(trace, scarce, StaticBatching(8, LONGEST))
    orca = simulate(trace, scarce, Orca(8, LONGEST))
    assert np.mean(orca.e2e_s) < 0.5 * np.mean(static.e2e_s)
    assert orca.finished_s.max() < static.finished_s.max()


def test_it_gains_nothing_where_all_requests_are_alike_and_together(scarce: Server) -> None:
    """Control: a batch of equals has nothing to wait for."""
    alike = Trace(np.zeros(64), np.full(64, 161), np.full(64, 338))
    static = simulate(alike, scarce, StaticBatching(4, LONGEST))
    orca = simulate(alike, scarce, Orca(4, LONGEST))
    assert orca.finished_s.max() == pytest.approx(static.finished_s.max(), rel=0.01)


def test_blocks_on_demand_serve_more_than_reservations(scarce: Server) -> None:
    offline = chats(400, rate=None)
    reserved = simulate(offline, scarce, Orca(256, LONGEST))
    paged = simulate(offline, scarce, PrefillFirst(256))
    assert paged.finished_s.max() < reserved.finished_s.max() / 1.7
    assert paged.timeline.running.max() > 2 * reserved.timeline.running.max()
    assert reserved.preemptions.sum() == 0


def test_blocks_on_demand_gain_little_where_memory_is_plenty(scarce: Server) -> None:
    """Control: the gain is memory's."""
    offline = chats(400, rate=None)
    plenty = Server(scarce.times, blocks=100 * scarce.blocks)
    reserved = simulate(offline, plenty, Orca(64, LONGEST))
    paged = simulate(offline, plenty, PrefillFirst(64))
    assert paged.finished_s.max() == pytest.approx(reserved.finished_s.max(), rel=0.1)
