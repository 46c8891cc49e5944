"""Mélange (arXiv:2404.14527): a mix of types is never dearer than the best single type.

Instances differ as accelerators do: a dear one has more throughput, and how much more depends on
the size of the request, so that small requests are cheap on small instances and large ones on
large instances. Throughputs that are all proportional to each other are the control: there no mix
can gain more than the rounding to whole instances.
"""

import numpy as np
import pytest

from bursar.allocate.demand import Demand
from bursar.allocate.fleet import Fleet, cheapest_fleet, largest_fleet

USD = np.array([0.7, 1.01, 3.67, 7.52])  # an hour, as in the paper: L4, A10G, A100, H100
KINDS = 36


def demand_of(rng: np.random.Generator, taste: float, scale: float = 4.0) -> Demand:
    """`taste`: how strongly the size of a request decides which type is good at it."""
    size = rng.random(KINDS)[:, None]
    throughput = np.exp(rng.normal(0, 0.3, (KINDS, 1))) * USD ** (1 - taste + 2 * taste * size)
    rate = rng.gamma(1.0, scale, (KINDS, 1))
    return Demand(rate / throughput, USD)


def single_type(demand: Demand) -> float:
    """Dollars an hour of the best fleet of one type."""
    return float(np.min(np.ceil(demand.load.sum(axis=0) - 1e-9) * demand.usd_per_hour))


def carried(demand: Demand, fleet: Fleet) -> np.ndarray:
    """How full the instances of each type are."""
    return (fleet.shares * np.where(np.isfinite(demand.load), demand.load, 0)).sum(axis=0)


@pytest.mark.parametrize(("slices", "mixes"), [(None, 50), (4, 8)])
def test_never_dearer_than_one_type_and_cheaper_where_sizes_are_mixed(
    slices: int | None, mixes: int
) -> None:
    saved = []
    for seed in range(mixes):
        demand = demand_of(np.random.default_rng(seed), taste=0.5)
        fleet = cheapest_fleet(demand, slices=slices, target_gap=1e-3)
        assert (carried(demand, fleet) <= fleet.instances + 1e-6).all()
        assert fleet.shares.sum(axis=1) == pytest.approx(1)
        assert fleet.usd_per_hour < single_type(demand)
        saved.append(1 - fleet.usd_per_hour / single_type(demand))
    assert np.mean(saved) > 0.1


def test_without_differences_in_taste_only_the_rounding_is_saved() -> None:
    for seed in range(10):
        demand = demand_of(np.random.default_rng(seed), taste=0.0)
        fleet = cheapest_fleet(demand)
        assert single_type(demand) - USD.max() <= fleet.usd_per_hour <= single_type(demand)


@pytest.mark.parametrize(("kinds", "slices"), [(36, 4), (100, 8)])
def test_large_instances_are_solved_to_a_thousandth(kinds: int, slices: int) -> None:
    rng = np.random.default_rng(1)
    load = rng.uniform(0.2, 4, (kinds, 1)) / (rng.uniform(0.5, 10, (kinds, 4)) * USD**0.9)
    fleet = cheapest_fleet(Demand(load, USD), slices=slices, target_gap=1e-3, time_limit_s=20)
    assert fleet.gap <= 1e-3
    loose = cheapest_fleet(Demand(load, USD), target_gap=1e-3)
    assert loose.usd_per_hour <= fleet.usd_per_hour * (1 + 1e-3)


def test_the_budget_question_is_the_cost_question_reversed() -> None:
    demand = demand_of(np.random.default_rng(3), taste=0.5)
    fleet = cheapest_fleet(demand, target_gap=1e-9)
    again = largest_fleet(demand, fleet.usd_per_hour, target_gap=1e-9)
    assert again.traffic >= 1 - 1e-6
    assert again.usd_per_hour <= fleet.usd_per_hour + 1e-9
    less = largest_fleet(demand, fleet.usd_per_hour - 0.02, target_gap=1e-9)
    assert less.traffic < 1


def test_the_price_is_what_more_traffic_costs() -> None:
    demand = demand_of(np.random.default_rng(4), taste=0.5, scale=400.0)  # rounding hardly matters
    now, more = (cheapest_fleet(Demand(demand.load * k, USD)).usd_per_hour for k in (1.0, 1.05))
    fleet = cheapest_fleet(demand)
    assert fleet.price == pytest.approx((more - now) / 0.05, rel=0.02)
    richer = largest_fleet(demand, fleet.usd_per_hour * 1.05)
    assert richer.price == pytest.approx(fleet.price, rel=0.02)
