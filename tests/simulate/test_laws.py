"""Laws that hold for any server: queueing formulas, Little's law, conservation, capacity."""

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import BadInput, Infeasible
from bursar.policies.batching import (
    BATCHING,
    BatchState,
    Decision,
    PrefillFirst,
    SarathiServe,
    StaticBatching,
)
from bursar.policies.routing import ROUTING, LeastJobs, RoundRobin
from bursar.price import Price
from bursar.simulate import LinearTimes, RooflineTimes, Server, Simulation, server_of, simulate
from bursar.workload.traces import Trace

STEP = 0.001
ONE_AT_A_TIME = StaticBatching(max_jobs=1)
LLAMA = RooflineTimes(Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100")))


def single_server(load: float, requests: int, *, exponential: bool, seed: int) -> Simulation:
    """A queue with one server whose service takes 100 steps of 1 ms in the mean."""
    rng = np.random.default_rng(seed)
    steps = np.full(requests, 100)
    if exponential:
        steps = np.ceil(rng.exponential(100.0, requests) + 0.5).astype(int)
    arrivals = np.cumsum(rng.exponential(0.1 / load, requests))
    trace = Trace(arrivals, np.ones(requests), steps)
    return simulate(trace, Server(LinearTimes(STEP), blocks=10_000), ONE_AT_A_TIME)


def mixed(requests: int, rate: float, seed: int = 0) -> Trace:
    rng = np.random.default_rng(seed)
    return Trace(
        np.cumsum(rng.exponential(1 / rate, requests)),
        np.ceil(rng.lognormal(6.0, 1.0, requests)),
        np.ceil(rng.lognormal(4.5, 1.0, requests)),
    )


def test_a_single_server_waits_as_lindley_says() -> None:
    """W(n+1) = max(0, W(n) + S(n) - A(n+1)), to rounding."""
    run = single_server(0.8, 3000, exponential=True, seed=1)
    arrival, service = run.trace.arrival_s, run.trace.output_tokens * STEP
    wait = np.zeros(len(arrival))
    for n in range(1, len(wait)):
        wait[n] = max(0.0, wait[n - 1] + service[n - 1] - (arrival[n] - arrival[n - 1]))
    np.testing.assert_allclose(run.admitted_s - arrival, wait, atol=1e-8)
    np.testing.assert_allclose(run.finished_s, run.admitted_s + service, atol=1e-8)


@pytest.mark.parametrize(("exponential", "factor"), [(True, 1.0), (False, 0.5)])
@pytest.mark.parametrize("load", [0.3, 0.6])
def test_mean_waits_are_those_of_mm1_and_md1(load: float, exponential: bool, factor: float) -> None:
    """Pollaczek-Khinchine: rho / (1 - rho) * service, and half of it without variance."""
    run = single_server(load, 40_000, exponential=exponential, seed=2)
    service = float(np.mean(run.trace.output_tokens)) * STEP
    rho = service * len(run.trace) / float(run.trace.arrival_s[-1])
    expected = factor * service * rho / (1 - rho)
    assert np.mean(run.admitted_s - run.trace.arrival_s) == pytest.approx(expected, rel=0.06)
    assert run.busy_seconds[0] / run.finished_s.max() == pytest.approx(rho, rel=0.01)
    assert run.usage.joules is None  # nothing is known of this server's power
    assert run.timeline.watts is None


@pytest.mark.parametrize("name", sorted(BATCHING))
def test_littles_law(name: str) -> None:
    """Jobs waiting and running, summed over time, are the times spent waiting and running."""
    run = simulate(mixed(1500, 12.0), Server(LLAMA, blocks=4000), BATCHING[name]())
    line, entered = run.timeline, run.trace.arrival_s + LLAMA.seconds_per_request
    inside = float(np.sum((line.running + line.waiting) * line.seconds))
    assert inside == pytest.approx(float(np.sum(run.finished_s - entered)), rel=1e-9)
    if not run.preemptions.any():
        queued = float(np.sum(run.admitted_s - entered))
        assert float(line.waiting @ line.seconds) == pytest.approx(queued, rel=1e-6)


@pytest.mark.parametrize("name", sorted(BATCHING))
def test_work_is_conserved(name: str) -> None:
    """The server is busy exactly while somebody is there."""
    run = simulate(mixed(400, 2.0), Server(LLAMA, blocks=4000), BATCHING[name]())
    start, end = run.trace.arrival_s + LLAMA.seconds_per_request, run.finished_s
    until = np.concatenate([[0.0], np.maximum.accumulate(end)[:-1]])
    occupied = float(np.sum(np.maximum(end - np.maximum(start, until), 0.0)))
    assert run.busy_seconds[0] == pytest.approx(occupied, rel=1e-9)
    assert run.busy_seconds[0] < 0.95 * end.max()


@pytest.mark.parametrize("name", sorted(BATCHING))
@pytest.mark.parametrize("router", sorted(ROUTING))
def test_every_request_is_served_once_and_in_order(name: str, router: str) -> None:
    trace, server = mixed(1000, 60.0), Server(LLAMA, blocks=1500)
    run = simulate(trace, server, BATCHING[name](), replicas=3, router=ROUTING[router]())
    assert run.served.all()
    assert (trace.arrival_s <= run.admitted_s).all()
    assert (run.admitted_s < run.first_token_s).all()
    assert (run.first_token_s <= run.finished_s).all()
    assert run.usage.tokens == trace.input_tokens.sum() + trace.output_tokens.sum()
    assert run.gaps.tokens == trace.output_tokens.sum() - len(trace)
    assert (np.diff(run.admitted_s[run.replica == 0]) >= 0).all()


class Watched:
    """A policy that notes the least of the free blocks it is shown."""

    def __init__(self) -> None:
        self.policy, self.least = PrefillFirst(watermark=0.0), 10**9

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        self.least = min(self.least, state.free_blocks)
        held = sum(state.held_blocks(job) for job in state.running.values())
        assert held + state.free_blocks == state.blocks
        assert state.growth_blocks == sum(state.grows(job) for job in state.running.values())
        return self.policy.decide(state, now, price)


def test_the_cache_is_never_over_capacity_and_is_used_to_the_last_block() -> None:
    policy = Watched()
    run = simulate(mixed(300, 100.0), Server(LLAMA, blocks=700), policy)
    assert run.served.all()
    assert run.preemptions.sum() > 20
    assert policy.least == 0
    assert 0.5 * 700 < run.timeline.blocks.max() <= 700


def test_a_request_larger_than_the_cache_is_rejected_and_the_others_are_served() -> None:
    trace = Trace([0.0, 0.1, 0.2], [100, 20_000, 100], [61, 1, 62])
    run = simulate(trace, Server(LLAMA, blocks=10), PrefillFirst())  # 160 tokens; the last is free
    assert run.served.tolist() == [True, False, False]
    assert np.isnan(run.finished_s[1:]).all()
    assert run.summary()["completed"] == 1
    assert run.attainment(ttft_s=10.0) == pytest.approx(1 / 3)


class Stubborn:
    """Never runs anything."""

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        return Decision(decode=False)


def test_a_policy_that_does_nothing_is_found_out() -> None:
    with pytest.raises(Infeasible, match="policy leaves 50 of 50"):
        simulate(mixed(50, 1.0), Server(LLAMA, blocks=1000), Stubborn())


def test_bad_settings_name_the_value() -> None:
    with pytest.raises(BadInput, match="replicas = 0"):
        simulate(mixed(5, 1.0), Server(LLAMA, blocks=10), PrefillFirst(), replicas=0)
    with pytest.raises(BadInput, match="blocks = 0"):
        Server(LLAMA, blocks=0)
    with pytest.raises(BadInput, match="per_step = 0"):
        LinearTimes(0.0)
    with pytest.raises(BadInput, match="max_tokens = 0"):
        PrefillFirst(max_tokens=0)


def test_an_empty_trace_is_served_in_no_time() -> None:
    run = simulate(Trace([], [], []), Server(LLAMA, blocks=10), PrefillFirst())
    assert run.summary()["ttft_s"]["mean"] is None
    assert run.usage.seconds == 0


def test_more_urgent_requests_wait_less() -> None:
    trace = mixed(800, 40.0)
    ranked = Trace(
        trace.arrival_s, trace.input_tokens, trace.output_tokens, priority=np.arange(800) % 2
    )
    run = simulate(ranked, Server(LLAMA, blocks=2000), PrefillFirst())
    urgent, patient = run.ttft_s[::2], run.ttft_s[1::2]
    assert np.mean(urgent) < 0.5 * np.mean(patient)


def test_preempting_the_only_decoding_job_leaves_nobody_waiting_for_ever() -> None:
    """An urgent prompt is prefilled in chunks while the other lacks a block and is preempted."""
    trace = Trace([0.0, 0.03], [10, 120], [40, 8], priority=[1, 0])
    policy = SarathiServe(max_tokens=8, watermark=0.0)
    run = simulate(trace, Server(LinearTimes(0.01), blocks=9), policy)
    assert run.served.all()
    assert run.preemptions.tolist() == [1, 0]


def test_fewest_jobs_waits_less_than_round_robin() -> None:
    trace, server = mixed(3000, 55.0), Server(LLAMA, blocks=3000)
    waits = {
        type(router).__name__: float(
            np.mean(simulate(trace, server, PrefillFirst(), replicas=4, router=router).e2e_s)
        )
        for router in (RoundRobin(), LeastJobs())
    }
    assert waits["LeastJobs"] < waits["RoundRobin"]


def test_replicas_fed_in_turn_are_as_good_as_alone() -> None:
    trace, server = mixed(600, 30.0), Server(LLAMA, blocks=1500)
    fleet = simulate(trace, server, PrefillFirst(), replicas=3)
    for place in range(3):
        alone = simulate(trace.take(np.arange(place, 600, 3)), server, PrefillFirst())
        np.testing.assert_array_equal(fleet.finished_s[place::3], alone.finished_s)


def test_the_blocks_of_a_deployment_are_what_memory_leaves() -> None:
    place = Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100"))
    server = server_of(place)
    per_token = 2 * 32 * 8 * 128 * 2
    assert place.device.memory_bytes is not None
    left = 0.9 * place.device.memory_bytes - 2 * 8.03e9
    assert server.blocks * 16 * per_token == pytest.approx(left, rel=0.03)
    with pytest.raises(Infeasible, match=r"llama-3\.1-70b .* use more devices"):
        server_of(Deployment(catalog.model("llama-3.1-70b"), catalog.device("h100")))


def test_rent_and_energy_are_those_of_the_whole_fleet() -> None:
    place = Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100"))
    device, trace = place.device, mixed(200, 2.0)
    one, two = (simulate(trace, server_of(place), PrefillFirst(), replicas=n) for n in (1, 2))
    assert device.usd_per_hour is not None
    assert device.idle_watts is not None
    for run, replicas in ((one, 1), (two, 2)):
        usage = run.usage
        assert usage.seconds is not None
        assert usage.usd == pytest.approx(usage.seconds * replicas * device.usd_per_hour / 3600)
        assert usage.joules is not None
        assert run.timeline.watts is not None
        assert float(run.timeline.watts @ run.timeline.seconds) == pytest.approx(usage.joules)
        assert device.idle_watts * replicas * usage.seconds < usage.joules
        assert device.tdp_watts is not None
        assert usage.joules < device.tdp_watts * replicas * usage.seconds
