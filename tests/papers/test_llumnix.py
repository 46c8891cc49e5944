"""Llumnix (arXiv:2406.03243): requests migrate where memory is short, and tails get shorter.

A 7-billion model on A10s with the paper's 13,616 tokens of cache, lengths with heavy tails, and a
link of 64 Gbit/s. Percentiles are over the requests of all seeds: one seed's 1 % is 20 requests.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import MEASURED, Deployment
from bursar.policies.batching import PrefillFirst
from bursar.policies.migration import Freeness, Freest, Llumnix
from bursar.policies.routing import LeastTokens, Router
from bursar.simulate import Migration, Simulation, link_of, server_of, simulate
from bursar.simulate.controls import Control
from bursar.workload.traces import Trace

PLACE = Deployment(catalog.model("llama-2-7b"), catalog.device("a10"), efficiency=MEASURED)
SERVER = replace(server_of(PLACE), blocks=13_616 // 16)
FAST, SLOW = 8e9, 1e7
"""Bytes a second; a cached token is half a megabyte."""
LONGEST = 6000
SEEDS = range(4)


def lengths(rng: np.random.Generator, requests: int, mean: float) -> np.ndarray:
    """A power law, as the paper's."""
    drawn = np.minimum(rng.pareto(1.5, requests) + 1, 3 * LONGEST / mean)
    return np.clip(np.ceil(drawn * mean / drawn.mean()), 8, LONGEST)


@cache
def trace(seed: int, rate: float) -> Trace:
    """One request in ten is urgent."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / rate, 2000))
    prompts, answers = lengths(rng, 2000, 256), lengths(rng, 2000, 512)
    return Trace(arrivals, prompts, answers, priority=(rng.random(2000) > 0.1).astype(int))


def serve(
    requests: Trace, replicas: int, router: Router, controls: Sequence[Control] = ()
) -> Simulation:
    return simulate(
        requests, SERVER, PrefillFirst(), replicas=replicas, router=router, controls=controls
    )


def migration(bytes_per_second: float = FAST, freeness: Freeness | None = None) -> Migration:
    return Migration(Llumnix(freeness or Freeness()), link_of(PLACE, bytes_per_second))


@cache
def runs(replicas: int, method: str) -> list[Simulation]:
    """Four requests a second, all equally urgent: what eight instances can just carry."""
    router = LeastTokens() if method == "load-aware" else Freest()
    controls = {"llumnix": [migration()], "slow": [migration(SLOW)]}.get(method, [])
    equal = [replace(trace(seed, 4.0), priority=None) for seed in SEEDS]
    return [serve(one, replicas, router, controls) for one in equal]


def p99(of: list[Simulation]) -> float:
    return float(np.quantile(np.concatenate([run.ttft_s for run in of]), 0.99))


def preemptions(of: list[Simulation]) -> int:
    return sum(int(run.preemptions.sum()) for run in of)


def test_the_first_token_comes_sooner_at_the_99th_percentile_and_preemptions_are_fewer() -> None:
    """Against both ways of dispatch without migration, by tokens and by freeness."""
    moved = runs(8, "llumnix")
    for alone in (runs(8, "load-aware"), runs(8, "freest")):
        assert p99(moved) < 0.7 * p99(alone)
        assert preemptions(moved) < 0.85 * preemptions(alone)
    assert sum(int(run.moves.sum()) for run in moved) > 500


def test_moved_requests_hardly_stop() -> None:
    """Half a second at the most where nobody is preempted; the mean cache takes 0.05 s to send."""
    stalled = np.concatenate(
        [run.stalled_s[(run.moves > 0) & (run.preemptions == 0)] for run in runs(8, "llumnix")]
    )
    assert np.quantile(stalled, 0.9) < 0.2


def test_over_a_slow_link_nothing_is_gained() -> None:
    """The control: a mean cache takes 40 seconds."""
    assert p99(runs(8, "slow")) > 0.85 * p99(runs(8, "freest"))


def test_with_memory_to_spare_there_is_nothing_to_gain() -> None:
    """The other control: twelve instances."""
    moved, alone = runs(12, "llumnix"), runs(12, "freest")
    assert sum(int(run.moves.sum()) for run in moved) < 20
    assert p99(moved) == pytest.approx(p99(alone), rel=0.1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_urgent_requests_are_faster_than_where_all_are_equal(seed: int) -> None:
    """At five requests a second there is more to do than eight instances can."""
    mixed = trace(seed, 5.0)
    equal = serve(replace(mixed, priority=None), 8, Freest(), [migration()])
    measure = Freeness(headroom_share=0.2)
    ranked = serve(mixed, 8, Freest(measure), [migration(freeness=measure)])
    urgent = mixed.priority == 0
    assert np.mean(equal.e2e_s[urgent]) > 1.3 * np.mean(ranked.e2e_s[urgent])
    assert np.mean(equal.ttft_s[urgent]) > 5 * np.mean(ranked.ttft_s[urgent])
    assert np.mean(ranked.e2e_s[~urgent]) < 1.25 * np.mean(equal.e2e_s[~urgent])
