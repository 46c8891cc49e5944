"""Past-Future (arXiv:2507.10150): what is admitted is what past answers say will fit."""

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.policies.batching import BatchPolicy, Orca, PastFuture, PrefillFirst
from bursar.simulate import Server, Simulation, server_of, simulate_users
from bursar.workload.traces import ClosedLoop

SERVER = server_of(Deployment(catalog.model("llama-2-13b"), catalog.device("a100-sxm-40gb")))
"""Room for 15,200 tokens."""
LONGEST = 2048


def users(count: int, seed: int) -> ClosedLoop:
    """Each asks 60 times; half way the median answer goes from 150 to 350 tokens."""
    rng = np.random.default_rng(seed)
    shape, median = (count, 60), np.where(np.arange(60) < 30, 150.0, 350.0)
    answer = np.minimum(np.ceil(rng.lognormal(np.log(median), 0.7, shape)), LONGEST)
    prompt = np.minimum(np.ceil(rng.lognormal(np.log(160.0), 0.8, shape)), 1024)
    return ClosedLoop(rng.exponential(1.0, shape), prompt.astype(int), answer.astype(int))


def goodput(run: Simulation) -> float:
    """Requests a second with the first token within 10 s and no stall above 1.5 s."""
    until = float(run.finished_s.max())
    return run.attainment(ttft_s=10.0, stalled_s=1.5) * len(run.trace) / until


@pytest.mark.parametrize("crowd", [40, 60])
def test_far_fewer_evictions_and_more_goodput_when_answers_grow_longer(crowd: int) -> None:
    good, evicted = np.zeros(3), np.zeros(3)
    policies: list[BatchPolicy] = [PastFuture(), PrefillFirst(), Orca(max_output_tokens=LONGEST)]
    for seed in (1, 2):
        runs = [simulate_users(users(crowd, seed), SERVER, policy) for policy in policies]
        good += [goodput(run) for run in runs]
        evicted += [run.preemptions.sum() for run in runs]
    ours, aggressive, conservative = good
    assert ours > aggressive
    assert ours > 5 * conservative
    assert evicted[0] < evicted[1] / 4
    assert evicted[2] == 0


@pytest.mark.parametrize("crowd", [40, 60])
def test_against_a_fixed_reserve_as_large_only_evictions_are_fewer(crowd: int) -> None:
    """What the paper does not have: goodput comes from the reserve, not from the prediction."""
    policies: list[BatchPolicy] = [PastFuture(reserved=0.05), PrefillFirst(watermark=0.05)]
    good, evicted = np.zeros(2), np.zeros(2)
    for seed in (1, 2, 3):
        runs = [simulate_users(users(crowd, seed), SERVER, policy) for policy in policies]
        good += [goodput(run) for run in runs]
        evicted += [run.preemptions.sum() for run in runs]
    assert good[0] == pytest.approx(good[1], rel=0.03)
    assert evicted[0] < 0.85 * evicted[1]


def test_it_gains_nothing_where_memory_is_plenty() -> None:
    """Control: without pressure on memory nothing is held back, and nothing evicted."""
    plenty = Server(SERVER.times, blocks=20 * SERVER.blocks)
    ours, aggressive = (
        simulate_users(users(40, 1), plenty, policy) for policy in (PastFuture(), PrefillFirst())
    )
    np.testing.assert_allclose(ours.finished_s, aggressive.finished_s)
