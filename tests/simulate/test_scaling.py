"""Replicas that come and go: what they cost, when they serve, and that nothing is lost."""

from collections.abc import Callable

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.policies.batching import SarathiServe
from bursar.policies.migration import FreenessRange
from bursar.policies.routing import LeastJobs
from bursar.policies.scaling import SCALING, Fixed, ScalingState, TargetLoad, WorthTheRent
from bursar.price import Price
from bursar.simulate import RooflineTimes, Scaling, Server, Simulation, simulate
from bursar.workload.traces import Trace

PLACE = Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100"))
RENT = 0.001
SERVER = Server(RooflineTimes(PLACE), blocks=2000, usd_per_second=RENT)


def day(seed: int, seconds: float = 900.0, mean: float = 12.0, swing: float = 0.9) -> Trace:
    """One quiet and one busy time; lengths of all sizes."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / (2 * mean), int(2 * mean * seconds)))
    rate = 1.0 - swing * np.cos(2 * np.pi * arrivals / seconds)
    arrivals = arrivals[(rng.random(len(arrivals)) < rate / 2) & (arrivals < seconds)]
    return Trace(
        arrivals,
        np.clip(np.ceil(rng.lognormal(6.0, 1.0, len(arrivals))), 1, 8000),
        np.clip(np.ceil(rng.lognormal(5.0, 1.0, len(arrivals))), 1, 4000),
    )


def serve(trace: Trace, replicas: int, *controls: Scaling) -> Simulation:
    router = LeastJobs()
    return simulate(
        trace, SERVER, SarathiServe(), replicas=replicas, router=router, controls=controls
    )


class Plan:
    """Asks for what a table says: (from second, replicas)."""

    def __init__(self, *table: tuple[float, int]) -> None:
        self.table = table

    def decide(self, state: ScalingState, now: float, price: Price) -> int:
        return [replicas for since, replicas in self.table if since <= now][-1]


@pytest.mark.parametrize("replicas", [1, 4])
def test_one_that_never_changes_is_a_fixed_fleet(replicas: int) -> None:
    trace = day(0, 200.0)
    fixed, scaled = serve(trace, replicas), serve(trace, replicas, Scaling(Fixed()))
    np.testing.assert_array_equal(scaled.replica, fixed.replica)
    np.testing.assert_allclose(scaled.finished_s, fixed.finished_s, rtol=1e-9)
    assert scaled.usage.usd == pytest.approx(fixed.usage.usd)
    assert scaled.usage.joules == pytest.approx(fixed.usage.joules)
    assert fixed.timeline.replicas == pytest.approx(np.full(len(fixed.timeline.replicas), replicas))


def test_without_a_cold_start_it_soon_is_the_larger_fleet() -> None:
    """Four from the first tick on, before the second request comes."""
    trace = day(0, 200.0)
    plan = Scaling(Plan((0.0, 4)), cold_start_seconds=0.0, interval_seconds=0.5)
    fixed, scaled = serve(trace, 4), serve(trace, 1, plan)
    assert trace.arrival_s[0] > 0.5
    np.testing.assert_array_equal(scaled.replica, fixed.replica)
    np.testing.assert_allclose(scaled.finished_s, fixed.finished_s, rtol=1e-9)


def test_a_replica_takes_requests_after_its_cold_start_and_is_paid_from_the_beginning() -> None:
    trace = day(1, 300.0)
    plan = Scaling(Plan((0.0, 1), (50.0, 3)), cold_start_seconds=40.0, interval_seconds=5.0)
    run = serve(trace, 1, plan)
    later = trace.arrival_s[run.replica > 0]
    assert 90.0 <= later.min() < 92.0
    assert run.usage.seconds is not None
    assert run.usage.usd == pytest.approx(RENT * (3 * run.usage.seconds - 2 * 50.0))
    line = run.timeline
    assert float(line.replicas @ line.seconds) * RENT == pytest.approx(run.usage.usd)
    assert line.replicas[: int(49 / line.width_seconds)] == pytest.approx(1.0)


def test_a_replica_drains_and_is_paid_until_its_last_answer() -> None:
    trace = day(2, 300.0)
    plan = Scaling(Plan((0.0, 3), (100.0, 1)), patience_seconds=0.0, interval_seconds=5.0)
    run = serve(trace, 3, plan)
    assert run.served.all()
    left = [place for place in range(3) if (run.replica == place).sum() < len(trace) / 2]
    assert len(left) == 2
    last = [float(run.finished_s[run.replica == place].max()) for place in left]
    assert min(last) > 100.0, "none had work to finish"
    assert all(trace.arrival_s[run.replica == place].max() <= 100.0 for place in left)
    assert run.usage.seconds is not None
    assert run.usage.usd == pytest.approx(RENT * (run.usage.seconds + sum(last)))


SCALERS = {name: make() for name, make in SCALING.items()} | {"freeness": FreenessRange()}


@pytest.mark.parametrize("name", sorted(SCALERS))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_request_is_served_once_within_the_bounds(name: str, seed: int) -> None:
    trace = day(seed, 300.0)
    scaling = Scaling(SCALERS[name], 20.0, minimum=2, maximum=5, patience_seconds=20.0)
    run = serve(trace, 3, scaling)
    assert run.served.all()
    assert run.usage.tokens == trace.input_tokens.sum() + trace.output_tokens.sum()
    assert run.gaps.tokens == trace.output_tokens.sum() - len(trace)
    assert run.timeline.replicas.min() > 2 - 1e-9
    entered = trace.arrival_s + SERVER.times.seconds_per_request
    inside = float(np.sum((run.timeline.running + run.timeline.waiting) * run.timeline.seconds))
    assert inside == pytest.approx(float(np.sum(run.finished_s - entered)), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_following_the_traffic_costs_less_than_the_best_fixed_fleet(seed: int) -> None:
    """For 99 % of first tokens within a second; less still when replicas are up at once."""
    trace = day(seed, 600.0, 24.0)
    policy = WorthTheRent(jobs=24)
    cold, warm = (
        serve(trace, 2, Scaling(policy, seconds, maximum=16, patience_seconds=30.0))
        for seconds in (15.0, 0.0)
    )
    small, fixed = serve(trace, 4), serve(trace, 5)
    assert small.attainment(ttft_s=1.0) < 0.99
    assert min(run.attainment(ttft_s=1.0) for run in (cold, warm, fixed)) > 0.99
    assert fixed.usage.usd is not None
    assert cold.usage.usd is not None
    assert warm.usage.usd is not None
    assert warm.usage.usd < cold.usage.usd < 0.85 * fixed.usage.usd


def test_more_traffic_wants_more_replicas_and_a_dearer_wait_too() -> None:
    trace, wanted = day(0, 120.0), {}
    for name, policy in {
        "cheap": WorthTheRent(jobs=4, usd_per_wait_second=1e-4),
        "dear": WorthTheRent(jobs=4, usd_per_wait_second=1.0),
    }.items():
        run = serve(trace, 2, Scaling(policy, 0.0, maximum=32))
        wanted[name] = run.timeline.replicas.max()
    assert wanted["dear"] > wanted["cheap"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Scaling(Fixed(), minimum=0), "minimum = 0"),
        (lambda: Scaling(Fixed(), minimum=3, maximum=2), "maximum = 2"),
        (lambda: Scaling(Fixed(), cold_start_seconds=-1.0), "cold_start_seconds = -1"),
        (lambda: Scaling(Fixed(), interval_seconds=0.0), "interval_seconds = 0"),
        (lambda: TargetLoad(0.0), "target = 0"),
        (lambda: WorthTheRent(jobs=0), "jobs = 0"),
        (lambda: serve(day(0, 20.0), 5, Scaling(Fixed(), maximum=4)), "starts with 5 replicas"),
    ],
)
def test_bad_settings_name_the_value(make: Callable[[], object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        make()
