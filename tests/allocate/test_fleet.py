"""Fleets: against all fleets on small cases, scarce types, and what can't be done."""

from itertools import product

import numpy as np
import pytest

from bursar.allocate.demand import Demand
from bursar.allocate.fleet import cheapest_fleet, largest_fleet
from bursar.errors import BadInput, Infeasible


def by_trying(load: np.ndarray, usd: np.ndarray, slices: int) -> float:
    """The least cost over all ways to hand out the slices."""
    kinds, types = load.shape
    ways = [c for c in product(range(slices + 1), repeat=types) if sum(c) == slices]
    best = np.inf
    for parts in product(ways, repeat=kinds):
        filled = (np.array(parts) / slices * load).sum(axis=0)
        best = min(best, float(np.ceil(filled - 1e-9) @ usd))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_equal_to_trying_every_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    load, usd = rng.uniform(0.1, 2.0, (3, 2)), rng.uniform(0.5, 3.0, 2)
    fleet = cheapest_fleet(Demand(load, usd), slices=3, target_gap=0)
    assert fleet.usd_per_hour == pytest.approx(by_trying(load, usd, 3))
    assert fleet.gap <= 1e-9
    assert cheapest_fleet(Demand(load, usd)).usd_per_hour <= fleet.usd_per_hour + 1e-9


def test_a_kind_that_a_type_cannot_serve_in_time_goes_elsewhere() -> None:
    demand = Demand([[0.5, 0.4], [np.inf, 0.4]], [1.0, 3.0])
    fleet = cheapest_fleet(demand)
    assert fleet.shares[1].tolist() == [0.0, 1.0]
    assert fleet.usd_per_hour == 3.0  # both fit the dear instance


def test_scarce_types_are_used_up_and_then_the_demand_is_refused() -> None:
    scarce = Demand([[4.0, 4.0]], [1.0, 3.0], available=[3, 1])
    assert cheapest_fleet(scarce).instances.tolist() == [3, 1]
    with pytest.raises(Infeasible, match=r"carry 0\.8 of the demand"):
        cheapest_fleet(Demand([[5.0, 5.0]], [1.0, 3.0], available=[3, 1]))


def test_a_budget_below_the_smallest_fleet_says_what_that_costs() -> None:
    demand = Demand([[0.5, np.inf], [np.inf, 0.5]], [1.0, 3.0])
    assert largest_fleet(demand, 4.0).traffic == pytest.approx(2.0)
    with pytest.raises(Infeasible, match="smallest costs 4 USD/h"):
        largest_fleet(demand, 3.5)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Demand([[-1.0]], [1.0]), "load holds -1"),
        (lambda: Demand([[1.0]], [np.nan]), "usd_per_hour holds nan"),
        (lambda: Demand([[1.0]], [0.0]), "above zero"),
        (lambda: Demand([[1.0, 2.0]], [1.0]), "do not fit"),
        (lambda: largest_fleet(Demand([[1.0]], [1.0]), 0.0), "above zero"),
    ],
)
def test_impossible_values_are_refused(make, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        make()


def test_a_kind_that_no_type_can_carry_is_named() -> None:
    with pytest.raises(Infeasible, match="kind 1"):
        Demand([[1.0, 1.0], [np.inf, np.inf]], [1.0, 2.0])


def test_several_limits_the_tightest_binds() -> None:
    demand = Demand([[1.0, 0.25]], [1.0, 6.0], uses={"gpus": [1.0, 1.0]})
    many = largest_fleet(demand, {"usd_per_hour": 60.0, "gpus": 100.0})
    assert many.traffic == pytest.approx(60.0)
    assert many.traffic_per == pytest.approx({"usd_per_hour": 1.0, "gpus": 0.0})
    few = largest_fleet(demand, {"usd_per_hour": 600.0, "gpus": 10.0})
    assert few.traffic == pytest.approx(40.0)
    assert few.price is None
    assert few.traffic_per == pytest.approx({"usd_per_hour": 0.0, "gpus": 4.0})


def test_any_resource_may_be_the_cost() -> None:
    demand = Demand([[1.0, 0.25]], [1.0, 6.0], uses={"gpus": [1.0, 1.0]})
    assert cheapest_fleet(demand).instances.tolist() == [1, 0]
    four = Demand([[4.0, 1.0]], [1.0, 6.0], uses={"gpus": [1.0, 1.0]})
    assert cheapest_fleet(four, cost="gpus").instances.tolist() == [0, 1]


def test_what_is_paid_by_use_needs_no_instances() -> None:
    """A type without load or rent, 2 dollars an hour for all of the demand."""
    demand = Demand([[0.4, 0.0]], [1.0, 0.0], carried={"usd_per_hour": [[0.0, 2.0]]})
    assert cheapest_fleet(demand).usd_per_hour == pytest.approx(1.0)
    tenth = Demand([[0.04, 0.0]], [1.0, 0.0], carried={"usd_per_hour": [[0.0, 0.2]]})
    found = cheapest_fleet(tenth)
    assert found.usd_per_hour == pytest.approx(0.2)
    assert found.instances.tolist() == [0, 0]
    assert found.shares[0, 1] == pytest.approx(1.0)
