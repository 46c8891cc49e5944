"""Candidates: sensible deployments, and no dominated one is missed by the fleet."""

import numpy as np
import pytest

from bursar.allocate import Demand, cheapest_fleet
from bursar.catalog import device, model
from bursar.errors import BadInput
from bursar.fleet import Goal, candidates, deployments, loads

GOAL = Goal(2.0, 0.06)
SIZES = np.array([128, 1024, 4096]), np.array([64, 256, 512])
NAMES = ("l4", "l40s", "a100-sxm-80gb", "h100-sxm")


def test_tensor_parallelism_divides_the_heads_and_types_are_those_of_the_device() -> None:
    found = deployments(model("llama-3.1-8b"), [device("a100-sxm-80gb")])
    assert {p.dtype for p in found} == {"bf16"}  # an A100 has no arithmetic in 8-bit floats
    assert {p.tp for p in found} == {1, 2, 4, 8}
    assert all(p.tp == 8 for p in found if p.pp > 1)


def test_experts_may_be_spread_and_dense_models_may_not() -> None:
    dense = deployments(model("llama-3.1-8b"), [device("h100-sxm")])
    mixed = deployments(model("mixtral-8x7b"), [device("h100-sxm")])
    assert {p.dp for p in dense} == {1}
    assert {p.dp for p in mixed} > {1}
    assert max(p.tp * p.dp for p in mixed) == 8


def test_leaving_out_the_dominated_changes_no_fleet() -> None:
    places = deployments(model("llama-3.1-8b"), [device(n) for n in NAMES])
    front = candidates(places, *SIZES, GOAL)
    every = [c for p in places for c in candidates([p], *SIZES, GOAL)]
    assert len(front) < len(every)
    for seed in range(5):
        rate = np.random.default_rng(seed).gamma(1.0, 30.0, 3)
        usd = [
            cheapest_fleet(
                Demand(loads(some, rate), [c.usd_per_hour for c in some]), target_gap=1e-9
            ).usd_per_hour
            for some in (front, every)
        ]
        assert usd[0] == pytest.approx(usd[1])


def test_a_device_without_a_price_is_refused() -> None:
    places = deployments(model("llama-3.1-8b"), [device("rtx-4090")])
    with pytest.raises(BadInput, match="rtx-4090 has no rental price"):
        candidates(places, *SIZES, GOAL)


def test_rare_sizes_that_nothing_serves_in_time_are_carried_if_so_few_may_miss() -> None:
    places = deployments(model("llama-3.1-8b"), [device("l4")])
    long = np.append(SIZES[0], 60_000), np.append(SIZES[1], 100)
    strict = candidates(places, *long, GOAL)
    assert all(c.capacity.requests_per_second[3] == 0 for c in strict)
    rate = np.array([1.0, 1.0, 1.0, 0.01])
    few = candidates(places, *long, GOAL, requests_per_second=rate, may_miss=0.005)
    assert any(c.capacity.requests_per_second[3] > 0 for c in few)
    rate[3] = 0.1
    many = candidates(places, *long, GOAL, requests_per_second=rate, may_miss=0.005)
    assert all(c.capacity.requests_per_second[3] == 0 for c in many)
