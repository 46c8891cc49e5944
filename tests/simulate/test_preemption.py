"""Priorities that displace running jobs, and caches that are swapped rather than computed again."""

from dataclasses import replace

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.policies.batching import (
    ByPriority,
    BySwap,
    DrawnPriorities,
    Orca,
    PrefillFirst,
    SarathiServe,
)
from bursar.policies.batching.base import Job
from bursar.simulate import (
    HostMemory,
    LinearTimes,
    Server,
    Simulation,
    host_memory_of,
    server_of,
    simulate,
)
from bursar.workload.traces import Trace

STEP = 0.001
ONE_AT_A_TIME = Orca(max_jobs=1)
FREE_SWAPS = Server(LinearTimes(STEP), blocks=10_000, host=HostMemory(10**7, block_seconds=0.0))
PLACE = Deployment(catalog.model("llama-3.1-8b"), catalog.device("a10"))
SERVER = server_of(PLACE)
HOST = host_memory_of(PLACE, 60e9, bytes_per_second=25e9, seconds_per_copy=10e-6)
SWAPPING = replace(SERVER, host=replace(HOST, group_blocks=60))


def two_classes(requests: int, seed: int) -> Trace:
    """For a server of one at a time, a load of 0.3 that is urgent (0), and one of 0.4 (1)."""
    rng = np.random.default_rng(seed)
    answer = np.ceil(rng.exponential(100.0, requests) + 0.5)
    arrival = np.cumsum(rng.exponential(0.1 / 0.7, requests))
    return Trace(arrival, np.ones(requests), answer, priority=rng.random(requests) > 3 / 7)


def crowd(seed: int) -> Trace:
    """More than the server can carry; one in ten is urgent."""
    rng, requests = np.random.default_rng(seed), 600
    return Trace(
        np.cumsum(rng.exponential(1 / 12, requests)),
        np.ceil(rng.lognormal(5.5, 0.8, requests)),
        np.ceil(rng.lognormal(5.3, 0.7, requests)),
        priority=rng.random(requests) > 0.1,
    )


def only(trace: Trace, priority: int) -> Trace:
    return trace.take(np.flatnonzero(trace.priority == priority))


def of_class(run: Simulation, column: np.ndarray, priority: int) -> np.ndarray:
    return column[run.trace.priority == priority]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_urgent_do_not_notice_the_others_and_no_work_is_lost(seed: int) -> None:
    """One at a time, swapped for nothing: a preemptive-resume queue."""
    trace = two_classes(2000, seed)
    run = simulate(trace, FREE_SWAPS, BySwap(ByPriority(ONE_AT_A_TIME)))
    alone = simulate(only(trace, 0), FREE_SWAPS, ONE_AT_A_TIME)
    # An urgent request waits for the end of the step in which it comes.
    np.testing.assert_allclose(of_class(run, run.e2e_s, 0), alone.e2e_s, atol=2.5 * STEP)
    assert run.preemptions.sum() > 300
    fifo = simulate(replace(trace, priority=None), FREE_SWAPS, ONE_AT_A_TIME)
    assert run.busy_seconds[0] == pytest.approx(fifo.busy_seconds[0], rel=1e-9)
    assert run.finished_s.max() == pytest.approx(fifo.finished_s.max(), abs=2 * STEP)


def test_the_others_starve_no_more_than_they_must() -> None:
    """Their mean time is that of the M/G/1 queue with preemptive-resume priorities.

    T2 = S2 / (1 - r1) + (r1 R1 + r2 R2) / ((1 - r1) (1 - r1 - r2)), with R = E[S^2] / (2 E[S]).
    """
    trace = two_classes(25_000, 4)
    run = simulate(trace, FREE_SWAPS, BySwap(ByPriority(ONE_AT_A_TIME)))
    service, span = trace.output_tokens * STEP, float(trace.arrival_s[-1])
    first, second = (service[trace.priority == p] for p in (0, 1))
    load, both = first.sum() / span, service.sum() / span
    residual = float(np.sum(service**2)) / 2 / span
    expected = second.mean() / (1 - load) + residual / ((1 - load) * (1 - both))
    assert np.mean(of_class(run, run.e2e_s, 1)) == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize("policy", [PrefillFirst(), SarathiServe()], ids=["whole", "chunks"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_first_tokens_of_the_urgent_are_soon_where_memory_is_short(
    seed: int, policy: PrefillFirst | SarathiServe
) -> None:
    trace = crowd(seed)
    alone = simulate(only(trace, 0), SERVER, policy)
    queued, again, swapped = (
        simulate(trace, server, how)
        for server, how in [
            (SERVER, policy),
            (SERVER, ByPriority(policy)),
            (SWAPPING, BySwap(ByPriority(policy))),
        ]
    )
    tails = [
        float(np.quantile(of_class(run, run.ttft_s, 0), 0.95)) for run in (queued, again, swapped)
    ]
    assert max(tails[1:]) < float(np.quantile(alone.ttft_s, 0.95)) + 0.5
    assert max(tails[1:]) < 0.6 * tails[0]
    # What is computed again costs the others time; what is swapped hardly does.
    others = [float(np.mean(of_class(run, run.e2e_s, 1))) for run in (queued, again, swapped)]
    assert others[1] < 1.12 * others[0]
    assert others[2] < 1.03 * others[0]
    assert others[2] < others[1]
    assert swapped.busy_seconds[0] < 1.01 * queued.busy_seconds[0]
    assert again.transfers.operations == 0 < swapped.transfers.operations


def test_a_full_host_lets_caches_be_computed_again() -> None:
    """The same number of blocks out and in, at most what there is room for; all are served."""
    small = replace(SERVER, host=replace(HOST, blocks=20))
    run = simulate(crowd(1), small, BySwap(ByPriority(SarathiServe())))
    assert run.served.all()
    assert run.preemptions.sum() > 50
    assert 0 < run.transfers.blocks_out == run.transfers.blocks_in < 20 * run.preemptions.sum()


def test_only_long_contexts_are_swapped() -> None:
    none = BySwap(ByPriority(SarathiServe()), least_tokens=10**6)
    run = simulate(crowd(1), SWAPPING, none)
    again = simulate(crowd(1), SERVER, ByPriority(SarathiServe()))
    assert run.transfers.operations == 0
    np.testing.assert_array_equal(run.finished_s, again.finished_s)


def test_without_priorities_nothing_changes() -> None:
    trace = replace(crowd(1), priority=None)
    plain, wrapped = (
        simulate(trace, SERVER, how) for how in (SarathiServe(), ByPriority(SarathiServe()))
    )
    np.testing.assert_array_equal(plain.finished_s, wrapped.finished_s)


def test_drawn_priorities_are_even_and_stay_as_often_as_asked() -> None:
    jobs = [Job(index, 1, 0.0) for index in range(400)]
    for stay in (0.0, 0.6):
        drawn = DrawnPriorities(2.0, levels=4, stay=stay)
        table = np.array([[drawn.of(job, 2.0 * period) for job in jobs] for period in range(40)])
        assert np.all(np.abs(np.bincount(table.ravel()) / table.size - 0.25) < 0.02)
        kept = float(np.mean(table[1:] == table[:-1]))
        assert kept == pytest.approx(stay + (1 - stay) / 4, abs=0.02)
        assert drawn.until(3.0) == 4.0 == drawn.until(2.0)
    one = replace(jobs[0], conversation=7), replace(jobs[1], conversation=7)
    assert drawn.of(one[0], 9.0) == drawn.of(one[1], 9.0)
