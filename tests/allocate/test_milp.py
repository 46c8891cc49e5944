"""MILP: exact with several resources and couplings, never over by a tolerance, priced by the LP."""

import numpy as np
import pytest

from bursar.allocate import ALLOCATORS, Coupling, HullAllocator, MilpAllocator, Options, allocate
from bursar.errors import BadInput, Infeasible


def two_resources(seed: int, items: int = 6) -> Options:
    rng = np.random.default_rng(seed)
    costs = rng.random((2, items, 4)) * np.array([1000.0, 0.01])[:, None, None]
    costs[:, :, 0] = 0
    return Options(rng.random((items, 4)), costs, ("tokens", "usd"))


@pytest.mark.parametrize("seed", range(15))
def test_equals_exhaustive_search(seed: int) -> None:
    options = two_resources(seed)
    limits = {"tokens": 1500.0, "usd": 0.018}
    plan = allocate(options, limits)
    best = ALLOCATORS["exhaustive"].allocate(options, limits)
    assert plan.total_value == pytest.approx(best.total_value, abs=1e-7)
    assert plan.allocator == "milp"


def test_agrees_with_the_hull_on_one_resource() -> None:
    rng = np.random.default_rng(0)
    options = Options(rng.random((200, 5)), rng.random((200, 5)))
    milp, hull = (a.allocate(options, 60.0) for a in (MilpAllocator(), HullAllocator()))
    assert milp.total_value == pytest.approx(hull.total_value, rel=1e-6)
    assert milp.price.of("tokens") == pytest.approx(hull.price.of("tokens"), rel=1e-6)


def test_a_price_for_each_limit_that_binds() -> None:
    options = two_resources(1, items=50)
    plan = allocate(options, {"tokens": 5000.0, "usd": 1e6})
    assert plan.price.of("tokens") > 0
    assert plan.price.of("usd") == 0
    both = allocate(options, {"tokens": 9000.0, "usd": 0.09})
    assert both.price.of("tokens") > 0
    assert both.price.of("usd") > 0


def test_coupling_is_kept() -> None:
    """At most 3 items may take the last option (the large model)."""
    values = np.tile([0.0, 0.5, 1.0], (10, 1))
    costs = np.tile([0.0, 1.0, 2.0], (10, 1))
    large = np.tile([0.0, 0.0, 1.0], (10, 1))
    plan = MilpAllocator((Coupling(large, 3.0),)).allocate(Options(values, costs), 100.0)
    assert (plan.choice == 2).sum() == 3
    assert plan.total_value == 6.5
    with pytest.raises(BadInput, match="weights"):
        MilpAllocator((Coupling(large[:2], 3.0),)).allocate(Options(values, costs), 100.0)


def test_limits_that_hold_alone_but_not_together() -> None:
    options = Options([[1.0, 1.0]], [[[0.0, 4.0]], [[4.0, 0.0]]], ("tokens", "usd"))
    with pytest.raises(Infeasible, match="raise them by about"):
        allocate(options, {"tokens": 1.0, "usd": 1.0})
    with pytest.raises(Infeasible, match="no whole plan"):
        allocate(options, {"tokens": 2.0, "usd": 2.0})


@pytest.mark.parametrize("seed", range(10))
def test_tolerances_never_pass_a_limit(seed: int) -> None:
    """Limits a hair below what a good plan spends: HiGHS would let it pass, we do not."""
    options = two_resources(seed)
    first = allocate(options, {"tokens": 1500.0, "usd": 0.018})
    limits = {k: v * (1 - 1e-10) for k, v in first.total_usage.items()}
    plan = allocate(options, limits)
    assert all(plan.total_usage[k] <= limits[k] for k in limits)
