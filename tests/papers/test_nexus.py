"""Nexus (arXiv:2507.06608): one GPU is divided between prompts and decodes by latency models."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import MEASURED, Deployment
from bursar.cost.shared_device import shared_device
from bursar.errors import BadInput
from bursar.policies.batching import SarathiServe
from bursar.policies.partitioning import LanePolicy, Nexus, Reactive, ShortestFirst
from bursar.simulate import Simulation, server_of, simulate
from bursar.simulate.partitioned import PartitionedRun, simulate_partitioned
from bursar.workload.traces import Trace
from bursar.workload.traces.arrivals import OnOff

PLACE = Deployment(catalog.model("llama-3.1-8b"), catalog.device("a100"), efficiency=MEASURED)
SERVER, DEVICE = server_of(PLACE), shared_device(PLACE)
SEEDS = [2, 3, 4, 5, 6]
FIRST_COME = 1e9
"""An age that outweighs every length."""


@cache
def bursts(seed: int, rate: float = 5.0) -> Trace:
    """`rate` requests a second for 10 s, then 1 a second for 20 s; lengths of the chat set."""
    rng = np.random.default_rng(seed)
    times = OnOff(rate, 10.0, 20.0, 1.0).times(45.0, rng)
    prompt = np.clip(np.ceil(rng.lognormal(np.log(1730), 0.93, len(times))), 4, 16_000)
    answer = np.clip(np.ceil(rng.lognormal(np.log(415), 0.545, len(times))), 2, 4000)
    return Trace(times, prompt, answer)


@cache
def lanes(seed: int, policy: LanePolicy, rate: float = 5.0) -> PartitionedRun:
    return simulate_partitioned(bursts(seed, rate), PLACE, SERVER, policy)


@cache
def chunked(seed: int, budget: int, rate: float = 5.0) -> Simulation:
    return simulate(bursts(seed, rate), SERVER, SarathiServe(max_tokens=budget))


def first_token(run: PartitionedRun | Simulation) -> float:
    return float(np.quantile(run.ttft_s, 0.95))


def between(run: PartitionedRun | Simulation, share: float = 0.95) -> float:
    gap = run.gaps.quantile(share)
    assert gap is not None
    return gap


def beside(seed: int, budget: int, aging: float = 15.0, rate: float = 5.0) -> Nexus:
    """With what chunked prefill of this budget reaches between tokens as its goal."""
    goal = 0.95 * between(chunked(seed, budget, rate))
    return Nexus(DEVICE, goal_seconds=goal, order=ShortestFirst(aging=aging))


def ratios(budget: int, aging: float = 15.0, rate: float = 5.0) -> list[float]:
    """First tokens' 95th percentile over chunked prefill's, by seed, at less between tokens."""
    found = []
    for seed in SEEDS:
        run, other = (
            lanes(seed, beside(seed, budget, aging, rate), rate),
            chunked(seed, budget, rate),
        )
        assert between(run) < between(other)
        found.append(first_token(run) / first_token(other))
    return found


@pytest.mark.parametrize(
    "budget",
    [512, pytest.param(256, marks=pytest.mark.slow), pytest.param(1024, marks=pytest.mark.slow)],
)
def test_both_tails_are_below_those_of_chunked_prefill(budget: int) -> None:
    found = ratios(budget)
    assert np.mean(found) < 0.95
    assert np.median(found) < 1.0


@pytest.mark.slow
def test_first_come_first_served_has_only_the_other_gain() -> None:
    """The order is what first tokens gain by; the partition alone keeps them as early."""
    first_come = np.mean(ratios(512, FIRST_COME))
    assert np.mean(ratios(512)) < 0.9 * first_come
    assert first_come < 1.1


@pytest.mark.slow
def test_where_nobody_queues_there_is_nothing_to_gain() -> None:
    """Control: at a third of the load all units for one prompt are as good as a part of them."""
    assert np.median(ratios(512, rate=1.5)) > 0.95


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_feedback_overshoots_what_the_model_foresees(seed: int) -> None:
    """Same order, same goal; feedback on every step, and once a second."""
    goal = 0.05
    run = lanes(seed, Nexus(DEVICE, goal_seconds=goal))
    assert between(run, 0.99) <= 1.05 * goal
    for every in (0.0, 1.0):
        other = lanes(seed, Reactive(goal, every_seconds=every))
        assert between(run) <= 1.03 * between(other)
        assert between(run, 0.99) <= 1.03 * between(other, 0.99)


@pytest.mark.slow
def test_feedback_has_first_tokens_as_early() -> None:
    """What the model does not gain: at one goal the first tokens of both are even."""
    pairs = [
        [first_token(lanes(seed, x)) for x in (Nexus(DEVICE), Reactive(every_seconds=1.0))]
        for seed in SEEDS
    ]
    model, feedback = np.mean(pairs, axis=0)
    assert model == pytest.approx(feedback, rel=0.15)
    late = [between(lanes(seed, Reactive(every_seconds=1.0)), 0.99) for seed in SEEDS]
    assert np.mean(late) > 1.1 * np.mean([between(lanes(x, Nexus(DEVICE)), 0.99) for x in SEEDS])


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_predicted_step_times_are_near_what_happens(seed: int) -> None:
    policy = beside(seed, 512)
    errors: dict[bool, list[float]] = {True: [], False: []}
    for step in lanes(seed, policy).steps:
        predicted = policy.predict(step.prefill_work, step.decode_work, step.prefill_units)
        seconds = predicted.prefill if step.prefill else predicted.decode
        errors[step.prefill].append(abs(seconds / step.seconds - 1.0))
    assert min(map(len, errors.values())) > 100
    assert max(float(np.mean(x)) for x in errors.values()) < 0.1


@pytest.mark.slow
def test_the_gain_hangs_on_few_units_filling_the_bandwidth() -> None:
    """Control: where decodes need most units to read at full speed, chunked prefill is earlier."""
    greedy, found = replace(DEVICE, memory_units=0.7), []
    for seed in SEEDS:
        policy = replace(beside(seed, 512), device=greedy)
        run = simulate_partitioned(bursts(seed), PLACE, SERVER, policy, device=greedy)
        found.append(first_token(run) / first_token(chunked(seed, 512)))
    assert np.mean(found) > 1.0


def test_limits() -> None:
    with pytest.raises(BadInput, match=r"slack = 0.5"):
        Nexus(DEVICE, slack=0.5)
    with pytest.raises(BadInput, match=r"step = 0.7"):
        Reactive(step=0.7)
