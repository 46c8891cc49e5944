"""What every router keeps to, whatever its idea. A new one is tested by being listed."""

from dataclasses import replace

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.policies.batching import SarathiServe
from bursar.policies.routing import ROUTING, CachedPrefix, FleetState, RoundRobin, Router
from bursar.price import Price
from bursar.simulate import LinearTimes, Server, simulate
from bursar.workload.traces import Labels, Trace

NAMES = sorted(ROUTING)
SERVER = Server(LinearTimes(0.01, per_token=2e-5, per_context=1e-6), blocks=400)
SHARING = replace(SERVER, prefix_cache=True)


class Held:
    """A router whose every decision is held to the contract."""

    def __init__(self, router: Router) -> None:
        self.router, self.asked = router, 0

    def decide(self, state: FleetState, now: float, price: Price) -> int:
        place = self.router.decide(state, now, price)
        assert self.router.decide(state, now, price) == place, "not pure"
        assert 0 <= place < state.size
        self.asked += 1
        return place


def crowd(seed: int, requests: int = 400, rate: float = 40.0) -> Trace:
    """Lengths of all sizes; prompts of one name begin alike."""
    rng = np.random.default_rng(seed)
    return Trace(
        np.cumsum(rng.exponential(1 / rate, requests)),
        rng.integers(200, 400, requests),
        np.ceil(rng.exponential(60, requests)),
        prefix_id=Labels.of(rng.choice([f"text {n}" for n in range(12)], requests).tolist()),
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("replicas", [1, 4])
def test_each_decision_keeps_the_contract(name: str, replicas: int) -> None:
    router = Held(ROUTING[name]())
    run = simulate(crowd(replicas), SHARING, SarathiServe(), replicas=replicas, router=router)
    assert run.served.all()
    assert router.asked == len(run.trace)
    assert set(run.replica) == set(range(replicas)), "a replica was never used"


@pytest.mark.parametrize("name", NAMES)
def test_a_lone_request_is_answered_as_fast_as_by_one_replica(name: str) -> None:
    trace = Trace([0.0], [100], [20])
    alone = simulate(trace, SERVER, SarathiServe())
    fleet = simulate(trace, SERVER, SarathiServe(), replicas=3, router=ROUTING[name]())
    assert fleet.finished_s == alone.finished_s


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["least_jobs", "join_idle", "least_tokens", "cached_prefix"])
def test_looking_is_better_than_not_looking(name: str, seed: int) -> None:
    """Where a replica is idle half of the time, whoever looks waits less than whoever does not."""
    trace, policy = crowd(seed, rate=12.0), SarathiServe(max_jobs=1)
    looked, blind = (
        simulate(trace, SERVER, policy, replicas=16, router=router)
        for router in (ROUTING[name](), RoundRobin())
    )
    assert np.mean(looked.ttft_s) < 0.8 * np.mean(blind.ttft_s)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_requests_go_where_their_prefix_is(seed: int) -> None:
    """Twelve texts, room for four at each replica, and prompts that take as long as answers."""
    times = LinearTimes(0.01, per_token=1e-3)
    trace, server = crowd(seed, 800, 5.0), replace(SHARING, blocks=120, times=times)
    runs = {
        name: simulate(trace, server, SarathiServe(), replicas=3, router=ROUTING[name]())
        for name in ("cached_prefix", "least_tokens")
    }
    assert runs["cached_prefix"].prefix_hit_rate > 1.3 * runs["least_tokens"].prefix_hit_rate
    assert np.mean(runs["cached_prefix"].ttft_s) < 0.8 * np.mean(runs["least_tokens"].ttft_s)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_a_cache_there_is_nothing_to_go_for(seed: int) -> None:
    """The control: the same texts, but no replica keeps them."""
    runs = [
        simulate(crowd(seed), SERVER, SarathiServe(), replicas=3, router=ROUTING[name]())
        for name in ("cached_prefix", "least_tokens")
    ]
    assert runs[0].prefix_hit_rate == runs[1].prefix_hit_rate == 0.0
    assert np.mean(runs[0].e2e_s) > 0.97 * np.mean(runs[1].e2e_s)


def test_a_text_that_all_ask_for_does_not_crowd_one_replica() -> None:
    """Were the cache all that counts, one replica would do all the work."""
    trace = replace(crowd(0, 800, 60.0), prefix_id=Labels.of(["one"] * 800))
    spread, crowded = (
        simulate(trace, SHARING, SarathiServe(), replicas=3, router=CachedPrefix(crowding))
        for crowding in (0.1, 0.0)
    )
    assert np.bincount(spread.replica, minlength=3).min() > 0.2 * len(trace)
    assert np.mean(spread.e2e_s) < np.mean(crowded.e2e_s)
    with pytest.raises(BadInput, match="crowding = -1"):
        CachedPrefix(-1)
