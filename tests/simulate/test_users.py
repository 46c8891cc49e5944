"""Users who wait for an answer before they ask again."""

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import Infeasible
from bursar.policies.batching import PrefillFirst, SarathiServe, StaticBatching
from bursar.policies.routing import LeastJobs
from bursar.simulate import LinearTimes, RooflineTimes, Server, simulate, simulate_users
from bursar.workload.traces import ClosedLoop, LognormalLengths

LLAMA = RooflineTimes(Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100")))


def alike(users: int, turns: int, think_s: float) -> ClosedLoop:
    table = np.ones((users, turns), dtype=int)
    return ClosedLoop(table * think_s, table * 10, table * 100)


@pytest.mark.parametrize("users", [1, 3, 12])
def test_a_closed_queue_is_as_fast_as_its_bottleneck(users: int) -> None:
    """X = min(N / (Z + S), 1 / S): a bound of operational analysis, exact without variance.

    N users think Z = 0.5 s, one server takes S = 0.1 s.
    """
    server = Server(LinearTimes(0.001), blocks=1000)
    run = simulate_users(alike(users, 40, think_s=0.5), server, StaticBatching(max_jobs=1))
    rate = len(run.trace) / run.finished_s.max()
    assert rate == pytest.approx(min(users / 0.6, 10.0), rel=0.03)


def test_the_response_time_law() -> None:
    """N = X (R + Z) while all users take part: each is always either thinking or waiting."""
    loop = ClosedLoop.drawn(
        20, 60, 2.0, LognormalLengths(200, 1.0, 100, 1.0), np.random.default_rng(0)
    )
    run = simulate_users(loop, Server(LLAMA, blocks=3000), PrefillFirst())
    think, turns = float(np.sum(loop.think_s)), loop.think_s.size
    assert len(run.trace) == turns
    lasts = sum_of_last_answers(loop, run.trace.arrival_s, run.finished_s, run.trace.output_tokens)
    assert float(np.sum(run.e2e_s)) + think == pytest.approx(lasts, rel=1e-9)


def sum_of_last_answers(
    loop: ClosedLoop, arrival: np.ndarray, finished: np.ndarray, output: np.ndarray
) -> float:
    """When each user was done, summed: followed from turn to turn by time of arrival."""
    total = 0.0
    for think, outputs in zip(loop.think_s, loop.output_tokens, strict=True):
        now = 0.0
        for pause, length in zip(think, outputs, strict=True):
            row = int(np.argmin(np.abs(arrival - (now + pause))))
            assert arrival[row] == pytest.approx(now + pause, rel=1e-12)
            assert output[row] == length
            now = finished[row]
        total += now
    return total


def test_what_they_asked_replayed_as_a_trace_gives_the_same_times() -> None:
    loop = ClosedLoop.drawn(
        30, 20, 0.5, LognormalLengths(300, 1.0, 150, 1.0), np.random.default_rng(1)
    )
    server = Server(LLAMA, blocks=1200)
    run = simulate_users(loop, server, SarathiServe(), replicas=2, router=LeastJobs())
    again = simulate(run.trace, server, SarathiServe(), replicas=2, router=LeastJobs())
    np.testing.assert_array_equal(again.finished_s, run.finished_s)
    assert run.preemptions.sum() > 0


def test_a_turn_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Infeasible, match=r"user 0's turn 0 needs 110 tokens .* has 96"):
        simulate_users(alike(2, 2, 0.0), Server(LLAMA, blocks=6), PrefillFirst())
