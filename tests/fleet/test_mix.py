"""Mixed fleets: requests are divided as planned, and served as one type alone would serve them."""

import numpy as np
import pytest

from bursar.catalog import device, model
from bursar.cost import Deployment
from bursar.fleet.mix import divided, simulate_mix
from bursar.policies.batching import SarathiServe
from bursar.policies.routing import LeastJobs
from bursar.simulate import server_of, simulate
from bursar.workload.traces import Trace


def trace_of(n: int = 300) -> Trace:
    rng = np.random.default_rng(0)
    gaps = rng.exponential(0.2, n)
    return Trace(np.cumsum(gaps), rng.integers(50, 2000, n), rng.integers(1, 300, n))


def test_each_instance_has_its_share_at_any_moment() -> None:
    of = np.random.default_rng(1).integers(0, 2, 1000)
    shares = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    place = divided(of, shares)
    assert (place[of == 1] == 1).all()
    mine = place[of == 0]
    for k in (10, 100, len(mine)):
        count = np.bincount(mine[:k], minlength=3)
        assert np.abs(count - shares[0] * k).max() <= 1.5


def test_one_type_is_the_simulator_itself() -> None:
    trace, place = trace_of(), Deployment(model("llama-3.1-8b"), device("l4"), dtype="fp8")
    mix = simulate_mix(trace, np.zeros(len(trace), dtype=np.int64), [place], [3], SarathiServe())
    alone = simulate(trace, server_of(place), SarathiServe(), replicas=3, router=LeastJobs())
    np.testing.assert_array_equal(mix.ttft_s, alone.ttft_s)
    np.testing.assert_array_equal(mix.e2e_s, alone.e2e_s)


def test_every_request_is_served_by_one_part() -> None:
    trace = trace_of()
    places = [Deployment(model("llama-3.1-8b"), device(n), dtype="fp8") for n in ("l4", "h100-sxm")]
    to = divided(np.zeros(len(trace), dtype=np.int64), np.array([[0.25, 0.75]]))
    mix = simulate_mix(trace, to, places, [2, 1], SarathiServe())
    assert np.isfinite(mix.e2e_s).all()
    assert [len(part.trace) for part in mix.parts] == pytest.approx([75, 225], abs=1)
    slow, fast = (np.nanmean(mix.tpot_s[to == i]) for i in (0, 1))
    assert fast < slow
