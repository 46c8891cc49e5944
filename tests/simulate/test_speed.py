"""How the time to simulate grows: with events, not with tokens, and in proportion."""

import time

import numpy as np

from bursar.policies.batching import SarathiServe
from bursar.simulate import LinearTimes, Server, simulate
from bursar.workload.traces import Trace


def cpu_seconds(trace: Trace, server: Server) -> float:
    start = time.process_time()
    assert simulate(trace, server, SarathiServe()).served.all()
    return time.process_time() - start


def test_cost_grows_with_events_not_tokens() -> None:
    """Answers a hundred times as long, at a hundredth of the rate, take no longer to simulate."""
    rng, server = np.random.default_rng(0), Server(LinearTimes(0.01), blocks=10**6)
    gaps, prompts = rng.exponential(0.5, 3000), np.full(3000, 100)
    short = Trace(np.cumsum(gaps), prompts, np.full(3000, 100))
    long = Trace(np.cumsum(100 * gaps), prompts, np.full(3000, 10_000))
    seconds = [min(cpu_seconds(trace, server) for _ in range(3)) for trace in (short, long)]
    assert seconds[1] < 1.5 * seconds[0]


def test_cost_grows_with_the_number_of_requests() -> None:
    rng, server = np.random.default_rng(0), Server(LinearTimes(0.01, 1e-5), blocks=10**5)
    few, many = (
        Trace(np.cumsum(rng.exponential(0.2, n)), rng.integers(1, 999, n), rng.integers(1, 300, n))
        for n in (3000, 24_000)
    )
    assert cpu_seconds(many, server) < 8 * 1.5 * min(cpu_seconds(few, server) for _ in range(3))
