"""DistServe (arXiv:2401.09670): prompts and answers on GPUs of their own, where goals are tight."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.policies.batching import PrefillFirst, SarathiServe
from bursar.policies.routing import LeastJobs
from bursar.simulate import Pool, Simulation, link_of, server_of, simulate, simulate_split
from bursar.workload.traces import Trace

PLACE = Deployment(catalog.model("llama-2-13b"), catalog.device("a100-sxm-80gb"))
SERVER = server_of(PLACE)
GPUS = 8
FAST, SLOW = 25e9, 1e9
"""Bytes a second of an instance's link; the cache of a mean prompt is 0.6 GB."""
TPOT_SECONDS = 0.1
"""The paper's goal for chats; here the one for the first token is what binds."""


def chats(rate: float, seed: int) -> Trace:
    """Lengths with the means of the paper's chat set."""
    rng = np.random.default_rng(seed)
    prompt, answer = (
        np.clip(np.ceil(rng.lognormal(np.log(mean) - 0.32, 0.8, 500)), 4, 4000)
        for mean in (755, 200)
    )
    return Trace(np.cumsum(rng.exponential(1 / rate, 500)), prompt, answer)


@cache
def bare_seconds(seed: int) -> float:
    """The 90th percentile of the time to the first token without any load."""
    run = simulate(chats(0.01, seed), SERVER, PrefillFirst())
    return float(np.quantile(run.ttft_s, 0.9))


Serve = Callable[[Trace], Simulation]


def together(policy: PrefillFirst | SarathiServe) -> Serve:
    return lambda trace: simulate(trace, SERVER, policy, replicas=GPUS, router=LeastJobs())


def apart(prefills: int, bytes_per_second: float = FAST) -> Serve:
    prefill = Pool(SERVER, PrefillFirst(max_tokens=2048), prefills)
    decode = Pool(SERVER, SarathiServe(), GPUS - prefills)
    link = link_of(PLACE, bytes_per_second)
    return lambda trace: simulate_split(trace, prefill, decode, link)


def goodput(serve: Serve, goal: float, seed: int) -> float:
    """The highest rate (requests a second, to 5 %) that meets both goals for 90 %."""
    low, high = 0.2, 150.0
    while high > 1.05 * low:
        rate = (low * high) ** 0.5
        run = serve(chats(rate, seed))
        if run.attainment(ttft_s=goal * bare_seconds(seed), tpot_s=TPOT_SECONDS) >= 0.9:
            low = rate
        else:
            high = rate
    return low


def best(serves: list[Serve], goal: float, seed: int) -> float:
    return max(goodput(serve, goal, seed) for serve in serves)


COLOCATED = [together(p) for p in (PrefillFirst(), SarathiServe(), SarathiServe(max_tokens=512))]


@pytest.mark.parametrize("seed", [7, 8])
def test_apart_carries_half_as_much_again_if_first_tokens_are_wanted_at_once(seed: int) -> None:
    """Goal: within a tenth of the time that a lone prompt takes."""
    colocated, split = best(COLOCATED, 1.1, seed), goodput(apart(5), 1.1, seed)
    assert colocated > 0
    assert split > 1.5 * colocated
    assert goodput(apart(5, SLOW), 1.1, seed) < 0.5 * colocated  # the link is what binds


def test_together_carries_more_where_the_goals_leave_time() -> None:
    """At twice the time of a lone prompt no split is as good: all GPUs can do what is needed."""
    colocated = best(COLOCATED, 2.0, 7)
    assert best([apart(k) for k in (3, 4, 5, 6)], 2.0, 7) < 0.9 * colocated
